"""The three dashboards and the documents behind their figures."""

from __future__ import annotations

from django.http import HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.http import require_safe

from calqsync.tenancy.access import TenantRequest, tenant_view
from reporting.selectors import behind as behind_selectors
from reporting.selectors.cashflow import cashflow_page
from reporting.selectors.financial import financial_page
from reporting.selectors.growth import growth_page


@tenant_view()
@require_safe
def financial(request: TenantRequest) -> HttpResponse:
    page = financial_page(tenant=request.tenant, query=request.GET, now=timezone.now())
    context = {"page": page, "freshness": page.freshness}
    return render(request, "reporting/financial.html", context)


@tenant_view()
@require_safe
def growth(request: TenantRequest) -> HttpResponse:
    page = growth_page(tenant=request.tenant, query=request.GET, now=timezone.now())
    return render(request, "reporting/growth.html", {"page": page, "freshness": page.freshness})


@tenant_view()
@require_safe
def cashflow(request: TenantRequest) -> HttpResponse:
    page = cashflow_page(tenant=request.tenant, query=request.GET, now=timezone.now())
    context = {"page": page, "freshness": page.freshness}
    return render(request, "reporting/cashflow.html", context)


@tenant_view()
@require_safe
def behind(request: TenantRequest, figure: str, month: str) -> HttpResponse:
    """The documents whose amounts add up to one figure of one month."""
    page = behind_selectors.behind_page(
        tenant=request.tenant, figure=figure, month=month, page=request.GET.get("page")
    )
    return render(request, "reporting/behind.html", {"page": page})
