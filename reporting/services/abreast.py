"""Work on many parts done by two processes, where the machine has two processors to spare.

The second is a fork: it reads the memory of the first as it was, and sends back what it made. It
never touches the database, whose connection stays the first one's.
"""

from __future__ import annotations

import contextlib
import gc
import os
import signal
import threading
from collections.abc import Callable, Generator, Sequence
from multiprocessing.connection import Connection, Pipe
from typing import NoReturn, TypeVar

import structlog

from calqsync.jobs.held import HEARTBEAT

log = structlog.get_logger(__name__)
Made = TypeVar("Made")
# Fewer parts are done sooner than a process is forked.
FEW = 8
# A number's place, as both processes take the next one from one pipe, which holds so much at once.
_PLACE, _HELD = 4, 4096
# Seconds without a result after which a helper counts as lost; a part takes less than one.
PATIENCE = 60.0
# What a worker answers to in its own ways, and a helper simply ends by.
_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1, signal.SIGUSR2)


def made_abreast(
    make: Callable[[int], Made], numbers: Sequence[int]
) -> Generator[Made, None, None]:
    """`make(number)` of every number, in whichever order they are done.

    `make` reads nothing but memory, and what it makes can be pickled. Whoever leaves the iteration,
    by an error too, ends the second process; one whose first process is gone ends with its next
    result. What it leaves undone, whatever the cause, the first one does.
    """
    if not _two(len(numbers)):
        yield from map(make, numbers)
        return
    tickets, giving = os.pipe()
    os.write(giving, b"".join(place.to_bytes(_PLACE, "big") for place in range(len(numbers))))
    os.close(giving)
    results, sending = Pipe(duplex=False)
    helper = _forked()
    if helper == 0:
        _help(make, numbers, tickets, results, sending)
    sending.close()
    waiting = set(range(len(numbers)))
    try:
        while waiting:
            ready = results.poll()
            place = None if ready else _taken(tickets)
            if place is not None:
                made = make(numbers[place])
            elif not results.poll(PATIENCE):
                break
            else:
                try:
                    place, made = results.recv()
                # The latter where it ended amid a result.
                except (EOFError, OSError):
                    break
            waiting.discard(place)
            yield made
        if waiting:
            log.warning("abreast.helper_lost", parts=len(waiting))
        yield from (make(numbers[place]) for place in sorted(waiting))
    finally:
        os.close(tickets)
        results.close()
        if helper is not None:
            os.kill(helper, signal.SIGKILL)
            os.waitpid(helper, 0)


def _forked() -> int | None:
    """The second process, 0 within it; None where the machine has no place or memory for one."""
    try:
        return os.fork()
    except OSError:
        return None


def _two(parts: int) -> bool:
    """Whether a second process would be sooner, and safe: a thread may hold what a fork needs.

    The heartbeat of the job is one that does not: nothing but its own connection.
    """
    others = {one.name for one in threading.enumerate() if one is not threading.current_thread()}
    if not FEW <= parts <= _HELD // _PLACE or others - {HEARTBEAT}:
        return False
    return len(os.sched_getaffinity(0)) > 1 if hasattr(os, "sched_getaffinity") else False


def _taken(tickets: int) -> int | None:
    """The place of the next number; None when each is taken."""
    place = os.read(tickets, _PLACE)
    return int.from_bytes(place, "big") if place else None


def _help(
    make: Callable[[int], object],
    numbers: Sequence[int],
    tickets: int,
    results: Connection,
    sending: Connection,
) -> NoReturn:
    # Whatever happens, nothing of the first process may run here: neither its handlers nor what
    # it does at its end. An error is its own when it does the part again.
    try:
        with contextlib.suppress(Exception):
            for one in _SIGNALS:
                signal.signal(one, signal.SIG_DFL)
            results.close()
            # A collection would write to, and so copy, all that is shared.
            gc.freeze()
            gc.disable()
            while (place := _taken(tickets)) is not None:
                sending.send((place, make(numbers[place])))
    finally:
        os._exit(0)
