"""Which plan a company has, and what the payment provider said."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _

from calqsync.tenancy.owned import TenantOwned


class Plan(models.TextChoices):
    """What can be bought; prices come with a payment provider."""

    STARTER = "starter", _("Starter")
    GROWTH = "growth", _("Growth")


class Account(TenantOwned):
    """A company's trial and plan; one row a tenant."""

    trial_ends_at = models.DateTimeField()
    plan = models.CharField(max_length=10, choices=Plan.choices, blank=True)
    paid_until = models.DateTimeField(null=True)
    provider = models.CharField(max_length=20, blank=True)

    class Meta(TenantOwned.Meta):
        constraints = [models.UniqueConstraint(fields=["tenant"], name="billing_account_once")]

    def __str__(self) -> str:
        return self.plan or "trial"


class FirstTrial(models.Model):
    """When the first trial with one company's books ended, so that it gets no second one.

    Belongs to no tenant and tells nothing of any: both names are hashes under the server's
    secret, and the database shows a row only to who asks for its very hash. It outlives the
    tenant, or deleting one would buy a new trial.
    """

    books = models.CharField(max_length=64, unique=True)
    first_seen_by = models.CharField(max_length=64)
    ends_at = models.DateTimeField()

    def __str__(self) -> str:
        return self.books[:8]


class ProviderEvent(TenantOwned):
    """What the payment provider told us: stored first, judged later, each event once."""

    provider = models.CharField(max_length=20)
    event_id = models.CharField(max_length=120)
    kind = models.CharField(max_length=60)
    body = models.JSONField()
    received_at = models.DateTimeField(auto_now_add=True)
    processed_at = models.DateTimeField(null=True)

    class Meta(TenantOwned.Meta):
        constraints = [
            models.UniqueConstraint(
                fields=["tenant", "provider", "event_id"], name="provider_event_once"
            )
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.event_id}"
