"""MRR of lines, and of customers month by month, in exact units of 1/10 000 minor unit."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from reporting.domain.arrays import Flags, Ints
from reporting.domain.findings import Findings
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
    lines: Lines, findings: Findings, mrr: Ints, months: Ints, currency: str
) -> CustomerMonths:
    """The customer-month table over `months`; `currency` is the reporting currency."""
    customers, row = np.unique(lines.customer_id, return_inverse=True)
    row = row.astype(np.int64)
    counted: Flags = findings.counted & (mrr != 0)
    start = int(months[0]) if months.size else 0
    first, after = findings.from_month - start, findings.to_month - start
    shape = (len(customers), len(months))
    raw = grid(row[counted], first[counted], after[counted], mrr[counted], shape)
    below = np.nonzero(raw < 0)
    floored = np.maximum(raw, 0)
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
    )
