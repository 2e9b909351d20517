"""Start and stop imports."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.db import transaction
from django.dispatch import receiver
from django.utils import timezone

from billing.services import require_import
from billing.signals import imports_allowed
from calqsync.jobs.models import Job, JobState
from calqsync.jobs.services import enqueue
from calqsync.tenancy import scope
from calqsync.tenancy.models import User
from calqsync.tenancy.services import audit
from integrations.models import Connection, SyncRun
from integrations.models.runs import OPEN_STATES, RunState
from integrations.sync.engine import KIND, next_slot, run_create


@transaction.atomic
def sync_request(*, connection: Connection, by: User | None, now: datetime) -> SyncRun | None:
    """Import this connection now; joins a run that is open.

    Raises PlanNeeded. None for a connection that is disconnected or paused.
    """
    require_import(now=now)
    # The row lock lets two clicks make one run.
    held = Connection.objects.select_for_update(no_key=True).get(pk=connection.pk)
    if held.disconnected_at is not None or held.paused_at is not None:
        return None
    run: SyncRun | None = SyncRun.objects.filter(connection=held, state__in=OPEN_STATES).first()
    if run is None:
        run = run_create(held, trigger="person" if by else "schedule", now=now)
        audit(act="sync.requested", by=by, target=held.name, after={"run": str(run.public_id)})
        enqueue(kind=KIND, key=str(held.pk))
    elif run.state != RunState.RUNNING:
        enqueue(kind=KIND, key=str(held.pk))
    elif not _live_job(held).exists():
        # Its job gave up after its workers died; the run goes on where it stopped.
        enqueue(kind=KIND, key=str(held.pk))
    return run


@transaction.atomic
def sync_cancel(*, connection: Connection, by: User | None) -> bool:
    """Stop the open run, if there is one; what it wrote so far stays.

    A worker that holds the run notices at its next page. The schedule lives on.
    """
    now = timezone.now()
    stopped = SyncRun.objects.filter(connection=connection, state__in=OPEN_STATES).update(
        state=RunState.CANCELLED, finished_at=now
    )
    if stopped:
        audit(act="sync.cancelled", by=by, target=connection.name)
    _live_job(connection).filter(state=JobState.QUEUED).update(
        run_after=next_slot(connection.pk, now), nudged_at=None
    )
    return bool(stopped)


def _live_job(connection: Connection) -> Any:
    return Job.objects.filter(
        kind=KIND, key=str(connection.pk), state__in=[JobState.QUEUED, JobState.LEASED]
    )


@receiver(imports_allowed)
def wake_syncs(sender: type, tenant_id: int, **_: Any) -> None:
    """A plan was chosen: every connection of the tenant imports at once."""
    with scope.tenant(tenant_id), transaction.atomic():
        for pk in Connection.objects.filter(disconnected_at=None, paused_at=None).values_list(
            "pk", flat=True
        ):
            enqueue(kind=KIND, key=str(pk))
