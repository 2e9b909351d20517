"""Start and stop imports."""

from __future__ import annotations

from contextlib import suppress
from datetime import datetime
from typing import Any

from django.db import transaction
from django.dispatch import receiver
from django.utils import timezone
from django.utils.translation import gettext as _

from billing.gate import PlanNeeded
from billing.services import require_import
from billing.signals import imports_allowed
from calqsync.jobs.models import Job, JobState, Priority
from calqsync.jobs.services import enqueue
from calqsync.tenancy import scope
from calqsync.tenancy.models import User
from calqsync.tenancy.services import audit
from integrations.models import Connection, SyncRun
from integrations.models.runs import OPEN_STATES, RunState
from integrations.services.names import tidy
from integrations.sync import staging
from integrations.sync.engine import KIND
from integrations.sync.schedule import next_slot
from integrations.sync.starting import run_create


@transaction.atomic
def sync_request(
    *, connection: Connection, by: User | None, now: datetime, full: bool = False
) -> SyncRun | None:
    """Import this connection now; joins a run that is open. `full` reads everything anew.

    Raises PlanNeeded. None for a connection that is disconnected or paused, and while the
    company waits for its deletion.
    """
    require_import(now=now)
    # The row lock lets two clicks make one run.
    held = Connection.objects.select_for_update(no_key=True).get(pk=connection.pk)
    if held.disconnected_at is not None or held.paused_at is not None:
        return None
    if held.tenant.deletes_at is not None:
        return None
    run: SyncRun | None = SyncRun.objects.filter(connection=held, state__in=OPEN_STATES).first()
    if run is None:
        run = run_create(held, trigger="person" if by else "schedule", now=now, full=full)
        audit(act="sync.requested", by=by, target=held.name, after={"run": str(run.public_id)})
    elif run.state == RunState.RUNNING and _live_job(held).exclude(run_after__gt=now).exists():
        return run  # one whose machine is gone is taken up by the dispatcher
    # A running one without a job, or whose job waits, was given up after its workers died; it goes
    # on where it stopped.
    enqueue(kind=KIND, key=str(held.pk), priority=Priority.INTERACTIVE if by else None)
    return run


@transaction.atomic
def sync_cancel(*, connection: Connection, by: User | None) -> bool:
    """Stop the open run, if there is one; what a first import wrote so far stays.

    A worker that holds the run notices at its next page. The schedule lives on.
    """
    now = timezone.now()
    open_runs = SyncRun.objects.filter(connection=connection, state__in=OPEN_STATES)
    run = open_runs.select_for_update(no_key=True).first()
    stopped = 0
    if run is not None:
        stopped = open_runs.update(state=RunState.CANCELLED, finished_at=now)
        staging.drop(run.pk)
        audit(act="sync.cancelled", by=by, target=connection.name)
    _live_job(connection).filter(state=JobState.QUEUED).update(
        run_after=next_slot(connection, now), nudged_at=None
    )
    return bool(stopped)


class PausedBySupport(Exception):
    """Only our support staff end a pause that they began."""

    def __init__(self) -> None:
        super().__init__(
            _("Our support paused the imports of this connection and will start them again.")
        )


@transaction.atomic
def connection_pause(
    *, connection: Connection, by: User, now: datetime, by_support: bool = False, reason: str = ""
) -> Connection:
    """Stop imports until `connection_resume`; data, key and schedule stay.

    `reason` is shown to the customer. A pause by support can only be ended by support.
    """
    held: Connection = Connection.objects.select_for_update(no_key=True).get(pk=connection.pk)
    if held.paused_at is not None and held.paused_by_support and not by_support:
        raise PausedBySupport
    sync_cancel(connection=held, by=by)
    held.paused_at = held.paused_at or now
    held.paused_by_support, held.pause_reason = by_support, tidy(reason)[:200]
    held.save(update_fields=["paused_at", "paused_by_support", "pause_reason"])
    audit(
        act="connection.paused",
        by=by,
        target=held.name,
        after={"connection": str(held.public_id), "reason": held.pause_reason},
    )
    return held


@transaction.atomic
def connection_resume(
    *, connection: Connection, by: User, now: datetime, by_support: bool = False
) -> Connection:
    """End a pause and import at once if the plan allows; raises PausedBySupport."""
    held: Connection = Connection.objects.select_for_update(no_key=True).get(pk=connection.pk)
    if held.paused_at is None:
        return held
    if held.paused_by_support and not by_support:
        raise PausedBySupport
    before = {"since": held.paused_at.isoformat(), "reason": held.pause_reason}
    held.paused_at, held.paused_by_support, held.pause_reason = None, False, ""
    held.save(update_fields=["paused_at", "paused_by_support", "pause_reason"])
    audit(act="connection.resumed", by=by, target=held.name, before=before)
    # After trial and plan the run is not made; the job finds that out and says so.
    enqueue(kind=KIND, key=str(held.pk))
    with suppress(PlanNeeded):
        sync_request(connection=held, by=by, now=now)
    return held


@transaction.atomic
def syncs_stop(*, by: User | None) -> None:
    """Stop every import of the tenant in scope; jobs that come due meanwhile find it leaving."""
    for connection in Connection.objects.order_by("pk"):
        sync_cancel(connection=connection, by=by)


@transaction.atomic
def syncs_wake() -> None:
    """Every connection of the tenant in scope imports at once, if the plan allows."""
    for pk in Connection.objects.filter(disconnected_at=None, paused_at=None).values_list(
        "pk", flat=True
    ):
        enqueue(kind=KIND, key=str(pk))


def _live_job(connection: Connection) -> Any:
    return Job.objects.filter(
        kind=KIND, key=str(connection.pk), state__in=[JobState.QUEUED, JobState.LEASED]
    )


@receiver(imports_allowed)
def wake_syncs(sender: type, tenant_id: int, **_kw: Any) -> None:
    """A plan was chosen: every connection of the tenant imports at once."""
    with scope.tenant(tenant_id):
        syncs_wake()
