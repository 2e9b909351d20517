"""Deleting one's own account: what may stand in the way, and what is left of a person."""

from __future__ import annotations

import structlog
from allauth.usersessions.models import UserSession
from django.apps import apps
from django.contrib.admin.models import LogEntry
from django.core.exceptions import ValidationError
from django.core.mail import send_mail
from django.db import models, transaction
from django.utils.translation import gettext as _

from calqsync.privacy.models import Erased
from calqsync.privacy.services.companies import exports_stop
from calqsync.privacy.services.ledger import erasure_record
from calqsync.tenancy import scope
from calqsync.tenancy.models import Invitation, Membership, Role, Tenant, User
from calqsync.tenancy.owned import TenantOwned
from calqsync.tenancy.services import audit
from integrations.models import ConnectFlow

log = structlog.get_logger(__name__)
# Addresses under a name that no mail server may ever have (RFC 2606).
_NOWHERE = "users.invalid"


@transaction.atomic
def companies_without_another_owner(user: User) -> list[Tenant]:
    """Companies that would be left without an owner, unless they are about to be erased."""
    with scope.user(user.pk):
        owned = list(
            Membership.unscoped.select_related("tenant").filter(user=user, role=Role.OWNER)
        )
    found = []
    for membership in owned:
        with scope.tenant(membership.tenant_id):
            others = Membership.objects.filter(role=Role.OWNER, user__is_active=True).exclude(
                user=user
            )
            if membership.tenant.deletes_at is None and not others.exists():
                found.append(membership.tenant)
    return sorted(found, key=lambda tenant: tenant.name.casefold())


@transaction.atomic
def account_delete(*, user: User, typed_email: str) -> None:
    """Delete the account of the person who asks; raises ValidationError when something is owed."""
    if typed_email.strip().lower() != user.email:
        raise ValidationError(_("This is not your address. Type it as it is shown above."))
    if user.is_staff:
        raise ValidationError(_("Accounts of support staff are ended by the operator."))
    _hold_owners(user)
    if companies_without_another_owner(user):
        raise ValidationError(_("Hand over or delete the companies that only you own first."))
    email = user.email
    account_erase(user=user)
    transaction.on_commit(
        lambda: send_mail(
            _("Your CalqSync account was deleted"),
            _(
                "Your account was deleted, with its sign-in, its second steps and its place in"
                " every team.\n\nIf this was not you, write to the owner of your company at"
                " once.\n"
            ),
            None,
            [email],
        ),
        robust=True,
    )


def _hold_owners(user: User) -> None:
    """Wait for whoever else is changing who owns these companies: of two owners one stays."""
    with scope.user(user.pk):
        own = Membership.unscoped.filter(user=user, role=Role.OWNER).order_by("tenant_id")
        tenants = list(own.values_list("tenant_id", flat=True))
    for tenant_id in tenants:
        with scope.tenant(tenant_id):
            owners = Membership.objects.select_for_update().filter(role=Role.OWNER)
            list(owners.order_by("pk").values_list("pk", flat=True))


@transaction.atomic
def account_erase(*, user: User) -> None:
    """Take the person out of every company and leave a nameless row; repeatable.

    The row stays because audit rows of other people's companies point to it and may not be
    changed: an empty shell that nobody can sign in to keeps their references whole.
    """
    with scope.user(user.pk):
        teams = list(Membership.unscoped.filter(user=user).values_list("tenant_id", flat=True))
        invited = list(
            Invitation.unscoped.filter(email__iexact=user.email).values_list("tenant_id", flat=True)
        )
    for tenant_id in sorted({*teams, *invited}):
        with scope.tenant(tenant_id):
            Invitation.objects.filter(email__iexact=user.email).delete()
            if Membership.objects.filter(user=user).delete()[0]:
                audit(act="member.account_deleted", by=None, target=str(user.public_id))
            ConnectFlow.objects.filter(user=user).delete()
            exports_stop(by=user)
    # The others die with their password: a session carries a hash of it.
    _end_sessions(user)
    _delete_belongings(user)
    erasure_record(kind=Erased.PERSON, subject=user.public_id, asked_by=user.public_id)
    user.email = f"{user.public_id}@{_NOWHERE}"
    user.name = _("Deleted user")
    user.is_active = user.is_staff = user.is_superuser = False
    user.last_login = user.terms_accepted_at = None
    user.terms_version = ""
    user.set_unusable_password()
    user.save()
    log.info("account.erased", user=str(user.public_id))


def _delete_belongings(user: User) -> None:
    """Addresses, second factors and whatever else hangs on the person and on no company."""
    for model in apps.get_models():
        if issubclass(model, TenantOwned) or model in (User, LogEntry):
            continue
        for field in model._meta.concrete_fields:
            if not isinstance(field, models.ForeignKey) or field.related_model is not User:
                continue
            # What would outlive the person's row says what they did, and belongs to others.
            if field.remote_field.on_delete is models.CASCADE:
                model._base_manager.filter(**{field.name: user}).delete()
    user.groups.clear()
    user.user_permissions.clear()


def _end_sessions(user: User) -> None:
    for session in UserSession.objects.filter(user=user):
        session.end()
