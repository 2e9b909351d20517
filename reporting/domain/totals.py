"""Everything published about all customers together: sums over them, and a few rows by name.

`totals_of` measures some customers, or all. Totals of different customers add up, and what is
taken off leaves the rest exactly, when both sides share their months (`measure(since=…)`), the
day, the settings and the company's usual delay.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from reporting.domain.arrays import Flags, Ints, as_int64
from reporting.domain.cohorts import CohortSums
from reporting.domain.contracted import ContractedSums
from reporting.domain.economics import FirstInvoices
from reporting.domain.findings import Status
from reporting.domain.growth import GrowthSums
from reporting.domain.periods import day_number, first_day, month_of
from reporting.domain.receivables import Age, OpenReceivables, Receivables
from reporting.domain.recognition import RecognitionSums, recognition_sums
from reporting.domain.refunds import RefundSums, refund_sums
from reporting.domain.report import Report
from reporting.domain.segments import Belonging, SegmentSums
from reporting.domain.sums import Additive
from reporting.parts import DIMENSIONS, Dimension

# How far ahead receivables are expected week by week, and month by month.
WEEKS, MONTHS = 26, 24
LONGEST = 12
"""Months of the longest period that a subscription is billed by."""
TOP = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class OwedSums(Additive):
    """Open receivables; rows are the amount in minor units and the number of invoices."""

    ages: Ints
    """By `Age`."""
    weeks: Ints
    """By the week in which they are expected, from the Monday of as_of's week on."""
    months: Ints
    """The same by month; the last one of either holds everything later."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StateSums(Additive):
    """What stands today; one value each, in an array of one."""

    late_e4: Ints
    """The part of MRR whose next invoice is awaited."""
    running: Ints
    """Subscriptions that count and run."""
    detected: Ints
    """Subscriptions that wait for review."""
    unmatched: Ints
    """Credits for which no line was found."""
    lines: Ints


@dataclass(frozen=True, slots=True)
class Split:
    """MRR by segment, for each dimension; added and taken off key by key."""

    by: dict[Dimension, SegmentSums]

    def __add__(self, other: Split) -> Split:
        return Split({name: sums + other.by[name] for name, sums in self.by.items()})

    def __sub__(self, other: Split) -> Split:
        return Split({name: sums - other.by[name] for name, sums in self.by.items()})


@dataclass(frozen=True, slots=True, kw_only=True)
class Totals(Additive):
    """Sums over customers; arrays end in an axis of the report's months, or of steps."""

    monthly: GrowthSums
    trailing: GrowthSums
    """Of the steps over twelve months."""
    quarters: GrowthSums
    years: GrowthSums
    cohorts: CohortSums
    contracted: ContractedSums
    by_month: RecognitionSums
    by_day: RecognitionSums
    segments: Split
    first_invoices: FirstInvoices
    refunds: RefundSums
    detected_e4: Ints
    revenue: Ints
    """Invoiced net; rows are recurring, non-recurring, usage, other."""
    invoices: Ints
    """Invoices with lines, by month."""
    begun: Ints
    """Lines that count, by the first month in whose snapshot they stand."""
    lengths: Ints
    """Subscriptions that count, by the months of their period; shorter ones stand at 0."""
    owed: OwedSums
    delays: Ints
    """`receivables.delay_counts`"""
    states: StateSums

    @property
    def unsure_columns(self) -> int:
        """How many columns from the first used one on may call customers new who paid before the
        books begin: as many months as the longest period lasts."""
        return int(np.flatnonzero(self.lengths).max(initial=0))

    @property
    def first_used(self) -> int:
        """The first column with an invoice or a line that counts; the last one without any."""
        used = np.flatnonzero((self.invoices != 0) | (self.begun != 0))
        return int(used[0]) if len(used) else len(self.invoices) - 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Listed:
    """What names customers and is no sum: each row begins with the customer's id."""

    adjustments: Ints
    """Customer, month, and the amount that lifts its MRR to 0 (1/10 000 minor units)."""
    top: Ints
    """Customer, invoiced net in the last twelve months, MRR today; the largest ten, or more."""

    def without(self, gone: Callable[[Ints], Flags]) -> Listed:
        """The rows of the customers who are not gone."""
        return Listed(
            adjustments=self.adjustments[~gone(self.adjustments[:, 0])],
            top=self.top[~gone(self.top[:, 0])],
        )

    def in_order(self) -> Listed:
        """Adjustments by customer and month, and the largest ten."""
        adjustments, top = self.adjustments, self.top
        return Listed(
            adjustments=adjustments[np.lexsort((adjustments[:, 1], adjustments[:, 0]))],
            top=top[np.lexsort((top[:, 0], -top[:, 1]))][:TOP],
        )


def joined(parts: Sequence[Listed]) -> Listed:
    """The rows of all parts' customers."""
    return Listed(
        adjustments=np.concatenate([one.adjustments for one in parts]),
        top=np.concatenate([one.top for one in parts]),
    )


def listed_of(report: Report) -> Listed:
    """The rows of the report's customers."""
    rows, columns, amounts = report.table.adjustments
    ids, sums = report.top_customers(limit=TOP)
    place = np.searchsorted(report.table.customers, ids)
    adjusted = (report.table.customers[rows], report.months[columns], amounts)
    return Listed(
        adjustments=np.stack([as_int64(one) for one in adjusted], axis=1),
        top=np.stack([ids, sums, report.table.mrr[place, -1]], axis=1)
        if len(ids)
        else np.zeros((0, 3), dtype=np.int64),
    )


def totals_of(report: Report, receivables: Receivables, belonging: Belonging) -> Totals:
    """The sums of the report's customers, who belong to groups and countries as said.

    `receivables` are all their invoices.
    """
    width, start = len(report.months), int(report.months[0])
    kinds = [report.revenue[name] for name in ("recurring", "non_recurring", "usage", "other")]
    _, first = np.unique(report.lines.invoice_id, return_index=True)
    counted = report.findings.counted
    subscriptions = report.subscriptions
    running = subscriptions.counted & np.isin(subscriptions.status, (Status.ACTIVE, Status.LATE))
    return Totals(
        monthly=report.monthly_sums,
        trailing=report.trailing_sums,
        quarters=report.growth_sums(3),
        years=report.growth_sums(12),
        cohorts=report.cohort_sums,
        contracted=report.contracted_sums,
        by_month=recognition_sums(report.schedule(daily=False), report.calendar),
        by_day=recognition_sums(report.schedule(daily=True), report.calendar),
        segments=Split({name: report.segment_sums(belonging, name) for name in DIMENSIONS}),
        first_invoices=report.first_invoices,
        refunds=refund_sums(receivables, report.calendar),
        detected_e4=report.detected_e4,
        revenue=np.stack(kinds),
        invoices=_counts(month_of(report.lines.invoice_day[first]) - start, width),
        begun=_counts(report.findings.from_month[counted] - start, width),
        lengths=_counts(np.maximum(subscriptions.period[subscriptions.counted], 0), LONGEST + 1),
        owed=_owed(report.receivables, day_number(report.settings.as_of)),
        delays=report.receivables.delays,
        states=StateSums(
            late_e4=as_int64([report.late_e4]),
            running=as_int64([running.sum()]),
            detected=as_int64([(subscriptions.status == Status.DETECTED).sum()]),
            unmatched=as_int64([len(report.unmatched_credits())]),
            lines=as_int64([len(report.lines)]),
        ),
    )


def _counts(columns: Ints, width: int) -> Ints:
    inside = columns[(columns >= 0) & (columns < width)]
    return np.bincount(inside, minlength=width).astype(np.int64)


def _owed(owed: OpenReceivables, day: int) -> OwedSums:
    weeks, months = expected_starts(day)
    return OwedSums(
        ages=_amounts(as_int64(owed.age), owed.open_gross, len(Age)),
        weeks=_amounts(_place(weeks, owed.expected_day), owed.open_gross, WEEKS),
        months=_amounts(_place(months, owed.expected_day), owed.open_gross, MONTHS),
    )


def expected_starts(day: int) -> tuple[Ints, Ints]:
    """First days of the weeks, and of the months, in which receivables are expected."""
    monday = day - (day + 3) % 7
    return monday + 7 * np.arange(WEEKS), first_day(int(month_of(day)) + np.arange(MONTHS))


def _place(starts: Ints, days: Ints) -> Ints:
    return as_int64(np.searchsorted(starts, days, side="right") - 1)


def _amounts(place: Ints, amounts: Ints, size: int) -> Ints:
    sums = np.zeros((2, size), dtype=np.int64)
    np.add.at(sums[0], place, amounts)
    sums[1] = np.bincount(place, minlength=size)
    return sums
