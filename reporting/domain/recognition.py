"""Deferred revenue by the monthly method."""

from __future__ import annotations

import numpy as np

from reporting.domain.arrays import Flags, Ints, as_int64
from reporting.domain.findings import Findings
from reporting.domain.lines import Lines
from reporting.domain.periods import month_of
from reporting.domain.rounding import divide_half_away


def deferred_by_month(lines: Lines, findings: Findings, months: Ints) -> tuple[Ints, Ints]:
    """(deferred, accrued) at the end of each month, both ≥ 0, in minor units.

    A line is recognised in equal parts on the last day of each month that its period covers,
    rounded cumulatively so that the parts make the whole. Deferred is invoiced but not yet
    recognised; accrued is recognised but not yet invoiced. Only counted lines take part.
    """
    rows = np.flatnonzero(findings.counted & (lines.net_acc != 0))
    first, parts, invoiced = _schedule(lines, findings, rows)
    net = lines.net_acc[rows]
    start = int(months[0]) if months.size else 0
    width = len(months)
    deferred, accrued = np.zeros(width, dtype=np.int64), np.zeros(width, dtype=np.int64)
    # A line is open only between its invoice and its last part, whichever comes first and last.
    begin = np.clip(np.minimum(first, invoiced) - start, 0, width)
    stop = np.clip(np.maximum(first + parts - 1, invoiced) - start, 0, width)
    spans = stop - begin
    line = np.repeat(np.arange(len(rows)), spans)
    offset = np.arange(len(line)) - np.repeat(np.cumsum(spans) - spans, spans)
    column = begin[line] + offset
    month = column + start
    done = np.clip(month - first[line] + 1, 0, parts[line])
    recognised = divide_half_away(net[line] * done, parts[line])
    open_amount = np.where(month >= invoiced[line], net[line], 0) - recognised
    ahead = np.where(net[line] < 0, -open_amount, open_amount) > 0
    np.add.at(deferred, column, np.where(ahead, open_amount, 0))
    np.add.at(accrued, column, np.where(ahead, 0, -open_amount))
    return deferred, accrued


def _schedule(lines: Lines, findings: Findings, rows: Ints) -> tuple[Ints, Ints, Ints]:
    """First month, number of monthly parts, and invoice month of each line.

    A period that covers no month's end is recognised whole in the month in which it begins.
    """
    first = month_of(findings.start[rows])
    parts = np.maximum(month_of(findings.end[rows]) - first, 1)
    return first, parts, month_of(as_int64(lines.invoice_day[rows]))


def future_by_month(lines: Lines, findings: Findings, mrr: Ints, snapshot_days: Ints) -> Ints:
    """Contracted MRR at each snapshot: invoiced by that day, service not yet begun."""
    chosen: Flags = findings.counted & (lines.invoice_day < findings.start)
    invoiced = as_int64(lines.invoice_day[chosen])
    begins, amount = findings.start[chosen], mrr[chosen]
    steps = np.zeros(len(snapshot_days) + 1, dtype=np.int64)
    np.add.at(steps, np.searchsorted(snapshot_days, invoiced), amount)
    np.subtract.at(steps, np.searchsorted(snapshot_days, begins), amount)
    return np.cumsum(steps)[:-1]
