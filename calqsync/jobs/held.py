"""A job in a worker's hands: its data, the fence for its writes, its heartbeat."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import structlog
from django.conf import settings
from django.db import DatabaseError, connection, connections, transaction
from django.db.models.functions import Now

from calqsync.jobs import lanes
from calqsync.jobs.models import Job, JobState, Priority
from calqsync.tenancy import scope

log = structlog.get_logger(__name__)
# The thread that renews a lease, by its name; it has a connection of its own.
HEARTBEAT = "heartbeat"
# What is enqueued on behalf of a person who waits is waited for as well.
doing: ContextVar[int] = ContextVar("priority of the running job", default=Priority.SCHEDULED)


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
    queue: str
    priority: int
    payload: dict[str, Any]
    epoch: int
    attempts: int
    lost: threading.Event = field(default_factory=threading.Event)

    @property
    def slice_seconds(self) -> float:
        """How long one run may take before it is put back; short where people wait for places."""
        if self.priority == Priority.INTERACTIVE:
            return min(settings.JOB_SLICE_SECONDS, lanes.INTERACTIVE_SLICE.total_seconds())
        return float(settings.JOB_SLICE_SECONDS)

    def fence(self) -> None:
        """First statement of every write transaction; raises LostLease or Cancelled.

        Until the commit nobody can take the job over, while its heartbeat and a person's wish
        to cancel still reach the row. The server ends the transaction of a process that falls
        silent inside it, so that a frozen one holds no row for ever.
        """
        if self.lost.is_set():
            raise LostLease(self.id)
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT cancel_requested,"
                " set_config('idle_in_transaction_session_timeout', %s, true)"
                " FROM jobs_job WHERE tenant_id = %s AND id = %s"
                " AND epoch = %s AND state = 'leased' FOR KEY SHARE",
                [_most_silent(), self.tenant_id, self.id, self.epoch],
            )
            row = cursor.fetchone()
        if row is None:
            raise LostLease(self.id)
        if row[0]:
            raise Cancelled(self.id)

    def end_if_silent(self) -> None:
        """First statement of a transaction that is fenced at its end: what the fence says there
        of a process that falls silent holds from the beginning.
        """
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT set_config('idle_in_transaction_session_timeout', %s, true)",
                [_most_silent()],
            )


def _most_silent() -> str:
    """Milliseconds: two leases."""
    return str(round(2000 * settings.JOB_LEASE_SECONDS))


def lease() -> Any:
    """For how long a claim or a heartbeat holds the job."""
    return timedelta(seconds=settings.JOB_LEASE_SECONDS)


@contextmanager
def kept(job: ClaimedJob) -> Iterator[None]:
    """Renew the lease from a thread with its own connection while the with-block runs."""
    stop = threading.Event()
    thread = threading.Thread(target=_beat, args=(job, stop), daemon=True, name=HEARTBEAT)
    thread.start()
    before = doing.set(
        Priority.INTERACTIVE if job.priority == Priority.INTERACTIVE else Priority.SCHEDULED
    )
    try:
        yield
    finally:
        doing.reset(before)
        stop.set()
        thread.join(timeout=5)


def _beat(job: ClaimedJob, stop: threading.Event) -> None:
    try:
        while not stop.wait(settings.JOB_HEARTBEAT_SECONDS):
            if not _renewed(job):
                job.lost.set()
                return
    except Exception:
        # Without renewals the lease runs out and the fence stops the work: safe, but visible.
        log.exception("job.heartbeat_failed", job=job.id)
    finally:
        connections.close_all()


def _renewed(job: ClaimedJob) -> bool:
    """False once another worker has the job; a database that does not answer is asked again."""
    try:
        with scope.tenant(job.tenant_id), transaction.atomic():
            return bool(mine(job).update(lease_until=Now() + lease(), heartbeat_at=Now()))
    except DatabaseError as error:
        log.warning("job.heartbeat_missed", job=job.id, error=str(error))
        connections.close_all()
        return True


def mine(job: ClaimedJob) -> Any:
    return Job.objects.filter(pk=job.id, epoch=job.epoch, state=JobState.LEASED)
