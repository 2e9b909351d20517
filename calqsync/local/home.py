"""Where a stack keeps its secrets, ports, logs and data, and who may read them."""

from __future__ import annotations

import base64
import contextlib
import fcntl
import json
import os
import pwd
import secrets
import shutil
import socket
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

from calqsync.local.children import ServerUser
from calqsync.local.errors import StackError

UNPRIVILEGED = "nobody"
OUTSIDE = Path("/var/lib/calqsync")  # for root's checkouts that nobody else can reach
THROWAWAY_PREFIX = "calqsync-"
FRESH = "Start with `python3 manage.py demo --fresh` to erase the demo's data and begin again."


class Home:
    """One stack's folder. Everything in it can be deleted while the stack is down."""

    def __init__(self, folder: Path, *, logs: Path | None = None) -> None:
        self.folder = folder
        self.user = server_user()
        self.logs = logs or folder / "logs"
        self._lock: int | None = None

    def open(self) -> None:
        """Take the folder for this process; StackError when another one holds it."""
        self.folder.mkdir(parents=True, exist_ok=True)
        lock = os.open(self.folder / "stack.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.pread(lock, 20, 0).decode() or "?"
            os.close(lock)
            raise StackError(
                f"CalqSync already runs from this folder (process {holder}). "
                "Stop it with Ctrl-C first."
            ) from None
        os.truncate(lock, 0)
        os.pwrite(lock, str(os.getpid()).encode(), 0)
        self._lock = lock
        self.logs.mkdir(mode=0o700, parents=True, exist_ok=True)

    def close(self) -> None:
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    # -- secrets and state -----------------------------------------------------------------------

    def secrets(self) -> dict[str, str]:
        """The stack's passwords and keys, made on first use and readable by their owner only."""
        path = self.folder / "secrets.json"
        kept = _read_json(path)
        if kept is None and path.exists() and path.stat().st_size:
            raise StackError(f"{path} cannot be read. {FRESH}")
        complete = {name: (kept or {}).get(name) or make() for name, make in _SECRETS.items()}
        if complete != kept:
            _write_json(path, complete)
        return complete

    def remembered(self, name: str, default: object = None) -> object:
        return (_read_json(self.folder / "state.json") or {}).get(name, default)

    def remember(self, **values: object) -> None:
        path = self.folder / "state.json"
        _write_json(path, {**(_read_json(path) or {}), **values})

    def port(self, name: str) -> int:
        """The port used last time if it is free, else any free one; remembered."""
        last = self.remembered(f"{name}_port")
        port = last if isinstance(last, int) and port_is_free(last) else free_port()
        self.remember(**{f"{name}_port": port})
        return port

    # -- the servers' folder ---------------------------------------------------------------------

    def servers(self) -> Path:
        """The folder for the servers' data, which the account that runs them can reach."""
        kept = self.remembered("servers")
        folder = Path(str(kept)) if kept else self.folder / "servers"
        if not kept and self.user and not reachable(self.folder, self.user):
            folder = OUTSIDE / self.secrets()["instance"]
        if folder.is_relative_to(OUTSIDE):
            OUTSIDE.mkdir(parents=True, exist_ok=True)
            OUTSIDE.chmod(0o711)
        folder.mkdir(parents=True, exist_ok=True)
        folder.chmod(0o711)  # pass through to the servers' own folders, list nothing
        self.remember(servers=str(folder))
        return folder

    def own(self, path: Path) -> None:
        """Hand one file or folder to the account that runs the servers, private to it."""
        path.chmod(0o700 if path.is_dir() else 0o600)
        if self.user:
            os.chown(path, self.user.uid, self.user.gid)

    def erase(self) -> None:
        """Delete all data, secrets and state; the lock and the logs stay."""
        outside = self.remembered("servers")
        if outside and Path(str(outside)).is_relative_to(OUTSIDE):
            shutil.rmtree(str(outside), ignore_errors=True)
        for name in ("servers", "mail", "run"):
            shutil.rmtree(self.folder / name, ignore_errors=True)
        for name in ("state.json", "secrets.json"):
            (self.folder / name).unlink(missing_ok=True)


@contextlib.contextmanager
def throwaway_home(logs: Path) -> Iterator[Home]:
    """A home in the temporary folder that is gone afterwards; leftovers of killed runs go too.

    Its logs go to a folder below `logs`, where they outlive a failure.
    """
    parent = Path(tempfile.gettempdir())
    for folder in parent.glob(f"{THROWAWAY_PREFIX}*"):
        _remove_if_abandoned(folder)
    folder = Path(tempfile.mkdtemp(prefix=THROWAWAY_PREFIX))
    folder.chmod(0o711)
    home = Home(folder, logs=logs / folder.name)
    home.open()
    try:
        yield home
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        home.close()


def server_user() -> ServerUser | None:
    """Whom to run the servers as: nobody when we are root, else ourselves (None)."""
    if os.geteuid() != 0:
        return None
    try:
        entry = pwd.getpwnam(UNPRIVILEGED)
    except KeyError:
        raise StackError(
            "PostgreSQL refuses to run as root and this machine has no account "
            f"'{UNPRIVILEGED}'. Start as an ordinary user."
        ) from None
    return ServerUser(entry.pw_name, entry.pw_uid, entry.pw_gid)


def reachable(path: Path, user: ServerUser) -> bool:
    """Whether that account may pass through every folder down to `path`."""
    for folder in (path.resolve(), *path.resolve().parents):
        found = folder.stat()
        if found.st_uid == user.uid:
            needed = stat.S_IXUSR
        elif found.st_gid == user.gid:
            needed = stat.S_IXGRP
        else:
            needed = stat.S_IXOTH
        if not found.st_mode & needed:
            return False
    return True


def port_is_free(port: int) -> bool:
    """Whether this process could listen on that port of 127.0.0.1 now."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def free_port() -> int:
    """A port of 127.0.0.1 that nobody uses now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _token() -> str:
    return secrets.token_urlsafe(24)


def _encryption_key() -> str:
    return "k1:" + base64.b64encode(secrets.token_bytes(32)).decode()


_SECRETS = {
    "instance": lambda: secrets.token_hex(6),
    "superuser": _token,
    "calqsync_owner": _token,
    "calqsync_app": _token,
    "calqsync_dispatcher": _token,
    "calqsync_support": _token,
    "valkey": _token,
    "secret_key": lambda: secrets.token_urlsafe(48),
    "encryption_keys": _encryption_key,
    "procountor_client_id": lambda: "calqsync-" + secrets.token_hex(4),
    "procountor_client_secret": _token,
    "founder_password": lambda: secrets.token_urlsafe(12),
    "support_password": lambda: secrets.token_urlsafe(12),
    "support_second_step": lambda: base64.b32encode(secrets.token_bytes(20)).decode(),
}


def _read_json(path: Path) -> dict[str, str] | None:
    try:
        found = json.loads(path.read_text("utf-8"))
    except (FileNotFoundError, ValueError):
        return None
    return found if isinstance(found, dict) else None


def _write_json(path: Path, values: object) -> None:
    fresh = path.with_suffix(".new")
    fresh.unlink(missing_ok=True)
    handle = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        json.dump(values, file, indent=1)
    fresh.replace(path)


def _remove_if_abandoned(folder: Path) -> None:
    with contextlib.suppress(OSError):
        lock = os.open(folder / "stack.lock", os.O_RDWR)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(folder, ignore_errors=True)
        finally:
            os.close(lock)
