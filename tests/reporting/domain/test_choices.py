"""What a tenant's settings do: pauses, free plans, unpaid invoices, periods as sums of months."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reporting.domain.choices import Decision, SubscriptionKey, UserWords, Verdict
from reporting.domain.findings import Status
from reporting.domain.movements import Movement
from reporting.domain.receivables import Receivables
from reporting.domain.report import measure
from reporting.domain.runway import NO_BANK
from reporting.domain.segments import Belonging
from reporting.domain.segments import Row as Figure
from tests.reporting.domain.books import (
    Row,
    all_moves,
    cents,
    day,
    euros,
    lines_of,
    month,
    moves,
    mrr_on,
    receivables_of,
    report_on,
)
from tests.reporting.domain.test_economics import monthly
from tests.reporting.domain.test_properties import DAYS, HISTORIES

PAUSED = UserWords(
    decisions=(
        Decision(key=SubscriptionKey(1, "n:alusta", "EUR"), verdict=Verdict.CONFIRMED, paused=True),
    )
)
BOTH = [*monthly("100.00", 1, 3, customer=1), *monthly("300.00", 1, 12, customer=2)]


def period(report, text):
    return report.periods[month(text) - int(report.months[0])]


def test_a_pause_is_churn_that_says_so():
    report = report_on(BOTH, as_of="2025-12-31", words=PAUSED)
    april = period(report, "2025-04")
    assert report.subscriptions[0].status is Status.PAUSED
    assert (april.step.churn, april.churn_paused) == (cents("100.00"), cents("100.00"))
    assert (april.churned_customers, april.step.paused) == (1, 0)


def test_the_paused_part_of_a_period_s_churn_is_of_all_its_months():
    report = report_on(BOTH, as_of="2025-12-31", words=PAUSED)
    year = report.summed(12)[0]
    assert (year.step.churn, year.churn_paused) == (cents("100.00"), cents("100.00"))
    assert report.by(3)[1].churn_paused == cents("100.00")


def test_a_pause_may_stand_outside_churn_and_the_identity_holds():
    report = report_on(BOTH, as_of="2025-12-31", words=PAUSED, pauses_churn=False)
    for found in (period(report, "2025-04"), report.by(3)[1], report.summed(3)[1]):
        step = found.step
        assert (step.churn, step.paused) == (0, cents("100.00"))
        assert step.end == step.start - step.paused
        assert (found.churned_customers, found.paused_customers) == (0, 1)
        assert (found.rates.gross_churn, found.rates.customer_churn) == (0, 0)
        assert float(found.rates.nrr) == 0.75


@pytest.mark.parametrize("pauses_churn", [True, False])
def test_a_customer_who_ends_more_than_was_paused_has_left(pauses_churn):
    rows = [*BOTH, *(row.but(name="Tuki") for row in monthly("50.00", 1, 3, customer=1))]
    report = report_on(rows, as_of="2025-12-31", words=PAUSED, pauses_churn=pauses_churn)
    april = period(report, "2025-04")
    assert (april.step.churn, april.churn_paused, april.step.paused) == (cents("150.00"), 0, 0)


@pytest.mark.parametrize("name", ["Alusta", "Alusta Plus"])
def test_what_was_paused_outside_churn_resumes_outside_reactivation(name):
    """In the paused subscription itself, or in another one."""
    again = [row.but(name=name) for row in monthly("120.00", 8, 12, customer=1)]
    report = report_on([*BOTH, *again], as_of="2025-12-31", words=PAUSED, pauses_churn=False)
    assert (moves(report, "2025-04"), moves(report, "2025-08")) == ({}, {})
    assert (period(report, "2025-04").step.paused, period(report, "2025-08").step.paused) == (
        cents("100.00"),
        -cents("120.00"),
    )
    third = report.by(3)[2]
    for found in (period(report, "2025-08"), third, report.summed(3)[2]):
        assert found.step.end == found.step.start - found.step.paused
        assert (found.paused_customers, found.reactivated_customers) == (-1, 0)
        assert (found.rates.net_churn, found.rates.nrr, found.rates.grr) == (0, 1, 1)
        assert found.rates.quick_ratio is None
    year = report.by(12)[0]
    assert (year.step.new, year.step.paused, year.customers) == (cents("420.00"), 0, 2)


def test_a_pause_that_counts_as_churn_ends_in_a_reactivation():
    rows = [*BOTH, *monthly("100.00", 8, 12, customer=1)]
    report = report_on(rows, as_of="2025-12-31", words=PAUSED)
    assert moves(report, "2025-04") == {"churn": "100.00"}
    assert period(report, "2025-04").churn_paused == cents("100.00")
    assert moves(report, "2025-08") == {"reactivation": "100.00"}


def test_retention_counts_the_money_of_changes_too_small_to_be_called_one():
    rows = [
        *monthly("100.00", 1, 1, customer=1),
        *monthly("99.50", 2, 2, customer=1),
        *monthly("100.00", 1, 1, customer=2),
        *monthly("100.30", 2, 2, customer=2),
    ]
    report = report_on(rows, as_of="2025-02-28", tolerance_bp=100)
    february = period(report, "2025-02")
    assert (february.step.contraction, february.step.tolerated) == (0, -cents("0.20"))
    assert february.rates.gross_churn == 0
    assert float(february.rates.nrr) == 0.999
    assert float(february.rates.grr) == 0.9975


def test_a_return_after_a_pause_is_a_reactivation():
    rows = [*BOTH, *monthly("100.00", 8, 12, customer=1)]
    words = replace(PAUSED, decisions=(replace(PAUSED.decisions[0], paused=False),))
    report = report_on(rows, as_of="2025-12-31", words=words, pauses_churn=False)
    assert moves(report, "2025-04") == {"churn": "100.00"}
    assert moves(report, "2025-08") == {"reactivation": "100.00"}


FREE = [
    *monthly("100.00", 1, 2),
    *monthly("0.00", 3, 4),
    *monthly("120.00", 5, 5),
]


def test_a_plan_discounted_to_nothing_ends():
    report = report_on(FREE)
    assert all_moves(report)["2025-03"] == {"churn": "100.00"}
    assert all_moves(report)["2025-05"] == {"reactivation": "120.00"}
    assert period(report, "2025-03").customers == 0


def test_a_plan_discounted_to_nothing_may_keep_its_customer():
    report = report_on(FREE, keep_free=True)
    assert all_moves(report) == {
        "2025-01": {"new": "100.00"},
        "2025-03": {"contraction": "100.00"},
        "2025-05": {"expansion": "120.00"},
        "2025-06": {"churn": "120.00"},
    }
    assert [period(report, f"2025-0{n}").customers for n in (3, 4, 5, 6)] == [1, 1, 1, 0]


def test_segments_keep_the_customer_of_a_plan_made_free_as_growth_does():
    other = [row.but(product=2, name="Tuki") for row in monthly("50.00", 1, 6)]
    plan = [row.but(product=1) for row in FREE]
    report = report_on([*plan, *other], keep_free=True)
    sums = report.segment_sums(
        Belonging(product_group={}, customer_group={}, country={}), "product"
    )
    figures = sums.figures[sums.keys.index("1")]
    moved = {
        name: [euros(int(one) // 10_000) for one in figures[Figure[name]][:6]]
        for name in ("CONTRACTION", "EXPANSION", "CHURN", "REACTIVATION")
    }
    none = ["0.00"] * 6
    assert moved == {
        "CONTRACTION": [*none[:2], "100.00", *none[:3]],
        "EXPANSION": [*none[:4], "120.00", "0.00"],
        "CHURN": [*none[:5], "120.00"],
        "REACTIVATION": none,
    }
    assert figures[Figure.CUSTOMERS][:6].tolist() == [1, 1, 1, 1, 1, 0]


def test_a_plan_that_was_free_from_its_beginning_makes_no_customer():
    rows = [*monthly("0.00", 1, 3), *monthly("100.00", 4, 5)]
    report = report_on(rows, keep_free=True)
    assert [period(report, f"2025-0{n}").customers for n in (1, 3, 4)] == [0, 0, 1]
    assert moves(report, "2025-04") == {"new": "100.00"}


def test_a_credit_notes_row_of_nothing_keeps_no_customer():
    text = Row(on="2025-03-01", net="0.00", service=("2025-03-01", "2025-04-01"), credit=True)
    report = report_on([*monthly("100.00", 1, 2), text], keep_free=True)
    assert moves(report, "2025-03") == {"churn": "100.00"}
    assert period(report, "2025-03").customers == 0


def unpaid(*due: str | None) -> Receivables:
    """Invoices 5000, 5001, …: each open and due on that day, or paid."""
    size = len(due)
    days = np.array([day(one or "2025-01-15") for one in due], dtype=np.int64)
    return replace(
        receivables_of([(1, "2025-01-15", "100.00", None)] * size),
        invoice_id=np.arange(5000, 5000 + size),
        due_day=days,
        open_gross=np.array([10_000 if one else 0 for one in due], dtype=np.int64),
    )


YEAR = [Row(on="2025-01-01", net="1200.00", service=("2025-01-01", "2026-01-01"))]


def test_an_unpaid_invoice_counts_unless_the_tenant_sets_a_limit():
    owed = unpaid("2025-01-31")
    assert mrr_on(report_on(YEAR, as_of="2025-06-30", receivables=owed), "2025-06") == "100"


@pytest.mark.parametrize(
    ("as_of", "february", "march"), [("2025-03-02", "100", "100"), ("2025-03-03", "100", "0")]
)
def test_an_invoice_unpaid_for_more_days_than_the_limit_no_longer_counts(as_of, february, march):
    report = report_on(YEAR, as_of=as_of, receivables=unpaid("2025-01-31"), overdue_days=30)
    assert (mrr_on(report, "2025-02"), mrr_on(report, "2025-03")) == (february, march)
    assert report.subscriptions[0].status is (Status.ACTIVE if march == "100" else Status.CHURNED)


def test_a_payment_lets_the_invoice_count_again():
    report = report_on(YEAR, as_of="2025-06-30", receivables=unpaid(None), overdue_days=30)
    assert mrr_on(report, "2025-06") == "100"


def test_a_summed_quarter_adds_up_its_months_and_its_own_looks_at_its_ends():
    rows = [*monthly("100.00", 1, 1), *monthly("150.00", 2, 2), *monthly("120.00", 3, 12)]
    report = report_on(rows, as_of="2025-12-31")
    own, added = report.by(3)[0], report.summed(3)[0]
    assert (euros(own.step.new), euros(own.step.contraction)) == ("120.00", "0.00")
    assert [euros(getattr(added.step, name)) for name in ("new", "expansion", "contraction")] == [
        "100.00",
        "50.00",
        "30.00",
    ]


def test_customers_who_join_and_leave_in_a_quarter_are_no_churn_of_it():
    rows = [
        *monthly("100.00", 1, 12, customer=1),
        *monthly("100.00", 4, 5, customer=2),
        *monthly("100.00", 1, 4, customer=3),
        *monthly("100.00", 6, 12, customer=3),
    ]
    quarter = report_on(rows, as_of="2025-12-31").summed(3)[1]
    assert quarter.churned_customers == 2
    assert quarter.rates.customer_churn == 0


@pytest.mark.parametrize(
    ("renewal", "expected"),
    [
        ([], [("1200.00", "0.00", "0.00")]),
        (["2400.00"], [("1200.00", "2400.00", "1200.00")]),
    ],
)
def test_a_renewal_sent_ahead_replaces_what_it_renews(renewal, expected):
    year = Row(on="2025-01-01", net="14400.00", service=("2025-01-01", "2026-01-01"))
    rows = [
        year,
        *(
            year.but(on="2025-12-01", net="28800.00", service=("2026-01-01", "2027-01-01"))
            for _ in renewal
        ),
    ]
    report = report_on(rows, as_of="2025-12-31")
    sums = report.contracted_sums
    shown = [
        tuple(euros(int(one) // 10_000) for one in (report.total_e4[-1], *both))
        for both in [(sums.signed[-1], sums.ending[-1])]
    ]
    assert shown == expected
    assert sums.ending[-2] == 0


def test_an_end_that_a_person_set_is_known_a_year_before():
    words = UserWords(
        decisions=(
            Decision(
                key=SubscriptionKey(1, "n:alusta", "EUR"),
                verdict=Verdict.CONFIRMED,
                end=date(2025, 7, 1),
            ),
        )
    )
    report = report_on(YEAR, as_of="2025-05-31", words=words)
    ending = report.contracted_sums.ending // 10_000
    assert [euros(one) for one in ending.tolist()] == ["100.00"] * 5


@given(
    history=HISTORIES,
    as_of=DAYS,
    pauses_churn=st.booleans(),
    keep_free=st.booleans(),
    window=st.sampled_from([None, 1, 3]),
    unpaid_days=st.sampled_from([None, 0, 30]),
)
@settings(max_examples=40, deadline=None)
def test_the_identity_holds_whatever_the_settings(
    history, as_of, pauses_churn, keep_free, window, unpaid_days
):
    lines = lines_of(history)
    words = replace(
        PAUSED,
        decisions=tuple(
            replace(PAUSED.decisions[0], key=SubscriptionKey(1, ref, currency))
            for ref in ("n:alusta", "n:lisenssi")
            for currency in ("EUR", "USD")
        ),
    )
    owed = unpaid(*("2023-06-01" if place % 3 else None for place in range(31)))
    chosen = report_on([]).settings
    report = measure(
        lines,
        NO_BANK,
        replace(owed, invoice_id=np.arange(31)),
        words,
        replace(
            chosen,
            as_of=as_of,
            pauses_churn=pauses_churn,
            keep_free=keep_free,
            reactivation_months=window,
            overdue_days=unpaid_days,
        ),
    )
    views = [report.periods, *(report.by(n) for n in (3, 12)), *(report.summed(n) for n in (3, 12))]
    for one in (one for view in views for one in view):
        step = one.step
        gained = step.new + step.expansion + step.reactivation
        lost = step.contraction + step.churn + step.paused
        assert step.end == step.start + gained - lost + step.fx + step.tolerated
        assert one.customers == (
            one.customers_start
            + one.new_customers
            + one.reactivated_customers
            - one.churned_customers
            - one.paused_customers
        )
        assert 0 <= one.churn_paused <= max(step.churn, 0) + 1
    if pauses_churn:
        assert not report.monthly.count(Movement.PAUSE).any()
