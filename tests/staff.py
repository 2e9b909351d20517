"""A member of support staff with a second step, grants by which they look in, and the log."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from allauth.mfa.totp.internal.auth import TOTP, generate_totp_secret
from django.db import transaction
from django.utils import timezone

from calqsync.tenancy import scope
from calqsync.tenancy.models import AuditEvent, Membership, SupportGrant, Tenant, User
from calqsync.tenancy.support import grants
from tests.conftest import SignedInClient


@transaction.atomic
def staff_make(name: str = "sam", *, second_step: bool = True) -> User:
    """A person of support; without `second_step` every support page stays closed to them."""
    staff = User.objects.create_user(
        f"{name}@grants.example", "correct horse battery", name=name.title(), is_staff=True
    )
    if second_step:
        TOTP.activate(staff, generate_totp_secret())
    return staff


def grant_make(tenant: Tenant, staff: User, person: User, **values: Any) -> SupportGrant:
    """A grant asked for now because `person` asked; `values` overwrite what was stored."""
    with transaction.atomic(), scope.tenant(tenant.pk):
        grant = grants.grant_request(
            staff=staff,
            asked_by=Membership.objects.get(user=person),
            reason="Figures look wrong",
            ticket="T-1",
            now=timezone.now(),
        )
        if values:
            SupportGrant.objects.filter(pk=grant.pk).update(**values)
            grant.refresh_from_db()
    return grant


def grant_expire(grant: SupportGrant) -> None:
    """Let the half hour of this grant be over."""
    with transaction.atomic(), scope.tenant(grant.tenant_id):
        ago = timezone.now() - timedelta(seconds=1)
        SupportGrant.objects.filter(pk=grant.pk).update(expires_at=ago)


def signed_in(user: User) -> SignedInClient:
    """A browser of this person."""
    client = SignedInClient()
    client.force_login(user)
    return client


def audited(tenant: Tenant, **wanted: Any) -> list[AuditEvent]:
    """Rows of the company's log with these values, in the order of time."""
    with transaction.atomic(), scope.tenant(tenant.pk):
        return list(AuditEvent.objects.filter(**wanted).order_by("pk"))
