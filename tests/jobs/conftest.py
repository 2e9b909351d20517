"""Real workers, started once for every test of this folder that asks for them."""

from __future__ import annotations

import signal
from collections.abc import Iterator

import pytest

from calqsync.local.stack import WORKERS
from tests.jobs.running import WorkStack


@pytest.fixture(scope="package")
def running() -> Iterator[WorkStack]:
    with WorkStack() as stack:
        try:
            stack.start()
            yield stack
        finally:
            stack.stop()
            stack.drop_database()


@pytest.fixture
def work(running: WorkStack) -> Iterator[WorkStack]:
    """The processes, all of them up again after each test, and nothing left to do."""
    usual = {"valkey", "beat", *WORKERS}
    yield running
    ended = {name for name, child in running.children.items() if child.process.poll() is not None}
    for name in ended | set(running.children) - usual:
        running.stop_child(name, sign=signal.SIGKILL)
    if "valkey" not in running.children:
        running.start_valkey()
    running.rows(
        "UPDATE jobs_job SET state = 'cancelled', finished_at = now(), epoch = epoch + 1,"
        " lease_until = NULL WHERE state IN ('queued', 'leased')"
    )
    running.start_worker()
    if "beat" not in running.children:
        running.start_beat()
    running.check()
