"""Child processes that never outlive the supervisor, and whose failures can be told."""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import psutil

from calqsync.local.errors import StackError, log_sentence

KEEP_LOG_BYTES = 5_000_000
_PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None


@dataclass(frozen=True)
class ServerUser:
    """The account that a server runs under when the supervisor is root."""

    name: str
    uid: int
    gid: int


class Child:
    """One running process: its log, its end, and its place in the folder of running ones."""

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        *,
        home: Path,
        logs: Path,
        env: Mapping[str, str],
        cwd: Path,
        user: ServerUser | None = None,
        stop_signal: signal.Signals = signal.SIGTERM,
        orphan_signal: signal.Signals | None = None,
    ) -> None:
        self.name = name
        self._again = partial(
            Child,
            name,
            command,
            home=home,
            logs=logs,
            env=env,
            cwd=cwd,
            user=user,
            stop_signal=stop_signal,
            orphan_signal=orphan_signal,
        )
        self._started = time.monotonic()
        self.log = _fresh_log(logs, name)
        self._log_start = self.log.stat().st_size if self.log.exists() else 0
        self._stop_signal = stop_signal
        self._note = home / "run" / f"{name}.json"
        account = {"user": user.uid, "group": user.gid, "extra_groups": []} if user else {}
        with self.log.open("ab") as out:
            self.process = subprocess.Popen(
                list(command),
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                env=dict(env),
                cwd=cwd,
                # Ctrl-C reaches the supervisor alone, which stops the others in order.
                start_new_session=True,
                # Runs after the switch of user, which would clear the parent-death signal.
                preexec_fn=_die_with_parent(orphan_signal or stop_signal),
                **account,  # type: ignore[call-overload]
            )
        self._remember()

    def wait_until(
        self, ready: Callable[[], bool], *, seconds: float, why_not: Callable[[], str] = str
    ) -> None:
        """Return once `ready()` holds; raise StackError if the process ends or time runs out.

        `why_not()` may add what was seen last.
        """
        deadline = time.monotonic() + seconds
        while not ready():
            self.check()
            if time.monotonic() > deadline:
                raise StackError(
                    f"The {self.name} process was not ready within {seconds:.0f} s"
                    f"{why_not()}. Its log: {self.log}"
                )
            time.sleep(0.05)

    def check(self) -> None:
        """Raise StackError when the process has ended."""
        if self.process.poll() is None:
            return
        known = log_sentence(self.tail())
        lines = self.tail().splitlines()
        reason = known or (lines[-1].strip() if lines else "It left no message.")
        raise StackError(f"The {self.name} process ended. {reason} Its log: {self.log}")

    def ended_after(self, seconds: float) -> bool:
        """Whether the process has ended, and had run for longer than this before."""
        return self.process.poll() is not None and time.monotonic() - self._started > seconds

    def again(self) -> Child:
        """The same process, started anew."""
        return self._again()

    def fresh_log(self) -> str:
        """What this start has logged, up to a limit that any start-up stays within."""
        with self.log.open("rb") as file:
            file.seek(self._log_start)
            return file.read(200_000).decode(errors="replace")

    def has_logged(self, words: str) -> bool:
        """Whether this start has logged these words."""
        return words in self.fresh_log()

    def tail(self, size: int = 4000) -> str:
        """The last part of the log."""
        with self.log.open("rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - size))
            return file.read().decode(errors="replace")

    def stop(self) -> None:
        """Ask the process to end; `finish` waits for it."""
        if self.process.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                self.process.send_signal(self._stop_signal)

    def finish(self, *, seconds: float) -> None:
        """Wait for the end; whatever is left of the process and its children is killed."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(seconds)
        _kill_session(self.process.pid)
        self.process.wait()
        self._note.unlink(missing_ok=True)

    def _remember(self) -> None:
        with contextlib.suppress(psutil.Error):
            started = psutil.Process(self.process.pid).create_time()
            self._note.parent.mkdir(exist_ok=True)
            self._note.write_text(json.dumps({"pid": self.process.pid, "started": started}))


def stop_leftovers(home: Path) -> None:
    """End the processes that a killed supervisor left running (only where the kernel let it)."""
    for note in (home / "run").glob("*.json"):
        with contextlib.suppress(psutil.Error, ValueError, KeyError, TypeError):
            noted = json.loads(note.read_text("utf-8"))
            process = psutil.Process(noted["pid"])
            if abs(process.create_time() - noted["started"]) < 0.1:  # not a recycled number
                process.send_signal(signal.SIGINT if note.stem == "postgres" else signal.SIGTERM)
                with contextlib.suppress(psutil.TimeoutExpired):
                    process.wait(10)
                _kill_session(noted["pid"])
        note.unlink(missing_ok=True)


def _kill_session(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)  # the child leads its own session


def _die_with_parent(orphan_signal: signal.Signals) -> Callable[[], None]:
    parent = os.getpid()

    def arrange() -> None:
        if _libc is not None:
            _libc.prctl(_PR_SET_PDEATHSIG, int(orphan_signal), 0, 0, 0)
        if os.getppid() != parent:  # it died before the line above took effect
            os._exit(1)

    return arrange


def _fresh_log(folder: Path, name: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    log = folder / f"{name}.log"
    if log.exists() and log.stat().st_size > KEEP_LOG_BYTES:
        log.replace(folder / f"{name}.log.1")
    if log.exists() and log.stat().st_size:
        with log.open("a", encoding="utf-8") as file:
            file.write("\n--- a new start ---\n")
    return log
