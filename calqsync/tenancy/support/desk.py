"""What the console shows and offers about people, invitations, grants and the audit log."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from django.contrib import admin
from django.core.exceptions import ValidationError
from django.db.models import Q, QuerySet
from django.db.models.functions import Now
from django.http import HttpRequest
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from calqsync.tenancy import services
from calqsync.tenancy.models import AuditEvent, Invitation, Membership, SupportGrant, Tenant, User
from calqsync.tenancy.scope import SUPPORT
from calqsync.tenancy.support import console, grants
from calqsync.tenancy.support.console import Action, Cell, Counter, Deed, Panel, act_url

AUDIT_SHOWN = 25
_STATES = {
    "open": (gettext_lazy("Open"), "warn"),
    "waiting": (gettext_lazy("Waits for the company"), ""),
    "refused": (gettext_lazy("Refused"), "bad"),
    "lapsed": (gettext_lazy("Not answered"), ""),
    "ended": (gettext_lazy("Ended"), ""),
}


def page(tenant: Tenant, staff: User, now: datetime) -> dict[str, Any]:
    """Everything on a company's page of the console."""
    with console.reading(tenant.pk):
        panels = console.panels_of(tenant, now)
    grant = grants.live_grant(staff=staff, slug=tenant.slug)
    facts = [
        (_("Business id"), tenant.business_id),
        (_("Address"), f"/t/{tenant.slug}/"),
        (_("Public id"), tenant.public_id),
        (_("Currency"), tenant.currency),
        (_("Time zone"), tenant.time_zone),
        (_("Since"), tenant.created_at),
        (_("Two-step sign-in"), _("Required") if tenant.mfa_required else _("Optional")),
        (_("Support"), _("Asks first") if tenant.support_consent_required else _("May look in")),
    ]
    if tenant.deletes_at is not None:
        facts.append((_("Is deleted on"), tenant.deletes_at))
    return {
        "facts": facts,
        "panels": panels,
        "grant": grant,
        "look_url": f"/t/{tenant.slug}/" if grant else act_url("look-in", tenant.pk),
    }


class OpenGrants(admin.SimpleListFilter):
    """Grants that open something now."""

    title = gettext_lazy("state")
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        return [("open", gettext_lazy("Open now"))]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return queryset.filter(_open()) if self.value() == "open" else queryset


def _open() -> Q:
    return Q(ended_at=None, refused_at=None, expires_at__gt=Now())


def set_up() -> None:
    """Put this room's share on the console."""
    console.counter(_counters, place=40)
    for place, make in [(50, _members), (60, _invitations), (70, _grants), (80, _audit)]:
        console.panel(make, place=place)
    console.register(
        Action(
            name="look-in",
            label=gettext_lazy("Look into the company"),
            says=_says_look_in,
            perform=_look_in,
            needs_person=True,
        )
    )
    console.register(
        Action(
            name="grant-end",
            label=gettext_lazy("End a grant"),
            says=_says_grant_end,
            perform=_grant_end,
        )
    )
    console.register(
        Action(
            name="invitation-resend",
            label=gettext_lazy("Send the invitation again"),
            says=_says_resend,
            perform=_resend,
        )
    )


def _counters(now: datetime) -> list[Counter]:
    live = SupportGrant.unscoped.using(SUPPORT).filter(_open())
    listed = reverse("admin:tenancy_supportgrant_changelist")
    return [
        Counter(
            label=_("Companies"),
            number=Tenant.objects.using(SUPPORT).count(),
            url=reverse("admin:tenancy_tenant_changelist"),
        ),
        Counter(
            label=_("Open grants"),
            number=live.count(),
            url=f"{listed}?state=open",
            hint=_("Staff who can look into a company now"),
        ),
    ]


def _members(tenant: Tenant, now: datetime) -> Panel:
    found = Membership.objects.select_related("user").defer("user__password")
    return Panel(
        title=_("Members"),
        head=[_("Person"), _("Role"), _("Since"), _("Last sign-in")],
        rows=[
            [
                Cell(
                    text=member.user.email,
                    below=member.user.name,
                    url=reverse("admin:tenancy_user_change", args=[member.user_id]),
                    tone="" if member.user.is_active else "bad",
                ),
                Cell(text=member.get_role_display()),
                Cell(text=member.created_at),
                Cell(text=member.user.last_login),
            ]
            for member in found.order_by("user__email")
        ],
        empty=_("No members: nobody can open this company."),
    )


def _invitations(tenant: Tenant, now: datetime) -> Panel:
    found = Invitation.objects.filter(accepted_at=None).defer("token_hash")
    return Panel(
        title=_("Invitations without an answer"),
        head=[_("Address"), _("Role"), _("Mail"), _("Valid until"), _("Do")],
        rows=[
            [
                Cell(text=invited.email),
                Cell(text=invited.get_role_display()),
                Cell(
                    text=invited.get_delivery_display(),
                    tone="bad" if invited.delivery == Invitation.Delivery.REFUSED else "",
                    below=invited.sent_at or "",
                ),
                Cell(text=invited.expires_at, tone="warn" if invited.expires_at < now else ""),
                Cell(
                    text="",
                    acts=[
                        (
                            _("Send again"),
                            act_url("invitation-resend", tenant.pk, invited.public_id),
                        )
                    ],
                ),
            ]
            for invited in found.order_by("email")
        ],
        empty=_("Nobody is invited."),
    )


def _grants(tenant: Tenant, now: datetime) -> Panel:
    people = ("staff", "on_behalf_of")
    found = SupportGrant.objects.select_related(*people).defer(
        *(f"{person}__password" for person in people)
    )
    rows = []
    for grant in found.order_by("-id")[:10]:
        state = grants.state(grant, now=now)
        label, tone = _STATES[state]
        end: list[tuple[console.Text, str]] = [
            (_("End"), act_url("grant-end", tenant.pk, grant.public_id))
        ]
        rows.append(
            [
                Cell(text=grant.created_at),
                Cell(text=grant.staff, below=grant.on_behalf_of or ""),
                Cell(text=grant.ticket, below=grant.reason),
                Cell(text=label, tone=tone, below=grant.ended_at or grant.expires_at or ""),
                Cell(text="", acts=end if state in {"open", "waiting"} else []),
            ]
        )
    return Panel(
        title=_("Grants"),
        note=_("The company asks to be asked first.") if tenant.support_consent_required else "",
        head=[_("Asked"), _("Who, for whom"), _("Ticket and reason"), _("State"), _("Do")],
        rows=rows,
        empty=_("Support has never looked in."),
    )


def _audit(tenant: Tenant, now: datetime) -> Panel:
    found = AuditEvent.objects.order_by("-at", "-pk")[:AUDIT_SHOWN]
    return Panel(
        title=_("Audit log"),
        note=_("Acts about accounts, connections and plans; not what was decided in the books."),
        head=[_("When"), _("Who"), _("What"), _("On")],
        rows=[
            [
                Cell(text=event.at),
                Cell(
                    text=event.actor_name or "CalqSync",
                    below=_("for %s") % event.on_behalf_of_name if event.on_behalf_of_name else "",
                ),
                Cell(text=event.act),
                Cell(text=event.target, below=_changes(event)),
            ]
            for event in found
        ],
    )


def _changes(event: AuditEvent) -> str:
    before, after = event.before, event.after
    changed = [
        f"{key}: {before[key]} → {after.get(key, '–')}" if key in before else f"{key}: {after[key]}"
        for key in sorted(before.keys() | after.keys())
    ]
    return ", ".join(changed)[:300]


def _says_look_in(_target: str) -> str:
    return (
        _(
            "You see what a viewer sees for %d minutes and can change nothing. Each page that you"
            " open stands in the company's audit log, and its owners and admins get a mail."
            " If the company wants to be asked first, you wait for its answer."
        )
        % grants.GRANT_MINUTES
    )


def _look_in(deed: Deed) -> str:
    grant = grants.grant_request(
        staff=deed.by,
        asked_by=deed.person,
        reason=deed.reason,
        ticket=deed.ticket,
        now=deed.now,
    )
    if grant.expires_at is None:
        return _("The company is asked. You can look in once an owner or admin approves.")
    return _("You can look in now.")


def _grant_of(target: str) -> SupportGrant | None:
    found: SupportGrant | None = SupportGrant.objects.filter(public_id=_uuid(target)).first()
    return found


def _says_grant_end(target: str) -> str | None:
    grant = _grant_of(target)
    return _("The grant of %s ends at once.") % grant.staff if grant else None


def _grant_end(deed: Deed) -> str:
    grant = _grant_of(deed.target)
    assert grant is not None, "the page said so"
    grants.grant_end(grant=grant, by=deed.by, now=deed.now)
    return _("The grant has ended.")


def _invited(target: str) -> Invitation | None:
    found: Invitation | None = Invitation.objects.filter(
        public_id=_uuid(target), accepted_at=None
    ).first()
    return found


def _says_resend(target: str) -> str | None:
    invited = _invited(target)
    if invited is None:
        return None
    return _("%s gets a mail with a new link, valid for a week. The old link stops working.") % (
        invited.email
    )


def _resend(deed: Deed) -> str:
    invited = _invited(deed.target)
    if invited is None:
        raise ValidationError(_("This invitation was accepted or withdrawn."))
    services.invitation_resend(invitation=invited, by=deed.by, now=deed.now)
    return _("The invitation is sent again.")


def _uuid(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None
