"""No second ever holds more requests than allowed, whoever asks and whatever is lost."""

import os
import subprocess
import sys
import uuid

import pytest
import redis
from django.conf import settings
from redis.backoff import NoBackoff
from redis.retry import Retry

from integrations.procountor.errors import RateLimited
from integrations.sync.limiter import LONGEST_WAIT, SharedLimiter

BOOKER = """
import sys, redis
from integrations.sync.limiter import SharedLimiter
url, name, rate, weights = sys.argv[1:5]
limiter = SharedLimiter(redis.Redis.from_url(url), name=name, rate=float(rate))
for weight in map(int, weights.split(",")):
    turn, wait = limiter.book(weight)
    print(repr(turn), weight)
"""


class Clock:
    """Time that passes only in sleeps."""

    def __init__(self):
        self.now = 1000.0
        self.slept = []

    def __call__(self):
        return self.now

    def sleep(self, seconds):
        self.slept.append(seconds)
        self.now += seconds


@pytest.fixture
def server():
    return redis.Redis.from_url(settings.REDIS_URL)


@pytest.fixture
def name(server):
    made = f"test-{uuid.uuid4().hex}"
    yield made
    server.delete(*server.keys(f"procountor:{made}:*") or ["none"])


def limiter(server, name, rate=15.0, **kwargs):
    return SharedLimiter(server, name=name, rate=rate, **kwargs)


def unreachable():
    return redis.Redis(port=1, socket_connect_timeout=0.05, retry=Retry(NoBackoff(), 0))


def crowded(turns, limit):
    """Windows of a second with more turns than the limit."""
    turns = sorted(turns)
    return [
        (early, late)
        for early, late in zip(turns, turns[limit:], strict=False)
        if late - early < 1.0
    ]


def test_several_processes_together_keep_to_the_rate_in_any_second(name):
    weights = ["1,1,3,1,1,1,2,1,1,5,1,1,1,1,1,1,1,1,1,1", "2,2,2,1,1,1,1,7,1,1,1,1", "1," * 30]
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", BOOKER, settings.REDIS_URL, name, "15", each.strip(",")],
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ,
        )
        for each in weights
    ]
    booked = [line.split() for p in processes for line in p.communicate()[0].splitlines()]
    assert len(booked) == 62
    turns = [float(turn) for turn, weight in booked for _ in range(int(weight))]
    assert crowded(turns, 15) == []
    assert max(turns) - min(turns) < len(turns) / 15 * 1.1 + 2.2, "the rate is used up, too"


@pytest.mark.parametrize("rate", [0.5, 1.0, 1.5, 4.0])
def test_a_low_rate_is_kept_too(server, name, rate):
    one = limiter(server, name, rate)
    turns = [one.book()[0] for _ in range(8)]
    assert crowded(turns, max(1, int(rate))) == []
    if rate < 1:
        gaps = [b - a for a, b in zip(turns, turns[1:], strict=False)]
        assert min(gaps) >= 1 / rate


def test_a_server_that_forgot_everything_counts_the_last_second_as_full(server, name):
    one = limiter(server, name)
    before = [one.book()[0] for _ in range(15)]
    server.delete(*server.keys(f"procountor:{name}:*"))
    now = one.book()[0]
    seconds, micros = server.time()
    assert now > seconds + micros / 1e6 + 0.5
    assert before


def test_a_pause_holds_everybody(server, name):
    clock = Clock()
    limiter(server, name).penalise(9)
    _turn, wait = limiter(server, name, clock=clock, sleep=clock.sleep).book()
    assert 7 < wait <= 9


def test_a_short_pause_never_shortens_a_long_one(server, name):
    one = limiter(server, name)
    one.penalise(20)
    one.penalise(1)
    assert one.book()[1] > 15


def test_whoever_would_wait_too_long_is_sent_away_at_once(server, name):
    clock = Clock()
    one = limiter(server, name, clock=clock, sleep=clock.sleep)
    one.penalise(LONGEST_WAIT + 60)
    with pytest.raises(RateLimited) as caught:
        one.acquire()
    assert caught.value.retry_after > LONGEST_WAIT
    assert clock.slept == []


def test_a_turn_that_was_sent_away_is_not_used_up(server, name):
    one = limiter(server, name)
    one.penalise(LONGEST_WAIT + 5)
    assert one.book()[0] == pytest.approx(one.book()[0], abs=0.5)


def test_without_the_server_a_process_keeps_to_a_small_share():
    clock = Clock()
    gone = unreachable()
    one = limiter(gone, "nobody", rate=32.0, clock=clock, sleep=clock.sleep)
    waits = [one.acquire() for _ in range(9)]
    assert waits[0] == 0
    assert sum(waits) == pytest.approx(4.0)


def test_a_pause_holds_without_the_server_as_well():
    clock = Clock()
    gone = unreachable()
    one = limiter(gone, "nobody", clock=clock, sleep=clock.sleep)
    one.penalise(7)
    assert one.acquire() == pytest.approx(7)


def test_the_server_is_asked_again_after_a_while(server, name):
    clock = Clock()
    one = limiter(unreachable(), name, clock=clock)
    assert one.book()[0] is None
    one._server = server
    one._book_script = server.register_script(one._book_script.script)
    assert one.book()[0] is None
    clock.now += 10
    assert one.book()[0] is not None
