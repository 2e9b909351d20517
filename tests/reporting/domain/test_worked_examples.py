"""The worked examples H01 to H26 that the engine must meet, numbers by hand."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pytest

from reporting.domain.cohorts import cohorts
from reporting.domain.economics import acquisition_cost, lifetime_value, payback
from reporting.domain.findings import Status
from reporting.domain.metrics import Flow, customer_churn_rate
from reporting.domain.movements import Movement, classify
from reporting.domain.periods import day_date, months_between
from reporting.domain.receivables import Age
from reporting.domain.recognition import recognition_sums
from reporting.domain.runway import State
from tests.reporting.domain.books import (
    Row,
    all_moves,
    bank_of,
    cents,
    day,
    deferral,
    euros,
    month,
    moves,
    mrr_on,
    mrr_parts,
    receivables_of,
    report_on,
)

YEAR_2025 = ("2025-01-01", "2026-01-01")


def months_of_2025(first: int = 1, last: int = 12) -> list[str]:
    return [f"2025-{number:02d}" for number in range(first, last + 1)]


def test_h01_an_annual_line_counts_a_twelfth_at_each_month_end():
    report = report_on([Row(on="2025-01-01", net="1200.00", service=YEAR_2025)])
    assert [mrr_on(report, one) for one in months_of_2025()] == ["100"] * 12
    assert mrr_on(report, "2026-01") == "0"
    assert all_moves(report) == {"2025-01": {"new": "100.00"}, "2026-01": {"churn": "100.00"}}


def test_h02_a_quarterly_line_counts_a_third_and_churns_after_its_end():
    report = report_on([Row(on="2025-02-01", net="300.00", service=("2025-02-01", "2025-05-01"))])
    assert [mrr_on(report, one) for one in months_of_2025(1, 5)] == ["0", "100", "100", "100", "0"]
    assert all_moves(report)["2025-05"] == {"churn": "100.00"}


def test_h03_a_mid_month_quarter_stands_at_three_month_ends():
    report = report_on([Row(on="2025-01-15", net="300.00", service=("2025-01-15", "2025-04-15"))])
    assert [mrr_on(report, one) for one in months_of_2025(1, 4)] == ["100", "100", "100", "0"]


def test_h04_a_line_discount_reduces_mrr():
    net = str(2 * Decimal("50.00") * Decimal("0.80"))
    rows = [Row(on="2025-03-01", net=net, quantity="2", service=("2025-03-01", "2025-04-01"))]
    assert mrr_on(report_on(rows), "2025-03") == "80"


def test_h05_vat_is_no_part_of_mrr():
    net = str(Decimal("125.50") / Decimal("1.255"))
    rows = [Row(on="2025-03-01", net=net, service=("2025-03-01", "2025-04-01"))]
    assert mrr_on(report_on(rows), "2025-03") == "100"


def test_h06_a_set_up_fee_beside_a_plan_is_non_recurring_revenue():
    service = ("2025-03-01", "2025-04-01")
    report = report_on(
        [
            Row(on="2025-03-01", net="500.00", name="Käyttöönotto", invoice=1),
            Row(on="2025-03-01", net="100.00", name="Alusta", invoice=1, service=service),
        ]
    )
    assert mrr_on(report, "2025-03") == "100"
    assert int(report.revenue["non_recurring"][0]) == cents("500.00")
    assert int(report.revenue["recurring"][0]) == cents("100.00")


def test_h07_a_credit_for_half_a_year_ends_the_mrr_of_that_half():
    report = report_on(
        [
            Row(on="2025-01-01", net="1200.00", service=YEAR_2025),
            Row(
                on="2025-07-01",
                net="-600.00",
                service=("2025-07-01", "2026-01-01"),
                credit=True,
            ),
        ]
    )
    assert [mrr_on(report, one) for one in months_of_2025(1, 6)] == ["100"] * 6
    assert [mrr_on(report, one) for one in months_of_2025(7, 12)] == ["0"] * 6
    assert all_moves(report) == {"2025-01": {"new": "100.00"}, "2025-07": {"churn": "100.00"}}


def test_h08_a_difference_line_adds_its_own_mrr():
    report = report_on(
        [
            Row(on="2025-01-01", net="1200.00", service=YEAR_2025),
            Row(on="2025-07-16", net="600.00", service=("2025-07-16", "2026-01-01")),
        ]
    )
    numerator, denominator = months_between([day("2025-07-16")], [day("2026-01-01")])
    assert f"{numerator[0] / denominator[0]:.6f}" == "5.516129"
    assert mrr_on(report, "2025-07") == "208.77"
    assert moves(report, "2025-07") == {"expansion": "108.77"}


def test_h09_movements_are_netted_by_customer():
    rows = [
        Row(on="2025-01-01", net="100.00", name="A", service=("2025-01-01", "2025-02-01")),
        Row(on="2025-02-01", net="60.00", name="A", service=("2025-02-01", "2025-03-01")),
        Row(on="2025-02-01", net="70.00", name="B", service=("2025-02-01", "2025-03-01")),
    ]
    report = report_on(rows)
    assert moves(report, "2025-02") == {"expansion": "30.00"}
    by_line = dict(zip(*(part.tolist() for part in _parts(report, "2025-02")), strict=True))
    assert by_line == {1: 60_00_0000, 2: 70_00_0000}


def _parts(report, text):
    parts = mrr_parts(report, month(text))
    return parts.line_rows, parts.amounts


def test_h10_leaving_and_returning_inside_a_month_is_neither_churn_nor_reactivation():
    rows = [
        Row(on="2025-03-05", net="100.00", service=("2025-03-05", "2025-04-05")),
        Row(on="2025-04-20", net="120.00", service=("2025-04-20", "2025-05-20")),
    ]
    report = report_on(rows)
    assert (mrr_on(report, "2025-03"), mrr_on(report, "2025-04")) == ("100", "120")
    assert moves(report, "2025-04") == {"expansion": "20.00"}


def test_h11_a_return_after_two_months_is_a_reactivation():
    rows = [
        Row(on="2025-03-01", net="100.00", service=("2025-03-01", "2025-04-01")),
        Row(on="2025-06-01", net="80.00", service=("2025-06-01", "2025-07-01")),
    ]
    report = report_on(rows)
    assert moves(report, "2025-04") == {"churn": "100.00"}
    assert moves(report, "2025-06") == {"reactivation": "80.00"}


def test_h12_an_exchange_rate_is_no_movement():
    usd = Row(on="2025-01-01", net="110.00", currency="USD")
    report = report_on(
        [
            usd.but(net_acc="100.00", service=("2025-01-01", "2025-02-01")),
            usd.but(on="2025-02-01", net_acc="88.00", service=("2025-02-01", "2025-03-01")),
        ]
    )
    assert (mrr_on(report, "2025-01"), mrr_on(report, "2025-02")) == ("100", "88")
    assert moves(report, "2025-02") == {"fx": "-12.00"}


def test_h13_identity_and_rates_of_a_period():
    flow = Flow(start=1000, new=200, expansion=100, contraction=50, churn=100, reactivation=30)
    assert (flow.end, flow.net_new) == (1180, 180)
    rates = (
        flow.gross_churn_rate,
        flow.net_churn_rate,
        flow.net_churn_rate_without_reactivation,
        flow.nrr,
        flow.grr,
        flow.quick_ratio,
        flow.quick_ratio_without_reactivation,
    )
    expected = ("0.15", "0.02", "0.05", "0.95", "0.85", "2.2", "2")
    assert rates == tuple(Fraction(one) for one in expected)


def test_h14_joiners_and_returners_of_the_period_are_no_churned_customers():
    rate = customer_churn_rate(start=100, lost=12, joined_and_left=1, left_and_back=1)
    assert rate == Fraction("0.10")


def test_h15_lifetime_values_cost_and_payback():
    arpa, churn, margin = Fraction(100), Fraction("0.05"), Fraction("0.80")
    cac = acquisition_cost(30_000, 10)
    ours = lifetime_value(arpa, churn, margin)
    assert lifetime_value(arpa, churn) == 2000
    assert ours == 1600
    assert lifetime_value(arpa, Fraction("0.02"), margin) == 4000
    assert cac == 3000
    assert payback(cac, arpa, margin) == Fraction("37.5")
    assert f"{float(ours / cac):.4f}" == "0.5333"


def test_h16_daily_recognition_rounds_so_that_the_parts_make_the_whole():
    row = Row(on="2025-01-15", net="1200.00", service=("2025-01-15", "2026-01-15"))
    report = report_on([row])
    sums = recognition_sums(report.schedule(daily=True), report.calendar)
    parts = ("55.89", "92.06", "101.91", "98.63", "101.92", "98.63", "101.92", "101.92", "98.63")
    assert [euros(one) for one in sums.recognised[:13]] == [
        *parts,
        *("101.91", "98.63", "101.92", "46.03"),
    ]
    assert sums.recognised.sum() == cents("1200.00")
    assert euros(sums.deferred[0]) == "1144.11"


def test_h17_an_annual_invoice_sent_ahead_is_deferred_and_counts_from_its_start():
    report = report_on([Row(on="2024-12-10", net="1200.00", service=YEAR_2025)])
    december, january = (month(one) - int(report.months[0]) for one in ("2024-12", "2025-01"))
    deferred, accrued = deferral(report)
    assert mrr_on(report, "2024-12") == "0"
    assert report.contracted_sums.signed[december] == cents("100.00") * 10_000
    assert report.contracted_sums.signed[january] == 0
    assert int(deferred[december]) == cents("1200.00")
    assert int(deferred[january]) == cents("1100.00")
    assert not accrued.any()


def _bank(amounts, opening, financing=()):
    """One account, statements from August to October 2025, one event a month."""
    days = ("2025-08-15", "2025-09-15", "2025-10-15")
    events = [(0, on, amount) for on, amount in zip(days, amounts, strict=False)]
    extra = [(0, "2025-09-20", amount) for amount in financing]
    return bank_of(
        statements=[(0, "2025-08-01", "2025-10-31", opening)],
        events=events + extra,
        financing=range(len(events), len(events) + len(extra)),
    )


def test_h18_runway_is_cash_over_the_burn_of_three_complete_months():
    bank = _bank(("-30000", "-20000", "-25000"), "375000")
    for average in ("MEAN", "MEDIAN"):
        report = _runway_on("2025-11-01", bank, average)
        assert euros(report.net_burn) == "25000.00"
        assert report.state is State.OK
        assert str(report.months) == "12.0"
        assert day_date(report.zero_cash_day) == date(2026, 10, 31)
        assert day_date(report.balance_day) == date(2025, 10, 31)
        assert euros(report.cash) == "300000.00"


def _runway_on(as_of, bank, average="MEAN"):
    from reporting.domain.choices import Average

    return report_on([], as_of=as_of, bank=bank, burn_average=Average[average]).cash.runway


def test_h19_a_funding_round_does_not_hide_the_burn():
    amounts = ("-30000", "-20000", "-25000")
    runway = _runway_on("2025-11-01", _bank(amounts, "375000", financing=["500000"]))
    assert euros(runway.cash) == "800000.00"
    assert str(runway.months) == "32.0"
    unmarked = bank_of(
        statements=[(0, "2025-08-01", "2025-10-31", "375000")],
        events=[
            *((0, f"2025-{8 + n:02d}-15", amount) for n, amount in enumerate(amounts)),
            (0, "2025-09-20", "500000"),
        ],
    )
    report = report_on([], as_of="2025-11-01", bank=unmarked)
    assert report.cash.runway.state is State.CASHFLOW_POSITIVE
    assert report.cash.proposed_financing.tolist() == [3]


def test_h20_states_without_a_number():
    growing = _runway_on("2025-11-01", _bank(("5000", "5000", "5000"), "85000"))
    empty = _runway_on("2025-11-01", _bank(("-10000", "-10000", "-10000"), "30000"))
    short = _runway_on(
        "2025-11-01", bank_of(statements=[(0, "2025-10-01", "2025-10-31", "100000")])
    )
    blind = report_on([], as_of="2025-11-01").cash.runway
    states = [one.state.value for one in (growing, empty, short, blind)]
    assert states == ["cashflow_positive", "no_cash", "insufficient_history", "no_cash_data"]
    assert all(one.months is None and one.zero_cash_day is None for one in (growing, empty))
    assert short.months is None
    assert (blind.cash, blind.months) == (None, None)


def test_h22_an_overdue_receivable_is_expected_today():
    receivables = receivables_of([(1, "2025-09-30", "1000", None)])
    found = report_on([], as_of="2025-10-15", receivables=receivables).receivables
    assert found.expected_day.tolist() == [day("2025-10-15")]
    assert found.overdue_days.tolist() == [15]
    assert found.by_age[Age.UP_TO_30] == cents("1000")


def test_h23_a_cohort_s_retention_is_its_mrr_over_its_first():
    amounts = {"2025-01": "500.00", "2025-02": "550.00", "2025-03": "400.00"}
    following = {"2025-01": "2025-02-01", "2025-02": "2025-03-01", "2025-03": "2025-04-01"}
    rows = [
        Row(on=f"{at}-01", net=net, service=(f"{at}-01", following[at]))
        for at, net in amounts.items()
    ]
    report = report_on(rows, as_of="2025-03-31")
    table = cohorts(report.cohort_sums, report.calendar)
    assert table["mrr_ppm"] == [1_000_000, 1_100_000, 800_000]
    assert table["cohorts"] == [
        {
            "month": "2025-01",
            "customers": [1, 1, 1],
            "mrr_minor": [cents(net) for net in amounts.values()],
        }
    ]


def test_h24_a_missing_next_invoice_is_late_for_the_grace_and_then_rewrites_its_month():
    rows = [
        Row(on=f"2025-{number:02d}-01", net="100.00", service=(f"2025-{number:02d}-01", end))
        for number, end in ((1, "2025-02-01"), (2, "2025-03-01"))
    ]
    waiting = report_on(rows, as_of="2025-03-20")
    assert mrr_on(waiting, "2025-03") == "100"
    assert waiting.subscriptions[0].status is Status.LATE
    assert waiting.late_e4 == cents("100.00") * 10_000
    last_day = report_on(rows, as_of="2025-03-31")
    assert last_day.subscriptions[0].status is Status.LATE
    after = report_on(rows, as_of="2025-04-05")
    assert after.subscriptions[0].status is Status.CHURNED
    assert all_moves(after)["2025-03"] == {"churn": "100.00"}


def test_h25_a_price_rise_at_renewal_is_expansion():
    before = Row(on="2025-05-01", net="100.00", service=("2025-05-01", "2025-06-01"))
    after = before.but(on="2025-06-01", net="110.00", service=("2025-06-01", "2025-07-01"))
    assert moves(report_on([before, after]), "2025-06") == {"expansion": "10.00"}


def test_h26_a_gap_that_crosses_no_month_end_is_neutral():
    rows = [
        Row(on="2025-01-01", net="100.00", service=("2025-01-01", "2025-02-01")),
        Row(on="2025-02-04", net="100.00", service=("2025-02-04", "2025-03-04")),
    ]
    report = report_on(rows)
    assert (mrr_on(report, "2025-01"), mrr_on(report, "2025-02")) == ("100", "100")
    assert moves(report, "2025-02") == {}


@pytest.mark.parametrize(
    ("prev", "now", "known", "expected"),
    [
        (0, 5, False, Movement.NEW),
        (0, 5, True, Movement.REACTIVATION),
        (5, 7, True, Movement.EXPANSION),
        (7, 5, True, Movement.CONTRACTION),
        (5, 0, True, Movement.CHURN),
        (5, 5, True, Movement.NONE),
        (0, 0, True, Movement.NONE),
    ],
)
def test_a_change_has_one_name(prev, now, known, expected):
    kinds = classify(np.array([prev]), np.array([now]), np.array([known]))
    assert kinds.tolist() == [expected]
