"""The history of imports: runs, their streams with counts, cursors, rejected documents."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _

from calqsync.tenancy.models import User
from calqsync.tenancy.owned import TenantOwned, public_id_field
from integrations.models.connections import Connection


class Stream(models.TextChoices):
    """What is imported, in the order it is imported."""

    PARTNERS = "partners", _("Customers")
    PRODUCTS = "products", _("Products")
    INVOICES = "invoices", _("Invoices")
    PAYMENTS = "payments", _("Payments")
    BANK = "bank", _("Bank statements")


class RunState(models.TextChoices):
    QUEUED = "queued", _("Queued")
    RUNNING = "running", _("Running")
    WAITING = "waiting", _("Waiting for Procountor")
    NEEDS_YOU = "needs_you", _("Needs you")
    OUR_FAULT = "our_fault", _("Stopped by a fault of ours")
    CANCELLED = "cancelled", _("Cancelled")
    COMPLETE = "complete", _("Complete")
    COMPLETE_WITH_REJECTS = "complete_with_rejects", _("Complete, some documents set aside")
    PAUSED_NO_PLAN = "paused_no_plan", _("Paused: no plan")


OPEN_STATES = [RunState.QUEUED, RunState.RUNNING, RunState.WAITING]


class SyncRun(TenantOwned):
    """One import from start to end, over as many slices as it takes.

    "Interrupted" is derived: a running run whose job lost its lease.
    """

    public_id = public_id_field()
    connection = models.ForeignKey(Connection, models.CASCADE, related_name="+")
    mode = models.CharField(
        max_length=12,
        choices=[("first", _("First import")), ("incremental", _("Update")), ("full", _("Full"))],
    )
    trigger = models.CharField(
        max_length=10, choices=[("person", _("By a person")), ("schedule", _("Scheduled"))]
    )
    state = models.CharField(max_length=24, choices=RunState.choices, default=RunState.QUEUED)
    started_at = models.DateTimeField()
    finished_at = models.DateTimeField(null=True)
    # The upper bound of what this run reads, fixed at its start.
    window_to = models.DateTimeField()
    requests = models.PositiveIntegerField(default=0)
    waited_ms = models.BigIntegerField(default=0)
    busy_ms = models.BigIntegerField(default=0)
    slices = models.PositiveIntegerField(default=0)
    # When the run had read everything and began to apply what it held back.
    applying_at = models.DateTimeField(null=True)
    error_kind = models.CharField(max_length=40, blank=True)
    error = models.CharField(max_length=500, blank=True)

    class Meta(TenantOwned.Meta):
        constraints = [
            models.UniqueConstraint(fields=["tenant", "public_id"], name="run_public_id"),
            models.UniqueConstraint(
                fields=["tenant", "connection"],
                condition=models.Q(state__in=OPEN_STATES),
                name="run_open_once",
            ),
        ]
        indexes = [models.Index(fields=["tenant", "connection", "-started_at"], name="run_newest")]

    def __str__(self) -> str:
        return f"{self.mode} {self.state}"


class SyncStream(TenantOwned):
    """One stream of one run: how far it is and what it counted."""

    run = models.ForeignKey(SyncRun, models.CASCADE, related_name="streams")
    stream = models.CharField(max_length=12, choices=Stream.choices)
    started_at = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(null=True)
    # Only the code that saw the last page of every window sets this.
    complete = models.BooleanField(default=False)
    expected = models.PositiveIntegerField(null=True)
    fetched = models.PositiveIntegerField(default=0)
    added = models.PositiveIntegerField(default=0)
    changed = models.PositiveIntegerField(default=0)
    unchanged = models.PositiveIntegerField(default=0)
    rejected = models.PositiveIntegerField(default=0)
    removed = models.PositiveIntegerField(default=0)
    # Where this stream of this run goes on after a break.
    position = models.JSONField(default=dict)

    class Meta(TenantOwned.Meta):
        constraints = [
            models.UniqueConstraint(fields=["tenant", "run", "stream"], name="run_stream_once")
        ]

    def __str__(self) -> str:
        return self.stream


class StreamCursor(TenantOwned):
    """How far a stream of a connection has been read; moved with the rows it covers."""

    connection = models.ForeignKey(Connection, models.CASCADE, related_name="+")
    stream = models.CharField(max_length=12, choices=Stream.choices)
    # Changes up to here have been read, in the company's clock as Procountor writes it.
    changed_to = models.DateTimeField(null=True)

    class Meta(TenantOwned.Meta):
        constraints = [
            models.UniqueConstraint(fields=["tenant", "connection", "stream"], name="cursor_once")
        ]

    def __str__(self) -> str:
        return self.stream


class StagedPage(TenantOwned):
    """What a run has read and not yet applied: sealed, in the order of its reading.

    Updates and full re-reads change the books in one transaction at their end, so that nobody
    ever sees half a run. Deleted when it is applied, or when the run ends otherwise.
    """

    run = models.ForeignKey(SyncRun, models.CASCADE, related_name="staged")
    kind = models.CharField(max_length=12)
    body = models.BinaryField()

    class Meta(TenantOwned.Meta):
        indexes = [models.Index(fields=["tenant", "run", "id"], name="staged_in_order")]

    def __str__(self) -> str:
        return self.kind


class RemovalHold(TenantOwned):
    """So many documents vanished at once that a person must say whether they were deleted.

    Nothing is removed until someone confirms and another full run misses them again.
    """

    public_id = public_id_field()
    connection = models.ForeignKey(Connection, models.CASCADE, related_name="+")
    stream = models.CharField(max_length=12, choices=Stream.choices)
    found_at = models.DateTimeField()
    missing = models.PositiveIntegerField()
    stored = models.PositiveIntegerField()
    confirmed_at = models.DateTimeField(null=True)
    confirmed_by = models.ForeignKey(User, models.SET_NULL, null=True, related_name="+")
    # Removed after all, or seen again.
    ended_at = models.DateTimeField(null=True)

    class Meta(TenantOwned.Meta):
        constraints = [
            models.UniqueConstraint(fields=["tenant", "public_id"], name="hold_public_id"),
            models.UniqueConstraint(
                fields=["tenant", "connection", "stream"],
                condition=models.Q(ended_at=None),
                name="hold_open_once",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.stream} {self.missing} of {self.stored}"


GIVES_UP_AFTER = 10
"""Tries with one and the same reason after which a rejected document is not asked for by itself."""


class Rejection(TenantOwned):
    """A document that could not be understood: kept, counted, and tried again with each run.

    One that was tried GIVES_UP_AFTER times stays listed; no update asks for it by its number, and
    what the full import, which reads everything, says of it is not counted. One that a person
    ignores is still kept, and no longer counted or tried.
    """

    public_id = public_id_field()
    connection = models.ForeignKey(Connection, models.CASCADE, related_name="+")
    stream = models.CharField(max_length=12, choices=Stream.choices)
    external_id = models.CharField(max_length=40)
    reason = models.CharField(max_length=500)
    raw = models.BinaryField()
    first_seen_at = models.DateTimeField()
    last_seen_at = models.DateTimeField()
    # How often it was read and not understood for this reason, up to GIVES_UP_AFTER.
    attempts = models.PositiveIntegerField(db_default=1)
    ignored_at = models.DateTimeField(null=True)
    ignored_by = models.ForeignKey(User, models.SET_NULL, null=True, related_name="+")
    ignored_reason = models.CharField(max_length=200, blank=True, db_default="")

    class Meta(TenantOwned.Meta):
        constraints = [
            models.UniqueConstraint(
                fields=["tenant", "connection", "stream", "external_id"], name="rejection_once"
            ),
            models.UniqueConstraint(fields=["tenant", "public_id"], name="rejection_public_id"),
        ]

    def __str__(self) -> str:
        return f"{self.stream} {self.external_id}"

    @property
    def given_up(self) -> bool:
        return self.attempts >= GIVES_UP_AFTER
