"""Procountor's text and clock: Windows-1252 characters, and local times without a zone."""

import unicodedata
from datetime import UTC, datetime, tzinfo

PLACEHOLDER = "?"


def storable(text: str) -> str:
    """The text in characters that Procountor can store: Ŕ becomes R, the rest a question mark."""
    text = unicodedata.normalize("NFC", text)
    if _fits(text):
        return text
    return "".join(char if _fits(char) else _nearest(char) for char in text)


def _fits(text: str) -> bool:
    try:
        text.encode("cp1252")
    except UnicodeEncodeError:
        return False
    return True


def _nearest(char: str) -> str:
    apart = unicodedata.normalize("NFKD", char)
    plain = "".join(part for part in apart if not unicodedata.combining(part))
    return plain if plain and _fits(plain) else PLACEHOLDER


def local_text(instant: datetime, zone: tzinfo) -> str:
    """The instant on the company's wall clock, written as Procountor wants it in a filter."""
    if instant.tzinfo is None:
        raise ValueError("an instant carries its zone")
    return instant.astimezone(zone).strftime("%Y-%m-%dT%H:%M:%S")


def instant_of(stamp: datetime, zone: tzinfo) -> datetime:
    """The UTC instant of a date-time that Procountor sent; without a zone it is local to `zone`."""
    if stamp.tzinfo is None:
        stamp = stamp.replace(tzinfo=zone)
    return stamp.astimezone(UTC)
