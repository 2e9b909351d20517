"""Enqueue, claim, keep and finish jobs.

Every time comes from the database's clock, so that a worker with a wrong clock harms nothing.
Patterns: insert in the caller's transaction and nudge the broker after the commit; ring for as
many of a tenant's jobs as may run; claim with one conditional UPDATE; fence each write by the
claim's epoch.
"""

from __future__ import annotations

import json
import os
import socket
from datetime import datetime, timedelta
from functools import partial
from typing import Any

import structlog
from celery import current_app
from django.db import OperationalError, connection, transaction
from django.db.models import Case, F, PositiveSmallIntegerField, Q, Value, When
from django.db.models.functions import Coalesce, Least, Now
from kombu.exceptions import OperationalError as BrokerDown
from redis.exceptions import RedisError

from calqsync.jobs import lanes
from calqsync.jobs.held import (
    Cancelled,
    ClaimedJob,
    LostLease,
    Outcome,
    doing,
    kept,
    lease,
    mine,
)
from calqsync.jobs.models import LIVE, Job, JobState, Priority
from calqsync.tenancy import scope
from calqsync.tenancy.logs import redact

__all__ = [
    "Cancelled",
    "ClaimedJob",
    "LostLease",
    "Outcome",
    "cancel",
    "claim",
    "enqueue",
    "fail",
    "finish",
    "kept",
    "kinds",
    "live_job",
    "nudge",
    "register",
    "retry_later",
    "ring_next",
    "stopped",
]

log = structlog.get_logger(__name__)
MAX_ATTEMPTS = 6
MAX_DELIVERIES = 3
_QUEUES: dict[str, str] = {}
_REVIVED: dict[str, timedelta] = {}
# Says which process holds a lease; a worker puts its node's name here.
node = socket.gethostname()
# The one definition of "should be running and is not", for claim, dispatch and health.
DUE = (
    "((state = 'queued' AND run_after <= statement_timestamp())"
    " OR (state = 'leased' AND lease_until < statement_timestamp()))"
)
# What counts against a tenant's cap: running, or rung for and not yet taken.
_RUNNING = "state = 'leased' AND lease_until >= statement_timestamp()"
_CALLED = "state = 'queued' AND admitted_at IS NOT NULL AND run_after <= statement_timestamp()"
_ADMIT = f"""
WITH next AS MATERIALIZED (
    SELECT id FROM jobs_job WHERE tenant_id = %(tenant)s AND queue = %(lane)s AND state = 'queued'
    AND run_after <= statement_timestamp() AND admitted_at IS NULL
    ORDER BY priority, run_after, id LIMIT greatest(0, %(cap)s
        - (SELECT count(*) FROM jobs_job WHERE tenant_id = %(tenant)s AND queue = %(lane)s
           AND {_RUNNING})
        - (SELECT count(*) FROM jobs_job WHERE tenant_id = %(tenant)s AND queue = %(lane)s
           AND {_CALLED}))
    FOR NO KEY UPDATE SKIP LOCKED)
UPDATE jobs_job j SET admitted_at = statement_timestamp(), nudged_at = statement_timestamp()
FROM next WHERE j.tenant_id = %(tenant)s AND j.id = next.id RETURNING j.id, j.kind
"""
# One claim at a time in a tenant's lane, or two would each see room for the last one.
_ENTER = (
    "SELECT queue, set_config('lock_timeout', '2s', true),"
    " pg_advisory_xact_lock(hashtextextended(tenant_id || queue, 7261003))"
    " FROM jobs_job WHERE tenant_id = %s AND id = %s"
)
_CLAIM = f"""
UPDATE jobs_job j SET state = 'leased', epoch = epoch + 1, lease_owner = %(owner)s,
    lease_until = statement_timestamp() + %(lease)s, heartbeat_at = statement_timestamp(),
    deliveries = deliveries + 1, admitted_at = NULL, nudged_at = NULL
FROM (SELECT id FROM jobs_job WHERE tenant_id = %(tenant)s AND id = %(job)s AND {DUE}
      FOR UPDATE) due
WHERE j.tenant_id = %(tenant)s AND j.id = due.id AND %(cap)s > (
    SELECT count(*) FROM jobs_job WHERE tenant_id = %(tenant)s AND queue = %(lane)s
    AND id <> %(job)s AND {_RUNNING})
RETURNING kind, key, queue, priority, payload::text, epoch, attempts, deliveries
"""


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
    priority: Priority | None = None,
) -> Job:
    """Have the job run at `run_after` (default: now); joins the live one if there is any.

    A queued one is brought forward, a running one is run once more when it ends; with this
    `priority` where it is the more urgent one. It is INTERACTIVE where a person waits, and by
    default that of the job which enqueues.
    """
    wish = doing.get() if priority is None else priority
    lane = lanes.lane_of(_QUEUES[kind], wish)
    due: Any = run_after or Now()
    wished = Value(wish, PositiveSmallIntegerField())
    # What was rung for in its old lane might have to wait there; the new one rings again.
    lower = Q(state=JobState.QUEUED, priority__gt=wish)
    changes: dict[str, Any] = {
        "run_after": Least(F("run_after"), due),
        "queue": Case(When(lower, then=Value(lane)), default=F("queue")),
        "priority": Case(When(lower, then=wished), default=F("priority")),
        "admitted_at": Case(When(lower, then=None), default=F("admitted_at")),
        "nudged_at": Case(When(lower, then=None), default=F("nudged_at")),
    }
    if payload is not None:
        changes["payload"] = payload
    if run_after is None:
        running = Q(state=JobState.LEASED)
        urgent = Least(Coalesce(F("wanted_priority"), wished), wished)
        changes |= {
            "wanted_again": Case(When(running, then=Value(True)), default=F("wanted_again")),
            "wanted_priority": Case(When(running, then=urgent), default=F("wanted_priority")),
        }
    job: Job
    joined = 0
    while not joined:
        job, created = Job.objects.get_or_create(
            kind=kind,
            key=key,
            state__in=LIVE,
            defaults={
                "tenant_id": scope.required(),
                "queue": lane,
                "priority": wish,
                "payload": payload or {},
                "state": JobState.QUEUED,
                **({"run_after": run_after} if run_after else {}),
            },
        )
        # One that ended while this waited for its row is not joined: nobody would run it again.
        joined = created or Job.objects.filter(pk=job.pk, state__in=LIVE).update(**changes)
    if run_after is None:
        ring_next(lane)
    return job


def ring_next(lane: str) -> None:
    """Ring, after the commit, for the next due jobs of the tenant in scope that may run now.

    The first come first; the rest keep waiting as rows, so that no tenant's many jobs fill the
    broker. Needs a running transaction.
    """
    tenant_id = scope.required()
    with connection.cursor() as cursor:
        cursor.execute(_ADMIT, {"tenant": tenant_id, "lane": lane, "cap": lanes.cap(lane)})
        for job_id, kind in cursor.fetchall():
            transaction.on_commit(partial(_ring, tenant_id, job_id, kind, lane))


def _ring(tenant_id: int, job_id: int, kind: str, lane: str) -> None:
    nudge(tenant_id, job_id, kind, lane)


def nudge(tenant_id: int, job_id: int, kind: str, queue: str) -> bool:
    """Ring the broker's doorbell; the dispatcher rings again if this one is lost."""
    try:
        current_app.send_task(kind, args=[tenant_id, job_id], queue=queue, retry=False)
    # A full broker answers with an error of its own kind.
    except (BrokerDown, RedisError, OSError) as error:
        log.warning("job.nudge_lost", job=job_id, error=str(error))
        return False
    return True


@transaction.atomic
def cancel(*, kind: str, key: str = "") -> None:
    """Ask the live job to stop: at once when queued, at its next fence when running."""
    queued, running = Q(state=JobState.QUEUED), Q(state=JobState.LEASED)
    # One statement: between two a job that is put back would be missed by both.
    Job.objects.filter(kind=kind, key=key, state__in=LIVE).update(
        state=Case(When(queued, then=Value(JobState.CANCELLED)), default=F("state")),
        finished_at=Case(When(queued, then=Now()), default=F("finished_at")),
        cancel_requested=Case(When(running, then=Value(True)), default=F("cancel_requested")),
        # What was wished for before is taken back; what is wished for from now on is not.
        wanted_again=Case(When(running, then=Value(False)), default=F("wanted_again")),
        wanted_priority=Case(When(running, then=None), default=F("wanted_priority")),
    )


def claim(job_id: int) -> ClaimedJob | None:
    """Take the job if it is due, free and its tenant's turn; else None.

    One that would be beyond its tenant's cap is put back, and rung for when there is room.
    """
    try:
        return _claim(job_id)
    except OperationalError as error:
        if getattr(error.__cause__, "pgcode", "") != _LOCKED:
            raise
        # Its last holder froze inside a transaction; the server will end that.
        log.warning("job.held", job=job_id)
        return None


_LOCKED = "55P03"


@transaction.atomic
def _claim(job_id: int) -> ClaimedJob | None:
    tenant_id = scope.required()
    with connection.cursor() as cursor:
        cursor.execute(_ENTER, [tenant_id, job_id])
        entered = cursor.fetchone()
        if entered is None:
            return None
        cursor.execute(
            _CLAIM,
            {
                "owner": f"{node}:{os.getpid()}",
                "lease": lease(),
                "tenant": tenant_id,
                "job": job_id,
                "lane": entered[0],
                "cap": lanes.cap(entered[0]),
            },
        )
        row = cursor.fetchone()
        if row is None:
            cursor.execute(
                "UPDATE jobs_job SET admitted_at = NULL, nudged_at = NULL"
                f" WHERE tenant_id = %s AND id = %s AND {DUE}",
                [tenant_id, job_id],
            )
            return None
    kind, key, queue, priority, payload, epoch, attempts, deliveries = row
    claimed = ClaimedJob(
        id=job_id,
        tenant_id=tenant_id,
        kind=kind,
        key=key,
        queue=queue,
        priority=priority,
        payload=json.loads(payload),
        epoch=epoch,
        attempts=attempts,
    )
    if deliveries > MAX_DELIVERIES:
        # A job that kills its worker every time must not do so for ever.
        fail(claimed, error_class="WorkerLost", error="The worker died during this job.")
        return None
    return claimed


def _leave(job: ClaimedJob, **changes: Any) -> None:
    """Give the job up as `changes` say, and its place to the tenant's next one."""
    mine(job).update(lease_until=None, **changes)
    ring_next(job.queue)


def _leave_unserved(job: ClaimedJob, **changes: Any) -> None:
    """Give up a run that served no wish: one that came meanwhile counts as one that comes now."""
    row = mine(job).select_for_update()
    wish = row.values("wanted_again", "wanted_priority", "payload").first()
    _leave(job, wanted_again=False, wanted_priority=None, **changes)
    if wish is not None and wish["wanted_again"]:
        enqueue(
            kind=job.kind,
            key=job.key,
            payload=wish["payload"],
            priority=wish["wanted_priority"],
        )


def _back(job: ClaimedJob, wait: Any, priority: int = Priority.SCHEDULED) -> dict[str, Any]:
    """Columns of a job that is put back, in the lane of its priority."""
    return {
        "state": JobState.QUEUED,
        "run_after": Now() + wait,
        "queue": lanes.lane_of(_QUEUES[job.kind], priority),
        "priority": priority,
        "admitted_at": None,
        "nudged_at": None,
        "deliveries": 0,
    }


@transaction.atomic
def finish(job: ClaimedJob, outcome: Outcome) -> None:
    """Record how the run ended; a job that was wanted again meanwhile is due at once."""
    if outcome.erased:
        return
    row = mine(job).select_for_update().values("wanted_again", "wanted_priority").first()
    if row is None:
        raise LostLease(job.id)
    wait = timedelta(0) if row["wanted_again"] else outcome.again_in
    changes: dict[str, Any] = {"error": "", "error_class": ""}
    if wait is None:
        changes |= {"state": JobState.DONE, "finished_at": Now()}
    else:
        # What has more to do than one slice lets others go first.
        more = outcome.again_in == timedelta(0)
        usual = Priority.BACKFILL if more else Priority.SCHEDULED
        wished = row["wanted_priority"]
        changes |= _back(job, wait, usual if wished is None else min(usual, wished))
        changes |= {"wanted_again": False, "wanted_priority": None}
        changes |= {"attempts": 0 if outcome.resets else F("attempts")}
    _leave(job, **changes)
    if wait == timedelta(0) and changes["queue"] != job.queue:
        ring_next(changes["queue"])


@transaction.atomic
def fail(job: ClaimedJob, *, error_class: str, error: str) -> None:
    """Give the job up: it ends as failed, or waits long if it is its own schedule.

    One that was wanted again meanwhile is due at once, as a new row where this one has ended.
    """
    log.error("job.given_up", job=job.id, kind=job.kind, error_class=error_class)
    said = {"error_class": error_class[:120], "error": redact(error)[:2000]}
    if revive_after := _REVIVED.get(job.kind):
        _leave_unserved(job, **_back(job, revive_after), **said, attempts=0)
    else:
        _leave_unserved(job, state=JobState.FAILED, finished_at=Now(), **said)


@transaction.atomic
def stopped(job: ClaimedJob) -> None:
    """End the job as cancelled; what was wanted after the wish to cancel is due, as a new row."""
    _leave_unserved(job, state=JobState.CANCELLED, finished_at=Now())


@transaction.atomic
def retry_later(job: ClaimedJob, *, error_class: str, error: str) -> None:
    """Put the job back with exponential waiting; fails it after MAX_ATTEMPTS.

    One that was wanted again meanwhile waits no longer.
    """
    if job.attempts + 1 >= MAX_ATTEMPTS:
        fail(job, error_class=error_class, error=error)
        return
    _leave_unserved(
        job,
        **_back(job, timedelta(seconds=5 * 3**job.attempts)),
        attempts=F("attempts") + 1,
        error_class=error_class[:120],
        error=redact(error)[:2000],
    )


def live_job(*, kind: str, key: str = "") -> Job | None:
    """The queued or running job of this kind and key, if any."""
    found: Job | None = Job.objects.filter(Q(state__in=LIVE), kind=kind, key=key).first()
    return found
