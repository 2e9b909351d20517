"""The caches, and what stands in for each of them while Redis is away."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

import structlog
from django.core.cache.backends.base import BaseCache
from django.core.cache.backends.dummy import DummyCache
from django.core.cache.backends.locmem import LocMemCache
from django.core.cache.backends.redis import RedisCache, RedisCacheClient
from redis.exceptions import RedisError

log = structlog.get_logger(__name__)

# After a failure Redis is left alone for so long: a server that does not answer costs one wait,
# not one for every count.
PAUSE_SECONDS = 5.0


class PlainSerializer:
    """Values as JSON, bytes as they are: what stands in Redis is read, and runs nothing here.

    Whole numbers stay bare, so that Redis can count. Raises TypeError for what JSON cannot say,
    ValueError for what this did not write.
    """

    def dumps(self, value: Any) -> int | bytes:
        if type(value) is int:
            return value
        return b"b" + value if isinstance(value, bytes) else b"j" + json.dumps(value).encode()

    def loads(self, data: bytes) -> Any:
        if data[:1] == b"b":
            return data[1:]
        return json.loads(data[1:]) if data[:1] == b"j" else int(data)


class OneClient(RedisCacheClient):
    """Django's client, which is made once instead of once a question."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._made: dict[bool, Any] = {}

    def get_client(self, key: Any = None, *, write: bool = False) -> Any:
        if write not in self._made:
            self._made[write] = super().get_client(key, write=write)
        return self._made[write]


class SteadyRedisCache(RedisCache):
    """Redis; while it is away, a memory of this process alone.

    Sign-in counts its attempts here. Without a stand-in nobody could sign in while Redis is away,
    or everybody could try for ever. So each process counts for itself: the limits hold, at worst
    once per process. What was written meanwhile is not carried over when Redis is back.
    """

    stand_in: Callable[[str, dict[str, Any]], BaseCache] = LocMemCache

    def __init__(self, server: Any, params: dict[str, Any]) -> None:
        options = {"serializer": PlainSerializer, **params.get("OPTIONS", {})}
        super().__init__(server, {**params, "OPTIONS": options})
        self._class = OneClient
        own = {key: value for key, value in params.items() if key != "OPTIONS"}
        self._own = self.stand_in(f"stand-in for {server}", own)
        self._away_until = 0.0

    def _ask(self, name: str, *args: Any, **kwargs: Any) -> Any:
        if time.monotonic() >= self._away_until:
            try:
                return getattr(RedisCache, name)(self, *args, **kwargs)
            except RedisError as failure:
                self._away_until = time.monotonic() + PAUSE_SECONDS
                log.error("cache.away", failure=type(failure).__name__)
        return getattr(self._own, name)(*args, **kwargs)

    def add(self, *args: Any, **kwargs: Any) -> Any:
        return self._ask("add", *args, **kwargs)

    def get(self, *args: Any, **kwargs: Any) -> Any:
        return self._ask("get", *args, **kwargs)

    def set(self, *args: Any, **kwargs: Any) -> Any:
        return self._ask("set", *args, **kwargs)

    def touch(self, *args: Any, **kwargs: Any) -> Any:
        return self._ask("touch", *args, **kwargs)

    def delete(self, *args: Any, **kwargs: Any) -> Any:
        return self._ask("delete", *args, **kwargs)

    def has_key(self, *args: Any, **kwargs: Any) -> Any:
        return self._ask("has_key", *args, **kwargs)

    def incr(self, *args: Any, **kwargs: Any) -> Any:
        return self._ask("incr", *args, **kwargs)

    def get_many(self, *args: Any, **kwargs: Any) -> Any:
        return self._ask("get_many", *args, **kwargs)

    def set_many(self, *args: Any, **kwargs: Any) -> Any:
        return self._ask("set_many", *args, **kwargs)

    def delete_many(self, *args: Any, **kwargs: Any) -> Any:
        return self._ask("delete_many", *args, **kwargs)

    def clear(self) -> Any:
        return self._ask("clear")


class ForgetfulRedisCache(SteadyRedisCache):
    """Redis, and nothing while it is away: for what is kept only to save work."""

    stand_in = DummyCache
