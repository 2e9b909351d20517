"""A customer who changes plans counts once, while the renewal of the old one is merely absent."""

from __future__ import annotations

from datetime import date, timedelta

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reporting.domain.choices import Settings
from reporting.domain.findings import Status
from reporting.domain.report import measure
from reporting.domain.runway import NO_BANK
from tests.reporting.domain.books import (
    NO_WORDS,
    Row,
    all_moves,
    cents,
    lines_of,
    moves,
    mrr_on,
    receivables_of,
    report_on,
)

BASIC = Row(on="2025-01-01", net="100.00", name="Basic", product=1)
PRO = BASIC.but(name="Pro", product=2, net="150.00")


def months(row: Row, first: int, count: int, *, length: int = 1, **changes) -> list[Row]:
    """Dated invoices of 2025 and on, each for so many months from its first day."""
    found = []
    for number in range(count):
        at = first - 1 + number * length
        begin, end = (date(2025 + n // 12, n % 12 + 1, 1).isoformat() for n in (at, at + length))
        found.append(row.but(on=begin, service=(begin, end), **changes))
    return found


def statuses(report) -> list[Status]:
    return [Status(one) for one in report.subscriptions.status.tolist()]


def test_a_plan_that_another_took_the_place_of_is_not_awaited():
    rows = [*months(BASIC, 1, 3), *months(PRO, 4, 1)]
    running = report_on(rows, as_of="2025-04-02")
    assert mrr_on(running, "2025-04") == "150"
    assert moves(running, "2025-04") == {"expansion": "50.00"}
    assert statuses(running) == [Status.CHURNED, Status.ACTIVE]
    assert running.late_e4 == 0


def test_a_plan_that_a_customer_returns_to_takes_the_place_of_the_one_between():
    rows = [*months(BASIC, 1, 3), *months(PRO, 4, 2), *months(BASIC, 6, 1)]
    report = report_on(rows, as_of="2025-06-02")
    assert mrr_on(report, "2025-06") == "100"
    assert moves(report, "2025-06") == {"contraction": "50.00"}
    assert statuses(report) == [Status.ACTIVE, Status.CHURNED]


def test_the_grace_changes_nothing_that_a_switch_has_settled():
    rows = [*months(BASIC, 1, 3), *months(PRO, 4, 2)]
    days = ["2025-04-02", "2025-04-30", "2025-05-15", "2025-07-31"]
    found = [all_moves(report_on(rows, as_of=day)) for day in days]
    assert {str(one["2025-04"]) for one in found} == {"{'expansion': '50.00'}"}


def test_a_cheaper_plan_is_a_contraction_and_a_year_instead_of_months_too():
    rows = [*months(PRO, 1, 3), *months(BASIC, 4, 1)]
    assert moves(report_on(rows, as_of="2025-04-20"), "2025-04") == {"contraction": "50.00"}
    yearly = months(BASIC.but(name="Basic vuosi", product=3, net="1080.00"), 4, 1, length=12)
    report = report_on([*months(BASIC, 1, 3), *yearly], as_of="2025-04-20")
    assert moves(report, "2025-04") == {"contraction": "10.00"}


def test_a_plan_invoiced_ahead_is_replaced_by_one_invoiced_ahead():
    rows = [
        row.but(on=(date.fromisoformat(row.on) - timedelta(days=11)).isoformat())
        for row in [*months(BASIC, 1, 3), *months(PRO, 4, 1)]
    ]
    assert mrr_on(report_on(rows, as_of="2025-04-02"), "2025-04") == "150"


OLD = months(BASIC, 1, 3)
KEPT = {
    "billed beside the new one": [
        *OLD,
        *months(PRO, 4, 1, invoice=9),
        BASIC.but(on="2025-04-01", unit="HOUR", invoice=9),
    ],
    "bought while the old one runs": [*OLD, *months(PRO, 3, 2)],
    "billed for some days of each month": [
        *OLD,
        *[row.but(service=(row.on, f"{row.on[:8]}25")) for row in months(PRO, 1, 4)],
    ],
    "invoiced before the old one was due": [
        *OLD,
        *[row.but(on="2025-03-20") for row in months(PRO, 4, 1)],
    ],
    "worth too little": [*OLD, *months(PRO, 4, 1, net="20.00")],
    "in another currency": [*OLD, *months(PRO, 4, 1, currency="USD", net_acc="140.00")],
    "another customer's": [*OLD, *months(PRO, 4, 1, customer=2)],
    "no subscription": [*OLD, PRO.but(on="2025-04-01", name="Koulutus", unit="HOUR")],
}


@pytest.mark.parametrize("what", KEPT)
def test_a_renewal_is_awaited_beside_what_is(what):
    report = report_on(KEPT[what], as_of="2025-04-05")
    assert Status.LATE in statuses(report)
    assert report.late_e4 == cents("100.00") * 10_000


def test_a_renewal_that_comes_after_all_stands_beside_the_new_one():
    rows = [*months(BASIC, 1, 3), *months(PRO, 4, 1)]
    rows.append(BASIC.but(on="2025-04-09", service=("2025-04-01", "2025-05-01")))
    report = report_on(rows, as_of="2025-04-10")
    assert moves(report, "2025-04") == {"expansion": "150.00"}


def test_one_new_plan_replaces_one_old_plan_the_one_nearest_in_worth():
    support = BASIC.but(name="Tuki", product=4, net="30.00")
    more = support.but(name="Tuki Plus", product=5, net="45.00")
    rows = [*months(BASIC, 1, 3), *months(support, 1, 3), *months(more, 4, 1)]
    report = report_on(rows, as_of="2025-04-05")
    assert mrr_on(report, "2025-04") == "145"
    assert moves(report, "2025-04") == {"expansion": "15.00"}


def test_contracts_that_run_on_are_not_ended_by_what_begins_beside_them():
    yearly = months(BASIC.but(name="Vuosi", product=6, net="1200.00"), 1, 1, length=12)
    rows = [*months(BASIC, 1, 3), *yearly, *months(PRO, 4, 1)]
    assert mrr_on(report_on(rows, as_of="2025-04-05"), "2025-04") == "250"


def test_a_plan_known_by_its_rhythm_alone_is_replaced_too():
    rows = [
        BASIC.but(on=f"2024-{month:02d}-01", unit="MONTH", name="Basic kk")
        for month in range(8, 13)
    ]
    rows.append(PRO.but(on="2025-01-01", unit="MONTH", name="Pro kk"))
    assert mrr_on(report_on(rows, as_of="2025-01-05"), "2025-01") == "150"


@st.composite
def customers(draw) -> list[Row]:
    """Customers with plans that end, go on and begin about the first days of April."""
    rows = []
    for customer in range(1, draw(st.integers(2, 5))):
        for product in range(1, draw(st.integers(2, 5))):
            first = draw(st.sampled_from([1, 1, 2, 4, 4]))
            plan = BASIC.but(
                name=f"Paketti {product}",
                product=product,
                customer=customer,
                net=f"{draw(st.sampled_from([20, 50, 50, 90, 200]))}.00",
            )
            rows += months(plan, first, draw(st.sampled_from([1, 4 - first or 1, 5 - first])))
    return rows


@given(rows=customers(), day=st.integers(0, 40), seed=st.integers(0, 99))
@settings(max_examples=40, deadline=None)
def test_neither_order_nor_other_customers_matter_to_a_switch(rows, day, seed):
    chosen = Settings(as_of=date(2025, 4, 1) + timedelta(days=day))

    def measured(lines):
        return measure(lines, NO_BANK, receivables_of(), NO_WORDS, chosen)

    lines = lines_of(rows)
    whole = measured(lines)
    mixed = measured(lines.take(np.random.default_rng(seed).permutation(len(rows))))
    assert np.array_equal(whole.table.mrr, mixed.table.mrr)
    for place, customer in enumerate(whole.table.customers.tolist()):
        alone = measured(lines.take(np.flatnonzero(lines.customer_id == customer)))
        width = len(alone.months)
        assert np.array_equal(alone.table.mrr[0], whole.table.mrr[place, -width:])


def test_what_was_credited_in_full_awaits_no_renewal():
    charge = BASIC.but(on="2025-03-01", service=("2025-03-01", "2025-04-01"))
    back = charge.but(on="2025-03-20", net="-100.00", net_acc="-90.00", credit=True)
    assert statuses(report_on([charge, back], as_of="2025-04-05")) == [Status.CHURNED]
