"""Callers of the limiter on a clock of the test's own, and a count of what they sent."""

import heapq
import random
from collections import defaultdict

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from integrations.sandbox.faults import Meter
from integrations.sync.limiter import SharedLimiter


class Clock:
    """Time that passes only in sleeps."""

    def __init__(self, now=1000.0):
        self.now = now
        self.slept = []

    def __call__(self):
        return self.now

    def sleep(self, seconds):
        self.slept.append(seconds)
        self.now += seconds


def unreachable():
    return redis.Redis(port=1, socket_connect_timeout=0.05, retry=Retry(NoBackoff(), 0))


class Play:
    """Callers of one limiter on the test's clock, as events in the order of time.

    `turns` are (time, tenant); `calls` counts the questions asked.
    """

    def __init__(self, server, name, rate=20.0):
        self.clock = Clock(1_700_000_000.0)
        self.server, self.name = server, name
        self.server_ahead = 0.0
        self.limiter = SharedLimiter(
            server, name=name, rate=rate, clock=self.clock, server_clock=self.server_time
        )
        self.rate, self.turns, self.calls, self.waits = rate, [], 0, defaultdict(list)
        self._events, self._count = [], 0
        self._late = random.Random(5)
        # What a server without memory does first is not what most of these are about.
        self.limiter.ask("first")
        self.clock.now += 3

    def server_time(self):
        return self.clock.now + self.server_ahead

    def caller(self, tenant, *, wants, latency=0.2, interactive=False, at=0.0, dies=False):
        """One thread that needs so many requests one after the other."""
        state = {"tenant": tenant, "left": wants, "latency": latency, "i": interactive}
        state |= {"dies": dies, "waiter": None, "since": 0.0}
        self._push(self.clock.now + at, state)

    def _push(self, at, state):
        self._count += 1
        heapq.heappush(self._events, (at, self._count, state))

    def run(self, seconds=60.0):
        until = self.clock.now + seconds
        while self._events and self._events[0][0] <= until:
            at, _, state = heapq.heappop(self._events)
            self.clock.now = max(self.clock.now, at)
            self._step(state)
        return self

    def _step(self, state):
        if state["waiter"] is None:
            self._count += 1
            state["waiter"], state["since"] = f"w{self._count}", self.clock.now
        self.calls += 1
        given, wait, _turn = self.limiter.ask(
            state["waiter"], state["tenant"], interactive=state["i"]
        )
        if not given and state["dies"]:
            return
        at = self.clock.now + wait
        if given:
            self.turns.append((at, state["tenant"]))
            self.waits[state["tenant"]].append(at - state["since"])
            state["waiter"], state["left"] = None, state["left"] - 1
            at += state["latency"]
        # Nobody wakes on the dot.
        at += self._late.random() * 0.004
        if state["left"]:
            self._push(at, state)

    def share_used(self):
        """The part of the permitted rate that was used from the first turn to the last."""
        times = sorted(at for at, _ in self.turns)
        return (len(times) - 1) / (times[-1] - times[0]) / self.rate

    def crowded(self):
        return crowded([at for at, _ in self.turns], int(self.rate))

    def of(self, tenant):
        return [at for at, whose in self.turns if whose == tenant]


def crowded(times, limit):
    """How often a sliding second held more requests than the limit, as the sandbox counts."""
    meter = Meter(limit)
    for at in sorted(times):
        meter.admit(at)
    return meter.violations
