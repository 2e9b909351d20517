"""Payments: the list."""

from __future__ import annotations

from django.http import HttpResponse
from django.views.decorators.http import require_safe

from calqsync.tenancy.access import TenantRequest, tenant_view
from reporting.selectors.payments import payments_list
from reporting.views.answering import answer_list


@tenant_view()
@require_safe
def payments(request: TenantRequest) -> HttpResponse:
    return answer_list(request, payments_list(tenant=request.tenant, query=request.GET))
