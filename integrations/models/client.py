"""What concerns our API client as a whole, and with it every company."""

from __future__ import annotations

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from calqsync.tenancy.models import User


class ClientSuspension(models.Model):
    """Procountor refused our API client itself; while `ended_at` is empty no call leaves.

    Rows are made by whatever process notices, and ended by staff alone. Companies are named by the
    opaque ids of their connections, which tell nothing to who may not read these.
    """

    # Host and client id, hashed: another client is not suspended with this one.
    client = models.CharField(max_length=16)
    reason = models.CharField(
        max_length=10,
        choices=[
            ("client", _("Procountor refused our client id")),
            ("companies", _("Procountor refused every company that we asked for")),
        ],
    )
    detail = models.CharField(max_length=300)
    # The connections at which it was noticed, the last one last.
    witnesses = ArrayField(models.UUIDField(), default=list, db_default=[])
    found_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True)
    ended_by = models.ForeignKey(User, models.SET_NULL, null=True, related_name="+")
    ended_because = models.CharField(max_length=300, db_default="")
    ended_ticket = models.CharField(max_length=60, db_default="")

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["client"], condition=Q(ended_at=None), name="suspended_once"
            )
        ]

    def __str__(self) -> str:
        return f"{self.client} {self.reason}"
