"""Service periods written in invoice texts, in Finnish, Swedish and English."""

from __future__ import annotations

import re
from datetime import date, timedelta
from typing import NamedTuple

from reporting.domain.periods import add_months_date, day_number


class TextPeriod(NamedTuple):
    """A half-open period found in a text, in day numbers.

    A yearless one ("maaliskuu", "1.3.–31.3.") is given in the leap year 2000; the reader
    moves it to the year that lies nearest to the invoice.
    """

    start: int
    end: int
    yearless: bool


YEARLESS = 2000
_MONTHS: dict[str, int] = {}
for _names in (
    "tammi helmi maalis huhti touko kesä heinä elo syys loka marras joulu",
    "januari februari mars april maj juni juli augusti september oktober november december",
    "january february march april may june july august september october november december",
    "jan feb mar apr may jun jul aug sep oct nov dec",
):
    _MONTHS.update({name: number for number, name in enumerate(_names.split(), start=1)})
_MONTHS |= {"sept": 9, "okt": 10, "maj": 5, "kesa": 6, "heina": 7}

_FI = r"(?:tammi|helmi|maalis|huhti|touko|kes[äa]|hein[äa]|elo|syys|loka|marras|joulu)"
_LONG = (
    r"(?:januari|februari|mars|april|maj|juni|juli|augusti|september|oktober|november|december"
    r"|january|february|march|may|june|july|august|october)"
)
_SHORT = r"(?:jan|feb|mar|apr|may|jun|jul|aug|sept?|o[ck]t|nov|dec)"
# Words of everyday speech: a month only when a year stands beside them.
_UNSAFE = {"may", "mars", "march"}

_YEAR = r"(20\d\d)"
_TO = r"\s*(?:-|to|till|until|t\.o\.m\.?|through|/|saakka|asti)\s*"
_DMY = r"(\d{1,2})\.(\d{1,2})\.(20\d\d|\d\d(?!\d))?"

_ISO = re.compile(rf"(?<!\d)(20\d\d)-(\d\d)-(\d\d){_TO}(20\d\d)-(\d\d)-(\d\d)(?!\d)")
_FINNISH = re.compile(rf"(?<![\d.]){_DMY}{_TO}{_DMY}(?!\d)")
_SLASHED = re.compile(
    r"(?<![\d/])(\d{1,2})/(\d{1,2})/(20\d\d)\s*-\s*(\d{1,2})/(\d{1,2})/(20\d\d)(?!\d)"
)
_MONTH_RANGE = re.compile(
    rf"(?<![\d./])(\d{{1,2}})(?:[/.](20\d\d))?\s*-\s*(\d{{1,2}})[/.]{_YEAR}(?!\d)"
)
_MONTH_YEAR = re.compile(rf"(?<![\d./-])(\d{{1,2}})[/.]{_YEAR}(?!\d)")
_YEAR_MONTH = re.compile(r"(?<![\d-])(20\d\d)-(\d\d)(?![\d-])")
_QUARTER = re.compile(rf"\bq([1-4])\s*[/ -]?\s*{_YEAR}|{_YEAR}\s*[/ -]?\s*q([1-4])\b")
_HALF = re.compile(rf"\bh([12])\s*[/ -]?\s*{_YEAR}|{_YEAR}\s*[/ -]?\s*h([12])\b")
_QUARTER_WORD = re.compile(
    rf"\b([1-4])\.?\s*(?:vuosi)?(?:kvartaali|nelj[äa]nnes|kvartal|quarter)\w*\s*/?\s*{_YEAR}"
)
_NAMED = re.compile(rf"(?:\b({_FI})(?:kuu\w*)?\s*-\s*)?\b({_FI})kuu\w*\s*(?:/\s*)?{_YEAR}?")
_NAMED_LONG = re.compile(
    rf"\b({_LONG}|{_SHORT})\b\.?\s*{_YEAR}?(?:{_TO}({_LONG}|{_SHORT})\b\.?\s*{_YEAR}?)?"
)
_WHOLE_YEAR = re.compile(
    rf"\b(?:vuosi|vuodelle|vuoden|tilikausi|kausi|ajalta|laskutuskausi|year|år|season)\s*:?\s*"
    rf"{_YEAR}(?![\d./-])"
)


def plain(text: str) -> str:
    """Lower case with one kind of dash and one kind of space."""
    lowered = text.lower().replace(" ", " ")
    return re.sub(r"[‐-―−]", "-", lowered)


def find_period(text: str) -> TextPeriod | None:
    """The first service period that the text states, most explicit form first."""
    lowered = plain(text)
    if not any(letter.isdigit() for letter in lowered) and "kuu" not in lowered:
        return _named_long(lowered)
    for finder in (_iso, _finnish, _slashed, _quarter, _half, _month_range, _named, _named_long):
        found = finder(lowered)
        if found is not None:
            return found
    for finder in (_month_year, _whole_year):
        found = finder(lowered)
        if found is not None:
            return found
    return None


def _period(start: date, last: date, yearless: bool = False) -> TextPeriod | None:
    if last < start:
        return None
    end = last + timedelta(days=1)
    return TextPeriod(day_number(start), day_number(end), yearless)


def _day(year: str | int, month: str | int, day: str | int) -> date | None:
    number = int(year)
    try:
        return date(number + 2000 if number < 100 else number, int(month), int(day))
    except ValueError:
        return None


def _month_span(
    first_year: int, first: int, last_year: int, last: int, yearless: bool = False
) -> TextPeriod | None:
    if not (1 <= first <= 12 and 1 <= last <= 12):
        return None
    start = date(first_year, first, 1)
    after = add_months_date(date(last_year, last, 1), 1)
    return _period(start, after - timedelta(days=1), yearless)


def _iso(text: str) -> TextPeriod | None:
    for found in _ISO.finditer(text):
        parts = found.groups()
        start, last = _day(*parts[:3]), _day(*parts[3:])
        if start and last:
            return _period(start, last)
    return None


def _finnish(text: str) -> TextPeriod | None:
    for found in _FINNISH.finditer(text):
        day, month, year, last_day, last_month, last_year = found.groups()
        if last_year is None and year is not None:
            continue
        yearless = last_year is None
        last = _day(last_year or YEARLESS, last_month, last_day)
        if last is None:
            continue
        own_year = _day(year, 1, 1).year if year else last.year  # type: ignore[union-attr]
        start = _day(own_year, month, day)
        if start and not year and start > last and not yearless:
            start = _day(own_year - 1, month, day)
        if start and start > last and yearless:
            last = _day(YEARLESS + 1, last_month, last_day) or last
        if start:
            return _period(start, last, yearless)
    return None


def _slashed(text: str) -> TextPeriod | None:
    found = _SLASHED.search(text)
    if found is None:
        return None
    day, month, year, last_day, last_month, last_year = found.groups()
    start, last = _day(year, month, day), _day(last_year, last_month, last_day)
    return _period(start, last) if start and last else None


def _quarter(text: str) -> TextPeriod | None:
    found = _QUARTER.search(text)
    if found:
        quarter = int(found[1] or found[4])
        year = int(found[2] or found[3])
    else:
        found = _QUARTER_WORD.search(text)
        if not found:
            return None
        quarter, year = int(found[1]), int(found[2])
    return _month_span(year, quarter * 3 - 2, year, quarter * 3)


def _half(text: str) -> TextPeriod | None:
    found = _HALF.search(text)
    if not found:
        return None
    half, year = int(found[1] or found[4]), int(found[2] or found[3])
    return _month_span(year, half * 6 - 5, year, half * 6)


def _month_range(text: str) -> TextPeriod | None:
    for found in _MONTH_RANGE.finditer(text):
        first, first_year, last, last_year = found.groups()
        year = int(first_year or last_year)
        if not first_year and int(first) > int(last):
            continue
        span = _month_span(year, int(first), int(last_year), int(last))
        if span:
            return span
    return None


def _month_year(text: str) -> TextPeriod | None:
    for found in _MONTH_YEAR.finditer(text):
        span = _month_span(int(found[2]), int(found[1]), int(found[2]), int(found[1]))
        if span:
            return span
    found_iso = _YEAR_MONTH.search(text)
    if found_iso:
        year, month = int(found_iso[1]), int(found_iso[2])
        return _month_span(year, month, year, month)
    return None


def _whole_year(text: str) -> TextPeriod | None:
    found = _WHOLE_YEAR.search(text)
    return _month_span(int(found[1]), 1, int(found[1]), 12) if found else None


def _named(text: str) -> TextPeriod | None:
    found = _NAMED.search(text)
    if not found:
        return None
    first, last, year = found.groups()
    return _named_span(_MONTHS[first or last], _MONTHS[last], year)


def _named_long(text: str) -> TextPeriod | None:
    for found in _NAMED_LONG.finditer(text):
        first, own_year, last, last_year = found.groups()
        year = last_year or own_year
        if year is None and (last or len(first) < 4 or first in _UNSAFE):
            continue
        if last is None:
            return _named_span(_MONTHS[first], _MONTHS[first], year)
        start_year = int(own_year or year)
        return _month_span(start_year, _MONTHS[first], int(year), _MONTHS[last])
    return None


def _named_span(first: int, last: int, year: str | None) -> TextPeriod | None:
    whole = int(year) if year else YEARLESS
    begin = whole - 1 if first > last and year else whole
    end = whole + 1 if first > last and not year else whole
    return _month_span(begin, first, end, last, yearless=year is None)
