"""The three dashboards and the documents behind their figures."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.http import HttpResponse
from django.shortcuts import render
from django.utils import timezone

from calqsync.tenancy.access import TenantRequest, tenant_page
from calqsync.tenancy.models import Role
from reporting.selectors import behind as behind_selectors
from reporting.selectors.cashflow import cashflow_page
from reporting.selectors.financial import financial_page
from reporting.selectors.growth import growth_page
from reporting.views.answering import answer


@tenant_page(Role.INVESTOR)
def financial(request: TenantRequest) -> HttpResponse:
    return _dashboard(request, financial_page, "reporting/financial.html")


@tenant_page(Role.INVESTOR)
def growth(request: TenantRequest) -> HttpResponse:
    return _dashboard(request, growth_page, "reporting/growth.html")


@tenant_page(Role.INVESTOR)
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


@tenant_page()
def behind(request: TenantRequest, figure: str, month: str) -> HttpResponse:
    """The documents whose amounts add up to one figure of one month."""
    page = behind_selectors.behind_page(
        tenant=request.tenant, figure=figure, month=month, page=request.GET.get("page")
    )
    return answer(request, "reporting/behind.html", page=page)
