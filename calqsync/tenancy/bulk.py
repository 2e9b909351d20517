"""Whole columns into tenant tables: COPY into a temporary table, then write what differs.

Row-level security refuses COPY straight into a tenant table, and an upsert locks, and so
rewrites, even the rows it leaves as they are; three statements against a temporary table do
neither.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from io import StringIO
from typing import Any

import numpy as np
from django.contrib.postgres.fields import ArrayField
from django.db import connection, models

from calqsync.tenancy import scope
from calqsync.tenancy.owned import TenantOwned

NULL = r"\N"
_ESCAPES = str.maketrans({"\\": r"\\", "\t": r"\t", "\n": r"\n", "\r": r"\r", "\0": " "})
# Rows whose text is in memory at a time.
CHUNK = 10_000
Columns = Mapping[str, Sequence[Any] | np.ndarray[Any, Any]]


@dataclass(frozen=True, slots=True)
class Written:
    """How many rows a write really touched."""

    added: int = 0
    changed: int = 0
    removed: int = 0

    @property
    def total(self) -> int:
        return self.added + self.changed + self.removed

    def __add__(self, other: Written) -> Written:
        return Written(
            added=self.added + other.added,
            changed=self.changed + other.changed,
            removed=self.removed + other.removed,
        )


def replace_rows(
    model: type[TenantOwned],
    *,
    key: Sequence[str],
    columns: Columns,
    keep_former: bool = False,
) -> Written:
    """Make the tenant's rows of `model` exactly these; rows that stay the same are not written.

    `columns` holds equal-length values by column name (`customer_id`, not `customer`), numpy
    arrays or lists, `key` among them; columns left out keep their database defaults. Runs in
    the caller's transaction and needs a tenant in scope. With `keep_former`, the temporary table
    `former_table(model)` says until the commit what every row that differs was.
    """
    incoming = Incoming(model, key=key)
    incoming.add(columns)
    return incoming.replace(keep_former=keep_former)


class Incoming:
    """The rows that `model` shall have, brought some at a time; see `replace_rows`."""

    def __init__(self, model: type[TenantOwned], *, key: Sequence[str]) -> None:
        self._model, self._key = model, key
        self._table = connection.ops.quote_name(model._meta.db_table)
        self._incoming = connection.ops.quote_name(f"incoming_{model._meta.db_table}"[:63])
        self._names: list[str] = []

    def add(self, columns: Columns) -> None:
        """Bring more rows; every time of the same columns."""
        names = [connection.ops.quote_name(name) for name in columns]
        with connection.cursor() as cursor:
            if not self._names:
                self._names = names
                cursor.execute(
                    f"DROP TABLE IF EXISTS pg_temp.{self._incoming};"
                    f" CREATE TEMPORARY TABLE {self._incoming} ON COMMIT DROP AS"
                    f" SELECT {', '.join(names)} FROM {self._table} WITH NO DATA"
                )
            for text in _copy_texts(self._model, columns):
                cursor.copy_expert(
                    f"COPY pg_temp.{self._incoming} ({', '.join(self._names)}) FROM STDIN", text
                )

    def replace(
        self, *, keep_former: bool = False, within: tuple[str, Sequence[int]] | None = None
    ) -> Written:
        """Make the tenant's rows these, or, of those with one of some values in a column, these."""
        table, incoming, names = self._table, self._incoming, self._names
        keys = [connection.ops.quote_name(name) for name in self._key]
        others = [name for name in names if name not in keys]
        same = " AND ".join(f"i.{name} = t.{name}" for name in keys)
        mine, owned = "t.tenant_id = %s", [scope.required()]
        if within is not None:
            mine += f" AND t.{connection.ops.quote_name(within[0])} = ANY(%s)"
            owned = [*owned, list(within[1])]  # type: ignore[list-item]
        with connection.cursor() as cursor:
            if within is None:
                # A few rows are found whatever the database knows of them.
                cursor.execute(f"ANALYZE pg_temp.{incoming}")
            kept = _Former(cursor, self._model, keys) if keep_former else None
            removing = (
                f"DELETE FROM {table} t WHERE {mine}"
                f" AND NOT EXISTS (SELECT 1 FROM pg_temp.{incoming} i WHERE {same})"
            )
            cursor.execute(kept.was("t.*", removing) if kept else removing, owned)
            removed = cursor.rowcount
            changed = 0
            if others:
                changing = (
                    f"UPDATE {table} t SET {', '.join(f'{name} = i.{name}' for name in others)}"
                    f" FROM pg_temp.{incoming} i WHERE {mine} AND {same}"
                    f" AND ({', '.join(f't.{name}' for name in others)})"
                    f" IS DISTINCT FROM ({', '.join(f'i.{name}' for name in others)})"
                )
                cursor.execute(kept.was("old.*", changing) if kept else changing, owned)
                changed = cursor.rowcount
            adding = (
                f"INSERT INTO {table} (tenant_id, {', '.join(names)})"
                f" SELECT %s, {', '.join(f'i.{name}' for name in names)}"
                f" FROM pg_temp.{incoming} i"
                f" WHERE NOT EXISTS (SELECT 1 FROM {table} t WHERE {mine} AND {same})"
            )
            cursor.execute(kept.was_not(adding) if kept else adding, [owned[0], *owned])
            added = cursor.rowcount
            cursor.execute(f"DROP TABLE pg_temp.{incoming}")
        return Written(added=added, changed=changed, removed=removed)


def former_table(model: type[TenantOwned]) -> str:
    """The quoted name of what `replace_rows(keep_former=True)` keeps until the commit.

    One row for each row of `model` that was written: its former values, or its key alone, with
    `id` NULL, where there was none.
    """
    return f"pg_temp.{connection.ops.quote_name(f'former_{model._meta.db_table}'[:63])}"


class _Former:
    """Lets a statement that writes rows leave behind what they were."""

    def __init__(self, cursor: Any, model: type[TenantOwned], keys: Sequence[str]) -> None:
        self._table, self._keys = former_table(model), ", ".join(keys)
        cursor.execute(
            f"DROP TABLE IF EXISTS {self._table};"
            f" CREATE TEMPORARY TABLE {self._table.removeprefix('pg_temp.')} ON COMMIT DROP AS"
            f" SELECT * FROM {connection.ops.quote_name(model._meta.db_table)} WITH NO DATA"
        )

    def was(self, rows: str, statement: str) -> str:
        return (
            f"WITH was AS ({statement} RETURNING {rows})"
            f" INSERT INTO {self._table} SELECT * FROM was"
        )

    def was_not(self, statement: str) -> str:
        return (
            f"WITH made AS ({statement} RETURNING {self._keys})"
            f" INSERT INTO {self._table} ({self._keys}) SELECT {self._keys} FROM made"
        )


def check_keys() -> None:
    """Have the deferred foreign keys of the transaction checked now rather than at its end."""
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        cursor.execute("SET CONSTRAINTS ALL DEFERRED")


def _copy_texts(model: type[TenantOwned], columns: Columns) -> Iterator[StringIO]:
    sizes = {len(values) for values in columns.values()}
    if len(sizes) > 1:
        raise ValueError(f"columns of different length: {sorted(sizes)}")
    fields = [model._meta.get_field(name) for name in columns]
    for start in range(0, max(sizes, default=0), CHUNK):
        texts = [
            _column_text(field, values[start : start + CHUNK])
            for field, values in zip(fields, columns.values(), strict=True)
        ]
        yield StringIO("\n".join(map("\t".join, zip(*texts, strict=True))) + "\n")


def _column_text(field: Any, values: Iterable[Any]) -> list[str]:
    if isinstance(values, np.ndarray):
        if values.dtype.kind == "M":
            days = np.datetime_as_string(values.astype("datetime64[D]")).tolist()
            return [NULL if day == "NaT" else day for day in days]
        if values.dtype.kind in "iub":
            return list(map(str, values.tolist()))
        values = values.tolist()
    if isinstance(field, models.JSONField):
        return _each(values, _json, key=id)
    if isinstance(field, ArrayField):
        return ["{" + ",".join(map(str, value)) + "}" for value in values]
    if isinstance(field, models.CharField | models.TextField):
        return _each(values, _escaped, key=str)
    return [NULL if value is None else str(value) for value in values]


def _each(
    values: Iterable[Any], write: Callable[[Any], str], key: Callable[[Any], Any]
) -> list[str]:
    """The text of every value; repeated ones are written once."""
    held = list(values)  # keeps every object, and so every id, alive
    known: dict[Any, str] = {}
    result = []
    for value in held:
        if value is None:
            result.append(NULL)
            continue
        name = key(value)
        text = known.get(name)
        if text is None:
            text = known[name] = write(value)
        result.append(text)
    return result


def _json(value: Any) -> str:
    return json.dumps(value, separators=(",", ":")).translate(_ESCAPES)


def _escaped(value: Any) -> str:
    return str(value).translate(_ESCAPES)
