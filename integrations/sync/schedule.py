"""When a connection is imported by itself: as often as asked, evenly spread over the period."""

from __future__ import annotations

import zlib
from datetime import UTC, datetime, timedelta

from django.conf import settings
from django.db import transaction

from billing.services import entitlement_now
from integrations.models import Connection
from integrations.models.connections import Trouble

# What a person can choose, in hours.
CHOICES = (1, 2, 3, 6, 12, 24)
# A connection that needs somebody is tried once a day, in case it was mended in Procountor.
PROBE_EVERY = timedelta(days=1)
_EPOCH = datetime(2026, 1, 1, tzinfo=UTC)


def hours_between(connection: Connection, *, allowed: int) -> float:
    """The hours between two scheduled runs: as chosen, or SYNC_EVERY_HOURS, or as the plan allows.

    `allowed` is the shortest of the plan (`Entitlement.every_hours`); the longer one holds, so
    that a choice outlives every change of plan.
    """
    return max(connection.sync_every_hours or settings.SYNC_EVERY_HOURS, allowed)


def period(connection: Connection, *, allowed: int) -> timedelta:
    """`hours_between` as a time."""
    return timedelta(hours=hours_between(connection, allowed=allowed))


def stale_after(connection: Connection, *, allowed: int) -> timedelta:
    """How old figures may get before that is said beside them: two periods."""
    return 2 * period(connection, allowed=allowed)


def slot_after(connection_id: int, length: timedelta, after: datetime) -> datetime:
    """The connection's first place in a period that begins a quarter period after `after`.

    Places are spread evenly over the period by a hash of the id. The quarter keeps a run that
    ends late from being followed at once by the next.
    """
    place = zlib.crc32(str(connection_id).encode()) / 2**32
    first = _EPOCH + place * length
    earliest = after + length / 4
    return first + (1 + (earliest - first) // length) * length


def next_slot(connection: Connection, after: datetime) -> datetime:
    """The next scheduled run after an end, by the schedule as it is stored now.

    A slice may hold a connection as it was minutes ago; a schedule changed meanwhile counts.
    """
    with transaction.atomic(savepoint=False):
        stored = Connection.objects.only("sync_every_hours").filter(pk=connection.pk).first()
        allowed = entitlement_now(now=after).every_hours
    return slot_after(connection.pk, period(stored or connection, allowed=allowed), after)


def due_at(connection: Connection, ended: datetime) -> datetime:
    """When the next run begins by itself, after one that ended at `ended`."""
    slot = next_slot(connection, ended)
    if connection.trouble == Trouble.NEEDS_YOU and connection.retry_at is not None:
        return max(slot, connection.retry_at)
    return slot
