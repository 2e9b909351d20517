"""What the report says beyond the movements of months."""

from __future__ import annotations

from datetime import date
from fractions import Fraction

import numpy as np
import pytest

from reporting.domain.choices import (
    Decision,
    Mark,
    ProductMark,
    SubscriptionKey,
    UserWords,
    Verdict,
)
from reporting.domain.cohorts import cohorts
from reporting.domain.metrics import Flow
from reporting.domain.movements import Movement
from tests.reporting.domain.books import (
    Row,
    all_moves,
    cents,
    deferral,
    euros,
    fx_parts,
    month,
    movement_parts,
    moves,
    mrr_on,
    part_total,
    report_on,
)
from tests.reporting.domain.test_choices import BOTH, FREE, PAUSED
from tests.reporting.domain.test_economics import monthly


def span(first: str, end: str, net: str, **kw) -> Row:
    return Row(on=first, net=net, service=(first, end), **kw)


YEAR = span("2025-01-01", "2026-01-01", "1200.00")


def test_a_quarter_is_classified_from_its_own_ends():
    rows = [
        span("2025-01-01", "2025-02-01", "100.00"),
        span("2025-02-01", "2025-03-01", "150.00"),
        span("2025-03-01", "2025-07-01", "480.00"),
    ]
    report = report_on(rows)
    assert [moves(report, f"2025-0{n}") for n in (1, 2, 3)] == [
        {"new": "100.00"},
        {"expansion": "50.00"},
        {"contraction": "30.00"},
    ]
    first = report.by(3)[0]
    assert (euros(first.step.new), first.step.expansion, first.step.contraction) == ("120.00", 0, 0)
    assert (first.first_month, first.last_month) == (month("2025-01"), month("2025-03"))


def test_the_running_month_is_marked_and_stands_on_today():
    rows = [span("2025-02-08", "2025-03-10", "100.00"), YEAR.but(customer=2)]
    report = report_on(rows, as_of="2025-03-05")
    assert report.complete.tolist() == [True, True, False]
    assert not report.periods[-1].complete
    assert report.table.customer.sum(axis=0).tolist() == [1, 2, 2]
    later = report_on(
        [*rows, span("2025-03-20", "2026-03-20", "1200.00", customer=3)], as_of="2025-03-05"
    )
    assert later.table.customer[:, -1].sum() == 2
    assert later.contracted_sums.signed[-1] == 0


def test_trailing_retention_follows_the_customers_of_twelve_months_ago():
    rows = [
        span("2024-01-01", "2025-01-01", "1200.00"),
        span("2025-01-01", "2026-01-01", "1800.00"),
        span("2024-01-01", "2025-01-01", "1200.00", customer=2),
        span("2024-06-01", "2025-06-01", "6000.00", customer=3),
    ]
    report = report_on(rows)
    january = report.periods[month("2025-01") - int(report.months[0])]
    assert january.trailing_nrr == Fraction(150, 200)
    assert january.trailing_grr == Fraction(100, 200)
    assert report.periods[0].trailing_nrr is None


def test_a_return_after_the_chosen_window_is_a_new_customer():
    rows = [span("2025-01-01", "2025-02-01", "100.00"), span("2025-06-01", "2025-07-01", "100.00")]
    assert "reactivation" in moves(report_on(rows, reactivation_months=5), "2025-06")
    assert "new" in moves(report_on(rows, reactivation_months=4), "2025-06")


def test_a_quarter_counts_the_window_to_the_month_of_the_return():
    months = ("2025-01", "2025-02"), ("2025-04", "2025-05"), ("2025-05", "2025-06")
    months += (("2025-06", "2025-07"),)
    rows = [Row(on=f"{a}-01", net="100.00", service=(f"{a}-01", f"{b}-01")) for a, b in months]
    report = report_on(rows, as_of="2025-06-30", reactivation_months=3)
    assert moves(report, "2025-04") == {"reactivation": "100.00"}
    assert report.by(3)[-1].step.reactivation == 10_000


def test_small_changes_are_tolerated_when_asked():
    rows = [span("2025-01-01", "2025-02-01", "100.00"), span("2025-02-01", "2025-03-01", "100.90")]
    report = report_on(rows, tolerance_bp=100)
    assert moves(report, "2025-02") == {}
    assert report.periods[1].step.tolerated == 90


@pytest.mark.parametrize(
    ("price", "found"), [("101.00", {}), ("99.00", {}), ("101.01", {"expansion": "1.01"})]
)
def test_a_change_as_large_as_the_tolerance_is_tolerated(price, found):
    rows = [span("2025-01-01", "2025-02-01", "100.00"), span("2025-02-01", "2025-03-01", price)]
    assert moves(report_on(rows, tolerance_bp=100), "2025-02") == found


def test_an_exchange_rate_and_a_rise_in_one_month_are_told_apart():
    usd = Row(on="2025-01-01", net="110.00", currency="USD")
    report = report_on(
        [
            usd.but(net_acc="100.00", service=("2025-01-01", "2025-02-01")),
            usd.but(
                on="2025-02-01",
                net="220.00",
                net_acc="176.00",
                service=("2025-02-01", "2025-03-01"),
            ),
        ]
    )
    assert moves(report, "2025-02") == {"expansion": "100.00", "fx": "-24.00"}
    assert fx_parts(report, month("2025-02")).total == -24_00_0000


def test_a_customer_whose_credits_outweigh_what_it_pays_has_left_without_an_exchange_effect():
    usd = Row(on="2025-01-01", net="110.00", net_acc="100.00", currency="USD")
    report = report_on(
        [
            usd.but(service=("2025-01-01", "2025-02-01")),
            usd.but(on="2025-02-01", net_acc="90.00", service=("2025-02-01", "2025-03-01")),
            Row(on="2025-01-01", net="10.00", service=("2025-01-01", "2025-03-01")),
            Row(on="2025-02-01", net="-500.00", service=("2025-02-01", "2025-03-01"), credit=True),
        ]
    )
    assert report.mrr.tolist()[:2] == [cents("105.00"), 0]
    assert moves(report, "2025-02") == {"churn": "105.00"}


def test_what_would_stand_at_the_former_rate_is_rounded_to_the_nearest_unit():
    usd = Row(on="2025-01-01", net="0.03", net_acc="0.01", currency="USD")
    january, february = ("2025-01-01", "2025-02-01"), ("2025-02-01", "2025-03-01")
    report = report_on(
        [usd.but(service=january), usd.but(on="2025-02-01", net="0.02", service=february)]
    )
    assert report.monthly.fx_total.tolist()[:2] == [0, 10_000 - 6_667]


def test_a_movement_is_explained_by_its_customers():
    rows = [YEAR, YEAR.but(customer=2, net="2400.00")]
    report = report_on(rows)
    parts = movement_parts(report, month("2025-01"), Movement.NEW)
    assert parts.customers.tolist() == [1, 2]
    assert parts.amounts.tolist() == [100_00_0000, 200_00_0000]
    assert part_total(report, "2025-01", Movement.NEW) == cents("300.00")


def test_the_detected_part_leaves_out_what_people_said():
    mark = ProductMark(product="p7", mark=Mark.RECURRING)
    rows = [YEAR, YEAR.but(customer=2, product=7)]
    report = report_on(rows, words=UserWords(products=(mark,)))
    assert report.total_e4[0] == 200_00_0000
    assert report.detected_e4[0] == 100_00_0000


def test_deferred_falls_to_nothing_and_the_parts_make_the_whole():
    row = span("2025-01-15", "2025-04-15", "100.00").but(on="2025-01-10")
    deferred, accrued = deferral(report_on([row]))
    assert [euros(one) for one in deferred[:4]] == ["66.67", "33.33", "0.00", "0.00"]
    assert not accrued.any()


def test_service_before_its_invoice_is_accrued():
    row = span("2025-01-01", "2025-04-01", "300.00").but(on="2025-03-20")
    deferred, accrued = deferral(report_on([row]))
    assert [euros(one) for one in accrued[:4]] == ["100.00", "200.00", "0.00", "0.00"]
    assert not deferred.any()


def test_the_largest_customers_of_the_last_months():
    rows = [YEAR, YEAR.but(customer=2, net="5.00"), YEAR.but(customer=3, net="9999.00")]
    report = report_on(rows, as_of="2025-06-01")
    customers, amounts = report.top_customers(months=12, limit=2)
    assert customers.tolist() == [3, 1]
    assert amounts.tolist() == [cents("9999.00"), cents("1200.00")]
    assert report.top_customers(months=3)[1].sum() == 0


def test_rates_without_a_base_have_no_value():
    first = report_on([YEAR]).periods[0].rates
    assert first.gross_churn is None
    assert first.customer_churn is None
    assert first.quick_ratio is None
    assert first.arpa_minor == cents("100.00")


def test_displayed_movements_keep_the_identity_where_rounding_would_break_it():
    rows = [
        span("2025-01-01", "2025-04-01", "100.00", customer=number) for number in range(1, 8)
    ] + [span("2025-04-01", "2025-07-01", "55.55", customer=number) for number in range(1, 4)]
    report = report_on(rows)
    april = report.periods[3].step
    assert april.end == april.start - april.contraction - april.churn
    assert mrr_on(report, "2025-04") == euros(april.end)
    assert list(all_moves(report)) == ["2025-01", "2025-04", "2025-07"]


def test_figures_far_beyond_any_company_stay_exact():
    rows = [span("2025-01-01", "2026-01-01", "90000000000.07", customer=n) for n in range(1, 9)]
    report = report_on(rows)
    one = Fraction(9_000_000_000_007 * 10_000, 12)
    assert int(report.total_e4[0]) == 8 * int(one + Fraction(1, 2))
    assert np.array_equal(report.total_e4[:12], np.full(12, report.total_e4[0]))


def test_what_a_pause_stopped_lowers_both_retentions_and_no_churn():
    flow = Flow(start=400, paused=100)
    assert (flow.nrr, flow.grr) == (Fraction(3, 4), Fraction(3, 4))
    assert (flow.gross_churn_rate, flow.net_churn_rate) == (0, 0)


def test_churn_has_no_paused_part_where_pauses_stand_outside_it():
    inside, outside = (
        report_on(BOTH, as_of="2025-12-31", words=PAUSED, pauses_churn=churns)
        for churns in (True, False)
    )
    april = month("2025-04") - int(inside.months[0])
    assert inside.periods[april].churn_paused == cents("100.00")
    assert outside.periods[april].churn_paused == 0


def test_a_cohort_keeps_the_customers_whose_plan_was_made_free():
    def kept(**settings):
        report = report_on(FREE, as_of="2025-05-31", **settings)
        found = cohorts(report.cohort_sums, report.calendar)["cohorts"]
        return [(row["month"], row["customers"]) for row in found]

    assert kept() == [("2025-01", [1, 1, 0, 0, 1])]
    assert kept(keep_free=True) == [("2025-01", [1, 1, 1, 1, 1])]


def test_averages_of_cohorts_leave_the_running_month_out():
    report = report_on(monthly("100.00", 1, 3), as_of="2025-03-15")
    table = cohorts(report.cohort_sums, report.calendar)
    assert table["cohorts"][0]["customers"] == [1, 1, 1]
    assert table["customers_ppm"] == table["mrr_ppm"] == [1_000_000, 1_000_000, None]


def test_cohorts_whose_first_month_is_not_known_yet_are_left_out():
    rows = [*monthly("100.00", 1, 4, customer=1), *monthly("100.00", 3, 4, customer=2)]
    report = report_on(rows, as_of="2025-04-30")
    table = cohorts(report.cohort_sums, report.calendar, known_from=month("2025-02"))
    assert [row["month"] for row in table["cohorts"]] == ["2025-03"]
    assert table["customers_ppm"] == [1_000_000, 1_000_000]


def test_an_end_that_a_person_set_is_known_from_twelve_months_before():
    key = SubscriptionKey(1, "n:alusta", "EUR")
    ends = Decision(key=key, verdict=Verdict.CONFIRMED, end=date(2025, 7, 1))
    line = Row(on="2024-01-01", net="2400.00", service=("2024-01-01", "2026-01-01"))
    report = report_on([line], as_of="2024-12-31", words=UserWords(decisions=(ends,)))
    assert report.contracted_sums.ending.tolist() == [0] * 6 + [100_00_0000] * 6


@pytest.mark.parametrize(("begins", "ending"), [("2025-12-29", 100_00_0000), ("2025-12-28", 0)])
def test_a_renewal_may_begin_three_days_before_what_it_renews_ends(begins, ending):
    year = Row(on="2025-01-01", net="1200.00", service=("2025-01-01", "2026-01-01"))
    renewal = year.but(on="2025-12-01", service=(begins, begins.replace("2025", "2026")))
    report = report_on([year, renewal], as_of="2025-12-15")
    assert report.contracted_sums.ending[-1] == ending
