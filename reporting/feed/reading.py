"""Rows of a query as chunks and integer columns."""

from __future__ import annotations

import ctypes
import io
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from django.db import connection
from numpy.typing import NDArray

from calqsync.tenancy import scope
from reporting.domain.arrays import Codes, Ints
from reporting.domain.lines import Coded

if TYPE_CHECKING:
    import pyarrow as pa

CHUNK = 10_000
BLOCK_BYTES = 4 << 20


def plan_for_whole_tables() -> None:
    """Have the transaction's queries planned for reading, or writing, everything of a tenant.

    While a first import runs the database's statistics know nothing of the tenant yet: it expects
    one row where there are a hundred thousand, and for a cursor it prefers a quick first row to a
    quick last one. Both lead to loops over loops, and to merges by one of two columns, which are
    loops as well. A hash join by all columns is never far from the best plan.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT set_config('cursor_tuple_fraction', '1', true),"
            " set_config('work_mem', '64MB', true),"
            " set_config('enable_nestloop', 'off', true),"
            " set_config('enable_mergejoin', 'off', true)"
        )


def plan_for_few_rows() -> None:
    """Have the transaction's queries planned for looking a few customers' rows up by their keys.

    Temporary tables have no statistics: the database takes them for a thousand rows, and reads a
    million lines of the tenant to find the two that such a table names.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT set_config('enable_seqscan', 'off', true),"
            " set_config('enable_hashjoin', 'off', true),"
            " set_config('enable_mergejoin', 'off', true)"
        )


def chunks(sql: str, params: dict[str, Any]) -> Iterator[list[tuple[Any, ...]]]:
    """Rows of a query on the tenant's tables, a chunk at a time."""
    with connection.chunked_cursor() as cursor:
        cursor.execute(sql, {"tenant": scope.required(), **params})
        while rows := cursor.fetchmany(CHUNK):
            yield rows


def read_tables(
    sql: str, params: dict[str, Any], columns: Mapping[str, pa.DataType], take: Callable[..., None]
) -> None:
    """Give the rows of a query on the tenant's tables to `take`, as tables of some megabytes.

    The database writes them as CSV and Arrow reads that, so that no row becomes an object of
    Python's. `columns` are the query's, none of them NULL.
    """
    with connection.cursor() as cursor:
        query = cursor.mogrify(sql, {"tenant": scope.required(), **params}).decode()
        rows = io.BufferedWriter(_Sink(columns, take), BLOCK_BYTES)
        cursor.copy_expert(f"COPY ({query}) TO STDOUT (FORMAT csv)", rows)
        rows.flush()


class _Sink(io.RawIOBase):
    """Reads blocks of whole rows of CSV as tables.

    Stands behind a buffer, which is handed one row at a time: it passes on what it has before it
    would have to part a row.
    """

    def __init__(self, columns: Mapping[str, pa.DataType], take: Callable[..., None]) -> None:
        from pyarrow import csv

        self._take = take
        self._read = csv.ReadOptions(column_names=list(columns), use_threads=False)
        self._parse = csv.ParseOptions(newlines_in_values=True)
        self._convert = csv.ConvertOptions(column_types=columns, null_values=[])

    def writable(self) -> bool:
        return True

    def write(self, block: Any) -> int:
        import pyarrow as pa
        from pyarrow import csv

        if bytes(block[-1:]) != b"\n":
            raise ValueError("a block of rows ends inside a row")
        # One block, so that a column has one dictionary.
        self._read.block_size = len(block) + 1
        body = pa.BufferReader(pa.py_buffer(block))
        self._take(csv.read_csv(body, self._read, self._parse, self._convert))
        return len(block)


def as_numpy(values: pa.Array) -> NDArray[Any]:
    """Integers without NULL, read only and not copied; Arrow's own `to_numpy` loads pandas."""
    return np.from_dlpack(values)


def give_back() -> None:
    """Have the C library return to the system what reading took and has freed.

    It would keep it for itself, in pieces between what is still held.
    """
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)


class IntegerColumns:
    """Columns that grow by tables of rows, each in a type of its own."""

    def __init__(self, types: Mapping[str, type[np.generic]]) -> None:
        self._types = types
        self._parts: dict[str, list[NDArray[Any]]] = {name: [] for name in types}

    def take(self, table: pa.Table) -> None:
        """The columns of the same names."""
        for name, dtype in self._types.items():
            self._parts[name].append(as_numpy(table[name].combine_chunks()).astype(dtype))

    def whole(self) -> dict[str, NDArray[Any]]:
        """Every column by name; what was collected is given away."""
        return {
            name: np.concatenate(self._parts.pop(name) or [np.zeros(0, dtype=dtype)])
            for name, dtype in self._types.items()
        }


class CodedColumn:
    """Repeated strings as codes, so that each distinct one is held and looked at once."""

    def __init__(self) -> None:
        self._code: dict[str, int] = {}
        self._parts: list[Codes] = []

    def take(self, values: pa.DictionaryArray) -> None:
        code = self._code
        known = [code.setdefault(value, len(code)) for value in values.dictionary.to_pylist()]
        self._parts.append(np.array(known, dtype=np.int32)[as_numpy(values.indices)])

    def whole(self) -> Coded:
        codes = np.concatenate(self._parts) if self._parts else np.zeros(0, dtype=np.int32)
        return Coded(list(self._code), codes)


def read_columns(
    sql: str,
    params: dict[str, Any],
    numbers: Mapping[str, type[np.generic]],
    texts: Sequence[str],
) -> tuple[dict[str, NDArray[Any]], dict[str, Coded]]:
    """The columns of a query on the tenant's tables: first integers, then texts, without NULL."""
    # Only who reads the books pays for it: a process that shows stored figures does not.
    import pyarrow as pa

    integers, coded = IntegerColumns(numbers), {name: CodedColumn() for name in texts}

    def take(table: pa.Table) -> None:
        integers.take(table)
        for name, column in coded.items():
            column.take(table[name].combine_chunks())

    text = pa.dictionary(pa.int32(), pa.string())
    read_tables(sql, params, dict.fromkeys(numbers, pa.int64()) | dict.fromkeys(coded, text), take)
    # Arrow would keep what the tables took.
    pa.default_memory_pool().release_unused()
    return integers.whole(), {name: coded.pop(name).whole() for name in texts}


def table(chunks: list[Ints], width: int) -> Ints:
    return np.concatenate(chunks) if chunks else np.zeros((0, width), dtype=np.int64)
