"""The list of connections and the page of one, with what each has brought."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from calqsync.jobs.models import Job, JobState
from calqsync.tenancy import scope
from calqsync.tenancy.models import AuditEvent
from integrations.models import (
    BankStatement,
    Connection,
    Credential,
    Customer,
    Invoice,
    Payment,
    Product,
    RemovalHold,
    SyncRun,
)
from integrations.selectors.quarantine import SetAside, counted, rejections_by_fate
from integrations.selectors.removals import removals_held
from integrations.selectors.runs import RunView, run_view
from integrations.selectors.status import Code, Status, standings

DELETED = "connection.deleted"
COUNTED = {
    "customers": Customer,
    "products": Product,
    "invoices": Invoice,
    "payments": Payment,
    "statements": BankStatement,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionRow:
    """A connection as lists show it. `counts` are of rows that are still in Procountor."""

    connection: Connection
    status: Status
    run: SyncRun | None
    counts: dict[str, int] = field(default_factory=dict)
    rejected: int = 0
    holds: list[RemovalHold] = field(default_factory=list)


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionPage:
    connection: Connection
    status: Status
    current: RunView | None
    counts: dict[str, int]
    set_aside: SetAside
    holds: list[RemovalHold]
    next_import: datetime | None
    # The kind of credential; "" when there is none, None when the reader may not know.
    grant: str | None


def connections_page(*, now: datetime, leaving: bool | None = None) -> list[ConnectionRow]:
    """Every connection of the tenant in scope, by name, with status and counts.

    `leaving` says whether the company waits for its deletion, where the caller knows it already.
    """
    connections = list(Connection.objects.order_by("disconnected_at", "name"))
    connections.sort(key=lambda c: (c.disconnected_at is not None, c.name.casefold()))
    there = _counted(connections, now)
    return [
        ConnectionRow(
            connection=s.connection,
            status=s.status,
            run=s.run,
            counts=there[s.connection.pk].books,
            rejected=there[s.connection.pk].set_aside.open,
            holds=there[s.connection.pk].holds,
        )
        for s in standings(connections, now, leaving=leaving)
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
    [standing] = standings([connection], now, leaving=leaving)
    status, run, job = standing.status, standing.run, standing.job
    grant: str | None = None
    if not scope.is_looking_in():  # support has no right to anything about a credential
        grants = Credential.objects.filter(connection=connection)
        grant = grants.values_list("kind", flat=True).first() or ""
    there = _counted([connection], now)[connection.pk]
    return ConnectionPage(
        connection=connection,
        status=status,
        current=run_view(run, job, now=now) if run else None,
        counts=there.books,
        set_aside=there.set_aside,
        holds=there.holds,
        next_import=_next_import(status, job),
        grant=grant,
    )


def _next_import(status: Status, job: Job | None) -> datetime | None:
    if status.code not in (Code.ACTIVE, Code.WAITING) or job is None:
        return None
    return job.run_after if job.state == JobState.QUEUED else None


@dataclass(slots=True)
class _Counted:
    books: dict[str, int] = field(default_factory=lambda: dict.fromkeys(COUNTED, 0))
    aside: dict[str, int] = field(default_factory=lambda: dict.fromkeys(SetAside.FIELDS, 0))
    holds: list[RemovalHold] = field(default_factory=list)

    @property
    def set_aside(self) -> SetAside:
        return SetAside(**self.aside)


def _counted(connections: list[Connection], now: datetime) -> dict[int, _Counted]:
    """What there is of each connection, in one query; the few holds in another, if any."""
    found: dict[int, _Counted] = defaultdict(_Counted)
    books = {name: model.objects.filter(removed_at=None) for name, model in COUNTED.items()}
    holds = {"held": RemovalHold.objects.filter(ended_at=None)}
    rows: dict[str, Any] = books | rejections_by_fate(now) | holds
    held = []
    for connection, what, number in counted(rows, connections):
        if what in SetAside.FIELDS:
            found[connection].aside[what] = number
        elif what == "held":
            held.append(connection)
        else:
            found[connection].books[what] = number
    for hold in removals_held(held):
        found[hold.connection_id].holds.append(hold)
    return found
