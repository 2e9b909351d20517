"""Restatements: the list of closed figures that changed, and one with its causes."""

from __future__ import annotations

from uuid import UUID

from django.core.exceptions import PermissionDenied
from django.http import HttpResponse

from calqsync.tenancy import sheets
from calqsync.tenancy.access import TenantRequest, tenant_page
from calqsync.tenancy.models import Role
from reporting.models import Restatement
from reporting.selectors.restatements import restatement_page, restatements_list
from reporting.views.answering import answer, answer_list, one_of


@tenant_page(Role.INVESTOR)
def restatements(request: TenantRequest) -> HttpResponse:
    """The list; who sees aggregates only sees no documents and takes no files along."""
    may_take = request.membership.may(Role.VIEWER)
    listing = restatements_list(
        tenant=request.tenant, query=request.GET, aggregates_only=not may_take
    )
    if may_take:
        return answer_list(request, listing, "reporting/restatements/list.html")
    if sheets.kind_asked(request.GET.get("format")):
        raise PermissionDenied
    page = listing.page() | {"exports": []}
    return answer(request, "reporting/restatements/list.html", title=listing.caption, listing=page)


@tenant_page()
def restatement(request: TenantRequest, public_id: UUID) -> HttpResponse:
    found = one_of(Restatement.objects, public_id)
    page = restatement_page(tenant=request.tenant, restatement=found, page=request.GET.get("page"))
    return answer(request, "reporting/restatements/detail.html", page=page)
