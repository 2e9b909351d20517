import json
from datetime import date, datetime
from decimal import Decimal
from typing import Any

import msgspec
import pytest

from integrations.procountor import records, vocabulary

from . import examples
from .examples import numbered


def read(kind, document: Any):
    return msgspec.json.decode(json.dumps(document).encode(), type=kind)


@pytest.mark.parametrize(
    ("kind", "document"),
    [
        (records.InvoiceListItem, examples.LIST_ITEM),
        (records.Invoice, examples.INVOICE),
        (records.Partner, examples.PARTNER),
        (records.Product, examples.PRODUCT),
        (records.PaymentEvent, examples.EVENT),
        (records.PaymentEvent, examples.BULK_EVENT),
        (records.BankAccount, examples.BANK_ACCOUNT),
        (records.BankStatement, examples.STATEMENT),
    ],
)
def test_a_document_reads_whole_with_nulls_and_with_gaps(kind, document):
    full = read(kind, document)
    optional = {field.encode_name for field in msgspec.structs.fields(kind) if not field.required}
    bare = {name: value for name, value in document.items() if name not in optional}
    nulls = {name: None if name in optional else value for name, value in document.items()}
    assert read(kind, bare) == read(kind, nulls)
    assert full.id == document["id"]
    assert read(kind, document | {"aNewField": {"x": [1]}}) == full


def test_an_invoice_reads_with_exact_amounts_and_dates():
    invoice = read(records.Invoice, examples.INVOICE)
    row = invoice.invoice_rows[0]
    assert (row.unit_price, row.discount_percent) == (Decimal("1200.0"), Decimal(10))
    assert (row.start_date, row.end_date) == (date(2026, 1, 1), date(2026, 12, 31))
    assert invoice.payment_info.currency == "EUR"
    assert invoice.version == datetime(2026, 1, 1, 9, 14, 3)
    assert invoice.invoice_sum_info[0].invoice_sum_total == Decimal("1355.4")


@pytest.mark.parametrize("digits", ["0.1", "19.2022", "-0.000000001", "999999999.99"])
def test_d1d_amounts_keep_every_digit(digits):
    raw = json.dumps(examples.EVENT).replace("1355.4", digits).encode()
    assert msgspec.json.decode(raw, type=records.PaymentEvent).amount == Decimal(digits)


@pytest.mark.parametrize("amount", ['"NaN"', '"Infinity"', "1e999999", "1e15", '"-Infinity"'])
def test_an_amount_that_no_ledger_holds_is_refused(amount):
    raw = json.dumps(examples.EVENT).replace("1355.4", amount).encode()
    with pytest.raises(msgspec.ValidationError):
        msgspec.json.decode(raw, type=records.PaymentEvent)


@pytest.mark.parametrize(
    "without", ["id", "type", "status", "date", "paymentInfo", "extraInfo", "invoiceRows"]
)
def test_an_invoice_without_what_the_figures_need_is_refused(without):
    document = {name: value for name, value in examples.INVOICE.items() if name != without}
    with pytest.raises(msgspec.ValidationError):
        read(records.Invoice, document)


def test_a_new_status_breaks_nothing_and_counts_as_no_business():
    invoice = read(records.Invoice, numbered(examples.INVOICE, 1, status="TELEPORTED"))
    assert invoice.status not in vocabulary.BUSINESS_STATUSES


def test_the_sets_of_statuses_do_not_contradict_each_other():
    business = vocabulary.BUSINESS_STATUSES
    assert business > vocabulary.OPEN_STATUSES
    assert business > vocabulary.PAID_STATUSES
    assert not business & (vocabulary.VOID_STATUSES | vocabulary.DRAFT_STATUSES)
    assert not vocabulary.OPEN_STATUSES & vocabulary.PAID_STATUSES


@pytest.mark.parametrize("shape", [lambda child: [child], lambda child: child])
def test_child_events_are_found_in_either_shape(shape):
    child = {"id": 2, "sum": 5}
    event = read(records.BankEvent, {"id": 1, "sum": 5, "event": shape(child)})
    assert [inner.id for inner in event.children] == [2]
    assert event.children[0].children == []


def test_records_cannot_be_changed():
    product = read(records.Product, examples.PRODUCT)
    with pytest.raises(AttributeError):
        product.price = Decimal(1)
