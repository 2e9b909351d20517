"""The books show one complete state; a run that has not ended, or ends badly, changes nothing."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db import connections
from django.db.models import F

from calqsync.jobs.models import Job
from calqsync.jobs.services import LostLease
from integrations.models import Invoice, Payment, Rejection, StreamCursor, SyncRun
from integrations.models.runs import OPEN_STATES, RunState
from integrations.sandbox import edits
from integrations.sync import engine, staging
from tests.integrations.sync.conftest import (
    changes,
    contents,
    elsewhere,
    imported,
    requested,
    spoil,
    staged,
)

pytestmark = pytest.mark.django_db(transaction=True)


def test_an_update_says_whose_documents_it_changed(books, koivu, told):
    imported(books)
    assert told[-1].get("customer_ids") is None
    edited = books.all(Invoice, issued=True)[0]
    edits.edit_invoice(koivu, int(edited.external_id), row_fields={"unitPrice": "1234.5"})
    assert books.sync().state == RunState.COMPLETE
    assert told[-1]["customer_ids"] == {edited.customer_id}
    assert told[-1]["bank"] is False


def test_an_update_that_is_not_whole_changes_nothing(books, koivu, settings):
    before = contents(imported(books))
    as_of = books.connection.data_as_of
    changes(koivu, books)
    settings.JOB_SLICE_SECONDS = 0
    requested(books)
    for _ in range(40):
        books.slice()
        if books.run().state not in OPEN_STATES:
            break
        assert contents(books) == before
        assert books.connection.data_as_of == as_of
    assert books.run().state == RunState.COMPLETE
    assert contents(books) != before
    assert books.connection.data_as_of == books.run().window_to
    assert staged(books) == 0


def test_s10_a_last_page_that_fails_changes_nothing_and_moves_no_cursor(books, koivu, sandbox):
    before = contents(imported(books))

    def cursors():
        return {c.stream: c.changed_to for c in books.all(StreamCursor)}

    stood, as_of = cursors(), books.connection.data_as_of
    changes(koivu, books)
    sandbox.fault("status", path="bankstatements", times=None, status=500)
    assert books.sync().state == RunState.WAITING
    assert staged(books) > 0
    assert contents(books) == before
    assert cursors() == stood
    assert books.connection.data_as_of == as_of
    sandbox.clear_faults()
    assert books.sync().state == RunState.COMPLETE
    assert contents(books) != before


def test_a_worker_that_lost_its_lease_in_the_promotion_cancels_nobodys_run(
    books, koivu, monkeypatch
):
    imported(books)
    changes(koivu, books)
    apply = staging.apply

    def goes_on():
        Job.objects.filter(kind=engine.KIND).update(epoch=F("epoch") + 1)
        SyncRun.objects.filter(state=RunState.RUNNING).update(state=RunState.WAITING)

    def applies(work, page):
        touched = apply(work, page)
        elsewhere(books, goes_on).join(30)
        return touched

    monkeypatch.setattr(staging, "apply", applies)
    with pytest.raises(LostLease):
        books.sync()
    assert books.run().state == RunState.WAITING
    assert staged(books) > 0


def test_a_process_frozen_in_the_promotion_holds_nothing_for_ever(
    books, koivu, monkeypatch, settings
):
    settings.JOB_LEASE_SECONDS = 90
    imported(books)
    changes(koivu, books)
    apply, found = staging.apply, []

    def applies(work, page):
        with connections["default"].cursor() as cursor:
            cursor.execute("SHOW idle_in_transaction_session_timeout")
            found.append(cursor.fetchone()[0])
        return apply(work, page)

    monkeypatch.setattr(staging, "apply", applies)
    assert books.sync().state == RunState.COMPLETE
    assert found == ["3min"]


def test_what_a_full_run_sets_aside_stays_when_clocks_differ(books, koivu, monkeypatch):
    imported(books)
    number = int(books.all(Invoice, issued=True)[0].external_id)
    edits.edit_invoice(koivu, number, fields={"notes": "unreadable"})
    spoil(koivu, number)
    begin = engine.Work.begin

    def begins(work, stream):
        # Another worker goes on, whose clock is an hour behind.
        books.late -= timedelta(hours=1) if stream == "bank" else timedelta(0)
        begin(work, stream)

    monkeypatch.setattr(engine.Work, "begin", begins)
    requested(books, full=True)
    books.slice()
    assert (books.run().mode, books.run().state) == ("full", RunState.COMPLETE_WITH_REJECTS)
    assert [r.external_id for r in books.all(Rejection)] == [str(number)]


def test_s35_the_counts_of_an_update_are_what_happened_to_the_documents(books, koivu):
    imported(books)
    some = [int(i.external_id) for i in books.all(Invoice, issued=True)[:5]]
    edits.edit_invoices(koivu, some[:3], fields={"notes": "changed"})
    edits.create_invoice(koivu, like=some[0], day="2026-11-02")
    edits.edit_invoice(koivu, some[3], fields={"notes": "unreadable"})
    spoil(koivu, some[3])
    assert books.sync().state == RunState.COMPLETE_WITH_REJECTS
    counts = books.streams()["invoices"]
    assert (counts.added, counts.changed, counts.rejected) == (1, 3, 1)
    assert counts.fetched == counts.added + counts.changed + counts.unchanged + counts.rejected
    for stream in books.streams().values():
        assert stream.fetched == (
            stream.added + stream.changed + stream.unchanged + stream.rejected
        ), stream.stream


def test_s31_a_payment_before_its_invoice_is_joined_when_that_arrives(books, koivu, sandbox):
    imported(books)
    like = int(books.all(Invoice, issued=True)[0].external_id)
    new = edits.create_invoice(koivu, like=like, day="2026-11-03")
    edits.add_payment(koivu, new["id"], day="2026-11-04")
    good = spoil(koivu, new["id"])
    assert books.sync().state == RunState.COMPLETE_WITH_REJECTS
    assert books.all(Invoice, external_id=str(new["id"])) == []
    [early] = books.all(Payment, invoice_external_id=str(new["id"]))
    assert early.invoice_id is None
    koivu.invoices.details[new["id"]] = good
    assert books.sync().state == RunState.COMPLETE
    assert (
        books.one(Payment, pk=early.pk).invoice_id
        == books.one(Invoice, external_id=str(new["id"])).pk
    )
