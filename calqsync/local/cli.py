"""The commands that run on the embedded stack: demo, test, mutation and bench."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable
from pathlib import Path

from calqsync.local.errors import StackError, os_sentence


def run(root: Path, command: str, arguments: list[str]) -> int:
    """Run one command and return its exit status; a known failure is one sentence on stderr."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _stop)  # so that a plain `kill` also stops every process
    try:
        return _command(command)(root, arguments)
    except StackError as problem:
        print(problem, file=sys.stderr)
    except OSError as problem:
        print(os_sentence(problem), file=sys.stderr)
    except KeyboardInterrupt:
        print("Stopped.", file=sys.stderr)
        return 130
    return 1


def _command(name: str) -> Callable[[Path, list[str]], int]:
    if name == "demo":
        from calqsync.local import demo

        return demo.main
    if name == "test":
        from calqsync.local import testing

        return testing.main
    if name == "mutation":
        from calqsync.local import mutation

        return mutation.main
    from calqsync.local import bench

    return bench.main


def _stop(number: int, frame: object) -> None:
    raise KeyboardInterrupt
