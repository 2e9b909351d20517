"""The books show one complete state; a run that has not ended, or ends badly, changes nothing."""

from __future__ import annotations

import json
import threading
from datetime import timedelta

import pytest
from django.db import connections, transaction
from django.db.models import F

from billing.services import trial_extend
from calqsync.jobs.models import Job
from calqsync.jobs.services import LostLease
from calqsync.tenancy import scope
from integrations.models import (
    Connection,
    Invoice,
    InvoiceLine,
    Payment,
    Product,
    Rejection,
    RemovalHold,
    StagedPage,
    StreamCursor,
    SyncRun,
)
from integrations.models.runs import OPEN_STATES, RunState
from integrations.sandbox import edits
from integrations.services import runs
from integrations.services.removals import removals_confirm
from integrations.sync import engine, staging
from integrations.sync.work import take
from tests.conftest import until_blocked
from tests.integrations.sync.conftest import contents

pytestmark = pytest.mark.django_db(transaction=True)
WEEK = timedelta(days=8)


def imported(books):
    with scope.tenant(books.connection.tenant_id), transaction.atomic():
        trial_extend(until=books.now() + timedelta(days=90), by=None)
    assert books.sync().state == RunState.COMPLETE
    return books


def staged(books):
    with scope.tenant(books.connection.tenant_id), transaction.atomic():
        return StagedPage.objects.count()


def requested(books, **how):
    with scope.tenant(books.connection.tenant_id), transaction.atomic():
        return runs.sync_request(
            connection=books.connection, by=books.cast.alice, now=books.now(), **how
        )


def changes(koivu, books):
    """Something new in every stream that an update reads."""
    some = [int(i.external_id) for i in books.all(Invoice, issued=True)[:6]]
    edits.edit_invoice(koivu, some[0], row_fields={"unitPrice": "1234.5"})
    edits.create_invoice(koivu, like=some[1], day="2026-11-02")
    edits.invalidate_invoice(koivu, some[2])
    edits.drop_row(koivu, some[3])


def spoil(koivu, number):
    """Make a listed document one that breaks the contract; the good one comes back."""
    good = koivu.invoices.details[number]
    koivu.invoices.details[number] = b'{"id": %d, "type": "SALES_INVOICE"}' % number
    return good


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


def test_q19_a_cancelled_update_leaves_the_last_complete_state(books, koivu, monkeypatch):
    before = contents(imported(books))
    changes(koivu, books)
    begin = engine.Work.begin

    def begins(work, stream):
        if stream == "bank":
            assert staged(books) > 0
            with transaction.atomic():
                assert runs.sync_cancel(connection=books.connection, by=None)
        begin(work, stream)

    monkeypatch.setattr(engine.Work, "begin", begins)
    assert books.sync().state == RunState.CANCELLED
    assert contents(books) == before
    assert staged(books) == 0
    monkeypatch.undo()
    assert books.sync().state == RunState.COMPLETE
    assert contents(books) != before


def test_q19b_a_cancellation_during_the_promotion_counts(books, koivu, monkeypatch):
    before = contents(imported(books))
    changes(koivu, books)
    apply, waited = staging.apply, []

    def cancel():
        with scope.tenant(books.connection.tenant_id), transaction.atomic():
            assert runs.sync_cancel(connection=books.connection, by=None)
        connections.close_all()

    def applies(work, page):
        apply(work, page)
        # A click in another process, which must not wait for the promotion.
        click = threading.Thread(target=cancel)
        click.start()
        click.join(timeout=10)
        waited.append(click.is_alive())

    monkeypatch.setattr(staging, "apply", applies)
    assert books.sync().state == RunState.CANCELLED
    assert waited == [False]
    assert contents(books) == before


def elsewhere(books, do):
    """In another process, which must not wait for what this one is doing."""

    def does():
        try:
            with scope.tenant(books.connection.tenant_id), transaction.atomic():
                do()
        finally:
            connections.close_all()

    thread = threading.Thread(target=does)
    thread.start()
    return thread


def test_q19c_a_cancellation_at_the_very_end_of_the_promotion_waits_for_nothing(
    books, koivu, monkeypatch
):
    before = contents(imported(books))
    changes(koivu, books)
    works, waited = engine.trouble.works, []

    def last(connection, *, first):
        works(connection, first=first)
        click = elsewhere(books, lambda: runs.sync_cancel(connection=connection, by=None))
        click.join(timeout=10)
        waited.append(click.is_alive())

    monkeypatch.setattr(engine.trouble, "works", last)
    assert books.sync().state == RunState.CANCELLED
    assert waited == [False]
    assert contents(books) == before
    assert staged(books) == 0


def test_q19d_a_run_cancelled_while_a_worker_takes_it_up_stays_cancelled(books, koivu, truth):
    before = contents(imported(books))
    changes(koivu, books)
    requested(books)
    with scope.tenant(books.connection.tenant_id):
        with transaction.atomic():
            job = books.claim()
        with transaction.atomic():
            assert runs.sync_cancel(connection=books.connection, by=None)

            def worker():
                try:
                    with scope.tenant(books.connection.tenant_id):
                        engine.sync_slice(job, clock=books.now)
                finally:
                    connections.close_all()

            slice_ = threading.Thread(target=worker)
            slice_.start()
            until_blocked(truth)
    slice_.join(60)
    assert books.run().state == RunState.CANCELLED
    assert contents(books) == before


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
        apply(work, page)
        elsewhere(books, goes_on).join(30)

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
        apply(work, page)

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


def test_a_person_who_answers_for_what_vanished_locks_in_the_workers_order(books, truth):
    imported(books)
    with scope.tenant(books.connection.tenant_id), transaction.atomic():
        hold = RemovalHold.objects.create(
            tenant_id=books.connection.tenant_id,
            connection=books.connection,
            stream="invoices",
            found_at=books.now(),
            missing=30,
            stored=60,
        )
        assert hold.pk
    with scope.tenant(books.connection.tenant_id), transaction.atomic():
        take(books.connection)
        word = elsewhere(
            books, lambda: removals_confirm(hold=hold, by=books.cast.alice, now=books.now())
        )
        until_blocked(truth)
        assert RemovalHold.objects.select_for_update(nowait=True).get(pk=hold.pk)
    word.join(30)
    assert books.one(RemovalHold, pk=hold.pk).confirmed_at is not None


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


def test_s13_a_product_that_vanished_is_marked_with_its_day_and_comes_back(books, koivu):
    imported(books)
    gone = books.all(Product)[0]
    number = int(gone.external_id)
    shelf = koivu.products
    head, item, detail = shelf.heads[number], shelf.items[number], shelf.details[number]
    shelf.drop(number)
    books.sync()
    marked = books.one(Product, pk=gone.pk)
    assert marked.removed_at is not None
    assert books.streams()["products"].removed == 1
    assert books.all(InvoiceLine, product=gone) != []
    shelf.put(head, item, detail)
    books.sync()
    assert books.one(Product, pk=gone.pk).removed_at is None


def test_a_full_run_in_many_slices_finds_what_vanished(books, koivu, settings):
    imported(books)
    gone = books.all(Invoice)[7]
    edits.delete_invoice(koivu, int(gone.external_id))
    settings.JOB_SLICE_SECONDS = 0
    books.late = WEEK
    for _ in range(200):
        books.slice()
        if books.run().mode == "full" and books.run().state not in OPEN_STATES:
            break
    run = books.run()
    assert (run.mode, run.state) == ("full", RunState.COMPLETE)
    assert run.slices > 5
    assert [i.pk for i in books.all(Invoice) if i.removed_at] == [gone.pk]


def test_s12_many_missing_documents_are_held_until_a_person_and_a_second_run_say_so(books, koivu):
    imported(books)
    everything = books.all(Invoice)
    for invoice in everything[5:]:
        edits.delete_invoice(koivu, int(invoice.external_id))

    def removed():
        return [i for i in books.all(Invoice) if i.removed_at]

    requested(books, full=True)
    books.slice()
    hold = books.one(RemovalHold)
    assert (hold.stream, hold.missing, hold.stored) == (
        "invoices",
        len(everything) - 5,
        len(everything),
    )
    requested(books, full=True)
    books.slice()
    assert removed() == [], "a second run alone removes nothing"
    with scope.tenant(books.connection.tenant_id), transaction.atomic():
        RemovalHold.objects.update(confirmed_at=books.now())
    requested(books, full=True)
    books.slice()
    assert len(removed()) == len(everything) - 5
    assert books.one(RemovalHold).ended_at is not None


def test_s12b_what_is_seen_again_ends_the_question(books, koivu):
    imported(books)
    shelf = koivu.invoices
    kept = {}
    for invoice in books.all(Invoice)[5:]:
        number = int(invoice.external_id)
        kept[number] = (shelf.heads[number], shelf.items[number], shelf.details[number])
        shelf.drop(number)
    requested(books, full=True)
    books.slice()
    assert books.one(RemovalHold).ended_at is None
    for parts in kept.values():
        shelf.put(*parts)
    requested(books, full=True)
    books.slice()
    assert books.one(RemovalHold).ended_at is not None
    assert [i for i in books.all(Invoice) if i.removed_at] == []


def test_s12c_more_than_was_confirmed_asks_anew(books, koivu):
    imported(books)
    numbers = [int(invoice.external_id) for invoice in books.all(Invoice)]
    for number in numbers[: len(numbers) // 2]:
        edits.delete_invoice(koivu, number)
    requested(books, full=True)
    books.slice()
    with scope.tenant(books.connection.tenant_id), transaction.atomic():
        RemovalHold.objects.update(confirmed_at=books.now())
    for number in numbers[len(numbers) // 2 : -2]:
        edits.delete_invoice(koivu, number)
    requested(books, full=True)
    books.slice()
    hold = books.one(RemovalHold)
    assert (hold.confirmed_at, hold.ended_at, hold.missing) == (None, None, len(numbers) - 2)
    assert [i for i in books.all(Invoice) if i.removed_at] == []


def test_s32_a_connection_removed_in_mid_run_gets_nothing_more(books, koivu, monkeypatch):
    before = contents(imported(books))
    changes(koivu, books)
    begin = engine.Work.begin

    def begins(work, stream):
        if stream == "payments":
            with transaction.atomic():
                runs.sync_cancel(connection=books.connection, by=None)
                Connection.objects.filter(pk=books.connection.pk).update(
                    disconnected_at=books.now()
                )
        begin(work, stream)

    monkeypatch.setattr(engine.Work, "begin", begins)
    books.sync()
    assert contents(books) == before
    monkeypatch.undo()
    assert books.slice().again_in is None
    assert contents(books) == before


def test_s33_a_first_import_broken_off_again_and_again_goes_on_where_it_was(books, settings):
    settings.JOB_SLICE_SECONDS = 0
    requested(books)
    back_to, interruptions = [], 0
    while books.run().state in OPEN_STATES:
        with scope.tenant(books.connection.tenant_id):
            with transaction.atomic():
                job = books.claim()
            engine.sync_slice(job, clock=books.now)
            # The worker dies before it can say how it ended: its lease runs out.
            with transaction.atomic():
                Job.objects.filter(pk=job.id).update(
                    lease_until=books.now() - timedelta(seconds=1), deliveries=0
                )
        interruptions += 1
        books.run()
        back_to.append(books.connection.complete_back_to)
        assert interruptions < 200
    assert interruptions >= 10
    assert books.run().state == RunState.COMPLETE
    days = [day for day in back_to if day is not None]
    assert days == sorted(days, reverse=True)
    whole = contents(books)
    with scope.tenant(books.connection.tenant_id), transaction.atomic():
        assert SyncRun.objects.count() == 1
    assert len(whole["Invoice"]) == books.streams()["invoices"].fetched


def test_s5_an_edit_of_every_document_broken_off_in_the_middle_updates_each_once(
    books, koivu, settings
):
    imported(books)
    numbers = [int(invoice.external_id) for invoice in books.all(Invoice)]
    edits.edit_invoices(koivu, numbers, fields={"additionalInformation": "edited in bulk"})
    settings.JOB_SLICE_SECONDS = 0
    requested(books)
    while books.run().state in OPEN_STATES:
        with scope.tenant(books.connection.tenant_id):
            with transaction.atomic():
                job = books.claim()
            engine.sync_slice(job, clock=books.now)
            with transaction.atomic():
                Job.objects.filter(pk=job.id).update(
                    lease_until=books.now() - timedelta(seconds=1), deliveries=0
                )
        states = [stream.position for stream in books.streams().values()]
        assert len(json.dumps(states)) < 10_000
    assert books.run().slices > 3
    assert books.streams()["invoices"].changed == len(numbers)
    versions = {invoice.version for invoice in books.all(Invoice)}
    assert len(versions) == 1


def test_a_person_who_pauses_in_mid_page_and_the_worker_never_wait_for_each_other(
    books, monkeypatch
):
    outcome = []

    def pause():
        try:
            with scope.tenant(books.connection.tenant_id):
                runs.connection_pause(
                    connection=books.connection, by=books.cast.alice, now=books.now()
                )
            outcome.append("paused")
        finally:
            connections.close_all()

    click = threading.Thread(target=pause)
    complete = engine.Work.complete_back_to

    def completes(work, day, page):
        if not outcome and click.ident is None:
            click.start()
            wait_for_a_lock()
        complete(work, day, page)

    monkeypatch.setattr(engine.Work, "complete_back_to", completes)
    run = books.sync()
    click.join(timeout=30)
    assert outcome == ["paused"]
    assert run.state == RunState.CANCELLED


def wait_for_a_lock():
    """Until some session of this database waits for a row of another one."""
    for _ in range(500):
        with connections["default"].cursor() as cursor:
            cursor.execute("SELECT count(*) FROM pg_locks WHERE NOT granted")
            if cursor.fetchone()[0]:
                return
            cursor.execute("SELECT pg_sleep(0.01)")
    raise AssertionError("nobody waits")


def test_the_first_months_are_announced_while_older_ones_still_load(books, told):
    books.sync()
    assert len(told) == 2, "at once, and at the end"
