"""Removals that wait for a person's word, because too many documents vanished at once."""

from __future__ import annotations

from collections.abc import Iterable
from uuid import UUID

from integrations.models import Connection, RemovalHold


def removals_held(connections: Iterable[int]) -> list[RemovalHold]:
    """The open holds of these connections, given by key, oldest first."""
    ids = list(connections)
    if not ids:
        return []
    rows = RemovalHold.objects.filter(connection__in=ids, ended_at=None)
    return list(rows.order_by("found_at", "pk"))


def removal_held(connection: Connection, public_id: UUID) -> RemovalHold | None:
    """One open hold of the connection."""
    found: RemovalHold | None = RemovalHold.objects.filter(
        connection=connection, public_id=public_id, ended_at=None
    ).first()
    return found
