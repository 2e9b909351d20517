"""Contracted MRR: MRR, plus what is signed and has not begun, less what is known to end.

What is signed shows as an invoice for service that starts later. Known to end is, from twelve
months before, MRR of a subscription whose end a person set, and MRR whose successor is invoiced
already: a renewal sent ahead replaces what it renews and adds only the difference in price. MRR
whose next invoice is awaited stays in.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from reporting.domain.arrays import NEVER, Flags, Ints, as_int64, standing_sums
from reporting.domain.cadence import DAY_SPAN
from reporting.domain.findings import Findings
from reporting.domain.growth import Calendar
from reporting.domain.lines import Lines
from reporting.domain.periods import add_months, month_of
from reporting.domain.sums import Additive

KNOWN_MONTHS = 12
"""So long before its end a line whose end a person set is known to end."""
RENEWED_DAYS = 3
"""A successor may begin this many days before what it replaces ends."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ContractedSums(Additive):
    """At each month's snapshot, in 1/10 000 minor units: MRR + signed - ending = contracted."""

    signed: Ints
    ending: Ints


def contracted_sums(
    lines: Lines, findings: Findings, mrr: Ints, calendar: Calendar
) -> ContractedSums:
    """The sums of all lines."""
    return ContractedSums(
        signed=_signed(lines, findings, mrr, calendar.snapshot_days),
        ending=_ending(lines, findings, mrr, calendar),
    )


def _signed(lines: Lines, findings: Findings, mrr: Ints, snapshot_days: Ints) -> Ints:
    """MRR invoiced by each snapshot whose service has not begun."""
    chosen: Flags = findings.counted & (lines.invoice_day < findings.start)
    invoiced, begun = (
        as_int64(np.searchsorted(snapshot_days, days[chosen]))
        for days in (lines.invoice_day, findings.start)
    )
    return standing_sums(invoiced, begun, mrr[chosen], len(snapshot_days))


def _ending(lines: Lines, findings: Findings, mrr: Ints, calendar: Calendar) -> Ints:
    """MRR in each snapshot that is known to end."""
    months = calendar.months
    rows = np.flatnonzero(findings.counted & (mrr != 0) & (findings.subscription >= 0))
    by_word = np.where(findings.ending[rows], add_months(findings.end[rows], -KNOWN_MONTHS), NEVER)
    known = np.minimum(by_word, _replaced(lines, findings, rows))
    start = int(months[0]) if len(months) else 0
    first = np.maximum(
        findings.from_month[rows] - start, np.searchsorted(calendar.snapshot_days, known)
    )
    # What is awaited beyond its end is no longer known to end.
    awaited = np.where(findings.late[rows], month_of(findings.end[rows]), NEVER)
    after = np.minimum(findings.to_month[rows], awaited) - start
    stands, width = first < after, len(months)
    first, after = (np.clip(column[stands], 0, width) for column in (first, after))
    return standing_sums(first, after, mrr[rows][stands], width)


def _replaced(lines: Lines, findings: Findings, rows: Ints) -> Ints:
    """The first day on which each line's successor in its subscription is invoiced, or NEVER."""
    owner = findings.subscription[rows]
    key = owner * DAY_SPAN + findings.start[rows]
    order = np.argsort(key, kind="stable")
    # The earliest invoice day from each line on to the end of its subscription: the minimum
    # taken from behind, made to fall from one subscription to the next.
    day = as_int64(lines.invoice_day[rows][order]) + owner[order] * NEVER
    earliest = np.minimum.accumulate(day[::-1])[::-1]
    at = np.searchsorted(key[order], owner * DAY_SPAN + findings.end[rows] - RENEWED_DAYS)
    safe = np.minimum(at, max(len(rows) - 1, 0))
    follows = (at < len(rows)) & (owner[order][safe] == owner) if len(rows) else at < 0
    return np.where(follows, earliest[safe] - owner * NEVER, NEVER)
