"""Mutants of the database, read from its catalog: each policy, key and right, one at a time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from calqsync.tenancy.isolation import roles
from calqsync.tenancy.isolation.catalog import tenant_models
from calqsync.tenancy.isolation.rls import composite_keys

FILES = ["tests/tenancy/test_isolation_sql.py", "tests/tenancy/test_isolation_sql_roles.py"]


@dataclass(frozen=True, slots=True)
class Damage:
    """One protection that is taken away by SQL, and the word that picks the tests to ask."""

    kind: str
    name: str
    statement: str
    word: str = ""

    @property
    def tests(self) -> list[str]:
        return [*FILES, *(["-k", self.word] if self.word else [])]


def damages(cursor: Any) -> list[Damage]:
    """Every protection of this database; the cursor is a superuser's."""
    tables = sorted(model._meta.db_table for model in tenant_models())
    return [
        *_policies(cursor),
        *_switches(cursor),
        *_columns(tables),
        *_keys(),
        *_unique(cursor, tables),
        *_rights(tables),
    ]


def _policies(cursor: Any) -> Iterator[Damage]:
    cursor.execute(
        "SELECT tablename, policyname, qual FROM pg_policies WHERE schemaname = 'public'"
        " ORDER BY 1, 2"
    )
    for table, policy, condition in cursor.fetchall():
        name, word = f"{table}.{policy}", _word(table)
        yield Damage("policy dropped", name, f"DROP POLICY {policy} ON {table}", word)
        if condition != "true":
            opened = f"ALTER POLICY {policy} ON {table} USING (true)"
            yield Damage("policy opened", name, opened, word)


def _word(table: str) -> str:
    """Tests carry the table's name; those of the tenants' own table carry none."""
    return "" if table == "tenancy_tenant" else table


def _switches(cursor: Any) -> Iterator[Damage]:
    cursor.execute("SELECT DISTINCT tablename FROM pg_policies WHERE schemaname = 'public'")
    for (table,) in sorted(cursor.fetchall()):
        off = f"ALTER TABLE {table} DISABLE ROW LEVEL SECURITY"
        yield Damage("row security off", table, off, _word(table))
        loose = f"ALTER TABLE {table} NO FORCE ROW LEVEL SECURITY"
        yield Damage("row security not forced", table, loose, _word(table))


def _columns(tables: list[str]) -> Iterator[Damage]:
    for table in tables:
        nullable = f"ALTER TABLE {table} ALTER tenant_id DROP NOT NULL"
        yield Damage("tenant may be null", table, nullable, table)


def _keys() -> Iterator[Damage]:
    for model in tenant_models():
        for key in composite_keys(model):
            name = f"{key.table}.{key.column}"
            dropped = f'ALTER TABLE {key.table} DROP CONSTRAINT "{key.name}"'
            yield Damage("composite key dropped", name, dropped, key.table)


def _unique(cursor: Any, tables: list[str]) -> Iterator[Damage]:
    cursor.execute(
        "SELECT t.relname, i.relname, c.oid IS NOT NULL, pg_get_indexdef(x.indexrelid)"
        " FROM pg_index x JOIN pg_class i ON i.oid = x.indexrelid"
        " JOIN pg_class t ON t.oid = x.indrelid LEFT JOIN pg_constraint c"
        " ON c.conindid = x.indexrelid AND c.contype = 'u'"
        " WHERE x.indisunique AND NOT x.indisprimary AND t.relname = ANY(%s)"
        " AND i.relname NOT LIKE '%%_tenant_id_key' ORDER BY 1, 2",
        [tables],
    )
    for table, index, constrained, definition in cursor.fetchall():
        drop = f"ALTER TABLE {table} DROP CONSTRAINT" if constrained else "DROP INDEX"
        yield Damage("unique index dropped", f"{table}.{index}", f'{drop} "{index}"', table)
        # One that holds a reference needs no tenant to be of one tenant: it stays as strict.
        columns = definition.split("(", 1)[1]
        if columns.startswith("tenant_id, ") and "_id" not in columns.removeprefix("tenant_id"):
            shared = definition.replace("(tenant_id, ", "(", 1).replace(index, f"{index}_all", 1)
            yield Damage("unique index without tenant", f"{table}.{index}", shared, table)


def _rights(tables: list[str]) -> Iterator[Damage]:
    for table in tables:
        for role in roles.SERVING:
            granted = f"GRANT TRUNCATE ON {table} TO {role}"
            yield Damage("truncate granted", f"{table} to {role}", granted, table)
        if table != "jobs_job":
            granted = f"GRANT SELECT ON {table} TO {roles.DISPATCHER}"
            yield Damage("dispatcher reads", table, granted, table)
    granted = f"GRANT UPDATE, DELETE ON tenancy_auditevent TO {roles.APP}"
    yield Damage("audit rows writable", "tenancy_auditevent", granted, "only_added")
