"""The file of MRR by customer and month: the same cents as the page, for who may see customers."""

from __future__ import annotations

import csv
import io
import subprocess
import sys
import zipfile
from collections.abc import Callable
from decimal import Decimal
from typing import Any
from urllib.parse import urlencode

import pytest
from django.test import Client
from pytest_django import Settings

from calqsync.tenancy.models import AuditEvent
from integrations.models import Customer
from reporting.models import CustomerFigure, Report
from tests.conftest import Cast
from tests.factories import (
    Row,
    connection_make,
    customer_make,
    invoice_make,
    monthly_make,
    product_make,
)
from tests.reporting.conftest import refreshed
from tests.reporting.pages.conftest import text
from tests.tenancy.people import confirmed

FILE = "growth/customers/?format="
LIFTED = "Credits exceed invoices: counted as 0"


def read(client: Client, cast: Cast) -> list[list[str]]:
    answer = client.get(cast.url(f"{FILE}csv"))
    assert answer.status_code == 200
    return list(csv.reader(io.StringIO(answer.content.decode("utf-8-sig"))))


def table(rows: list[list[str]]) -> tuple[list[str], dict[str, list[str]]]:
    """The months, and the rows of the table by their first cell; what stands below is left out."""
    head, *body = rows[: rows.index([])]
    return head, {row[0]: row[1:] for row in body}


def shown() -> list[Decimal]:
    """MRR by month as the page shows it."""
    return [Decimal(row["mrr_minor"]) / 100 for row in Report.objects.get().body["months"]]


@pytest.fixture
def thirds(cast: Cast, shop: Any) -> Any:
    """Beside the shop three customers whose months do not come out in whole cents."""
    for number in range(3):
        customer = customer_make(shop["eu"], f"Kolmas {number}")
        service = ("2025-11-01", "2026-02-01")
        invoice_make(
            customer, "2025-11-01", [Row(net="100.00", product=shop["plan"], service=service)]
        )
    refreshed()
    return shop


@pytest.fixture
def negative(cast: Cast, shop: Any) -> Any:
    """Beside the shop a customer whose credits exceed its invoices in some months."""
    customer = customer_make(shop["eu"], "Miinus Oy")
    monthly_make(customer, shop["plan"], ["2025-11", "2025-12", "2026-01"], net="50.00")
    invoice_make(customer, "2026-02-05", [Row(net="-70.00", name="Hyvitys")])
    refreshed()
    assert any(row["name"] == "Miinus Oy" for row in Report.objects.get().body["adjustments"])
    return shop


def test_customers_stand_in_rows_and_published_months_in_columns(
    cast: Cast, vera: Client, shop: Any
) -> None:
    head, rows = table(read(vera, cast))
    assert head == ["Customer", "Account", "First month", "2026-01", "2026-02", "2026-03 so far"]
    assert rows == {
        "Aalto Oy": ["EU account", "2026-01", "99.99", "99.99", "99.99"],
        "Cedar Inc": ["US account", "2026-01", "33.33", "33.33", "33.33"],
        "MRR": ["", "", "133.32", "133.32", "133.32"],
    }


@pytest.mark.parametrize("books", ["shop", "thirds", "negative"])
def test_each_month_adds_up_to_the_mrr_of_the_page_to_the_cent(
    cast: Cast, vera: Client, books: str, request: Any
) -> None:
    request.getfixturevalue(books)
    _head, rows = table(read(vera, cast))
    total = rows.pop("MRR")
    amounts = [[Decimal(cell) for cell in row[2:]] for row in rows.values()]
    assert [sum(column) for column in zip(*amounts, strict=True)] == shown()
    assert [Decimal(cell) for cell in total[2:]] == shown()


def test_each_customer_has_the_cents_of_the_page_behind_the_month(
    cast: Cast, vera: Client, thirds: Any
) -> None:
    head, rows = table(read(vera, cast))
    page = vera.get(cast.url("figures/customers/2025-12/")).context["page"]
    behind = {row["cells"][0]: row["cells"][-1] for row in page.listing["rows"]}
    assert sorted(behind.values()) == ["33.33", "33.33", "33.34"]
    place = head.index("2025-12") - 1
    assert {name: rows[name][place] for name in behind} == behind


def test_a_customer_below_zero_is_lifted_in_a_row_of_its_own(
    cast: Cast, vera: Client, negative: Any
) -> None:
    _head, rows = table(read(vera, cast))
    below = [Decimal(cell) for cell in rows["Miinus Oy"][2:]]
    assert min(below) < 0
    lifted = [Decimal(cell) for cell in rows[LIFTED][2:]]
    assert lifted == [max(-amount, Decimal(0)) for amount in below]


def test_the_file_names_the_state_that_it_comes_from(cast: Cast, vera: Client, shop: Any) -> None:
    rows = read(vera, cast)
    report = Report.objects.get()
    below = rows[rows.index([]) + 1 :]
    assert below[:3] == [
        ["Currency", "EUR"],
        ["As of", "", "2026-03-15"],
        ["Published", str(report.version), report.published_at.isoformat()],
    ]
    answer = vera.get(cast.url(f"{FILE}csv"))
    assert "mrr-by-customer-and-month-" in answer["Content-Disposition"]
    assert "-2026-03-15.csv" in answer["Content-Disposition"]


def test_a_hostile_name_is_text_in_both_files(cast: Cast, vera: Client, shop: Any) -> None:
    Customer.objects.filter(name="Aalto Oy").update(name="=HYPERLINK(0)")
    _head, rows = table(read(vera, cast))
    assert "'=HYPERLINK(0)" in rows
    written = vera.get(cast.url(f"{FILE}xlsx"))
    with zipfile.ZipFile(io.BytesIO(written.content)) as book:
        xml = book.read("xl/worksheets/sheet1.xml").decode()
    assert "=HYPERLINK(0)" in xml
    assert "<f>" not in xml
    assert "<v>99.99</v>" in xml


def test_the_page_offers_each_file_to_a_viewer_and_none_to_an_investor(
    cast: Cast, as_person: Callable[[str], Client], shop: Any
) -> None:
    for who, offered in (("vera", 3), ("ivan", 0)):
        page = text(as_person(who).get(cast.url("growth/")))
        assert page.count(f"/{FILE}") == offered, who


@pytest.mark.parametrize(("who", "status"), [("ivan", 403), ("mallory", 404), ("vera", 200)])
def test_customers_are_told_to_nobody_below_a_viewer(
    cast: Cast, as_person: Callable[[str], Client], shop: Any, who: str, status: int
) -> None:
    answer = as_person(who).get(cast.url(f"{FILE}csv"))
    assert answer.status_code == status
    assert (b"Aalto" in answer.content) == (status == 200)


def test_an_old_sign_in_is_asked_and_led_back_to_the_page(
    cast: Cast, client: Any, shop: Any
) -> None:
    client.force_login(confirmed(cast.vera), recently=False)
    asked = client.get(cast.url(f"{FILE}csv"))
    page = cast.url("growth/customers/")
    assert asked["Location"] == f"/accounts/reauthenticate/?{urlencode({'next': page})}"
    assert client.get(page)["Location"] == cast.url("growth/")


def test_the_log_keeps_who_took_it(cast: Cast, vera: Client, shop: Any) -> None:
    read(vera, cast)
    entry = AuditEvent.objects.get(act="list.exported")
    assert (entry.actor, entry.target) == (cast.vera, "MRR by customer and month")


def test_it_counts_against_the_limit_of_files(
    cast: Cast, vera: Client, shop: Any, settings: Settings
) -> None:
    settings.LIMITS = {"export": ("1/minute", "9/minute")}
    codes = [vera.get(cast.url(f"{FILE}csv")).status_code for _ in range(2)]
    assert codes == [200, 429]


def test_without_figures_the_address_leads_to_the_page_which_offers_no_file(
    cast: Cast, vera: Client, kuura: Any
) -> None:
    answer = vera.get(cast.url(f"{FILE}csv"), follow=True)
    assert answer.redirect_chain == [(cast.url("growth/"), 302)]
    assert "there is no file" in text(answer)
    assert FILE not in text(answer)
    assert not AuditEvent.objects.filter(act="list.exported").exists()


def test_no_file_adds_up_to_less_than_was_published(cast: Cast, vera: Client, shop: Any) -> None:
    CustomerFigure.objects.filter(customer=shop["cedar"]).delete()
    answer = vera.get(cast.url(f"{FILE}csv"))
    assert (answer.status_code, answer["Location"]) == (302, cast.url("growth/"))


def test_figures_without_recurring_revenue_still_make_a_file(
    cast: Cast, vera: Client, kuura: Any
) -> None:
    connection = connection_make()
    once = Row(net="500.00", product=product_make(connection, "Työ"), unit="HOUR")
    invoice_make(customer_make(connection, "Berg Oy"), "2026-02-10", [once])
    refreshed()
    _head, rows = table(read(vera, cast))
    assert set(rows["MRR"][2:]) == {"0.00"}
    assert list(rows) == ["MRR"]


def test_no_process_starts_with_what_only_files_and_computing_need() -> None:
    script = (
        "import sys, django; django.setup();"
        " import calqsync.urls, calqsync.celery, reporting.tasks, reporting.exports;"
        " assert not {'pandas', 'pyarrow'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", script], check=True)


def test_reading_lines_for_the_figures_loads_no_pandas() -> None:
    # Arrow's own `to_numpy` would load it.
    script = """
import sys, django
django.setup()
import numpy, pyarrow, reporting.tasks
from reporting.feed.reading import CodedColumn, IntegerColumns, _Sink

numbers, names = IntegerColumns({"id": numpy.int64}), CodedColumn()

def take(table):
    numbers.take(table)
    names.take(table["name"].combine_chunks())

columns = {"id": pyarrow.int64(), "name": pyarrow.dictionary(pyarrow.int32(), pyarrow.string())}
sink = _Sink(columns, take)
sink.write(b"1,Alusta\\n")
sink.flush()
assert (numbers.whole()["id"].tolist(), names.whole().codes.tolist()) == ([1], [0])
assert "pandas" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", script], check=True)
