"""No second holds more requests than allowed while the server that gives the turns is away."""

import heapq

import pytest

from integrations.procountor.errors import RateLimited
from integrations.sync.limiter import ALONE_SECONDS, SharedLimiter
from tests.integrations.sync.callers import Clock, Play, crowded, unreachable


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
