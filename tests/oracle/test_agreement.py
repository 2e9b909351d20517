"""The engine agrees with the oracle on the sandbox's small companies, to the cent.

The oracle (`documents`, `calendars`, `detection`, `figures`, `money`) reads the documents as the
API shows them and follows the definitions of `docs/metrics.md` with plain loops. It shares no
code with the product. `product` brings the same documents to the engine.

Covered: nets in both currencies, the period of every counted row from row, delivery or text
dates, units and words, and cadence; what counts without review; grace, credits, discounts,
exchange rates; MRR of each customer on each snapshot, movements, rates, revenue; receivables by
age and expected day; cash by month, proposals of financing, burn and runway.

Not covered: people's marks and decisions on products and subscriptions, other thresholds,
tolerances and averages than the defaults, weekly and two-weekly periods, the period of a row
that is credited in full (it nets to nothing), own transfers without an account number, and
several companies in one tenant.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from functools import cache
from typing import Any

import pytest

from integrations.sandbox import Company, build_company
from reporting.domain.movements import Movement
from reporting.domain.receivables import Age
from reporting.domain.report import Report
from tests.oracle import figures, money
from tests.oracle.documents import read
from tests.oracle.product import EPOCH, report_of

ANCHOR = date(2026, 11, 1)
CASES = (
    ("kuusi", 7, date(2026, 11, 1)),
    ("kuusi", 42, date(2026, 11, 20)),
    ("aalto-us", 7, date(2026, 12, 15)),
    ("aalto-us", 42, date(2026, 11, 1)),
    ("koivu", 5, date(2026, 11, 20)),
    ("koivu", 99, date(2026, 11, 1)),
)
# Rates divide cents on one side and their ten-thousandths on the other.
CLOSE = 1e-5


@dataclass(frozen=True)
class Case:
    company: Company
    report: Report
    growth: figures.Growth
    open: list[money.Open]
    cash: money.Cash
    marked: Report
    """The report once the proposed deposits are marked as financing."""
    marked_cash: money.Cash

    def by_month(self, engine: Any, oracle: list[Any]) -> dict[str, tuple[Any, Any]]:
        """Months in which the two differ, with both values."""
        days = [f"{month.day:%Y-%m}" for month in self.growth.months]
        both = zip(days, engine, oracle, strict=True)
        return {day: (ours, theirs) for day, ours, theirs in both if ours != theirs}


@cache
def case_of(slug: str, seed: int, as_of: date) -> Case:
    company = build_company(slug, seed=seed, anchor=ANCHOR)
    invoices, rows = read(company.documents())
    raw = list(company.statements.items.values())
    cash = money.cash(raw, as_of)
    proposed = frozenset(cash.proposed)
    return Case(
        company=company,
        report=report_of(company, as_of),
        growth=figures.grow(rows, as_of),
        open=money.receivables(invoices, as_of),
        cash=cash,
        marked=report_of(company, as_of, proposed),
        marked_cash=money.cash(raw, as_of, proposed),
    )


@pytest.fixture(params=CASES, ids=lambda case: f"{case[0]}-{case[1]}-{case[2]}")
def case(request: pytest.FixtureRequest) -> Case:
    return case_of(*request.param)


def day(number: int) -> date:
    return EPOCH + timedelta(days=int(number))


def test_every_customer_has_the_same_mrr_on_every_snapshot(case: Case) -> None:
    table = case.report.table
    engine = [sorted(int(one) for one in column if one) for column in table.mrr.T]
    oracle = [
        sorted(one for one in customers.values() if one) for customers in case.growth.by_customer
    ]
    assert not case.by_month(engine, oracle)
    assert not case.by_month(case.report.mrr, [minor(one.mrr) for one in case.growth.months])


def minor(e4: int) -> int:
    return figures.half_up(figures.Fraction(e4, figures.E4))


@pytest.mark.parametrize("kind", figures.KINDS)
def test_movements_are_the_same(case: Case, kind: str) -> None:
    movement = Movement[kind.upper()]
    months = case.growth.months
    amounts, counts = case.report.monthly.total(movement), case.report.monthly.count(movement)
    assert not case.by_month(amounts, [one.moved[kind] for one in months])
    assert not case.by_month(counts, [one.counts[kind] for one in months])


def test_displayed_movements_are_within_a_cent_and_add_up(case: Case) -> None:
    for period, month in zip(case.report.periods, case.growth.months, strict=True):
        step = period.step
        moved = [getattr(step, kind) for kind in figures.KINDS]
        new, expansion, contraction, churn, reactivation = moved
        assert (
            step.end
            == step.start + new + expansion - contraction - churn + reactivation + step.fx
            == minor(month.mrr)
        )
        for kind, shown in zip(figures.KINDS, moved, strict=True):
            assert abs(shown * figures.E4 - month.moved[kind]) < figures.E4


def test_exchange_rates_explain_the_same(case: Case) -> None:
    assert not case.by_month(case.report.monthly.fx_total, [one.fx for one in case.growth.months])


def test_customers_are_the_same(case: Case) -> None:
    counts = [one.customers for one in case.growth.months]
    assert not case.by_month(case.report.table.customer.sum(axis=0), counts)


def test_rates_are_the_same(case: Case) -> None:
    for period, month in zip(case.report.periods, case.growth.months, strict=True):
        for name, rate in month.rates.items():
            holder = period if name.startswith("trailing") else period.rates
            assert getattr(holder, name) == (
                None if rate is None else pytest.approx(float(rate), rel=CLOSE, abs=CLOSE)
            ), (month.day, name)


def test_revenue_is_the_same(case: Case) -> None:
    revenue = case.report.revenue
    engine = list(zip(revenue["recurring"].tolist(), revenue["total"].tolist(), strict=True))
    names = [f"{month.day:%Y-%m}" for month in case.growth.months]
    assert not case.by_month(engine, [case.growth.revenue.get(name, (0, 0)) for name in names])


def test_receivables_have_the_same_age_and_expected_day(case: Case) -> None:
    owed = case.report.receivables
    columns = (owed.invoice_id, owed.open_gross, owed.age, owed.expected_day)
    engine = {
        int(invoice): (int(amount), Age(age).name.lower(), day(expected))
        for invoice, amount, age, expected in zip(*columns, strict=True)
    }
    assert engine == {one.invoice: (one.amount, one.bucket, one.expected) for one in case.open}


@pytest.mark.parametrize("marked", [False, True])
def test_cash_months_are_the_same(case: Case, marked: bool) -> None:
    cash = (case.marked if marked else case.report).cash
    columns = (cash.balance, cash.money_in, cash.money_out, cash.financing, cash.complete)
    oracle = case.marked_cash if marked else case.cash
    engine = [tuple(values) for values in zip(*(one.tolist() for one in columns), strict=True)]
    assert engine == [
        (one.balance, one.money_in, one.money_out, one.financing, one.complete)
        for one in oracle.months
    ]


def test_the_same_deposits_are_proposed_as_financing(case: Case) -> None:
    assert len(case.report.cash.proposed_financing) == len(case.cash.proposed)
    assert len(case.marked.cash.proposed_financing) == len(case.marked_cash.proposed)


@pytest.mark.parametrize("marked", [False, True])
def test_runway_is_the_same(case: Case, marked: bool) -> None:
    runway = (case.marked if marked else case.report).cash.runway
    oracle = case.marked_cash if marked else case.cash
    assert runway.state.value == oracle.state
    assert (runway.cash, runway.net_burn, runway.months) == (
        oracle.cash,
        oracle.net_burn,
        oracle.runway,
    )
    assert runway.balance_day is not None
    assert day(runway.balance_day) == oracle.balance_day
    zero = None if runway.zero_cash_day is None else day(runway.zero_cash_day)
    assert zero == oracle.zero_day


def test_only_true_subscriptions_count_with_their_true_length(case: Case) -> None:
    """The oracle itself is held to what the sandbox knows about the rows it made."""
    truth: dict[tuple[int, int], Any] = {}
    places: dict[int, int] = {}
    for one in case.company.truth():
        if one.counts:
            place = places[one.invoice_id] = places.get(one.invoice_id, -1) + 1
            truth[one.invoice_id, place] = one
    wrong = [
        (one.row.place, one.row.text)
        for one in case.growth.services
        if truth[one.row.place].kind != "subscription"
        or (
            one.dated
            and (one.start, one.after) != (truth[one.row.place].start, truth[one.row.place].end)
        )
    ]
    assert not wrong
