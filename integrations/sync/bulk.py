"""Bulk writes into tenant tables: COPY to a temporary table, then only what changed is written.

The one module that talks to the driver. Row-level security refuses COPY straight into its
tables, and a temporary table that lives for one transaction needs no session behind a pooler.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from functools import cache
from io import StringIO
from typing import Any, TypedDict

from django.db import IntegrityError, transaction
from django.db import connection as database
from psycopg2 import sql

# The rows of one connection. As sub-selects, because the planner takes a tenant that its
# statistics have not seen yet for an empty one, and then walks all of its rows each time.
OWNED = sql.SQL("tenant_id = (SELECT %s::bigint) AND connection_id = (SELECT %s::bigint)")

# Two ways to find rows by a list of keys. A planner without statistics walks all rows of the
# connection for the first, and for the second may do so once for each key while they are few.
_TOGETHER = sql.SQL(
    "SELECT {column}, {wanted} FROM {table} WHERE {owned}{others} AND {column} = ANY(%s)"
)
_EACH = sql.SQL(
    "SELECT asked.key, row.wanted FROM unnest(%s::text[]) AS asked(key) CROSS JOIN LATERAL"
    " (SELECT {wanted} AS wanted FROM {table} WHERE {owned}{others} AND {column} = asked.key"
    " OFFSET 0) row"
)

# Values in the order of the columns, or a line that `in_line` made of them.
Row = Sequence[Any] | str

_BREAKS = str.maketrans({"\t": "\\t", "\n": "\\n", "\r": "\\r"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A table to load: `columns` in the order of the rows, `key` beside tenant and connection.

    `keep` are expressions for columns whose stored value `t` may outlive the new one, `excluded`.
    """

    table: str
    columns: tuple[str, ...]
    key: tuple[str, ...] = ("external_id",)
    keep: tuple[tuple[str, str], ...] = ()
    # The table marks rows that a complete run no longer saw; a row that is loaded was seen.
    revives: bool = False
    # So many rows a connection that no page may walk them all.
    vast: bool = False


class Owner(TypedDict):
    """Whose rows are written."""

    tenant_id: int
    connection_id: int


@dataclass(frozen=True, slots=True)
class Written:
    """What a load did: ids by key for new and for changed rows; the rest was the same."""

    added: dict[Any, int]
    changed: dict[Any, int]

    @property
    def ids(self) -> dict[Any, int]:
        return self.added | self.changed


def upsert(
    target: Target,
    rows: Sequence[Row],
    *,
    tenant_id: int,
    connection_id: int,
    fresh: bool = False,
) -> Written:
    """Insert new rows and update those that differ; needs a running transaction.

    Rows are unique by key. Keys of the answer are values, or tuples where the key has several.
    `fresh` rows are most likely all new, which is tried first: it costs a quarter less.
    """
    answer = _write(target, rows, True, fresh, tenant_id, connection_id) if rows else []
    added: dict[Any, int] = {}
    changed: dict[Any, int] = {}
    for is_new, row_id, *key in answer:
        (added if is_new else changed)[key[0] if len(key) == 1 else tuple(key)] = row_id
    return Written(added, changed)


def store(
    target: Target,
    rows: Sequence[Row],
    *,
    tenant_id: int,
    connection_id: int,
    fresh: bool = False,
) -> None:
    """As `upsert`, for rows that nobody needs to know the fate of."""
    if rows:
        _write(target, rows, False, fresh, tenant_id, connection_id)


def insert_missing(
    target: Target, rows: Sequence[Row], *, tenant_id: int, connection_id: int
) -> dict[str, int]:
    """Insert the rows whose key is not there yet; the ids of those by key."""
    if not rows:
        return {}
    with database.cursor() as cursor:
        copy_in(cursor, target.table, target.columns, rows)
        return dict(_executed(cursor, _insert_new(target), tenant_id, connection_id))


def found(
    target: Target,
    column: str,
    values: Iterable[str],
    *,
    tenant_id: int,
    connection_id: int,
    wanted: str = "id",
    where: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """The stored value of `wanted` by the values of a key column; absent ones are left out.

    `where` are other columns of the key.
    """
    asked = list(values)
    if not asked:
        return {}
    others = where or {}
    statement = _lookup(target, column, wanted, tuple(others))
    with database.cursor() as cursor:
        owned: list[Any] = [tenant_id, connection_id, *others.values()]
        cursor.execute(statement, [asked, *owned] if target.vast else [*owned, asked])
        return dict(cursor.fetchall())


@cache
def _lookup(target: Target, column: str, wanted: str, others: tuple[str, ...]) -> str:
    statement = (_EACH if target.vast else _TOGETHER).format(
        column=sql.Identifier(column),
        wanted=sql.Identifier(wanted),
        table=sql.Identifier(target.table),
        owned=OWNED,
        others=sql.Composed([sql.SQL(" AND {} = %s").format(sql.Identifier(n)) for n in others]),
    )
    return _spelt(statement)


def _write(
    target: Target,
    rows: Sequence[Row],
    answer: bool,
    fresh: bool,
    tenant_id: int,
    connection_id: int,
) -> list[Any]:
    with database.cursor() as cursor:
        copy_in(cursor, target.table, target.columns, rows)
        if fresh:
            try:
                with transaction.atomic():
                    statement = _insert_all(target, answer=answer)
                    return _executed(cursor, statement, tenant_id, connection_id)
            except IntegrityError:
                pass  # some are there
        return _executed(cursor, _upsert(target, answer=answer), tenant_id, connection_id)


def _executed(cursor: Any, statement: str, tenant_id: int, connection_id: int) -> list[Any]:
    cursor.execute(statement, {"tenant": tenant_id, "owner": connection_id})
    return list(cursor.fetchall()) if cursor.description else []


def copy_in(cursor: Any, table: str, columns: tuple[str, ...], rows: Iterable[Row]) -> None:
    """A temporary table with these columns typed as in `table`, filled with the rows."""
    cursor.copy_expert(_copy(table, columns), StringIO(as_text(rows)))


@cache
def _copy(table: str, columns: tuple[str, ...]) -> str:
    # One message; the table may be there from an earlier load of this transaction.
    statement = sql.SQL(
        "DROP TABLE IF EXISTS pg_temp.{incoming}; CREATE TEMPORARY TABLE {incoming} ON COMMIT DROP"
        " AS SELECT {columns} FROM {table} WITH NO DATA; COPY {incoming} FROM STDIN"
    )
    return _spelt(
        statement.format(
            incoming=_incoming(table), columns=_names(columns), table=sql.Identifier(table)
        )
    )


def _spelt(statement: sql.Composed) -> str:
    """The statement as text; made once, because quoting its names costs more than sending it."""
    with database.cursor() as cursor:
        return str(statement.as_string(cursor.cursor))


def _incoming(table: str) -> sql.Identifier:
    return sql.Identifier(f"incoming_{table}")


def as_text(rows: Iterable[Row]) -> str:
    """The rows in COPY's text form."""
    return "".join([(row if isinstance(row, str) else in_line(row)) + "\n" for row in rows])


def in_line(values: Sequence[Any]) -> str:
    """Values of neighbouring columns in COPY's text form, without the end of the line."""
    cells = [
        (v if "\\" not in v else v.replace("\\", "\\\\"))
        if v.__class__ is str
        else "\\N"
        if v is None
        else _FORMS[v.__class__](v)
        for v in values
    ]
    line = "\t".join(cells)
    if line.count("\t") < len(cells) and "\n" not in line and "\r" not in line:
        return line
    return "\t".join([cell.translate(_BREAKS) for cell in cells])


def before(references: Sequence[int | None], line: str) -> str:
    """The line with references to other rows put in front of it."""
    return "\t".join(["\\N" if each is None else str(each) for each in references] + [line])


# Of values that are neither text nor absent.
_FORMS: dict[type, Callable[[Any], str]] = {
    bool: str,
    int: str,
    bytes: lambda value: "\\\\x" + value.hex(),
    date: date.isoformat,
    datetime: datetime.isoformat,
    Decimal: str,
}


def _names(columns: Sequence[str], prefix: str = "") -> sql.Composed:
    found = [sql.Identifier(prefix, c) if prefix else sql.Identifier(c) for c in columns]
    return sql.SQL(", ").join(found)


def _insert(target: Target) -> sql.Composed:
    return sql.SQL(
        "INSERT INTO {table} AS t (tenant_id, connection_id, {columns})"
        " SELECT %(tenant)s, %(owner)s, {columns} FROM {incoming}"
    ).format(
        table=sql.Identifier(target.table),
        columns=_names(target.columns),
        incoming=_incoming(target.table),
    )


@cache
def _insert_new(target: Target) -> str:
    statement = sql.SQL("{} ON CONFLICT DO NOTHING RETURNING {}, id")
    return _spelt(statement.format(_insert(target), _names(target.key, "t")))


@cache
def _insert_all(target: Target, *, answer: bool) -> str:
    returned = _returned(target) if answer else sql.SQL("")
    return _spelt(sql.SQL("{}{}").format(_insert(target), returned))


def _returned(target: Target) -> sql.Composed:
    return sql.SQL(" RETURNING (xmax = 0), id, {}").format(_names(target.key, "t"))


@cache
def _upsert(target: Target, *, answer: bool) -> str:
    kept = dict(target.keep)
    loaded = [c for c in target.columns if c not in target.key]
    new: list[sql.Composable] = [
        sql.SQL(kept[c]) if c in kept else sql.Identifier("excluded", c) for c in loaded
    ]
    old: list[sql.Composable] = [sql.Identifier("t", c) for c in loaded]
    if target.revives:
        loaded, new = [*loaded, "removed_at"], [*new, sql.SQL("NULL::timestamptz")]
        old = [*old, sql.Identifier("t", "removed_at")]
    owners = ["tenant_id"] if "invoice_id" in target.key else ["tenant_id", "connection_id"]
    statement = sql.SQL(
        "{insert} ON CONFLICT ({key}) DO UPDATE SET {changes}"
        " WHERE ({old}) IS DISTINCT FROM ({new}){returned}"
    ).format(
        insert=_insert(target),
        key=_names([*owners, *target.key]),
        changes=sql.SQL(", ").join(
            sql.SQL("{} = {}").format(sql.Identifier(name), value)
            for name, value in zip(loaded, new, strict=True)
        ),
        old=sql.SQL(", ").join(old),
        new=sql.SQL(", ").join(new),
        returned=_returned(target) if answer else sql.SQL(""),
    )
    return _spelt(statement)
