"""The company's side of support access: who looked in and why, and the company's answer."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.contrib import messages
from django.core.exceptions import ValidationError
from django.db.models import Count
from django.http import Http404, HttpResponse
from django.shortcuts import redirect
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST

from calqsync.tenancy import services
from calqsync.tenancy.access import TenantRequest, tenant_view
from calqsync.tenancy.models import AuditEvent, Role, SupportGrant, Tenant
from calqsync.tenancy.support import grants

SHOWN = 20


def panel(request: TenantRequest) -> dict[str, Any]:
    """What Settings > Security shows about support: requests, live grants, the last ones."""
    now = timezone.now()
    people = ("staff", "on_behalf_of", "approved_by")
    newest = (
        SupportGrant.objects.select_related(*people)
        .defer(*(f"{person}__password" for person in people))
        .order_by("-created_at", "-pk")[:SHOWN]
    )
    looks = AuditEvent.objects.filter(act="support.viewed").values("after__grant")
    pages = {row["after__grant"]: row["n"] for row in looks.annotate(n=Count("pk")).order_by()}
    rows = [
        {
            "grant": grant,
            "state": grants.state(grant, now=now),
            "pages": pages.get(str(grant.public_id), 0),
        }
        for grant in newest
    ]
    return {
        "waiting": [row for row in rows if row["state"] == "waiting"],
        "open": [row for row in rows if row["state"] == "open"],
        "past": [row for row in rows if row["state"] not in {"waiting", "open"}],
        "minutes": grants.GRANT_MINUTES,
        "consent": request.tenant.support_consent_required,
        "may_edit": request.membership.may(Role.ADMIN),
    }


@tenant_view(Role.ADMIN, fresh=True)
@require_POST
def consent_set(request: TenantRequest) -> HttpResponse:
    """Switch "ask before support looks in" on or off."""
    wanted = request.POST.get("consent") == "on"
    services.tenant_update(
        tenant=Tenant.objects.get(pk=request.tenant.pk),
        by=request.user,
        support_consent_required=wanted,
    )
    messages.success(
        request,
        _("Support asks you first from now on.")
        if wanted
        else _("Support may look in without asking first. You are told each time."),
    )
    return _back(request)


@tenant_view(Role.ADMIN, fresh=True)
@require_POST
def grant_answer(request: TenantRequest, public_id: UUID) -> HttpResponse:
    """Approve or refuse a request of support."""
    grant, now = _grant_of(public_id), timezone.now()
    try:
        if request.POST.get("answer") == "approve":
            grants.grant_approve(grant=grant, by=request.user, now=now)
            messages.success(request, _("Support can look in for half an hour from now."))
        else:
            grants.grant_refuse(grant=grant, by=request.user, now=now)
            messages.success(request, _("The request is refused."))
    except ValidationError as error:
        messages.error(request, " ".join(error.messages))
    return _back(request)


@tenant_view(Role.ADMIN)
@require_POST
def grant_end(request: TenantRequest, public_id: UUID) -> HttpResponse:
    """Close a live grant at once; no fresh sign-in stands in the way of that."""
    grants.grant_end(grant=_grant_of(public_id), by=request.user, now=timezone.now())
    messages.success(request, _("Support can no longer look in."))
    return _back(request)


def _grant_of(public_id: UUID) -> SupportGrant:
    found: SupportGrant | None = SupportGrant.objects.filter(public_id=public_id).first()
    if found is None:
        raise Http404
    return found


def _back(request: TenantRequest) -> HttpResponse:
    return redirect("settings_security", request.tenant.slug)
