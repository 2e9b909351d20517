"""Refresh tokens survive a crash: what goes out and what comes back is written down first.

Each write here is committed on a connection of its own, whatever becomes of the caller's
transaction. The caller holds the credential's row, so that one renewal runs at a time.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any

from django.db import DEFAULT_DB_ALIAS, connections

from calqsync.tenancy import scope
from calqsync.tenancy.services import token_hash
from integrations.models import Connection, TokenRenewal

# A renewal without an answer that is older than this has no caller any more.
IN_FLIGHT = timedelta(seconds=20)
# What the new token is sealed as.
FIELD = "renewed"
_ROW = "WHERE tenant_id = %s AND connection_id = %s"


def answers(connection: Connection) -> Any:
    """New tokens that no credential holds yet: at most one row; needs a transaction."""
    return TokenRenewal.objects.filter(connection=connection, secret__isnull=False)


def unanswered(connection: Connection, *, of: str) -> TokenRenewal | None:
    """An earlier renewal of this refresh token of which nothing came back."""
    found: TokenRenewal | None = TokenRenewal.objects.filter(
        connection=connection, replaces=token_hash(of), secret=None
    ).first()
    return found


def asked(connection: Connection, *, token: str, now: datetime) -> None:
    """Note that Procountor is about to be asked; a repeat keeps the time of the first."""
    with _apart() as cursor:
        cursor.execute(
            "INSERT INTO integrations_tokenrenewal"
            " (tenant_id, connection_id, replaces, started_at) VALUES (%s, %s, %s, %s)"
            " ON CONFLICT (tenant_id, connection_id) DO UPDATE SET replaces = excluded.replaces,"
            " started_at = excluded.started_at, secret = NULL"
            " WHERE integrations_tokenrenewal.replaces <> excluded.replaces",
            [scope.required(), connection.pk, token_hash(token), now],
        )


def answered(connection: Connection, *, token: str, sealed: bytes) -> None:
    """Keep the sealed new token, before anything is done with it."""
    with _apart() as cursor:
        cursor.execute(
            f"UPDATE integrations_tokenrenewal SET secret = %s {_ROW} AND replaces = %s",  # noqa: S608 - a constant condition
            [sealed, scope.required(), connection.pk, token_hash(token)],
        )


def refused(connection: Connection) -> None:
    """Forget a renewal that Procountor clearly refused."""
    with _apart() as cursor:
        cursor.execute(
            f"DELETE FROM integrations_tokenrenewal {_ROW} AND secret IS NULL",  # noqa: S608 - as above
            [scope.required(), connection.pk],
        )


def stored(connection: Connection) -> None:
    """Forget what is now in the credential; part of the transaction that stores it."""
    TokenRenewal.objects.filter(connection=connection).delete()


@contextmanager
def _apart() -> Iterator[Any]:
    """A cursor in a transaction that commits by itself, outside the caller's."""
    alone = connections.create_connection(DEFAULT_DB_ALIAS)
    try:
        alone.set_autocommit(False)
        with alone.cursor() as cursor:
            cursor.execute("SET LOCAL lock_timeout = '5s'")
            yield cursor
        alone.commit()
    finally:
        alone.close()
