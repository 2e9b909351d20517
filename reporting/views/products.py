"""Products: the list, one of them, and what a member says they are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from django.contrib import messages
from django.http import Http404, HttpResponse
from django.template.loader import get_template
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_POST

from calqsync.tenancy.access import TenantRequest, tenant_page, tenant_view
from calqsync.tenancy.models import Role
from integrations.models import Product
from reporting.selectors.products import (
    mark_code,
    mark_options,
    mark_parts,
    product_page,
    products_list,
    products_suggested,
)
from reporting.selectors.subscriptions import recomputing
from reporting.services import acts, product_votes
from reporting.views.answering import answer, answer_list, back, may_change, one_of
from reporting.views.saying import asked


@tenant_page()
def products(request: TenantRequest) -> HttpResponse:
    """The list; members mark products one by one or several at once."""
    may = may_change(request)
    listing = products_list(
        tenant=request.tenant, query=request.GET, control=_control() if may else None
    )
    # Who narrows or turns the pages looks for something else.
    suggested = may and not request.GET
    return answer_list(
        request,
        listing,
        "reporting/products/list.html",
        may_change=may,
        options=mark_options(),
        suggested=products_suggested(tenant=request.tenant, votes=product_votes())
        if suggested
        else [],
        recomputing=recomputing(),
    )


def _control() -> Any:
    """Draws the mark of a row as a control of the page's one form."""
    template = get_template("reporting/products/_mark.html")
    options = mark_options()

    def draw(row: Any) -> str:
        code = mark_code(row.mark, row.mark_period)
        return template.render({"row": row, "options": options, "code": code})

    return draw


@tenant_page()
def product(request: TenantRequest, public_id: UUID) -> HttpResponse:
    found = one_of(Product.objects.select_related("connection"), public_id)
    page = product_page(tenant=request.tenant, product=found)
    return answer(
        request,
        "reporting/products/detail.html",
        page=page,
        product=found,
        may_change=may_change(request),
        options=mark_options(),
        recomputing=recomputing(),
    )


@tenant_view(Role.MEMBER)
@require_POST
def products_mark(request: TenantRequest) -> HttpResponse:
    """Keep the marks of the rows asked for: one, or all that are ticked."""
    asked_for = request.POST.get("save", "")
    several = asked_for == "ticked"
    ids = request.POST.getlist("product") if several else [asked_for]
    code = request.POST.get("mark" if several else f"mark-{asked_for}", "")
    to = _page_of(request, asked_for)
    if code not in dict(mark_options()):
        raise Http404
    mark, months = mark_parts(code)
    found = [one_of(Product.objects, _uuid(public_id)) for public_id in ids]
    if not found:
        messages.warning(request, _("Tick the products to mark first."))
        return back(request, to)
    done = ngettext("%(n)d product marked.", "%(n)d products marked.", len(found))
    return asked(
        request,
        acts.products_marked(products=found, mark=mark, period_months=months),
        what=_("Mark %(name)s: %(mark)s")
        % {"name": _names(found), "mark": dict(mark_options())[code]},
        done=done % {"n": len(found)},
        to=to,
    )


def _names(products: Sequence[Product]) -> str:
    if len(products) == 1:
        return products[0].name
    return ngettext("%(n)d product", "%(n)d products", len(products)) % {"n": len(products)}


def _page_of(request: TenantRequest, public_id: str) -> str:
    """The page that the form stood on."""
    slug = request.tenant.slug
    match request.POST.get("from"):
        case "product":
            return reverse("product", args=[slug, _uuid(public_id)])
        case "review":
            return reverse("subscriptions_review", args=[slug])
    return reverse("products", args=[slug])


def _uuid(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError:
        raise Http404 from None
