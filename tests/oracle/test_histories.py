"""The engine agrees with the oracle over generated histories, to the cent: fifty in the suite, five
hundred every night, and the sandbox's companies.

Compared: MRR of each customer on each snapshot; movements, counts and exchange rates of months,
quarters and years, and of each segment; sums of months; trailing retention; cohorts; revenue
recognition by both methods, deferred revenue by line; contracted MRR; unit economics; refunds;
all of it also with a tolerance, a reactivation window and a limit for unpaid invoices.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from typing import Any

import numpy as np
import pytest

from integrations.sandbox import build_company
from reporting.domain.cohorts import cohorts
from reporting.domain.economics import economics
from reporting.domain.growth import GrowthSums
from reporting.domain.movements import Movement
from reporting.domain.recognition import deferred_by_line, recognition_sums
from reporting.domain.refunds import refund_months, refund_sums
from reporting.domain.report import Report
from reporting.domain.segments import Belonging
from reporting.domain.segments import Row as Figure
from tests.oracle import product, views
from tests.oracle.documents import half_up, read
from tests.oracle.histories import history_of, receivables_of, report_of
from tests.oracle.test_agreement import CASES

HISTORIES = 500
BLOCK = 50
RULES = (
    views.Rules(),
    views.Rules(tolerance_bp=1200),
    views.Rules(window=2),
    views.Rules(overdue_days=30),
)
MARGIN, LAG = 7_500, 1
COUNTRIES = {1: "FI", 2: "FI", 3: "SE"}
KEYS: dict[Any, Any] = {
    "product": lambda one: one.row.product[1:],
    "currency": lambda one: one.row.invoice.currency,
    "country": lambda one: COUNTRIES.get(int(one.row.customer[1:]), ""),
}


@dataclass(frozen=True)
class Pair:
    """One history as both sides see it."""

    name: str
    report: Report
    books: views.Books

    def same(self, what: str, engine: Any, oracle: Any) -> None:
        assert engine == oracle, f"{self.name}: {what}"


def pair_of(seed: int) -> Pair:
    history, rules = history_of(seed), RULES[seed % len(RULES)]
    report = report_of(
        history,
        tolerance_bp=rules.tolerance_bp,
        reactivation_months=rules.window,
        overdue_days=rules.overdue_days,
        gross_margin_bp=MARGIN,
        cac_lag_months=LAG,
    )
    found = views.books(history.rows, history.as_of, history.open, rules)
    return Pair(f"history {seed}", report, found)


@cache
def block_of(number: int) -> list[Pair]:
    return [pair_of(seed) for seed in range(number * BLOCK, (number + 1) * BLOCK)]


@cache
def companies() -> list[Pair]:
    """The sandbox's own companies, with every trap."""
    pairs = []
    for slug, seed, as_of in CASES[::2]:
        company = build_company(slug, seed=seed, anchor=CASES[0][2])
        _, rows = read(company.documents())
        found = views.books(rows, as_of, {}, views.Rules())
        pairs.append(Pair(f"{slug} {seed}", product.report_of(company, as_of), found))
    return pairs


_BLOCKS = [pytest.param(number, marks=pytest.mark.nightly) for number in range(HISTORIES // BLOCK)]


@pytest.fixture(params=[pytest.param(0), *_BLOCKS[1:], "sandbox"])
def pairs(request: pytest.FixtureRequest) -> list[Pair]:
    return companies() if request.param == "sandbox" else block_of(request.param)


def moved(sums: GrowthSums) -> list[Any]:
    rows = [Movement[kind.upper()] for kind in views.KINDS]
    return [
        (
            int(sums.start[place]),
            int(sums.end[place]),
            int(sums.fx[place]),
            sums.moved[rows, place].tolist(),
            sums.movers[rows, place].tolist(),
            int(sums.customers_start[place]),
            int(sums.customers_end[place]),
        )
        for place in range(len(sums.start))
    ]


def moved_by_oracle(steps: list[views.Step]) -> list[Any]:
    return [
        (
            one.start,
            one.end,
            one.fx,
            list(one.moved.values()),
            list(one.counts.values()),
            one.paying_start,
            one.paying_end,
        )
        for one in steps
    ]


def test_months_quarters_and_years_move_alike(pairs: list[Pair]) -> None:
    for one in pairs:
        for length in (1, 3, 12):
            chosen = views.ends(one.books.days, length)
            steps = views.steps(one.books, chosen, views.customer_of, floor=True)
            sums = one.report.monthly_sums if length == 1 else one.report.growth_sums(length)
            one.same(f"periods of {length} months", moved(sums), moved_by_oracle(steps))


def test_a_sum_of_months_keeps_the_churn_of_customers_that_the_corrections_leave(
    pairs: list[Pair],
) -> None:
    for one in pairs:
        days = one.books.days
        months = views.steps(one.books, [*range(len(days))], views.customer_of, floor=True)
        own = views.steps(one.books, views.ends(days, 3), views.customer_of, floor=True)
        begin = 0
        for period, whole, last in zip(one.report.summed(3), own, views.ends(days, 3), strict=True):
            inside = months[begin : last + 1]
            lost = sum(month.moved["churn"] + month.moved["contraction"] for month in inside)
            one.same("churn", period.rates.gross_churn, over(lost, whole.start))
            left = over(whole.counts["churn"], whole.paying_start)
            one.same("customer churn", period.rates.customer_churn, left)
            joined = sum(month.counts["new"] for month in inside)
            one.same("new customers", period.new_customers, joined)
            begin = last + 1


def test_retention_follows_the_money_of_who_paid(pairs: list[Pair]) -> None:
    """Over months, quarters and twelve months, whatever the tolerance."""
    for one in pairs:
        places = range(len(one.books.days))
        quarters, found = views.ends(one.books.days, 3), one.report.by(3)
        steps = [
            *((one.report.periods[place].rates, place - 1, place) for place in places[1:]),
            *((found[at].rates, quarters[at - 1], quarters[at]) for at in range(1, len(quarters))),
        ]
        shown = [(rates.nrr, rates.grr) for rates, _, _ in steps]
        shown += [(later.trailing_nrr, later.trailing_grr) for later in one.report.periods[12:]]
        spans = [(before, place) for _, before, place in steps]
        spans += [(place - 12, place) for place in places[12:]]
        whole = [views.retained(one.books, *span) for span in spans]
        oracle = [(over(kept, then), over(capped, then)) for then, kept, capped in whole]
        one.same("retention", shown, oracle)


def over(part: int, whole: int) -> Fraction | None:
    return Fraction(part, whole) if whole else None


def test_cohorts_keep_the_same_customers_and_mrr(pairs: list[Pair]) -> None:
    for one in pairs:
        table = cohorts(one.report.cohort_sums, one.report.calendar)
        shown = {
            row["month"]: list(zip(row["customers"], row["mrr_minor"], strict=True))
            for row in table["cohorts"]
        }
        oracle = {
            f"{day:%Y-%m}": [(who, half_up(Fraction(mrr, views.E4))) for who, mrr in cells]
            for day, cells in views.cohorts(one.books).items()
        }
        one.same("cohorts", shown, oracle)


def test_segments_move_alike_and_add_up(pairs: list[Pair]) -> None:
    groups = Belonging(product_group={}, customer_group={}, country=COUNTRIES)
    for one in pairs:
        if not one.name.startswith("history"):
            continue
        everyone = [*range(len(one.books.days))]
        for dimension, key in KEYS.items():
            sums = one.report.segment_sums(groups, dimension)
            total = sums.figures[:, Figure.MRR].sum(axis=0) + sums.adjustment
            one.same("sum of segments", total.tolist(), one.report.total_e4.tolist())
            figures = dict(zip(sums.keys, sums.figures, strict=True))
            for name in {key(service) for service in one.books.services}:
                found = only(one.books, key, name)
                steps = views.steps(found, everyone, views.customer_of, floor=False)
                figure = figures.get(name, np.zeros(sums.figures.shape[1:]))
                one.same(f"{dimension} {name}", segment(figure), expected_segment(steps))


def only(books: views.Books, key: Any, name: str) -> views.Books:
    kept = [service for service in books.services if key(service) == name]
    return views.Books(**{**vars(books), "services": kept})


def segment(figure: Any) -> list[Any]:
    names = [Figure[kind.upper()] for kind in views.KINDS]
    return [
        (
            int(figure[Figure.MRR, place]),
            int(figure[Figure.FX, place]),
            figure[names, place].tolist(),
            int(figure[Figure.CUSTOMERS, place]),
        )
        for place in range(figure.shape[1])
    ]


def expected_segment(steps: list[views.Step]) -> list[Any]:
    return [(one.end, one.fx, list(one.moved.values()), one.paying_end) for one in steps]


@pytest.mark.parametrize("daily", [False, True])
def test_revenue_is_recognised_alike(pairs: list[Pair], daily: bool) -> None:
    for one in pairs:
        plan = one.report.schedule(daily=daily)
        sums = recognition_sums(plan, one.report.calendar)
        shown = [
            np.cumsum(sums.invoiced).tolist(),
            np.cumsum(sums.recognised).tolist(),
            sums.deferred.tolist(),
            sums.accrued.tolist(),
        ]
        oracle = views.recognised(one.books, daily=daily)
        one.same("recognition", list(zip(*shown, strict=True)), oracle)
        by_line = deferred_by_line(plan, len(one.report.lines), one.report.calendar)
        one.same("deferred by line", int(by_line.sum()), oracle[-1][2])


def test_contracted_mrr_is_alike(pairs: list[Pair]) -> None:
    for one in pairs:
        sums = one.report.contracted_sums
        shown = list(zip(sums.signed.tolist(), sums.ending.tolist(), strict=True))
        one.same("contracted", shown, views.contracted(one.books))


def test_unit_economics_are_alike(pairs: list[Pair]) -> None:
    for one in pairs:
        if not one.name.startswith("history"):
            continue
        costs = history_of(int(one.name.split()[1])).costs
        settings = one.report.settings
        found = economics(one.report.periods, one.report.first_invoices, costs, settings)
        everyone = [*range(len(one.books.days))]
        steps = views.steps(one.books, everyone, views.customer_of, floor=True)
        for place, row in enumerate(found["months"]):
            oracle = expected_economics(one, steps, place, costs)
            assert {name: row[name] for name in oracle} == oracle, (one.name, row["month"])


def expected_economics(
    one: Pair, steps: list[views.Step], place: int, costs: dict[int, int]
) -> dict[str, int | None]:
    step, day = steps[place], one.books.days[place]
    new = step.counts["new"]
    period = one.report.periods[place]
    arpa = over(half_up(Fraction(step.end, views.E4)), step.paying_end)
    before = [over(month.counts["churn"], month.paying_start) for month in steps[:place][-6:]]
    known = [rate for rate in before if rate is not None]
    churn = sum(known, Fraction(0)) / 6 if len(known) == 6 else None
    cost = costs.get(day.year * 12 + day.month - 1 - LAG)
    cac = over(cost, new) if cost is not None else None
    # Of the displayed new MRR, which stands beside it.
    new_arpa = over(period.step.new, new)
    margin = Fraction(MARGIN, 10_000)
    ltv = arpa * margin / churn if arpa is not None and churn else None
    asp = over(views.first_invoices(one.books, step, place), new)
    payback = cac / (new_arpa * margin) * 10 if cac is not None and new_arpa else None
    return {
        "arpa_minor": shown(arpa),
        "asp_minor": shown(asp),
        "customer_churn_6_ppm": None if churn is None else shown(churn * 1_000_000),
        "ltv_ours_minor": shown(ltv),
        "cac_minor": shown(cac),
        "payback_months_tenths": shown(payback),
    }


def shown(value: Fraction | None) -> int | None:
    return None if value is None else half_up(value)


def test_credit_notes_and_overdue_invoices_are_alike(pairs: list[Pair]) -> None:
    for one in pairs:
        if not one.name.startswith("history"):
            continue
        history = history_of(int(one.name.split()[1]))
        calendar = one.report.calendar
        found = refund_months(refund_sums(receivables_of(history), calendar), calendar)
        for row in found:
            own = [bill for bill in history.invoices if f"{bill.day:%Y-%m}" == row["month"]]
            late = [
                history.open[bill.id]
                for bill in own
                if bill.due < history.as_of and history.open.get(bill.id, 0) != 0
            ]
            credits = [bill.total_home for bill in own if bill.total_home < 0]
            one.same(
                "refunds",
                (
                    row["credit_notes"],
                    row["credited_minor"],
                    row["billed_minor"],
                    row["overdue_minor"],
                    row["overdue_invoices"],
                ),
                (
                    len(credits),
                    -sum(credits),
                    sum(bill.total_home for bill in own if bill.total_home > 0),
                    sum(late),
                    len(late),
                ),
            )
