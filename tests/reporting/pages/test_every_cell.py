"""Every cell of the pages of figures opens its documents, and they add up to it, to the cent."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from decimal import Decimal
from typing import Any

import pytest
from django.test import Client

from calqsync.tenancy import scope
from reporting.models import AcquisitionCost, ReportSettings
from reporting.selectors.frame import published
from tests.conftest import Cast
from tests.factories import (
    Row,
    account_make,
    connection_make,
    customer_make,
    invoice_make,
    payment_make,
    product_make,
    statement_make,
)
from tests.reporting.conftest import refreshed

DIMENSIONS = ["product", "product_group", "customer_group", "country", "currency", "connection"]
PAGES = {
    "": 20,
    "growth/": 60,
    "growth/?period=all&view=quarters": 40,
    "growth/?period=all&view=quarters&way=summed": 40,
    "growth/?period=all&view=years": 15,
    "growth/?period=all&view=years&way=summed": 15,
    "cashflow/": 20,
    "retention/": 20,
    "unit-economics/": 10,
    "recognition/": 20,
    "overdue/": 5,
    # Cells of long tables of segments are linked on each one's own page.
    **{f"segments/?period=12&by={one}": 10 for one in DIMENSIONS},
    "segments/?by=customer_group&key=A": 30,
    "segments/?by=currency&key=SEK": 20,
}
LONGER = [page for page in PAGES if "view=" in page]
# Cells that no documents can stand behind: what differs from another figure.
WITHOUT = (
    "change ",
    "points ",
    "Sum",
    "Bank",
    "Net new",
)


@pytest.fixture
def rich(cast: Cast) -> Iterator[Any]:
    """Books in which every figure moves: all five movements, rates, deferral, gaps in cash."""
    with scope.tenant(cast.tenant.pk):
        eu, us = connection_make("EU account"), connection_make("US account")
        plan = product_make(eu, "Alusta", code="A-1", group="Ohjelmat")
        extra = product_make(us, "Lisenssi", code="L-1")
        names = ("Aalto Oy", "Berg Oy", "Cedar Inc", "Dune Ab", "Elm Oy")
        aalto, berg, cedar, dune, elm = (
            customer_make(one, name, country=country, group=group)
            for one, name, country, group in zip(
                (eu, eu, us, eu, us),
                names,
                ("FI", "FI", "US", "SE", ""),
                ("A", "B", "", "A", ""),
                strict=True,
            )
        )

        def billed(customer: Any, month: int, net: str, product: Any = plan, **more: Any) -> Any:
            start = f"2025-{month:02d}-01" if month <= 12 else f"2026-{month - 12:02d}-01"
            end = f"2025-{month + 1:02d}-01" if month < 12 else f"2026-{month - 11:02d}-01"
            row = Row(net=net, product=product, service=(start, end), acc=more.pop("acc", None))
            return invoice_make(customer, start, [row], **more)

        for month in range(1, 16):
            billed(aalto, month, "99.99" if month < 6 else "133.33" if month < 11 else "77.77")
            if month not in (7, 8, 9):
                billed(berg, month, "50.01")
            if month < 9:
                paid = billed(cedar, month, "20.00", extra)
                payment_make(paid, paid.date.isoformat(), "20.00")
        for month in range(3, 16):
            rate = "10.00" if month < 8 else "9.37"
            billed(dune, month, "107.00", acc=rate, currency="SEK")
        year = Row(net="1199.99", product=extra, service=("2025-04-16", "2026-04-16"))
        invoice_make(elm, "2025-04-10", [year, Row(net="300.00", name="Käyttöönotto")])
        credit = Row(net="-120.00", product=plan, service=("2025-12-01", "2026-01-01"))
        invoice_make(berg, "2025-12-20", [credit])
        ahead = Row(net="60.00", product=extra, service=("2026-04-01", "2026-05-01"))
        invoice_make(cedar, "2026-02-25", [ahead])
        account = account_make(eu)
        for month, opening in (
            ("2025-12", "1000.00"),
            ("2026-01", "850.00"),
            ("2026-02", "700.50"),
        ):
            events = [(f"{month}-05", "300.00"), (f"{month}-20", "-450.25")]
            last = "28" if month == "2026-02" else "31"
            statement_make(account, f"{month}-01", f"{month}-{last}", opening, events)
        ReportSettings.objects.create(
            tenant=cast.tenant, tolerance_bp=10, gross_margin_bp=8_000, cac_lag_months=1
        )
        for month in range(2025 * 12, 2025 * 12 + 15):
            AcquisitionCost.objects.create(tenant=cast.tenant, month=month, amount_minor=12_345)
        refreshed()
        yield cast


def number(text: str) -> Decimal | None:
    """The number that a cell writes; None for words and for no figure."""
    plain = re.sub(r"[^0-9.\-−]", "", text.replace(",", "")).replace("−", "-")
    try:
        return Decimal(plain)
    except ArithmeticError:
        return None


def cells_of(value: Any, above: str = "") -> Iterator[tuple[str, str, str]]:
    """(row, text, address) of every cell of the tables and bars of a page."""
    if is_dataclass(value) and not isinstance(value, type):
        for one in fields(value):
            if one.name not in {"period", "checklist", "freshness", "tabs", "crumbs"}:
                yield from cells_of(getattr(value, one.name), above)
    elif isinstance(value, dict):
        label = str(value.get("label", above))
        if "text" in value and isinstance(value["text"], str) and "exports" not in value:
            yield above, value["text"], value.get("url", "")
        elif "value" in value and "percent" in value:
            yield label, str(value["value"]), value.get("value_url") or value.get("url", "")
        for key, item in value.items():
            if key not in {"head", "data", "columns", "changes", "facts"}:
                yield from cells_of(item, label)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from cells_of(item, above)


def opened(client: Client, address: str, text: str) -> str:
    """What is wrong with the documents behind a cell; "" for nothing."""
    answer = client.get(address)
    if answer.status_code != 200:
        return f"answers {answer.status_code}"
    page = answer.context["page"]
    if page.figure == text or number(page.figure) == number(text):
        return ""
    if text.endswith("%") and "/cohort-" in address:
        return "" if text in page.lead else f"is {text}, but {page.lead}"
    total = page.listing["total"]["cells"][-1]
    wanted, count = number(text), page.listing["page"].paginator.count
    got = number(total)
    same = wanted is not None and got is not None and abs(wanted) == abs(got)
    return "" if same or wanted == count else f"is {text}, its documents {total} ({page.figure})"


def cells_with_documents(client: Client, cast: Cast) -> dict[tuple[str, str], list[Any]]:
    """The cells of every page that open documents, by page and kind of figure."""
    kinds: dict[tuple[str, str], list[Any]] = {}
    for page, least in PAGES.items():
        answer = client.get(f"{cast.url('')}{page}{'' if '?' in page else '?period=all'}")
        assert answer.status_code == 200
        found = [cell for cell in cells_of(answer.context["page"]) if "/figures/" in cell[2]]
        assert len(found) >= least, f"only {len(found)} cells of {page} open documents"
        for cell in dict.fromkeys(found):
            figure = re.sub(r"[0-9a-f]*[0-9][0-9a-f-]*", "", cell[2].split("/figures/")[1])
            kinds.setdefault((page, figure), []).append(cell)
    return kinds


def wrong_of(client: Client, cells: list[Any]) -> dict[tuple[str, str], str]:
    found = {}
    for row, text, address in cells:
        if said := opened(client, address, text):
            found[row, address] = said
    return found


def test_the_documents_behind_cells_of_every_kind_add_up_to_them(vera, rich):
    kinds = cells_with_documents(vera, rich)
    # The latest month of each kind, and one further back.
    some = [cell for cells in kinds.values() for cell in {cells[-1], cells[len(cells) // 2]}]
    assert len(some) >= 100, "the walk found hardly any cell, so it guards nothing"
    wrong = wrong_of(vera, some)
    assert wrong == {}, "\n".join(f"{key}: {said}" for key, said in sorted(wrong.items()))


@pytest.mark.nightly
def test_the_documents_behind_every_cell_add_up_to_it(vera, rich):
    every = [cell for cells in cells_with_documents(vera, rich).values() for cell in cells]
    wrong = wrong_of(vera, every)
    assert wrong == {}, "\n".join(f"{key}: {said}" for key, said in sorted(wrong.items()))


def test_no_figure_stands_without_its_documents(vera, rich):
    bare = []
    for page in ("", "growth/", *LONGER, "cashflow/", "unit-economics/"):
        answer = vera.get(f"{rich.url('')}{page}{'' if '?' in page else '?period=all'}")
        bare += [
            (page, row, text)
            for row, text, address in cells_of(answer.context["page"])
            if not address and number(text) and not row.startswith(WITHOUT)
        ]
    assert bare == [], "\n".join(map(str, bare))


def test_a_movement_opens_the_lines_that_made_it(vera, rich):
    page = vera.get(rich.url("figures/contraction/2025-11/")).context["page"]
    assert page.listing["rows"], "nobody contracted"
    for row in page.listing["rows"]:
        inner = vera.get(row["url"])
        assert inner.status_code == 200
        total = inner.context["page"].listing["total"]["cells"][-1]
        assert total == row["cells"][-1]
        words = {str(cell["cells"][1]) for cell in inner.context["page"].listing["rows"]}
        assert words == {"Came", "Ended"}


@pytest.mark.parametrize("page", ["growth/", "retention/"])
def test_pages_say_how_long_customers_from_before_the_books_look_new(vera, rich, page):
    """The longest period is a year, and the first invoice of January 2025."""
    assert published().body["unsure_new_until"] == "2025-12"
    shown = vera.get(rich.url(page) + "?period=all").context["page"]
    assert [note for note in shown.notes if "up to December 2025 with care" in note]
    later = vera.get(rich.url(page) + "?from=2026-01&to=2026-03").context["page"]
    assert not [note for note in later.notes if "with care" in note]
