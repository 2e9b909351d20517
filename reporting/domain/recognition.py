"""Revenue recognition: when invoiced amounts become revenue, and what is deferred or accrued.

Two methods. *Monthly*, as Calqulate has it: a line in equal parts on the last day of each month
that its period covers. *Daily*: a line evenly over the days of its period. Both round
cumulatively, so that a line's parts make the whole to the cent. Lines that are no counted
subscription are recognised whole, on the day on which their delivery begins or, without one, on
the invoice's day. A credit note is a negative line over the period that it takes back.

Deferred is invoiced and not yet recognised, accrued is recognised and not yet invoiced; a
negative line reduces what it would add to.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from reporting.domain.arrays import NEVER, NO_DAY, Flags, Ints, as_int64
from reporting.domain.findings import Findings
from reporting.domain.growth import Calendar
from reporting.domain.lines import Lines
from reporting.domain.periods import last_day, month_of, month_text
from reporting.domain.rounding import divide_half_away
from reporting.domain.sums import Additive
from reporting.parts import RecognisedMonth

CELLS = 1 << 20
"""How many line-months are held at once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RecognitionSums(Additive):
    """One value a month, in minor units: what was invoiced and recognised in the month, and what
    is deferred and accrued at its end (on as_of in the running month)."""

    invoiced: Ints
    recognised: Ints
    deferred: Ints
    accrued: Ints


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """How each line with an amount is recognised, in a method's own steps.

    A line's whole is recognised in `parts` equal steps, of which step n (from 0) is the month
    `first` + n by the monthly method and the day `first` + n by the daily one.
    """

    row: Ints
    """Row in `Lines`."""
    net: Ints
    first: Ints
    parts: Ints
    invoiced: Ints
    """Month of the invoice."""
    at_once: Ints
    """Day on which the whole is recognised; NEVER for a line with a period."""
    daily: bool

    def recognised_by(self, line: Ints, month: Ints, day: Ints) -> Ints:
        """Minor units of the chosen lines that are recognised by the end of `day` of `month`."""
        first, parts = self.first[line], self.parts[line]
        if self.daily:
            done = day - first + 1
        else:
            done = month - first + (day >= np.minimum(last_day(month), self.at_once[line]))
        return divide_half_away(self.net[line] * np.clip(done, 0, parts), parts)

    def open_on(self, line: Ints, month: Ints, day: Ints) -> tuple[Ints, Ints]:
        """(deferred, accrued) of the chosen lines at the end of `day`."""
        net = self.net[line]
        left = np.where(month >= self.invoiced[line], net, 0)
        left = left - self.recognised_by(line, month, day)
        ahead = np.sign(left) == np.sign(net)
        return np.where(ahead, left, 0), np.where(ahead, 0, -left)


def schedule(lines: Lines, findings: Findings, *, daily: bool) -> Schedule:
    """The plan of every line that has an amount."""
    row = np.flatnonzero(lines.net_acc != 0)
    served = findings.counted[row] & (findings.end[row] > findings.start[row])
    delivered = np.where(
        lines.start_day[row] != NO_DAY, lines.start_day[row], lines.delivery_start_day[row]
    )
    day = as_int64(np.where(delivered != NO_DAY, delivered, lines.invoice_day[row]))
    return planned(
        row=row,
        net=lines.net_acc[row],
        served=served,
        start=findings.start[row],
        end=findings.end[row],
        day=day,
        invoiced=month_of(lines.invoice_day[row]),
        daily=daily,
    )


def planned(
    *,
    row: Ints,
    net: Ints,
    served: Flags,
    start: Ints,
    end: Ints,
    day: Ints,
    invoiced: Ints,
    daily: bool,
) -> Schedule:
    """The plan of these lines: over [start, end) where they are `served`, else whole on `day`."""
    start = np.where(served, start, day)
    end = np.where(served, end, day + 1)
    if daily:
        first, parts = start, end - start
    else:
        # A period that covers no month's end is recognised whole in the month it begins in.
        first = month_of(start)
        parts = np.maximum(month_of(end) - first, 1)
    return Schedule(
        row=row,
        net=net,
        first=first,
        parts=parts,
        invoiced=invoiced,
        at_once=np.where(served, NEVER, day),
        daily=daily,
    )


def recognition_sums(plan: Schedule, calendar: Calendar) -> RecognitionSums:
    """The sums of all lines of a schedule."""
    months, days = calendar.months, calendar.snapshot_days
    width, start = len(months), int(months[0]) if len(months) else 0
    invoiced, deferred, accrued = (np.zeros(width, dtype=np.int64) for _ in range(3))
    seen = plan.invoiced < start + width
    np.add.at(invoiced, plan.invoiced[seen] - start, plan.net[seen])
    # After the later of its invoice and its last part nothing of a line is open.
    last = plan.first + plan.parts - 1
    opens, closes = (month_of(plan.first), month_of(last)) if plan.daily else (plan.first, last)
    begin = np.clip(np.minimum(opens, plan.invoiced) - start, 0, width)
    stop = np.clip(np.maximum(closes, plan.invoiced) - start, 0, width)
    # A part that waits for the running month's last day is open on as_of.
    if width and not calendar.complete[-1]:
        stop = np.where(stop == width - 1, width, stop)
    stop = np.maximum(stop, begin)
    for line, column in _cells(begin, stop):
        ahead, behind = plan.open_on(line, months[column], days[column])
        np.add.at(deferred, column, ahead)
        np.add.at(accrued, column, behind)
    return RecognitionSums(
        invoiced=invoiced,
        recognised=invoiced - np.diff(deferred - accrued, prepend=0),
        deferred=deferred,
        accrued=accrued,
    )


def _cells(begin: Ints, stop: Ints) -> Iterator[tuple[Ints, Ints]]:
    """(line, column) of every column in which a line is open, some lines at a time."""
    rows = np.flatnonzero(stop > begin)
    spans = (stop - begin)[rows]
    full = np.flatnonzero(np.diff(np.cumsum(spans) // CELLS)) + 1
    for part, some in zip(np.split(rows, full), np.split(spans, full), strict=True):
        line = np.repeat(part, some)
        offset = np.arange(len(line)) - np.repeat(np.cumsum(some) - some, some)
        yield line, begin[line] + offset


def deferred_by_line(plan: Schedule, size: int, calendar: Calendar) -> Ints:
    """Minor units deferred on as_of, for each of the `size` lines; add them up by customer or
    invoice."""
    month, day = int(calendar.months[-1]), int(calendar.snapshot_days[-1])
    every = np.arange(len(plan.row))
    ahead, _ = plan.open_on(
        every, np.full(len(every), month, dtype=np.int64), np.full(len(every), day, np.int64)
    )
    deferred = np.zeros(size, dtype=np.int64)
    deferred[plan.row] = ahead
    return deferred


def recognised_months(
    sums: RecognitionSums, calendar: Calendar, known_from: int = 0
) -> list[RecognisedMonth]:
    """The months from `known_from` on, as the page shows them."""
    columns = zip(
        calendar.months.tolist(),
        calendar.complete.tolist(),
        sums.invoiced.tolist(),
        sums.recognised.tolist(),
        sums.deferred.tolist(),
        sums.accrued.tolist(),
        strict=True,
    )
    return [
        {
            "month": month_text(month),
            "complete": complete,
            "invoiced_minor": invoiced,
            "recognised_minor": recognised,
            "deferred_minor": deferred,
            "accrued_minor": accrued,
        }
        for month, complete, invoiced, recognised, deferred, accrued in columns
        if month >= known_from
    ]
