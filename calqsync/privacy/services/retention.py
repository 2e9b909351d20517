"""Deleting what has been kept long enough: one sweep a day and company."""

from __future__ import annotations

from datetime import datetime, timedelta

from allauth.usersessions.models import UserSession
from django.contrib.sessions.models import Session
from django.db import transaction
from django.db.models import Q
from django.utils import timezone

from calqsync.jobs.cleaning import ended_delete
from calqsync.jobs.services import ClaimedJob, enqueue, live_job
from calqsync.privacy.models import OPEN_EXPORTS, Export, ExportPart, ExportState
from calqsync.tenancy.models import Invitation
from integrations.models import ConnectFlow, SyncRun
from integrations.models.runs import OPEN_STATES

SWEEP = "privacy.sweep"
EVERY = timedelta(days=1)
ENDED_JOBS = timedelta(days=30)
DEAD_INVITATIONS = timedelta(days=30)
SPENT_FLOWS = timedelta(days=1)
EXPORT_LISTED = timedelta(days=90)
RUN_HISTORY = timedelta(days=400)


@transaction.atomic
def sweep_ensure() -> None:
    """Have the tenant in scope swept from tomorrow on."""
    if live_job(kind=SWEEP) is None:
        enqueue(kind=SWEEP, run_after=timezone.now() + EVERY)


def sweep(job: ClaimedJob, *, now: datetime) -> dict[str, int]:
    """Delete what is past its time; how many rows of each kind that were."""
    jobs = ended_delete(job, before=now - ENDED_JOBS)
    with transaction.atomic():
        job.fence()
        deleted = {
            "jobs": jobs,
            "invitations": Invitation.objects.filter(
                Q(accepted_at__lt=now - DEAD_INVITATIONS) | Q(expires_at__lt=now - DEAD_INVITATIONS)
            ).delete()[0],
            "flows": ConnectFlow.objects.filter(expires_at__lt=now - SPENT_FLOWS).delete()[0],
            "runs": _old_runs(now),
            "exports": exports_expire(now=now),
            "listed_exports": Export.objects.exclude(state__in=OPEN_EXPORTS)
            .filter(requested_at__lt=now - EXPORT_LISTED)
            .delete()[0],
        }
    with transaction.atomic():
        # Of people, not of this company; whichever company's sweep comes first does it.
        deleted["sessions"] = Session.objects.filter(expire_date__lt=now).delete()[0]
        # From where they were used is kept no longer than they are.
        alive = Session.objects.values("session_key")
        deleted["places"] = UserSession.objects.exclude(session_key__in=alive).delete()[0]
    return deleted


def _old_runs(now: datetime) -> int:
    """Runs beyond their time, but never a connection's last ones, which say how it stands."""
    newest = (
        SyncRun.objects.order_by("connection", "-started_at")
        .distinct("connection")
        .values_list("pk", flat=True)
    )
    old = SyncRun.objects.exclude(state__in=OPEN_STATES).filter(started_at__lt=now - RUN_HISTORY)
    return old.exclude(pk__in=list(newest)).delete()[0]


@transaction.atomic
def exports_expire(*, now: datetime) -> int:
    """Delete the files of exports that are past their time; the list still names them."""
    over = Export.objects.filter(state=ExportState.READY, expires_at__lte=now)
    parts = ExportPart.objects.filter(export__in=over)
    deleted: int = parts._raw_delete("default")
    over.update(state=ExportState.EXPIRED)
    return deleted
