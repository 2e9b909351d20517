"""The four database roles and who may do what with them.

* ``calqsync_owner`` owns the schema and runs migrations, nothing else.
* ``calqsync_app`` serves requests and jobs; row-level security binds it.
* ``calqsync_dispatcher`` sees the job table across tenants and nothing else.
* ``calqsync_support`` reads the tenants' directory, and one tenant's books under a grant.
"""

from __future__ import annotations

from typing import Any

import psycopg2
from django.db import connections
from psycopg2 import sql

OWNER = "calqsync_owner"
APP = "calqsync_app"
DISPATCHER = "calqsync_dispatcher"
SUPPORT = "calqsync_support"
ALL = (OWNER, APP, DISPATCHER, SUPPORT)


class DangerousRole(RuntimeError):
    """The process would run with rights that switch tenant isolation off."""

    advice = "Point DATABASE_URL at the calqsync_app role, as the README's table describes."


class OwnerMigrates:
    """Only the owner's connection may change the schema."""

    def allow_migrate(self, db: str, app_label: str, **hints: Any) -> bool:
        return db == "owner"


def create_roles(superuser_dsn: str, passwords: dict[str, str], database: str) -> None:
    """Create the four roles and the database; safe to repeat. Needs a superuser's DSN."""
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
                    "{} ROLE {} LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOBYPASSRLS PASSWORD {}"
                ).format(sql.SQL(verb), sql.Identifier(role), sql.Literal(passwords[role]))
            )
        cursor.execute("SELECT 1 FROM pg_database WHERE datname = %s", [database])
        if not cursor.fetchone():
            cursor.execute(
                sql.SQL("CREATE DATABASE {} OWNER {}").format(
                    sql.Identifier(database), sql.Identifier(OWNER)
                )
            )
    connection.close()
    _grant(superuser_dsn, database)


def _grant(superuser_dsn: str, database: str) -> None:
    connection = psycopg2.connect(superuser_dsn, dbname=database)
    connection.autocommit = True
    with connection.cursor() as cursor:
        name = sql.Identifier(database)
        cursor.execute(sql.SQL("REVOKE ALL ON DATABASE {} FROM PUBLIC").format(name))
        for role in (APP, DISPATCHER, SUPPORT):
            cursor.execute(
                sql.SQL("GRANT CONNECT, TEMPORARY ON DATABASE {} TO {}").format(
                    name, sql.Identifier(role)
                )
                if role == APP  # bulk loads go through temporary tables
                else sql.SQL("GRANT CONNECT ON DATABASE {} TO {}").format(
                    name, sql.Identifier(role)
                )
            )
        cursor.execute(f"ALTER SCHEMA public OWNER TO {OWNER}")
        cursor.execute("REVOKE ALL ON SCHEMA public FROM PUBLIC")
        cursor.execute(f"GRANT USAGE ON SCHEMA public TO {APP}, {DISPATCHER}, {SUPPORT}")
        cursor.execute(
            f"ALTER DEFAULT PRIVILEGES FOR ROLE {OWNER} IN SCHEMA public"
            f" GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO {APP}"
        )
        cursor.execute(
            f"ALTER DEFAULT PRIVILEGES FOR ROLE {OWNER} IN SCHEMA public"
            f" GRANT USAGE ON SEQUENCES TO {APP}"
        )
    connection.close()


def refuse_dangerous_role() -> None:
    """Raise DangerousRole if the app's connection could see past row-level security."""
    with connections["default"].cursor() as cursor:
        cursor.execute(
            "SELECT r.rolsuper OR r.rolbypassrls, EXISTS (SELECT 1 FROM pg_class c JOIN"
            " pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = 'public'"
            " AND c.relkind IN ('r', 'p') AND pg_has_role(c.relowner, 'USAGE'))"
            " FROM pg_roles r WHERE r.rolname = current_user"
        )
        bypasses, owns = cursor.fetchone()
    if bypasses or owns:
        raise DangerousRole(
            "The database role of DATABASE_URL is a superuser, skips row-level security or owns"
            f" tables. {DangerousRole.advice}"
        )
