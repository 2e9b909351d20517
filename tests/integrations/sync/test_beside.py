"""A large first import is read in a process of its own: the same books, and nothing left behind."""

from __future__ import annotations

import math
import os
from datetime import date
from threading import Event
from typing import Any

import psutil
import pytest
from django.db import transaction

from calqsync.tenancy import scope
from calqsync.tenancy.secrets import sealer
from integrations.models import ErasedContact, Invoice, Rejection
from integrations.models.runs import RunState
from integrations.procountor.errors import RightMissing, TryLater
from integrations.procountor.limits import Usage
from integrations.sync import bank, beside, evidence, invoices
from integrations.sync.erased import identity_mark, neutral_name
from integrations.sync.reading import Ahead
from integrations.sync.windows import Window
from integrations.sync.work import SliceOver
from tests.integrations.sync.conftest import spoil
from tests.integrations.sync.edges import imported, wrong
from tests.model.bookkeeping import pihla

pytestmark = pytest.mark.django_db(transaction=True)
SECONDS = 60


@pytest.fixture
def koivu():
    """A company of a few hundred invoices, in place of the larger one."""
    return pihla()


@pytest.fixture(autouse=True)
def begun(monkeypatch):
    """The processes that were begun, however small the company is."""
    pids: list[int] = []

    class Seen(beside.Beside):
        def __init__(self, *args: Any, **named: Any) -> None:
            super().__init__(*args, **named)
            pids.append(self._pid)

    monkeypatch.setattr(invoices, "WORTH", 1)
    monkeypatch.setattr(invoices, "Beside", Seen)
    return pids


def read_beside(books: Any, *, deadline: float = math.inf) -> beside.Beside:
    with scope.tenant(books.connection.tenant_id), transaction.atomic():
        seal = sealer()
    with scope.tenant(books.connection.tenant_id):
        window = Window.newest(date(2026, 11, 1))
        return beside.Beside(books.connection, window, seal=seal, usage=Usage(), deadline=deadline)


def broken(monkeypatch: Any, breaks: Any) -> None:
    """Let the other process read one batch, and then `breaks`."""
    whole = beside.read_ahead

    def reads(*args: Any) -> Any:
        for fetched in whole(*args):
            yield fetched
            breaks()

    monkeypatch.setattr(beside, "read_ahead", reads)


def test_the_books_are_those_of_procountor_to_the_last_row(books, truth, begun):
    imported(books)
    assert wrong(books, truth) == []
    assert len(begun) == 1


def test_every_request_is_counted_and_the_process_is_gone(books, sandbox, begun):
    imported(books)
    assert books.run().requests == sandbox.counts["requests"]
    assert not psutil.pid_exists(begun[0])


def test_a_document_that_nobody_understands_is_set_aside_with_its_words(books, koivu):
    number = next(iter(koivu.invoices.details))
    spoil(koivu, number)
    books.sync()
    aside = books.one(Rejection)
    with scope.tenant(books.connection.tenant_id), transaction.atomic():
        assert evidence.opened(aside, sealer()) == koivu.invoices.details[number]


def test_an_erased_contact_stays_nameless(books, koivu):
    partner = next(iter(koivu.documents()))["document"]["partnerId"]
    with scope.tenant(books.connection.tenant_id), transaction.atomic():
        mark = identity_mark(sealer(), books.connection.pk, f"p:{partner}")
        ErasedContact.objects.create(mark=mark, tag="ABC123", erased_at=books.now())
    imported(books)
    theirs = books.all(Invoice, customer_identity=f"p:{partner}")
    assert {one.customer_name for one in theirs} == {neutral_name("ABC123")}


def test_a_refusal_ends_the_run_as_it_ever_does_with_what_was_read_before(
    books, monkeypatch, begun
):
    def refuse() -> None:
        raise RightMissing("not for this user", status=403, path="/api/invoices")

    broken(monkeypatch, refuse)
    run = books.sync()
    assert (run.state, run.error_kind) == (RunState.NEEDS_YOU, "right_missing")
    assert "not for this user" in run.error
    assert books.all(Invoice)
    assert not psutil.pid_exists(begun[0])


def test_an_import_goes_on_when_its_reading_process_dies(books, truth, monkeypatch, begun):
    broken(monkeypatch, lambda: os._exit(9))
    imported(books)
    assert wrong(books, truth) == []
    assert len(begun) == 1


def test_an_import_needs_no_process_that_the_system_does_not_give(books, truth, monkeypatch, begun):
    def refused() -> int:
        raise BlockingIOError("Resource temporarily unavailable")

    open_before = psutil.Process().num_fds()
    monkeypatch.setattr(os, "fork", refused)
    imported(books)
    assert wrong(books, truth) == []
    assert begun == []
    assert psutil.Process().num_fds() <= open_before


def test_a_silent_process_holds_the_worker_no_longer_than_its_slice(books, monkeypatch, begun):
    monkeypatch.setattr(beside, "GRACE", 0.0)
    broken(monkeypatch, Event().wait)
    reading = read_beside(books, deadline=0.0)
    with pytest.raises(SliceOver):
        for _ in reading:
            pass
    reading.close()
    assert not psutil.pid_exists(reading._pid)


def test_statements_that_could_not_be_read_ahead_are_read_in_their_turn(books, truth, monkeypatch):
    begun: list[Ahead[bank.Span]] = []

    def ahead(items: Any, **named: Any) -> Ahead[bank.Span]:
        def reads() -> Any:
            yield next(items)
            raise TryLater("gone for a moment")

        begun.append(Ahead(reads(), **named))
        return begun[-1]

    monkeypatch.setattr(bank, "Ahead", ahead)
    imported(books)
    assert begun
    assert wrong(books, truth) == []


def test_no_more_statements_are_read_ahead_than_memory_is_for(books, truth, monkeypatch):
    monkeypatch.setattr(bank, "_AHEAD_BYTES", 1)
    written: list[int] = []
    write = bank._write

    def watched(work: Any, spans: Any) -> None:
        written.append(sum(bool(span.pages) for span in spans))
        write(work, spans)

    monkeypatch.setattr(bank, "_write", watched)
    imported(books)
    assert wrong(books, truth) == []
    assert max(written) == 1


def test_a_process_that_nobody_reads_from_ends(books):
    reading = read_beside(books)
    reading.close()
    assert not psutil.pid_exists(reading._pid)


def test_a_process_whose_writer_was_killed_ends(books):
    told, tell = os.pipe()
    if (writer := os.fork()) == 0:
        try:
            os.write(tell, str(read_beside(books)._pid).encode())
        finally:
            os._exit(0)
    os.waitpid(writer, 0)
    pid = int(os.read(told, 20))
    os.close(told)
    os.close(tell)
    try:
        # Whoever takes over the orphan may not have looked yet.
        process = psutil.Process(pid)
        if process.status() != psutil.STATUS_ZOMBIE:
            process.wait(SECONDS)
    except psutil.TimeoutExpired:
        assert process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        pass
