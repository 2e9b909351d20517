"""People, companies that use the product, and who may do what in which company."""

from __future__ import annotations

import hashlib
from datetime import timedelta
from typing import Any

from django.contrib.auth.base_user import AbstractBaseUser, BaseUserManager
from django.contrib.auth.models import PermissionsMixin
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models.functions import Lower
from django.utils.translation import gettext_lazy as _

from calqsync.tenancy.owned import TenantOwned, public_id_field


class UserManager(BaseUserManager["User"]):
    def create_user(self, email: str, password: str | None = None, **fields: Any) -> User:
        user = self.model(email=self.normalize_email(email).lower(), **fields)
        user.set_password(password)
        user.save(using=self._db)
        return user

    def create_superuser(self, email: str, password: str | None = None, **fields: Any) -> User:
        return self.create_user(email, password, is_staff=True, is_superuser=True, **fields)


class User(AbstractBaseUser, PermissionsMixin):
    """A person who signs in with an email address; may belong to several tenants."""

    public_id = public_id_field()
    email = models.EmailField(_("email address"), unique=True)
    name = models.CharField(_("name"), max_length=120, blank=True)
    is_active = models.BooleanField(default=True)
    is_staff = models.BooleanField(_("support staff"), default=False)
    date_joined = models.DateTimeField(auto_now_add=True)
    terms_version = models.CharField(max_length=20, blank=True)
    terms_accepted_at = models.DateTimeField(null=True, blank=True)

    objects = UserManager()
    USERNAME_FIELD = "email"
    EMAIL_FIELD = "email"

    def __str__(self) -> str:
        return self.name or self.email

    def get_session_auth_hash(self) -> str:
        """What a session holds so that it ends with the password; the same under every signing key.

        Sessions are sealed and their cookies signed already. Were this bound to the signing key,
        too, Django would give a session another id as soon as it is read under a new key, and
        allauth reads those of a person's other browsers, which would be signed out by it.
        """
        return hashlib.sha256(f"calqsync.session:{self.password}".encode()).hexdigest()


class Role(models.TextChoices):
    """From aggregates only to owning; a role includes what the ones below it may do."""

    INVESTOR = "investor", _("Investor")
    VIEWER = "viewer", _("Viewer")
    MEMBER = "member", _("Member")
    ADMIN = "admin", _("Admin")
    OWNER = "owner", _("Owner")

    @property
    def rank(self) -> int:
        return list(Role).index(self)

    def allows(self, needed: Role) -> bool:
        return self.rank >= needed.rank


class Tenant(models.Model):
    """A company that uses the product; the owner of every other row."""

    public_id = public_id_field()
    slug = models.SlugField(max_length=60, unique=True)
    name = models.CharField(_("company name"), max_length=120)
    business_id = models.CharField(_("business id"), max_length=30, blank=True)
    currency = models.CharField(_("reporting currency"), max_length=3, default="EUR")
    time_zone = models.CharField(_("time zone"), max_length=60, default="Europe/Helsinki")
    fiscal_year_start = models.PositiveSmallIntegerField(
        _("fiscal year starts in month"), default=1
    )
    mfa_required = models.BooleanField(
        _("require two-step sign-in"), default=False, db_default=False
    )
    support_consent_required = models.BooleanField(
        _("ask before support looks in"), default=False, db_default=False
    )
    # When the company is erased for good; until then its deletion can be undone.
    deletes_at = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)
    data_key_id = models.UUIDField()
    data_key_wrapped = models.BinaryField()
    key_encryption_key_id = models.CharField(max_length=20)

    def __str__(self) -> str:
        return self.name


class KeyEncryptionKey(models.Model):
    """What is known of a key that wraps others: that it is the right one, and whether it is gone.

    The key itself never comes here, see `calqsync.tenancy.secrets`.
    """

    name = models.CharField(max_length=20, unique=True)
    # Opens with the right key only.
    check_value = models.BinaryField()
    created_at = models.DateTimeField(auto_now_add=True)
    retired_at = models.DateTimeField(null=True)

    def __str__(self) -> str:
        return self.name


class Membership(TenantOwned):
    """One person's role in one tenant."""

    public_id = public_id_field()
    user = models.ForeignKey(User, models.CASCADE, related_name="+")
    role = models.CharField(_("role"), max_length=10, choices=Role.choices)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta(TenantOwned.Meta):
        constraints = [
            models.UniqueConstraint(fields=["tenant", "user"], name="membership_once"),
            models.UniqueConstraint(fields=["tenant", "public_id"], name="membership_public_id"),
        ]

    def __str__(self) -> str:
        return f"{self.user_id} {self.role}"

    def may(self, needed: Role) -> bool:
        return Role(self.role).allows(needed)


class Invitation(TenantOwned):
    """An offer of a role to one email address; only the token's hash is stored.

    The token is made when the mail goes out, so that it waits nowhere.
    """

    class Delivery(models.TextChoices):
        WAITING = "waiting", _("Being sent")
        LATER = "later", _("Not sent yet, trying again")
        SENT = "sent", _("Sent")
        REFUSED = "refused", _("Could not be sent")

    public_id = public_id_field()
    email = models.EmailField(_("email address"))
    role = models.CharField(_("role"), max_length=10, choices=Role.choices, default=Role.MEMBER)
    token_hash = models.CharField(max_length=64)
    invited_by = models.ForeignKey(User, models.SET_NULL, null=True, related_name="+")
    created_at = models.DateTimeField(auto_now_add=True)
    sent_at = models.DateTimeField(null=True)
    delivery = models.CharField(
        max_length=10,
        choices=Delivery.choices,
        default=Delivery.WAITING,
        db_default=Delivery.WAITING,
    )
    expires_at = models.DateTimeField()
    accepted_at = models.DateTimeField(null=True)

    class Meta(TenantOwned.Meta):
        constraints = [
            models.UniqueConstraint("tenant", Lower("email"), name="invitation_once"),
            models.UniqueConstraint(fields=["tenant", "token_hash"], name="invitation_token"),
        ]

    def __str__(self) -> str:
        return self.email


class ApiToken(TenantOwned):
    """A key by which a program of one member reads one company; only its keyed hash is stored.

    It goes with the membership, and may at no time do more than the member.
    """

    public_id = public_id_field()
    membership = models.ForeignKey(Membership, models.CASCADE, related_name="+")
    name = models.CharField(_("name"), max_length=60)
    token_hash = models.CharField(max_length=64)
    # Its last letters, by which its owner knows it again.
    ending = models.CharField(max_length=4)
    # Keys of tokens.scopes.SCOPES.
    scopes = ArrayField(models.CharField(max_length=30), default=list)
    created_at = models.DateTimeField(auto_now_add=True)
    expires_at = models.DateTimeField()
    last_used_on = models.DateField(null=True)

    class Meta(TenantOwned.Meta):
        constraints = [
            models.UniqueConstraint(fields=["tenant", "public_id"], name="api_token_public_id"),
            models.UniqueConstraint(fields=["tenant", "token_hash"], name="api_token_hash"),
            models.CheckConstraint(
                condition=models.Q(expires_at__lte=models.F("created_at") + timedelta(days=367)),
                name="api_token_ends",
            ),
        ]
        # Looked up before its company is known.
        indexes = [models.Index(fields=["token_hash"], name="api_token_lookup")]

    def __str__(self) -> str:
        return self.name


class AuditEvent(TenantOwned):
    """Who did what to which thing, when and from where; rows are never changed.

    What support staff do carries a second identity: the person on whose behalf they look in.
    """

    at = models.DateTimeField(auto_now_add=True)
    actor = models.ForeignKey(User, models.SET_NULL, null=True, related_name="+")
    actor_name = models.CharField(max_length=200, blank=True)
    on_behalf_of = models.ForeignKey(User, models.SET_NULL, null=True, related_name="+")
    on_behalf_of_name = models.CharField(max_length=200, blank=True, default="", db_default="")
    act = models.CharField(max_length=60)
    target = models.CharField(max_length=200, blank=True)
    before = models.JSONField(default=dict)
    after = models.JSONField(default=dict)
    address = models.GenericIPAddressField(null=True)

    class Meta(TenantOwned.Meta):
        indexes = [models.Index(fields=["tenant", "-at"], name="audit_newest")]

    def __str__(self) -> str:
        return self.act


class SupportGrant(TenantOwned):
    """A time-boxed permission for one member of staff to read one tenant's rows.

    It opens nothing until it has an end: where the company wants to be asked first,
    `expires_at` is empty until one of its admins approves.
    """

    public_id = public_id_field()
    staff = models.ForeignKey(User, models.CASCADE, related_name="+")
    on_behalf_of = models.ForeignKey(User, models.SET_NULL, null=True, related_name="+")
    approved_by = models.ForeignKey(User, models.SET_NULL, null=True, related_name="+")
    refused_at = models.DateTimeField(null=True)
    reason = models.CharField(max_length=300)
    ticket = models.CharField(max_length=60)
    created_at = models.DateTimeField(auto_now_add=True)
    expires_at = models.DateTimeField(null=True)
    ended_at = models.DateTimeField(null=True)

    class Meta(TenantOwned.Meta):
        constraints = [
            models.UniqueConstraint(fields=["tenant", "public_id"], name="grant_public_id"),
            # Half an hour after an answer that may take a day: no mistake makes one for ever.
            models.CheckConstraint(
                condition=models.Q(
                    expires_at__lte=models.F("created_at") + timedelta(hours=25),
                ),
                name="grant_ends",
            ),
        ]
        indexes = [models.Index(fields=["tenant", "staff"], name="grant_lookup")]

    def __str__(self) -> str:
        return self.ticket
