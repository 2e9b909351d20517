"""Parts of a measurement done by two processes."""

from __future__ import annotations

import errno
import os
import signal
import threading
from collections.abc import Callable
from contextlib import closing, suppress
from multiprocessing.connection import Connection
from typing import TypeVar

import psutil
import pytest

from calqsync.jobs.held import ClaimedJob, kept
from calqsync.jobs.models import Priority
from reporting.services import abreast
from reporting.services.abreast import FEW, made_abreast

Made = TypeVar("Made")
NUMBERS = range(100, 100 + 3 * FEW)


@pytest.fixture(autouse=True)
def _two_processors(monkeypatch: pytest.MonkeyPatch) -> None:
    """And no threads but those that a test starts."""
    here, known = set(threading.enumerate()) - {threading.current_thread()}, threading.enumerate
    monkeypatch.setattr(os, "sched_getaffinity", lambda _process: {0, 1})
    monkeypatch.setattr(threading, "enumerate", lambda: [one for one in known() if one not in here])


def _together(make: Callable[[int], Made]) -> Callable[[int], Made]:
    """`make`, which neither process does before the other one has begun its first."""
    first, mine, theirs = os.getpid(), os.pipe(), os.pipe()
    begun: list[bytes] = []

    def made(number: int) -> Made:
        (reading, _), (_, writing) = (mine, theirs) if os.getpid() == first else (theirs, mine)
        if not begun:
            os.write(writing, b"x")
            begun.append(os.read(reading, 1))
        return make(number)

    return made


def _children() -> set[psutil.Process]:
    """Those of this process; other tests have servers among them."""
    return set(psutil.Process().children())


def test_every_number_is_made_once_and_both_processes_make_some() -> None:
    done = list(made_abreast(_together(lambda number: (number, os.getpid())), NUMBERS))
    assert sorted(number for number, _ in done) == list(NUMBERS)
    assert {process == os.getpid() for _, process in done} == {True, False}


def test_few_parts_stay_in_one_process() -> None:
    assert {*made_abreast(lambda _number: os.getpid(), NUMBERS[: FEW - 1])} == {os.getpid()}


def test_nothing_is_forked_beside_another_thread() -> None:
    over = threading.Event()
    other = threading.Thread(target=over.wait)
    other.start()
    try:
        assert {*made_abreast(lambda _number: os.getpid(), NUMBERS)} == {os.getpid()}
    finally:
        over.set()
        other.join()


def test_both_processes_work_for_a_job_whose_lease_is_kept() -> None:
    job = ClaimedJob(
        id=1,
        tenant_id=1,
        kind="tests.any",
        key="",
        queue="report",
        priority=Priority.SCHEDULED,
        payload={},
        epoch=1,
        attempts=0,
    )
    with kept(job):
        done = set(made_abreast(_together(lambda _number: os.getpid()), NUMBERS))
    assert len(done) == 2


def test_what_a_helper_that_stands_still_leaves_undone_is_done(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(abreast, "PATIENCE", 0.1)
    first = os.getpid()

    def made(number: int) -> int:
        if os.getpid() != first:
            os.kill(os.getpid(), signal.SIGSTOP)
        return number

    assert sorted(made_abreast(_together(made), NUMBERS)) == list(NUMBERS)


def test_what_a_killed_helper_leaves_undone_is_done() -> None:
    first = os.getpid()

    def made(number: int) -> int:
        if os.getpid() != first:
            os.kill(os.getpid(), signal.SIGKILL)
        return number

    assert sorted(made_abreast(_together(made), NUMBERS)) == list(NUMBERS)


def test_what_a_helper_killed_amid_a_result_leaves_undone_is_done(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def half(sending: Connection, message: bytes) -> None:
        os.write(sending.fileno(), message[: len(message) // 2])
        os.kill(os.getpid(), signal.SIGKILL)

    monkeypatch.setattr(Connection, "_send", half)
    assert sorted(made_abreast(_together(str), NUMBERS)) == sorted(map(str, NUMBERS))


def test_a_signal_ends_a_helper_and_runs_no_handler_of_the_first_process() -> None:
    first, (reading, writing) = os.getpid(), os.pipe()

    def made(number: int) -> int:
        if os.getpid() != first:
            os.kill(os.getpid(), signal.SIGTERM)
        return number

    former = signal.signal(signal.SIGTERM, lambda *_: os.write(writing, b"x"))
    try:
        assert sorted(made_abreast(_together(made), NUMBERS)) == list(NUMBERS)
    finally:
        signal.signal(signal.SIGTERM, former)
        os.close(writing)
    assert os.read(reading, 1) == b""


def test_a_helper_whose_first_process_is_gone_ends_with_its_next_result() -> None:
    reading, writing = os.pipe()
    first = os.fork()
    if not first:
        first = os.getpid()

        def made(_number: int) -> bytes:
            if os.getpid() == first:
                os.kill(first, signal.SIGKILL)
            os.write(writing, os.getpid().to_bytes(8, "big"))
            # More than a pipe holds.
            return bytes(1 << 20)

        try:
            list(made_abreast(_together(made), NUMBERS))
        finally:
            os._exit(0)
    os.waitpid(first, 0)
    with suppress(psutil.NoSuchProcess):
        helper = psutil.Process(int.from_bytes(os.read(reading, 8), "big"))
        try:
            helper.wait(timeout=60)
        finally:
            helper.kill()


def test_a_machine_without_room_for_a_helper_does_everything_in_one_process(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refused() -> int:
        raise BlockingIOError(errno.EAGAIN, "no place for another process")

    monkeypatch.setattr(os, "fork", refused)
    assert list(made_abreast(lambda number: (number, os.getpid()), NUMBERS)) == [
        (number, os.getpid()) for number in NUMBERS
    ]


def test_an_error_is_raised_whoever_made_it_and_no_process_stays() -> None:
    def made(number: int) -> int:
        if number == NUMBERS[-1]:
            raise ValueError(number)
        return number

    others = _children()
    with pytest.raises(ValueError, match=str(NUMBERS[-1])):
        list(made_abreast(_together(made), NUMBERS))
    assert _children() <= others


def test_who_leaves_early_takes_the_helper_along() -> None:
    others = _children()
    with closing(made_abreast(_together(lambda number: number), NUMBERS)) as done:
        next(done)
        assert _children() - others
    assert _children() <= others
