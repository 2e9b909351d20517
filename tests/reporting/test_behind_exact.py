"""Behind a figure stand the rows that make it up, before any of it is rounded or shared out.

Shares add up to a figure whatever they are shares of: here the exact amounts are held to it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date, timedelta
from fractions import Fraction
from typing import Any

import pytest

from reporting import parts
from reporting.domain import rounding
from reporting.domain.contracted import KNOWN_MONTHS
from reporting.domain.periods import add_months_date
from reporting.domain.rounding import E4
from reporting.domain.segments import ADJUSTMENT
from reporting.models import ReportPart, ReportSettings, Subscription, SubscriptionDecision
from reporting.selectors.behind import contracted, growth, kind_of, segmented
from reporting.selectors.behind.kinds import Question
from reporting.selectors.frame import PPM, published, words_for
from tests.factories import Row, connection_make, customer_make, invoice_make, product_make
from tests.reporting.conftest import refreshed

MOVED = sorted(name for name in growth.MOVED if not name.endswith("-customers"))
COUNTS = {
    "new-customers": "new_customers",
    "reactivation-customers": "reactivated_customers",
    "churn-customers": "churned_customers",
    "expansion-customers": "expanded_customers",
    "contraction-customers": "contracted_customers",
}


@pytest.fixture
def apart(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What was shared out although its parts were another sum, to less than a minor unit each."""
    found: list[str] = []
    share_out = rounding.share_out

    def checked(amounts: Any, total: int) -> Any:
        exact = sum(int(one) for one in amounts)
        if abs(exact - total * E4) > E4:
            found.append(f"{exact / E4} was shown as {total}")
        return share_out(amounts, total)

    monkeypatch.setattr(rounding, "share_out", checked)
    return found


def billed(
    customer: Any,
    product: Any,
    months: Sequence[int],
    net: str,
    *,
    acc: str | None = None,
    currency: str = "EUR",
) -> None:
    """An invoice for each month, counted from January 2025, for service in it."""
    for month in months:
        start, end = day(month), day(month + 1)
        row = Row(net=net, acc=acc, product=product, service=(start, end))
        invoice_make(customer, start, [row], currency=currency)


def day(month: int) -> str:
    return f"{2025 + month // 12}-{month % 12 + 1:02d}-01"


@pytest.fixture
def told(kuura: Any) -> Any:
    """Books of fifteen months with pauses, a plan made free, ends that are known, another currency
    and two products: pauses are no churn, and plans at 0 keep their customers.
    """
    connection = connection_make()
    one, other = product_make(connection, "Alusta"), product_make(connection, "Tuki")
    steady, pausing, partly, freed, ending, leaving, both, abroad = (
        customer_make(connection, name)
        for name in ("Aalto", "Berg", "Cedar", "Dune", "Elm", "Fagus", "Gran", "Hus")
    )
    billed(steady, one, range(7), "99.99")
    billed(steady, one, range(7, 15), "100.05")
    billed(pausing, one, [0, 1, 2, 3, 4, 9, 10, 11, 12, 13, 14], "50.01")
    billed(partly, one, [0, 1, 2, 3, 4, 9, 10, 11, 12, 13, 14], "50.01")
    billed(partly, other, range(15), "10.00")
    billed(freed, one, range(6), "33.33")
    billed(freed, one, range(6, 11), "0.00")
    year = Row(net="1199.99", product=other, service=("2025-03-20", "2026-03-20"))
    invoice_make(ending, "2025-03-18", [year])
    # Invoiced ahead, and as long before the old one's end as is allowed.
    renewed = Row(net="1299.99", product=other, service=("2026-03-17", "2027-03-17"))
    invoice_make(ending, "2026-02-20", [renewed])
    billed(leaving, one, range(15), "20.00")
    billed(both, one, [2, 3, 4], "40.00")
    billed(both, other, [3, 4, 5, 11], "15.00")
    billed(abroad, one, range(1, 8), "107.00", acc="10.00", currency="SEK")
    billed(abroad, one, range(8, 15), "128.40", acc="11.13", currency="SEK")
    ReportSettings.objects.create(pause_handling="excluded", free_plans="kept", tolerance_bp=10)
    refreshed()
    for customer, said in (
        (pausing, {"paused": True}),
        (partly, {"paused": True}),
        (leaving, {"end": date(2026, 3, 31), "verdict": "confirmed"}),
    ):
        key = Subscription.objects.get(customer=customer, product=one).key
        SubscriptionDecision.objects.create(key=key, **said)
    refreshed()
    return kuura


def asked(tenant: Any, figure: str, month: str, **query: str) -> Question:
    body = published().body
    words = words_for(tenant, body["currency"])
    return Question(tenant=tenant, figure=figure, month=month, body=body, words=words, query=query)


def periods() -> Iterator[tuple[Any, dict[str, str]]]:
    """Every row of months, quarters and years, with the address that asks for it."""
    for row in published().body["months"]:
        yield row, {}
    for view in (parts.QUARTERS, parts.YEARS):
        for way, rows in ReportPart.objects.get(name=view).body.items():
            for row in rows:
                yield row, {"view": view, "way": way}


def test_rows_behind_a_movement_are_what_it_is_made_of(told: Any, apart: list[str]) -> None:
    wrong = {}
    for row, query in periods():
        for figure in MOVED:
            kind_of(asked(told, figure, row["month"], **query))
            if apart:
                wrong[row["month"], figure, *query.values()] = apart.copy()
                apart.clear()
        for figure, field in COUNTS.items():
            many = len(kind_of(asked(told, figure, row["month"], **query)).parts)
            if many != row[field]:
                wrong[row["month"], figure, *query.values()] = [f"{many} are not {row[field]}"]
    assert wrong == {}
    for field in ("paused_minor", "tolerated_minor", "fx_minor"):
        assert any(row[field] for row, _query in periods()), field


def test_rows_behind_a_rate_are_what_it_divides(told: Any) -> None:
    wrong = {}
    for row, query in periods():
        for figure in ("gross_churn", "net_churn", "nrr", "grr"):
            made = kind_of(asked(told, figure, row["month"], **query)).parts
            share, start = row[f"{figure}_ppm"], row["start_minor"]
            if share is None:
                continue
            above = sum(part.minor for part in made)
            # Each movement is rounded by itself where the rate is published.
            if abs(Fraction(above, start) - Fraction(share, PPM)) > Fraction(4, start):
                wrong[row["month"], figure, *query.values()] = (above, start, share)
    assert wrong == {}


def test_rows_behind_what_is_contracted_are_what_it_is_made_of(told: Any, apart: list[str]) -> None:
    wrong, months = {}, published().body["months"]
    for row in months:
        for figure in sorted(contracted.FIGURES):
            kind_of(asked(told, figure, row["month"]))
            if apart:
                wrong[row["month"], figure] = apart.copy()
                apart.clear()
    assert wrong == {}
    assert sum(1 for row in months if row["ending_minor"]) > 2
    assert any(row["contracted_minor"] for row in months)


def test_rows_behind_a_segment_are_what_it_is_made_of(told: Any, apart: list[str]) -> None:
    wrong = {}
    for dimension in ("product", "currency"):
        part = ReportPart.objects.get(name=f"{parts.SEGMENTS}.{dimension}").body
        wrong |= _wrong_in(told, apart, dimension, part)
    assert wrong == {}


def _wrong_in(told: Any, apart: list[str], dimension: str, part: Any) -> dict[Any, list[str]]:
    wrong = {}
    for segment in part["segments"]:
        if segment["key"] == ADJUSTMENT:
            continue
        for month, row in zip(part["months"], segment["months"], strict=True):
            for figure in sorted(segmented.FIGURES):
                made = kind_of(asked(told, figure, month, by=dimension, key=segment["key"]))
                if figure == "customers" and len(made.parts) != row["customers"]:
                    apart.append(f"{len(made.parts)} are not {row['customers']}")
                if apart:
                    wrong[segment["name"], month, figure] = apart.copy()
                    apart.clear()
    return wrong


def test_an_end_is_known_from_twelve_months_before_it() -> None:
    """Of every day of two years, one of them a leap year."""
    for number in range(731):
        when = date(2023, 1, 1) + timedelta(days=number)
        until = contracted._known_until(when)
        assert add_months_date(until, -KNOWN_MONTHS) <= when
        assert add_months_date(until + timedelta(days=1), -KNOWN_MONTHS) > when
