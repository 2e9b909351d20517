"""Texts and days at their edges, from Procountor to the pages."""

from __future__ import annotations

import csv
import io
import unicodedata
from datetime import date
from typing import Any

import pytest

from integrations.models import Customer, Invoice, InvoiceLine, RawDocument, Rejection
from integrations.models.runs import RunState
from integrations.sandbox import edits
from integrations.sandbox.render import decode, encode
from tests.conftest import SignedInClient
from tests.integrations.sync.edges import euros, figures, imported
from tests.model.bookkeeping import pihla

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def koivu():
    """A company of a hundred invoices, in place of the larger one."""
    return pihla()


LONG = "x" * 300
TEXTS = {
    "emoji": ("Palvelu 🚀 ½ 👩‍💻", "Palvelu 🚀 ½ 👩‍💻"),
    "a zero byte": ("nol\0la", "nolla"),
    "controls": ("a\x01\x1b[31mb\x7f\ufffe", "a[31mb"),
    "decomposed": (unicodedata.normalize("NFD", "Åkerström Öljy"), "Åkerström Öljy"),
    "right to left": ("שלום \u202eabc\u202c", "שלום \u202eabc\u202c"),
    "Windows-1252": ("€ ‚ƒ„…†‡ˆ‰Š‹Œ Ž ‘’“”•–—˜™š›œžŸ", "€ ‚ƒ„…†‡ˆ‰Š‹Œ Ž ‘’“”•–—˜™š›œžŸ"),
    "three hundred letters": (LONG, LONG),
    "markup": ("<script>alert(1)</script>{{ 7*7 }}=1+1", "<script>alert(1)</script>{{ 7*7 }}=1+1"),
}


def test_d10_any_text_is_stored_and_shown(books, koivu, truth, committed_cast):
    imported(books)
    chosen = euros(books)
    for number, (said, _) in zip(chosen, TEXTS.values(), strict=False):
        document = decode(koivu.invoices.details[number])
        rows = [one | {"product": said, "comment": said} for one in document["invoiceRows"]]
        edits.edit_invoice(koivu, number, fields={"invoiceRows": rows, "notes": said})
    megabytes = chosen[len(TEXTS)]
    huge = "ä" * 5_000_000
    edits.edit_invoice(koivu, megabytes, fields={"additionalInformation": huge})
    names = [c for c in books.all(Customer) if c.active][: len(TEXTS)]
    for customer, (said, _) in zip(names, TEXTS.values(), strict=True):
        edits.change_partner(koivu, int(customer.external_id), name=said)
    assert books.sync().state == RunState.COMPLETE
    for number, (_, kept) in zip(chosen, TEXTS.values(), strict=False):
        invoice = books.one(Invoice, external_id=str(number))
        for line in books.all(InvoiceLine, invoice=invoice):
            assert (line.name, kept in line.text) == (kept[:300], True)
    raw = books.one(RawDocument, stream="invoices", external_id=str(megabytes))
    assert len(bytes(raw.body)) < 200_000
    figures(books)
    vera = SignedInClient()
    vera.force_login(committed_cast.vera)
    for customer, (_, kept) in zip(names, TEXTS.values(), strict=True):
        after = books.one(Customer, pk=customer.pk)
        assert after.name == kept[:200]
        page = vera.get(committed_cast.url(f"customers/{after.public_id}/"))
        assert page.status_code == 200
    for path in ("customers/", "invoices/", "products/", "payments/", "subscriptions/"):
        assert vera.get(committed_cast.url(path)).status_code == 200
        for kind in ("csv", "xlsx"):
            sheet = vera.get(committed_cast.url(path), {"format": kind})
            assert sheet.status_code == 200
            assert sheet.getvalue() if sheet.streaming else sheet.content
    for typed in ("Åkerström", unicodedata.normalize("NFD", "Åkerström"), "ÅKERSTRÖM"):
        for path in ("customers/", "invoices/", "subscriptions/"):
            answer = vera.get(committed_cast.url(path), {"q": typed})
            assert answer.status_code == 200
        sheet = vera.get(committed_cast.url("customers/"), {"q": typed, "format": "csv"})
        text = (sheet.getvalue() if sheet.streaming else sheet.content).decode("utf-8-sig")
        assert "Åkerström Öljy" in {cell for line in csv.reader(io.StringIO(text)) for cell in line}


def test_d10c_text_that_is_no_text_costs_no_other_document(books, koivu, truth):
    imported(books)
    half, latin, other = euros(books)[:3]
    for number, bad in ((half, b'"cut \\ud83d"'), (latin, b'"\xe4\xe4"')):
        edits.edit_invoice(koivu, number, row_fields={"comment": "HERE"})
        raw = koivu.invoices.details[number]
        koivu.invoices.details[number] = raw.replace(b'"HERE"', bad)
    edits.edit_invoice(koivu, other, row_fields={"comment": "back\\slash \\ud83d \U0001f680"})
    assert books.sync().state == RunState.COMPLETE_WITH_REJECTS, books.run().error
    assert {int(one.external_id) for one in books.all(Rejection)} == {latin}
    for number, text in ((half, "cut \ufffd"), (other, "back\\slash \\ud83d \U0001f680")):
        assert text in books.all(InvoiceLine, invoice__external_id=str(number))[0].text


DAYS: list[tuple[str, Any]] = [
    ("0001-01-01", None),
    ("9999-12-31", None),
    ("2024-02-29", date(2024, 2, 29)),
    ("2023-02-29", None),
    ("0000-00-00", None),
    ("2026-10-31T24:00:00", None),
    ("24:00", None),
    ("2026-13-01", None),
    ("", None),
]


def test_d11_days_that_cannot_be_are_set_aside_and_the_others_stored(books, koivu, truth):
    imported(books)
    chosen = euros(books)
    days: dict[int, Any] = {}
    for number, (said, stored) in zip(chosen, DAYS, strict=False):
        days[number] = stored
        _say(koivu, number, lambda d, said=said: d.update(date=said))
    due, null, period, forever, hour = chosen[len(DAYS) : len(DAYS) + 5]
    _say(koivu, due, lambda d: d["paymentInfo"].update(dueDate="9999-12-31"))
    _say(koivu, null, lambda d: d.update(date=None))
    _say(koivu, period, lambda d: d["invoiceRows"][0].update(startDate="0001-01-01"))
    forever_dates = {"startDate": "2026-10-01", "endDate": "9999-12-31"}
    _say(koivu, forever, lambda d: d["invoiceRows"][0].update(forever_dates))
    _say(koivu, hour, lambda d: d.update(version="2026-10-31T24:00:00"))
    before = {n: books.one(Invoice, external_id=str(n)).date for n in chosen}
    assert books.sync().state == RunState.COMPLETE_WITH_REJECTS
    aside = {int(one.external_id) for one in books.all(Rejection)}
    assert aside == {n for n, stored in days.items() if stored is None} | {due, null, period, hour}
    for number, stored in days.items():
        found = books.one(Invoice, external_id=str(number)).date
        assert found == (stored or before[number])
    line = books.all(InvoiceLine, invoice__external_id=str(forever))[0]
    assert (line.start, line.end) == (date(2026, 10, 1), None)
    # No chart stretches to the year one.
    assert len(figures(books)["months"]) < 60


def _say(koivu, number: int, change: Any) -> None:
    edits.edit_invoice(koivu, number)
    document = decode(koivu.invoices.details[number])
    change(document)
    koivu.invoices.details[number] = encode(document)


def test_d11d_a_company_whose_books_begin_with_a_strange_day_is_imported(
    committed_cast, settings, monkeypatch, sandbox, koivu, books, truth
):
    number = next(h.id for h in koivu.invoices.heads.values() if h.type == "SALES_INVOICE")
    other = max(koivu.invoices.heads)
    _say(koivu, number, lambda d: d.update(date="0001-01-01"))
    koivu.invoices.heads[number] = koivu.invoices.heads[number]._replace(date="0001-01-01")
    koivu.invoices.heads[other] = koivu.invoices.heads[other]._replace(date="9999-12-31")
    koivu.invoices._lists.clear()
    assert books.sync().state == RunState.COMPLETE_WITH_REJECTS
    [rejection] = books.all(Rejection)
    assert rejection.external_id == str(number)
    sales = [h for h in koivu.invoices.heads.values() if h.type == "SALES_INVOICE"]
    assert len(books.all(Invoice)) == len(sales) - 1
