"""Documents that could not be understood."""

from __future__ import annotations

from typing import Any

from integrations.models import Connection, Rejection


def rejections_of(connection: Connection) -> Any:
    """Documents that could not be understood, newest first; without their content."""
    return (
        Rejection.objects.filter(connection=connection)
        .only("stream", "external_id", "reason", "first_seen_at", "last_seen_at")
        .order_by("-last_seen_at", "-pk")
    )
