"""Payments: the list."""

from __future__ import annotations

from django.http import HttpResponse

from calqsync.tenancy.access import TenantRequest, tenant_page
from reporting.selectors.payments import payments_list
from reporting.views.answering import answer_list


@tenant_page()
def payments(request: TenantRequest) -> HttpResponse:
    return answer_list(request, payments_list(tenant=request.tenant, query=request.GET))
