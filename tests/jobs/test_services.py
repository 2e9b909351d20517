"""The job table is the truth about work: one live row, one holder, fenced writes."""

from datetime import timedelta

import pytest
from celery import current_app
from django.db import transaction
from django.db.models.functions import Now
from django.utils import timezone

from calqsync.jobs import dispatch, runner, services
from calqsync.jobs.models import Job, JobState, Priority
from calqsync.jobs.services import Cancelled, LostLease, Outcome
from calqsync.tenancy import scope

KIND = "tests.work"


@pytest.fixture(autouse=True)
def bell(monkeypatch):
    services.register(KIND, "interactive")
    rung = []
    monkeypatch.setattr(
        services.current_app, "send_task", lambda name, args, **kw: rung.append(tuple(args))
    )
    yield rung
    services._QUEUES.pop(KIND)


@pytest.fixture
def tenant(cast):
    with scope.tenant(cast.tenant.pk):
        yield cast.tenant


def past(job):
    Job.objects.filter(pk=job.pk).update(lease_until=Now() - timedelta(seconds=1))


def test_enqueueing_twice_makes_one_live_job(tenant):
    first = services.enqueue(kind=KIND, key="a")
    assert services.enqueue(kind=KIND, key="a").pk == first.pk
    assert services.enqueue(kind=KIND, key="b").pk != first.pk


def test_the_doorbell_rings_only_after_the_commit(tenant, bell, django_capture_on_commit_callbacks):
    with django_capture_on_commit_callbacks(execute=True):
        job = services.enqueue(kind=KIND)
        assert bell == []
    assert bell == [(tenant.pk, job.pk)]


def test_a_broker_that_is_down_loses_no_job(
    tenant, monkeypatch, django_capture_on_commit_callbacks
):
    def down(*args, **kwargs):
        raise ConnectionRefusedError

    monkeypatch.setattr(current_app, "send_task", down)
    with django_capture_on_commit_callbacks(execute=True):
        job = services.enqueue(kind=KIND)
    assert Job.objects.get(pk=job.pk).state == JobState.QUEUED


def test_a_job_is_claimed_once(tenant):
    job = services.enqueue(kind=KIND)
    assert services.claim(job.pk).epoch == 1
    assert services.claim(job.pk) is None


def test_a_job_of_the_future_is_not_claimed(tenant):
    job = services.enqueue(kind=KIND, run_after=timezone.now() + timedelta(hours=1))
    assert services.claim(job.pk) is None


def test_a_strangers_wake_up_claims_nothing(cast):
    with scope.tenant(cast.tenant.pk):
        job = services.enqueue(kind=KIND)
    with scope.tenant(cast.stranger_tenant.pk):
        assert services.claim(job.pk) is None


def test_an_abandoned_job_is_taken_over_and_its_old_holder_is_fenced_off(tenant):
    job = services.enqueue(kind=KIND)
    old = services.claim(job.pk)
    past(job)
    new = services.claim(job.pk)
    new.fence()
    with pytest.raises(LostLease):
        old.fence()
    with pytest.raises(LostLease):
        services.finish(old, Outcome.done())


def test_a_job_that_kills_its_worker_every_time_is_given_up(tenant):
    job = services.enqueue(kind=KIND)
    for _ in range(services.MAX_DELIVERIES):
        assert services.claim(job.pk) is not None
        past(job)
    assert services.claim(job.pk) is None
    job.refresh_from_db()
    assert (job.state, job.error_class) == (JobState.FAILED, "WorkerLost")


def test_a_job_that_is_its_own_schedule_is_tried_again_after_a_while(tenant, monkeypatch):
    monkeypatch.setitem(services._REVIVED, KIND, timedelta(hours=1))
    job = services.enqueue(kind=KIND)
    for _ in range(services.MAX_DELIVERIES):
        services.claim(job.pk)
        past(job)
    assert services.claim(job.pk) is None
    job.refresh_from_db()
    assert (job.state, job.error_class) == (JobState.QUEUED, "WorkerLost")
    assert services.claim(job.pk) is None, "it waits first"
    Job.objects.filter(pk=job.pk).update(run_after=Now())
    assert services.claim(job.pk) is not None


def test_a_job_wanted_again_while_it_runs_is_due_when_it_ends(tenant):
    job = services.enqueue(kind=KIND)
    held = services.claim(job.pk)
    services.enqueue(kind=KIND)
    services.finish(held, Outcome.again(timedelta(hours=6)))
    once_more = services.claim(job.pk)
    services.finish(once_more, Outcome.again(timedelta(hours=6)))
    assert services.claim(job.pk) is None, "it was wanted once"


def test_a_job_wanted_for_later_while_it_runs_is_not_due_when_it_ends(tenant):
    job = services.enqueue(kind=KIND)
    held = services.claim(job.pk)
    services.enqueue(kind=KIND, run_after=timezone.now() + timedelta(hours=1))
    services.finish(held, Outcome.again(timedelta(hours=6)))
    assert services.claim(job.pk) is None


@pytest.mark.parametrize("again_in", [None, timedelta(0), timedelta(hours=6)])
def test_a_job_that_a_person_wants_while_it_runs_is_run_again_in_their_lane(
    tenant, monkeypatch, again_in
):
    monkeypatch.setitem(services._QUEUES, KIND, "sync")
    job = services.enqueue(kind=KIND)
    held = services.claim(job.pk)
    services.enqueue(kind=KIND, priority=Priority.INTERACTIVE)
    services.enqueue(kind=KIND, priority=Priority.BACKFILL)
    services.finish(held, Outcome(again_in=again_in))
    again = services.claim(job.pk)
    assert (again.queue, again.priority) == ("interactive", Priority.INTERACTIVE)
    services.finish(again, Outcome.again(timedelta(0)))
    last = services.claim(job.pk)
    assert (last.queue, last.priority) == ("sync", Priority.BACKFILL)


UNSERVED = {
    "retried": lambda work: services.retry_later(work, error_class="Oops", error="no"),
    "given up": lambda work: services.fail(work, error_class="Oops", error="no"),
}


@pytest.mark.parametrize("revive_after", [None, timedelta(hours=1)])
@pytest.mark.parametrize("end", UNSERVED)
def test_a_job_that_a_person_wants_while_it_fails_is_run_again_at_once_in_their_lane(
    tenant, monkeypatch, bell, django_capture_on_commit_callbacks, end, revive_after
):
    monkeypatch.setitem(services._QUEUES, KIND, "sync")
    if revive_after:
        monkeypatch.setitem(services._REVIVED, KIND, revive_after)
    held = services.claim(services.enqueue(kind=KIND).pk)
    services.enqueue(kind=KIND, priority=Priority.INTERACTIVE, payload={"of": "the person"})
    bell.clear()
    with django_capture_on_commit_callbacks(execute=True):
        UNSERVED[end](held)
    due = services.live_job(kind=KIND)
    assert bell == [(tenant.pk, due.pk)]
    again = services.claim(due.pk)
    assert (again.queue, again.payload) == ("interactive", {"of": "the person"})
    services.finish(again, Outcome.again(timedelta(hours=6)))
    assert services.claim(due.pk) is None, "it was wanted once"
    due.refresh_from_db()
    assert due.priority == Priority.SCHEDULED


@pytest.mark.parametrize("end", UNSERVED)
def test_a_job_that_nobody_wants_again_is_not_run_at_once_when_it_fails(tenant, end):
    held = services.claim(services.enqueue(kind=KIND).pk)
    UNSERVED[end](held)
    live = services.live_job(kind=KIND)
    assert live is None or services.claim(live.pk) is None


def test_a_job_wanted_before_it_is_cancelled_ends_and_one_wanted_afterwards_is_run(tenant):
    wanted_before = services.claim(services.enqueue(kind=KIND).pk)
    services.enqueue(kind=KIND, priority=Priority.INTERACTIVE)
    services.cancel(kind=KIND)
    services.stopped(wanted_before)
    assert services.live_job(kind=KIND) is None
    wanted_afterwards = services.claim(services.enqueue(kind=KIND).pk)
    services.enqueue(kind=KIND, priority=Priority.INTERACTIVE)
    services.cancel(kind=KIND)
    services.enqueue(kind=KIND)
    services.stopped(wanted_afterwards)
    assert services.claim(services.live_job(kind=KIND).pk).priority == Priority.SCHEDULED


def test_a_job_cancelled_while_it_runs_is_not_put_back(tenant):
    going_on = services.claim(services.enqueue(kind=KIND).pk)
    services.cancel(kind=KIND)
    services.finish(going_on, Outcome.again(timedelta(hours=6)))
    assert services.live_job(kind=KIND) is None
    failing = services.claim(services.enqueue(kind=KIND).pk)
    services.cancel(kind=KIND)
    services.retry_later(failing, error_class="Oops", error="no")
    assert services.live_job(kind=KIND) is None


@pytest.mark.parametrize("ends", [
    lambda held: services.finish(held, Outcome.done()),
    lambda held: services.finish(held, Outcome.again(timedelta(hours=6))),
    lambda held: services.retry_later(held, error_class="Oops", error="no"),
    lambda held: services.fail(held, error_class="Oops", error="no"),
    services.stopped,
])  # fmt: skip
def test_a_job_wanted_after_it_was_cancelled_is_run_however_its_run_ends(tenant, ends):
    held = services.claim(services.enqueue(kind=KIND).pk)
    services.cancel(kind=KIND)
    services.enqueue(kind=KIND)
    ends(held)
    services.claim(services.live_job(kind=KIND).pk).fence()


@pytest.mark.parametrize("ends", [
    lambda held: services.finish(held, Outcome.done()),
    lambda held: services.finish(held, Outcome.again(timedelta(hours=6))),
    lambda held: services.fail(held, error_class="Oops", error="no"),
    services.stopped,
])  # fmt: skip
def test_a_job_wanted_for_later_while_it_runs_is_due_then(tenant, ends):
    held = services.claim(services.enqueue(kind=KIND).pk)
    now = timezone.now()
    soon = now + timedelta(hours=1)
    services.enqueue(kind=KIND, run_after=now + timedelta(hours=2), payload={"for": "later"})
    services.enqueue(kind=KIND, run_after=soon)
    ends(held)
    waiting = services.live_job(kind=KIND)
    assert (waiting.run_after, waiting.payload) == (soon, {"for": "later"})
    assert services.claim(waiting.pk) is None


def test_a_job_wanted_for_later_is_run_no_later_than_it_would_have_been(tenant):
    held = services.claim(services.enqueue(kind=KIND).pk)
    services.enqueue(kind=KIND, run_after=timezone.now() + timedelta(hours=6))
    services.finish(held, Outcome.again(timedelta(0)))
    assert services.claim(services.live_job(kind=KIND).pk) is not None


def test_a_job_wanted_for_later_and_then_cancelled_is_over(tenant):
    held = services.claim(services.enqueue(kind=KIND).pk)
    services.enqueue(kind=KIND, run_after=timezone.now() + timedelta(hours=1))
    services.cancel(kind=KIND)
    services.stopped(held)
    assert services.live_job(kind=KIND) is None


def test_a_waiting_job_that_a_person_wants_goes_into_their_lane(tenant, monkeypatch):
    monkeypatch.setitem(services._QUEUES, KIND, "sync")
    job = services.enqueue(kind=KIND, priority=Priority.BACKFILL)
    services.enqueue(kind=KIND, priority=Priority.INTERACTIVE)
    services.enqueue(kind=KIND, priority=Priority.SCHEDULED)
    held = services.claim(job.pk)
    assert (held.queue, held.priority) == ("interactive", Priority.INTERACTIVE)


def test_a_recurring_job_keeps_its_row_and_waits(tenant):
    job = services.enqueue(kind=KIND)
    services.finish(services.claim(job.pk), Outcome.again(timedelta(hours=6)))
    job.refresh_from_db()
    assert job.state == JobState.QUEUED
    assert services.claim(job.pk) is None
    services.enqueue(kind=KIND)
    assert services.claim(job.pk) is not None


def test_cancelling_a_running_job_stops_it_at_its_next_fence(tenant):
    job = services.enqueue(kind=KIND)
    held = services.claim(job.pk)
    services.cancel(kind=KIND)
    with pytest.raises(Cancelled):
        held.fence()


def test_a_failing_job_is_retried_with_growing_waits_and_then_given_up(tenant):
    job = services.enqueue(kind=KIND)
    waits = []
    for _ in range(services.MAX_ATTEMPTS):
        Job.objects.filter(pk=job.pk).update(run_after=Now())
        services.retry_later(services.claim(job.pk), error_class="Oops", error="no")
        job.refresh_from_db()
        if job.state == JobState.QUEUED:
            waits.append(job.run_after)
    assert job.state == JobState.FAILED
    assert waits == sorted(waits)


def test_what_waits_behind_its_tenants_other_jobs_is_not_called_stuck(tenant):
    from calqsync.jobs.admin import stuck

    jobs = [services.enqueue(kind=KIND, key=str(number)) for number in range(3)]
    long_ago = Now() - timedelta(days=1)
    Job.objects.filter(kind=KIND).update(run_after=long_ago)
    assert Job.objects.filter(stuck(timezone.now()), kind=KIND).count() == 3, (
        "no worker has any of them"
    )
    services.claim(jobs[0].pk)
    Job.objects.filter(pk=jobs[1].pk).update(admitted_at=long_ago)
    found = Job.objects.filter(stuck(timezone.now()), kind=KIND).values_list("pk", flat=True)
    assert list(found) == [jobs[1].pk], "rung for long ago, and nobody came"


@pytest.mark.django_db(transaction=True, databases=["default", "dispatcher"])
class TestDispatcher:
    @pytest.fixture
    def due(self, committed_cast, monkeypatch):
        """A job of each company whose wake-ups got lost before anyone noted them."""
        monkeypatch.setattr(dispatch, "_messages_waiting", dict)
        jobs = []
        for tenant in (committed_cast.tenant, committed_cast.stranger_tenant):
            with transaction.atomic(), scope.tenant(tenant.pk):
                jobs.append(services.enqueue(kind=KIND))
                Job.objects.update(admitted_at=None, nudged_at=None)
        return jobs

    def test_hands_out_due_jobs_of_every_tenant(self, due, bell):
        bell.clear()
        assert dispatch.dispatch_due() == 2
        assert sorted(bell) == sorted((job.tenant_id, job.pk) for job in due)

    def test_does_not_ring_again_at_once(self, due):
        assert dispatch.dispatch_due() == 2
        assert dispatch.dispatch_due() == 0

    def test_rings_again_when_the_bell_was_not_heard(self, due, settings):
        dispatch.dispatch_due()
        settings.DISPATCH_SECONDS = 0
        assert dispatch.dispatch_due() == 2

    def test_rings_less_often_while_workers_are_still_emptying_the_lane(
        self, due, settings, monkeypatch
    ):
        dispatch.dispatch_due()
        settings.DISPATCH_SECONDS = 0
        monkeypatch.setattr(dispatch, "_messages_waiting", lambda: {"interactive": 5})
        assert dispatch.dispatch_due() == 0

    def test_leaves_what_the_broker_has_no_room_for(self, due, monkeypatch):
        monkeypatch.setattr(
            dispatch, "_messages_waiting", lambda: {"interactive": dispatch.AHEAD - 1}
        )
        assert dispatch.dispatch_due() == 1

    def test_finds_jobs_whose_worker_died(self, due, committed_cast):
        with scope.tenant(due[0].tenant_id), transaction.atomic():
            services.claim(due[0].pk)
            past(due[0])
        assert dispatch.dispatch_due() == 2

    def test_tells_the_age_of_the_oldest_due_job(self, due):
        assert dispatch.oldest_due_seconds() >= 0


@pytest.mark.django_db(transaction=True)
class TestRunner:
    @pytest.fixture
    def job(self, committed_cast):
        with transaction.atomic(), scope.tenant(committed_cast.tenant.pk):
            return services.enqueue(kind=KIND)

    def state(self, job):
        with scope.tenant(job.tenant_id), transaction.atomic():
            return Job.objects.get(pk=job.pk).state

    def test_runs_the_handler_in_the_jobs_tenant(self, job):
        seen = []

        def handler(held):
            seen.append(scope.current())
            return Outcome.done()

        runner.run(handler, tenant_id=job.tenant_id, job_id=job.pk)
        assert seen == [job.tenant_id]
        assert self.state(job) == JobState.DONE

    def test_leaves_no_tenant_behind_after_a_failure(self, job):
        def handler(held):
            raise ValueError("no")

        runner.run(handler, tenant_id=job.tenant_id, job_id=job.pk)
        assert scope.current() is None
        assert self.state(job) == JobState.QUEUED

    def test_refuses_to_start_inside_another_tenant(self, job, committed_cast):
        with (
            scope.tenant(committed_cast.stranger_tenant.pk),
            pytest.raises(RuntimeError, match="still in scope"),
        ):
            runner.run(lambda held: Outcome.done(), tenant_id=job.tenant_id, job_id=job.pk)

    def test_a_message_for_an_unknown_job_does_nothing(self, job):
        runner.run(pytest.fail, tenant_id=job.tenant_id, job_id=10**9)

    def test_keeps_the_lease_while_the_handler_works(self, job, settings):
        settings.JOB_LEASE_SECONDS, settings.JOB_HEARTBEAT_SECONDS = 5.0, 0.02

        def handler(held):
            with scope.tenant(held.tenant_id):
                for _ in range(200):
                    with transaction.atomic():
                        row = Job.objects.get(pk=held.id)
                    if row.heartbeat_at > row.lease_until - timedelta(seconds=5.5) and (
                        held.lost.wait(0.02) or row.heartbeat_at != first
                    ):
                        return Outcome.done()
            pytest.fail("the lease was not renewed")

        with scope.tenant(job.tenant_id), transaction.atomic():
            first = Job.objects.get(pk=job.pk).heartbeat_at
        runner.run(handler, tenant_id=job.tenant_id, job_id=job.pk)
        assert self.state(job) == JobState.DONE
