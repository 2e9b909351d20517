"""What each connection is doing, and how current its figures are.

A status is never stored. It is derived here from the connection, its newest run and its job,
so that a worker that died cannot leave a wrong word behind.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any
from uuid import UUID

from django.conf import settings
from django.utils import timezone
from django.utils.translation import gettext as _

from billing.gate import Entitlement
from billing.services import entitlement_now
from calqsync.jobs.models import LIVE, Job, JobState
from calqsync.tenancy import scope
from calqsync.tenancy.models import Tenant
from integrations.models import Connection, SyncRun
from integrations.models.connections import Trouble
from integrations.models.runs import RunState
from integrations.sync.advice import LATE, happened, mends_by_reconnecting
from integrations.sync.schedule import stale_after

SYNC_KIND = "integrations.sync"


class Code(StrEnum):
    """The six words that a connection's status can be."""

    ACTIVE = "active"
    SYNCING = "syncing"
    WAITING = "waiting"
    NEEDS_YOU = "needs_you"
    PAUSED = "paused"
    DISCONNECTED = "disconnected"


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """A status word and, where there is one, the reason and the time it ends by itself.

    `reason` is a stable code: "interrupted", "no_plan", "our_fault", "deleting", "leaving"
    (the company waits for its deletion), "by_support", "late", or the kind of a failure.
    """

    code: Code
    reason: str = ""
    until: datetime | None = None

    def __str__(self) -> str:
        return self.code.value

    @property
    def badge(self) -> str:
        """The word that is shown: a connection on its way out says so."""
        return "deleting" if self.reason == "deleting" else self.code.value


@dataclass(frozen=True, slots=True, kw_only=True)
class Freshness:
    """How current the figures from one connection are; stale after twice the schedule."""

    public_id: UUID
    name: str
    data_as_of: datetime | None
    status: Status
    stale: bool
    why: str
    """One sentence about what holds the figures up; "" when nothing does."""
    reconnect: bool
    """Whether a new login is what helps."""


def run_state(run: SyncRun, job: Job | None, *, now: datetime) -> str:
    """The run's state as people should see it: a run whose worker died is interrupted."""
    if run.state == RunState.RUNNING and _abandoned(job, now):
        return "interrupted"
    return str(run.state)


def _abandoned(job: Job | None, now: datetime) -> bool:
    if job is None:
        return True
    if job.state == JobState.LEASED:
        return job.lease_until is None or job.lease_until < now
    # Between two slices the job is queued and due at once; it is late only after a while.
    return job.run_after < now - timedelta(seconds=settings.JOB_LEASE_SECONDS)


def connection_status(
    connection: Connection,
    run: SyncRun | None,
    job: Job | None,
    *,
    now: datetime,
    plan: Entitlement,
    leaving: bool = False,
) -> Status:
    """What the connection is doing, from its facts, its newest run and its live job.

    The first that applies of: disconnected; on its way out with its company; needs you; being
    imported, or interrupted; no plan; paused; our fault; waiting for Procountor; late, where the
    figures are older than two periods; active.
    """
    if connection.disconnected_at is not None:
        return Status(
            code=Code.DISCONNECTED, reason="deleting" if connection.deleting_at is not None else ""
        )
    if leaving:
        return Status(code=Code.PAUSED, reason="leaving")
    if connection.trouble == Trouble.NEEDS_YOU:
        return Status(code=Code.NEEDS_YOU, reason=connection.trouble_kind)
    if run is not None and run.state in (RunState.QUEUED, RunState.RUNNING):
        if run_state(run, job, now=now) == "interrupted":
            return Status(code=Code.WAITING, reason="interrupted")
        return Status(code=Code.SYNCING)
    if not plan.may_import:
        return Status(code=Code.PAUSED, reason="no_plan")
    if connection.paused_at is not None:
        return Status(code=Code.PAUSED, reason="by_support" if connection.paused_by_support else "")
    if connection.trouble == Trouble.OUR_FAULT:
        return Status(code=Code.WAITING, reason="our_fault", until=connection.retry_at)
    if connection.trouble == Trouble.WAITING or (run and run.state == RunState.WAITING):
        return Status(code=Code.WAITING, reason=connection.trouble_kind, until=connection.retry_at)
    if is_stale(connection, now=now, plan=plan):
        return Status(code=Code.WAITING, reason=LATE, until=_due(job))
    return Status(code=Code.ACTIVE)


def is_stale(connection: Connection, *, now: datetime, plan: Entitlement) -> bool:
    """Whether the figures are older than two periods of the schedule, or there are none yet."""
    age = now - connection.data_as_of if connection.data_as_of else None
    return age is None or age > stale_after(connection, allowed=plan.every_hours)


def _due(job: Job | None) -> datetime | None:
    return job.run_after if job is not None and job.state == JobState.QUEUED else None


def status_of(connection: Connection, *, now: datetime | None = None) -> Status:
    """`connection_status` with the run and the job looked up."""
    return standings([connection], now or timezone.now())[0].status


# The connected accounts, each with what its newest run and its live job say of it.
_CONNECTED = """
    SELECT c.*, run.state AS run_state, job.state AS job_state, job.lease_until, job.run_after
    FROM integrations_connection c
    LEFT JOIN LATERAL (
        SELECT r.state FROM integrations_syncrun r
        WHERE r.tenant_id = c.tenant_id AND r.connection_id = c.id
        ORDER BY r.started_at DESC, r.id DESC LIMIT 1
    ) run ON true
    LEFT JOIN jobs_job job ON job.tenant_id = c.tenant_id
        AND job.kind = %s AND job.key = c.id::text AND job.state IN %s
    WHERE c.tenant_id = %s AND c.disconnected_at IS NULL
"""


def freshness(
    *,
    now: datetime | None = None,
    leaving: bool | None = None,
    plan: Entitlement | None = None,
) -> list[Freshness]:
    """How current each connected account is, by name; for the note beside the figures.

    `leaving` and `plan` are looked up where they are not given. All else is one query, for the
    note stands on every page of figures.
    """
    now = now or timezone.now()
    asked = [SYNC_KIND, tuple(LIVE), scope.required()]
    connections = list(Connection.objects.raw(_CONNECTED, asked))
    plan = plan or entitlement_now(now=now)
    leaving = _leaving() if leaving is None else leaving
    found = []
    for c in sorted(connections, key=lambda c: c.name.casefold()):
        run, job = _run_and_job(c)
        status = connection_status(c, run, job, now=now, plan=plan, leaving=leaving)
        found.append(
            Freshness(
                public_id=c.public_id,
                name=c.name,
                data_as_of=c.data_as_of,
                status=status,
                stale=is_stale(c, now=now, plan=plan),
                why=_why(status, c.trouble_kind),
                reconnect=status.code is Code.NEEDS_YOU and mends_by_reconnecting(c.trouble_kind),
            )
        )
    return found


def _run_and_job(row: Any) -> tuple[SyncRun | None, Job | None]:
    """What a row of `_CONNECTED` says of both, as far as `connection_status` asks."""
    run = SyncRun(state=row.run_state) if row.run_state else None
    if not row.job_state:
        return run, None
    return run, Job(state=row.job_state, lease_until=row.lease_until, run_after=row.run_after)


def _leaving() -> bool:
    """Whether the company in scope waits for its deletion."""
    return Tenant.objects.filter(pk=scope.required()).exclude(deletes_at=None).exists()


def _why(status: Status, kind: str) -> str:
    if status.code is Code.NEEDS_YOU:
        return happened(kind, Trouble.NEEDS_YOU)
    if status.code is Code.SYNCING:
        return _("It is being imported now.")
    said = {
        "interrupted": _("The import was interrupted and goes on by itself shortly."),
        "leaving": _("The company is about to be deleted."),
        "no_plan": _("The trial or plan has ended."),
        "our_fault": _("A fault of ours stopped the import."),
    }
    if status.reason in said:
        return said[status.reason]
    if status.code is Code.PAUSED:
        return _("Imports are paused.")
    return happened(status.reason, Trouble.WAITING) if status.code is Code.WAITING else ""


@dataclass(frozen=True, slots=True)
class Standing:
    connection: Connection
    status: Status
    run: SyncRun | None
    job: Job | None


def standings(
    connections: list[Connection],
    now: datetime,
    *,
    leaving: bool | None = None,
    plan: Entitlement | None = None,
) -> list[Standing]:
    """Each connection with its status; `leaving` and `plan` are looked up where not given."""
    if not connections:
        return []
    newest = SyncRun.objects.filter(connection__in=connections).order_by(
        "connection", "-started_at", "-pk"
    )
    runs = {run.connection_id: run for run in newest.distinct("connection")}
    jobs = jobs_of(connections)
    plan = plan or entitlement_now(now=now)
    leaving = _leaving() if leaving is None else leaving
    found = []
    for c in connections:
        run, job = runs.get(c.pk), jobs.get(c.pk)
        status = connection_status(c, run, job, now=now, plan=plan, leaving=leaving)
        found.append(Standing(c, status, run, job))
    return found


def jobs_of(connections: Iterable[Connection]) -> dict[int, Job]:
    keys = {str(c.pk): c.pk for c in connections}
    found = Job.objects.filter(kind=SYNC_KIND, key__in=keys, state__in=LIVE)
    return {keys[job.key]: job for job in found}
