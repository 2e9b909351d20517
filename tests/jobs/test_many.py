"""A long history slows nothing: what claims, calls and cleans looks at few rows."""

from __future__ import annotations

from contextlib import contextmanager

import pytest
from django.db import connection, connections, transaction
from django.utils import timezone

from calqsync.jobs import cleaning, dispatch, lanes, services
from calqsync.jobs.models import Job
from calqsync.jobs.services import Outcome
from calqsync.tenancy import scope

KIND = "tests.many"
ENDED = 40_000
pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "dispatcher"])


@pytest.fixture(autouse=True)
def quiet(monkeypatch):
    services.register(KIND, "sync")
    monkeypatch.setattr(services, "nudge", lambda *a: True)
    monkeypatch.setattr(dispatch, "_messages_waiting", dict)
    yield
    services._QUEUES.pop(KIND)


@pytest.fixture
def history(committed_cast, truth):
    """A company with a long history of finished jobs, one a second."""
    truth.execute(
        "INSERT INTO jobs_job (tenant_id, kind, key, queue, payload, state, lease_owner, epoch,"
        " attempts, deliveries, wanted_again, cancel_requested, error_class, error, finished_at)"
        " SELECT %s, %s, n, 'sync', '{}', 'done', '', 1, 0, 1, false, false, '', '',"
        " now() - make_interval(days => 40, secs => n) FROM generate_series(1, %s) n",
        [committed_cast.tenant.pk, KIND, ENDED],
    )
    truth.execute("ANALYZE jobs_job")
    return committed_cast.tenant


TOUCHED = (
    "SELECT seq_tup_read + coalesce(idx_tup_fetch, 0) FROM pg_stat_xact_user_tables"
    " WHERE relname = 'jobs_job'"
)


@contextmanager
def touching(at_most):
    """The block, in a transaction, reads at most so many rows of the job table."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(TOUCHED)
        before = cursor.fetchone()[0]
        yield
        cursor.execute(TOUCHED)
        touched = cursor.fetchone()[0] - before
    assert touched > 0, "the counter counts nothing"
    assert touched <= at_most


def test_q23_claims_and_ends_look_at_few_rows_among_many_finished_ones(history):
    with scope.tenant(history.pk):
        with touching(20):
            job = services.enqueue(kind=KIND, key="new")
        with touching(20):
            work = services.claim(job.pk)
        with touching(5):
            work.fence()
        with touching(20):
            services.finish(work, Outcome.done())


def scanned(plan):
    """Rows of the job table that a plan looked at, and whether it read the table whole."""
    here, whole = 0, False
    if plan.get("Relation Name") == "jobs_job" and plan["Node Type"] != "ModifyTable":
        rows = plan["Actual Rows"] + plan.get("Rows Removed by Filter", 0)
        here = rows * plan["Actual Loops"]
        whole = plan["Node Type"] == "Seq Scan"
    for child in plan.get("Plans", []):
        rows, end_to_end = scanned(child)
        here, whole = here + rows, whole or end_to_end
    return here, whole


@pytest.mark.parametrize("query", ["choose", "waiting"])
def test_q23b_dispatching_looks_at_few_rows_among_many_finished_ones(history, query):
    with scope.tenant(history.pk), transaction.atomic():
        for number in range(5):
            services.enqueue(kind=KIND, key=f"due {number}")
    with transaction.atomic(using="dispatcher"), connections["dispatcher"].cursor() as cursor:
        values = dispatch._rules(dispatch._known_lanes(cursor), {})
        sql = {"choose": dispatch._CHOOSE, "waiting": dispatch._WAITING}[query]
        cursor.execute(f"EXPLAIN (ANALYZE, FORMAT JSON) {sql}", values)
        rows, whole = scanned(cursor.fetchone()[0][0]["Plan"])
        transaction.set_rollback(True, using="dispatcher")
    assert not whole, "it read the whole table"
    assert rows <= 10 * len(lanes.LANES)


def test_q23c_finished_jobs_are_cleaned_away_in_bounded_steps(history, monkeypatch):
    monkeypatch.setattr(cleaning, "_STEP", 100)
    monkeypatch.setattr(cleaning, "AT_ONCE", 300)
    with scope.tenant(history.pk):
        with transaction.atomic():
            job = services.enqueue(kind=KIND, key="sweep")
        work = services.claim(job.pk)
        fences = []
        fence = services.ClaimedJob.fence
        monkeypatch.setattr(
            services.ClaimedJob, "fence", lambda held: fences.append(1) or fence(held)
        )
        with transaction.atomic():
            before = Job.objects.filter(state="done").order_by("finished_at")[250].finished_at
        assert cleaning.ended_delete(work, before=before) == 250
        assert len(fences) == 3, "each step is a transaction of its own"
        assert cleaning.ended_delete(work, before=timezone.now()) == 300
        with touching(400):
            cleaning._delete_some(history.pk, timezone.now())
        with transaction.atomic():
            assert Job.objects.filter(state="done").count() == ENDED - 650
            assert Job.objects.filter(pk=job.pk).exists()
