"""One entry: from documents, bank and people's words to a report of every figure.

Exact MRR figures (`*_e4`) are integers of 1/10 000 minor unit of the reporting currency;
all other amounts are whole minor units of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from reporting.domain.arrays import Flags, Ints, as_int64, standing_sums
from reporting.domain.choices import Settings, UserWords
from reporting.domain.cohorts import CohortSums, cohort_sums
from reporting.domain.contracted import ContractedSums, contracted_sums
from reporting.domain.detection import detect
from reporting.domain.economics import FirstInvoices, first_invoices
from reporting.domain.findings import Findings, LineType, Subscriptions, Why
from reporting.domain.growth import Calendar, GrowthSums, Period, growth_sums, periods, summed
from reporting.domain.lines import Lines
from reporting.domain.movements import Movements, movements
from reporting.domain.mrr import (
    CustomerMonths,
    Spans,
    customer_months,
    free_lines,
    line_mrr,
    spans_of,
)
from reporting.domain.periods import day_number, month_of
from reporting.domain.receivables import (
    OpenReceivables,
    Receivables,
    open_receivables,
    unpaid_until,
)
from reporting.domain.recognition import Schedule, schedule
from reporting.domain.rounding import minors
from reporting.domain.runway import Bank, Cashflow, cashflow
from reporting.domain.segments import Belonging, SegmentSums, segment_sums
from reporting.domain.votes import Tallies, Vote
from reporting.domain.weighing import Signs
from reporting.parts import Dimension


@dataclass(frozen=True, kw_only=True)
class Report:
    """Everything the pages show for one tenant on one day."""

    settings: Settings
    lines: Lines
    findings: Findings
    subscriptions: Subscriptions
    signs: Signs
    """Why each subscription is one, and how sure that is."""
    tallies: Tallies
    """What these customers vote on their products: additive, see `votes`."""
    mrr_e4: Ints
    """Per line; 0 for lines that do not count."""
    spans: Spans
    table: CustomerMonths
    monthly: Movements
    cash: Cashflow
    receivables: OpenReceivables

    @property
    def months(self) -> Ints:
        """Month indexes from the first invoice or service to the month of as_of."""
        return self.table.months

    @cached_property
    def calendar(self) -> Calendar:
        return Calendar(months=self.months, as_of_day=day_number(self.settings.as_of))

    @cached_property
    def complete(self) -> Flags:
        """False for the running month only (unless as_of is its last day)."""
        return self.calendar.complete

    @cached_property
    def snapshot_days(self) -> Ints:
        return self.calendar.snapshot_days

    @cached_property
    def total_e4(self) -> Ints:
        """MRR of each month."""
        return as_int64(self.table.mrr.sum(axis=0))

    @cached_property
    def mrr(self) -> Ints:
        """MRR of each month in minor units."""
        return minors(self.total_e4)

    @cached_property
    def detected_e4(self) -> Ints:
        """The part of each month's MRR that no person has confirmed (before the floor)."""
        owner = self.findings.subscription
        confirmed = np.append(self.subscriptions.confirmed, True)
        return self._by_snapshot(self.mrr_e4 * ~confirmed[owner])

    @cached_property
    def late_e4(self) -> int:
        """The part of today's MRR whose next invoice is awaited."""
        return int(self.mrr_e4[self.findings.late].sum())

    @cached_property
    def contracted_sums(self) -> ContractedSums:
        return contracted_sums(self.lines, self.findings, self.mrr_e4, self.calendar)

    @cached_property
    def cohort_sums(self) -> CohortSums:
        return cohort_sums(self.table)

    @cached_property
    def first_invoices(self) -> FirstInvoices:
        return first_invoices(self.lines, self.spans, self.table, self.monthly)

    def segment_sums(self, belonging: Belonging, dimension: Dimension) -> SegmentSums:
        """MRR, movements and customers by the values of one dimension."""
        every = np.arange(len(self.months), dtype=np.int64)
        return segment_sums(
            self.lines,
            self.spans,
            self.table,
            lambda table: _movements(table, every, None, self.settings),
            belonging,
            dimension,
            None if len(self.table.adjustments[0]) or self.settings.keep_free else self.monthly,
            free_lines(self.lines, self.findings, self.months) if self.settings.keep_free else None,
        )

    def schedule(self, *, daily: bool | None = None) -> Schedule:
        """How each line's amount becomes revenue, by the tenant's method or the one asked for."""
        chosen = self.settings.daily_recognition if daily is None else daily
        return schedule(self.lines, self.findings, daily=chosen)

    @cached_property
    def revenue(self) -> dict[str, Ints]:
        """Invoiced net by invoice month: recurring, non_recurring, usage, other, total.

        Recurring is what counts in MRR; a subscription that waits for review stands in
        non_recurring, reminder fees and interest in other.
        """
        kind = np.full(len(self.lines), LineType.ONE_OFF, dtype=np.int64)
        kind[self.findings.counted] = LineType.SUBSCRIPTION
        for line_type in (LineType.USAGE, LineType.IGNORE):
            kind[self.findings.type == line_type] = line_type
        place = month_of(self.lines.invoice_day) - (int(self.months[0]) if len(self.months) else 0)
        inside = (place >= 0) & (place < len(self.months))
        sums = np.zeros((len(LineType), len(self.months)), dtype=np.int64)
        np.add.at(sums, (kind[inside], place[inside]), self.lines.net_acc[inside])
        names = ("recurring", "non_recurring", "usage", "other")
        return dict(zip(names, sums, strict=True)) | {"total": sums.sum(axis=0)}

    @cached_property
    def monthly_sums(self) -> GrowthSums:
        return growth_sums(self.table, self.monthly)

    @cached_property
    def trailing_sums(self) -> GrowthSums:
        """Of the steps over twelve months that retention looks at."""
        before, columns = self.calendar.year_before()
        return growth_sums(self.table, self._moves(columns, before))

    def growth_sums(self, length: int) -> GrowthSums:
        """Sums of the steps between the ends of quarters (3), halves (6) or years (12)."""
        return growth_sums(self.table, self._moves(self.calendar.ends(length)))

    @cached_property
    def periods(self) -> tuple[Period, ...]:
        """The growth view by month, the running one last."""
        return periods(self.monthly_sums, self.trailing_sums, self.calendar)

    def by(self, length: int) -> tuple[Period, ...]:
        """By quarter (3), half (6) or year (12), each classified anew from its own snapshots."""
        own = self.monthly_sums if length == 1 else self.growth_sums(length)
        return periods(own, self.trailing_sums, self.calendar, length)

    def summed(self, length: int) -> tuple[Period, ...]:
        """By quarter, half or year as the sum of the months' movements."""
        own = self.growth_sums(length)
        return summed(self.monthly_sums, own, self.trailing_sums, self.calendar, length)

    def unmatched_credits(self) -> Ints:
        """Rows of credits whose original was not found: for the user to look at."""
        return np.flatnonzero(self.findings.why == Why.CREDIT_UNMATCHED)

    def top_customers(self, months: int = 12, limit: int = 10) -> tuple[Ints, Ints]:
        """(customer ids, invoiced net) of the largest customers of the last `months` months."""
        if not len(self.months):
            return self.months, self.months
        recent = month_of(self.lines.invoice_day) > int(self.months[-1]) - months
        row = np.searchsorted(self.table.customers, self.lines.customer_id[recent])
        sums = np.zeros(len(self.table.customers), dtype=np.int64)
        np.add.at(sums, row, self.lines.net_acc[recent])
        order = np.argsort(-sums, kind="stable")[:limit]
        return self.table.customers[order], sums[order]

    def _by_snapshot(self, amounts: Ints) -> Ints:
        start, width = int(self.months[0]) if len(self.months) else 0, len(self.months)
        rows = np.flatnonzero(self.findings.counted)
        first = np.clip(self.findings.from_month[rows] - start, 0, width)
        after = np.clip(self.findings.to_month[rows] - start, 0, width)
        return standing_sums(first, after, amounts[rows], width)

    def _moves(self, columns: Ints, before: Ints | None = None) -> Movements:
        return _movements(self.table, columns, before, self.settings)


def _movements(
    table: CustomerMonths, columns: Ints, before: Ints | None, settings: Settings
) -> Movements:
    return movements(
        table,
        columns,
        before,
        tolerance_bp=settings.tolerance_bp,
        reactivation_months=settings.reactivation_months,
        pauses_churn=settings.pauses_churn,
    )


def measure(
    lines: Lines,
    bank: Bank,
    receivables: Receivables,
    words: UserWords,
    settings: Settings,
    *,
    since: int | None = None,
    votes: Mapping[str, Vote] | None = None,
    company_delay: int | None = None,
) -> Report:
    """Every figure of one tenant on `settings.as_of`; the same input gives the same report.

    `votes` and `company_delay`, by which invoices are usually paid late, are those of all the
    tenant's customers where the lines are those of some; without them the lines' own customers
    speak for the company.

    Its months begin with the first invoice or service, or with the month `since` where that is
    earlier: sums over some customers can be added to those of others when their months agree.
    """
    unpaid = unpaid_until(
        receivables, lines.invoice_id, day_number(settings.as_of), settings.overdue_days
    )
    findings, subscriptions, signs, tallies = detect(lines, words, settings, unpaid, votes)
    counted = findings.counted
    mrr = np.zeros(len(lines), dtype=np.int64)
    mrr[counted] = line_mrr(
        lines.net_acc[counted], findings.months_num[counted], findings.months_den[counted]
    )
    months = _month_range(lines, findings, settings, since)
    spans = spans_of(lines, findings, mrr, months, settings.currency)
    table = customer_months(lines, findings, spans, mrr, months, keep_free=settings.keep_free)
    return Report(
        settings=settings,
        lines=lines,
        findings=findings,
        subscriptions=subscriptions,
        signs=signs,
        tallies=tallies,
        mrr_e4=mrr,
        spans=spans,
        table=table,
        monthly=_movements(table, np.arange(len(months), dtype=np.int64), None, settings),
        cash=cashflow(bank, settings),
        receivables=open_receivables(receivables, day_number(settings.as_of), company_delay),
    )


def _month_range(lines: Lines, findings: Findings, settings: Settings, since: int | None) -> Ints:
    last = int(month_of(day_number(settings.as_of)))
    first = last if since is None else since
    if len(lines):
        first = min(first, int(month_of(as_int64(lines.invoice_day).min())))
    if findings.counted.any():
        first = min(first, int(findings.from_month[findings.counted].min()))
    return np.arange(min(first, last), last + 1, dtype=np.int64)
