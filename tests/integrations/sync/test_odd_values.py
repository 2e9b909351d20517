"""Amounts, currencies and months at their edges, from Procountor to the figures."""

from __future__ import annotations

import ast
import json
from dataclasses import replace
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from django.apps import apps
from django.conf import settings as configured
from django.db import models

from integrations.models import Invoice, InvoiceLine
from integrations.models.runs import RunState
from integrations.sandbox import edits
from integrations.sandbox.making import make_company
from integrations.sandbox.render import decode
from reporting.domain.periods import month_text
from tests.integrations.sync.conftest import connect
from tests.integrations.sync.edges import euros, figures, full, imported, numbers, wrong
from tests.model.bookkeeping import PIHLA, pihla
from tests.oracle.product import report_of

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def koivu():
    """A company of a hundred invoices, in place of the larger one."""
    return pihla()


def retold(koivu, number: int, **changes: Any) -> None:
    """The document as Procountor says it now, whatever its totals are by our rules."""
    edits.edit_invoice(koivu, number)
    document = decode(koivu.invoices.details[number])
    document.update(changes)
    koivu.invoices.details[number] = json.dumps(document, default=_digits).encode()


class _Digits(float):
    """A number whose digits are written as they are given."""

    def __new__(cls, digits: str) -> _Digits:
        found = super().__new__(cls, digits)
        found.digits = digits
        return found

    def __repr__(self) -> str:
        return self.digits


def _digits(value: Any) -> Any:
    return _Digits(str(value))


def row(**changes: Any) -> dict[str, Any]:
    return {
        "id": 1,
        "productId": None,
        "product": "Palvelu",
        "quantity": 1,
        "unit": "PCS",
        "unitPrice": Decimal("1.00"),
        "discountPercent": 0,
        "vatPercent": 0,
    } | changes


def sums(net: str, total: str | None = None, **changes: Any) -> dict[str, Any]:
    net_, total_ = Decimal(net), Decimal(total or net)
    return {
        "currency": "EUR",
        "inAccountingCurrency": True,
        "excludingVatTotal": net_,
        "vatSumTotal": total_ - net_,
        "invoiceSumTotal": total_,
    } | changes


AMOUNTS = [
    (["0.1", "0.2"], "0.30"),
    (["0.000000001", "0.30"], "0.30"),
    (["999999999.99"], "999999999.99"),
    (["999999999.99", "-999999999.98"], "0.01"),
    (["-0", "0"], "0"),
    (["-0.0", "7.00"], "7.00"),
    (["19.2022", "19.2022", "19.2022"], "57.61"),
    (["-19.2022"], "-19.20"),
    (["0.005"], "0.01"),
    (["-0.005"], "-0.01"),
    (["1e2", "1.5E+1"], "115.00"),
]


def test_d1_every_cent_comes_through(books, koivu, truth):
    imported(books)
    chosen = euros(books)
    for number, (prices, net) in zip(chosen, AMOUNTS, strict=False):
        rows = [row(unitPrice=Decimal(price)) for price in prices]
        retold(koivu, number, discountPercent=0, invoiceRows=rows, invoiceSumInfo=[sums(net)])
        assert "unitPrice" in koivu.invoices.details[number].decode()
    assert books.sync().state == RunState.COMPLETE
    for number, (prices, net) in zip(chosen, AMOUNTS, strict=False):
        invoice = books.one(Invoice, external_id=str(number))
        lines = books.all(InvoiceLine, invoice=invoice)
        assert invoice.net_minor == invoice.net_acc_minor == int(Decimal(net) * 100), prices
        assert sum(line.net_minor for line in lines) == invoice.net_minor
        assert [line.unit_price for line in lines] == [
            Decimal(price).quantize(Decimal("1e-8")) for price in prices
        ]
        assert invoice.is_credit is (Decimal(net) < 0)
    [total] = [sum(i.net_minor for i in books.all(Invoice, external_id__in=map(str, chosen[:11])))]
    assert total == sum(int(Decimal(net) * 100) for _, net in AMOUNTS)


MONEY = (
    *("integrations/procountor/records.py", "integrations/procountor/documents.py"),
    *("integrations/sync/mapping.py", "integrations/sync/values.py", "integrations/sync/rows.py"),
    *("integrations/sync/settling.py", "integrations/sync/bulk.py", "integrations/sync/loading"),
    *("integrations/sync/evidence.py", "integrations/sync/staging.py", "integrations/models"),
    *("integrations/sync/payments.py", "reporting/feed"),
)


def test_d1b_no_floating_point_touches_money():
    looked = []
    for place in MONEY:
        path = Path(configured.BASE_DIR) / place
        for source in sorted(path.rglob("*.py")) if path.is_dir() else [path]:
            looked.append(source)
            tree = ast.parse(source.read_text())
            floats = [
                node.lineno
                for node in ast.walk(tree)
                if (isinstance(node, ast.Name) and node.id == "float")
                or (isinstance(node, ast.Attribute) and node.attr in {"float64", "float32"})
                or (isinstance(node, ast.Constant) and isinstance(node.value, float))
                or (isinstance(node, ast.BinOp) and isinstance(node.op, ast.Div) and _of_ints(node))
            ]
            assert floats == [], f"{source}: {floats}"
    assert len(looked) > 20
    for model in apps.get_models():
        for field in model._meta.concrete_fields:
            assert not isinstance(field, models.FloatField), f"{model.__name__}.{field.name}"


def _of_ints(division: ast.BinOp) -> bool:
    """Whether a plain division has a whole number in it, and so may give a fraction in binary."""
    return any(
        isinstance(side, ast.Constant) and isinstance(side.value, int)
        for side in (division.left, division.right)
    )


def test_d1c_numbers_of_documents_are_read_exactly():
    """JSON's numbers become decimals digit by digit; what is read as text would do as well."""
    import msgspec

    from integrations.procountor import records

    def fields(kind: Any) -> Any:
        for field in msgspec.structs.fields(kind):
            yield kind, field
            for part in getattr(field.type, "__args__", (field.type,)):
                for inner in getattr(part, "__args__", (part,)):
                    if isinstance(inner, type) and issubclass(inner, msgspec.Struct):
                        yield from fields(inner)

    seen = 0
    for top in (records.Invoice, records.PaymentEvent, records.Product):
        for kind, field in fields(top):
            assert field.type is not float, f"{kind.__name__}.{field.name}"
            seen += field.type in (Decimal, Decimal | None)
    assert seen >= 12


@pytest.mark.parametrize("told", [True, False])
def test_d3_a_currency_stays_with_its_amount(books, koivu, truth, told):
    imported(books)
    [number] = euros(books)[:1]
    dollars = sums("99.99", currency="USD", inAccountingCurrency=False)
    payment = decode(koivu.invoices.details[number])["paymentInfo"]
    retold(
        koivu,
        number,
        discountPercent=0,
        paymentInfo=payment | {"currency": "USD", "currencyRate": Decimal("1.1111")},
        invoiceRows=[row(unitPrice=Decimal("33.33")) for _ in range(3)],
        invoiceSumInfo=[dollars, sums("90.00")] if told else [],
    )
    assert books.sync().state == RunState.COMPLETE
    invoice = books.one(Invoice, external_id=str(number))
    home = 9000 if told else round(Decimal(9999) / Decimal("1.1111"))
    assert (invoice.currency, invoice.rate) == ("USD", Decimal("1.1111"))
    assert (invoice.net_minor, invoice.net_acc_minor) == (9999, home)
    lines = books.all(InvoiceLine, invoice=invoice)
    assert [line.net_minor for line in lines] == [3333, 3333, 3333]
    assert sum(line.net_acc_minor for line in lines) == home
    # Nothing but the accounting currency is ever added up.
    report = figures(books)
    assert report["currency"] == "EUR"
    if told:
        assert wrong(books, truth) == []


def test_d4b_a_total_rounded_otherwise_shows_on_a_line(books, koivu, truth):
    imported(books)
    [number] = euros(books)[:1]
    retold(
        koivu,
        number,
        discountPercent=0,
        invoiceRows=[row(unitPrice=Decimal("0.335"), vatPercent=Decimal("25.5"))] * 3,
        invoiceSumInfo=[sums("1.01", "1.27")],
    )
    books.sync()
    invoice = books.one(Invoice, external_id=str(number))
    assert [x.net_minor for x in books.all(InvoiceLine, invoice=invoice)] == [34, 34, 33]
    assert (invoice.net_minor, invoice.vat_minor, invoice.total_minor) == (101, 26, 127)


def test_d6_a_document_moved_between_months_changes_both(books, koivu, truth):
    imported(books)
    today = books.now().date()
    before = {m["month"]: m["mrr_e4"] for m in figures(books)["months"]}
    moved = _monthly(books, koivu)
    document = decode(koivu.invoices.details[moved])
    earlier = {name: _month_back(document["invoiceRows"][0][name]) for name in DATES}
    day = _month_back(document["date"])
    edits.edit_invoice(koivu, moved, fields={"date": day}, row_fields=earlier)
    assert books.sync().mode == "incremental"
    assert wrong(books, truth) == []
    after = {m["month"]: m["mrr_e4"] for m in figures(books)["months"]}
    wanted = report_of(koivu, today)
    months = [month_text(int(month)) for month in wanted.months]
    assert after == dict(zip(months, wanted.total_e4.tolist(), strict=True))
    changed = {month for month in after if after[month] != before.get(month)}
    assert {document["date"][:7], day[:7]} <= changed


DATES = ("startDate", "endDate")


def _monthly(books, koivu) -> int:
    """An invoice whose only row is one month that begins on the first and is over."""
    for number in numbers(books, issued=True, is_credit=False):
        rows = decode(koivu.invoices.details[number])["invoiceRows"]
        start, end = rows[0].get("startDate", ""), rows[0].get("endDate", "")
        whole = len(rows) == 1 and start[:7] == end[:7] > "" and end < koivu.anchor.isoformat()
        if whole and _month_back(start) >= koivu.opens.isoformat():
            return number
    raise AssertionError("no invoice for one month")


def _month_back(day: str) -> str:
    year, month, number = map(int, day.split("-"))
    year, month = (year, month - 1) if month > 1 else (year - 1, 12)
    for tried in range(number, 0, -1):
        try:
            return date(year, month, tried).isoformat()
        except ValueError:
            continue
    raise AssertionError(day)


def test_d7_the_same_numbers_in_two_companies_are_two_documents(
    committed_cast, books, koivu, truth, sandbox
):
    twin = make_company(
        replace(PIHLA, slug="twin", name="Pihlan Kaksonen Oy", company_id=13_378, serial=2_745_311),
        seed=8,
        anchor=koivu.anchor,
    )
    sandbox.app.companies[twin.id] = twin
    other = connect(committed_cast, twin, sandbox, name="Second account")
    imported(books)
    assert other.sync().state == RunState.COMPLETE
    same = {i.external_id for i in books.all(Invoice)} & {i.external_id for i in other.all(Invoice)}
    assert len(same) > 50
    [number] = [int(one) for one in sorted(same)[:1]]
    edits.edit_invoice(twin, number, row_fields={"unitPrice": "77.77"})
    edits.delete_invoice(twin, int(sorted(same)[1]))
    full(other, truth)
    books.sync()
    for each in (books, other):
        assert wrong(each, truth) == []
