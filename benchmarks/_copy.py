"""Integers and arrays of integers as PostgreSQL's COPY takes them in binary."""

from __future__ import annotations

from io import BytesIO
from typing import Any

import numpy as np

# https://www.postgresql.org/docs/current/sql-copy.html: signature, flags, length of the extension.
_HEADER = b"PGCOPY\n\xff\r\n\0" + bytes(8)
_TRAILER = b"\xff\xff"
_TYPES = {2: 21, 8: 20}
"""Object ids of smallint and bigint by their bytes."""


def rows(columns: list[Any]) -> BytesIO:
    """A stream of rows; a column with two axes holds an array in each row.

    Arrays of int8 become smallint, all other integers bigint.
    """
    columns = [np.asarray(one) for one in columns]
    kinds = [np.dtype(">i2" if one.dtype == np.int8 else ">i8") for one in columns]
    layout: list[Any] = [("count", ">i2")]
    for place, (column, kind) in enumerate(zip(columns, kinds, strict=True)):
        element = [("bytes", ">i4"), ("value", kind)]
        if column.ndim == 1:
            layout.append((f"{place}", element))
        else:
            layout += [(f"{place}_head", ">i4", 6), (f"{place}", element, column.shape[1])]
    table = np.zeros(len(columns[0]), dtype=layout)
    table["count"] = len(columns)
    for place, (column, kind) in enumerate(zip(columns, kinds, strict=True)):
        field = table[f"{place}"]
        field["bytes"], field["value"] = kind.itemsize, column
        if column.ndim == 2:
            width = column.shape[1]
            # Bytes that follow, dimensions, no NULL, type, length, lower bound.
            size = 20 + width * (4 + kind.itemsize)
            table[f"{place}_head"] = (size, 1, 0, _TYPES[kind.itemsize], width, 1)
    return BytesIO(b"".join((_HEADER, table.tobytes(), _TRAILER)))
