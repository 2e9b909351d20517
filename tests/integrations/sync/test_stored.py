"""The books hold what Procountor says, after the first import and after every change there."""

from datetime import timedelta
from decimal import Decimal

import pytest
from django.db import transaction

from billing.services import trial_extend
from calqsync.tenancy import scope
from calqsync.tenancy.secrets import sealer
from integrations.models import (
    BankEvent,
    Customer,
    Invoice,
    InvoiceLine,
    Payment,
    Product,
    RawDocument,
    Rejection,
)
from integrations.models.runs import RunState
from integrations.sandbox import edits
from integrations.sync import evidence
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


def test_a_customer_who_made_no_sense_is_tried_again(books, koivu):
    [*_, broken] = (i for i, head in koivu.partners.heads.items() if head.type == "CUSTOMER")
    good = koivu.partners.details[broken]
    koivu.partners.details[broken] = b'{"id": %d, "name": 7}' % broken
    books.sync()
    assert books.one(Rejection).stream == "partners"
    koivu.partners.details[broken] = good
    assert books.sync().state == RunState.COMPLETE
    assert books.all(Rejection) == []


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


def test_the_stranger_sees_nothing_of_it(books, committed_cast):
    books.sync()
    with scope.tenant(committed_cast.stranger_tenant.pk), transaction.atomic():
        assert not Invoice.objects.exists()
        assert not RawDocument.objects.exists()
