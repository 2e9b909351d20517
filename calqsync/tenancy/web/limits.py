"""How often one person and one company may ask for what costs much; shared by all processes.

Counted in a moving window in Redis. While Redis is away each process counts for itself: pages
go on, and the limit still holds within the process.
"""

from __future__ import annotations

import math
import time
import zlib
from collections.abc import Callable
from functools import lru_cache, wraps
from typing import Any, Literal, get_args

import structlog
from django.conf import settings
from django.db import connection
from django.http import HttpResponse
from limits import RateLimitItem, parse
from limits.errors import StorageError
from limits.storage import MemoryStorage, storage_from_string
from limits.strategies import MovingWindowRateLimiter

log = structlog.get_logger(__name__)

# What settings.LIMITS may limit. Another word is a mistake, which would go without any limit.
Kind = Literal[
    "export", "search", "figures", "connect", "sync", "preview", "api", "token", "token_made"
]
KINDS: tuple[Kind, ...] = get_args(Kind)


class LimitReached(Exception):
    """Too much of one kind; carries the seconds after which asking again makes sense."""

    def __init__(self, kind: str, retry_after: int) -> None:
        super().__init__(kind)
        self.retry_after = retry_after


def consume(kind: Kind, *, user_id: int, tenant_id: int) -> None:
    """Count one use of this kind; LimitReached when the person or the company had enough."""
    _each(kind, user=user_id, tenant=tenant_id)


def consume_by_token(*, token_id: int, tenant_id: int) -> None:
    """Count one request of a program; LimitReached when the token or the company had enough."""
    _each("api", token=token_id, tenant=tenant_id)


def _each(kind: Kind, **ids: int) -> None:
    _require_known(kind)
    for rate, (per, of) in zip(settings.LIMITS.get(kind, ()), ids.items(), strict=False):
        _count(parse(rate), kind, per, str(of))


def guess(address: str | None) -> None:
    """Count a token that opened nothing; LimitReached when its address sent too many of them."""
    for rate in map(parse, settings.LIMITS.get("token", ())):
        _count(rate, "token", "address", address or "")


def limited(kind: Kind) -> Callable[[Callable[..., HttpResponse]], Callable[..., HttpResponse]]:
    """Count each use of a tenant's view; of one that also shows a form, each time it is sent."""
    _require_known(kind)

    def decorate(view: Callable[..., HttpResponse]) -> Callable[..., HttpResponse]:
        @wraps(view)
        def counted(request: Any, *args: Any, **kwargs: Any) -> HttpResponse:
            if request.method == "POST" or kind == "figures":
                consume(kind, user_id=request.user.pk, tenant_id=request.tenant.pk)
            return view(request, *args, **kwargs)

        return counted

    return decorate


def one_at_a_time(kind: Kind, *, tenant_id: int) -> None:
    """Hold this kind of work for the company until the request ends; LimitReached if it is held.

    Many parallel requests of one company then wait for no process that others need.
    """
    _require_known(kind)
    key = zlib.crc32(kind.encode()) - 2**31
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_xact_lock(%s, %s)", [key, tenant_id % 2**31])
        if not cursor.fetchone()[0]:
            raise LimitReached(kind, 2)


def _require_known(kind: str) -> None:
    if kind not in KINDS:
        raise ValueError(f"{kind!r} is no kind of limit: {', '.join(KINDS)}")


def _count(rate: RateLimitItem, *names: str) -> None:
    try:
        limiter = _shared(settings.LIMITS_STORAGE)
        free, reset = limiter.hit(rate, *names), 0.0
        if not free:
            reset = limiter.get_window_stats(rate, *names).reset_time
    except StorageError as failure:
        log.error("limits.storage_away", failure=type(failure).__name__)
        free, reset = _own().hit(rate, *names), time.time() + 30
    if not free:
        log.warning("limits.reached", kind=names[0], per=names[1], of=names[2])
        raise LimitReached(names[0], max(1, math.ceil(reset - time.time())))


@lru_cache(maxsize=4)
def _shared(url: str) -> MovingWindowRateLimiter:
    options: dict[str, Any] = {}
    if not url.startswith("memory:"):
        options = {"socket_connect_timeout": 2, "socket_timeout": 2, "key_prefix": "calqsync:rate"}
    storage = storage_from_string(url, wrap_exceptions=True, **options)
    return MovingWindowRateLimiter(storage)


@lru_cache(maxsize=1)
def _own() -> MovingWindowRateLimiter:
    return MovingWindowRateLimiter(MemoryStorage())
