"""A slice of an import in a process that is killed at a chosen moment between two statements."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any
from unittest import mock

from django.db import connection, connections
from django.db.backends.base.base import BaseDatabaseWrapper

from tests.integrations.sync.conftest import Books

_FAILED = 3


@dataclass
class Moments:
    """Counts the moments just before and after each statement and commit; kills at one of them.

    With `commits` alone, statements are not counted.
    """

    deadly: int | None
    commits: bool
    passed: int = 0

    def tick(self) -> None:
        self.passed += 1
        if self.passed == self.deadly:
            os.kill(os.getpid(), signal.SIGKILL)

    def statement(self, execute: Callable[..., Any], *arguments: Any) -> Any:
        if not self.commits:
            self.tick()
        result = execute(*arguments)
        if not self.commits:
            self.tick()
        return result


def slice_in_a_child(books: Books, *, die_at: int | None, commits: bool = False) -> int | None:
    """Run what is due in a forked process; None when it died at that moment.

    When it came to its end before, the number of moments that it had.
    """
    connections.close_all()
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        _live(books, Moments(die_at, commits), writing)
    os.close(writing)
    said = os.read(reading, 100)
    os.close(reading)
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        assert os.WTERMSIG(status) == signal.SIGKILL
        return None
    assert os.WEXITSTATUS(status) == 0, "the slice failed by itself"
    return int(said)


def _live(books: Books, moments: Moments, writing: int) -> None:
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
            books.slice()
        os.write(writing, str(moments.passed).encode())
        status = 0
    finally:
        os._exit(status)


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
