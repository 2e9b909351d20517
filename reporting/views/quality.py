"""Data quality, and customers of the books that are one."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.contrib import messages
from django.core.exceptions import ValidationError
from django.http import Http404, HttpResponse
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST

from calqsync.tenancy.access import TenantRequest, tenant_page, tenant_view
from calqsync.tenancy.models import Role
from integrations.models import Customer
from reporting.selectors import frame
from reporting.selectors.quality import credits_list, flawed_list, quality_page
from reporting.services import acts
from reporting.views.answering import answer, answer_list, back, may_change, one_of
from reporting.views.saying import asked

_LIST = "reporting/quality/list.html"


@tenant_page()
def quality(request: TenantRequest) -> HttpResponse:
    """Every kind of thing to mend, the most MRR at stake first."""
    found = frame.published()
    page = quality_page(
        tenant=request.tenant, published_at=found.report.published_at if found else None
    )
    may = may_change(request)
    return answer(
        request, "reporting/quality/page.html", published=found, page=page, may_change=may
    )


@tenant_page()
def quality_subscriptions(request: TenantRequest) -> HttpResponse:
    listing = flawed_list(tenant=request.tenant, query=request.GET)
    return answer_list(request, listing, _LIST)


@tenant_page()
def quality_credits(request: TenantRequest) -> HttpResponse:
    listing = credits_list(tenant=request.tenant, query=request.GET)
    return answer_list(request, listing, _LIST)


@tenant_view(Role.MEMBER)
@require_POST
def customer_merge(request: TenantRequest, public_id: UUID) -> HttpResponse:
    """Count the customer for another one ("merge"), never propose it ("apart"), or take it back.

    `into` names the other one by its public id.
    """
    found = one_of(Customer.objects, public_id)
    here = reverse("customer", args=[request.tenant.slug, found.public_id])
    if request.POST.get("from") == "quality":
        here = reverse("quality", args=[request.tenant.slug])
    say = request.POST.get("say", "")
    if say == "part":
        what = _("Take apart what was merged with %(name)s") % {"name": found.name}
        change = acts.customers_parted(customer=found)
        return asked(request, change, what=what, done=_("Taken apart."), to=here)
    other = _customer(request.POST.get("into", ""))
    if other is None or other.pk == found.pk:
        messages.warning(request, _("Choose another customer of the list."))
        return back(request, here)
    names = {"name": found.name, "other": other.name}
    try:
        if say == "apart":
            change = acts.customers_apart(customer=found, other=other)
            what, done = _("Keep %(name)s and %(other)s apart"), _("They are not proposed again.")
        elif say == "merge":
            change = acts.customers_merged(customer=found, into=other)
            what, done = _("Count %(name)s as %(other)s"), _("Merged.")
        else:
            raise Http404
        return asked(request, change, what=what % names, done=done, to=here)
    except ValidationError as mistake:
        messages.warning(request, " ".join(mistake.messages))
        return back(request, here)


def _customer(text: str) -> Any:
    """The customer whose public id the text writes, or the one of exactly this name or number."""
    try:
        found = Customer.objects.filter(public_id=UUID(text)).first()
    except ValueError:
        rows = Customer.objects.filter(name__iexact=text.replace("\0", "").strip())[:2]
        found = rows[0] if len(rows) == 1 else None
    else:
        if found is None:
            raise Http404
    return found
