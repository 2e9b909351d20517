"""What was erased for good, and the copies of their data that companies take out."""

from __future__ import annotations

from django.db import models
from django.db.models import Q
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _

from calqsync.tenancy.models import User
from calqsync.tenancy.owned import TenantOwned, public_id_field


class Erased(models.TextChoices):
    TENANT = "tenant"
    PERSON = "person"
    CONTACT = "contact"


class Erasure(models.Model):
    """One line of the ledger: this was erased, so it is erased again after a restore.

    It outlives the tenant, so it belongs to none; it holds no personal data. `subject` is the
    public id of the tenant or person. A contact is known by its company and by `mark`, a hash
    under that company's data key. The app role may add and read lines, never change them.
    """

    kind = models.CharField(max_length=10, choices=Erased.choices)
    subject = models.UUIDField()
    # The tenant's number, by which its rows are found; empty for people.
    tenant_number = models.BigIntegerField(null=True)
    mark = models.CharField(max_length=64, blank=True)
    asked_by = models.UUIDField(null=True)
    at = models.DateTimeField(db_default=Now())

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["kind", "subject", "mark"], name="erasure_once")
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.subject}"


class ExportState(models.TextChoices):
    QUEUED = "queued", _("Queued")
    RUNNING = "running", _("Being written")
    READY = "ready", _("Ready")
    FAILED = "failed", _("Failed")
    CANCELLED = "cancelled", _("Stopped")
    EXPIRED = "expired", _("Expired")


OPEN_EXPORTS = [ExportState.QUEUED, ExportState.RUNNING]


class Export(TenantOwned):
    """One full copy of a company's data, asked for by an owner; at most one is being written."""

    public_id = public_id_field()
    requested_by = models.ForeignKey(User, models.SET_NULL, null=True, related_name="+")
    requested_at = models.DateTimeField()
    state = models.CharField(max_length=10, choices=ExportState.choices, default=ExportState.QUEUED)
    # The instant whose data it holds.
    as_of = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(null=True)
    expires_at = models.DateTimeField(null=True)
    # How far it is: rows written, of about so many.
    rows = models.BigIntegerField(default=0)
    expected = models.BigIntegerField(default=0)
    bytes = models.BigIntegerField(default=0)
    sha256 = models.CharField(max_length=64, blank=True)

    class Meta(TenantOwned.Meta):
        constraints = [
            models.UniqueConstraint(fields=["tenant", "public_id"], name="export_public_id"),
            models.UniqueConstraint(
                fields=["tenant"], condition=Q(state__in=OPEN_EXPORTS), name="export_open_once"
            ),
        ]

    def __str__(self) -> str:
        return self.state


class ExportPart(TenantOwned):
    """A piece of an export's file, sealed with the tenant's key."""

    export = models.ForeignKey(Export, models.CASCADE, related_name="parts")
    position = models.PositiveIntegerField()
    body = models.BinaryField()

    class Meta(TenantOwned.Meta):
        constraints = [
            models.UniqueConstraint(
                fields=["tenant", "export", "position"], name="export_part_once"
            )
        ]

    def __str__(self) -> str:
        return str(self.position)
