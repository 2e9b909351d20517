"""The four database roles and who may do what with them.

* ``calqsync_owner`` owns the schema and runs migrations, nothing else; no process that serves
  has its credentials.
* ``calqsync_app`` serves requests and jobs; row-level security binds it.
* ``calqsync_dispatcher`` sees the job table across tenants and nothing else.
* ``calqsync_support`` reads the tenants' directory, and one tenant's books under a grant.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import psycopg2
from django.db import connections
from psycopg2 import sql

OWNER = "calqsync_owner"
APP = "calqsync_app"
DISPATCHER = "calqsync_dispatcher"
SUPPORT = "calqsync_support"
ALL = (OWNER, APP, DISPATCHER, SUPPORT)
SERVING = (APP, DISPATCHER, SUPPORT)
# Aliases of settings.DATABASES that a process which serves may be given.
SERVING_ALIASES = ("default", "dispatcher", "support")

# What PostgreSQL lets everybody do and nothing here needs. All companies' work runs as one role,
# and a role sees the text of its own running statements, may end them, and shares large objects.
SHARED_FUNCTIONS = (
    *("pg_stat_get_activity(integer)", "pg_stat_get_backend_activity(integer)"),
    *("pg_cancel_backend(integer)", "pg_terminate_backend(integer, bigint)"),
    *("lo_creat(integer)", "lo_create(oid)", "lo_from_bytea(oid, bytea)", "lo_open(oid, integer)"),
)


class DangerousRole(RuntimeError):
    """The process would run with rights that switch tenant isolation off."""

    advice = "Give each address the role that the README's table names for it."


class OwnerMigrates:
    """Only the owner's connection may change the schema."""

    def allow_migrate(self, db: str, app_label: str, **hints: Any) -> bool:
        return db == "owner"


def create_roles(superuser_dsn: str, passwords: dict[str, str], database: str) -> None:
    """Create the four roles and the database; safe to repeat. Needs a superuser's DSN.

    Repeating it takes away what the roles have been given by hand: flags, memberships, rights.
    """
    connection = psycopg2.connect(superuser_dsn)
    connection.autocommit = True
    with connection.cursor() as cursor:
        # Two starts at once would race between "does it exist" and "create it".
        cursor.execute("SELECT pg_advisory_lock(7261001)")
        for role in ALL:
            cursor.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", [role])
            verb = "ALTER" if cursor.fetchone() else "CREATE"
            cursor.execute(
                sql.SQL(
                    "{} ROLE {} LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION"
                    " NOBYPASSRLS PASSWORD {}"
                ).format(sql.SQL(verb), sql.Identifier(role), sql.Literal(passwords[role]))
            )
        cursor.execute(
            "SELECT r.rolname, m.rolname FROM pg_auth_members a JOIN pg_roles r ON r.oid = a.roleid"
            " JOIN pg_roles m ON m.oid = a.member WHERE m.rolname = ANY(%s)",
            [list(ALL)],
        )
        for group, role in cursor.fetchall():
            cursor.execute(_sql("REVOKE {} FROM {} CASCADE", group, role))
        cursor.execute("SELECT 1 FROM pg_database WHERE datname = %s", [database])
        if not cursor.fetchone():
            cursor.execute(_sql("CREATE DATABASE {} OWNER {}", database, OWNER))
    connection.close()
    _grant(superuser_dsn, database)


def _grant(superuser_dsn: str, database: str) -> None:
    connection = psycopg2.connect(superuser_dsn, dbname=database)
    connection.autocommit = True
    with connection.cursor() as cursor:
        cursor.execute(_sql("REVOKE ALL ON DATABASE {} FROM PUBLIC", database))
        for role in SERVING:
            cursor.execute(_sql("REVOKE ALL ON DATABASE {} FROM {}", database, role))
            cursor.execute(_sql("GRANT CONNECT ON DATABASE {} TO {}", database, role))
        # Bulk loads go through temporary tables.
        cursor.execute(_sql("GRANT TEMPORARY ON DATABASE {} TO {}", database, APP))
        cursor.execute(f"ALTER SCHEMA public OWNER TO {OWNER}")
        cursor.execute(f"REVOKE ALL ON SCHEMA public FROM PUBLIC, {', '.join(SERVING)}")
        cursor.execute(f"GRANT USAGE ON SCHEMA public TO {', '.join(SERVING)}")
        # Of tables that no migration has made yet.
        default = f"ALTER DEFAULT PRIVILEGES FOR ROLE {OWNER}"
        cursor.execute(
            f"{default} IN SCHEMA public GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO {APP}"
        )
        cursor.execute(f"{default} IN SCHEMA public GRANT USAGE ON SEQUENCES TO {APP}")
        cursor.execute(f"{default} IN SCHEMA public GRANT EXECUTE ON FUNCTIONS TO {APP}")
        cursor.execute(f"{default} REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC")
        cursor.execute("REVOKE ALL ON ALL FUNCTIONS IN SCHEMA public FROM PUBLIC")
        cursor.execute(f"GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA public TO {APP}")
        everything = f"ON ALL TABLES IN SCHEMA public FROM PUBLIC, {', '.join(SERVING)}"
        cursor.execute(f"REVOKE TRUNCATE, REFERENCES, TRIGGER {everything}")
        cursor.execute("REVOKE ALL ON pg_stat_activity FROM PUBLIC")
        for function in SHARED_FUNCTIONS:
            cursor.execute(f"REVOKE EXECUTE ON FUNCTION {function} FROM PUBLIC")
    connection.close()


def _sql(statement: str, *names: str) -> sql.Composed:
    return sql.SQL(statement).format(*map(sql.Identifier, names))


# Each row is a right that would let a statement of the process reach past row-level security.
# A member counts as the role itself, because it can become that role.
_DANGERS = r"""
WITH me AS (SELECT DISTINCT name FROM unnest(ARRAY[current_user, session_user]) name),
mine AS (SELECT r.* FROM pg_roles r WHERE EXISTS (
    SELECT 1 FROM me WHERE pg_has_role(me.name, r.oid, 'MEMBER')))
SELECT 'is, or can become, a superuser' WHERE EXISTS (SELECT 1 FROM mine WHERE rolsuper)
UNION ALL SELECT 'skips row-level security' WHERE EXISTS (SELECT 1 FROM mine WHERE rolbypassrls)
UNION ALL SELECT 'may create roles' WHERE EXISTS (SELECT 1 FROM mine WHERE rolcreaterole)
UNION ALL SELECT 'may copy the database' WHERE EXISTS (SELECT 1 FROM mine WHERE rolreplication)
UNION ALL SELECT 'has the rights of ' || min(rolname) FROM mine WHERE rolname LIKE 'pg\_%'
    AND rolname <> 'pg_database_owner' HAVING count(*) > 0
UNION ALL SELECT 'owns tables' WHERE EXISTS (
    SELECT 1 FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE n.nspname NOT LIKE 'pg\_%' AND n.nspname <> 'information_schema'
    AND c.relowner IN (SELECT oid FROM mine))
UNION ALL SELECT 'owns the schema or the database' WHERE EXISTS (
    SELECT 1 FROM pg_namespace n WHERE n.nspname NOT LIKE 'pg\_%'
    AND n.nspowner IN (SELECT oid FROM mine)) OR EXISTS (
    SELECT 1 FROM pg_database d WHERE d.datname = current_database()
    AND d.datdba IN (SELECT oid FROM mine))
UNION ALL SELECT 'may create objects in the schema' WHERE EXISTS (
    SELECT 1 FROM pg_namespace n WHERE n.nspname NOT LIKE 'pg\_%'
    AND has_schema_privilege(n.oid, 'CREATE'))
UNION ALL SELECT 'may empty tables past row-level security' WHERE EXISTS (
    SELECT 1 FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE c.relkind IN ('r', 'p') AND n.nspname NOT LIKE 'pg\_%'
    AND n.nspname <> 'information_schema' AND has_table_privilege(c.oid, 'TRUNCATE'))
"""


def dangers(cursor: Any) -> list[str]:
    """What the cursor's role could do past row-level security, in words; empty for a safe one."""
    cursor.execute(_DANGERS)
    return [row[0] for row in cursor.fetchall()]


def refuse_dangerous_role(aliases: Iterable[str] = SERVING_ALIASES) -> None:
    """Raise DangerousRole if a connection of this process could see past row-level security.

    Every process that serves calls this as it starts. Aliases without an address are skipped.
    """
    for alias in aliases:
        if alias not in connections.settings:
            continue
        with connections[alias].cursor() as cursor:
            reasons = dangers(cursor)
        if reasons:
            raise DangerousRole(
                f"The database role of the connection '{alias}' {', '.join(reasons)}."
                f" {DangerousRole.advice}"
            )


def exit_on_dangerous_role() -> None:
    """As `refuse_dangerous_role`, but ends the process: Celery's signals swallow what is raised."""
    try:
        refuse_dangerous_role()
    except DangerousRole as problem:
        raise SystemExit(str(problem)) from problem
