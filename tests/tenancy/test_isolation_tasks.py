"""A worker's process does one tenant's work after the other's: nothing of the first is left."""

import os
import signal

import pytest
from billiard.exceptions import SoftTimeLimitExceeded
from django.db import DatabaseError, connection, transaction

from calqsync.jobs import runner, services
from calqsync.jobs.models import Job
from calqsync.jobs.services import Outcome
from calqsync.tenancy import scope
from integrations.models import Connection

KIND = "tests.isolation"
pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def quiet(monkeypatch):
    services.register(KIND, "interactive")
    monkeypatch.setattr(services.current_app, "send_task", lambda *a, **kw: None)
    yield
    services._QUEUES.pop(KIND)


def run(tenant, handler):
    """Queue a job of this tenant and run it as a worker's child does."""
    with scope.tenant(tenant.pk), transaction.atomic():
        job = services.enqueue(kind=KIND)
    runner.run(handler, tenant_id=tenant.pk, job_id=job.pk)
    with scope.tenant(tenant.pk), transaction.atomic():
        return Job.objects.get(pk=job.pk)


def make_connection(_job):
    with transaction.atomic():
        Connection.objects.create(name="A's account", company_id="1", company_name="A")
    return Outcome.done()


def raises(_job):
    with transaction.atomic():
        list(Connection.objects.all())
        raise ValueError("in the middle of A's work")


def breaks_its_transaction(_job):
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SELECT 1 / 0")


def runs_out_of_time(_job):
    """What Celery's soft time limit does to a child: an exception out of a signal, mid-query."""

    def too_long(_number, _frame):
        raise SoftTimeLimitExceeded

    before = signal.signal(signal.SIGUSR1, too_long)
    try:
        with transaction.atomic():
            list(Connection.objects.all())
            os.kill(os.getpid(), signal.SIGUSR1)
            list(Connection.objects.all())
    finally:
        signal.signal(signal.SIGUSR1, before)
    return Outcome.done()


ENDS = {
    "well": make_connection,
    "with an exception": raises,
    "with a broken transaction": breaks_its_transaction,
    "out of time": runs_out_of_time,
}


def what_is_seen():
    with connection.cursor() as cursor:
        cursor.execute("SELECT name FROM integrations_connection")
        return cursor.fetchall()


@pytest.mark.parametrize("end", ENDS)
def test_i15_a_task_that_forgot_its_scope_finds_nothing_of_the_task_before(committed_cast, end):
    run(committed_cast.tenant, make_connection)
    run(committed_cast.tenant, ENDS[end])
    # B's code in the same process, which forgot to open its scope.
    with pytest.raises(scope.NoTenant), transaction.atomic():
        list(Connection.objects.all())
    with transaction.atomic():
        assert what_is_seen() == []
    assert what_is_seen() == []


@pytest.mark.parametrize("end", ENDS)
def test_i15b_the_next_tenants_task_sees_its_own_rows_alone(committed_cast, end):
    run(committed_cast.tenant, make_connection)
    run(committed_cast.tenant, ENDS[end])
    seen = []

    def look(_job):
        with transaction.atomic():
            seen.append((scope.current(), list(Connection.objects.all()), what_is_seen()))
        return Outcome.done()

    job = run(committed_cast.stranger_tenant, look)
    assert seen == [(committed_cast.stranger_tenant.pk, [], [])]
    assert job.state == "done"


def test_i15c_a_task_that_starts_inside_another_tenants_scope_is_refused(committed_cast):
    with scope.tenant(committed_cast.tenant.pk), pytest.raises(RuntimeError, match="still in sc"):
        runner.run(make_connection, tenant_id=committed_cast.stranger_tenant.pk, job_id=1)


def test_i15d_a_message_with_the_wrong_tenant_runs_nothing(committed_cast):
    with scope.tenant(committed_cast.tenant.pk), transaction.atomic():
        job = services.enqueue(kind=KIND)
    ran = []
    runner.run(ran.append, tenant_id=committed_cast.stranger_tenant.pk, job_id=job.pk)
    assert ran == []


def test_i15e_a_failed_tasks_tenant_is_not_left_in_the_session(committed_cast):
    run(committed_cast.tenant, breaks_its_transaction)
    with connection.cursor() as cursor:
        cursor.execute("SELECT current_setting('app.tenant', true)")
        assert cursor.fetchone()[0] in ("", None)
    with pytest.raises(DatabaseError), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("INSERT INTO integrations_connection (name) VALUES ('of nobody')")
