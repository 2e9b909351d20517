"""Named connections to companies in an accounting system, and how they are authorised."""

from __future__ import annotations

from django.db import models
from django.db.models.functions import Lower, Now
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from calqsync.tenancy.models import User
from calqsync.tenancy.owned import TenantOwned, public_id_field


class Provider(models.TextChoices):
    PROCOUNTOR = "procountor", "Procountor"


class Trouble(models.TextChoices):
    """Why a connection does not sync: the remote side, the customer, or us."""

    NONE = "", ""
    WAITING = "waiting", _("Waiting for Procountor")
    NEEDS_YOU = "needs_you", _("Needs you")
    OUR_FAULT = "our_fault", _("Our fault")


class Connection(TenantOwned):
    """One company in an accounting system, under a name that its tenant chose.

    What the page shows as its status is derived from these facts and the runs, never stored.
    """

    public_id = public_id_field()
    provider = models.CharField(
        max_length=20, choices=Provider.choices, default=Provider.PROCOUNTOR
    )
    name = models.CharField(_("name"), max_length=60)
    company_id = models.CharField(max_length=40)
    company_name = models.CharField(max_length=200)
    business_id = models.CharField(max_length=40, blank=True)
    country = models.CharField(max_length=60, blank=True)
    currency = models.CharField(max_length=3, default="EUR")
    rights = models.JSONField(default=dict)
    rights_read_at = models.DateTimeField(null=True)
    created_by = models.ForeignKey(User, models.SET_NULL, null=True, related_name="+")
    created_at = models.DateTimeField(auto_now_add=True)
    disconnected_at = models.DateTimeField(null=True)
    # Hours between scheduled runs as chosen; null is SYNC_EVERY_HOURS. A plan may allow fewer runs.
    sync_every_hours = models.PositiveSmallIntegerField(null=True)
    paused_at = models.DateTimeField(null=True)
    # A pause by our support staff ends by them; the reason is shown to the customer.
    paused_by_support = models.BooleanField(default=False, db_default=False)
    pause_reason = models.CharField(max_length=200, blank=True, default="", db_default="")
    # Its data are being deleted by a job; nothing brings it back.
    deleting_at = models.DateTimeField(null=True)
    trouble = models.CharField(max_length=12, choices=Trouble.choices, blank=True)
    trouble_kind = models.CharField(max_length=40, blank=True)
    trouble_detail = models.CharField(max_length=500, blank=True)
    trouble_since = models.DateTimeField(null=True)
    # When its owners and admins were written to about trouble; until it works again.
    trouble_told_at = models.DateTimeField(null=True)
    # When they were last reminded of a trouble that lasts.
    trouble_reminded_at = models.DateTimeField(null=True)
    retry_at = models.DateTimeField(null=True)
    first_import_at = models.DateTimeField(null=True)
    data_as_of = models.DateTimeField(null=True)
    complete_back_to = models.DateField(null=True)

    class Meta(TenantOwned.Meta):
        constraints = [
            models.UniqueConstraint("tenant", Lower("name"), name="connection_name_once"),
            models.UniqueConstraint(
                fields=["tenant", "provider", "company_id"], name="connection_company_once"
            ),
            models.UniqueConstraint(fields=["tenant", "public_id"], name="connection_public_id"),
        ]

    def __str__(self) -> str:
        return self.name


class GrantKind(models.TextChoices):
    API_KEY = "api_key", _("API key")
    REFRESH_TOKEN = "refresh_token", _("Refresh token")


class Credential(TenantOwned):
    """The encrypted right to read one company; one a connection."""

    connection = models.ForeignKey(Connection, models.CASCADE, related_name="+")
    kind = models.CharField(max_length=15, choices=GrantKind.choices)
    secret = models.BinaryField()
    access_token = models.BinaryField(null=True)
    access_expires_at = models.DateTimeField(null=True)
    # A refresh token ends half a year after it was given; its owners are told before.
    granted_at = models.DateTimeField(default=timezone.now, db_default=Now())
    end_told_at = models.DateTimeField(null=True)
    changed_at = models.DateTimeField(auto_now=True)

    class Meta(TenantOwned.Meta):
        constraints = [
            models.UniqueConstraint(fields=["tenant", "connection"], name="credential_once")
        ]

    def __str__(self) -> str:
        return self.kind


class TokenRenewal(TenantOwned):
    """A refresh token on its way to a new one: written before the call and after the answer.

    Each write is a transaction of its own, so that a worker that dies between Procountor's
    answer and the commit of the credential loses nothing. At most one a connection; deleted
    with the commit that stores the new token.
    """

    connection = models.ForeignKey(Connection, models.CASCADE, related_name="+")
    # SHA-256 of the refresh token that was handed in.
    replaces = models.CharField(max_length=64)
    started_at = models.DateTimeField()
    secret = models.BinaryField(null=True)

    class Meta(TenantOwned.Meta):
        constraints = [
            models.UniqueConstraint(fields=["tenant", "connection"], name="renewal_once")
        ]

    def __str__(self) -> str:
        return "answered" if self.secret else "asked"


class ConnectFlow(TenantOwned):
    """One walk to Procountor's login and back: single use, ten minutes, one browser session."""

    public_id = public_id_field()
    user = models.ForeignKey(User, models.CASCADE, related_name="+")
    state_hash = models.CharField(max_length=64)
    browser_hash = models.CharField(max_length=64)
    method = models.CharField(max_length=15, choices=GrantKind.choices)
    # Set when an existing connection is to be authorised anew.
    connection = models.ForeignKey(Connection, models.CASCADE, null=True, related_name="+")
    created_at = models.DateTimeField(auto_now_add=True)
    expires_at = models.DateTimeField()
    used_at = models.DateTimeField(null=True)
    # What the callback learnt, kept until the person confirms.
    company_id = models.CharField(max_length=40, blank=True)
    company_name = models.CharField(max_length=200, blank=True)
    business_id = models.CharField(max_length=40, blank=True)
    country = models.CharField(max_length=60, blank=True)
    currency = models.CharField(max_length=3, blank=True)
    rights = models.JSONField(default=dict)
    secret = models.BinaryField(null=True)
    confirmed_at = models.DateTimeField(null=True)

    class Meta(TenantOwned.Meta):
        constraints = [
            models.UniqueConstraint(fields=["tenant", "state_hash"], name="connect_flow_state"),
            models.UniqueConstraint(fields=["tenant", "public_id"], name="connect_flow_public_id"),
        ]

    def __str__(self) -> str:
        return self.company_name or self.method
