"""Fractional months, month indexes and nominal periods."""

from __future__ import annotations

from datetime import date, timedelta
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reporting.domain import periods

DAYS = st.dates(date(1990, 1, 1), date(2090, 12, 31))


@pytest.mark.parametrize(
    ("start", "end", "expected"),
    [
        (date(2025, 1, 1), date(2026, 1, 1), Fraction(12)),
        (date(2025, 1, 15), date(2025, 4, 15), Fraction(3)),
        (date(2025, 7, 16), date(2026, 1, 1), 5 + Fraction(16, 31)),
        (date(2025, 1, 30), date(2025, 3, 1), 1 + Fraction(1, 28)),
        (date(2025, 1, 31), date(2025, 2, 28), Fraction(1)),
        (date(2025, 1, 31), date(2025, 3, 31), Fraction(2)),
        (date(2024, 2, 29), date(2025, 2, 28), Fraction(12)),
        (date(2025, 3, 3), date(2025, 3, 10), Fraction(7, 31)),
    ],
)
def test_fractional_months(start, end, expected):
    assert periods.months_between_dates(start, end) == expected


@given(start=DAYS, length=st.integers(1, 2000))
def test_vector_and_scalar_months_agree(start, length):
    end = start + timedelta(days=length)
    numerator, denominator = periods.months_between(
        [periods.day_number(start)], [periods.day_number(end)]
    )
    expected = periods.months_between_dates(start, end)
    assert Fraction(int(numerator[0]), int(denominator[0])) == expected


@given(day=DAYS, months=st.integers(0, 60))
def test_vector_and_scalar_month_steps_agree(day, months):
    moved = periods.add_months([periods.day_number(day)], [months])
    assert periods.day_date(moved[0]) == periods.add_months_date(day, months)


@given(day=DAYS)
def test_a_day_lies_in_its_month(day):
    number = periods.day_number(day)
    month = int(periods.month_of(number))
    assert month == periods.month_index(day)
    assert periods.month_start(month) == day.replace(day=1)
    assert int(periods.first_day(month)) <= number <= int(periods.last_day(month))


def test_month_text_is_year_and_month():
    assert periods.month_text(periods.month_index(date(2026, 10, 31))) == "2026-10"


def test_a_week_is_twelve_fiftyseconds_of_a_month():
    numerator, denominator = periods.nominal_months([periods.WEEK, periods.TWO_WEEKS, 3])
    months = [Fraction(int(a), int(b)) for a, b in zip(numerator, denominator, strict=True)]
    assert months == [Fraction(12, 52), Fraction(12, 26), Fraction(3)]


def test_nominal_periods_end_on_the_same_day_of_the_month():
    start = periods.day_number(date(2025, 1, 31))
    ends = periods.nominal_end([start] * 3, [1, periods.WEEK, 12])
    assert [periods.day_date(end) for end in ends] == [
        date(2025, 2, 28),
        date(2025, 2, 7),
        date(2026, 1, 31),
    ]


def test_the_nearest_nominal_period_of_a_fraction():
    numerator = np.array([7, 28, 31, 90, 169, 360])
    denominator = np.full(6, 30)
    found = periods.nearest_nominal(numerator, denominator)
    assert found.tolist() == [periods.WEEK, 1, 1, 3, 6, 12]
