"""The broker forgets, goes away, fills up and repeats itself; every job runs, and runs once."""

from __future__ import annotations

import contextlib
import json
import signal
from typing import Any

import pytest

from tests.jobs.running import WorkStack

pytestmark = [pytest.mark.stack, pytest.mark.xdist_group("work")]


def done(work: WorkStack, jobs: list[int]) -> int:
    return work.states(jobs).get("done", 0)


def snapshot(work: WorkStack) -> dict[bytes, Any]:
    """Everything the broker remembers now."""
    with work.broker as broker:
        found = {key: broker.dump(key) for key in broker.scan_iter()}
    return {key: value for key, value in found.items() if value is not None}


def test_q1_a_broker_that_forgets_everything_with_200_jobs_queued_loses_and_doubles_none(
    work: WorkStack,
) -> None:
    tenants = [work.tenant() for _ in range(10)]
    jobs = [
        job for one in tenants for job in work.enqueue(one, "tests.note", keys=20, seconds=0.02)
    ]
    for share in (20, 80, 140):
        work.until(lambda share=share: done(work, jobs) >= share)
        with work.broker as broker:
            broker.flushall()
    work.await_done(jobs)
    assert work.each_once(jobs)


def test_q2_while_the_broker_is_away_work_is_accepted_and_runs_when_it_is_back(
    work: WorkStack,
) -> None:
    tenant = work.tenant()
    work.await_done(work.enqueue(tenant, "tests.note"))
    before = {name: child.process.pid for name, child in work.children.items()}
    work.stop_valkey()
    answer = work.told(
        do="enqueue", tenant=tenant, kind="tests.note", keys=["away"], payload={}, priority=1
    )
    assert answer["seconds"] < 5, "a page would have waited for the broker"
    jobs = list(answer["answer"])
    assert work.states(jobs) == {"queued": 1}
    work.start_valkey()
    work.await_done(jobs)
    assert work.each_once(jobs)
    after = {name: child.process.pid for name, child in work.children.items()}
    assert {n: p for n, p in after.items() if n != "valkey"} == {
        n: p for n, p in before.items() if n != "valkey"
    }, "it took a restart"


def test_q3_a_broker_restored_from_an_old_snapshot_does_nothing_twice(work: WorkStack) -> None:
    tenants = [work.tenant() for _ in range(4)]
    work.stop_workers(sign=signal.SIGKILL)
    jobs = [job for one in tenants for job in work.enqueue(one, "tests.note", keys=3)]
    old = snapshot(work)
    assert b"sync" in old, "no wake-up was waiting, so that the snapshot is of nothing"
    work.start_worker()
    work.await_done(jobs)
    with work.broker as broker:
        for key, value in old.items():
            with contextlib.suppress(Exception):  # a list that consumers hold now
                broker.restore(key, 0, value, replace=True)
    work.await_done(work.enqueue(tenants[0], "tests.note"))
    work.until(lambda: not work.broker.llen("sync"))
    assert work.each_once(jobs)


def test_q5_a_full_broker_costs_no_job_and_no_page(work: WorkStack) -> None:
    tenant = work.tenant()
    with work.broker as broker:
        broker.config_set("maxmemory", 1)
        try:
            jobs = work.enqueue(tenant, "tests.note")
            assert work.states(jobs) == {"queued": 1}
            log = work.home.logs / "beat.log"
            work.until(lambda: "dispatch.broker_refused" in log.read_text())
        finally:
            broker.config_set("maxmemory", 0)
    work.await_done(jobs)
    assert work.each_once(jobs)


def test_q6_a_message_that_is_delivered_again_while_its_job_runs_claims_nothing(
    work: WorkStack,
) -> None:
    jobs = work.enqueue(work.tenant(), "tests.note", seconds=8)
    work.await_done(jobs)
    assert work.each_once(jobs)
    assert work.one("SELECT epoch FROM jobs_job WHERE id = %s", jobs[0]) == 1


def test_q9_messages_that_mean_nothing_are_dropped_and_the_worker_lives(work: WorkStack) -> None:
    from celery import Celery

    tenant = work.tenant()
    gone = work.enqueue(tenant, "tests.note")
    work.await_done(gone)
    pid = work.children["worker"].process.pid
    sender = Celery(broker=work.env["REDIS_URL"])
    for name, args in [
        ("tests.nobody_knows", [1, 2]),
        ("tests.note", [tenant, 10**12]),
        ("tests.note", [10**12, gone[0]]),
        ("tests.note", ["x", None]),
        ("tests.note", []),
        ("tests.note", [tenant, gone[0]]),
    ]:
        sender.send_task(name, args=args, queue="sync")
    sender.close()
    with work.broker as broker:
        for rubbish in (b"not json", b"[]", b"{}", json.dumps({"body": "?"}).encode(), b"\xff"):
            broker.lpush("sync", rubbish)
        work.until(lambda: not broker.llen("sync"))
    jobs = work.enqueue(tenant, "tests.note", keys=5)
    work.await_done(jobs)
    assert work.each_once(jobs + gone)
    assert work.children["worker"].process.pid == pid
    assert work.children["worker"].process.poll() is None
