"""What stands on a connection while it cannot be read, and who is written to about it."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from calqsync.tenancy import mails
from calqsync.tenancy.models import Role
from integrations.models import Connection, Credential
from integrations.models.connections import GrantKind, Trouble
from integrations.sync.access import REFRESH_LIFE

LETTER = "connection_needs_you"
ENDS_SOON = "connection_ends_soon"
WARNED_BEFORE = timedelta(days=14)
# The columns of a connection without trouble.
CLEAR: dict[str, Any] = {
    "trouble": Trouble.NONE,
    "trouble_kind": "",
    "trouble_detail": "",
    "trouble_since": None,
    "trouble_told_at": None,
    "retry_at": None,
}


def note(
    connection: Connection,
    trouble: Trouble,
    *,
    kind: str,
    detail: str,
    since: datetime,
    retry_at: datetime | None,
) -> None:
    """Put the trouble on the connection; needs a transaction."""
    Connection.objects.filter(pk=connection.pk).update(
        trouble=trouble,
        trouble_kind=kind[:40],
        trouble_detail=detail[:500],
        trouble_since=since,
        retry_at=retry_at,
    )


def needs_you(
    connection: Connection,
    *,
    kind: str,
    detail: str,
    now: datetime,
    retry_at: datetime | None = None,
) -> None:
    """Stop until someone helps; owners and admins get one letter, however long it lasts."""
    stands = Connection.objects.filter(pk=connection.pk, trouble=Trouble.NEEDS_YOU)
    since = stands.values_list("trouble_since", flat=True).first() or now
    note(connection, Trouble.NEEDS_YOU, kind=kind, detail=detail, since=since, retry_at=retry_at)
    untold = Connection.objects.filter(pk=connection.pk, trouble_told_at=None)
    if untold.update(trouble_told_at=now):
        mails.post_to_members(letter=LETTER, about=str(connection.public_id), min_role=Role.ADMIN)


def warn_of_end(connection: Connection, *, now: datetime) -> None:
    """Write once, in good time, to those who must log in again; needs a transaction."""
    ending = Credential.objects.filter(
        connection=connection,
        kind=GrantKind.REFRESH_TOKEN,
        granted_at__lt=now - REFRESH_LIFE + WARNED_BEFORE,
        end_told_at=None,
    )
    if ending.update(end_told_at=now):
        about = str(connection.public_id)
        mails.post_to_members(letter=ENDS_SOON, about=about, min_role=Role.ADMIN)


def credential_of(connection: Connection) -> int | None:
    """Which credential the connection has; another one after each reconnecting."""
    rows = Credential.objects.filter(connection=connection)
    found: int | None = rows.values_list("pk", flat=True).first()
    return found
