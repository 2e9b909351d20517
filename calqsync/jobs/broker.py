"""The broker's transport, which drops what is no message instead of ending the worker."""

from __future__ import annotations

from queue import Empty
from typing import Any

import structlog
from kombu.transport import redis

log = structlog.get_logger(__name__)


class Channel(redis.Channel):
    """Reads wake-ups; bytes that are none are logged and forgotten, for the rows know the work."""

    def _brpop_read(self, **options: Any) -> Any:
        try:
            return super()._brpop_read(**options)  # type: ignore[misc]
        # What decoding and unpacking a message raise; errors of the connection are of other kinds.
        except (ValueError, LookupError, TypeError, AttributeError):
            log.exception("broker.no_message")
            raise Empty from None


class Transport(redis.Transport):
    Channel = Channel
