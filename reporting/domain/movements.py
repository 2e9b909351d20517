"""What changed between two snapshots: five movements and the exchange-rate effect.

Between any two snapshots, exactly:
end = start + new + expansion − contraction − churn + reactivation + fx + tolerated.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

import numpy as np

from reporting.domain.arrays import Flags, Ints, Small, as_int64
from reporting.domain.mrr import CustomerMonths
from reporting.domain.rounding import minor, share_out


class Movement(IntEnum):
    NONE = 0
    NEW = 1
    EXPANSION = 2
    CONTRACTION = 3
    CHURN = 4
    REACTIVATION = 5
    TOLERATED = 6
    """A change too small to be called one; 0 unless the tenant sets a tolerance."""


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
}


def classify(prev: Ints, now: Ints, ever_before: Flags, fx: Ints | int = 0) -> Small:
    """The movement of each customer between two snapshots, exchange rates left out."""
    change = now - prev - fx
    kind = np.full(np.shape(now), Movement.NONE, dtype=np.int8)
    arrives, leaves = (prev == 0) & (now > 0), (prev > 0) & (now == 0)
    kind[arrives & ~ever_before] = Movement.NEW
    kind[arrives & ever_before] = Movement.REACTIVATION
    kind[leaves] = Movement.CHURN
    stays = (prev > 0) & (now > 0)
    kind[stays & (change > 0)] = Movement.EXPANSION
    kind[stays & (change < 0)] = Movement.CONTRACTION
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

    def total(self, kind: Movement) -> Ints:
        """Magnitude of one movement in each step; signed for TOLERATED."""
        sums = np.where(self.kind == kind, self.change, 0).sum(axis=0)
        return as_int64(sums * SIGNS.get(kind, 1))

    def count(self, kind: Movement) -> Ints:
        """How many customers made one movement in each step."""
        return as_int64((self.kind == kind).sum(axis=0))

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
    kind = classify(prev, now, known, fx)
    change = now - prev - fx
    if tolerance_bp:
        small = np.abs(change) * 10_000 <= tolerance_bp * prev
        steady = (kind == Movement.EXPANSION) | (kind == Movement.CONTRACTION)
        kind[small & steady] = Movement.TOLERATED
    return Movements(columns=columns, before=before, kind=kind, change=change, fx=fx)


def _known(paying: Flags, before: Ints, columns: Ints, window: int | None) -> Flags:
    """Whether each customer paid at any snapshot up to the earlier one, within the window."""
    width = paying.shape[1]
    latest = np.maximum.accumulate(np.where(paying, np.arange(width), -1), axis=1)
    last_paid = latest[:, before + 1]
    if window is None:
        return last_paid >= 0
    return (last_paid >= 0) & (columns + 1 - last_paid <= window)


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One period's movements in whole minor units that satisfy the identity to the cent."""

    start: int
    new: int
    expansion: int
    contraction: int
    churn: int
    reactivation: int
    fx: int
    end: int
    tolerated: int = 0


def steps_minor(table: CustomerMonths, moves: Movements) -> tuple[Step, ...]:
    """The figures to display: each within one unit of its exact value, the identity exact."""
    total = table.mrr.sum(axis=0)
    signed = [moves.total(kind) * SIGNS[kind] for kind in KINDS]
    rows = np.array([*signed, moves.fx_total, moves.total(Movement.TOLERATED)])
    result = []
    for place, (before, column) in enumerate(zip(moves.before, moves.columns, strict=True)):
        start = minor(int(total[before])) if before >= 0 else 0
        end = minor(int(total[column]))
        parts = rows[:, place]
        moving = np.flatnonzero(parts)
        shared = np.zeros(len(parts), dtype=np.int64)
        shared[moving] = share_out(parts[moving], end - start)
        new, expansion, contraction, churn, reactivation, fx, tolerated = shared.tolist()
        result.append(
            Step(
                start=start,
                new=new,
                expansion=expansion,
                contraction=-contraction,
                churn=-churn,
                reactivation=reactivation,
                fx=fx,
                end=end,
                tolerated=tolerated,
            )
        )
    return tuple(result)
