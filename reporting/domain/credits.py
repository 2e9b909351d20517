"""Credit notes and discount rows: which line each negative row speaks about."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from reporting.domain.arrays import NO_DAY, Flags, Ints, as_int64
from reporting.domain.lines import Lines


@dataclass(frozen=True, slots=True, kw_only=True)
class FullCredits:
    """Links from credit rows to the lines that they take back in full."""

    original: Ints
    """Row of the credited line; -1 for every line that is no full credit."""
    cancelled: Flags
    """Lines that a credit takes back; they shape no chain."""


def link_full_credits(lines: Lines) -> FullCredits:
    """Match full credits before anything is read from the dates.

    A full credit looks for the latest uncredited line of the same customer, currency and
    amount on or before its day: first of the same product and, where its row states dates, of
    the same dates; then of the same product, then of any product. An undated row of a note that
    credits another row in part means its product's latest line alone: that half of today's price
    is what was paid long ago proves nothing.
    """
    size = len(lines)
    full = np.full(size, -1, dtype=np.int64)
    cancelled = np.zeros(size, dtype=np.bool_)
    credits = np.flatnonzero((lines.net < 0) & lines.is_credit)
    if credits.size:
        order = credits[np.lexsort((lines.place[credits], lines.invoice_day[credits]))]
        stated = order[lines.start_day[order] != NO_DAY]
        _match(lines, stated, full, cancelled, by_product=True, by_dates=True)
        _match(lines, order[full[order] < 0], full, cancelled, by_product=True)
        _match(lines, order[full[order] < 0], full, cancelled, by_product=False)
        _unlink_chance(lines, order, full, cancelled)
    return FullCredits(original=full, cancelled=cancelled)


def _match(
    lines: Lines,
    credits: Ints,
    full: Ints,
    cancelled: Flags,
    *,
    by_product: bool,
    by_dates: bool = False,
) -> None:
    if credits.size == 0:
        return
    wanted = np.isin(lines.customer_id, lines.customer_id[credits])
    rows = np.flatnonzero(wanted & (lines.net > 0) & ~lines.is_credit & ~cancelled)
    likely = np.isin(
        _rough_key(lines, rows, by_product, by_dates),
        _rough_key(lines, credits, by_product, by_dates),
    )
    rows = rows[likely]
    rows = rows[np.lexsort((lines.place[rows], lines.invoice_day[rows]))]

    def key(row: int) -> tuple[int, ...]:
        amount = abs(int(lines.net[row]))
        product = (int(lines.product_key[row]),) if by_product else ()
        dates = (int(lines.start_day[row]), int(lines.end_day[row])) if by_dates else ()
        return int(lines.customer_id[row]), int(lines.currency[row]), amount, *product, *dates

    waiting: dict[tuple[int, ...], list[int]] = {}
    fed = 0
    for credit in credits.tolist():
        day = lines.invoice_day[credit]
        while fed < len(rows) and lines.invoice_day[rows[fed]] <= day:
            waiting.setdefault(key(int(rows[fed])), []).append(int(rows[fed]))
            fed += 1
        originals = waiting.get(key(credit))
        if originals:
            original = originals.pop()
            full[credit] = original
            cancelled[original] = True


def _rough_key(lines: Lines, rows: Ints, by_product: bool, by_dates: bool) -> Ints:
    """A number that is equal where the exact key is, and seldom elsewhere."""
    columns = [lines.currency, np.abs(lines.net)]
    columns += [lines.product_key] if by_product else []
    columns += [lines.start_day, lines.end_day] if by_dates else []
    key = as_int64(lines.customer_id[rows])
    for column in columns:
        key = key * 1_000_003 + column[rows]  # may wrap around
    return key


def _unlink_chance(lines: Lines, credits: Ints, full: Ints, cancelled: Flags) -> None:
    """Unlink undated rows of notes that also credit in part, but from a product's latest line."""
    in_part = np.unique(lines.invoice_id[credits[full[credits] < 0]])
    asked = credits[(full[credits] >= 0) & np.isin(lines.invoice_id[credits], in_part)]
    asked = asked[lines.start_day[asked] == NO_DAY]
    rows = np.flatnonzero((lines.net > 0) & np.isin(lines.customer_id, lines.customer_id[asked]))
    for credit in asked.tolist():
        original = full[credit]
        newer = (lines.invoice_day[rows] > lines.invoice_day[original]) & (
            lines.invoice_day[rows] <= lines.invoice_day[credit]
        )
        for column in (lines.customer_id, lines.product_key, lines.currency):
            newer &= column[rows] == column[original]
        if newer.any():
            full[credit], cancelled[original] = -1, False


def discounted_lines(lines: Lines, rows: Ints, preferred: Flags) -> Ints:
    """For each negative row the line of its own invoice that it reduces, -1 where none is.

    A preferred line (a subscription) comes before others, then the largest amount.
    """
    result = np.full(len(rows), -1, dtype=np.int64)
    positive = np.flatnonzero((lines.net > 0) & np.isin(lines.invoice_id, lines.invoice_id[rows]))
    if positive.size == 0:
        return result
    order = positive[
        np.lexsort(
            (
                -lines.place[positive],
                lines.net[positive],
                preferred[positive],
                lines.invoice_id[positive],
            )
        )
    ]
    invoices = lines.invoice_id[order]
    at = np.maximum(np.searchsorted(invoices, lines.invoice_id[rows], side="right") - 1, 0)
    return np.where(invoices[at] == lines.invoice_id[rows], order[at], -1)


def covering_lines(
    lines: Lines, credits: Ints, day: Ints, group: Ints, start: Ints, end: Ints, among: Flags
) -> Ints:
    """For each credit the latest line of its group that runs on the credit's day, else -1.

    A line also runs between its invoice and the start of its period. `day` has one entry per
    credit; the other columns one per line.
    """
    result = np.full(len(credits), -1, dtype=np.int64)
    candidates = np.flatnonzero(among & np.isin(group, group[credits]))
    keys = lines.place[candidates], lines.invoice_day[candidates], start[candidates]
    candidates = candidates[np.lexsort(keys)]
    by_group: dict[int, list[int]] = {}
    for row in candidates.tolist():
        by_group.setdefault(int(group[row]), []).append(row)
    for place, credit in enumerate(credits):
        for row in reversed(by_group.get(int(group[credit]), [])):
            if min(int(lines.invoice_day[row]), int(start[row])) <= day[place] < int(end[row]):
                result[place] = row
                break
    return result
