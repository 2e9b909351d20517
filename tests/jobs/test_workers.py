"""Workers and dispatchers die, freeze, go deaf and multiply; no job is lost, doubled or starved."""

from __future__ import annotations

import random
import signal
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import pytest
from celery import Celery

from calqsync.local.home import free_port
from calqsync.local.stack import LANES
from tests.jobs.running import WorkStack
from tests.journeys.running import LEASE_SECONDS

pytestmark = [pytest.mark.stack, pytest.mark.xdist_group("work")]


# -- deaf ------------------------------------------------------------------------------------------


# Longer than a worker's first ten seconds, in which an end would be taken for a broken start. The
# second has a dispatcher that is a minute late still count as alive.
HASTY = {"JOB_DEAF_SECONDS": "11", "DISPATCH_SECONDS": "5"}


class Line:
    """A proxy in front of the broker whose open connections can fall silent without an end."""

    def __init__(self, port: int) -> None:
        self.target, self.port = port, free_port()
        self._quiet: set[threading.Event] = set()
        self._server = socket.create_server(("127.0.0.1", self.port))
        threading.Thread(target=self._serve, daemon=True).start()

    def fall_silent(self) -> None:
        """Nothing passes any more on what is connected now; new connections work."""
        for quiet in self._quiet:
            quiet.set()

    def close(self) -> None:
        self._server.close()

    def _serve(self) -> None:
        with suppress(OSError):
            while True:
                near, _ = self._server.accept()
                far = socket.create_connection(("127.0.0.1", self.target))
                quiet = threading.Event()
                self._quiet.add(quiet)
                for pair in ((near, far), (far, near)):
                    threading.Thread(target=self._pass, args=(*pair, quiet), daemon=True).start()

    @staticmethod
    def _pass(source: socket.socket, sink: socket.socket, quiet: threading.Event) -> None:
        with suppress(OSError):
            while data := source.recv(65_536):
                if not quiet.is_set():
                    sink.sendall(data)
            if not quiet.is_set():
                sink.close()


@contextmanager
def proxied(work: WorkStack) -> Iterator[Line]:
    line = Line(work.valkey.port)
    try:
        yield line
    finally:
        line.close()


def mute(work: WorkStack, worker: str, lanes: list[str]) -> None:
    """What the broken connection of a deaf worker looks like: it answers, and consumes nothing."""
    control = Celery(broker=work.env["REDIS_URL"]).control
    node = [f"{worker}@{socket.gethostname()}"]
    for lane in lanes:
        control.cancel_consumer(lane, destination=node, reply=True, timeout=5)
    work.until(lambda: control.ping(destination=node, timeout=5))


def test_q4_a_worker_whose_connection_falls_silent_connects_anew(work: WorkStack) -> None:
    tenant = work.tenant()
    with proxied(work) as line:
        address = work.env["REDIS_URL"].replace(f":{work.valkey.port}/", f":{line.port}/")
        child = work.extra_worker("worker-far", "far", REDIS_URL=address)
        work.await_done(work.insert(tenant, "tests.note", "far"))
        line.fall_silent()
        jobs = work.insert(tenant, "tests.note", "far", keys=3)
        work.await_done(jobs)
        assert child.process.poll() is None
        assert work.each_once(jobs)
        # Another way to be deaf, which it cannot notice: for its supervisor it is unwell.
        mute(work, "worker-far", ["far"])
        work.insert(tenant, "tests.note", "far")

        def health() -> str:
            return work.health(**HASTY).stderr

        # A worker that is too busy to answer in time is asked again.
        work.until(lambda: "is free and takes nothing of: far" in health(), seconds=600)
        work.stop_child("worker-far", sign=signal.SIGKILL)
        work.until(lambda: work.health(**HASTY).returncode == 0)


def test_q4b_a_worker_that_lives_and_takes_nothing_ends_itself_and_is_replaced(
    work: WorkStack,
) -> None:
    tenant = work.tenant()
    work.stop_child("worker")
    deaf = work.extra_worker("worker", LANES, **HASTY)
    work.await_done(work.enqueue(tenant, "tests.note"))
    mute(work, "worker", LANES.split(","))
    jobs = work.enqueue(tenant, "tests.note", keys=2)
    work.await_done(jobs, seconds=240)
    assert deaf.process.poll() is not None
    assert "worker.deaf" in deaf.fresh_log()
    assert work.children["worker"] is not deaf, "the supervisor did not start it anew"
    assert work.each_once(jobs)
    work.stop_child("worker", sign=signal.SIGKILL)  # it is hasty too


# -- dying and freezing ----------------------------------------------------------------------------


def test_q8_a_job_that_kills_its_worker_is_given_up_after_three_deliveries(
    work: WorkStack,
) -> None:
    poison = work.enqueue(work.tenant(), "tests.dies")
    others = work.enqueue(work.tenant(), "tests.note", keys=10, seconds=0.1)
    work.await_done(others)

    def given_up() -> bool:
        return work.states(poison) == {"failed": 1}

    work.until(given_up, seconds=240)
    assert work.effects(poison)[poison[0]] == 3
    assert work.one("SELECT error_class FROM jobs_job WHERE id = %s", poison[0]) == "WorkerLost"
    assert work.each_once(others)


def pages(work: WorkStack, job: int) -> list[tuple[int, int]]:
    """(part, epoch) of each effect of a job, in the order they were written."""
    return [
        (part, epoch)
        for part, epoch in work.rows(
            "SELECT part, epoch FROM tests_effect WHERE job_id = %s ORDER BY id", job
        )
    ]


@pytest.mark.parametrize("inside", [0, 0.3], ids=["between pages", "inside a transaction"])
def test_s26_a_worker_frozen_past_its_lease_writes_nothing_when_it_thaws(
    work: WorkStack, inside: float
) -> None:
    (job,) = work.enqueue(
        work.tenant(), "tests.steps", priority=0, pages=15, inside=inside, seconds=0.3 - inside
    )
    work.until(lambda: len(pages(work, job)) >= 2)
    frozen = work.holder(job)
    work.signal_group(frozen, signal.SIGSTOP)
    try:
        # Inside a transaction it holds the row until the server ends that.
        work.until(lambda: work.holder(job) != frozen, seconds=180)
        work.until(lambda: len({epoch for _, epoch in pages(work, job)}) == 2)
    finally:
        work.signal_group(frozen, signal.SIGCONT)
    work.await_done([job])
    written = pages(work, job)
    assert [part for part, _ in written] == list(range(15))
    epochs = [epoch for _, epoch in written]
    assert epochs == sorted(epochs), "the frozen one wrote after the other had begun"
    assert work.children[frozen].process.poll() is None


def test_s27b_a_job_whose_machine_is_gone_runs_again_by_itself(work: WorkStack) -> None:
    (job,) = work.enqueue(work.tenant(), "tests.steps", priority=0, pages=15, seconds=0.3)
    work.until(lambda: pages(work, job))
    gone = work.holder(job)
    work.signal_group(gone, signal.SIGKILL)
    work.children.pop(gone).finish(seconds=5)
    assert work.states([job]) == {"leased": 1}
    work.await_done([job])
    assert [part for part, _ in pages(work, job)] == list(range(15))


def stopped_at_random(work: WorkStack, *, times: int) -> None:
    """Stop workers gently at any moment; what is done has its data, and nothing is lost."""
    chance = random.Random(20_261_121)
    jobs: list[int] = []
    for _ in range(times):
        jobs += work.enqueue(work.tenant(), "tests.steps", keys=4, pages=3, inside=0.02)
        done = len(jobs)
        time.sleep(chance.random() * 0.4)  # the delay is the case
        work.stop_child("worker")  # the other one takes nothing of this lane
        half_done = work.rows(
            "SELECT j.id FROM jobs_job j WHERE j.state = 'done' AND j.id = ANY(%s)"
            " AND (SELECT count(*) FROM tests_effect e WHERE e.job_id = j.id) <> 3",
            jobs,
        )
        assert half_done == [], "done without its data"
        work.start_worker()
        assert len(jobs) == done
    work.await_done(jobs, seconds=240)
    assert set(work.effects(jobs).values()) == {3}


def test_q10_a_worker_stopped_at_any_moment_leaves_no_job_half_done(work: WorkStack) -> None:
    stopped_at_random(work, times=2)


@pytest.mark.nightly
def test_q10b_a_worker_stopped_a_thousand_times_leaves_no_job_half_done(work: WorkStack) -> None:
    stopped_at_random(work, times=1000)


# -- releases, dispatchers, clocks -----------------------------------------------------------------


def test_q11_a_kind_that_old_workers_do_not_know_waits_for_a_new_one(work: WorkStack) -> None:
    jobs = work.insert(work.tenant(), "tests.newer", "sync", keys=4)
    log = work.home.logs / "worker.log"
    work.until(lambda: "tests.newer" in log.read_text())  # heard, and thrown away
    known = work.enqueue(work.tenant(), "tests.note", keys=3)
    work.await_done(known)
    assert work.states(jobs) == {"queued": 4}
    work.extra_worker("worker-newer", "sync", TESTS_RELEASE="newer")
    work.await_done(jobs, seconds=240)
    assert work.each_once(jobs + known)


def test_q12_any_number_of_dispatchers_fires_each_schedule_once(work: WorkStack) -> None:
    (job,) = work.enqueue(work.tenant(), "tests.again", every=1.0)

    def fired() -> int:
        return work.effects([job])[job]

    work.until(fired)
    work.stop_child("beat", sign=signal.SIGKILL)
    overdue = "SELECT run_after < now() - interval '2 seconds' FROM jobs_job WHERE id = %s"
    work.until(lambda: work.one(overdue, job))
    before = fired()
    names = ["beat", "beat-fast", "beat-slow"]
    for name, ahead in zip(names, ("0", "3600", "-3600"), strict=True):
        work.extra_beat(name, TESTS_CLOCK_AHEAD=ahead)
    work.until(lambda: fired() >= before + 6)
    for name in names[1:]:
        work.stop_child(name, sign=signal.SIGKILL)
    gaps = work.rows(
        "SELECT extract(epoch FROM at - lag(at) OVER (ORDER BY id)) FROM tests_effect"
        " WHERE job_id = %s ORDER BY id",
        job,
    )
    assert all(gap >= 1 for (gap,) in gaps if gap is not None), "it fired twice in a period"
    assert work.one("SELECT count(*) FROM jobs_job WHERE id = %s", job) == 1


@pytest.mark.parametrize("ahead", ["3600", pytest.param("-3600", marks=pytest.mark.nightly)])
def test_q22_a_worker_with_a_wrong_clock_claims_leases_and_schedules_rightly(
    work: WorkStack, ahead: str
) -> None:
    tenant = work.tenant()
    work.extra_worker("worker-wrong", "wrong", TESTS_CLOCK_AHEAD=ahead)
    (again,) = work.insert(tenant, "tests.again", "wrong", every=1000)
    later = "SELECT extract(epoch FROM run_after - now()) FROM jobs_job WHERE id = %s"
    work.until(lambda: work.effects([again])[again] and work.states([again]) == {"queued": 1})
    assert 900 < work.one(later, again) <= 1000
    (note,) = work.insert(tenant, "tests.note", "wrong", seconds=5)
    leased = "SELECT extract(epoch FROM lease_until - now()) FROM jobs_job WHERE id = %s"
    assert 0 < work.until(lambda: work.one(leased, note)) <= LEASE_SECONDS
    assert work.holder(note) == "worker-wrong"
    work.await_done([note])
    assert work.each_once([note, again])


def test_q18_a_database_that_throws_everybody_out_costs_time_and_no_job(work: WorkStack) -> None:
    tenants = [work.tenant() for _ in range(4)]
    jobs = []
    for tenant in tenants:
        jobs += work.enqueue(tenant, "tests.steps", keys=3, pages=3, inside=0.05)
    for share in (4, 12, 20):
        work.until(lambda share=share: sum(work.effects(jobs).values()) >= share)
        work.rows(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND usename <> 'postgres'"
        )
    work.await_done(jobs, seconds=240)
    assert set(work.effects(jobs).values()) == {3}
    left = (
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
        " AND usename = 'calqsync_app' AND state LIKE 'idle in transaction%%'"
    )
    work.until(lambda: work.one(left) == 0)
    assert all(child.process.poll() is None for child in work.children.values())


# -- turns -----------------------------------------------------------------------------------------


def test_q14_ten_thousand_jobs_of_one_tenant_delay_nobody(work: WorkStack) -> None:
    greedy, modest = work.tenant(), work.tenant()
    work.enqueue(greedy, "tests.note", keys=200, seconds=1)
    work.insert(greedy, "tests.note", "sync", keys=9_800, seconds=1)
    work.until(lambda: work.one("SELECT count(*) FROM tests_effect WHERE tenant_id=%s", greedy))
    with work.broker as broker:
        assert broker.llen("sync") <= 2, "one tenant filled the broker"
    jobs = work.enqueue(modest, "tests.note", keys=3, seconds=0.1)
    running = (
        "SELECT count(*) FROM jobs_job WHERE tenant_id = %s AND state = 'leased'"
        " AND lease_until > now()"
    )
    most = 0
    while work.states(jobs) != {"done": 3}:
        most = max(most, int(work.one(running, greedy)))
        work.check()
    waited = work.one(
        "SELECT extract(epoch FROM min(e.at) - min(j.created_at)) FROM tests_effect e"
        " JOIN jobs_job j ON j.id = e.job_id WHERE j.tenant_id = %s",
        modest,
    )
    assert waited < 300  # behind ten thousand it would be more than an hour
    assert most == 1, "the greedy tenant ran beyond its cap"
    assert work.each_once(jobs)


def test_q16_what_a_person_asked_for_starts_while_every_worker_imports(work: WorkStack) -> None:
    busy = [job for _ in range(2) for job in work.enqueue(work.tenant(), "tests.held")]
    work.until(lambda: set(work.effects(busy).values()) == {1})
    asked = work.enqueue(work.tenant(), "tests.note", priority=0)
    work.await_done(asked)
    assert work.states(busy) == {"leased": 2}
    node = work.one("SELECT node FROM tests_effect WHERE job_id = %s", asked[0])
    assert node.startswith("worker-now@")
    work.release(busy)
    work.await_done(busy)
