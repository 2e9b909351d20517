"""No second ever holds more requests than allowed, whoever asks.

Most of it is played on a clock of the test's own: many callers of one real Valkey, none asleep.
"""

import os
import random
import subprocess
import sys
from collections import Counter

import pytest
from django.conf import settings

from integrations.procountor.errors import RateLimited
from integrations.sync.limiter import (
    ALONE_SECONDS,
    ANSWERS,
    LONGEST_WAIT,
    Quickest,
    SharedLimiter,
)
from tests.integrations.sync.callers import Clock, Play, crowded

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


def test_nothing_is_asked_for_while_the_gate_is_shut(server, name):
    def shut():
        raise RateLimited("shut")

    one = SharedLimiter(server, name=name, rate=20, gate=shut)
    with pytest.raises(RateLimited, match="shut"):
        one.acquire("t")
    assert not server.exists(f"procountor:{{{name}}}:turns")
