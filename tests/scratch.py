"""Copies of the migrated test database that a test may damage."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

import psycopg2
from django.db import connections


@contextmanager
def copy_of(database: str, suffix: str) -> Iterator[str]:
    """The name of a copy, dropped at the end. Closes every connection to the original."""
    name = f"{database}_{suffix}"[:63]
    connections.close_all()
    server = psycopg2.connect(os.environ["TEST_SUPERUSER_URL"])
    server.autocommit = True
    with server.cursor() as cursor:
        # A template has no other users: a web server of other tests connects anew when asked.
        cursor.execute(
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = %s",
            [database],
        )
        cursor.execute(f'CREATE DATABASE "{name}" TEMPLATE "{database}" OWNER calqsync_owner')
        # Rights on a database are no part of its template.
        cursor.execute(f'REVOKE ALL ON DATABASE "{name}" FROM PUBLIC')
        for role in ("app", "dispatcher", "support"):
            cursor.execute(f'GRANT CONNECT ON DATABASE "{name}" TO calqsync_{role}')
        cursor.execute(f'GRANT TEMPORARY ON DATABASE "{name}" TO calqsync_app')
        try:
            yield name
        finally:
            cursor.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')
            server.close()


def addresses(database: str) -> dict[str, str]:
    """The four DATABASE_*_URL variables, naming this database."""
    return {
        variable: urlsplit(os.environ[variable])._replace(path=f"/{database}").geturl()
        for variable in (
            *("DATABASE_URL", "DATABASE_OWNER_URL"),
            *("DATABASE_DISPATCHER_URL", "DATABASE_SUPPORT_URL"),
        )
    }
