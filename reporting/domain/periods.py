"""Half-open service periods in whole days, months as exact fractions, and month indexes.

A day is a number of days since 1970-01-01; a month index is `year * 12 + month - 1`.
Every vectorised function has the same meaning as its scalar sibling.
"""

from __future__ import annotations

import calendar
from datetime import date, timedelta
from fractions import Fraction
from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike

from reporting.domain.arrays import Ints, as_int64

_EPOCH = date(1970, 1, 1)
_EPOCH_MONTH = 1970 * 12

# Nominal periods shorter than a month, kept beside the whole months 1, 2, 3, 6, 12.
WEEK = -1
TWO_WEEKS = -2
# A publication writes and reads the same few months thousands of times.
MONTHS_KNOWN = 2_400


def day_number(day: date) -> int:
    return (day - _EPOCH).days


def day_date(day: int) -> date:
    return _EPOCH + timedelta(days=int(day))


def month_index(day: date) -> int:
    return day.year * 12 + day.month - 1


@lru_cache(maxsize=MONTHS_KNOWN)
def month_number(text: str) -> int:
    """The month index of `2026-10`; raises ValueError for what writes no month."""
    return month_index(date.fromisoformat(f"{text}-01"))


def month_start(month: int) -> date:
    return date(month // 12, month % 12 + 1, 1)


@lru_cache(maxsize=MONTHS_KNOWN)
def month_text(month: int) -> str:
    """`2026-10` for a month index."""
    return f"{month // 12:04d}-{month % 12 + 1:02d}"


# Looking a day up is several times quicker than datetime64 arithmetic.
_FIRST_DAYS = (
    np.arange(0, 200 * 12 + 1).astype("datetime64[M]").astype("datetime64[D]").astype(np.int64)
)
_MONTHS = np.repeat(np.arange(200 * 12, dtype=np.int64) + _EPOCH_MONTH, np.diff(_FIRST_DAYS))


def month_of(days: ArrayLike) -> Ints:
    """Month index of each day."""
    values = as_int64(days)
    if values.size == 0 or (values.min() >= 0 and values.max() < len(_MONTHS)):
        return as_int64(_MONTHS[values])
    whole = values.astype("datetime64[D]").astype("datetime64[M]")
    return whole.astype(np.int64) + _EPOCH_MONTH


def first_day(months: ArrayLike) -> Ints:
    """First day of each month index."""
    values = as_int64(months) - _EPOCH_MONTH
    if values.size == 0 or (values.min() >= 0 and values.max() < len(_FIRST_DAYS)):
        return as_int64(_FIRST_DAYS[values])
    return values.astype("datetime64[M]").astype("datetime64[D]").astype(np.int64)


def last_day(months: ArrayLike) -> Ints:
    return first_day(as_int64(months) + 1) - 1


def add_months(days: ArrayLike, months: ArrayLike) -> Ints:
    """The same day of the month some months on, clamped to that month's end."""
    start = as_int64(days)
    own = month_of(start)
    target = own + as_int64(months)
    target_first = first_day(target)
    length = first_day(target + 1) - target_first
    return as_int64(target_first + np.minimum(start - first_day(own), length - 1))


def months_between(start: ArrayLike, end: ArrayLike) -> tuple[Ints, Ints]:
    """Fractional months of each [start, end) as (numerator, denominator).

    Whole months are counted from the original start day; leftover days are divided by
    the length of the month in which the leftover begins.
    """
    begin, stop = as_int64(start), as_int64(end)
    whole = month_of(stop) - month_of(begin)
    whole = np.where(add_months(begin, whole) > stop, whole - 1, whole)
    leftover_from = add_months(begin, whole)
    own = month_of(leftover_from)
    length = first_day(own + 1) - first_day(own)
    return whole * length + (stop - leftover_from), length


def add_months_date(day: date, months: int) -> date:
    total = month_index(day) + months
    year, month = total // 12, total % 12 + 1
    return date(year, month, min(day.day, calendar.monthrange(year, month)[1]))


def months_between_dates(start: date, end: date) -> Fraction:
    """Fractional months of [start, end); the scalar sibling of `months_between`."""
    whole = 0
    while add_months_date(start, whole + 1) <= end:
        whole += 1
    leftover_from = add_months_date(start, whole)
    length = calendar.monthrange(leftover_from.year, leftover_from.month)[1]
    return whole + Fraction((end - leftover_from).days, length)


def nominal_end(start: ArrayLike, nominal: ArrayLike) -> Ints:
    """Where a nominal period that begins on `start` ends."""
    begin, period = as_int64(start), as_int64(nominal)
    by_month = add_months(begin, np.maximum(period, 0))
    return np.where(period < 0, begin - 7 * period, by_month)


def nominal_months(nominal: ArrayLike) -> tuple[Ints, Ints]:
    """A nominal period's months as (numerator, denominator): a week is 12/52 of a month."""
    period = as_int64(nominal)
    numerator = np.where(period < 0, -3 * period, period)
    return numerator, np.where(period < 0, 13, 1).astype(np.int64)


def nearest_nominal(numerator: Ints, denominator: Ints) -> Ints:
    """The nominal period (week … year) that lies nearest to each number of months."""
    edges = np.array([0.35, 0.75, 1.5, 2.5, 4.5, 9.0])
    names = np.array([WEEK, TWO_WEEKS, 1, 2, 3, 6, 12], dtype=np.int64)
    return names[np.searchsorted(edges, numerator / np.maximum(denominator, 1))]
