"""Enqueue, claim, keep and finish jobs.

Every time comes from the database's clock, so that a worker with a wrong clock harms nothing.
Patterns: insert in the caller's transaction and nudge the broker after the commit; claim with
one conditional UPDATE; fence each write by the claim's epoch.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import structlog
from celery import current_app
from django.conf import settings
from django.db import connection, connections, transaction
from django.db.models import Case, F, Q, Value, When
from django.db.models.functions import Least, Now
from kombu.exceptions import OperationalError as BrokerDown

from calqsync.jobs.models import LIVE, Job, JobState
from calqsync.tenancy import scope
from calqsync.tenancy.logs import redact

log = structlog.get_logger(__name__)
MAX_ATTEMPTS = 6
MAX_DELIVERIES = 3
_QUEUES: dict[str, str] = {}
_REVIVED: dict[str, timedelta] = {}
# The one definition of "should be running and is not", for claim, dispatch and health.
_DUE = (
    "((state = 'queued' AND run_after <= statement_timestamp())"
    " OR (state = 'leased' AND lease_until < statement_timestamp()))"
)


class LostLease(Exception):
    """Another worker holds the job now; nothing more may be written."""


class Cancelled(Exception):
    """Somebody asked for the job to stop."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How a job's run ended: done for good, or to be run again after some seconds.

    `resets` clears attempts and deliveries: the run made progress. `erased` says that the run
    deleted the job's own row, so that there is nothing to record.
    """

    again_in: timedelta | None = None
    resets: bool = True
    erased: bool = False

    @classmethod
    def done(cls) -> Outcome:
        return cls()

    @classmethod
    def gone(cls) -> Outcome:
        return cls(erased=True)

    @classmethod
    def again(cls, after: timedelta, *, resets: bool = True) -> Outcome:
        return cls(again_in=after, resets=resets)


@dataclass(slots=True, kw_only=True)
class ClaimedJob:
    """A job this worker holds: its data, and the fence for its writes."""

    id: int
    tenant_id: int
    kind: str
    key: str
    payload: dict[str, Any]
    epoch: int
    attempts: int
    lost: threading.Event = field(default_factory=threading.Event)

    def fence(self) -> None:
        """First statement of every write transaction; raises LostLease or Cancelled.

        The row stays locked in share mode until the commit, so that nobody can take the job
        over between this check and the write.
        """
        if self.lost.is_set():
            raise LostLease(self.id)
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT cancel_requested FROM jobs_job WHERE tenant_id = %s AND id = %s"
                " AND epoch = %s AND state = 'leased' FOR SHARE",
                [self.tenant_id, self.id, self.epoch],
            )
            row = cursor.fetchone()
        if row is None:
            raise LostLease(self.id)
        if row[0]:
            raise Cancelled(self.id)


def register(kind: str, queue: str, *, revive_after: timedelta | None = None) -> None:
    """Make a kind known, with the queue its wake-ups travel in.

    A job that is its own schedule names `revive_after`: given up, it is tried again after that
    time, because a row that ended would end the schedule with it.
    """
    _QUEUES[kind] = queue
    if revive_after is not None:
        _REVIVED[kind] = revive_after


def kinds() -> dict[str, str]:
    """Every registered kind with its queue."""
    return dict(_QUEUES)


@transaction.atomic
def enqueue(
    *,
    kind: str,
    key: str = "",
    run_after: datetime | None = None,
    payload: dict[str, Any] | None = None,
) -> Job:
    """Have the job run at `run_after` (default: now); joins the live one if there is any.

    A queued one is brought forward, a running one is run once more when it ends.
    """
    queue = _QUEUES[kind]
    due: Any = run_after or Now()
    job: Job
    job, created = Job.objects.get_or_create(
        kind=kind,
        key=key,
        state__in=LIVE,
        defaults={
            "tenant_id": scope.required(),
            "queue": queue,
            "payload": payload or {},
            "state": JobState.QUEUED,
            **({"run_after": run_after} if run_after else {}),
        },
    )
    if not created:
        Job.objects.filter(pk=job.pk).update(
            run_after=Least(F("run_after"), due),
            payload=payload if payload is not None else F("payload"),
            wanted_again=Case(
                When(state=JobState.LEASED, then=Value(run_after is None)),
                default=F("wanted_again"),
            ),
            nudged_at=None,
        )
    if run_after is None:
        tenant_id = job.tenant_id
        transaction.on_commit(lambda: nudge(tenant_id, job.pk, kind, queue))
    return job


def nudge(tenant_id: int, job_id: int, kind: str, queue: str) -> bool:
    """Ring the broker's doorbell; the dispatcher rings again if this one is lost."""
    try:
        current_app.send_task(kind, args=[tenant_id, job_id], queue=queue, retry=False)
    except (BrokerDown, OSError) as error:
        log.warning("job.nudge_lost", job=job_id, error=str(error))
        return False
    return True


@transaction.atomic
def cancel(*, kind: str, key: str = "") -> None:
    """Ask the live job to stop: at once when queued, at its next fence when running."""
    live = Job.objects.filter(kind=kind, key=key)
    live.filter(state=JobState.QUEUED).update(state=JobState.CANCELLED, finished_at=Now())
    live.filter(state=JobState.LEASED).update(cancel_requested=True)


@transaction.atomic
def claim(job_id: int) -> ClaimedJob | None:
    """Take the job if it is due and free; None when another worker got here first."""
    owner = f"{socket.gethostname()}:{threading.get_native_id()}"
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE jobs_job SET state = 'leased', epoch = epoch + 1, lease_owner = %s,"
            " lease_until = statement_timestamp() + %s, heartbeat_at = statement_timestamp(),"
            f" deliveries = deliveries + 1 WHERE tenant_id = %s AND id = %s AND {_DUE}"
            " RETURNING id",
            [owner, _lease(), scope.required(), job_id],
        )
        if cursor.fetchone() is None:
            return None
    job = Job.objects.get(pk=job_id)
    claimed = ClaimedJob(
        id=job_id,
        tenant_id=job.tenant_id,
        kind=job.kind,
        key=job.key,
        payload=job.payload,
        epoch=job.epoch,
        attempts=job.attempts,
    )
    if job.deliveries > MAX_DELIVERIES:
        # A job that kills its worker every time must not do so for ever.
        fail(claimed, error_class="WorkerLost", error="The worker died during this job.")
        return None
    return claimed


def _lease() -> Any:
    return timedelta(seconds=settings.JOB_LEASE_SECONDS)


@contextmanager
def kept(job: ClaimedJob) -> Iterator[None]:
    """Renew the lease from a thread with its own connection while the with-block runs."""
    stop = threading.Event()
    thread = threading.Thread(target=_beat, args=(job, stop), daemon=True, name="heartbeat")
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(timeout=5)


def _beat(job: ClaimedJob, stop: threading.Event) -> None:
    try:
        while not stop.wait(settings.JOB_HEARTBEAT_SECONDS):
            with scope.tenant(job.tenant_id), transaction.atomic():
                alive = _mine(job).update(lease_until=Now() + _lease(), heartbeat_at=Now())
            if not alive:
                job.lost.set()
                return
    except Exception:
        # Without renewals the lease runs out and the fence stops the work: safe, but visible.
        log.exception("job.heartbeat_failed", job=job.id)
    finally:
        connections.close_all()


def _mine(job: ClaimedJob) -> Any:
    return Job.objects.filter(pk=job.id, epoch=job.epoch, state=JobState.LEASED)


@transaction.atomic
def finish(job: ClaimedJob, outcome: Outcome) -> None:
    """Record how the run ended; a job that was wanted again meanwhile is due at once."""
    if outcome.erased:
        return
    row = _mine(job).select_for_update().values("wanted_again").first()
    if row is None:
        raise LostLease(job.id)
    wait = timedelta(0) if row["wanted_again"] else outcome.again_in
    changes: dict[str, Any] = {"lease_until": None, "error": "", "error_class": ""}
    if wait is None:
        changes |= {"state": JobState.DONE, "finished_at": Now()}
    else:
        changes |= {
            "state": JobState.QUEUED,
            "run_after": Now() + wait,
            "wanted_again": False,
            "nudged_at": None,
            "deliveries": 0,
            "attempts": 0 if outcome.resets else F("attempts"),
        }
    _mine(job).update(**changes)
    if wait == timedelta(0):
        queue = _QUEUES[job.kind]
        transaction.on_commit(lambda: nudge(job.tenant_id, job.id, job.kind, queue))


@transaction.atomic
def fail(job: ClaimedJob, *, error_class: str, error: str) -> None:
    """Give the job up: it ends as failed, or waits long if it is its own schedule."""
    log.error("job.given_up", job=job.id, kind=job.kind, error_class=error_class)
    if revive_after := _REVIVED.get(job.kind):
        _mine(job).update(
            state=JobState.QUEUED,
            run_after=Now() + revive_after,
            attempts=0,
            deliveries=0,
            lease_until=None,
            nudged_at=None,
            error_class=error_class[:120],
            error=redact(error)[:2000],
        )
        return
    _mine(job).update(
        state=JobState.FAILED,
        finished_at=Now(),
        lease_until=None,
        error_class=error_class[:120],
        error=redact(error)[:2000],
    )


@transaction.atomic
def stopped(job: ClaimedJob) -> None:
    """End the job as cancelled."""
    _mine(job).update(state=JobState.CANCELLED, finished_at=Now(), lease_until=None)


@transaction.atomic
def retry_later(job: ClaimedJob, *, error_class: str, error: str) -> None:
    """Put the job back with exponential waiting; fails it after MAX_ATTEMPTS."""
    if job.attempts + 1 >= MAX_ATTEMPTS:
        fail(job, error_class=error_class, error=error)
        return
    _mine(job).update(
        state=JobState.QUEUED,
        attempts=F("attempts") + 1,
        deliveries=0,
        run_after=Now() + timedelta(seconds=5 * 3**job.attempts),
        lease_until=None,
        nudged_at=None,
        error_class=error_class[:120],
        error=redact(error)[:2000],
    )


def dispatch_due(*, limit: int = 500, name: str = "") -> int:
    """Nudge every due or abandoned job of every tenant; returns how many.

    Runs with the dispatcher's role. Any number of dispatchers may run: one works at a time,
    and the lock ends with its transaction.
    """
    again_after: Any = timedelta(seconds=6 * settings.DISPATCH_SECONDS)
    with transaction.atomic(using="dispatcher"), connections["dispatcher"].cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_xact_lock(7261002)")
        if not cursor.fetchone()[0]:
            return 0
        cursor.execute(
            "UPDATE jobs_job j SET nudged_at = statement_timestamp() FROM (SELECT id FROM jobs_job"
            f" WHERE {_DUE}"
            " AND (nudged_at IS NULL OR nudged_at < statement_timestamp() - %s)"
            " ORDER BY run_after LIMIT %s FOR UPDATE SKIP LOCKED) due"
            " WHERE j.id = due.id RETURNING j.tenant_id, j.id, j.kind, j.queue",
            [again_after, limit],
        )
        due = cursor.fetchall()
        if name:
            cursor.execute(
                "INSERT INTO jobs_dispatcherpulse (name, at) VALUES (%s, statement_timestamp())"
                " ON CONFLICT (name) DO UPDATE SET at = statement_timestamp()",
                [name],
            )
    for tenant_id, job_id, kind, queue in due:
        if not nudge(tenant_id, job_id, kind, queue):
            break  # the broker is down; the rows stay due
    return len(due)


def oldest_due_seconds() -> float:
    """Age in seconds of the oldest job that should be running and is not; 0 when none is."""
    with connections["dispatcher"].cursor() as cursor:
        cursor.execute(
            "SELECT coalesce(extract(epoch FROM statement_timestamp() - min(greatest(run_after,"
            f" coalesce(lease_until, run_after)))), 0) FROM jobs_job WHERE {_DUE}"
        )
        return float(cursor.fetchone()[0])


def live_job(*, kind: str, key: str = "") -> Job | None:
    """The queued or running job of this kind and key, if any."""
    found: Job | None = Job.objects.filter(Q(state__in=LIVE), kind=kind, key=key).first()
    return found
