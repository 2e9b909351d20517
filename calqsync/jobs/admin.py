"""Support's view of background work: what is due, stuck or failed."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.contrib import admin
from django.db.models import Exists, OuterRef, Q, QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from calqsync.jobs.models import LIVE, Job, JobState
from calqsync.tenancy.admin import SUPPORT, DirectoryAdmin
from calqsync.tenancy.models import Tenant
from calqsync.tenancy.support import console
from calqsync.tenancy.support.console import Cell, Counter, Panel

FAILED_FOR = timedelta(days=7)
# The payload stays out: it is the customer's business, and may name people.
_SHOWN = ["kind", "key", "state", "run_after", "lease_until", "attempts", "error_class", "error"]


def stuck(now: datetime) -> Q:
    """Condition for jobs that should be running and are not: a worker died, or none is there.

    What waits behind other jobs of its tenant, in their lane, waits rightly.
    """
    late = now - timedelta(seconds=2 * settings.JOB_LEASE_SECONDS)
    running = Job.unscoped.filter(
        tenant=OuterRef("tenant"),
        queue=OuterRef("queue"),
        state=JobState.LEASED,
        lease_until__gte=now,
    )
    overdue = Q(state=JobState.QUEUED, run_after__lt=late)
    in_turn = Q(admitted_at__lt=late) | Q(~Exists(running))
    return Q(state=JobState.LEASED, lease_until__lt=now) | (overdue & in_turn)


def failed(now: datetime) -> Q:
    """Condition for jobs that were given up in the last week."""
    return Q(state=JobState.FAILED, finished_at__gt=now - FAILED_FOR)


class Health(admin.SimpleListFilter):
    title = gettext_lazy("health")
    parameter_name = "health"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        return [("stuck", gettext_lazy("Stuck")), ("failed", gettext_lazy("Failed this week"))]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        conditions = {"stuck": stuck, "failed": failed}
        chosen = conditions.get(self.value() or "")
        return queryset.filter(chosen(timezone.now())) if chosen else queryset


@admin.register(Job)
class JobAdmin(DirectoryAdmin):
    columns = [
        *(
            "kind",
            "key",
            "queue",
            "priority",
            "state",
            "run_after",
            "admitted_at",
            "lease_until",
            "heartbeat_at",
        ),
        *("epoch", "attempts", "deliveries", "cancel_requested", "error_class", "error"),
        *("created_at", "finished_at"),
    ]
    list_display = [
        *("id", "kind", "key", "tenant_name", "state", "run_after", "attempts", "error_class"),
    ]
    list_filter = [Health, "state", "kind"]
    search_fields = ["kind", "=key", "error_class", "error"]
    ordering = ["-id"]


def _counters(now: datetime) -> list[Counter]:
    jobs, listed = Job.unscoped.using(SUPPORT), reverse("admin:jobs_job_changelist")
    return [
        Counter(
            label=_("Stuck jobs"),
            number=jobs.filter(stuck(now)).count(),
            url=f"{listed}?health=stuck",
            hint=_("Due, and no worker has them"),
            bad=True,
        ),
        Counter(
            label=_("Failed jobs"),
            number=jobs.filter(failed(now)).count(),
            url=f"{listed}?health=failed",
            hint=_("Given up in the last 7 days"),
            bad=True,
        ),
    ]


def _panel(tenant: Tenant, now: datetime) -> Panel:
    shown = Job.objects.filter(Q(state__in=LIVE) | failed(now)).only(*_SHOWN)
    stuck_ids = set(Job.objects.filter(stuck(now)).values_list("pk", flat=True))

    def state(job: Job) -> Cell:
        if job.pk in stuck_ids:
            return Cell(text=_("stuck"), tone="bad", below=job.state)
        return Cell(text=job.state, tone="bad" if job.state == JobState.FAILED else "")

    return Panel(
        title=_("Queue"),
        note=_("Jobs that are due or running, and those given up in the last 7 days."),
        head=[_("Job"), _("State"), _("Due"), _("Tries"), _("Error")],
        rows=[
            [
                Cell(
                    text=job.kind,
                    url=reverse("admin:jobs_job_change", args=[job.pk]),
                    below=job.key,
                ),
                state(job),
                Cell(text=job.run_after),
                Cell(text=job.attempts),
                Cell(text=job.error_class, below=job.error[:200]),
            ]
            for job in shown.order_by("-id")[:30]
        ],
        empty=_("Nothing is due."),
    )


console.counter(_counters, place=20)
console.panel(_panel, place=40)
