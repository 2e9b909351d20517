"""What the list pages share: the page or its file, and the way back after a change."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date
from functools import partial
from typing import Any
from urllib.parse import urlencode, urlsplit
from uuid import UUID

from django.contrib import messages
from django.db.models import QuerySet
from django.http import Http404, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import Resolver404, resolve
from django.utils import timezone
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from calqsync.tenancy import sheets
from calqsync.tenancy.access import TenantRequest, before_file
from calqsync.tenancy.context import page_name
from calqsync.tenancy.models import Role
from calqsync.tenancy.services import audit
from calqsync.tenancy.web import limits
from reporting.selectors import frame
from reporting.selectors.listing import Listing
from reporting.services import business_day

# What a way back calls the pages that the navigation has not.
_PAGE_NAMES = {
    "behind": gettext_lazy("Documents behind the figure"),
    "restatements": gettext_lazy("Restatements"),
    "restatement": gettext_lazy("Restatement"),
    "deferred_customers": gettext_lazy("Deferred by customer"),
    "deferred_invoices": gettext_lazy("Deferred by invoice"),
    "subscriptions_review": gettext_lazy("Review subscriptions"),
    "customer": gettext_lazy("Customer"),
    "product": gettext_lazy("Product"),
    "subscription": gettext_lazy("Subscription"),
    "invoice": gettext_lazy("Invoice"),
}
# Pages behind figures link each other, and each would hold all before it.
_LONGEST_WAY = 400


def answer_list(
    request: TenantRequest,
    listing: Listing,
    template: str = "reporting/invoices/list.html",
    **context: Any,
) -> HttpResponse:
    """The list as a page, or as a file where the address asks for one."""
    if request.GET.get("q"):
        limits.consume("search", user_id=request.user.pk, tenant_id=request.tenant.pk)
    if kind := sheets.kind_asked(request.GET.get("format")):
        if asking := before_file(request):
            return asking
        narrowed = listing.narrowed_by
        return answer_file(request, kind, listing.caption, *listing.table(), filters=narrowed)
    return answer(request, template, title=listing.caption, listing=listing.page(), **context)


def answer(
    request: TenantRequest,
    template: str,
    *,
    published: frame.Published | None = None,
    **context: Any,
) -> HttpResponse:
    """A page of documents with the freshness note above it, without names for an investor.

    `published` are the figures that a viewer's page has read already. The template finds where
    the reader came from as `way_back`.
    """
    unnamed = not request.membership.may(Role.VIEWER)
    found = published or frame.published(aggregates_only=unnamed)
    note = frame.freshness_note(request.tenant, found, now=timezone.now(), aggregates_only=unnamed)
    known = {"freshness": note, "way_back": partial(way_back, request)}
    return render(request, template, {**known, **context})


def answer_file(
    request: TenantRequest,
    kind: str,
    caption: str,
    head: Sequence[str],
    rows: Iterable[Sequence[Any]],
    *,
    filters: Sequence[str] = (),
    day: date | None = None,
) -> HttpResponse:
    """The table as a file named by its caption and day, today by default; audited."""
    audit(
        act="list.exported",
        by=request.user,
        target=caption,
        # Names alone: who is searched for must not outlast an erasure in a log that only grows.
        after={"format": kind, "filters": list(filters)},
    )
    name = [caption, request.tenant.slug, str(day or today(request))]
    return sheets.file_answer(kind, name, head, rows)


def today(request: TenantRequest) -> date:
    """The company's own day."""
    return business_day(request.tenant, timezone.now())


def may_change(request: TenantRequest) -> bool:
    return request.membership.may(Role.MEMBER)


def one_of(rows: QuerySet[Any], public_id: UUID) -> Any:
    """The row with this public id; 404 for any other, another tenant's included."""
    found = rows.filter(public_id=public_id).first()
    if found is None:
        raise Http404
    return found


def came_from(request: TenantRequest) -> str:
    """The path and query of the page that the form stood on; "" for another site's.

    A form that was shown once more carries where it began, as `came`.
    """
    came = request.POST.get("came") or request.headers.get("Referer", "")
    if came.startswith("/") and not came.startswith("//"):
        came = f"{request.scheme}://{request.get_host()}{came}"
    here = {request.get_host()}
    if not url_has_allowed_host_and_scheme(came, here, require_https=request.is_secure()):
        return ""
    parts = urlsplit(came)
    return f"{parts.path}?{parts.query}" if parts.query else parts.path


def way_back(request: TenantRequest) -> dict[str, str] | None:
    """Label and url, filters included, of the company's page whose link led here; None if none did.

    An address may say it itself, as `came`.
    """
    for came in (request.GET.get("came", ""), came_from(request)):
        path = came.partition("?")[0]
        try:
            found = resolve(path)
        except Resolver404:
            continue
        name = found.url_name or ""
        label = str(_PAGE_NAMES.get(name) or page_name(name))
        if label and path != request.path and found.kwargs.get("slug") == request.tenant.slug:
            return {"label": label, "url": came}
    return None


def remembering(request: TenantRequest) -> HttpResponseRedirect | None:
    """To the same address with the page that led here as `came`; None where it needs none.

    So the way back outlasts the next page of a list, and a look at one of its documents.
    """
    came = way_back(request)
    if came is None or "came" in request.GET or len(came["url"]) > _LONGEST_WAY:
        return None
    return HttpResponseRedirect(f"?{urlencode([*request.GET.items(), ('came', came['url'])])}")


def back(request: TenantRequest, to: str) -> HttpResponseRedirect:
    """To `to`, with the filters of the page that the form stood on where it is the same page."""
    came = came_from(request)
    return HttpResponseRedirect(came if came.partition("?")[0] == to else to)


def changed(request: TenantRequest, what: str) -> None:
    """Say that the change is kept and that the figures follow."""
    messages.success(request, _("%(what)s Figures are being recomputed.") % {"what": what})
