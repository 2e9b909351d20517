"""When a connection is imported by itself: as often as asked, evenly spread over the period."""

from __future__ import annotations

import zlib
from datetime import UTC, datetime, timedelta

from django.conf import settings

from integrations.models import Connection


def period(connection: Connection) -> timedelta:
    """The time between two scheduled runs."""
    return timedelta(hours=connection.sync_every_hours or settings.SYNC_EVERY_HOURS)


def next_slot(connection: Connection, after: datetime) -> datetime:
    """The next scheduled run after an end: connections are spread evenly over the period."""
    length = period(connection)
    offset = timedelta(seconds=zlib.crc32(str(connection.pk).encode()) % length.total_seconds())
    epoch = datetime(2026, 1, 1, tzinfo=UTC) + offset
    earliest = after + length / 4
    return epoch + (1 + (earliest - epoch) // length) * length
