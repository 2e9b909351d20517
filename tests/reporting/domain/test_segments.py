"""Segments add up to the total, and the identity holds in each."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from reporting.domain.report import Report
from reporting.domain.segments import ADJUSTMENT, OTHER, Belonging, SegmentSums, segments
from reporting.parts import DIMENSIONS
from tests.reporting.domain.books import Row, cents, lines_of, report_on
from tests.reporting.domain.test_properties import DAYS, HISTORIES, measured

GROUPS = Belonging(
    product_group={1: "Palvelut", 2: "Lisenssit"},
    customer_group={1: "Pienet", 2: "Suuret"},
    country={1: "FI", 2: "FI", 3: "SE"},
)
SIGNED = {
    "new_minor": 1,
    "expansion_minor": 1,
    "contraction_minor": -1,
    "churn_minor": -1,
    "reactivation_minor": 1,
    "paused_minor": -1,
    "tolerated_minor": 1,
    "fx_minor": 1,
}


def table(report: Report, dimension="product", groups=GROUPS):
    sums = report.segment_sums(groups, dimension)
    return segments(sums, report.months, dimension)


def check(report: Report, found) -> None:
    """Segments make the total, and each leads from one month to the next."""
    for place, total in enumerate(report.mrr.tolist()):
        assert sum(one["months"][place]["mrr_minor"] for one in found["segments"]) == total
    for one in found["segments"]:
        start = 0
        for row in one["months"]:
            moved = sum(row[name] * sign for name, sign in SIGNED.items())
            assert start + moved == row["mrr_minor"], (one["key"], row)
            start = row["mrr_minor"]


@given(history=HISTORIES, as_of=DAYS, tolerance=st.sampled_from([0, 100]))
@settings(max_examples=25, deadline=None)
def test_segments_add_up_and_each_holds_the_identity(history, as_of, tolerance):
    numbered = [row.but(product=place % 4 - 1) for place, row in enumerate(history)]
    report = measured(lines_of(numbered), as_of, tolerance_bp=tolerance)
    for dimension in DIMENSIONS:
        check(report, table(report, dimension))


@given(history=HISTORIES, as_of=DAYS)
@settings(max_examples=10, deadline=None)
def test_a_customer_can_be_taken_off_and_added_again(history, as_of):
    lines = lines_of(history)
    whole = measured(lines, as_of)
    for dimension in DIMENSIONS:
        sums = whole.segment_sums(GROUPS, dimension)
        for customer in whole.table.customers.tolist():
            part = measured_alone(lines, customer, whole)
            rest = sums - part.segment_sums(GROUPS, dimension)
            again = rest + part.segment_sums(GROUPS, dimension)
            assert same(again, sums)


def measured_alone(lines, customer, whole):
    chosen = lines.take(np.flatnonzero(lines.customer_id == customer))
    return measured(chosen, whole.settings.as_of, since=int(whole.months[0]))


def same(one: SegmentSums, other: SegmentSums) -> bool:
    return (
        one.keys == other.keys
        and np.array_equal(one.figures, other.figures)
        and np.array_equal(one.adjustment, other.adjustment)
    )


def test_who_swaps_products_leaves_one_segment_and_enters_another():
    rows = [
        Row(on="2025-01-01", net="100.00", product=1, service=("2025-01-01", "2025-02-01")),
        Row(on="2025-02-01", net="60.00", product=2, service=("2025-02-01", "2025-03-01")),
    ]
    found = table(report_on(rows))
    by_key = {one["key"]: one["months"][1] for one in found["segments"]}
    assert by_key["1"]["churn_minor"] == cents("100.00")
    assert by_key["2"]["new_minor"] == cents("60.00")
    assert ADJUSTMENT not in by_key


def test_a_customer_lifted_above_zero_is_lifted_in_the_adjustment():
    rows = [
        Row(on="2025-01-01", net="100.00", service=("2025-01-01", "2025-04-01")),
        Row(
            on="2025-02-01",
            net="-150.00",
            service=("2025-02-01", "2025-03-01"),
            credit=True,
        ),
    ]
    report = report_on(rows, as_of="2025-03-31")
    found = table(report)
    check(report, found)
    lifted = {one["key"]: one["months"][1]["mrr_minor"] for one in found["segments"]}
    assert lifted == {"": cents("-116.67"), ADJUSTMENT: cents("116.67")}


def test_an_exchange_rate_has_its_row_in_the_segment_of_its_currency():
    usd = Row(on="2025-01-01", net="110.00", currency="USD")
    rows = [
        usd.but(net_acc="100.00", service=("2025-01-01", "2025-02-01")),
        usd.but(on="2025-02-01", net_acc="88.00", service=("2025-02-01", "2025-03-01")),
    ]
    [usd_months] = table(report_on(rows, as_of="2025-02-28"), "currency")["segments"]
    assert usd_months["key"] == "USD"
    assert usd_months["months"][1]["fx_minor"] == cents("-12.00")
    assert usd_months["months"][1]["contraction_minor"] == 0


def test_beyond_the_largest_fifty_segments_are_one():
    rows = [
        Row(
            on="2025-01-01",
            net=f"{100 + number}.00",
            product=number,
            customer=number,
            service=("2025-01-01", "2025-02-01"),
        )
        for number in range(1, 54)
    ]
    found = table(report_on(rows, as_of="2025-01-31"))["segments"]
    assert len(found) == 51
    assert (found[0]["key"], found[-1]["key"]) == ("53", OTHER)
    assert found[-1]["months"][0]["mrr_minor"] == cents("306.00")
