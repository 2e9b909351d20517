"""What each line says by itself: its dates, its unit, its words, and the person's marks."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from reporting.domain import units
from reporting.domain.arrays import NO_DAY, Flags, Ints, as_int64
from reporting.domain.choices import Mark, UserWords
from reporting.domain.findings import Source
from reporting.domain.lines import Lines, product_refs
from reporting.domain.periods import WEEK, first_day, month_of, months_between, nearest_nominal
from reporting.domain.text_dates import YEARLESS
from reporting.domain.texts import TextFacts, read_texts

MARKS = (None, Mark.RECURRING, Mark.ONE_OFF, Mark.USAGE, Mark.IGNORE)
RECURRING = MARKS.index(Mark.RECURRING)
_IN_BAND = ((27, 32), (58, 63), (88, 93), (180, 185), (360, 367))
_MAYBE = ((6, 8), (12, 16))


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """One row per line."""

    mark: Ints
    """Index into `MARKS`; 0 where nobody marked the product."""
    mark_period: Ints
    start: Ints
    end: Ints
    """Stated period, NO_DAY where none."""
    date_source: Ints
    """`Source` of the stated period, `Source.NONE` where none."""
    num: Ints
    den: Ints
    """Months of the stated period, 1/1 where none."""
    nominal: Ints
    """Nominal period nearest to the stated one, 0 where none."""
    in_band: Flags
    """The stated period has the length of a month, two, a quarter, a half or a year."""
    unit_period: Ints
    """Nominal period of a MONTH, YEAR or WEEK unit, 0 otherwise."""
    word: Ints
    word_period: Ints
    work_unit: Flags
    metered: Flags
    counter: Ints
    usage: Ints
    not_service: Ints
    difference: Ints
    words: tuple[str, ...]


def gather(lines: Lines, words: UserWords) -> Evidence:
    """Evidence for every line; each distinct text is read once."""
    facts = read_texts(lines.texts)
    mark, mark_period = _marks(lines, words)
    start, end, source = _stated_period(lines, facts, mark == RECURRING)
    length = end - start
    num, den, nominal = _months(start, end, source)
    unit_period = np.zeros(len(lines), dtype=np.int64)
    for unit, period in ((units.MONTH, 1), (units.YEAR, 12), (units.WEEK, WEEK)):
        unit_period[lines.unit == unit] = period
    return Evidence(
        mark=mark,
        mark_period=mark_period,
        start=start,
        end=end,
        date_source=source,
        num=num,
        den=den,
        nominal=nominal,
        in_band=(source != Source.NONE) & _within(length, _IN_BAND),
        unit_period=unit_period,
        word=facts.recurring[lines.text],
        word_period=facts.nominal[lines.text],
        work_unit=units.WORK[lines.unit],
        metered=units.METERED[lines.unit],
        counter=facts.counter[lines.text],
        usage=facts.usage[lines.text],
        not_service=facts.not_service[lines.text],
        difference=facts.difference[lines.text],
        words=facts.words,
    )


def _months(start: Ints, end: Ints, source: Ints) -> tuple[Ints, Ints, Ints]:
    num, den = np.ones(len(start), dtype=np.int64), np.ones(len(start), dtype=np.int64)
    nominal = np.zeros(len(start), dtype=np.int64)
    dated = np.flatnonzero(source != Source.NONE)
    num[dated], den[dated] = months_between(start[dated], end[dated])
    nominal[dated] = nearest_nominal(num[dated], den[dated])
    return num, den, nominal


def _marks(lines: Lines, words: UserWords) -> tuple[Ints, Ints]:
    refs = {ref: key for key, ref in enumerate(product_refs(lines))} if words.products else {}
    mark = np.zeros(max(len(lines.product_names), 1), dtype=np.int64)
    period = np.zeros_like(mark)
    for said in words.products:
        key = refs.get(said.product)
        if key is not None:
            mark[key] = MARKS.index(said.mark)
            period[key] = said.period_months or 0
    return mark[lines.product_key], period[lines.product_key]


def _within(length: Ints, bands: tuple[tuple[int, int], ...]) -> Flags:
    inside = np.zeros(len(length), dtype=np.bool_)
    for low, high in bands:
        inside |= (length >= low) & (length <= high)
    return inside


def _stated_period(lines: Lines, facts: TextFacts, recurring: Flags) -> tuple[Ints, Ints, Ints]:
    """Row dates, else the invoice's delivery dates, else dates in the text.

    On lines that nobody marked as recurring, dates count only when they look like a service
    period: a week, two weeks, or at least 25 days.
    """
    text_start, text_end = _dated_texts(lines, facts)
    start = np.full(len(lines), NO_DAY, dtype=np.int64)
    end = start.copy()
    source = np.full(len(lines), Source.NONE, dtype=np.int64)
    for candidate, begin, stop in (
        (Source.TEXT, text_start, text_end),
        (Source.DELIVERY, as_int64(lines.delivery_start_day), as_int64(lines.delivery_end_day)),
        (Source.ROW_DATES, as_int64(lines.start_day), as_int64(lines.end_day)),
    ):
        length = stop - begin
        serves = (begin != NO_DAY) & (stop != NO_DAY) & (length >= 1)
        serves &= recurring | (length >= 25) | _within(length, _MAYBE)
        start[serves], end[serves], source[serves] = begin[serves], stop[serves], candidate
    return start, end, source


def _dated_texts(lines: Lines, facts: TextFacts) -> tuple[Ints, Ints]:
    start, end = facts.start[lines.text], facts.end[lines.text]
    rows = np.flatnonzero(facts.yearless[lines.text])
    if rows.size:
        invoiced = as_int64(lines.invoice_day[rows])
        start[rows], end[rows] = _nearest_year(start[rows], end[rows], invoiced)
    return start, end


def _nearest_year(start: Ints, end: Ints, invoice_day: Ints) -> tuple[Ints, Ints]:
    """Move a period of the year 2000 to the year in which it begins nearest to the invoice."""
    shift = month_of(invoice_day) // 12 - YEARLESS
    best_start, best_end = start, end
    closest = np.full(len(start), np.iinfo(np.int64).max)
    for years in (shift - 1, shift, shift + 1):
        begin, stop = _shifted(start, years), _shifted(end, years)
        distance = np.abs(begin - invoice_day)
        nearer = distance < closest
        best_start, best_end = np.where(nearer, begin, best_start), np.where(nearer, stop, best_end)
        closest = np.where(nearer, distance, closest)
    return best_start, best_end


def _shifted(days: Ints, years: Ints) -> Ints:
    month = month_of(days)
    moved = first_day(month + 12 * years)
    length = first_day(month + 12 * years + 1) - moved
    return as_int64(moved + np.minimum(days - first_day(month), length - 1))
