"""Procountor's clock: local times without a zone."""

from datetime import datetime, tzinfo


def local_text(instant: datetime, zone: tzinfo) -> str:
    """The instant on the company's wall clock, written as Procountor wants it in a filter."""
    if instant.tzinfo is None:
        raise ValueError("an instant carries its zone")
    return instant.astimezone(zone).strftime("%Y-%m-%dT%H:%M:%S")
