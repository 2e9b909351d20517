"""Months, periods and the dates that texts write, by plain dates and fractions."""

from __future__ import annotations

import re
from calendar import monthrange
from datetime import date, timedelta
from fractions import Fraction

DAY = timedelta(days=1)
Span = tuple[date, date]


def add_months(day: date, count: int) -> date:
    """The same day `count` months on, clamped to the month's end."""
    place = day.year * 12 + day.month - 1 + count
    year, month = divmod(place, 12)
    return date(year, month + 1, min(day.day, monthrange(year, month + 1)[1]))


def month_end(day: date) -> date:
    return day.replace(day=monthrange(day.year, day.month)[1])


def month_ends(first: date, as_of: date) -> list[date]:
    """Snapshot days: each month's last day, and as_of in the running month."""
    days = []
    month = first.replace(day=1)
    while month <= as_of:
        days.append(min(month_end(month), as_of))
        month = add_months(month, 1)
    return days


def months_of(span: Span) -> Fraction:
    """Whole months from the first day, and leftover days of the month in which they begin."""
    start, after = span
    whole = 0
    while add_months(start, whole + 1) <= after:
        whole += 1
    reached = add_months(start, whole)
    return whole + Fraction((after - reached).days, monthrange(reached.year, reached.month)[1])


_NAMES = re.findall(
    r"\w+",
    """
    tammikuu helmikuu maaliskuu huhtikuu toukokuu kesäkuu heinäkuu elokuu syyskuu lokakuu
    marraskuu joulukuu
    januari februari mars april maj juni juli augusti september oktober november december
    january february march april may june july august september october november december
    """,
)
_MONTH = {name: place % 12 + 1 for place, name in enumerate(_NAMES)}
_ISO = re.compile(r"(\d{4}-\d\d-\d\d)\D{1,6}(\d{4}-\d\d-\d\d)")
_DOTTED = re.compile(r"\b(\d{1,2})\.(\d{1,2})\.(\d{4})?\s*[–-]\s*(\d{1,2})\.(\d{1,2})\.(\d{4})")
_QUARTER = re.compile(r"\bq([1-4])\s*/\s*(\d{4})")
_HALF = re.compile(r"\bh([12])\s*/?\s*(\d{4})")
_SLASHED = re.compile(r"\b(\d{1,2})/(\d{4})\b")
_NAMED = re.compile(rf"\b({'|'.join(sorted(set(_NAMES)))})\s+(\d{{4}})\b")
_YEAR = re.compile(r"\bvuosi\s+(\d{4})\b")


def span_in(text: str) -> Span | None:
    """The half-open period that a text states; its last day is inclusive as people write it."""
    text = text.casefold()
    if found := _ISO.search(text):
        return date.fromisoformat(found[1]), date.fromisoformat(found[2]) + DAY
    if found := _DOTTED.search(text):
        last = date(int(found[6]), int(found[5]), int(found[4]))
        first = date(int(found[3] or found[6]), int(found[2]), int(found[1]))
        if first > last:
            first = first.replace(year=first.year - 1)
        return first, last + DAY
    if found := _QUARTER.search(text):
        return _block(int(found[2]), 3 * int(found[1]) - 2, 3)
    if found := _HALF.search(text):
        return _block(int(found[2]), 6 * int(found[1]) - 5, 6)
    if found := _SLASHED.search(text):
        return _block(int(found[2]), int(found[1]), 1)
    if found := _NAMED.search(text):
        return _block(int(found[2]), _MONTH[found[1]], 1)
    if found := _YEAR.search(text):
        return _block(int(found[1]), 1, 12)
    return None


def _block(year: int, month: int, length: int) -> Span:
    first = date(year, month, 1)
    return first, add_months(first, length)
