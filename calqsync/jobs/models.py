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


class Job(TenantOwned):
    """One piece of work, at most one live row for a (kind, key) of a tenant.

    A recurring job is one row that is put back with a later `run_after`; the row is thus the
    schedule too, and no number of dispatchers doubles or loses it. `epoch` grows with every
    claim and fences off a worker that lost its lease.
    """

    kind = models.CharField(max_length=60)
    key = models.CharField(max_length=100, blank=True)
    queue = models.CharField(max_length=20)
    payload = models.JSONField(default=dict)
    state = models.CharField(max_length=10, choices=JobState.choices, default=JobState.QUEUED)
    run_after = models.DateTimeField(db_default=Now())
    nudged_at = models.DateTimeField(null=True)
    lease_owner = models.CharField(max_length=120, blank=True)
    lease_until = models.DateTimeField(null=True)
    heartbeat_at = models.DateTimeField(null=True)
    epoch = models.BigIntegerField(default=0)
    attempts = models.PositiveIntegerField(default=0)
    deliveries = models.PositiveIntegerField(default=0)
    wanted_again = models.BooleanField(default=False)
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
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.key} {self.state}"


class DispatcherPulse(models.Model):
    """When a dispatcher last looked for due work; read by its health check."""

    name = models.CharField(max_length=120, unique=True)
    at = models.DateTimeField()

    def __str__(self) -> str:
        return self.name
