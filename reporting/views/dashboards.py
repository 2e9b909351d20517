"""The three dashboards and the documents behind their figures."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.http import HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.http import require_safe

from calqsync.tenancy.access import TenantRequest, tenant_view
from calqsync.tenancy.models import Role
from reporting.selectors import behind as behind_selectors
from reporting.selectors.cashflow import cashflow_page
from reporting.selectors.financial import financial_page
from reporting.selectors.growth import growth_page


@tenant_view(Role.INVESTOR)
@require_safe
def financial(request: TenantRequest) -> HttpResponse:
    return _dashboard(request, financial_page, "reporting/financial.html")


@tenant_view(Role.INVESTOR)
@require_safe
def growth(request: TenantRequest) -> HttpResponse:
    return _dashboard(request, growth_page, "reporting/growth.html")


@tenant_view(Role.INVESTOR)
@require_safe
def cashflow(request: TenantRequest) -> HttpResponse:
    return _dashboard(request, cashflow_page, "reporting/cashflow.html")


def _dashboard(request: TenantRequest, page_of: Callable[..., Any], template: str) -> HttpResponse:
    page = page_of(
        tenant=request.tenant,
        query=request.GET,
        now=timezone.now(),
        aggregates_only=not request.membership.may(Role.VIEWER),
    )
    return render(request, template, {"page": page, "freshness": page.freshness})


@tenant_view()
@require_safe
def behind(request: TenantRequest, figure: str, month: str) -> HttpResponse:
    """The documents whose amounts add up to one figure of one month."""
    page = behind_selectors.behind_page(
        tenant=request.tenant, figure=figure, month=month, page=request.GET.get("page")
    )
    return render(request, "reporting/behind.html", {"page": page})
