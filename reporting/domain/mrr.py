"""MRR of lines, and of customers month by month, in exact units of 1/10 000 minor unit."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from reporting.domain.arrays import Flags, Ints
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
    steps = np.zeros(height * (width + 1), dtype=np.int64)
    begin, stop = np.clip(first, 0, width), np.clip(after, 0, width)
    base = rows * (width + 1)
    np.add.at(steps, base + begin, amount)
    np.subtract.at(steps, base + stop, amount)
    return np.cumsum(steps.reshape(height, width + 1), axis=1)[:, :width]


def customer_months(
    lines: Lines,
    findings: Findings,
    mrr: Ints,
    months: Ints,
    currency: str,
    *,
    keep_free: bool = False,
    paused: Flags | None = None,
) -> CustomerMonths:
    """The customer-month table over `months`; `currency` is the reporting currency.

    With `keep_free` a customer whose plan is discounted by 100 % stays one at 0. `paused` are
    the lines after which a pause began.
    """
    table = month_table(lines.customer_id, lines, findings, mrr, months, currency)
    if not keep_free and (paused is None or not paused.any()):
        return table
    start = int(months[0]) if months.size else 0
    row = np.searchsorted(table.customers, lines.customer_id)
    shape = np.shape(table.mrr)

    def standing(rows: Flags, amount: Ints) -> Ints:
        spans = findings.from_month[rows] - start, findings.to_month[rows] - start
        return grid(row[rows], *spans, amount[rows], shape)

    customer, away = table.customer, None
    if keep_free:
        free = findings.counted & ~lines.is_credit
        free &= (lines.net == 0) | (findings.why == Why.DISCOUNT_ROW)
        paid = np.maximum.accumulate(table.mrr > 0, axis=1)
        customer = customer | (paid & (standing(free, np.ones_like(mrr)) > 0))
    if paused is not None and paused.any():
        away = _away(table.mrr, standing(paused, mrr))
    return replace(table, customer=customer, away=away)


def _away(mrr: Ints, before_pause: Ints) -> Flags:
    """From the month in which all MRR went by a pause until there is some again."""
    paying = mrr > 0
    columns = np.arange(mrr.shape[1])
    last = np.maximum.accumulate(np.where(paying, columns, -1), axis=1)
    by_pause = np.take_along_axis(paying & (before_pause == mrr), np.maximum(last, 0), axis=1)
    away: Flags = ~paying & (last >= 0) & by_pause
    return away


def month_table(
    owner: Ints,
    lines: Lines,
    findings: Findings,
    mrr: Ints,
    months: Ints,
    currency: str,
    *,
    floor: bool = True,
) -> CustomerMonths:
    """MRR by owner and month; `owner` gives each line's, by default customers with the floor."""
    customers, row = np.unique(owner, return_inverse=True)
    row = row.astype(np.int64)
    counted: Flags = findings.counted & (mrr != 0)
    start = int(months[0]) if months.size else 0
    first, after = findings.from_month - start, findings.to_month - start
    shape = (len(customers), len(months))
    raw = grid(row[counted], first[counted], after[counted], mrr[counted], shape)
    below = np.nonzero((raw < 0) & floor)
    floored = np.maximum(raw, 0) if floor else raw
    codes = {name: code for code, name in enumerate(lines.currencies)}
    foreign = counted & (lines.currency != codes.get(currency, -1))
    pair = row[foreign] * max(len(codes), 1) + lines.currency[foreign]
    pairs, pair_row = np.unique(pair, return_inverse=True)
    native = line_mrr(
        lines.net[foreign], findings.months_num[foreign], findings.months_den[foreign]
    )
    wide = (len(pairs), len(months))
    spans = first[foreign], after[foreign]
    return CustomerMonths(
        months=months,
        customers=customers,
        mrr=floored,
        adjustments=(below[0], below[1], -raw[below]),
        pair_customer=pairs // max(len(codes), 1),
        pair_native=grid(pair_row, *spans, native, wide),
        pair_reporting=grid(pair_row, *spans, mrr[foreign], wide),
        customer=floored > 0,
    )
