"""A run goes on where it stopped, waits where it must, and ends with a reason."""

from datetime import timedelta

import pytest
from django.db import transaction

from billing.gate import PlanNeeded
from billing.services import plan_choose, trial_extend
from calqsync.jobs.models import Job, JobState
from calqsync.jobs.services import LostLease
from calqsync.tenancy import scope
from calqsync.tenancy.secrets import sealer
from integrations.models import (
    BankEvent,
    BankStatement,
    Connection,
    Credential,
    Customer,
    Invoice,
    InvoiceLine,
    Payment,
    Product,
    RawDocument,
    SyncRun,
)
from integrations.models.runs import RunState
from integrations.sandbox import edits
from integrations.services import runs
from integrations.sync import engine, reading, staging
from tests.integrations.sync.conftest import contents

pytestmark = pytest.mark.django_db(transaction=True)


def test_slices_of_no_time_end_with_the_same_books(books, settings, koivu, sandbox, committed_cast):
    settings.JOB_SLICE_SECONDS = 0
    with scope.tenant(books.connection.tenant_id), transaction.atomic():
        books.request()
    slices = 0
    while books.run().state in (RunState.QUEUED, RunState.RUNNING):
        books.slice()
        slices += 1
        assert slices < 100
    assert slices > 3
    in_slices = contents(books)
    settings.JOB_SLICE_SECONDS = 100
    _forget(books)
    books.sync()
    assert contents(books) == in_slices


def _forget(books):
    """Delete all that was imported, as if the connection were new."""
    with scope.tenant(books.connection.tenant_id), transaction.atomic():
        for model in (Payment, InvoiceLine, Invoice, Customer, Product, BankEvent, BankStatement):
            model.objects.all().delete()
        RawDocument.objects.all().delete()
        SyncRun.objects.all().delete()
        Connection.objects.update(first_import_at=None, complete_back_to=None)
        books.connection.refresh_from_db()


def test_a_page_that_fails_leaves_nothing_of_itself(books, monkeypatch):
    calls = []
    load = staging.load_invoices

    def dies(work, page, documents, fetched=None):
        load(work, page, documents, fetched)
        calls.append(len(documents))
        if len(calls) == 2:
            raise RuntimeError("out of memory")

    monkeypatch.setattr(staging, "load_invoices", dies)
    # Batches that arrive in time are otherwise written together.
    monkeypatch.setattr(reading, "TOGETHER", 1)
    run = books.sync()
    assert run.state == RunState.OUR_FAULT
    assert len(books.all(Invoice)) == calls[0] == books.streams()["invoices"].fetched


def test_a_first_import_that_broke_off_goes_on_where_it_was(books, monkeypatch, sandbox):
    load = staging.load_invoices

    def dies(work, page, documents, fetched=None):
        load(work, page, documents, fetched)
        if work.run.slices == 1 and len(page.tallies) and books.all(Invoice):
            raise RuntimeError("out of memory")

    monkeypatch.setattr(staging, "load_invoices", dies)
    books.sync()
    stored = len(books.all(Invoice))
    monkeypatch.setattr(staging, "load_invoices", load)
    run = books.sync()
    assert run.state == RunState.COMPLETE
    assert books.streams()["invoices"].fetched == len(books.all(Invoice)) > stored


def test_a_worker_that_lost_its_lease_writes_nothing_more(books):
    with scope.tenant(books.connection.tenant_id):
        with transaction.atomic():
            books.request()
            job = books.claim()
        with transaction.atomic():
            Job.objects.filter(pk=job.id).update(epoch=job.epoch + 1)
        with pytest.raises(LostLease):
            engine.sync_slice(job)
    assert books.all(Customer) == []


def test_the_wrong_company_stops_the_run_before_anything_is_written(books, sandbox, koivu):
    with scope.tenant(books.connection.tenant_id), transaction.atomic():
        Connection.objects.update(company_id="424242")
    books.connection.company_id = "424242"
    run = books.sync()
    assert (run.state, run.error_kind) == (RunState.NEEDS_YOU, "wrong_company")
    assert books.connection.trouble == "needs_you"
    assert books.all(Customer) == []


def test_a_revoked_key_asks_the_owner_and_a_new_one_mends_it(books, sandbox, koivu):
    sandbox.revoke(koivu)
    run = books.sync()
    assert (run.state, run.error_kind) == (RunState.NEEDS_YOU, "key_revoked")
    assert run.finished_at is not None
    with scope.tenant(books.connection.tenant_id), transaction.atomic():
        secret = sealer().seal_text(
            sandbox.api_key(koivu), connection_id=books.connection.pk, field="secret"
        )
        Credential.objects.update(secret=secret, access_token=None, access_expires_at=None)
    assert books.sync().state == RunState.COMPLETE
    assert books.connection.trouble == ""


def test_a_server_that_is_down_makes_the_run_wait_and_go_on(books, sandbox):
    sandbox.fault("status", status=503, times=None, path="bankstatements")
    with scope.tenant(books.connection.tenant_id), transaction.atomic():
        books.request()
    outcome = books.slice()
    run = books.run()
    assert run.state == RunState.WAITING
    assert run.finished_at is None
    assert books.connection.trouble == "waiting"
    assert books.connection.retry_at > books.now()
    assert timedelta(seconds=20) < outcome.again_in < timedelta(minutes=2)
    sandbox.clear_faults()
    books.slice()
    assert books.run().pk == run.pk
    assert books.run().state == RunState.COMPLETE
    assert books.connection.trouble == ""


def test_waits_grow_with_the_time_that_the_trouble_lasts(books, sandbox):
    sandbox.fault("status", status=503, times=None, path="sessioninfo")
    with scope.tenant(books.connection.tenant_id), transaction.atomic():
        books.request()
    books.slice()
    books.late = timedelta(minutes=10)
    assert books.slice().again_in > timedelta(minutes=8)
    books.late = timedelta(days=3)
    assert books.slice().again_in < timedelta(hours=1, minutes=10)


def test_waits_grow_as_long_as_nothing_is_read(books, sandbox):
    sandbox.fault("status", status=503, times=None, path=r"invoices/\d")
    with scope.tenant(books.connection.tenant_id), transaction.atomic():
        books.request()
    books.slice()
    books.late = timedelta(minutes=10)
    assert books.slice().again_in > timedelta(minutes=8)


def test_an_update_in_slices_of_no_time_reads_every_change(books, koivu, settings):
    books.sync()
    changed = books.all(Invoice)
    for invoice in changed:
        edits.edit_invoice(koivu, int(invoice.external_id), fields={"notes": "checked"})
    settings.JOB_SLICE_SECONDS = 0
    books.sync()
    slices = 1
    while books.run().state == RunState.RUNNING:
        books.slice()
        slices += 1
        assert slices < 20
    assert books.run().mode == "incremental"
    assert slices > 2
    assert books.streams()["invoices"].changed == len(changed)


def test_a_missing_right_to_statements_does_not_stop_the_invoices(books, sandbox):
    sandbox.fault("status", status=403, times=None, path="bankstatements")
    run = books.sync()
    assert (run.state, run.error_kind) == (RunState.NEEDS_YOU, "right_missing")
    assert books.all(Invoice)
    assert books.connection.data_as_of == run.window_to


def test_a_right_that_stays_away_does_not_make_every_run_a_full_one(books, sandbox):
    sandbox.fault("status", status=403, times=None, path="bankstatements")
    books.sync()
    assert books.sync().mode == "incremental"


def test_without_a_plan_nothing_is_read_and_a_plan_starts_it_again(books, sandbox, committed_cast):
    with scope.tenant(books.connection.tenant_id), transaction.atomic():
        books.request()
        trial_extend(until=books.now() - timedelta(days=1), by=None)
    books.slice()
    assert books.run().state == RunState.PAUSED_NO_PLAN
    assert sandbox.requests == []
    with scope.tenant(books.connection.tenant_id), transaction.atomic():
        with pytest.raises(PlanNeeded):
            books.request()
        plan_choose(plan="growth", by=committed_cast.alice, now=books.now())
        job = Job.objects.get(kind=engine.KIND)
        assert job.run_after <= books.now()
    books.slice()
    assert books.run().state == RunState.COMPLETE


def test_a_trial_that_ends_in_mid_run_lets_the_run_finish(books, settings):
    settings.JOB_SLICE_SECONDS = 0
    with scope.tenant(books.connection.tenant_id), transaction.atomic():
        books.request()
    books.slice()
    assert books.run().state == RunState.RUNNING
    with scope.tenant(books.connection.tenant_id), transaction.atomic():
        trial_extend(until=books.now() - timedelta(days=1), by=None)
    settings.JOB_SLICE_SECONDS = 100
    books.slice()
    assert books.run().state == RunState.COMPLETE


def test_two_requests_join_one_run(books):
    with scope.tenant(books.connection.tenant_id), transaction.atomic():
        first, second = books.request(), books.request()
        assert first.pk == second.pk
        assert Job.objects.filter(kind=engine.KIND).count() == 1


def test_a_cancelled_run_stops_and_the_schedule_lives_on(books):
    with scope.tenant(books.connection.tenant_id):
        with transaction.atomic():
            books.request()
        with transaction.atomic():
            assert runs.sync_cancel(connection=books.connection, by=books.cast.alice)
        with transaction.atomic():
            job = Job.objects.get(kind=engine.KIND)
    assert books.run().state == RunState.CANCELLED
    assert job.state == JobState.QUEUED
    assert job.run_after > books.now() + timedelta(hours=1)
    assert books.slice().again_in > timedelta(hours=1)
    assert books.all(Customer) == []


def test_a_run_cancelled_by_a_person_stops_at_the_next_page(books, monkeypatch):
    begin = engine.Work.begin

    def begins(work, stream):
        if stream == "products":
            with transaction.atomic():
                runs.sync_cancel(connection=books.connection, by=None)
        begin(work, stream)

    monkeypatch.setattr(engine.Work, "begin", begins)
    assert books.sync().state == RunState.CANCELLED
    assert books.all(Customer) != []
    assert books.all(Product) == []


def test_the_next_run_is_scheduled_and_starts_by_itself(books):
    books.sync()
    with scope.tenant(books.connection.tenant_id), transaction.atomic():
        due = Job.objects.get(kind=engine.KIND).run_after
    assert timedelta(hours=1) < due - books.now() < timedelta(hours=9)
    books.late = timedelta(hours=10)
    books.slice()
    run = books.run()
    assert (run.trigger, run.mode, run.state) == ("schedule", "incremental", RunState.COMPLETE)


def test_after_a_week_everything_is_read_again(books):
    books.sync()
    books.late = timedelta(days=8)
    books.slice()
    run = books.run()
    assert (run.mode, run.state) == ("full", RunState.COMPLETE)
    assert books.streams()["invoices"].unchanged == len(books.all(Invoice))


def test_a_disconnected_connection_ends_its_job(books):
    with scope.tenant(books.connection.tenant_id), transaction.atomic():
        books.request()
        Connection.objects.update(disconnected_at=books.now())
    assert books.slice().again_in is None
