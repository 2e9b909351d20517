"""Reads for pages: connections with their derived status, runs, progress and freshness.

A status is never stored. It is derived here from the connection, its newest run and its job,
so that a worker that died cannot leave a wrong word behind.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db.models import Count, Sum, Value
from django.utils import timezone

from billing.services import entitlement_now
from calqsync.jobs.models import LIVE, Job, JobState
from calqsync.tenancy import scope
from calqsync.tenancy.models import AuditEvent, Tenant
from integrations.models import (
    BankStatement,
    Connection,
    Credential,
    Customer,
    Invoice,
    Payment,
    Product,
    Rejection,
    SyncRun,
    SyncStream,
)
from integrations.models.connections import Trouble
from integrations.models.runs import OPEN_STATES, RunState, Stream

SYNC_KIND = "integrations.sync"
DELETED = "connection.deleted"
COUNTED = {
    "customers": Customer,
    "products": Product,
    "invoices": Invoice,
    "payments": Payment,
    "statements": BankStatement,
}


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
    (the company waits for its deletion), "by_support", or the kind of a failure.
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
class RunView:
    """A run with its streams in the order of import; `state` may be "interrupted"."""

    run: SyncRun
    state: str
    streams: list[SyncStream]

    @property
    def open(self) -> bool:
        return self.run.state in OPEN_STATES

    def share(self) -> tuple[int, int]:
        """Documents fetched, and documents expected, of the streams whose size is known."""
        known = [(s.fetched, s.expected) for s in self.streams if s.expected]
        return sum(min(pair) for pair in known), sum(expected for _done, expected in known)

    def total(self, column: str) -> int:
        return sum(getattr(stream, column) for stream in self.streams)


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionRow:
    """A connection as lists show it. `counts` are of rows that are still in Procountor."""

    connection: Connection
    status: Status
    run: SyncRun | None
    counts: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionPage:
    connection: Connection
    status: Status
    current: RunView | None
    counts: dict[str, int]
    rejected: int
    next_import: datetime | None
    # The kind of credential; "" when there is none, None when the reader may not know.
    grant: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Freshness:
    """How current the figures from one connection are; stale after twice the schedule."""

    public_id: UUID
    name: str
    data_as_of: datetime | None
    status: Status
    stale: bool


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
    may_import: bool = True,
    leaving: bool = False,
) -> Status:
    """What the connection is doing, from its facts, its newest run and its live job."""
    if connection.disconnected_at is not None:
        return Status(
            code=Code.DISCONNECTED, reason="deleting" if connection.deleting_at is not None else ""
        )
    if leaving:
        return Status(code=Code.PAUSED, reason="leaving")
    if run is not None and run.state in (RunState.QUEUED, RunState.RUNNING):
        if run_state(run, job, now=now) == "interrupted":
            return Status(code=Code.WAITING, reason="interrupted")
        return Status(code=Code.SYNCING)
    if connection.trouble == Trouble.NEEDS_YOU:
        return Status(code=Code.NEEDS_YOU, reason=connection.trouble_kind)
    if not may_import:
        return Status(code=Code.PAUSED, reason="no_plan")
    if connection.paused_at is not None:
        return Status(code=Code.PAUSED, reason="by_support" if connection.paused_by_support else "")
    if connection.trouble == Trouble.OUR_FAULT:
        return Status(code=Code.WAITING, reason="our_fault", until=connection.retry_at)
    if connection.trouble == Trouble.WAITING or (run and run.state == RunState.WAITING):
        return Status(code=Code.WAITING, reason=connection.trouble_kind, until=connection.retry_at)
    return Status(code=Code.ACTIVE)


def status_of(connection: Connection, *, now: datetime | None = None) -> Status:
    """`connection_status` with the run and the job looked up."""
    return _standings([connection], now or timezone.now())[0].status


def connections_page(*, now: datetime, leaving: bool | None = None) -> list[ConnectionRow]:
    """Every connection of the tenant in scope, by name, with status and counts.

    `leaving` says whether the company waits for its deletion, where the caller knows it already.
    """
    connections = list(Connection.objects.order_by("disconnected_at", "name"))
    connections.sort(key=lambda c: (c.disconnected_at is not None, c.name.casefold()))
    counts = _counts(connections)
    return [
        ConnectionRow(
            connection=s.connection, status=s.status, run=s.run, counts=counts[s.connection.pk]
        )
        for s in _standings(connections, now, leaving=leaving)
    ]


def deleted_lately(*, now: datetime) -> list[AuditEvent]:
    """Who had which connection's data deleted in the last day, where nothing of it is left."""
    asked = AuditEvent.objects.filter(act=DELETED, at__gt=now - timedelta(days=1))
    events = {event.before.get("connection"): event for event in asked.order_by("-at")}
    left = Connection.objects.filter(public_id__in=[key for key in events if key])
    there = {str(key) for key in left.values_list("public_id", flat=True)} if events else set()
    return [event for key, event in events.items() if key and key not in there]


def was_deleted(public_id: UUID) -> bool:
    """Whether the tenant in scope had this connection deleted, be it gone already or not."""
    asked = AuditEvent.objects.filter(act=DELETED, before__connection=str(public_id))
    return bool(asked.exists())


def connection_page(
    connection: Connection, *, now: datetime, leaving: bool | None = None
) -> ConnectionPage:
    """What the page of one connection shows beside its history; `leaving` as for the list."""
    [standing] = _standings([connection], now, leaving=leaving)
    status, run, job = standing.status, standing.run, standing.job
    grant: str | None = None
    if not scope.is_looking_in():  # support has no right to anything about a credential
        grants = Credential.objects.filter(connection=connection)
        grant = grants.values_list("kind", flat=True).first() or ""
    return ConnectionPage(
        connection=connection,
        status=status,
        current=_run_view(run, job, now=now) if run else None,
        counts=_counts([connection])[connection.pk],
        rejected=Rejection.objects.filter(connection=connection).count(),
        next_import=_next_import(status, job),
        grant=grant,
    )


def connection_progress(connection: Connection, *, now: datetime) -> RunView | None:
    """The newest run with its streams: what a page asks for again and again."""
    newest = SyncRun.objects.filter(connection=connection).order_by("-started_at", "-pk").first()
    if newest is None:
        return None
    return _run_view(newest, _jobs([connection]).get(connection.pk), now=now)


def runs_of(connection: Connection) -> Any:
    """The runs of a connection, newest first, with the sums of their streams."""
    return (
        SyncRun.objects.filter(connection=connection)
        .annotate(
            added=Sum("streams__added", default=0),
            changed=Sum("streams__changed", default=0),
            unchanged=Sum("streams__unchanged", default=0),
            removed=Sum("streams__removed", default=0),
            rejected=Sum("streams__rejected", default=0),
        )
        .order_by("-started_at", "-pk")
    )


def rejections_of(connection: Connection) -> Any:
    """Documents that could not be understood, newest first; without their content."""
    return (
        Rejection.objects.filter(connection=connection)
        .only("stream", "external_id", "reason", "first_seen_at", "last_seen_at")
        .order_by("-last_seen_at", "-pk")
    )


def freshness(*, now: datetime | None = None) -> list[Freshness]:
    """How current each connected account is, by name; for the note beside the figures."""
    now = now or timezone.now()
    connections = list(Connection.objects.filter(disconnected_at=None))
    connections.sort(key=lambda c: c.name.casefold())
    limit = timedelta(hours=2 * settings.SYNC_EVERY_HOURS)
    return [
        Freshness(
            public_id=s.connection.public_id,
            name=s.connection.name,
            data_as_of=s.connection.data_as_of,
            status=s.status,
            stale=s.connection.data_as_of is None or now - s.connection.data_as_of > limit,
        )
        for s in _standings(connections, now)
    ]


def seconds_left(view: RunView, *, now: datetime) -> int | None:
    """About how long the rest of a run takes; None while that cannot be told."""
    done, expected = view.share()
    elapsed = (now - view.run.started_at).total_seconds()
    if not expected or done < expected / 20 or elapsed < 2:
        return None
    return round(elapsed * (expected - done) / done)


@dataclass(frozen=True, slots=True)
class _Standing:
    connection: Connection
    status: Status
    run: SyncRun | None
    job: Job | None


def _standings(
    connections: list[Connection], now: datetime, *, leaving: bool | None = None
) -> list[_Standing]:
    if not connections:
        return []
    newest = SyncRun.objects.filter(connection__in=connections).order_by(
        "connection", "-started_at", "-pk"
    )
    runs = {run.connection_id: run for run in newest.distinct("connection")}
    jobs = _jobs(connections)
    may_import = entitlement_now(now=now).may_import
    if leaving is None:
        leaving = Tenant.objects.filter(pk=scope.required()).exclude(deletes_at=None).exists()
    found = []
    for c in connections:
        run, job = runs.get(c.pk), jobs.get(c.pk)
        status = connection_status(c, run, job, now=now, may_import=may_import, leaving=leaving)
        found.append(_Standing(c, status, run, job))
    return found


def _jobs(connections: Iterable[Connection]) -> dict[int, Job]:
    keys = {str(c.pk): c.pk for c in connections}
    found = Job.objects.filter(kind=SYNC_KIND, key__in=keys, state__in=LIVE)
    return {keys[job.key]: job for job in found}


def _run_view(run: SyncRun, job: Job | None, *, now: datetime) -> RunView:
    order = list(Stream.values)
    streams = sorted(SyncStream.objects.filter(run=run), key=lambda s: order.index(s.stream))
    return RunView(run=run, state=run_state(run, job, now=now), streams=streams)


def _next_import(status: Status, job: Job | None) -> datetime | None:
    if status.code not in (Code.ACTIVE, Code.WAITING) or job is None:
        return None
    return job.run_after if job.state == JobState.QUEUED else None


def _counts(connections: list[Connection]) -> dict[int, dict[str, int]]:
    counts: dict[int, dict[str, int]] = defaultdict(lambda: dict.fromkeys(COUNTED, 0))
    first, *more = (
        model.objects.filter(connection__in=connections, removed_at=None)
        .order_by()
        .values("connection")
        .annotate(n=Count("pk"), what=Value(name))
        for name, model in COUNTED.items()
    )
    for row in first.union(*more, all=True):
        counts[row["connection"]][row["what"]] = row["n"]
    return counts


__all__ = [
    "Code",
    "ConnectionPage",
    "ConnectionRow",
    "Freshness",
    "RunView",
    "Status",
    "connection_page",
    "connection_progress",
    "connection_status",
    "connections_page",
    "deleted_lately",
    "freshness",
    "rejections_of",
    "run_state",
    "runs_of",
    "seconds_left",
    "status_of",
    "was_deleted",
]
