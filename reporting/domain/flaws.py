"""What in a subscription's lines deserves a person's look: gaps, double billing, guesses."""

from __future__ import annotations

from bisect import bisect_right, insort
from dataclasses import dataclass

import numpy as np

from reporting.domain.arrays import NO_DAY, Flags, Ints
from reporting.domain.cadence import DAY_SPAN
from reporting.domain.findings import LineType, Source, Subscriptions
from reporting.domain.lines import Lines
from reporting.domain.periods import month_of

SHORT_GAP_PERIODS = 3
"""A gap of more periods than this is a customer who left and came back."""
DOUBLE_FROM_DAYS = 4
"""Invoices move by some days; less than this in common is no service billed twice."""
GUESSED = (Source.PRODUCT_DEFAULT, Source.FALLBACK, Source.PRODUCT_VOTE)
_DAYS_OF_WEEKS = {-1: 7, -2: 14}
_DAYS_OF_A_MONTH = 31


@dataclass(frozen=True, slots=True, kw_only=True)
class Flaws:
    """Per subscription, how many of its lines are followed or preceded by each."""

    gaps: Ints
    """Stretches without service, of at most three of its periods, between two of its lines. One
    within a month moves no figure and is none."""
    overlaps: Ints
    """Lines of another invoice and about the same amount (within 5 %) for days that are paid for
    already. Contracts that are renewed side by side have none."""
    guessed: Ints
    """Lines whose period neither people, dates, words, units nor a rhythm tell."""


def find_flaws(lines: Lines, found: Subscriptions) -> Flaws:
    """The flaws of each subscription; credits, what they take back in full, and lines of other
    types have none."""
    findings, order = found.findings, found.line_order
    owner = np.repeat(np.arange(len(found)), np.diff(found.line_from))
    service = (findings.type[order] == LineType.SUBSCRIPTION) & (lines.net[order] > 0)
    service &= ~findings.cancelled[order] & (findings.start[order] != NO_DAY)
    order, owner = order[service], owner[service]
    sort = np.lexsort((findings.end[order], findings.start[order], owner))
    order, owner = order[sort], owner[sort]
    start, end = findings.start[order], findings.end[order]

    # The furthest end so far of the same subscription: owners grow, so their ends never mix.
    reach = np.maximum.accumulate(owner * DAY_SPAN + end) - owner * DAY_SPAN
    follows = np.zeros(len(order), dtype=np.bool_)
    follows[1:] = owner[1:] == owner[:-1]
    paid = np.where(follows, np.roll(reach, 1), start)
    days = np.array([_DAYS_OF_WEEKS.get(int(p), int(p) * _DAYS_OF_A_MONTH) for p in found.period])
    longest = SHORT_GAP_PERIODS * days[owner] if len(order) else start
    gap = (start - paid <= longest) & (month_of(start) > month_of(paid))
    guess = np.isin(findings.source[order], GUESSED)

    overlaps = np.zeros(len(found), dtype=np.int64)
    for one in np.unique(owner[paid - start >= DOUBLE_FROM_DAYS]).tolist():
        part = slice(*np.searchsorted(owner, [one, one + 1]).tolist())
        rows = order[part]
        overlaps[one] = _doubles(start[part], end[part], lines.net[rows], lines.invoice_id[rows])

    def each(rows: Flags) -> Ints:
        return np.bincount(owner[rows], minlength=len(found)).astype(np.int64)

    return Flaws(gaps=each(gap), overlaps=overlaps, guessed=each(guess))


def _doubles(start: Ints, end: Ints, net: Ints, invoice: Ints) -> int:
    """How many lines of one subscription, ordered by start, pay again for days of others.

    Lines that begin where others end form runs. A run beside another one is a contract of its
    own when both go on; it is billed twice when it is one line, or replaces what has not ended.
    """
    last: list[tuple[int, int]] = []  # (end, line) of each run's last line, by end
    run: list[int] = []
    for line, (begins, ends) in enumerate(zip(start.tolist(), end.tolist(), strict=True)):
        at = bisect_right(last, (begins + DOUBLE_FROM_DAYS, -1)) - 1
        run.append(run[last.pop(at)[1]] if at >= 0 else line)
        insort(last, (ends, line))
    runs = np.array(run, dtype=np.int64)
    final = {line for _end, line in last}
    found = 0
    for line in np.flatnonzero(runs == np.arange(len(runs))).tolist()[1:]:
        before = slice(0, line)
        beside = (end[before] - start[line] >= DOUBLE_FROM_DAYS) & (
            invoice[before] != invoice[line]
        )
        beside &= (net[line] * 100 <= net[before] * 105) & (net[before] * 100 <= net[line] * 105)
        alone = line in final
        found += any(alone or other in final for other in np.flatnonzero(beside).tolist())
    return found
