"""MRR by segment: product, product group, customer group, country, currency or connection.

A segment of a month is its lines' MRR. Its movements are those of each customer within it: who
swaps product A for B is churn of A and new in B, while the total nets the two. So segments add
up to the total's MRR, not to its movements. What lifts a customer above zero, and the cents that
rounding each segment by itself leaves over, stand in a segment of their own, "adjustment".
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import IntEnum
from typing import cast

import numpy as np

from reporting.domain.arrays import Ints, as_int64
from reporting.domain.lines import Lines
from reporting.domain.movements import SIGNS, Movement, Movements
from reporting.domain.mrr import CustomerMonths, Free, Spans, kept_free, month_table
from reporting.domain.periods import month_text
from reporting.domain.rounding import minors, share_rows
from reporting.parts import Dimension, Segment, SegmentMonth, Segments

LARGEST = 50
NONE, ADJUSTMENT, OTHER = "", "adjustment", "other"
BLOCK = 4096
"""How many parts of customers are compared at once."""


class Row(IntEnum):
    """What `SegmentSums.figures` holds; amounts in 1/10 000 minor units."""

    MRR = 0
    NEW = 1
    EXPANSION = 2
    CONTRACTION = 3
    CHURN = 4
    REACTIVATION = 5
    TOLERATED = 6
    PAUSE = 7
    FX = 8
    CUSTOMERS = 9


_FIELDS = tuple(SegmentMonth.__annotations__)
_MOVED = tuple(Movement[row.name] for row in Row if row.name in Movement.__members__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Belonging:
    """Who is in which group; who is missing, or has a blank name, is in none."""

    product_group: Mapping[int, str]
    """By product id."""
    customer_group: Mapping[int, str]
    """By customer id."""
    country: Mapping[int, str]
    """By customer id."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SegmentSums:
    """Sums over customers by segment: add and take off as with other sums, key by key.

    `keys`, ascending, are ids of products or connections in decimals, or names of groups,
    countries or currencies; NONE for lines without one. `figures` are (key, `Row`, month).
    `adjustment` lifts customers above zero, by month.
    """

    keys: tuple[str, ...]
    figures: Ints
    adjustment: Ints

    def __add__(self, other: SegmentSums) -> SegmentSums:
        return self._with(other, 1)

    def __sub__(self, other: SegmentSums) -> SegmentSums:
        return self._with(other, -1)

    def _with(self, other: SegmentSums, sign: int) -> SegmentSums:
        keys = tuple(sorted({*self.keys, *other.keys}))
        place = {key: number for number, key in enumerate(keys)}
        figures = np.zeros((len(keys), *self.figures.shape[1:]), dtype=np.int64)
        figures[[place[key] for key in self.keys]] = self.figures
        figures[[place[key] for key in other.keys]] += sign * other.figures
        return _used(keys, figures, self.adjustment + sign * other.adjustment)


def _used(keys: tuple[str, ...], figures: Ints, adjustment: Ints) -> SegmentSums:
    """The sums without keys that have no figure at all."""
    kept = np.flatnonzero(figures.any(axis=(1, 2)))
    names = tuple(keys[place] for place in kept.tolist())
    return SegmentSums(keys=names, figures=figures[kept], adjustment=adjustment)


def segment_keys(
    lines: Lines, rows: Ints, belonging: Belonging, dimension: Dimension
) -> tuple[tuple[str, ...], Ints]:
    """(keys, ascending; the number of each chosen line's key)."""
    match dimension:
        case "product":
            return _named(lines.product_id[rows], lambda one: str(one) if one >= 0 else NONE)
        case "product_group":
            groups = belonging.product_group
            return _named(lines.product_id[rows], lambda one: groups.get(one, NONE))
        case "customer_group":
            groups = belonging.customer_group
            return _named(lines.customer_id[rows], lambda one: groups.get(one, NONE))
        case "country":
            countries = belonging.country
            return _named(lines.customer_id[rows], lambda one: countries.get(one, NONE))
        case "currency":
            return _named(as_int64(lines.currency[rows]), lambda one: lines.currencies[one])
        case "connection":
            return _named(as_int64(lines.connection_id[rows]), str)


def _named(values: Ints, name: Callable[[int], str]) -> tuple[tuple[str, ...], Ints]:
    distinct, code = np.unique(values, return_inverse=True)
    names = [name(one) for one in distinct.tolist()]
    keys = tuple(sorted(set(names)))
    place = {key: number for number, key in enumerate(keys)}
    return keys, as_int64([place[one] for one in names])[code] if names else as_int64(code)


def segment_sums(
    lines: Lines,
    spans: Spans,
    table: CustomerMonths,
    moved: Callable[[CustomerMonths], Movements],
    belonging: Belonging,
    dimension: Dimension,
    whole: Movements | None = None,
    free: Free | None = None,
) -> SegmentSums:
    """The sums of all customers of a table; `moved` finds the monthly movements of a table.

    With `free` a customer stays one of a segment, at 0, while free lines stand in it.

    `whole` are the table's own, where a customer who is in one segment alone moves in it as in
    all: when nobody was lifted above zero and only who pays is a customer.
    """
    rows = spans.row if free is None else np.append(spans.row, free.row)
    keys, code = segment_keys(lines, rows, belonging, dimension)
    code, free_code = code[: len(spans.row)], code[len(spans.row) :]
    months = table.months
    figures = np.zeros((len(keys), len(Row), len(months)), dtype=np.int64)
    customer = np.searchsorted(table.customers, lines.customer_id[spans.row])
    pair = customer * max(len(keys), 1) + code
    order = np.argsort(pair, kind="stable")
    pair, sorted_spans = pair[order], spans.take(order)
    owners, first = np.unique(pair, return_index=True)
    if whole is not None and len(keys) and len(np.unique(customer)) == len(owners):
        of_customer = np.zeros(len(table.customers), dtype=np.int64)
        of_customer[customer] = code
        _add(figures, of_customer, table, whole)
        return _used(keys, figures, np.zeros(len(months), dtype=np.int64))
    for begin in range(0, len(owners), BLOCK):
        some = owners[begin : begin + BLOCK]
        stop = first[begin + BLOCK] if begin + BLOCK < len(owners) else len(pair)
        part = np.arange(first[begin], stop)
        split = month_table(some, pair[part], sorted_spans.take(part), months, floor=False)
        if table.away is not None:
            split = replace(split, away=table.away[some // len(keys)])
        if free is not None:
            owner = np.searchsorted(table.customers, lines.customer_id[free.row])
            split = kept_free(split, some, owner * len(keys) + free_code, free)
        _add(figures, some % len(keys), split, moved(split))
    adjustment = np.zeros(len(months), dtype=np.int64)
    np.add.at(adjustment, table.adjustments[1], table.adjustments[2])
    return _used(keys, figures, adjustment)


def _add(figures: Ints, code: Ints, table: CustomerMonths, moves: Movements) -> None:
    order = np.argsort(code, kind="stable")
    known, first = np.unique(code[order], return_index=True)

    def add(row: Row, values: Ints) -> None:
        figures[known, row] += np.add.reduceat(values[order], first, axis=0)

    add(Row.MRR, table.mrr)
    add(Row.CUSTOMERS, as_int64(table.customer))
    if moves.fx.any():
        add(Row.FX, moves.fx)
    for kind in _MOVED:
        chosen = moves.kind == kind
        if chosen.any():
            add(Row[kind.name], np.where(chosen, moves.change * SIGNS.get(kind, 1), 0))


def segments(
    sums: SegmentSums,
    months: Ints,
    dimension: Dimension,
    names: Mapping[str, tuple[str, str]] | None = None,
    known_from: int = 0,
) -> Segments:
    """The largest fifty segments by MRR of the last twelve months, then "other", "adjustment".

    `names` has the public key and the name of each key of the sums where they are others.
    """
    names = names or {}
    shown = np.flatnonzero(months >= known_from)
    figures = sums.figures[:, :, shown]
    size = figures[:, Row.MRR, -12:].sum(axis=1)
    order = np.lexsort((np.arange(len(size)), -figures[:, Row.MRR].sum(axis=1), -size))
    kept, rest = order[:LARGEST], order[LARGEST:]
    parts = [names.get(sums.keys[place], (sums.keys[place],) * 2) for place in kept.tolist()]
    if len(rest):
        parts.append((OTHER, OTHER))
        other = figures[rest].sum(axis=0, keepdims=True)
        figures = np.concatenate((figures[kept], other))
    else:
        figures = figures[kept]
    total = figures[:, Row.MRR].sum(axis=0) + sums.adjustment[shown]
    listed: list[Segment] = [
        {"key": key, "name": name, "months": rows}
        for (key, name), rows in zip(parts, _months(figures), strict=True)
    ]
    left = minors(total) - minors(figures[:, Row.MRR]).sum(axis=0)
    if left.any():
        listed.append({"key": ADJUSTMENT, "name": ADJUSTMENT, "months": _adjustment(left)})
    return {
        "dimension": dimension,
        "months": [month_text(month) for month in months[shown].tolist()],
        "segments": listed,
    }


def _months(figures: Ints) -> list[list[SegmentMonth]]:
    """Each segment's months; the movements lead from one displayed MRR to the next."""
    mrr = figures[:, Row.MRR]
    end = minors(mrr)
    signs = as_int64([*(SIGNS.get(kind, 1) for kind in _MOVED), 1])
    steps = [*(Row[kind.name] for kind in _MOVED), Row.FX]
    parts = np.stack([figures[:, row] for row in steps], axis=2) * signs
    # Shown from a later month on, the first start is what the first movements leave.
    start = np.append(minors(mrr[:, :1] - parts[:, :1].sum(axis=2)), end[:, :-1], axis=1)
    shared = share_rows(parts.reshape(-1, len(signs)), (end - start).ravel()) * signs
    shown = [end[..., None], shared.reshape(parts.shape), figures[:, Row.CUSTOMERS, :, None]]
    segments = np.concatenate(shown, axis=2).tolist()
    # Rows are as long as the fields, and thousands: they are named without looking at each.
    named = [[dict(zip(_FIELDS, row)) for row in months] for months in segments]  # noqa: B905
    return cast(list[list[SegmentMonth]], named)


def _month(row: Sequence[int]) -> SegmentMonth:
    """From its figures in the order of its fields."""
    return cast(SegmentMonth, dict(zip(_FIELDS, row, strict=True)))


def _adjustment(left: Ints) -> list[SegmentMonth]:
    """What is left over by month; it grows and shrinks like any segment."""
    change = np.diff(left, prepend=0).tolist()
    return [
        _month((amount, 0, max(step, 0), max(-step, 0), 0, 0, 0, 0, 0, 0))
        for amount, step in zip(left.tolist(), change, strict=True)
    ]
