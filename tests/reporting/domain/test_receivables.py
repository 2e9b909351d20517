"""Ages and expected days of open invoices."""

from __future__ import annotations

import numpy as np
import pytest

from reporting.domain.growth import Calendar
from reporting.domain.periods import month_of
from reporting.domain.receivables import LONGEST_DELAY, Age, median_delay, open_receivables
from reporting.domain.refunds import refund_sums
from tests.reporting.domain.books import cents, day, euros, receivables_of

TODAY = day("2025-10-15")


@pytest.mark.parametrize(
    ("due", "age"),
    [
        ("2025-10-20", Age.NOT_DUE),
        ("2025-10-15", Age.NOT_DUE),
        ("2025-10-14", Age.UP_TO_30),
        ("2025-09-15", Age.UP_TO_30),
        ("2025-09-14", Age.UP_TO_60),
        ("2025-08-16", Age.UP_TO_60),
        ("2025-08-15", Age.UP_TO_90),
        ("2025-07-17", Age.UP_TO_90),
        ("2025-07-16", Age.OVER_90),
    ],
)
def test_age_counts_from_the_due_day(due, age):
    found = open_receivables(receivables_of([(1, due, "10.00", None)]), TODAY)
    assert found.age.tolist() == [age]
    assert {one for one, amount in found.by_age.items() if amount} == {age}


def test_settled_invoices_are_left_out_and_the_ages_add_up():
    listed = [(1, "2025-10-20", "10.00", None), (1, "2025-09-01", "0", "2025-09-03")]
    found = open_receivables(receivables_of(listed), TODAY)
    assert found.invoice_id.tolist() == [1]
    assert found.total == sum(found.by_age.values()) == cents("10.00")


def _paid(customer: int, late: list[int]) -> list[tuple[int, str, str, str]]:
    return [(customer, "2025-06-10", "0", f"2025-06-{10 + days:02d}") for days in late]


def test_a_customer_s_own_median_delay_is_expected():
    listed = [(1, "2025-10-20", "10.00", None), *_paid(1, [2, 9, 4]), *_paid(2, [0] * 9)]
    found = open_receivables(receivables_of(listed), TODAY)
    assert found.expected_day.tolist() == [day("2025-10-24")]


def test_with_fewer_than_three_payments_the_company_s_median_is_expected():
    listed = [(1, "2025-10-20", "10.00", None), *_paid(1, [9, 9]), *_paid(2, [3] * 9)]
    found = open_receivables(receivables_of(listed), TODAY)
    assert found.expected_day.tolist() == [day("2025-10-23")]


def test_only_the_last_twelve_payments_speak():
    old = [(1, "2024-06-10", "0", "2024-07-10") for _ in range(20)]
    listed = [(1, "2025-10-20", "10.00", None), *old, *_paid(1, [1] * 12)]
    found = open_receivables(receivables_of(listed), TODAY)
    assert found.expected_day.tolist() == [day("2025-10-21")]


def test_nothing_is_expected_in_the_past():
    listed = [(1, "2025-10-20", "10.00", None), *_paid(1, [0, 0, 0])]
    found = open_receivables(receivables_of(listed), day("2025-11-02"))
    assert found.expected_day.tolist() == [day("2025-11-02")]


@pytest.mark.parametrize(("late", "days"), [([2, 5], 4), ([-3, -2], -2), ([7], 7), ([], 0)])
def test_the_company_s_usual_delay_between_two_days_is_the_later_one(late, days):
    counts = np.zeros(2 * LONGEST_DELAY + 1, dtype=np.int64)
    np.add.at(counts, np.array(late, dtype=np.int64) + LONGEST_DELAY, 1)
    assert median_delay(counts) == days


@pytest.mark.parametrize(("due", "overdue"), [("2025-10-15", "0.00"), ("2025-10-14", "100.00")])
def test_an_invoice_is_not_overdue_on_its_due_day_by_month_either(due, overdue):
    owed = receivables_of([(1, due, "100.00", None)])
    calendar = Calendar(months=np.unique(month_of(owed.invoice_day)), as_of_day=TODAY)
    assert [euros(one) for one in refund_sums(owed, calendar).overdue.tolist()] == [overdue]
