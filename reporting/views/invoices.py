"""Invoices: the list and one with its rows."""

from __future__ import annotations

from uuid import UUID

from django.http import HttpResponse

from calqsync.tenancy.access import TenantRequest, tenant_page
from reporting.selectors.invoices import invoice_page, invoices_list, with_figures
from reporting.views.answering import answer, answer_list, one_of, today


@tenant_page()
def invoices(request: TenantRequest) -> HttpResponse:
    listing = invoices_list(tenant=request.tenant, query=request.GET, today=today(request))
    return answer_list(request, listing)


@tenant_page()
def invoice(request: TenantRequest, public_id: UUID) -> HttpResponse:
    found = one_of(with_figures(), public_id)
    page = invoice_page(tenant=request.tenant, invoice=found, today=today(request))
    return answer(request, "reporting/invoices/detail.html", page=page)
