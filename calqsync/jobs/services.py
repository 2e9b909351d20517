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
from typing import Any, NamedTuple

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

    A queued one is brought forward, a running one is run once more when it has ended and it is
    time; with this `priority` where it is the more urgent one. It is INTERACTIVE where a person
    waits, and by default that of the job which enqueues.
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
    running = Q(state=JobState.LEASED)
    wishes = {
        "wanted_again": Value(True),
        "wanted_after": Least(Coalesce(F("wanted_after"), due), due),
        "wanted_priority": Least(Coalesce(F("wanted_priority"), wished), wished),
    }
    for name, value in wishes.items():
        changes[name] = Case(When(running, then=value), default=F(name))
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
        wanted_after=Case(When(running, then=None), default=F("wanted_after")),
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


class _Wish(NamedTuple):
    """What came while a job ran: whether it is cancelled, and whether it is wanted since then."""

    cancelled: bool
    again: bool
    later: datetime | None
    """When it is wanted; None for at once."""
    priority: Priority | None
    payload: dict[str, Any]


_NO_WISH: dict[str, Any] = {"wanted_again": False, "wanted_after": None, "wanted_priority": None}


def _wish(job: ClaimedJob) -> _Wish | None:
    """The wish that its row holds, locked until the transaction ends; None where it was lost."""
    later = Case(When(wanted_after__gt=Now(), then=F("wanted_after")))
    names = ("cancel_requested", "wanted_again", "later", "wanted_priority", "payload")
    row = mine(job).select_for_update().annotate(later=later).values_list(*names).first()
    return None if row is None else _Wish(*row)


def _leave_unserved(job: ClaimedJob, **changes: Any) -> None:
    """End a run that served no wish: one that came meanwhile counts as one that comes now."""
    wish = _wish(job)
    if wish is not None and wish.cancelled and changes["state"] == JobState.QUEUED:
        changes |= {"state": JobState.CANCELLED, "finished_at": Now()}
    _leave(job, **_NO_WISH, **changes)
    if wish is not None and wish.again:
        enqueue(
            kind=job.kind,
            key=job.key,
            run_after=wish.later,
            payload=wish.payload,
            priority=wish.priority,
        )


def _back(job: ClaimedJob, due: Any, priority: int = Priority.SCHEDULED) -> dict[str, Any]:
    """Columns of a job that is put back until it is `due`, in the lane of its priority."""
    return {
        "state": JobState.QUEUED,
        "run_after": due,
        "queue": lanes.lane_of(_QUEUES[job.kind], priority),
        "priority": priority,
        "admitted_at": None,
        "nudged_at": None,
        "deliveries": 0,
    }


@transaction.atomic
def finish(job: ClaimedJob, outcome: Outcome) -> None:
    """Record how the run ended; a job that was wanted again meanwhile is due when it is wanted.

    One that was cancelled meanwhile is not put back, and what is wanted since then is a new row.
    """
    if outcome.erased:
        return
    wish = _wish(job)
    if wish is None:
        raise LostLease(job.id)
    changes: dict[str, Any] = {"error": "", "error_class": ""}
    wait = outcome.again_in
    if wish.cancelled or (wait is None and not wish.again):
        state = JobState.DONE if wait is None else JobState.CANCELLED
        _leave_unserved(job, **changes, state=state, finished_at=Now())
        return
    # What has more to do than one slice lets others go first.
    usual = Priority.BACKFILL if wait == timedelta(0) else Priority.SCHEDULED
    priority = usual if wish.priority is None else min(usual, wish.priority)
    changes |= _back(job, _due(wait, wish), priority) | _NO_WISH
    changes |= {"attempts": 0 if outcome.resets else F("attempts")}
    _leave(job, **changes)
    if changes["queue"] != job.queue:
        ring_next(changes["queue"])


def _due(wait: timedelta | None, wish: _Wish) -> Any:
    """The earlier of when the run itself wants to go on, in `wait`, and when it is wanted."""
    wanted = wish.later or Now()
    if wait is None:
        return wanted
    return Least(Now() + wait, wanted) if wish.again else Now() + wait


@transaction.atomic
def fail(job: ClaimedJob, *, error_class: str, error: str) -> None:
    """Give the job up: it ends as failed, or waits long if it is its own schedule.

    One that was wanted again meanwhile is due at once, as a new row where this one has ended.
    """
    log.error("job.given_up", job=job.id, kind=job.kind, error_class=error_class)
    said = {"error_class": error_class[:120], "error": redact(error)[:2000]}
    if revive_after := _REVIVED.get(job.kind):
        _leave_unserved(job, **_back(job, Now() + revive_after), **said, attempts=0)
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
        **_back(job, Now() + timedelta(seconds=5 * 3**job.attempts)),
        attempts=F("attempts") + 1,
        error_class=error_class[:120],
        error=redact(error)[:2000],
    )


def live_job(*, kind: str, key: str = "") -> Job | None:
    """The queued or running job of this kind and key, if any."""
    found: Job | None = Job.objects.filter(Q(state__in=LIVE), kind=kind, key=key).first()
    return found
