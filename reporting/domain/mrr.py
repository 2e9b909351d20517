"""MRR of lines, and of customers month by month, in exact units of 1/10 000 minor unit."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

import numpy as np

from reporting.domain.arrays import Flags, Ints, standing_sums
from reporting.domain.findings import Findings, Why
from reporting.domain.lines import Lines
from reporting.domain.rounding import E4, divide_half_away


def line_mrr(net: Ints, months_num: Ints, months_den: Ints) -> Ints:
    """Amount per month of each line, quantised once, half away from zero."""
    return divide_half_away(net * (E4 * months_den), months_num)


@dataclass(frozen=True, slots=True, kw_only=True)
class CustomerMonths:
    """Every customer's MRR at every snapshot.

    Rows of `mrr` are `customers`, columns are `months`; a customer whose lines sum below
    zero shows 0, and `adjustments` holds what was added so that segments still add up.
    """

    months: Ints
    """Month indexes, one after the other."""
    customers: Ints
    """Customer ids, ascending."""
    mrr: Ints
    adjustments: tuple[Ints, Ints, Ints]
    """(row, column, amount ≥ 0) of every floored cell."""
    pair_customer: Ints
    """Row of the customer of each (customer, foreign currency) pair."""
    pair_native: Ints
    """The pair's MRR in its own currency, by month."""
    pair_reporting: Ints
    """The same in the reporting currency, before the floor."""
    customer: Flags
    """Who is a customer at each snapshot: who pays, and who stands at 0 on a plan made free where
    the tenant keeps those."""
    away: Flags | None = None
    """Where all of a customer's MRR is gone because a person paused it; None where nobody did."""


def grid(rows: Ints, first: Ints, after: Ints, amount: Ints, shape: tuple[int, int]) -> Ints:
    """Sums by row and column of amounts that stand in columns first <= c < after."""
    height, width = shape
    begin, stop = np.clip(first, 0, width), np.clip(after, 0, width)
    # Rows behind each other, each with a column more, in which nothing stands any longer.
    base = rows * (width + 1)
    sums = standing_sums(base + begin, base + stop, amount, height * (width + 1))
    return sums.reshape(height, width + 1)[:, :width]


@dataclass(frozen=True, slots=True, kw_only=True)
class Spans:
    """The lines that stand in MRR: from column `first` up to column `after` of the months."""

    row: Ints
    """Row in `Lines`."""
    first: Ints
    after: Ints
    mrr: Ints
    native: Ints
    """MRR in the line's own currency."""
    foreign: Ints
    """Code of that currency; -1 for the reporting currency, whose rate never moves."""

    def take(self, chosen: Ints) -> Spans:
        values = {one.name: getattr(self, one.name)[chosen] for one in fields(self)}
        return Spans(**values)


def spans_of(lines: Lines, findings: Findings, mrr: Ints, months: Ints, currency: str) -> Spans:
    """The spans of all counted lines; `currency` is the reporting currency."""
    row = np.flatnonzero(findings.counted & (mrr != 0))
    start = int(months[0]) if months.size else 0
    home = lines.currencies.index(currency) if currency in lines.currencies else -1
    foreign = np.where(lines.currency[row] == home, -1, lines.currency[row]).astype(np.int64)
    return Spans(
        row=row,
        first=findings.from_month[row] - start,
        after=findings.to_month[row] - start,
        mrr=mrr[row],
        native=line_mrr(lines.net[row], findings.months_num[row], findings.months_den[row]),
        foreign=foreign,
    )


def month_table(
    owners: Ints, owner: Ints, spans: Spans, months: Ints, *, floor: bool = True
) -> CustomerMonths:
    """MRR by owner and month. `owners` are ids, ascending; `owner` has the id of each span's.

    Owners are customers; or parts of customers, which keep a sum below zero (`floor=False`).
    """
    row = np.searchsorted(owners, owner)
    shape = (len(owners), len(months))
    raw = grid(row, spans.first, spans.after, spans.mrr, shape)
    below = np.nonzero((raw < 0) & floor)
    floored = np.maximum(raw, 0) if floor else raw
    abroad = np.flatnonzero(spans.foreign >= 0)
    other = spans.take(abroad)
    many = int(other.foreign.max()) + 1 if abroad.size else 1
    pairs, pair_row = np.unique(row[abroad] * many + other.foreign, return_inverse=True)
    wide = (len(pairs), len(months))
    return CustomerMonths(
        months=months,
        customers=owners,
        mrr=floored,
        adjustments=(below[0], below[1], -raw[below]),
        pair_customer=pairs // many,
        pair_native=grid(pair_row, other.first, other.after, other.native, wide),
        pair_reporting=grid(pair_row, other.first, other.after, other.mrr, wide),
        customer=floored > 0,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Free:
    """Lines of plans that cost nothing, net or by a discount: rows, and columns as in `Spans`."""

    row: Ints
    first: Ints
    after: Ints


def free_lines(lines: Lines, findings: Findings, months: Ints) -> Free:
    """The free lines among those that count."""
    free = findings.counted & ~lines.is_credit
    free &= (lines.net == 0) | (findings.why == Why.DISCOUNT_ROW)
    row, start = np.flatnonzero(free), int(months[0]) if months.size else 0
    return Free(
        row=row,
        first=findings.from_month[row] - start,
        after=findings.to_month[row] - start,
    )


def kept_free(table: CustomerMonths, owners: Ints, owner: Ints, free: Free) -> CustomerMonths:
    """The table with those as customers, at 0, who have paid and whose free lines stand.

    `owners` are the table's rows by id, ascending; `owner` has the id of each free line's.
    """
    inside = np.flatnonzero(np.isin(owner, owners))
    row = np.searchsorted(owners, owner[inside])
    ones = np.ones(len(inside), dtype=np.int64)
    first, after = free.first[inside], free.after[inside]
    standing = grid(row, first, after, ones, np.shape(table.mrr)) > 0
    paid = np.maximum.accumulate(table.mrr > 0, axis=1)
    return replace(table, customer=table.customer | (paid & standing))


def customer_months(
    lines: Lines,
    findings: Findings,
    spans: Spans,
    mrr: Ints,
    months: Ints,
    *,
    keep_free: bool = False,
) -> CustomerMonths:
    """The table of all customers over `months`.

    With `keep_free` a customer whose plan is discounted by 100 % stays one at 0.
    """
    owners = np.unique(lines.customer_id)
    table = month_table(owners, lines.customer_id[spans.row], spans, months)
    if not keep_free and not findings.paused.any():
        return table
    start = int(months[0]) if months.size else 0
    row = np.searchsorted(owners, lines.customer_id)
    shape = np.shape(table.mrr)

    def standing(rows: Flags, amount: Ints) -> Ints:
        first, after = findings.from_month[rows] - start, findings.to_month[rows] - start
        return grid(row[rows], first, after, amount[rows], shape)

    if keep_free:
        free = free_lines(lines, findings, months)
        table = kept_free(table, owners, lines.customer_id[free.row], free)
    if findings.paused.any():
        table = replace(table, away=_away(table.mrr, standing(findings.paused, mrr)))
    return table


def _away(mrr: Ints, before_pause: Ints) -> Flags:
    """From the month in which all MRR went by a pause until there is some again."""
    paying = mrr > 0
    columns = np.arange(mrr.shape[1])
    last = np.maximum.accumulate(np.where(paying, columns, -1), axis=1)
    by_pause = np.take_along_axis(paying & (before_pause == mrr), np.maximum(last, 0), axis=1)
    away: Flags = ~paying & (last >= 0) & by_pause
    return away
