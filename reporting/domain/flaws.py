"""What in a subscription's lines deserves a person's look: gaps, double billing, guesses."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from reporting.domain.arrays import Ints
from reporting.domain.cadence import DAY_SPAN
from reporting.domain.findings import LineType, Source, Subscriptions
from reporting.domain.lines import Lines

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
    """Stretches without service, of at most three of its periods, between two of its lines."""
    overlaps: Ints
    """Later lines of about the same amount (within 5 %) for days that are paid for already."""
    guessed: Ints
    """Lines whose period neither people, dates, words, units nor a rhythm tell."""


def find_flaws(lines: Lines, found: Subscriptions) -> Flaws:
    """The flaws of each subscription; credits and lines of other types have none."""
    findings, order = found.findings, found.line_order
    owner = np.repeat(np.arange(len(found)), np.diff(found.line_from))
    service = (findings.type[order] == LineType.SUBSCRIPTION) & (lines.net[order] > 0)
    order, owner = order[service], owner[service]
    sort = np.lexsort((findings.end[order], findings.start[order], owner))
    order, owner = order[sort], owner[sort]
    start, end, net = findings.start[order], findings.end[order], lines.net[order]

    # The furthest end so far of the same subscription: owners grow, so their ends never mix.
    reach = np.maximum.accumulate(owner * DAY_SPAN + end) - owner * DAY_SPAN
    follows = np.zeros(len(order), dtype=np.bool_)
    follows[1:] = owner[1:] == owner[:-1]
    paid = np.roll(reach, 1)
    days = np.array([_DAYS_OF_WEEKS.get(int(p), int(p) * _DAYS_OF_A_MONTH) for p in found.period])
    longest = SHORT_GAP_PERIODS * days[owner] if len(order) else start
    gap = follows & (start > paid) & (start - paid <= longest)
    before, later = np.roll(net, 1), start > np.roll(start, 1)
    alike = (net * 100 <= before * 105) & (before * 100 <= net * 105)
    double = follows & later & alike & (paid - start >= DOUBLE_FROM_DAYS)
    guess = np.isin(findings.source[order], GUESSED)

    def each(rows: np.ndarray[tuple[int], np.dtype[np.bool_]]) -> Ints:
        return np.bincount(owner[rows], minlength=len(found)).astype(np.int64)

    return Flaws(gaps=each(gap), overlaps=each(double), guessed=each(guess))
