"""An audit of the database's own catalog: what keeps tenants apart, and where it is broken.

`audit(cursor)` returns findings; none means that every table, policy, key, grant, role, function
and view is as the models and migrations say. It reads `pg_catalog` alone, so that any role which
may make temporary tables can run it, against any database, and without a row of a tenant.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

import psycopg2
from django.apps import apps
from django.db.migrations import RunSQL
from django.db.migrations.loader import MigrationLoader
from django.db.models import UniqueConstraint
from psycopg2 import sql

from calqsync.tenancy.isolation import rules
from calqsync.tenancy.isolation.rls import CompositeKey, SecureTables, composite_keys, owned

# The tenant's own table: bound by policies on its id.
ROOT = "tenancy_tenant"
WITHOUT_TENANT = {
    ROOT: "the tenant itself, with policies of its own",
    "tenancy_user": "people belong to several tenants",
    "tenancy_user_groups": "rights of support staff",
    "tenancy_user_user_permissions": "rights of support staff",
    "tenancy_keyencryptionkey": "says which key-encryption keys exist, never the keys",
    "privacy_erasure": "the ledger of erasures outlives the tenants; it names nobody",
    "billing_firsttrial": "outlives tenants, names none; a row is seen by who knows its hash",
    "integrations_clientsuspension": "whether Procountor refuses our client; at which opaque ids",
    "jobs_dispatcherpulse": "says when dispatchers looked for work, nothing of a tenant",
    "account_emailaddress": "addresses of people",
    "account_emailconfirmation": "addresses of people",
    "mfa_authenticator": "second factors of people",
    "django_session": "sessions of people",
    "usersessions_usersession": "sessions of people",
    "django_admin_log": "what support staff did in the console",
    "django_content_type": "a registry of models",
    "django_migrations": "the schema's history",
    "auth_group": "rights of support staff",
    "auth_group_permissions": "rights of support staff",
    "auth_permission": "rights of support staff",
}

_POLICY = re.compile(
    r'CREATE POLICY (?P<name>\w+) ON "(?P<table>\w+)" FOR (?P<command>\w+) TO (?P<role>\w+)'
    r" USING \((?P<using>.*?)\);",
    re.DOTALL,
)


@dataclass(frozen=True, slots=True, order=True)
class Finding:
    """One thing that is not as it must be: where, what, and what to do."""

    rule: str
    subject: str  # the table, or the object where there is none
    problem: str
    advice: str

    def __str__(self) -> str:
        return f"{self.subject}: {self.problem} [{self.rule}] {self.advice}"


class NothingToAudit(RuntimeError):
    """The database has hardly any table of ours: an audit of it would prove nothing."""

    advice = "Bring the schema up to date first: manage.py migrate --database owner."


def audit(cursor: Any) -> list[Finding]:
    """Everything that is wrong with the database, in a fixed order.

    The cursor's connection must be in autocommit. Temporary tables, on which the expected
    policies are spelt out by the server, are rolled back.
    """
    cursor.execute("BEGIN")
    try:
        tables = _tables(cursor)
        if len(tables) < 20:
            raise NothingToAudit(f"Only {len(tables)} tables were found. {NothingToAudit.advice}")
        return sorted(
            {
                *_coverage(tables),
                *_policies(cursor, tables),
                *_keys(cursor, tables),
                *_unique(cursor),
                *_by_rule(cursor, tables),
            }
        )
    finally:
        cursor.execute("ROLLBACK")


def tenant_models() -> list[Any]:
    """Every model whose rows belong to a tenant."""
    return [model for model in apps.get_models() if owned(model) and model._meta.managed]


# -- tables ----------------------------------------------------------------------------------------


def _tables(cursor: Any) -> dict[str, bool]:
    """Every table, and whether it has a tenant column."""
    cursor.execute(
        "SELECT c.relname, EXISTS (SELECT 1 FROM pg_attribute a WHERE a.attrelid = c.oid"
        " AND a.attname = 'tenant_id' AND NOT a.attisdropped) FROM pg_class c JOIN pg_namespace n"
        " ON n.oid = c.relnamespace WHERE c.relkind IN ('r', 'p', 'f') AND n.nspname NOT LIKE"
        " 'pg\\_%' AND n.nspname <> 'information_schema'"
    )
    return dict(cursor.fetchall())


def _coverage(tables: dict[str, bool]) -> Iterator[Finding]:
    modelled = {model._meta.db_table for model in tenant_models()}
    for table, has_tenant in tables.items():
        if not has_tenant and table not in WITHOUT_TENANT:
            yield Finding(
                "table-without-tenant",
                table,
                "it has no tenant_id and is on no list",
                "Derive the model from TenantOwned, or name it with a reason in"
                " calqsync.tenancy.isolation.catalog.WITHOUT_TENANT.",
            )
        if has_tenant and table not in modelled:
            yield Finding(
                "table-without-model",
                table,
                "it has a tenant_id, but no model of ours: no migration gives it policies",
                "Make it by a migration that ends with SecureTables, or drop it.",
            )
    for table in sorted(modelled - {name for name, has_tenant in tables.items() if has_tenant}):
        yield Finding(
            "table-without-tenant",
            table,
            "its model belongs to a tenant, the table does not",
            "Run the migrations; put the column back by a migration.",
        )
    for table in sorted(set(WITHOUT_TENANT) - {t for t, has in tables.items() if not has}):
        yield Finding(
            "list-is-stale",
            table,
            "it is listed as a table without tenant and is none",
            "Take it off calqsync.tenancy.isolation.catalog.WITHOUT_TENANT.",
        )


# -- policies --------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class DeclaredPolicy:
    """A policy as the migrations create it."""

    table: str
    name: str
    command: str
    role: str
    using: str


def declared_policies() -> list[DeclaredPolicy]:
    """Every policy that the migrations create; a later one replaces the earlier of its name."""
    found: dict[tuple[str, str], DeclaredPolicy] = {}
    for statement in _migrated_sql():
        for match in _POLICY.finditer(statement):
            policy = DeclaredPolicy(**match.groupdict())
            found[policy.table, policy.name] = policy
    return list(found.values())


def _secured() -> dict[str, SecureTables]:
    """By app, the operation that binds its tables as they stand now: the last one."""
    return {app: op for app, op in _operations() if isinstance(op, SecureTables)}


@cache
def _operations() -> list[tuple[str, Any]]:
    """Every operation of every migration with its app, in an order in which they may run."""
    graph = MigrationLoader(None).graph
    plan = dict.fromkeys(key for leaf in graph.leaf_nodes() for key in graph.forwards_plan(leaf))
    return [(key[0], operation) for key in plan for operation in graph.nodes[key].operations]


def _migrated_sql() -> Iterator[str]:
    for app, operation in _secured().items():
        for model in apps.get_app_config(app).get_models():
            if owned(model):
                yield operation.policies(model)
    for _, operation in _operations():
        if isinstance(operation, RunSQL) and isinstance(operation.sql, str):
            yield operation.sql


def _policies(cursor: Any, tables: dict[str, bool]) -> Iterator[Finding]:
    """Each table has exactly the declared policies, word for word as the server spells them."""
    real = _spelt(cursor, "NOT LIKE 'pg\\_temp%'")
    declared: dict[str, list[DeclaredPolicy]] = {}
    for policy in declared_policies():
        declared.setdefault(policy.table, []).append(policy)
    for table, policies in declared.items():
        if table in tables:
            yield from _compared(cursor, table, policies, real.pop(table, {}))
    for table, others in real.items():
        for name in others:
            yield Finding(
                "policy-unexpected",
                table,
                f"no migration creates its policy {name}",
                "Drop it, or create it by rls.policy() in a migration.",
            )


def _compared(
    cursor: Any, table: str, policies: list[DeclaredPolicy], real: dict[str, tuple[str, ...]]
) -> Iterator[Finding]:
    mend = "Run the app's SecureTables again by a migration; find out who changed it."
    cursor.execute("SAVEPOINT spell")
    try:
        _temporary_twin(cursor, table)
        for policy in policies:
            cursor.execute(
                f'CREATE POLICY {policy.name} ON pg_temp."{table}" FOR {policy.command}'
                f" TO {policy.role} USING ({policy.using})"
            )
        wanted = _spelt(cursor, "LIKE 'pg\\_temp%'").get(table, {})
    except psycopg2.Error as problem:
        yield Finding("policy-changed", table, f"it cannot carry its policies: {problem}", mend)
        return
    finally:
        cursor.execute("ROLLBACK TO SAVEPOINT spell")
    for name in wanted.keys() - real.keys():
        yield Finding("policy-missing", table, f"its policy {name} is gone", mend)
    for name in real.keys() - wanted.keys():
        yield Finding(
            "policy-unexpected",
            table,
            f"no migration creates its policy {name}",
            "Drop it, or create it by rls.policy() in a migration.",
        )
    for name in wanted.keys() & real.keys():
        if wanted[name] != real[name]:
            yield Finding(
                "policy-changed",
                table,
                f"its policy {name} reads {' '.join(real[name])},"
                f" the migrations say {' '.join(wanted[name])}",
                mend,
            )


def _temporary_twin(cursor: Any, table: str) -> None:
    """An empty temporary table with the same columns, on which a policy can be spelt out."""
    cursor.execute(
        "SELECT attname, format_type(atttypid, atttypmod) FROM pg_attribute a"
        " JOIN pg_class c ON c.oid = a.attrelid JOIN pg_namespace n ON n.oid = c.relnamespace"
        " WHERE c.relname = %s AND n.nspname = 'public' AND attnum > 0 AND NOT attisdropped",
        [table],
    )
    columns = [sql.SQL("{} " + kind).format(sql.Identifier(name)) for name, kind in cursor]
    cursor.execute(
        sql.SQL("CREATE TEMPORARY TABLE {} ({})").format(
            sql.Identifier(table), sql.SQL(", ").join(columns)
        )
    )


def _spelt(cursor: Any, schema: str) -> dict[str, dict[str, tuple[str, ...]]]:
    """Policies by table and name, with every word of them as the server writes it."""
    cursor.execute(
        "SELECT tablename, policyname, permissive, cmd, array_to_string(roles, ','),"
        f" coalesce(qual, ''), coalesce(with_check, '') FROM pg_policies WHERE schemaname {schema}"
    )
    found: dict[str, dict[str, tuple[str, ...]]] = {}
    for table, name, *words in cursor.fetchall():
        found.setdefault(table, {})[name] = tuple(words)
    return found


# -- keys ------------------------------------------------------------------------------------------


def _keys(cursor: Any, tables: dict[str, bool]) -> Iterator[Finding]:
    """Each key between tenant tables has its composite twin, which deletes as the model says; and
    each tenant_id refers to the tenants, by its own key or by that of a parent that has one.
    """
    cursor.execute(rules.FOREIGN_KEYS)
    found = [(row[0], tuple(row[1]), *row[2:]) for row in cursor.fetchall()]
    real = {
        (table, columns, target): (deletes, valid)
        for table, columns, target, deletes, valid, _ in found
    }
    mend = "Run the app's SecureTables again by a migration."
    wanted = {key for model in tenant_models() for key in composite_keys(model)}
    for key in wanted:
        deletes, valid = real.get((key.table, ("tenant_id", key.column), key.target), (None, True))
        text = f"the key (tenant_id, {key.column}) to {key.target}"
        if deletes is None:
            yield Finding("composite-key-missing", key.table, f"{text} is not there", mend)
        elif deletes != key.on_delete:
            problem = f"{text} deletes by '{deletes}', the model says '{key.on_delete}'"
            yield Finding("composite-key-deletes", key.table, problem, mend)
        elif not valid:
            yield Finding("composite-key-missing", key.table, f"{text} is not enforced", mend)
    for table, columns, target in real:
        if len(columns) == 1 and tables.get(table) and tables.get(target):
            twin = CompositeKey(table, columns[0], target, "")
            if (table, ("tenant_id", twin.column), target) not in real:
                problem = f"the key ({twin.column}) to {target} has no composite twin"
                yield Finding("composite-key-missing", table, problem, mend)
    rooted = {
        table
        for table, columns, target, _, valid, _ in found
        if valid and columns == ("tenant_id",) and target == ROOT
    }
    through_parents = {
        table
        for table, columns, target, _, valid, always in found
        if valid and always and columns[0] == "tenant_id" and target in rooted
    }
    for table, has_tenant in tables.items():
        if has_tenant and table not in rooted | through_parents:
            problem = "its tenant_id does not refer to the tenants"
            yield Finding("tenant-key-missing", table, problem, mend)


def _unique(cursor: Any) -> Iterator[Finding]:
    """Each unique constraint of the models is there, by its name."""
    cursor.execute(
        "SELECT t.relname, i.relname FROM pg_index x JOIN pg_class i ON i.oid = x.indexrelid"
        " JOIN pg_class t ON t.oid = x.indrelid WHERE x.indisunique AND x.indisvalid"
    )
    real = set(cursor.fetchall())
    for model in tenant_models():
        for constraint in model._meta.constraints:
            wanted = (model._meta.db_table, constraint.name)
            if isinstance(constraint, UniqueConstraint) and wanted not in real:
                yield Finding(
                    "unique-missing",
                    wanted[0],
                    f"its unique constraint {constraint.name} is gone",
                    "Put it back by a migration: upserts and look-ups rely on it.",
                )


# -- rules that are one query each -----------------------------------------------------------------


def _by_rule(cursor: Any, tables: dict[str, bool]) -> Iterator[Finding]:
    values = {
        "tenant_tables": sorted(t for t, has in tables.items() if has),
        "bound_tables": sorted([ROOT, *(t for t, has in tables.items() if has)]),
        "append_only": _append_only(),
        "support_tables": sorted({p.table for p in declared_policies() if p.role == rules.SUPPORT}),
        **rules.VALUES,
    }
    for rule in rules.RULES:
        cursor.execute(rule.query, values)
        for subject, problem in cursor.fetchall():
            yield Finding(rule.name, subject, problem, rule.advice)


def _append_only() -> list[str]:
    return sorted(
        apps.get_model(app, name)._meta.db_table
        for app, operation in _secured().items()
        for name in operation.append_only
    )
