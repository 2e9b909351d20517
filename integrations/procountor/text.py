"""Procountor's clock: local times without a zone."""

from datetime import datetime
from zoneinfo import ZoneInfo

# Its documentation does not say which clock the stamps follow, nor does it change with the
# company. Whoever reads by them leaves room for being wrong by some hours.
CLOCK = ZoneInfo("Europe/Helsinki")


def local_text(instant: datetime) -> str:
    """The instant on Procountor's clock, written as it wants it in a filter."""
    return local_stamp(instant).strftime("%Y-%m-%dT%H:%M:%S")


def local_stamp(instant: datetime) -> datetime:
    """The instant on Procountor's clock, as comparable with its stamps."""
    if instant.tzinfo is None:
        raise ValueError("an instant carries its zone")
    return instant.astimezone(CLOCK).replace(tzinfo=None)


def stamp(said: datetime) -> datetime:
    """A stamp of a document on Procountor's clock, should one ever carry its zone."""
    return said if said.tzinfo is None else local_stamp(said)
