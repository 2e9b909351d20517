"""No second ever holds more requests than allowed, whoever asks and whatever is lost.

Most of it is played on a clock of the test's own: many callers of one real Valkey, none asleep.
"""

import heapq
import os
import random
import subprocess
import sys
import uuid
from collections import Counter, defaultdict

import pytest
import redis
from django.conf import settings
from redis.backoff import NoBackoff
from redis.retry import Retry

from integrations.procountor.errors import RateLimited
from integrations.sandbox.faults import Meter
from integrations.sync.limiter import (
    ALONE_SECONDS,
    ANSWERS,
    LONGEST_WAIT,
    Quickest,
    SharedLimiter,
)

# A process that asks for turns, and has the server write down when they are.
CALLER = """
import sys, threading, django, redis
django.setup()
from integrations.sync import turns
given = "redis.call('LPUSH', TURNS, text(turn))"
assert given in turns.ASK
turns.ASK = turns.ASK.replace(given, given + " redis.call('RPUSH', TURNS .. ':log', text(turn))")
from integrations.sync.limiter import SharedLimiter
url, name, rate, each = sys.argv[1:5]
limiter = SharedLimiter(redis.Redis.from_url(url), name=name, rate=float(rate))
def ask():
    for _ in range(int(each)):
        limiter.acquire(name)
threads = [threading.Thread(target=ask) for _ in range(4)]
[t.start() for t in threads], [t.join() for t in threads]
"""


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


@pytest.fixture
def server():
    return redis.Redis.from_url(settings.REDIS_URL)


@pytest.fixture
def name(server):
    made = f"test-{uuid.uuid4().hex}"
    yield made
    server.delete(*server.keys(f"procountor:{{{made}}}:*") or ["none"])


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


@pytest.fixture
def play(server, name):
    return Play(server, name)


def test_several_processes_together_keep_to_the_rate_in_any_second(server, name):
    arguments = [sys.executable, "-c", CALLER, settings.REDIS_URL, name, "15", "5"]
    processes = [subprocess.Popen(arguments, env=os.environ) for _ in range(3)]
    assert [p.wait() for p in processes] == [0, 0, 0]
    turns = [int(t) / 1e6 for t in server.lrange(f"procountor:{{{name}}}:turns:log", 0, -1)]
    assert len(turns) >= 60
    assert crowded(turns, 15) == 0


@pytest.mark.parametrize("rate", [1.0, 4.0, 15.0, 20.0, 60.0])
@pytest.mark.parametrize("latency", [0.005, 0.2])
def test_the_rate_is_kept_and_used_up_while_there_is_work(server, name, rate, latency):
    play = Play(server, name, rate)
    for number in range(max(4, int(rate))):
        play.caller(f"t{number % 3}", wants=1000, latency=latency)
    play.run(12 if rate > 1 else 40)
    assert play.crowded() == 0
    assert play.share_used() >= 0.9


def test_a_rate_below_one_a_second_is_kept_too(server, name):
    play = Play(server, name, 0.5)
    play.caller("a", wants=5)
    play.run(30)
    times = play.of("a")
    assert min(late - early for early, late in zip(times, times[1:], strict=False)) >= 2


def test_an_unsteady_load_never_crowds_a_second(play):
    luck = random.Random(3)
    for number in range(60):
        play.caller(
            f"t{number % 7}",
            wants=luck.randint(1, 12),
            latency=luck.choice([0.001, 0.05, 0.4]),
            interactive=luck.random() < 0.2,
            at=luck.random() * 15,
        )
    play.run(120)
    assert len(play.turns) > 250
    assert play.crowded() == 0


def test_tenants_get_equal_shares_however_many_threads_they_have(play):
    for _ in range(40):
        play.caller("large", wants=1000)
    for _ in range(6):
        play.caller("small", wants=1000)
    play.run(20)
    counts = Counter(whose for _, whose in play.turns)
    assert counts["small"] == pytest.approx(counts["large"], rel=0.1)


def test_one_thread_of_a_small_tenant_waits_for_a_few_turns_at_most(play):
    for _ in range(60):
        play.caller("large", wants=1000)
    play.caller("small", wants=30, at=5)
    play.run(30)
    assert max(play.waits["small"]) < 0.3
    assert play.share_used() >= 0.9


def test_nobody_saves_up_turns_while_away(play):
    for _ in range(10):
        play.caller("busy", wants=1000)
    play.caller("late", wants=1000, latency=0, at=10)
    play.run(20)
    after = [whose for at, whose in play.turns if at > play.of("late")[0]]
    assert Counter(after[:20])["busy"] >= 8


def test_the_whole_rate_is_anybodys_while_nobody_else_asks(play):
    for _ in range(10):
        play.caller("only", wants=1000, interactive=True)
    play.run(10)
    assert play.share_used() >= 0.9


def test_q15_a_person_waits_less_than_twice_as_long_beside_500_requests(server, name):
    def seconds(*, busy):
        play = Play(server, name + str(busy))
        if busy:
            for _ in range(50):
                play.caller("a", wants=10)
        play.caller("b", wants=6, interactive=True, at=3)
        play.run(60)
        assert play.crowded() == 0
        assert len(play.turns) == 6 + 500 * busy
        return play.of("b")[-1] - play.of("b")[0]

    try:
        assert seconds(busy=True) < 2 * seconds(busy=False)
    finally:
        server.delete(*server.keys(f"procountor:{{{name}*"))


def test_imports_keep_a_quarter_however_many_people_wait(play):
    for _ in range(40):
        play.caller("people", wants=1000, interactive=True)
    for _ in range(10):
        play.caller("imports", wants=1000)
    play.run(10)
    assert len(play.of("imports")) / len(play.turns) == pytest.approx(0.25, abs=0.03)


def test_waiters_that_died_hold_nobody_up_for_long(play):
    for _ in range(100):
        play.caller("dead", wants=1, dies=True)
    for _ in range(8):
        play.caller("alive", wants=1000, at=0.5)
    play.run(12)
    alive = play.of("alive")
    steady = [at for at in alive if at > play.clock.now - 8]
    assert (len(steady) - 1) / (steady[-1] - steady[0]) / 20 >= 0.9
    left = play.server.hlen(f"procountor:{{{play.name}}}:waiting")
    assert left <= 8


def test_few_questions_are_asked_for_each_turn(play):
    for number in range(48):
        play.caller(f"t{number % 8}", wants=1000)
    play.run(20)
    assert play.calls / len(play.turns) < 4


def test_a_server_that_forgot_everything_counts_the_last_seconds_as_full(play):
    for _ in range(10):
        play.caller("a", wants=1000)
    play.run(5)
    play.server.delete(*play.server.keys(f"procountor:{{{play.name}}}:*"))
    lost_at = play.clock.now
    play.run(10)
    first = min(at for at, _ in play.turns if at > lost_at + 0.2)
    assert first > lost_at + ALONE_SECONDS + 1
    assert play.crowded() == 0


def test_a_server_whose_clock_went_back_is_not_waited_for(play):
    play.caller("a", wants=3)
    play.run(5)
    play.server_ahead = -7200
    play.caller("b", wants=3)
    play.run(10)
    assert len(play.of("b")) == 3


def test_s21_a_pause_that_procountor_asked_for_holds_50_tenants_and_outlives_the_memory(play):
    began = play.clock.now
    play.limiter.penalise(120)
    for number in range(50):
        given, _, turn_in = play.limiter.ask(f"w{number}", f"t{number}")
        assert not given
        assert 119 < turn_in < 125
    play.server.delete(*play.server.keys(f"procountor:{{{play.name}}}:*"))
    play.clock.now = began + 60
    for number in range(50):
        play.caller(f"t{number}", wants=2)
    play.run(600)
    assert len(play.turns) == 100
    assert min(at for at, _ in play.turns) >= began + 120
    assert play.crowded() == 0


def test_another_process_is_held_by_the_pause_too(server, name, play):
    play.limiter.penalise(9)
    other = SharedLimiter(server, name=name, rate=20, clock=play.clock, server_clock=play.clock)
    assert 8 < other.ask("w", "t")[2] <= 9.1


def test_a_short_pause_never_shortens_a_long_one(play):
    play.limiter.penalise(20)
    play.limiter.penalise(1)
    assert play.limiter.ask("w", "t")[2] > 15


def test_whoever_would_wait_too_long_is_sent_away_at_once(server, name):
    clock = Clock()
    one = SharedLimiter(server, name=name, rate=15, clock=clock, sleep=clock.sleep)
    one.penalise(LONGEST_WAIT + 60)
    with pytest.raises(RateLimited) as caught:
        one.acquire("t")
    assert caught.value.retry_after > LONGEST_WAIT
    assert clock.slept == []
    assert server.hlen(f"procountor:{{{name}}}:waiting") == 0


def test_a_turn_that_was_slept_through_is_given_up_for_another(server, name):
    clock = Clock(1_700_000_000.0)
    stalled = []

    def sleep(seconds):
        # The machine stops for a moment just when the turn comes.
        clock.now += seconds + (0.0 if len(stalled) else 0.4)
        stalled.append(seconds)

    one = SharedLimiter(server, name=name, rate=2, clock=clock, sleep=sleep, server_clock=clock)
    one.ask("first")
    clock.now += 2.07
    one.acquire("t")
    newest = server.lindex(f"procountor:{{{name}}}:turns", 0)
    assert clock.now - int(newest) / 1e6 < 0.05


def test_a_request_that_arrived_late_counts_from_then(server, name, play):
    """Whatever delays a request on its way: the next but n waits until a second after it."""
    one = SharedLimiter(
        server, name=name, rate=2, clock=play.clock, sleep=play.clock.sleep, server_clock=play.clock
    )
    key = f"procountor:{{{name}}}:turns"
    one.ask("x")
    play.clock.now += 5
    for took in (0.05, 0.05, 0.35):
        one.acquire("t")
        sent = play.clock.now
        play.clock.now += took
        one.answered("/api/invoices")
    newest = max(int(turn) / 1e6 for turn in server.lrange(key, 0, -1))
    assert newest == pytest.approx(sent + 0.3, abs=0.02)
    one.acquire("t")
    one.answered("/api/invoices")
    one.acquire("t")
    assert play.clock.now >= sent + 0.3 + 1


def test_an_answer_that_took_as_long_as_ever_moves_nothing(server, name, play):
    one = SharedLimiter(
        server,
        name=name,
        rate=20,
        clock=play.clock,
        sleep=play.clock.sleep,
        server_clock=play.clock,
    )
    one.ask("x")
    play.clock.now += 5
    for took in (0.2, 0.21, 0.205, 0.2):
        one.acquire("t")
        before = server.lrange(f"procountor:{{{name}}}:turns", 0, -1)
        play.clock.now += took
        one.answered("/api/invoices")
        assert server.lrange(f"procountor:{{{name}}}:turns", 0, -1) == before


def test_a_server_that_became_slower_for_good_is_not_held_to_be_late_for_ever():
    quickest = Quickest()
    quickest.beyond(0.05)
    late = [quickest.beyond(0.5) for _ in range(3 * ANSWERS)]
    assert late[0] > 0.4
    assert late[-1] == 0


class Alone:
    """Processes that go on while the server is away, on one clock."""

    def __init__(self, count, rate, clock):
        self.clock = clock
        self.processes = [
            SharedLimiter(unreachable(), name="nobody", rate=rate, clock=clock)
            for _ in range(count)
        ]

    def run(self, seconds, *, threads=4):
        """When each of their requests goes."""
        events = [
            (self.clock.now + k / 1000, k, process)
            for k, process in enumerate(p for p in self.processes for _ in range(threads))
        ]
        heapq.heapify(events)
        sent, until = [], self.clock.now + seconds
        while events and events[0][0] <= until:
            self.clock.now, k, process = heapq.heappop(events)
            given, wait, _ = process.ask("w")
            if given:
                sent.append(self.clock.now)
            heapq.heappush(events, (self.clock.now + max(wait, 0.01), k, process))
        return sent


@pytest.mark.parametrize(("count", "rate"), [(8, 15), (15, 15), (16, 20), (16, 60), (8, 8)])
def test_q17_without_the_server_all_processes_together_stay_below_the_rate(count, rate):
    sent = Alone(count, rate, Clock()).run(12)
    assert crowded(sent, rate) == 0
    assert len(sent) > 3 * count, "they go on, though slowly"


def test_q17b_the_moments_of_losing_and_finding_the_server_are_safe_too(server, name):
    play = Play(server, name)
    for _ in range(30):
        play.caller("a", wants=1000, latency=0.01)
    play.run(4)
    before = [at for at, _ in play.turns]
    alone = Alone(8, 20, play.clock).run(5)
    # Back, with its memory or without: the first that comes back makes everybody wait.
    play.turns.clear()
    play.limiter._was_alone = True
    play.run(8)
    after = [at for at, _ in play.turns]
    assert min(len(before), len(alone), len(after)) > 10
    assert crowded(before + alone + after, 20) == 0
    assert min(after) > max(alone) + 1


def test_q17c_where_no_share_would_be_safe_nothing_is_sent():
    clock = Clock()
    one = SharedLimiter(unreachable(), name="nobody", rate=1, clock=clock, sleep=clock.sleep)
    with pytest.raises(RateLimited):
        one.acquire("t")


def test_a_pause_holds_without_the_server_as_well():
    clock = Clock()
    one = SharedLimiter(unreachable(), name="nobody", rate=20, clock=clock, sleep=clock.sleep)
    one.penalise(7)
    assert one.acquire() >= 7


def test_the_server_is_asked_again_after_a_while(server, name):
    clock = Clock()
    there = SharedLimiter(server, name=name, rate=20, clock=clock)
    one = SharedLimiter(unreachable(), name=name, rate=20, clock=clock, sleep=clock.sleep)
    assert not one.ask("w")[0]
    one._ask_script = there._ask_script
    asked = one.ask("w")
    assert asked[1] <= ALONE_SECONDS, "still alone, and told when to ask again"
    clock.now += ALONE_SECONDS
    assert one.ask("w")[2] > 1.5, "back: everybody who may be alone is waited for"
    assert server.exists(f"procountor:{{{name}}}:gather")


def test_nothing_is_asked_for_while_the_gate_is_shut(server, name):
    def shut():
        raise RateLimited("shut")

    one = SharedLimiter(server, name=name, rate=20, gate=shut)
    with pytest.raises(RateLimited, match="shut"):
        one.acquire("t")
    assert not server.exists(f"procountor:{{{name}}}:turns")
