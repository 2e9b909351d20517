"""Grants: time-boxed permissions for staff to read one company, asked for, approved, ended.

Everything here runs with the company's tenant in scope and is written to its audit log, with
both identities: the member of staff, and the member on whose behalf they look in.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from django.core.exceptions import ValidationError
from django.db import transaction
from django.db.models import Q
from django.db.models.functions import Now
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _

from calqsync.tenancy import mails, scope
from calqsync.tenancy.audit import acting
from calqsync.tenancy.models import Membership, SupportGrant, Tenant, User
from calqsync.tenancy.services import audit

GRANT_MINUTES = 30
GRANT_LIFE = timedelta(minutes=GRANT_MINUTES)
# A request that nobody answered asks for nothing any more.
REQUEST_LIFE = timedelta(hours=24)
_ASKED, _OPENED = "support.asked", "support.opened"
# What the support role may read of a company and of a person: no key, no password.
TENANT_COLUMNS = (
    *("public_id", "slug", "name", "business_id", "currency", "time_zone", "fiscal_year_start"),
    *("mfa_required", "support_consent_required", "deletes_at", "created_at"),
)
USER_COLUMNS = ("public_id", "email", "name", "is_active", "is_staff")


class NotForStaff(ValidationError):
    """A member of staff tried to answer for a company what staff may not answer."""

    def __init__(self) -> None:
        super().__init__(_("Support staff cannot give themselves or each other a grant."))


def waiting(now: datetime) -> Q:
    """Condition for requests that wait for the company's answer."""
    return Q(expires_at=None, refused_at=None, ended_at=None, created_at__gt=now - REQUEST_LIFE)


def state(grant: SupportGrant, *, now: datetime) -> str:
    """`open`, `waiting`, `refused`, `lapsed` (nobody answered) or `ended`."""
    if grant.refused_at is not None:
        return "refused"
    if grant.ended_at is not None:
        return "ended"
    if grant.expires_at is None:
        return "waiting" if grant.created_at > now - REQUEST_LIFE else "lapsed"
    return "open" if grant.expires_at > now else "ended"


def live_grant(*, staff: User, slug: str) -> SupportGrant | None:
    """The grant by which this person may look into the company with this address, if any.

    Read by the support role and judged by the database's clock, as its policies are.
    """
    related = [f"tenant__{c}" for c in TENANT_COLUMNS]
    related += [f"{who}__{c}" for who in ("staff", "on_behalf_of") for c in USER_COLUMNS]
    grants = SupportGrant.unscoped.using(scope.SUPPORT).filter(
        staff=staff.pk, tenant__slug=slug, ended_at=None, refused_at=None, expires_at__gt=Now()
    )
    found: SupportGrant | None = (
        grants.select_related("tenant", "staff", "on_behalf_of")
        .only(*(f.name for f in SupportGrant._meta.fields), *related)
        .order_by("-expires_at")
        .first()
    )
    return found


@transaction.atomic
def grant_request(
    *, staff: User, asked_by: Membership, reason: str, ticket: str, now: datetime
) -> SupportGrant:
    """Let `staff` look into the company in scope for half an hour, because `asked_by` asked.

    Where the company wants to be asked first, the grant waits for `grant_approve`; its owners
    and admins are told by mail either way.
    """
    # The row lock makes one grant of two clicks, and orders us with a change of the setting.
    tenant: Tenant = (
        Tenant.objects.select_for_update(no_key=True)
        .only("support_consent_required")
        .get(pk=scope.required())
    )
    if not (staff.is_staff and staff.is_active):
        raise ValidationError(_("Only support staff can look into a company."))
    if Membership.objects.filter(user=staff).exists():
        raise ValidationError(_("You are a member of this company: you need no grant."))
    person = asked_by.user
    if person.is_staff or not person.is_active:
        raise ValidationError(_("Choose a member of the company who asked for help."))
    mine = SupportGrant.objects.filter(staff=staff)
    if mine.filter(waiting(now) | Q(ended_at=None, expires_at__gt=now)).exists():
        raise ValidationError(_("You have a grant for this company, or a request that waits."))
    consent = tenant.support_consent_required
    grant: SupportGrant = SupportGrant.objects.create(
        staff=staff,
        on_behalf_of=person,
        reason=reason.strip(),
        ticket=ticket.strip(),
        expires_at=None if consent else now + GRANT_LIFE,
    )
    _note(grant, "support.requested" if consent else "support.started", by=staff)
    mails.post_to_members(
        letter=_ASKED if consent else _OPENED,
        about=str(grant.public_id),
        until=now + REQUEST_LIFE if consent else None,
    )
    return grant


@transaction.atomic
def grant_approve(*, grant: SupportGrant, by: User, now: datetime) -> SupportGrant:
    """Open the grant for half an hour from now; raises NotForStaff for support staff."""
    if by.is_staff or by.pk == grant.staff_id:
        raise NotForStaff
    _answered(
        SupportGrant.objects.filter(waiting(now), pk=grant.pk).update(
            approved_by=by, expires_at=now + GRANT_LIFE
        )
    )
    _note(grant, "support.approved", by=by)
    grant.refresh_from_db(using="default")
    return grant


@transaction.atomic
def grant_refuse(*, grant: SupportGrant, by: User, now: datetime) -> None:
    """Answer a request with no."""
    _answered(SupportGrant.objects.filter(waiting(now), pk=grant.pk).update(refused_at=now))
    _note(grant, "support.refused", by=by)


@transaction.atomic
def grant_end(*, grant: SupportGrant, by: User, now: datetime) -> None:
    """Close the grant at once, or withdraw the request; a closed one stays as it is."""
    open_or_waiting = waiting(now) | Q(ended_at=None, expires_at__gt=now)
    if SupportGrant.objects.filter(open_or_waiting, pk=grant.pk).update(ended_at=now):
        _note(grant, "support.ended", by=by)


def _answered(changed: int) -> None:
    if not changed:
        raise ValidationError(_("This request was answered, withdrawn or is too old."))


def _note(grant: SupportGrant, act: str, *, by: User) -> None:
    after: dict[str, Any] = {"staff": str(grant.staff), "reason": grant.reason}
    after |= {"grant": str(grant.public_id), "minutes": GRANT_MINUTES}
    with acting.on_behalf_of(grant.on_behalf_of):
        audit(act=act, by=by, target=grant.ticket, after=after)


@mails.letter(_ASKED)
def _asked(about: str, reader: Membership | None) -> mails.Letter | None:
    grant = SupportGrant.objects.filter(waiting(timezone.now()), public_id=about).first()
    if grant is None or reader is None:
        return None
    return _written(
        grant,
        reader,
        _("Support asks to look into %(company)s"),
        _(
            "%(staff)s of CalqSync support asks to look into %(company)s for %(minutes)d minutes."
            " They will see what a viewer sees and can change nothing.\n\n"
            "On behalf of: %(person)s\nTicket: %(ticket)s\nReason: %(reason)s\n\n"
            "Approve or refuse within 24 hours:\n%(address)s\n"
        ),
    )


@mails.letter(_OPENED)
def _opened(about: str, reader: Membership | None) -> mails.Letter | None:
    grant = SupportGrant.objects.filter(public_id=about).first()
    if grant is None or reader is None:
        return None
    return _written(
        grant,
        reader,
        _("Support looks into %(company)s"),
        _(
            "%(staff)s of CalqSync support looks into %(company)s for up to %(minutes)d minutes."
            " They see what a viewer sees and can change nothing.\n\n"
            "On behalf of: %(person)s\nTicket: %(ticket)s\nReason: %(reason)s\n\n"
            "Every page that they open is in your audit log. You can end this at once, or ask to"
            " be asked first:\n%(address)s\n"
        ),
    )


def _written(grant: SupportGrant, reader: Membership, subject: str, body: str) -> mails.Letter:
    tenant = Tenant.objects.only("name", "slug").get(pk=grant.tenant_id)
    words = {
        "company": mails.one_line(tenant.name),
        "staff": mails.one_line(str(grant.staff)),
        "person": mails.one_line(str(grant.on_behalf_of or _("a former member"))),
        "ticket": mails.one_line(grant.ticket),
        "reason": mails.one_line(grant.reason, limit=300),
        "minutes": GRANT_MINUTES,
        "address": mails.link(reverse("settings_security", args=[tenant.slug])),
    }
    return mails.Letter(to=reader.user.email, subject=subject % words, body=body % words)
