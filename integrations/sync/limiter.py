"""One rate for the whole API client: every process asks the same server for its turns.

Procountor counts requests per API client, so all workers and web processes together are one
caller. A turn is a time of the server's clock, given out a moment before it comes and in fair
order between tenants; whoever is not next is told when to ask again.
"""

from __future__ import annotations

import hashlib
import math
import random
import secrets
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import redis
import structlog
from django.conf import settings
from redis.backoff import NoBackoff
from redis.retry import Retry

from integrations.procountor.errors import RateLimited
from integrations.procountor.limits import Limiter
from integrations.sync import breaker, turns

log = structlog.get_logger(__name__)

# A turn counts for a second and a little more, since requests take unequal time to arrive.
WINDOW_SECONDS = 1.04
# What came back later than that after the quickest answer may have arrived late: its turn counts
# from then.
UNTOLD_SECONDS = 0.02
# The quickest of so many answers, and of as many before them, is what an answer takes.
ANSWERS = 100
# A turn that its process slept through by so much is given up for another one.
LATE_SECONDS = 0.04
# Turns are given out so long ahead at most; a person who comes now waits for no more than these.
HORIZON_SECONDS = 0.1
# Whoever waits asks again so long before the turn, at the latest after twice PATIENCE_SECONDS, and
# counts as gone when overdue by PATIENCE_SECONDS.
LEAD_SECONDS = 0.06
PATIENCE_SECONDS = 1.0
# Turns come no closer than this share of an even spacing.
CLOSEST = 0.9
# Whoever would wait longer gives the worker back and comes again later.
LONGEST_WAIT = 30.0
# How long a process goes on alone before it asks the server again.
ALONE_SECONDS = 1.0
# So many processes may go on alone together, each with its share of the rate.
SHARES = 16
_KEPT_MS = 7 * 24 * 3600 * 1000


class LocalShare:
    """The small rate that a process allows itself while the server is away.

    `rate` is that of all processes. Up to SHARES processes together stay below it in every
    second, or as many as the rate has requests. Below half as many nobody sends anything.
    """

    def __init__(self, rate: float, luck: Callable[[], float] = random.random) -> None:
        whole = int(rate)
        self._gap = math.inf
        if whole >= SHARES:
            self._gap = WINDOW_SECONDS / (whole // SHARES)
        elif 2 * whole >= SHARES:
            self._gap = WINDOW_SECONDS * SHARES / whole
        self._luck = luck
        self._next = 0.0
        self._lock = threading.Lock()

    def begin(self, now: float) -> None:
        """The server went away: what it gave out last must be over before the first request."""
        with self._lock:
            first = now + WINDOW_SECONDS + HORIZON_SECONDS
            self._next = max(self._next, first + self._luck() * min(self._gap, 1.0))

    def take(self, now: float) -> float:
        """0 when a request may go now; else how long until one may."""
        if math.isinf(self._gap):
            return math.inf
        with self._lock:
            if now >= self._next:
                self._next = now + self._gap
                return 0.0
            return self._next - now

    def hold(self, till: float) -> None:
        with self._lock:
            self._next = max(self._next, till)


class Quickest:
    """The least seconds from a turn to its answer, of the last ANSWERS to twice as many."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._before, self._now, self._count = math.inf, math.inf, 0

    def beyond(self, seconds: float) -> float:
        """How much longer this answer took."""
        with self._lock:
            if self._count >= ANSWERS:
                self._before, self._now, self._count = self._now, math.inf, 0
            self._count += 1
            self._now = min(self._now, seconds)
            return seconds - min(self._before, self._now)


class SharedLimiter:
    """At most `rate` requests in any second over all processes with the same `name`.

    `acquire` sleeps until the caller's turn and returns the seconds waited; where the turn is
    further than LONGEST_WAIT it raises RateLimited at once. `gate` is called before each
    request and raises what forbids it. Without the server each process keeps to a small share.
    `server_clock` gives seconds in place of the server's own.
    """

    def __init__(
        self,
        server: redis.Redis,
        *,
        name: str,
        rate: float,
        gate: Callable[[], None] = lambda: None,
        sleep: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
        server_clock: Callable[[], float] | None = None,
    ) -> None:
        n = max(1, int(rate))
        window = WINDOW_SECONDS * n / rate if rate < 1 else WINDOW_SECONDS
        self._rules = [n, *(int(1e6 * s) for s in (window, CLOSEST * window / n))]
        self._rules += [int(1e6 * s) for s in (HORIZON_SECONDS, LEAD_SECONDS, LONGEST_WAIT)]
        parts = ("turns", "pause", "waiting", "served", "gather")
        # The braces keep all keys on one node of a cluster.
        self._keys = [f"procountor:{{{name}}}:{part}" for part in parts]
        self._ask_script = server.register_script(turns.ASK)
        self._hold_script = server.register_script(turns.HOLD)
        self._late_script = server.register_script(turns.LATE)
        self._quickest: dict[str, Quickest] = {}
        # The last turn of each thread: on the server's clock, and the earliest it can be on ours.
        self._last = threading.local()
        self._local = LocalShare(rate)
        self._lock = threading.Lock()
        self._alone_until, self._was_alone = 0.0, False
        self._pause_until = 0.0  # in this process's clock
        self._gate, self._sleep, self._clock = gate, sleep, clock
        self._server_clock = server_clock

    def acquire(self, tenant: int | str = "", *, interactive: bool = False) -> float:
        """Wait for a turn of this tenant; what a person waits for goes before imports."""
        began = self._clock()
        waiter = secrets.token_hex(8)
        lateness_forgiven = 0
        while True:
            self._gate()
            asked = self._clock()
            given, wait, turn_in = self.ask(waiter, tenant, interactive=interactive)
            if not given and asked - began + turn_in > LONGEST_WAIT:
                later = turn_in if math.isfinite(turn_in) else LONGEST_WAIT
                raise RateLimited("waiting for our turn", retry_after=later)
            if wait > 0:
                self._sleep(wait)
            if not given:
                continue
            self._last.due = asked + wait
            if self._clock() - asked - wait <= LATE_SECONDS or lateness_forgiven >= 2:
                return self._clock() - began
            lateness_forgiven += 1

    def answered(self, kind: str) -> None:
        """The answer to this thread's last turn begins now; what was late counts from later.

        Answers of one `kind` take about as long as each other.
        """
        turn, self._last.turn = getattr(self._last, "turn", ""), ""
        if not turn:
            return
        took = self._clock() - self._last.due
        late = self._quickest.setdefault(kind, Quickest()).beyond(took)
        if late > UNTOLD_SECONDS:
            args = [turn, int(1e6 * late)]
            self._served_by(lambda: self._late_script([self._keys[0]], args))

    def penalise(self, seconds: float) -> None:
        """Nobody sends anything for so long."""
        self._remember_pause(seconds)
        length = max(int(seconds * 1000), 1)
        args = [length * 1000, length, self._server_now()]
        self._served_by(lambda: self._hold_script([self._keys[1]], args))

    def ask(
        self, waiter: str, tenant: int | str = "", *, interactive: bool = False
    ) -> tuple[bool, float, float]:
        """Whether a turn is given, the seconds to it or to the next question, and to the turn."""
        now = self._clock()
        with self._lock:
            known = max(0.0, self._pause_until - now)
            back = self._was_alone
        answer = self._served_by(lambda: self._asked(waiter, tenant, interactive, known, back))
        if answer is None:
            self._last.turn = ""
            wait = self._local.take(self._clock())
            # A wait may outlast the loneliness, so the server is asked in between.
            return wait == 0.0, min(wait, ALONE_SECONDS), wait
        given, wait_us, turn_us, pause_us = (int(part) for part in answer[:4])
        self._last.turn = answer[4] if given else ""
        with self._lock:
            self._was_alone = self._was_alone and not back
        if pause_us:
            self._remember_pause(pause_us / 1e6)
        return bool(given), wait_us / 1e6, turn_us / 1e6

    def _asked(
        self, waiter: str, tenant: int | str, interactive: bool, known: float, back: bool
    ) -> Any:
        who = [waiter, str(tenant), "i" if interactive else "b", int(1e6 * known), int(back)]
        rest: list[int | str] = [int(1e6 * ALONE_SECONDS), int(1e6 * PATIENCE_SECONDS), _KEPT_MS]
        rest.append(self._server_now())
        return self._ask_script(self._keys, [*self._rules, *who, *rest])

    def _server_now(self) -> int | str:
        return int(1e6 * self._server_clock()) if self._server_clock else ""

    def _remember_pause(self, seconds: float) -> None:
        till = self._clock() + seconds
        self._local.hold(till)
        with self._lock:
            self._pause_until = max(self._pause_until, till)

    def _served_by(self, question: Callable[[], Any]) -> Any:
        """The server's answer, or None while it cannot be asked."""
        with self._lock:
            now = self._clock()
            if now < self._alone_until:
                return None
            if self._was_alone:
                # One asks whether the server is back; the others go on alone meanwhile.
                self._alone_until = now + ALONE_SECONDS
        try:
            answer = question()
        except redis.RedisError as error:
            with self._lock:
                now = self._clock()
                if not self._was_alone:
                    log.warning("limiter.alone", error=type(error).__name__)
                    self._local.begin(now)
                self._alone_until, self._was_alone = now + ALONE_SECONDS, True
            return None
        with self._lock:
            self._alone_until = 0.0
        return answer


@dataclass(frozen=True, slots=True)
class Seat:
    """The shared limiter as one tenant's work sees it."""

    shared: SharedLimiter
    tenant: int | str
    interactive: bool

    def acquire(self) -> float:
        return self.shared.acquire(self.tenant, interactive=self.interactive)

    def answered(self, kind: str) -> None:
        self.shared.answered(kind)

    def penalise(self, seconds: float) -> None:
        self.shared.penalise(seconds)


@lru_cache(maxsize=4)
def _limiter(url: str, client_id: str, host: str, rate: float) -> SharedLimiter:
    # No retries: a process that cannot ask goes on alone at once.
    server = redis.Redis.from_url(
        url, socket_timeout=1.0, socket_connect_timeout=1.0, retry=Retry(NoBackoff(), 0)
    )
    name = hashlib.sha256(f"{host}\n{client_id}".encode()).hexdigest()[:16]
    return SharedLimiter(server, name=name, rate=rate, gate=breaker.refuse_while_suspended)


def limiter(*, tenant: int | str, interactive: bool = False) -> Limiter:
    """The place of a tenant's work in the queue of this installation's API client."""
    shared = _limiter(
        settings.REDIS_URL,
        settings.PROCOUNTOR_CLIENT_ID,
        settings.PROCOUNTOR_BASE_URL,
        settings.PROCOUNTOR_MAX_RPS,
    )
    return Seat(shared, tenant, interactive)
