"""The oracle's reading of rows as services: which count, and for which period.

Order of sources: row dates, delivery dates, dates in the text, unit and words, cadence. Only
what is certain counts: dates in a band, MONTH or YEAR beside a recurring word, a cadence of one
price, and a period beside such a line.

Five rules are choices of ours where several readings would do, and are taken from the written
definitions: when rows of several prices are one history; an inferred period that is not cut
short by a second contract's invoice; certainty beside a certain line; and no grace for a
history that another one of its product follows, or one of another product takes the place of.
Words are the oracle's own list, long enough for the sandbox's texts and no longer.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from datetime import date
from fractions import Fraction
from itertools import pairwise

from tests.oracle.calendars import Span, add_months, months_of, span_in
from tests.oracle.documents import Row

RECURRING = re.compile(
    r"\bkk\b|kuukau|kvartaali|neljännes|vuosi|puolivuosi|licen[cs]e|lisenssi|tilaus|jatkuva"
    r"|ylläpito|\bsaas\b|month|annual|yearly|quarter|half year|subscription|maintenance"
)
COUNTER = re.compile(
    r"perustam|käyttöönot|konsult|consult|koulutu|training|tunti|\bh\b|matka|mileage|lisätyö"
    r"|päätelaite|hardware|setup|onboarding|one-off"
)
METERED = re.compile(r"käytön mukaan|, käyttö\b|metered")
IGNORED = re.compile(r"muistutus|korko|pyöristys|reminder|interest|rounding")
WORK = {"HOUR", "KILOMETER", "DAY"}
PERIODS = {
    2: re.compile(r"\b2 kk\b|two months"),
    3: re.compile(r"kvartaali|neljännes|quarter"),
    6: re.compile(r"puolivuosi|half year"),
    12: re.compile(r"vuosi|annual|yearly"),
    1: re.compile(r"\bkk\b|kuukau|month"),
}
CERTAIN_DAYS = ((27, 32), (58, 63), (88, 93), (180, 185), (360, 367))
GAPS = {1: (26, 35), 2: (55, 66), 3: (83, 98), 6: (172, 193), 12: (350, 380)}


@dataclass(frozen=True)
class Service:
    """What a row pays for. `chain` names the subscription that the row belongs to."""

    row: Row
    start: date
    after: date
    months: Fraction
    nominal: int
    certain: bool
    chain: tuple[object, ...]
    dated: bool = True
    cancelled: bool = False
    """A credit takes the row back in full, or this is that credit."""


def detect(rows: list[Row]) -> tuple[list[Service], list[Row]]:
    """The services that count, credits included; and the credits that nothing was found for."""
    charges = [row for row in rows if row.net > 0 and not _no_service(row)]
    taken_back = set(_full_credits(rows).values())
    groups: dict[tuple[str, str, str], list[Row]] = defaultdict(list)
    for row in charges:
        groups[row.group].append(row)
    services: dict[tuple[int, int], Service] = {}
    for group, members in groups.items():
        shaping = [row for row in members if row.place not in taken_back]
        for number, chain in enumerate(_chains(shaping)):
            for row in chain:
                services[row.place] = _service(row, chain, (group, number))
        for row in members:
            if row.place in taken_back:
                services[row.place] = _taken_back(row, shaping, services)
    certain = {place: one for place, one in _beside(services).items() if one.certain}
    return _with_negatives(rows, certain)


def _no_service(row: Row) -> bool:
    text = row.text.casefold()
    return bool(row.unit in WORK or IGNORED.search(text) or METERED.search(text)) or (
        bool(COUNTER.search(text)) and row.unit not in ("MONTH", "YEAR")
    )


# Chains and cadence


def _chains(rows: list[Row]) -> list[list[Row]]:
    """Rows of one customer, product and currency as histories of one price each, or as one."""
    if not rows:
        return []
    clusters = _clusters(rows, lambda row: Fraction(row.net) / row.quantity)
    if len(clusters) == 1:
        return clusters
    owner = {row.place: number for number, one in enumerate(clusters) for row in one}
    in_time = [owner[row.place] for row in sorted(rows, key=lambda row: (row.day, row.place))]
    changes = sum(a != b for a, b in pairwise(in_time))
    if changes <= 2 * (len(clusters) - 1) or cadence(rows) is not None:
        return [rows]
    return clusters


def _clusters(rows: list[Row], price: Callable[[Row], Fraction]) -> list[list[Row]]:
    clusters: list[list[Row]] = []
    for row in sorted(rows, key=lambda row: (price(row), row.place)):
        if clusters and price(row) <= price(clusters[-1][0]) * Fraction(105, 100):
            clusters[-1].append(row)
        else:
            clusters.append([row])
    return clusters


def cadence(rows: Iterable[Row]) -> tuple[int, bool] | None:
    """(nominal months, whether it is certain) of a history, or None where it has no rhythm."""
    days: dict[date, list[Row]] = defaultdict(list)
    for row in rows:
        days[row.day].append(row)
    dates = sorted(days)
    gaps = [(b - a).days for a, b in pairwise(dates)]
    prices = [Fraction(max(row.net / row.quantity for row in days[day])) for day in dates]
    sums = [sum(row.net for row in days[day]) for day in dates]
    if 2 * sum(2 * max(pair) > 3 * min(pair) for pair in pairwise(sums)) > len(dates):
        return None
    for nominal, (low, high) in GAPS.items():
        inside = [low <= gap <= high for gap in gaps]
        missed = [2 * low <= gap <= 2 * high for gap in gaps]
        judged = len(gaps) - (1 if any(missed) else 0)
        hits = len(dates)
        if hits < (2 if nominal == 12 else 3) or 4 * sum(inside) < 3 * judged or not any(inside):
            continue
        changes = sum(abs(b - a) > a * Fraction(5, 100) for a, b in pairwise(prices))
        if changes > max(1, hits // 4):
            return None
        needed = {1: 4, 2: 4, 3: 3, 6: 3}.get(nominal)
        longest = Counter(_cluster_of(prices)).most_common(1)[0][1]
        return nominal, needed is not None and longest >= needed
    return None


def _cluster_of(prices: list[Fraction]) -> list[int]:
    numbers: dict[Fraction, int] = {}
    first: Fraction | None = None
    for price in sorted(set(prices)):
        if first is None or price > first * Fraction(105, 100):
            first = price
        numbers[price] = int(first * 10_000)
    return [numbers[price] for price in prices]


# Periods


def _service(row: Row, chain: list[Row], name: tuple[object, ...]) -> Service:
    text = row.text.casefold()
    opposed = bool(COUNTER.search(text))
    for span in (row.row_dates, row.delivery_dates, span_in(row.text)):
        if span and (span[1] - span[0]).days >= 25:
            length = (span[1] - span[0]).days
            sure = any(low <= length <= high for low, high in CERTAIN_DAYS) and not opposed
            months = months_of(span)
            return Service(row, *span, months, _nearest(months), sure, name)
    rhythm = cadence(chain)
    nominal, sure = 1, False
    if row.unit in ("MONTH", "YEAR"):
        nominal, sure = _by_unit(row, chain), bool(RECURRING.search(text))
    elif found := [months for months, words in PERIODS.items() if words.search(text)]:
        nominal = found[0]
        sure = rhythm is not None and rhythm[1]
    elif rhythm:
        nominal, sure = rhythm[0], rhythm[1] and not opposed
    start, after = _inferred(row, chain, nominal)
    return Service(row, start, after, Fraction(nominal), nominal, sure, name, dated=False)


def _by_unit(row: Row, chain: list[Row]) -> int:
    """Months that a MONTH or YEAR row pays for: its quantity only where invoices bear it out."""
    if row.unit == "YEAR":
        return 12
    if row.quantity not in (2, 3, 6, 12):
        return 1
    days = sorted({one.day for one in chain})
    if len(days) == 1:
        return int(row.quantity) if row.quantity != 2 else 1
    low, high = GAPS[int(row.quantity)]
    gaps = [(b - a).days for a, b in pairwise(days)]
    near = [gap for a, gap in zip(days, gaps, strict=False) if a == row.day] or gaps[-1:]
    return int(row.quantity) if all(low <= gap <= high for gap in near) else 1


def _inferred(row: Row, chain: list[Row], nominal: int) -> Span:
    """From the invoice day to the chain's next invoice, where that is within 1.5 periods."""
    end = add_months(row.day, nominal)
    later = sorted({one.day for one in chain if one.day > row.day})
    latest = row.day + 3 * (end - row.day) / 2
    early = max(10, nominal * 3)
    if later and later[0] <= latest and (end - later[0]).days <= early:
        return row.day, later[0]
    return row.day, end


def _nearest(months: Fraction) -> int:
    return min(GAPS, key=lambda nominal: (abs(nominal - months), nominal))


def _beside(services: dict[tuple[int, int], Service]) -> dict[tuple[int, int], Service]:
    """A row is certain beside a certain one of its group, and a dated one that ends with one."""
    groups = {one.row.group for one in services.values() if one.certain}
    ends = {(one.row.customer, one.after) for one in services.values() if one.certain}
    return {
        place: replace(one, certain=True)
        if not COUNTER.search(one.row.text.casefold())
        and (one.row.group in groups or (one.dated and (one.row.customer, one.after) in ends))
        else one
        for place, one in services.items()
    }


def _taken_back(row: Row, shaping: list[Row], services: dict[tuple[int, int], Service]) -> Service:
    """A row that a credit cancels shapes no chain, but is read as one of the nearest."""
    if not shaping:
        return replace(_service(row, [row], (row.group, 0)), cancelled=True)
    near = min(shaping, key=lambda one: (abs((one.day - row.day).days), one.place))
    name = services[near.place].chain
    chain = [one for one in shaping if services[one.place].chain == name]
    return replace(_service(row, chain, name), cancelled=True)


# Credits and discounts


def _full_credits(rows: list[Row]) -> dict[tuple[int, int], tuple[int, int]]:
    """Each row of a credit note that takes one earlier row back in full, and that row."""
    found: dict[tuple[int, int], tuple[int, int]] = {}
    taken: set[tuple[int, int]] = set()
    for credit in sorted(rows, key=lambda row: (row.day, row.place)):
        if credit.net >= 0 or credit.invoice.total >= 0:
            continue
        same = [
            row
            for row in rows
            if row.net == -credit.net
            and (row.customer, row.invoice.currency) == (credit.customer, credit.invoice.currency)
            and row.day <= credit.day
            and row.place not in taken
        ]
        if same:
            best = max(same, key=lambda row: (_alike(row, credit), row.day, row.place))
            taken.add(best.place)
            found[credit.place] = best.place
    return {
        credit: original
        for credit, original in found.items()
        if not _by_chance(rows, credit, original, found)
    }


def _by_chance(
    rows: list[Row],
    credit: tuple[int, int],
    original: tuple[int, int],
    found: dict[tuple[int, int], tuple[int, int]],
) -> bool:
    """An undated row of a note that also credits in part, and an invoice before the latest."""
    one, other = ({row.place: row for row in rows}[place] for place in (credit, original))
    beside = [row for row in rows if row.invoice is one.invoice and row.net < 0]
    newer = [row for row in rows if row.group == other.group and row.net > 0]
    return (
        one.row_dates is None
        and any(row.place not in found for row in beside)
        and any(other.day < row.day <= one.day for row in newer)
    )


def _alike(row: Row, credit: Row) -> tuple[bool, bool]:
    """Of the same product, and of the dates that the credit states."""
    same = row.product == credit.product
    return same, same and credit.row_dates is not None and row.row_dates == credit.row_dates


def _with_negatives(
    rows: list[Row], certain: dict[tuple[int, int], Service]
) -> tuple[list[Service], list[Row]]:
    """Own dates, else the original's period, else from the credit's day to the original's end."""
    originals = _full_credits(rows)
    counted, unmatched = list(certain.values()), []
    for row in rows:
        if row.net >= 0 or IGNORED.search(row.text.casefold()):
            continue
        beside = [one for one in certain.values() if one.row.invoice is row.invoice]
        groups = [one for one in certain.values() if one.row.group == row.group]
        span = row.row_dates or row.delivery_dates or span_in(row.text)
        if row.place in originals and originals[row.place] not in certain:
            continue
        if span and (beside or groups):
            counted.append(_reduction(row, span, beside or groups))
        elif row.place in originals:
            counted.append(replace(certain[originals[row.place]], row=row))
        elif row.invoice.total >= 0 and beside:
            largest = max(beside, key=lambda one: (one.row.net, -one.row.position))
            counted.append(replace(largest, row=row))
        elif running := [one for one in groups if one.start <= row.day < one.after]:
            counted.append(_reduction(row, (row.day, max(one.after for one in running)), running))
        elif row.invoice.total < 0:
            unmatched.append(row)
            if groups:
                counted.append(_reduction(row, (row.day, add_months(row.day, 1)), groups))
    return counted, unmatched


def _reduction(row: Row, span: Span, of: list[Service]) -> Service:
    """A negative row over its own period; it lives and ends with the service that it reduces."""
    months = months_of(span)
    reduced = max(of, key=lambda one: (one.start <= span[0] < one.after, one.start))
    return Service(row, *span, months, _nearest(months), True, reduced.chain)
