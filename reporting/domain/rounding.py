"""From exact figures to displayed minor units, so that a list adds up to its figure."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from reporting.domain.arrays import Ints, as_int64

E4 = 10_000
"""Exact MRR figures are integers of 1/10 000 of a minor unit."""


def divide_half_away(numerator: Ints, denominator: Ints | int) -> Ints:
    """Integer quotients rounded half away from zero; denominators are positive."""
    bottom = as_int64(denominator)
    size = np.abs(numerator)
    quotient, rest = np.divmod(size, bottom)
    return as_int64(np.sign(numerator) * (quotient + (2 * rest >= bottom)))


def in_proportion(part: int, whole_to: int, whole: int) -> int:
    """part × whole_to ÷ whole, half away from zero; `whole` is not 0.

    By Python's integers, for a product of two amounts can leave 64 bits.
    """
    numerator, denominator = abs(part * whole_to), abs(whole)
    size = (2 * numerator + denominator) // (2 * denominator)
    return size if (part > 0) == (whole_to * whole > 0) else -size


def minor(figure_e4: int) -> int:
    """One exact figure as whole minor units, half away from zero."""
    quotient, rest = divmod(abs(int(figure_e4)), E4)
    size = quotient + (2 * rest >= E4)
    return size if figure_e4 >= 0 else -size


def minors(figures_e4: Ints) -> Ints:
    """Each exact figure as whole minor units, rounded by itself."""
    return divide_half_away(as_int64(figures_e4), E4)


def share_out(parts_e4: Sequence[int] | Ints, total_minor: int) -> Ints:
    """Whole minor units for each part that add up to `total_minor`.

    Largest remainder: every part is rounded down, and the units still missing go to the
    parts that lost most, the earlier one first among equals. When the total lies further
    from the parts than one unit each, the rest is spread evenly in the same order.
    """
    parts = as_int64(parts_e4)
    if parts.size == 0:
        return parts
    low, rest = np.divmod(parts, E4)
    missing = int(total_minor) - int(low.sum())
    every, extra = divmod(missing, parts.size)
    order = np.argsort(-rest, kind="stable")
    result = low + every
    result[order[:extra]] += 1
    return result


def share_rows(parts_e4: Ints, totals_minor: Ints) -> Ints:
    """`share_out` for each row of a table, among its parts other than 0."""
    moving = parts_e4 != 0
    low, rest = np.divmod(parts_e4, E4)
    missing = totals_minor - low.sum(axis=1)
    every, extra = np.divmod(missing, np.maximum(moving.sum(axis=1), 1))
    order = np.argsort(np.where(moving, -rest, E4), axis=1, kind="stable")
    rank = np.argsort(order, axis=1, kind="stable")
    return as_int64(np.where(moving, low + every[:, None] + (rank < extra[:, None]), 0))


def list_minor(parts_e4: Sequence[int] | Ints) -> Ints:
    """The parts under one displayed figure: they add up to the figure's rounded value."""
    parts = as_int64(parts_e4)
    return share_out(parts, minor(int(parts.sum())))
