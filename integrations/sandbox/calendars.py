"""Days, months and exchange rates, all as functions of their arguments."""

import math
from datetime import UTC, date, datetime, timedelta
from functools import cache
from zoneinfo import ZoneInfo

HELSINKI = ZoneInfo("Europe/Helsinki")
_MONTH_ENDS = (31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
# Units of the currency for one euro, around which the invented rates swing.
_RATES = {"USD": (1.09, 0.0), "SEK": (11.3, 1.3), "NOK": (11.6, 2.1), "GBP": (0.85, 3.4)}


def add_months(day: date, months: int) -> date:
    """The same day of a later (or earlier) month, clamped to the end of that month."""
    year, month = divmod(day.year * 12 + day.month - 1 + months, 12)
    return date(year, month + 1, min(day.day, month_length(year, month + 1)))


def month_length(year: int, month: int) -> int:
    leap = month == 2 and (year % 4 == 0 and (year % 100 != 0 or year % 400 == 0))
    return 29 if leap else _MONTH_ENDS[month - 1]


def banking_day(day: date) -> date:
    """That day, or the Monday after a weekend."""
    return day + timedelta(days=max(0, 7 - day.weekday()) if day.weekday() > 4 else 0)


def iso(day: date | None) -> str | None:
    return None if day is None else day.isoformat()


def now_local(ahead: timedelta = timedelta(0)) -> str:
    """A wall clock in Helsinki that is `ahead`, as Procountor writes it: no zone, no fraction."""
    return (datetime.now(UTC) + ahead).astimezone(HELSINKI).strftime("%Y-%m-%dT%H:%M:%S")


def first_of_running_month() -> date:
    return datetime.now(HELSINKI).date().replace(day=1)


@cache
def rate(currency: str, day: date) -> int:
    """Units of `currency` for one euro on that day, in ten-thousandths."""
    if currency == "EUR":
        return 10_000
    middle, phase = _RATES[currency]
    turn = day.toordinal() / 365.25 * math.tau
    swing = 0.035 * math.sin(turn / 1.7 + phase) + 0.008 * math.sin(turn * 5 + phase)
    return round(middle * (1 + swing) * 10_000)


def known_currency(currency: str) -> bool:
    return currency == "EUR" or currency in _RATES
