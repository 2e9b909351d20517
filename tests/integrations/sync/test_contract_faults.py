"""Documents that break the contract are set aside, and never spoil what the books hold."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest

from calqsync.tenancy.secrets import sealer
from integrations.models import (
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
from integrations.sandbox.render import decode, encode
from integrations.sandbox.store import Head
from integrations.sync import evidence
from tests.conftest import SignedInClient
from tests.integrations.sync.edges import full, imported, in_tenant, numbers, wrong
from tests.model.bookkeeping import pihla

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def koivu():
    """A company of a hundred invoices, in place of the larger one."""
    return pihla()


def rewrite(koivu, number: int, change: Any) -> bytes:
    """Change the document behind Procountor's back; lists show that it changed.

    What it would be without the change comes back.
    """
    edits.edit_invoice(koivu, number)
    good: bytes = koivu.invoices.details[number]
    document = decode(good)
    change(document)
    koivu.invoices.details[number] = encode(document)
    return good


def without(*path: str) -> Any:
    """Take away a field; the last name of the path."""

    def change(document):
        for name in path[:-1]:
            document = document[name]
        del document[path[-1]]

    return change


def put(value: Any, *path: Any) -> Any:
    def change(document):
        for name in path[:-1]:
            document = document[name]
        document[path[-1]] = value

    return change


BROKEN = {
    "a new status": put("TELEPORTED", "status"),
    "no status": put(None, "status"),
    "no date": put(None, "date"),
    "a date that is none": put("2027-02-29", "date"),
    "no rows": put(None, "invoiceRows"),
    "a row without a price": put(None, "invoiceRows", 0, "unitPrice"),
    "a row without its discount": without("invoiceRows", 0, "discountPercent"),
    "a quantity in words": put("three", "invoiceRows", 0, "quantity"),
    "no currency": put("", "paymentInfo", "currency"),
    "no payer's number at all": without("partnerId"),
    "a number for a word": put(7, "status"),
    "sums that are a word": put("none", "invoiceSumInfo"),
}


def test_s29_what_breaks_the_contract_is_set_aside_and_the_rest_is_stored(books, koivu, truth):
    imported(books)
    some = numbers(books, issued=True)
    good = {n: books.one(Invoice, external_id=str(n)) for n in some}
    lines = {n: books.all(InvoiceLine, invoice=good[n]) for n in some}
    whole = {
        number: rewrite(koivu, number, change)
        for number, change in zip(some, BROKEN.values(), strict=False)
    }
    fine = some[len(BROKEN)]
    edits.edit_invoice(koivu, fine, row_fields={"unitPrice": "31.00"})
    new = edits.create_invoice(koivu, like=fine, day="2026-11-02")
    whole[new["id"]] = rewrite(koivu, new["id"], put(None, "date"))
    run = books.sync()
    assert run.state == RunState.COMPLETE_WITH_REJECTS
    assert books.streams()["invoices"].rejected == len(BROKEN) + 1
    reasons = {int(one.external_id): one.reason for one in books.all(Rejection)}
    assert reasons.keys() == {*some[: len(BROKEN)], new["id"]}
    assert all(reasons.values())
    rejection = books.one(Rejection, external_id=str(some[0]))
    said = in_tenant(books, lambda: evidence.opened(rejection, sealer()))
    assert json.loads(said)["status"] == "TELEPORTED"
    assert not books.all(Invoice, external_id=str(new["id"]))
    # What was known of them stays, to the cent.
    for number in some[: len(BROKEN)]:
        assert books.one(Invoice, external_id=str(number)).__dict__.items() >= {
            (name, value)
            for name, value in good[number].__dict__.items()
            if not name.startswith("_")
        }
        assert books.all(InvoiceLine, invoice=good[number]) == lines[number]
    assert full(books, truth).state == RunState.COMPLETE_WITH_REJECTS
    assert books.all(Invoice, removed_at__isnull=False) == []
    koivu.invoices.details.update(whole)
    assert books.sync().state == RunState.COMPLETE
    assert books.all(Rejection) == []
    assert wrong(books, truth) == []


def test_s29b_list_items_that_cannot_be_read_may_be_good_documents(books, koivu, truth):
    imported(books)
    some = numbers(books)[:3]
    for number in some:
        edits.edit_invoice(koivu, number, row_fields={"unitPrice": "9.00"})
        item = decode(koivu.invoices.items[number])
        koivu.invoices.items[number] = encode(item | {"date": None, "invoiceSumInfo": "?"})
    assert books.sync().state == RunState.COMPLETE
    assert wrong(books, truth) == []
    assert full(books, truth).state == RunState.COMPLETE
    assert wrong(books, truth) == []


def test_s29c_a_document_without_a_number_makes_nothing_vanish(books, koivu, truth):
    """It may be any of those that were not seen."""
    imported(books)
    [*_, product] = books.all(Product)
    number = int(product.external_id)
    document = decode(koivu.products.items[number])
    koivu.products.items[number] = encode(document | {"id": "seven"})
    paid = next(one for one in books.all(Payment))
    invoice = int(paid.invoice_external_id)
    before = koivu.events[invoice]
    koivu.events[invoice] = tuple(
        event._replace(payment=encode(decode(event.payment) | {"id": None})) for event in before
    )
    edits.edit_invoice(koivu, invoice, fields={"notes": "read again"})
    assert books.sync().state == RunState.COMPLETE_WITH_REJECTS
    assert books.all(Product, removed_at__isnull=False) == []
    assert books.all(Payment, removed_at__isnull=False) == []
    koivu.products.items[number] = encode(document)
    koivu.events[invoice] = before
    books.sync()
    assert books.all(Product, removed_at__isnull=False) == []
    assert wrong(books, truth) == []
    # Whose they were is not known, so only a run that reads everything can take them back.
    assert full(books, truth).state == RunState.COMPLETE
    assert books.all(Rejection) == []


def test_s29d_partners_and_statements_that_break_the_contract(books, koivu, truth):
    imported(books)
    customer = next(c for c in books.all(Customer) if c.active)
    number = int(customer.external_id)
    edits.change_partner(koivu, number, name="Uusi Nimi Oy")
    document = decode(koivu.partners.details[number])
    koivu.partners.details[number] = encode(document | {"name": None})
    last = max(koivu.statements.heads, key=lambda one: koivu.statements.heads[one].date)
    statement = decode(koivu.statements.items[last])
    koivu.statements.items[last] = encode(statement | {"endBalance": "much"})
    assert books.sync().state == RunState.COMPLETE_WITH_REJECTS
    assert {one.stream for one in books.all(Rejection)} == {"partners", "bank"}
    assert books.one(Customer, pk=customer.pk).name == customer.name
    koivu.partners.details[number] = encode(document)
    koivu.statements.items[last] = encode(statement)
    assert books.sync().state == RunState.COMPLETE
    assert wrong(books, truth) == []


def test_s30_an_unknown_field_is_kept_in_the_raw_document(books, koivu, truth):
    imported(books)
    [number] = numbers(books)[:1]
    rewrite(koivu, number, put({"kg": [1, 2.50]}, "carbonFootprint"))
    assert books.sync().state == RunState.COMPLETE
    kept = books.one(RawDocument, stream="invoices", external_id=str(number))
    said = in_tenant(books, lambda: evidence.opened(kept, sealer()))
    assert said == koivu.invoices.details[number]
    assert json.loads(said, parse_float=Decimal)["carbonFootprint"] == {"kg": [1, Decimal("2.50")]}
    assert wrong(books, truth) == []


@pytest.mark.parametrize(
    "change",
    [
        without("status"),
        without("invoiceRows", 0, "vatPercent"),
        without("discountPercent"),
        without("extraInfo", "unitPricesIncludeVat"),
        without("partnerId"),
        put("8", "id"),
        put([], "paymentInfo"),
        put("yes", "isOffer"),
        put("2026-11-01T10:00:00 o'clock", "version"),
    ],
)
def test_s30b_a_field_that_is_missing_or_changed_never_writes_over_good_data(
    books, koivu, truth, change
):
    imported(books)
    [number] = numbers(books, issued=True)[:1]
    before = books.one(Invoice, external_id=str(number))
    rewrite(koivu, number, change)
    assert books.sync().state == RunState.COMPLETE_WITH_REJECTS
    [rejection] = books.all(Rejection)
    assert rejection.reason
    after = books.one(Invoice, external_id=str(number))
    fields = [field.attname for field in Invoice._meta.concrete_fields]
    assert [getattr(after, f) for f in fields] == [getattr(before, f) for f in fields]


def test_s30c_stamps_that_suddenly_carry_their_zone_are_the_same_stamps(books, koivu, truth):
    imported(books)
    some = numbers(books)[:2]
    for number in some:
        edits.edit_invoice(koivu, number, row_fields={"unitPrice": "9.00"})
        local = decode(koivu.invoices.details[number])["version"]
        for shelf in (koivu.invoices.items, koivu.invoices.details):
            shelf[number] = encode(decode(shelf[number]) | {"version": f"{local}.250+02:00"})
    for _ in range(2):
        assert books.sync().state == RunState.COMPLETE
    lost = [line for line in wrong(books, truth) if "version" not in line]
    assert lost == []


def test_s14_a_document_made_void_leaves_the_totals_and_stays(books, koivu, truth, committed_cast):
    imported(books)
    void, deleted, other = numbers(books, issued=True, status="SENT")[:3]
    edits.invalidate_invoice(koivu, void)
    edits.edit_invoice(koivu, deleted, fields={"status": "DELETED"})
    assert books.sync().state == RunState.COMPLETE
    for number, status in ((void, "INVALIDATED"), (deleted, "DELETED")):
        invoice = books.one(Invoice, external_id=str(number))
        assert (invoice.status, invoice.issued, invoice.removed_at) == (status, False, None)
        assert books.all(InvoiceLine, invoice=invoice)
    assert books.one(Invoice, external_id=str(other)).issued
    assert wrong(books, truth) == []
    vera = SignedInClient()
    vera.force_login(committed_cast.vera)
    for number in (void, deleted):
        invoice = books.one(Invoice, external_id=str(number))
        page = vera.get(committed_cast.url(f"invoices/{invoice.public_id}/"))
        assert page.status_code == 200
        assert invoice.number in page.content.decode()


def test_s37d_a_document_that_lists_name_and_numbers_do_not_find(books, koivu, truth):
    """It is not deleted, since lists have it; and not forgotten, since it may come back."""
    imported(books)
    known, *_ = numbers(books, issued=True)
    hidden = edits.create_invoice(koivu, like=known, day="2026-11-02")["id"]
    edits.edit_invoice(koivu, known, fields={"notes": "hidden"})
    details = {n: koivu.invoices.details.pop(n) for n in (known, hidden)}
    for turn in (books.sync, lambda: full(books, truth), books.sync):
        assert turn().state == RunState.COMPLETE_WITH_REJECTS
        assert {int(one.external_id) for one in books.all(Rejection)} == {known, hidden}
        assert books.all(Invoice, removed_at__isnull=False) == []
    koivu.invoices.details.update(details)
    assert books.sync().state == RunState.COMPLETE
    assert books.all(Rejection) == []
    assert wrong(books, truth) == []


@pytest.mark.parametrize("count", [1, 2])
def test_s37e_documents_that_are_gone_when_they_are_asked_for(books, koivu, sandbox, truth, count):
    imported(books)
    some = numbers(books, issued=True)[:count]
    edits.edit_invoices(koivu, some, fields={"notes": "soon gone"})

    def delete():
        for number in some:
            edits.delete_invoice(koivu, number)

    sandbox.fault("then", path="^/invoices$", do=delete)
    assert books.sync().state == RunState.COMPLETE
    assert books.all(Invoice, removed_at__isnull=False) == []
    full(books, truth)
    assert len(books.all(Invoice, removed_at__isnull=False)) == count
    assert wrong(books, truth) == []


def test_s37f_what_was_set_aside_and_then_deleted_is_nobodys_task(books, koivu, truth):
    imported(books)
    [like] = numbers(books)[:1]
    made = edits.create_invoice(koivu, like=like, day="2026-11-02")["id"]
    rewrite(koivu, made, put(None, "date"))
    assert books.sync().state == RunState.COMPLETE_WITH_REJECTS
    edits.delete_invoice(koivu, made)
    assert books.sync().state == RunState.COMPLETE_WITH_REJECTS
    assert full(books, truth).state == RunState.COMPLETE
    assert books.all(Rejection) == []


def test_s38_an_inactive_customer_stays_marked_so(books, koivu, truth):
    imported(books)
    customer = next(c for c in books.all(Customer) if c.active)
    number = int(customer.external_id)
    edits.change_partner(koivu, number, active=False)
    books.sync()
    for _ in range(2):
        after = books.one(Customer, pk=customer.pk)
        assert (after.active, after.removed_at) == (False, None)
        assert wrong(books, truth) == []
        full(books, truth)
    edits.change_partner(koivu, number, active=True)
    books.sync()
    assert books.one(Customer, pk=customer.pk).active
    assert wrong(books, truth) == []


def test_d9_a_renamed_customer_keeps_the_history_under_its_id(books, koivu, truth):
    imported(books)
    invoice = next(i for i in books.all(Invoice) if i.customer_identity.startswith("p:"))
    theirs = {i.pk for i in books.all(Invoice, customer_id=invoice.customer_id)}
    old = books.one(Customer, pk=invoice.customer_id)
    edits.change_partner(koivu, int(old.external_id), name="Aivan Toinen Oy")
    books.sync()
    assert books.one(Customer, pk=old.pk).name == "Aivan Toinen Oy"
    assert {i.pk for i in books.all(Invoice, customer_id=old.pk)} == theirs
    # Documents go on saying what they said.
    assert books.one(Invoice, pk=invoice.pk).customer_name == invoice.customer_name
    full(books, truth)
    assert wrong(books, truth) == []


def test_d9b_a_code_used_again_belongs_to_another_product(books, koivu, truth):
    imported(books)
    line = next(one for one in books.all(InvoiceLine) if one.product_id)
    old = books.one(Product, pk=line.product_id)
    lines = {one.pk for one in books.all(InvoiceLine, product=old)}
    number = koivu.products.next_id()
    document = decode(koivu.products.items[int(old.external_id)])
    koivu.products.drop(int(old.external_id))
    raw = encode(document | {"id": number, "name": "Something else"})
    head = Head(number, type="SALES", version=koivu.now(), flag=True, original=old.code)
    koivu.products.put(head, raw, raw)
    new = edits.create_invoice(koivu, like=int(_number(books, line)), day="2026-11-02")
    rows = decode(koivu.invoices.details[new["id"]])["invoiceRows"]
    for row in rows:
        row["productId"] = number if row["productId"] == int(old.external_id) else row["productId"]
    edits.edit_invoice(koivu, new["id"], fields={"invoiceRows": rows})
    books.sync()
    after = books.one(Product, pk=old.pk)
    assert (after.name, after.removed_at is None) == (old.name, False)
    assert {one.pk for one in books.all(InvoiceLine, product=old)} == lines
    renamed = books.one(Product, external_id=str(number))
    assert (renamed.code, renamed.name) == (old.code, "Something else")
    assert len(books.all(InvoiceLine, product=renamed)) >= 1
    assert wrong(books, truth) == []


def _number(books, line):
    return books.one(Invoice, pk=line.invoice_id).external_id
