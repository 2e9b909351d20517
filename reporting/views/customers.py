"""Customers: the list and one of them."""

from __future__ import annotations

from uuid import UUID

from django.http import HttpResponse

from calqsync.tenancy.access import TenantRequest, tenant_page
from integrations.models import Customer
from reporting.selectors.customers import customer_page, customers_list
from reporting.views.answering import answer, answer_list, may_change, one_of, today


@tenant_page()
def customers(request: TenantRequest) -> HttpResponse:
    return answer_list(request, customers_list(tenant=request.tenant, query=request.GET))


@tenant_page()
def customer(request: TenantRequest, public_id: UUID) -> HttpResponse:
    found = one_of(Customer.objects.select_related("connection"), public_id)
    page = customer_page(tenant=request.tenant, customer=found, today=today(request))
    may = may_change(request)
    return answer(request, "reporting/customers/detail.html", page=page, may_change=may)
