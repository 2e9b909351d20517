"""The demo's people: who they are, and what they do on the pages."""

from __future__ import annotations

from datetime import timedelta

from allauth.account.models import EmailAddress
from allauth.mfa.totp.internal.auth import TOTP
from django.conf import settings
from django.db import transaction
from django.utils import timezone

from billing import services as billing
from calqsync.local.visitor import Visitor
from calqsync.tenancy import scope, services
from calqsync.tenancy.accounts.sign_in import has_second_step
from calqsync.tenancy.models import Tenant, User

SANDBOX_LOGIN = {"username": "maija.malli", "password": "malli-2026"}


@transaction.atomic
def founder(email: str, password: str) -> User:
    """The person who owns the demo's company; the password is set anew when it changed."""
    return _person(email, password, "Fanny Founder", staff=False)


@transaction.atomic
def support_staff(email: str, password: str, second_step: str) -> User:
    """A person of our support, who sees the console; `second_step` is the key of their app."""
    user = _person(email, password, "Sam Support", staff=True)
    if not has_second_step(user):
        TOTP.activate(user, second_step)
    return user


def _person(email: str, password: str, name: str, *, staff: bool) -> User:
    user = User.objects.filter(email=email).first()
    if user is None:
        user = User.objects.create_user(
            email,
            password,
            name=name,
            is_staff=staff,
            terms_version=services.TERMS_VERSION,
            terms_accepted_at=timezone.now(),
        )
    elif not user.check_password(password):
        user.set_password(password)
        user.save(update_fields=["password"])
    EmailAddress.objects.get_or_create(
        user=user, email=email, defaults={"verified": True, "primary": True}
    )
    return user


def tenant_of(owner: User, name: str) -> Tenant:
    """The owner's company, founded on first use."""
    with scope.user(owner.pk), transaction.atomic():
        found = Tenant.objects.filter(name=name).first()
        return found or services.tenant_create(name=name, owner=owner)


def sign_in(address: str, email: str, password: str, *, at: Tenant) -> Visitor:
    """A session of that person at the web server, on that company's list of connections."""
    visitor = Visitor(address)
    visitor.open(f"/accounts/login/?next=/t/{at.slug}/settings/integrations/")
    visitor.press("Sign in", {"login": email, "password": password, "remember": "on"})
    return visitor


def connect(visitor: Visitor, tenant: Tenant, *, name: str, company: str) -> None:
    """Connect one Procountor company: log in there, choose it, name it, confirm."""
    choose(visitor, tenant, company=company)
    confirm(visitor, name=name)


def choose(visitor: Visitor, tenant: Tenant, *, company: str) -> None:
    """Go as far as the page that asks whether this is the company to connect."""
    visitor.open(f"/t/{tenant.slug}/settings/integrations/")
    visitor.press("Connect now")
    visitor.press("Log in", SANDBOX_LOGIN)
    visitor.press("Continue", {"company": visitor.choice("company", company)})


def confirm(visitor: Visitor, *, name: str) -> None:
    """Say yes to that page; the import begins."""
    visitor.press("Confirm", {"name": name})


def sync_now(visitor: Visitor, tenant: Tenant, *, name: str) -> None:
    """Press "Sync now" on the connection's page, unless an import is under way there."""
    visitor.open(f"/t/{tenant.slug}/settings/integrations/")
    visitor.press(name)
    if visitor.has("Sync now"):
        visitor.press("Sync now")


def keep_importing(tenant: Tenant) -> None:
    """Start the trial anew once it has ended, so that an old demo still imports."""
    now = timezone.now()
    with scope.tenant(tenant.pk), transaction.atomic():
        if not billing.entitlement_now(now=now).may_import:
            billing.trial_extend(until=now + timedelta(days=settings.TRIAL_DAYS), by=None)
