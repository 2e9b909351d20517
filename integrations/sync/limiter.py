"""One rate for the whole API client: every process asks the same server for its turn.

Procountor counts requests per API client, so all workers and web processes together are one
caller. A turn is a time of the server's clock; it is booked before it is used, so nobody polls.
"""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import redis
import structlog
from django.conf import settings
from redis.backoff import NoBackoff
from redis.retry import Retry

from integrations.procountor.errors import RateLimited

log = structlog.get_logger(__name__)

# Requests take unequal time from their turn to the wire; a second must hold them all the same.
WINDOW_SECONDS = 1.1
# Whoever would wait longer gives the worker back and comes again later.
LONGEST_WAIT = 30.0
# How long a process goes on alone before it asks the server again.
ALONE_SECONDS = 5.0
_KEPT_MS = 24 * 3600 * 1000

# Turns are microseconds. The newest `n` are kept: a new one comes a window after the n-th last.
# Without any (first use, or the server lost its memory) the window counts as just used up.
# A newest turn far in the future means that the server's clock went back.
_BOOK = """
local clock = redis.call('TIME')
local now = clock[1] * 1000000 + clock[2]
local n, window, weight, longest = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3]),
  tonumber(ARGV[4])
local turn = now
local newest = tonumber(redis.call('LINDEX', KEYS[1], 0) or '-1')
if newest < 0 or newest > now + 60000000 then
  redis.call('DEL', KEYS[1])
  for _ = 1, n do redis.call('LPUSH', KEYS[1], string.format('%.0f', now)) end
  newest = now
end
local edge = tonumber(redis.call('LINDEX', KEYS[1], n - weight) or '0') + window
local pause = tonumber(redis.call('GET', KEYS[2]) or '0')
turn = math.max(turn, newest, edge, pause)
local wait = turn - now
if wait <= longest then
  for _ = 1, weight do redis.call('LPUSH', KEYS[1], string.format('%.0f', turn)) end
  redis.call('LTRIM', KEYS[1], 0, n - 1)
end
redis.call('PEXPIRE', KEYS[1], ARGV[5])
return {string.format('%.0f', turn), string.format('%.0f', wait)}
"""

_PAUSE = """
local clock = redis.call('TIME')
local till = clock[1] * 1000000 + clock[2] + tonumber(ARGV[1])
local held = tonumber(redis.call('GET', KEYS[1]) or '0')
if till > held then
  redis.call('SET', KEYS[1], string.format('%.0f', till), 'PX', ARGV[2])
end
return 1
"""


class LocalShare:
    """The small rate that a process allows itself while the server is away."""

    def __init__(self, rate: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._gap = 1.0 / rate
        self._clock = clock
        self._next = 0.0
        self._lock = threading.Lock()

    def book(self, weight: int) -> float:
        with self._lock:
            now = self._clock()
            turn = max(now, self._next)
            self._next = turn + self._gap * weight
            return turn - now

    def pause(self, seconds: float) -> None:
        with self._lock:
            self._next = max(self._next, self._clock() + seconds)


class SharedLimiter:
    """At most `rate` requests in any second over all processes with the same `name`.

    `acquire` sleeps until its turn and returns the seconds waited; where the turn is further
    than LONGEST_WAIT it raises RateLimited at once. Without the server each process keeps to a
    sixteenth of the rate.
    """

    def __init__(
        self,
        server: redis.Redis,
        *,
        name: str,
        rate: float,
        sleep: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._n = max(1, int(rate))
        self._window_us = int(1e6 * WINDOW_SECONDS * max(1.0, 1.0 / rate))
        self._keys = (f"procountor:{name}:turns", f"procountor:{name}:pause")
        self._server = server
        self._book_script = server.register_script(_BOOK)
        self._pause_script = server.register_script(_PAUSE)
        self._local = LocalShare(min(rate, max(1.0, rate / 16)), clock)
        self._alone_until = 0.0
        self._sleep, self._clock = sleep, clock

    def acquire(self, weight: int = 1) -> float:
        _turn, wait = self.book(weight)
        if wait > LONGEST_WAIT:
            raise RateLimited("waiting for our turn", retry_after=wait)
        if wait > 0:
            self._sleep(wait)
        return wait

    def penalise(self, seconds: float) -> None:
        """Nobody sends anything for so long."""
        self._local.pause(seconds)
        length = max(int(seconds * 1000), 1)
        self._ask(lambda: self._pause_script([self._keys[1]], [length * 1000, length]))

    def book(self, weight: int = 1) -> tuple[float | None, float]:
        """The next turn on the server's clock (None without a server) and the seconds to it.

        A turn further away than LONGEST_WAIT is told but not kept.
        """
        weight = min(max(weight, 1), self._n)
        args = [self._n, self._window_us, weight, int(LONGEST_WAIT * 1e6), _KEPT_MS]
        answer = self._ask(lambda: self._book_script(list(self._keys), args))
        if answer is None:
            return None, self._local.book(weight)
        turn, wait = (int(value) / 1e6 for value in answer)
        return turn, wait

    def _ask(self, question: Callable[[], Any]) -> Any:
        """The server's answer, or None while it cannot be asked."""
        if self._clock() < self._alone_until:
            return None
        try:
            return question()
        except redis.RedisError as error:
            log.warning("limiter.alone", error=type(error).__name__)
            self._alone_until = self._clock() + ALONE_SECONDS
            return None


@lru_cache(maxsize=4)
def _limiter(url: str, client_id: str, host: str, rate: float) -> SharedLimiter:
    # No retries: a process that cannot ask goes on alone at once.
    server = redis.Redis.from_url(
        url, socket_timeout=1.0, socket_connect_timeout=1.0, retry=Retry(NoBackoff(), 0)
    )
    name = hashlib.sha256(f"{host}\n{client_id}".encode()).hexdigest()[:16]
    return SharedLimiter(server, name=name, rate=rate)


def limiter() -> SharedLimiter:
    """The limiter of this installation's API client."""
    return _limiter(
        settings.REDIS_URL,
        settings.PROCOUNTOR_CLIENT_ID,
        settings.PROCOUNTOR_BASE_URL,
        settings.PROCOUNTOR_MAX_RPS,
    )
