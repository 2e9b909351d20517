"""A run imports everything once, goes on where it stopped, and ends with a reason."""

from datetime import timedelta
from decimal import Decimal

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
    Rejection,
    SyncRun,
)
from integrations.models.runs import RunState
from integrations.sandbox import edits
from integrations.services import runs
from integrations.sync import engine, evidence, reading, staging
from tests.integrations.sync.conftest import contents

pytestmark = pytest.mark.django_db(transaction=True)


def test_the_first_import_stores_every_sales_document_with_its_rows(books, koivu):
    run = books.sync()
    assert run.state == RunState.COMPLETE, (run.error_kind, run.error)
    documents = {
        str(entry["document"]["id"]): entry
        for entry in koivu.documents()
        if entry["document"]["type"] == "SALES_INVOICE"
    }
    stored = {invoice.external_id: invoice for invoice in books.all(Invoice)}
    assert stored.keys() == documents.keys()
    rows = sum(len(entry["document"]["invoiceRows"]) for entry in documents.values())
    events = sum(len(entry["events"]) for entry in documents.values())
    assert len(books.all(InvoiceLine)) == rows
    assert len(books.all(Payment)) == events
    for external_id, entry in documents.items():
        own = entry["document"]["invoiceSumInfo"][0]
        assert stored[external_id].net_minor == int(Decimal(own["excludingVatTotal"]) * 100)


def test_lines_add_up_to_their_invoice_in_both_currencies(books):
    books.sync()
    sums = {}
    for line in books.all(InvoiceLine):
        net, acc = sums.get(line.invoice_id, (0, 0))
        sums[line.invoice_id] = (net + line.net_minor, acc + line.net_acc_minor)
    for invoice in books.all(Invoice):
        assert sums[invoice.pk] == (invoice.net_minor, invoice.net_acc_minor)


def test_everything_points_to_what_it_belongs_to(books):
    books.sync()
    assert all(invoice.customer_id for invoice in books.all(Invoice))
    assert all(payment.invoice_id for payment in books.all(Payment))
    assert all(event.statement_id for event in books.all(BankEvent))
    lines = books.all(InvoiceLine)
    assert all(line.product_id for line in lines if line.product_external_id)
    assert any(line.product_id for line in lines)


def test_the_first_import_says_how_fresh_and_how_complete_the_books_are(books, told):
    run = books.sync()
    connection = books.connection
    assert connection.first_import_at is not None
    assert connection.data_as_of == run.window_to
    assert connection.trouble == ""
    assert told[-1]["connection_id"] == connection.pk
    assert run.requests > 10
    assert books.streams()["invoices"].expected == len(books.all(Invoice))


def test_an_unchanged_run_writes_no_document_and_needs_few_requests(books, sandbox):
    books.sync()
    before = contents(books)
    sandbox.app.log.clear()
    run = books.sync()
    assert (run.mode, run.state) == ("incremental", RunState.COMPLETE)
    assert len(sandbox.requests) <= 15
    assert contents(books) == before
    for stream in books.streams().values():
        assert (stream.added, stream.changed, stream.removed) == (0, 0, 0)


def test_an_edited_invoice_replaces_its_lines_and_keeps_their_identity(books, koivu):
    books.sync()
    invoice = next(i for i in books.all(Invoice) if i.status == "PAID")
    lines = books.all(InvoiceLine, invoice=invoice)
    edits.edit_invoice(
        koivu, int(invoice.external_id), row_fields={"unitPrice": "77.00", "quantity": "1"}
    )
    books.sync()
    assert books.streams()["invoices"].changed == 1
    after = books.all(InvoiceLine, invoice=invoice)
    assert [line.pk for line in after] == [line.pk for line in lines]
    assert after[0].net_minor != lines[0].net_minor
    total = books.one(Invoice, pk=invoice.pk)
    assert sum(line.net_minor for line in after) == total.net_minor


def test_rows_that_were_taken_from_an_invoice_are_gone(books, koivu):
    books.sync()
    line = next(line for line in books.all(InvoiceLine) if line.position == 1)
    invoice = books.one(Invoice, pk=line.invoice_id)
    kept, _ = edits._load(koivu, int(invoice.external_id))
    edits.edit_invoice(
        koivu, int(invoice.external_id), fields={"invoiceRows": kept["invoiceRows"][:1]}
    )
    books.sync()
    assert [one.position for one in books.all(InvoiceLine, invoice=invoice)] == [0]


def test_a_new_invoice_and_an_invalidated_one_arrive_with_the_next_run(books, koivu):
    books.sync()
    first, second = [i for i in books.all(Invoice) if i.issued][:2]
    created = edits.create_invoice(koivu, like=int(first.external_id), day="2026-10-30")
    edits.invalidate_invoice(koivu, int(second.external_id))
    books.sync()
    assert books.one(Invoice, external_id=str(created["id"])).issued
    assert not books.one(Invoice, pk=second.pk).issued


def test_s39_a_payment_is_found_although_the_invoice_kept_its_version(books, koivu):
    books.sync()
    invoice = next(i for i in books.all(Invoice) if i.status == "SENT" and not i.is_credit)
    edits.add_payment(koivu, int(invoice.external_id), day="2026-11-02", bump=False)
    books.sync()
    [payment] = books.all(Payment, invoice=invoice)
    assert payment.paid_minor == invoice.total_minor
    assert books.one(Invoice, pk=invoice.pk).status == "PAID"


def test_a_credit_loss_is_told_from_cash(books, koivu):
    books.sync()
    invoice = next(i for i in books.all(Invoice) if i.status == "SENT" and not i.is_credit)
    edits.add_payment(koivu, int(invoice.external_id), day="2026-11-02", kind="CREDITLOSS")
    books.sync()
    [loss] = books.all(Payment, invoice=invoice)
    assert (loss.kind, loss.is_cash) == ("CREDITLOSS", False)


def test_a_payment_that_vanished_is_marked_and_comes_back(books, koivu):
    books.sync()
    invoice = next(i for i in books.all(Invoice) if i.status == "SENT" and not i.is_credit)
    number = int(invoice.external_id)
    edits.add_payment(koivu, number, day="2026-11-02", amount="1.00")
    books.sync()
    events = koivu.events.pop(number)
    books.sync()
    [payment] = books.all(Payment, invoice=invoice)
    assert payment.removed_at is not None
    koivu.events[number] = events
    books.sync()
    assert books.one(Payment, pk=payment.pk).removed_at is None


def test_a_product_that_vanished_is_marked_and_comes_back(books, koivu):
    books.sync()
    gone = next(p for p in books.all(Product))
    number = int(gone.external_id)
    shelf = koivu.products
    head, item, detail = shelf.heads[number], shelf.items[number], shelf.details[number]
    shelf.drop(number)
    books.sync()
    assert books.one(Product, pk=gone.pk).removed_at is not None
    shelf.put(head, item, detail)
    books.sync()
    assert books.one(Product, pk=gone.pk).removed_at is None


def test_a_customer_who_was_renamed_and_closed_keeps_one_row(books, koivu):
    books.sync()
    customer = next(c for c in books.all(Customer) if c.active)
    edits.change_partner(koivu, int(customer.external_id), active=False, name="Åvik Oy")
    books.sync()
    after = books.one(Customer, pk=customer.pk)
    assert (after.name, after.active) == ("Åvik Oy", False)


def test_a_document_that_makes_no_sense_is_set_aside_and_tried_again(books, koivu):
    [*_, broken] = koivu.invoices.details
    good = koivu.invoices.details[broken]
    koivu.invoices.details[broken] = b'{"id": %d, "type": "SALES_INVOICE"}' % broken
    run = books.sync()
    assert run.state == RunState.COMPLETE_WITH_REJECTS
    rejection = books.one(Rejection)
    assert rejection.external_id == str(broken)
    assert books.streams()["invoices"].rejected == 1
    koivu.invoices.details[broken] = good
    assert books.sync().state == RunState.COMPLETE
    assert books.all(Rejection) == []
    assert books.one(Invoice, external_id=str(broken))


def test_the_evidence_is_sealed_and_opens_to_what_was_said(books, koivu):
    books.sync()
    document = books.all(RawDocument, stream="invoices")[0]
    said = koivu.invoices.details[int(document.external_id)]
    assert said not in bytes(document.body)
    with scope.tenant(books.connection.tenant_id), transaction.atomic():
        assert evidence.opened(document, sealer()) == said


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


def test_a_customer_who_made_no_sense_is_tried_again(books, koivu):
    [*_, broken] = (i for i, head in koivu.partners.heads.items() if head.type == "CUSTOMER")
    good = koivu.partners.details[broken]
    koivu.partners.details[broken] = b'{"id": %d, "name": 7}' % broken
    books.sync()
    assert books.one(Rejection).stream == "partners"
    koivu.partners.details[broken] = good
    assert books.sync().state == RunState.COMPLETE
    assert books.all(Rejection) == []


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


def test_an_invoice_that_vanished_is_marked_by_the_weekly_run_and_comes_back(books, koivu):
    with scope.tenant(books.connection.tenant_id), transaction.atomic():
        trial_extend(until=books.now() + timedelta(days=30), by=None)
    books.sync()
    gone = books.all(Invoice)[7]
    number = int(gone.external_id)
    shelf = koivu.invoices
    head, item, detail = shelf.heads[number], shelf.items[number], shelf.details[number]
    edits.delete_invoice(koivu, number)
    books.late = timedelta(days=8)
    books.slice()
    assert [i.pk for i in books.all(Invoice) if i.removed_at] == [gone.pk]
    assert books.streams()["invoices"].removed == 1
    shelf.put(head, item, detail)
    books.late = timedelta(days=16)
    books.slice()
    assert books.one(Invoice, pk=gone.pk).removed_at is None


def test_when_nearly_everything_vanished_nothing_is_believed(books, koivu):
    books.sync()
    for invoice in books.all(Invoice)[5:]:
        edits.delete_invoice(koivu, int(invoice.external_id))
    books.late = timedelta(days=8)
    books.slice()
    assert [i for i in books.all(Invoice) if i.removed_at] == []


def test_a_disconnected_connection_ends_its_job(books):
    with scope.tenant(books.connection.tenant_id), transaction.atomic():
        books.request()
        Connection.objects.update(disconnected_at=books.now())
    assert books.slice().again_in is None


def test_the_stranger_sees_nothing_of_it(books, committed_cast):
    books.sync()
    with scope.tenant(committed_cast.stranger_tenant.pk), transaction.atomic():
        assert not Invoice.objects.exists()
        assert not RawDocument.objects.exists()
