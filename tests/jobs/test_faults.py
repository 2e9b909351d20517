"""Faults of database, hearts and clocks inside one process: retried whole, or ended clean."""

from __future__ import annotations

import threading
from datetime import timedelta

import psycopg2
import pytest
from django.db import DatabaseError, connection, transaction
from django.db.models.functions import Now
from django.utils import timezone

from calqsync.jobs import held, lanes, runner, services
from calqsync.jobs.models import Job, JobState, Priority
from calqsync.jobs.services import LostLease, Outcome
from calqsync.tenancy import scope
from integrations.models import Connection
from tests.conftest import superuser_connection, until_blocked

KIND = "tests.fault"
pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def quiet(monkeypatch):
    services.register(KIND, "sync")
    monkeypatch.setattr(services, "nudge", lambda *a: True)
    yield
    services._QUEUES.pop(KIND)


def queued(tenant, key="", **options):
    with scope.tenant(tenant.pk), transaction.atomic():
        return services.enqueue(kind=KIND, key=key, **options)


def row(job):
    with scope.tenant(job.tenant_id), transaction.atomic():
        return Job.objects.get(pk=job.pk)


def claimed(job):
    with scope.tenant(job.tenant_id):
        return services.claim(job.pk)


def lapse(job):
    with scope.tenant(job.tenant_id), transaction.atomic():
        Job.objects.filter(pk=job.pk).update(lease_until=Now() - timedelta(seconds=1))


def names(tenant):
    with scope.tenant(tenant.pk), transaction.atomic():
        return sorted(Connection.objects.values_list("name", flat=True))


# -- the database ----------------------------------------------------------------------------------

RAISED = {
    "restart": "57P01",
    "failover": "25006",
    "full disk": "53100",
    "time-out": "57014",
    "deadlock": "40P01",
    "serialization": "40001",
    "out of memory": "53200",
}


def raising(code):
    with connection.cursor() as cursor:
        cursor.execute(f"DO $$ BEGIN RAISE EXCEPTION 'fault' USING ERRCODE = '{code}'; END $$")


def own_backend_ends():
    admin = superuser_connection(str(connection.settings_dict["NAME"]))
    with admin.cursor() as cursor:
        cursor.execute("SELECT pg_terminate_backend(%s)", [connection.connection.info.backend_pid])
    admin.close()
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")


def too_slow():
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL statement_timeout = 10")
        cursor.execute("SELECT pg_sleep(1)")


FAULTS = {name: (lambda code=code: raising(code)) for name, code in RAISED.items()} | {
    "connection lost": own_backend_ends,
    "really too slow": too_slow,
}


@pytest.mark.parametrize("fault", FAULTS)
def test_q18b_a_fault_of_the_database_undoes_its_page_and_the_job_is_run_again_whole(
    committed_cast, truth, fault
):
    job = queued(committed_cast.tenant)
    failing = [True]

    def handler(work):
        for page in ("first", "second"):
            with transaction.atomic():
                work.fence()
                if Connection.objects.filter(name=page).exists():
                    continue
                Connection.objects.create(name=page, company_id=page, company_name=page)
                if page == "second" and failing:
                    failing.clear()
                    FAULTS[fault]()
        return Outcome.done()

    runner.run(handler, tenant_id=job.tenant_id, job_id=job.pk)
    assert names(committed_cast.tenant) == ["first"], "half a page was left"
    found = row(job)
    assert (found.state, found.attempts) == (JobState.QUEUED, 1)
    assert found.error_class in ("OperationalError", "InternalError", "DataError")
    with scope.tenant(job.tenant_id), transaction.atomic():
        Job.objects.filter(pk=job.pk).update(run_after=Now())
    runner.run(handler, tenant_id=job.tenant_id, job_id=job.pk)
    assert names(committed_cast.tenant) == ["first", "second"]
    assert row(job).state == JobState.DONE
    truth.execute(
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
        " AND state LIKE 'idle in transaction%%'"
    )
    assert truth.fetchone() == (0,), "a connection was left in a transaction"


def test_q18c_without_a_free_connection_nothing_is_claimed_and_nothing_lost(committed_cast, truth):
    job = queued(committed_cast.tenant)
    connection.close()
    truth.execute("ALTER ROLE calqsync_app CONNECTION LIMIT 0")
    try:
        with pytest.raises(DatabaseError):
            runner.run(pytest.fail, tenant_id=job.tenant_id, job_id=job.pk)
    finally:
        truth.execute("ALTER ROLE calqsync_app CONNECTION LIMIT -1")
    ran = []
    runner.run(lambda work: ran.append(1) or Outcome.done(), tenant_id=job.tenant_id, job_id=job.pk)
    assert ran == [1]


def test_q18d_a_heartbeat_that_fails_once_beats_on(committed_cast, settings, monkeypatch):
    settings.JOB_LEASE_SECONDS, settings.JOB_HEARTBEAT_SECONDS = 30.0, 0.02
    job = queued(committed_cast.tenant)
    beats, enough = [], threading.Event()
    real = held.mine

    def mine(work):
        beats.append(1)
        if len(beats) == 1:
            raise DatabaseError("the server restarts")
        if len(beats) > 2:
            enough.set()
        return real(work)

    monkeypatch.setattr(held, "mine", mine)

    def handler(work):
        assert enough.wait(20)
        with transaction.atomic():
            work.fence()
        return Outcome.done()

    runner.run(handler, tenant_id=job.tenant_id, job_id=job.pk)
    assert row(job).state == JobState.DONE


# -- lost leases -----------------------------------------------------------------------------------


@transaction.atomic
def write_after(work):
    work.fence()
    Connection.objects.create(name="after", company_id="2", company_name="A")


def test_q20_work_whose_heart_stopped_loses_its_lease_and_writes_nothing_more(
    committed_cast, monkeypatch
):
    def dead(*_):
        raise SystemExit  # the thread is gone; nobody is told

    monkeypatch.setattr(held, "_renewed", dead)
    job = queued(committed_cast.tenant)
    runs = []

    def works_on(work):
        runs.append(work.epoch)
        with transaction.atomic():
            work.fence()
            Connection.objects.create(name="before", company_id="1", company_name="A")
        lapse(job)
        other = claimed(job)
        with pytest.raises(LostLease):
            write_after(work)
        services.finish(other, Outcome.done())
        return Outcome.again(timedelta(0))

    runner.run(works_on, tenant_id=job.tenant_id, job_id=job.pk)
    assert runs == [1]
    assert names(committed_cast.tenant) == ["before"]
    assert (row(job).state, row(job).epoch) == (JobState.DONE, 2)


ENDS = {
    "finish": lambda work: services.finish(work, Outcome.done()),
    "again": lambda work: services.finish(work, Outcome.again(timedelta(0))),
    "fail": lambda work: services.fail(work, error_class="X", error="x"),
    "retry": lambda work: services.retry_later(work, error_class="X", error="x"),
    "stopped": services.stopped,
}


@pytest.mark.parametrize("end", ENDS)
def test_q21_whoever_lost_the_job_releases_nothing(committed_cast, end):
    job = queued(committed_cast.tenant)
    old = claimed(job)
    lapse(job)
    new = claimed(job)
    before = Job.unscoped.filter(pk=job.pk).values()
    with scope.tenant(job.tenant_id):
        with transaction.atomic():
            before = before.get()
        try:
            with transaction.atomic():
                ENDS[end](old)
        except LostLease:
            pass
        with transaction.atomic():
            assert Job.unscoped.filter(pk=job.pk).values().get() == before
            new.fence()


def test_q21b_an_old_heart_does_not_prolong_the_lease_of_the_new_holder(committed_cast):
    job = queued(committed_cast.tenant)
    old = claimed(job)
    lapse(job)
    claimed(job)
    until = row(job).lease_until
    assert held._renewed(old) is False
    assert row(job).lease_until == until


def test_s26b_a_job_held_inside_a_frozen_transaction_keeps_no_worker_waiting(
    committed_cast, database_name, monkeypatch
):
    job = queued(committed_cast.tenant)
    claimed(job)
    lapse(job)
    settings = connection.settings_dict
    frozen = psycopg2.connect(
        dbname=database_name,
        host=settings["HOST"],
        port=settings["PORT"],
        user=settings["USER"],
        password=settings["PASSWORD"],
    )
    monkeypatch.setattr(services, "_ENTER", services._ENTER.replace("'2s'", "'50ms'"))
    with frozen.cursor() as cursor:
        cursor.execute("SELECT set_config('app.tenant', %s, false)", [str(job.tenant_id)])
        cursor.execute("SELECT 1 FROM jobs_job WHERE id = %s FOR KEY SHARE", [job.pk])
        assert cursor.fetchone()
        assert claimed(job) is None
    frozen.close()
    assert claimed(job) is not None


def test_s26c_a_heartbeat_and_a_wish_to_cancel_reach_a_job_in_the_middle_of_a_write(
    committed_cast,
):
    job = queued(committed_cast.tenant)
    work = claimed(job)
    reached = []

    def outside():
        try:
            reached.append(held._renewed(work))
            with scope.tenant(job.tenant_id):
                services.cancel(kind=KIND)
            reached.append("cancelled")
        finally:
            connection.close()

    with scope.tenant(job.tenant_id), transaction.atomic():
        work.fence()
        thread = threading.Thread(target=outside)
        thread.start()
        thread.join(10)
        assert reached == [True, "cancelled"]


def test_a_request_that_meets_a_job_in_its_end_is_not_lost(committed_cast, truth):
    job = queued(committed_cast.tenant)
    work = claimed(job)
    asked = []

    def outside():
        try:
            asked.append(queued(committed_cast.tenant).pk)
        finally:
            connection.close()

    thread = threading.Thread(target=outside)
    with scope.tenant(job.tenant_id), transaction.atomic():
        services.finish(work, Outcome.done())
        thread.start()
        until_blocked(truth)
    thread.join(10)
    assert row(job).state == JobState.DONE
    assert asked != [job.pk], "joined to a job that nobody runs any more"
    with scope.tenant(job.tenant_id), transaction.atomic():
        assert Job.objects.get(pk=asked[0]).state == JobState.QUEUED


def test_a_job_that_is_put_back_at_that_moment_is_cancelled_all_the_same(committed_cast, truth):
    job = queued(committed_cast.tenant)
    work = claimed(job)

    def outside():
        try:
            with scope.tenant(committed_cast.tenant.pk):
                services.cancel(kind=job.kind, key=job.key)
        finally:
            connection.close()

    thread = threading.Thread(target=outside)
    with scope.tenant(job.tenant_id), transaction.atomic():
        services.finish(work, Outcome.again(timedelta(hours=6)))
        thread.start()
        until_blocked(truth)
    thread.join(10)
    assert row(job).state == JobState.CANCELLED


def test_a_later_wish_does_not_take_back_that_a_running_job_is_wanted_again(committed_cast):
    job = queued(committed_cast.tenant)
    work = claimed(job)
    queued(committed_cast.tenant)
    queued(committed_cast.tenant, run_after=timezone.now() + timedelta(hours=1))
    with scope.tenant(job.tenant_id):
        services.finish(work, Outcome.done())
    assert claimed(job) is not None


# -- clocks ----------------------------------------------------------------------------------------


def test_q22b_no_time_of_a_job_comes_from_the_workers_clock(committed_cast, monkeypatch):
    wrong = timezone.now() + timedelta(hours=1)
    monkeypatch.setattr(timezone, "now", lambda: wrong)
    job = queued(committed_cast.tenant)
    work = claimed(job)
    assert work is not None
    with scope.tenant(job.tenant_id):
        services.finish(work, Outcome.again(timedelta(minutes=1)))
    found = row(job)
    assert found.run_after - found.created_at < timedelta(minutes=2)
    assert claimed(job) is None
    monkeypatch.undo()


# -- turns -----------------------------------------------------------------------------------------


def test_a_job_beyond_the_tenants_cap_is_put_back_and_runs_when_there_is_room(committed_cast):
    first, second = (queued(committed_cast.tenant, key) for key in "ab")
    held_one = claimed(first)
    assert claimed(second) is None
    found = row(second)
    assert (found.state, found.nudged_at, found.epoch, found.deliveries) == ("queued", None, 0, 0)
    with scope.tenant(first.tenant_id):
        services.finish(held_one, Outcome.done())
    assert row(second).nudged_at is not None, "nobody rang for the next one"
    assert claimed(second) is not None


def test_two_workers_that_claim_at_once_do_not_pass_the_cap(committed_cast):
    jobs = [queued(committed_cast.tenant, str(number)) for number in range(6)]
    got, start = [], threading.Barrier(6)

    def take(job):
        try:
            start.wait(10)
            got.append(claimed(job))
        finally:
            connection.close()

    threads = [threading.Thread(target=take, args=[job]) for job in jobs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert len([work for work in got if work]) == lanes.cap("sync") == 1


def test_only_as_many_of_a_tenant_are_rung_for_as_may_run(committed_cast, monkeypatch):
    rung = []
    monkeypatch.setattr(services, "nudge", lambda *wake: rung.append(wake))
    for number in range(50):
        queued(committed_cast.tenant, str(number))
    assert len(rung) == lanes.cap("sync")
    queued(committed_cast.stranger_tenant)
    assert rung[-1][0] == committed_cast.stranger_tenant.pk


def test_what_a_person_waits_for_overtakes_in_its_own_lane(committed_cast, monkeypatch):
    rung = []
    monkeypatch.setattr(services, "nudge", lambda *wake: rung.append(wake))
    queued(committed_cast.tenant, "busy")
    waiting = queued(committed_cast.tenant, "mine")
    assert [wake[1] for wake in rung] != [waiting.pk]
    queued(committed_cast.tenant, "mine", priority=Priority.INTERACTIVE)
    assert rung[-1][1:] == (waiting.pk, KIND, "interactive")
    work = claimed(waiting)
    assert work.slice_seconds == lanes.INTERACTIVE_SLICE.total_seconds()
    with scope.tenant(waiting.tenant_id):
        services.finish(work, Outcome.again(timedelta(0)))
    found = row(waiting)
    assert (found.queue, found.priority) == ("sync", Priority.BACKFILL)


def test_work_that_an_interactive_job_asks_for_is_interactive_too(committed_cast):
    job = queued(committed_cast.tenant, priority=Priority.INTERACTIVE)

    def handler(work):
        with transaction.atomic():
            work.fence()
            services.enqueue(kind=KIND, key="more")
        return Outcome.done()

    runner.run(handler, tenant_id=job.tenant_id, job_id=job.pk)
    with scope.tenant(job.tenant_id), transaction.atomic():
        assert Job.objects.get(key="more").queue == "interactive"
    assert queued(committed_cast.stranger_tenant).queue == "sync"
