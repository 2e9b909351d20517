"""What changed between two snapshots: five movements and the exchange-rate effect.

Between any two snapshots, exactly:
end = start + new + expansion − contraction − churn − paused + reactivation + fx + tolerated,
where paused is net of what was resumed.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

import numpy as np

from reporting.domain.arrays import Flags, Ints, Small, as_int64
from reporting.domain.mrr import CustomerMonths


class Movement(IntEnum):
    NONE = 0
    NEW = 1
    EXPANSION = 2
    CONTRACTION = 3
    CHURN = 4
    REACTIVATION = 5
    TOLERATED = 6
    """A change too small to be called one; 0 unless the tenant sets a tolerance."""
    PAUSE = 7
    """All stopped because a person paused it, where the tenant keeps pauses out of churn; or all
    that was stopped so begins again, which is then no reactivation either."""


KINDS = (
    Movement.NEW,
    Movement.EXPANSION,
    Movement.CONTRACTION,
    Movement.CHURN,
    Movement.REACTIVATION,
)
SIGNS = {
    Movement.NEW: 1,
    Movement.EXPANSION: 1,
    Movement.CONTRACTION: -1,
    Movement.CHURN: -1,
    Movement.REACTIVATION: 1,
    Movement.PAUSE: -1,
}


def classify(
    prev: Ints,
    now: Ints,
    ever_before: Flags,
    fx: Ints | int = 0,
    *,
    was: Flags | None = None,
    remains: Flags | None = None,
) -> Small:
    """The movement of each customer between two snapshots, exchange rates left out.

    `was` and `remains` say who is a customer at the two snapshots: by default who pays. A sum
    below zero, which only a segment of a customer can have, counts as not paying.
    """
    was = prev > 0 if was is None else was
    remains = now > 0 if remains is None else remains
    change = now - prev - fx
    kind = np.full(np.shape(now), Movement.NONE, dtype=np.int8)
    kind[change > 0] = Movement.EXPANSION
    kind[change < 0] = Movement.CONTRACTION
    arrives = ~was & remains
    kind[arrives & ~ever_before] = Movement.NEW
    kind[arrives & ever_before] = Movement.REACTIVATION
    kind[was & ~remains] = Movement.CHURN
    return kind


@dataclass(frozen=True, slots=True, kw_only=True)
class Movements:
    """Movements between consecutive snapshots of one calendar, by customer.

    Column c describes the step from `before[c]` to `columns[c]` (columns of the customer-month
    table; -1 stands for the time before it). `change` is signed and without `fx`.
    """

    columns: Ints
    before: Ints
    kind: Small
    change: Ints
    fx: Ints
    paused: Flags
    """Churn that a pause made; where pauses stand outside churn it is PAUSE instead."""

    def total(self, kind: Movement) -> Ints:
        """Magnitude of one movement in each step; signed for TOLERATED, and for PAUSE what was
        paused less what was resumed."""
        sums = np.where(self.kind == kind, self.change, 0).sum(axis=0)
        return as_int64(sums * SIGNS.get(kind, 1))

    def count(self, kind: Movement) -> Ints:
        """How many customers made one movement in each step; who resumed is taken off PAUSE."""
        made = as_int64((self.kind == kind).sum(axis=0))
        return made - 2 * as_int64(self.resumed.sum(axis=0)) if kind is Movement.PAUSE else made

    @property
    def resumed(self) -> Flags:
        """Who pays again after a pause that stands outside churn."""
        found: Flags = (self.kind == Movement.PAUSE) & (self.change > 0)
        return found

    @property
    def fx_total(self) -> Ints:
        return as_int64(self.fx.sum(axis=0))


def movements(
    table: CustomerMonths,
    columns: Ints,
    before: Ints | None = None,
    *,
    tolerance_bp: int = 0,
    reactivation_months: int | None = None,
    pauses_churn: bool = True,
) -> Movements:
    """Movements up to each chosen snapshot, from `before` or from the one chosen before it.

    For months pass every column; for quarters or years the column of each period's last
    month. "Ever before" looks at every monthly snapshot, not only at the chosen ones.
    """
    if before is None:
        before = np.append(-1, columns)[: len(columns)].astype(np.int64)
    padded = np.concatenate((np.zeros((len(table.mrr), 1), dtype=np.int64), table.mrr), axis=1)
    prev, now = padded[:, before + 1], padded[:, columns + 1]
    fx = _fx(table, before, columns, prev, now)
    known = _known(padded > 0, before, columns, reactivation_months)
    was, remains = _at(table.customer, before), _at(table.customer, columns)
    kind = classify(prev, now, known, fx, was=was, remains=remains)
    change = now - prev - fx
    if tolerance_bp:
        small = np.abs(change) * 10_000 <= tolerance_bp * prev
        steady = (kind == Movement.EXPANSION) | (kind == Movement.CONTRACTION)
        kind[small & steady] = Movement.TOLERATED
    paused = np.zeros(np.shape(kind), dtype=np.bool_)
    if table.away is not None:
        paused = (kind == Movement.CHURN) & _at(table.away, columns)
        if not pauses_churn:
            returns = np.isin(kind, (Movement.NEW, Movement.REACTIVATION))
            kind[paused | (returns & _at(table.away, before))] = Movement.PAUSE
    return Movements(columns=columns, before=before, kind=kind, change=change, fx=fx, paused=paused)


def _at(flags: Flags, columns: Ints) -> Flags:
    """The flags of the chosen columns; before the first column there are none."""
    if not flags.shape[1]:
        return np.zeros((len(flags), len(columns)), dtype=np.bool_)
    return flags[:, np.maximum(columns, 0)] & (columns >= 0)


def _known(paying: Flags, before: Ints, columns: Ints, window: int | None) -> Flags:
    """Whether each customer paid at any snapshot up to the earlier one, within the window.

    The window ends in the month of the return, whatever the length of the period it falls in.
    """
    width = paying.shape[1]
    latest = np.maximum.accumulate(np.where(paying, np.arange(width), -1), axis=1)
    last_paid = latest[:, before + 1]
    if window is None:
        return last_paid >= 0
    later = np.where(paying, np.arange(width), width)[:, ::-1]
    following = np.minimum.accumulate(later, axis=1)[:, ::-1]
    returned = np.minimum(following[:, before + 2], columns + 1)
    return (last_paid >= 0) & (returned - last_paid <= window)


def _fx(table: CustomerMonths, before: Ints, columns: Ints, prev: Ints, now: Ints) -> Ints:
    """c × (rate_c − rate_p) for every currency in which a customer pays at both snapshots."""
    fx = np.zeros_like(now)
    if not table.pair_customer.size or not columns.size:
        return fx

    def at(values: Ints, where: Ints) -> Ints:
        return np.where(where >= 0, values[:, np.maximum(where, 0)], 0)

    native_p, native_c = at(table.pair_native, before), at(table.pair_native, columns)
    ours_p, ours_c = at(table.pair_reporting, before), at(table.pair_reporting, columns)
    both = (native_p > 0) & (native_c > 0) & (ours_p > 0) & (ours_c > 0)
    both &= (prev > 0)[table.pair_customer] & (now > 0)[table.pair_customer]
    expected = ours_p.copy()
    moved = np.nonzero(both & (native_p != native_c))
    # Products of two such figures can leave 64 bits, so Python's integers do these few.
    expected[moved] = [
        (2 * int(c) * int(a) + int(p)) // (2 * int(p))
        for c, a, p in zip(native_c[moved], ours_p[moved], native_p[moved], strict=True)
    ]
    np.add.at(fx, table.pair_customer, np.where(both, ours_c - expected, 0))
    return fx
