"""Names for the array types that the domain passes around."""

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Days = NDArray[np.int32]
Codes = NDArray[np.int32]
Small = NDArray[np.int8]
Flags = NDArray[np.bool_]
Rates = NDArray[np.float64]

NO_DAY = int(np.iinfo(np.int32).min)
"""Stands where a date is absent."""
NEVER = int(np.iinfo(np.int32).max)
"""A day that does not come."""


def as_int64(values: object) -> Ints:
    return np.asarray(values, dtype=np.int64)


def standing_sums(first: Ints, after: Ints, amounts: Ints, width: int) -> Ints:
    """Sums by column, of `width` of them, of amounts that stand in columns first <= c < after.

    Both lie between 0 and `width`.
    """
    steps = np.zeros(width + 1, dtype=np.int64)
    np.add.at(steps, first, amounts)
    np.subtract.at(steps, after, amounts)
    return np.cumsum(steps)[:-1]


# Looking combinations up in a table of all of them is several times quicker than sorting, while
# the table has not many more places than there are rows.
_PLACES_PER_ROW = 64


def codes(*columns: NDArray[np.integer]) -> tuple[Ints, Ints]:
    """One dense code per distinct combination of columns, and the first row of each code."""
    key, space = np.zeros(len(columns[0]), dtype=np.int64), 1
    for column in columns:
        values = as_int64(column)
        low = int(values.min()) if values.size else 0
        span = int(values.max()) - low + 1 if values.size else 1
        if span > 1 << 20:
            _, values = np.unique(values, return_inverse=True)
            low, span = 0, int(values.max()) + 1
        key = key * span + (values - low)
        space *= span
    if space > _PLACES_PER_ROW * len(key):
        _, first, code = np.unique(key, return_index=True, return_inverse=True)
        return code.astype(np.int64), first.astype(np.int64)
    present = np.zeros(space, dtype=np.bool_)
    present[key] = True
    number = np.cumsum(present, dtype=np.int32) - 1
    code = number[key].astype(np.int64)
    first = np.zeros(int(number[-1]) + 1, dtype=np.int64)
    first[code[::-1]] = np.arange(len(code) - 1, -1, -1)
    return code, first


def rows_by(code: Ints) -> Ints:
    """Rows in the order of their code, from 0 to 2³¹ − 1; those of one code in their own order.

    Sorting keys that end in the row is several times quicker than a stable sort of rows.
    """
    rows = code << 32
    rows |= np.arange(len(code), dtype=np.int64)
    rows.sort()
    rows &= (1 << 32) - 1
    return rows
