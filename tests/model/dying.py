"""A slice of an import in a process that is killed at a chosen moment between two statements."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any
from unittest import mock

import psutil
from django.db import connection, connections
from django.db.backends.base.base import BaseDatabaseWrapper

from integrations.sync import beside, invoices, reading
from tests.integrations.sync.conftest import Books

_FAILED = 3


@dataclass
class Moments:
    """Counts the moments just before and after each statement and commit; kills at one of them.

    With `commits` alone, statements are not counted. `helper` is the process that reads for this
    one, whose moments are not counted; that it does so still is said with the last breath.
    """

    deadly: int | None
    commits: bool
    says: int
    passed: int = 0
    helper: int = 0
    pid: int = field(default_factory=os.getpid)

    def tick(self) -> None:
        if os.getpid() != self.pid:
            return
        self.passed += 1
        if self.passed == self.deadly:
            if self.helper and not ended(self.helper):
                os.write(self.says, str(self.helper).encode())
            os.kill(self.pid, signal.SIGKILL)

    def statement(self, execute: Callable[..., Any], *arguments: Any) -> Any:
        if not self.commits:
            self.tick()
        result = execute(*arguments)
        if not self.commits:
            self.tick()
        return result


def slice_in_a_child(
    books: Books, *, die_at: int | None, commits: bool = False, orphans: list[int] | None = None
) -> int | None:
    """Run what is due in a forked process; None when it died at that moment.

    When it came to its end before, the number of moments that it had. With `orphans`, the invoices
    of a first import are read by a helper of that process, however few they are; one that still
    read when its writer died is added to them once it has ended.
    """
    connections.close_all()
    hearing, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(hearing)
        _live(books, Moments(die_at, commits, writing), helped=orphans is not None)
    os.close(writing)
    said = os.read(hearing, 100)
    os.close(hearing)
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        assert os.WTERMSIG(status) == signal.SIGKILL
        if said and orphans is not None:
            _await_end(int(said))
            orphans.append(int(said))
        return None
    assert os.WEXITSTATUS(status) == 0, "the slice failed by itself"
    return int(said)


def ended(pid: int) -> bool:
    """Whether nothing of the process runs any more."""
    try:
        return bool(psutil.Process(pid).status() == psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return True


def _await_end(pid: int) -> None:
    late = time.monotonic() + 60
    while not ended(pid):
        assert time.monotonic() < late, "the helper has outlived its writer"
        time.sleep(0.02)


def _live(books: Books, moments: Moments, *, helped: bool) -> None:
    """The child's whole life: it never returns, so that it runs none of the parent's endings."""
    status = _FAILED
    try:
        commit = BaseDatabaseWrapper._commit

        def counted(self: Any) -> None:
            moments.tick()
            commit(self)
            moments.tick()

        with ExitStack() as stack:
            stack.enter_context(mock.patch.object(BaseDatabaseWrapper, "_commit", counted))
            stack.enter_context(connection.execute_wrapper(moments.statement))
            if helped:
                _read_beside(stack, moments)
            books.slice()
        os.write(moments.says, str(moments.passed).encode())
        status = 0
    finally:
        os._exit(status)


def _read_beside(stack: ExitStack, moments: Moments) -> None:
    """Let a helper read, which is never far ahead: in small batches, through a narrow pipe."""

    class Helper(beside.Beside):
        def __init__(self, *args: Any, **named: Any) -> None:
            super().__init__(*args, **named)
            moments.helper = self._pid

    for room, name, value in (
        (invoices, "WORTH", 1),
        (invoices, "Beside", Helper),
        (reading, "BATCH", 5),
        (beside, "_PIPE_BYTES", 4096),
    ):
        stack.enter_context(mock.patch.object(room, name, value))


def take_over(books: Books, cursor: Any) -> str:
    """What another worker does when the lease of the dead one has run out, to the run's end."""
    for _ in range(10):
        expire_lease(books, cursor)
        if (state := str(books.run().state)) not in ("queued", "running"):
            return state
        books.slice()
    raise AssertionError("the run does not end")


def expire_lease(books: Books, cursor: Any) -> None:
    """As if the time had passed that a dead worker's lease lasts."""
    cursor.execute(
        "UPDATE jobs_job SET lease_until = now() - interval '1 second'"
        " WHERE state = 'leased' AND kind = 'integrations.sync' AND key = %s",
        [str(books.connection.pk)],
    )
