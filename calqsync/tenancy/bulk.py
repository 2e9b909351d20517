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
    tenant_id = scope.required()
    table = connection.ops.quote_name(model._meta.db_table)
    incoming = connection.ops.quote_name(f"incoming_{model._meta.db_table}"[:63])
    names = [connection.ops.quote_name(name) for name in columns]
    keys = [connection.ops.quote_name(name) for name in key]
    others = [name for name in names if name not in keys]
    same = " AND ".join(f"i.{name} = t.{name}" for name in keys)
    with connection.cursor() as cursor:
        cursor.execute(f"DROP TABLE IF EXISTS pg_temp.{incoming}")
        cursor.execute(
            f"CREATE TEMPORARY TABLE {incoming} ON COMMIT DROP AS"
            f" SELECT {', '.join(names)} FROM {table} WITH NO DATA"
        )
        for text in _copy_texts(model, columns):
            cursor.copy_expert(f"COPY pg_temp.{incoming} ({', '.join(names)}) FROM STDIN", text)
        cursor.execute(f"ANALYZE pg_temp.{incoming}")
        kept = _Former(cursor, model, keys) if keep_former else None
        removing = (
            f"DELETE FROM {table} t WHERE t.tenant_id = %s"
            f" AND NOT EXISTS (SELECT 1 FROM pg_temp.{incoming} i WHERE {same})"
        )
        cursor.execute(kept.was("t.*", removing) if kept else removing, [tenant_id])
        removed = cursor.rowcount
        changed = 0
        if others:
            changing = (
                f"UPDATE {table} t SET {', '.join(f'{name} = i.{name}' for name in others)}"
                f" FROM pg_temp.{incoming} i WHERE t.tenant_id = %s AND {same}"
                f" AND ({', '.join(f't.{name}' for name in others)})"
                f" IS DISTINCT FROM ({', '.join(f'i.{name}' for name in others)})"
            )
            cursor.execute(kept.was("old.*", changing) if kept else changing, [tenant_id])
            changed = cursor.rowcount
        adding = (
            f"INSERT INTO {table} (tenant_id, {', '.join(names)})"
            f" SELECT %s, {', '.join(f'i.{name}' for name in names)} FROM pg_temp.{incoming} i"
            f" WHERE NOT EXISTS (SELECT 1 FROM {table} t WHERE t.tenant_id = %s AND {same})"
        )
        cursor.execute(kept.was_not(adding) if kept else adding, [tenant_id, tenant_id])
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
        cursor.execute(f"DROP TABLE IF EXISTS {self._table}")
        cursor.execute(
            f"CREATE TEMPORARY TABLE {self._table.removeprefix('pg_temp.')} ON COMMIT DROP AS"
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
