"""Due work, leases, attempts and results: the truth about background work."""

from __future__ import annotations

from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from calqsync.tenancy.owned import TenantOwned


class JobState(models.TextChoices):
    QUEUED = "queued"
    LEASED = "leased"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"


LIVE = [JobState.QUEUED, JobState.LEASED]


class Priority(models.IntegerChoices):
    """Whose turn is first within a lane; what a person waits for has a lane of its own."""

    INTERACTIVE = 0
    SCHEDULED = 1
    BACKFILL = 2


class Job(TenantOwned):
    """One piece of work, at most one live row for a (kind, key) of a tenant.

    A recurring job is one row that is put back with a later `run_after`; the row is thus the
    schedule too, and no number of dispatchers doubles or loses it. `epoch` grows with every
    claim and fences off a worker that lost its lease. `queue` is the lane that its wake-ups
    travel in now; `admitted_at` says since when its tenant's turn has come and no worker took it.
    """

    kind = models.CharField(max_length=60)
    key = models.CharField(max_length=100, blank=True)
    queue = models.CharField(max_length=20)
    payload = models.JSONField(default=dict)
    state = models.CharField(max_length=10, choices=JobState.choices, default=JobState.QUEUED)
    run_after = models.DateTimeField(db_default=Now())
    priority = models.PositiveSmallIntegerField(
        choices=Priority.choices, db_default=Priority.SCHEDULED
    )
    admitted_at = models.DateTimeField(null=True)
    nudged_at = models.DateTimeField(null=True)
    lease_owner = models.CharField(max_length=120, blank=True)
    lease_until = models.DateTimeField(null=True)
    heartbeat_at = models.DateTimeField(null=True)
    epoch = models.BigIntegerField(default=0)
    attempts = models.PositiveIntegerField(default=0)
    deliveries = models.PositiveIntegerField(default=0)
    wanted_again = models.BooleanField(default=False)
    # Of the wishes that came while it ran: the earliest time, and the most urgent priority.
    wanted_after = models.DateTimeField(null=True)
    wanted_priority = models.PositiveSmallIntegerField(choices=Priority.choices, null=True)
    cancel_requested = models.BooleanField(default=False)
    error_class = models.CharField(max_length=120, blank=True)
    error = models.TextField(blank=True)
    created_at = models.DateTimeField(db_default=Now())
    finished_at = models.DateTimeField(null=True)

    class Meta(TenantOwned.Meta):
        constraints = [
            models.UniqueConstraint(
                fields=["tenant", "kind", "key"], condition=Q(state__in=LIVE), name="job_live_once"
            )
        ]
        indexes = [
            models.Index(fields=["run_after"], condition=Q(state="queued"), name="job_due"),
            models.Index(fields=["lease_until"], condition=Q(state="leased"), name="job_leases"),
            models.Index(fields=["tenant", "kind", "-id"], name="job_history"),
            # A tenant's next job of a lane, and how many of the lane have had their turn come.
            models.Index(
                fields=["tenant", "queue", "priority", "run_after"],
                condition=Q(state="queued"),
                name="job_next",
            ),
            models.Index(
                fields=["tenant", "queue"],
                condition=Q(state="queued", admitted_at__isnull=False),
                name="job_admitted",
            ),
            models.Index(
                fields=["tenant", "finished_at"],
                condition=Q(finished_at__isnull=False),
                name="job_ended",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.key} {self.state}"


class DispatcherPulse(models.Model):
    """What dispatchers saw, for every process to read: it tells of no tenant.

    A dispatcher's own row says when it last looked for work; the row `lane:<name>` since when
    the oldest job of that lane waits for a worker, or the last look if none does.
    """

    name = models.CharField(max_length=120, unique=True)
    at = models.DateTimeField()

    def __str__(self) -> str:
        return self.name
