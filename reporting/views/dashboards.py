"""The pages of figures and the documents behind them."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

from django.contrib import messages
from django.contrib.messages import get_messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.utils.translation import get_language
from django.utils.translation import gettext as _

from billing.services import entitlement_of
from calqsync.tenancy import sheets
from calqsync.tenancy.access import TenantRequest, before_file, tenant_page
from calqsync.tenancy.context import around, kept_frame, roles_of
from calqsync.tenancy.models import Role
from calqsync.tenancy.pieces import Pieces
from reporting import exports
from reporting.selectors import aggregates, checklist, frame, kept, restated_news, versions
from reporting.selectors import behind as behind_selectors
from reporting.selectors import recognition as recognition_selectors
from reporting.selectors.board import board_page
from reporting.selectors.cashflow import cashflow_page
from reporting.selectors.economics import economics_page
from reporting.selectors.figures import offer_files, tables_of
from reporting.selectors.financial import financial_page
from reporting.selectors.growth import growth_page
from reporting.selectors.overdue import overdue_page
from reporting.selectors.retention import retention_page
from reporting.selectors.segments import segments_page
from reporting.services import business_day
from reporting.views.answering import answer, answer_file, answer_list, remembering


@tenant_page(Role.INVESTOR)
def financial(request: TenantRequest) -> HttpResponse:
    return _dashboard(request, financial_page, "reporting/financial.html")


@tenant_page(Role.INVESTOR)
def growth(request: TenantRequest) -> HttpResponse:
    return _dashboard(request, growth_page)


@tenant_page(Role.INVESTOR)
def cashflow(request: TenantRequest) -> HttpResponse:
    return _dashboard(request, cashflow_page, "reporting/cashflow.html")


@tenant_page(Role.INVESTOR)
def retention(request: TenantRequest) -> HttpResponse:
    return _dashboard(request, retention_page)


@tenant_page(Role.INVESTOR)
def segments(request: TenantRequest) -> HttpResponse:
    return _dashboard(request, segments_page)


@tenant_page(Role.INVESTOR)
def economics(request: TenantRequest) -> HttpResponse:
    return _dashboard(request, economics_page)


@tenant_page(Role.INVESTOR)
def recognition(request: TenantRequest) -> HttpResponse:
    return _dashboard(request, recognition_selectors.recognition_page)


@tenant_page()
def deferred_customers(request: TenantRequest) -> HttpResponse:
    found = recognition_selectors.deferred_customers(tenant=request.tenant, query=request.GET)
    return answer_list(request, found, "reporting/deferred.html")


@tenant_page()
def deferred_invoices(request: TenantRequest) -> HttpResponse:
    found = recognition_selectors.deferred_invoices(tenant=request.tenant, query=request.GET)
    return answer_list(request, found, "reporting/deferred.html")


@tenant_page(Role.INVESTOR)
def overdue(request: TenantRequest) -> HttpResponse:
    return _dashboard(request, overdue_page)


@tenant_page()
def customer_months(request: TenantRequest) -> HttpResponse:
    """MRR by customer and month as a file; the page that offers it where there is none."""
    kind = sheets.kind_asked(request.GET.get("format"))
    if kind and (asking := before_file(request)):
        return asking
    table = exports.customer_months(tenant=request.tenant) if kind else None
    if table is None or kind is None:
        if kind:
            messages.info(request, _("The figures are not complete yet, so there is no file."))
        return redirect("growth", request.tenant.slug)
    caption = _("MRR by customer and month")
    return answer_file(request, kind, caption, table.head, table.rows, day=table.as_of)


@tenant_page(Role.INVESTOR)
def board(request: TenantRequest) -> HttpResponse:
    return _dashboard(request, board_page, "reporting/board.html")


def _dashboard(
    request: TenantRequest, page_of: Callable[..., Any], template: str = "reporting/figures.html"
) -> HttpResponse:
    """The page, or one of its tables as a file; who sees aggregates only takes no files along."""
    if kind := sheets.kind_asked(request.GET.get("format")):
        return _file(request, page_of, kind)
    now, state = timezone.now(), _state(request)
    shown = _current(request, page_of, state, now)
    pieces = _pieces(request, template, state, shown, now)
    if pieces.whole:
        return pieces.answer(request)
    page = known = None
    if not pieces.kept:
        page, known = _page(request, page_of)
        shown.setdefault("freshness", page.freshness)
        if request.membership.may(Role.VIEWER):
            offer_files(page, request.GET)
    pieces.shown = {
        "page": page,
        "known": known,
        "request": {"path": request.path},
        "shell": {"tenant": request.tenant, "may": roles_of(request.membership)},
    }
    shown |= {"pieces": pieces, "page": page, "known": known}
    if pieces.frames:
        answer = pieces.framed(request, template, kept_frame(request) | shown)
    else:
        answer = render(request, template, shown)
    if not getattr(page, "sample", False):
        pieces.keep()
    return answer


def _pieces(
    request: TenantRequest,
    template: str,
    state: kept.State | None,
    shown: dict[str, Any],
    now: datetime,
) -> Pieces:
    """What is kept of the page; its frame too, unless a message is to be shown in it."""
    if state is None:
        return Pieces(tenant=request.tenant, facts=None)
    frame_facts = None
    if not get_messages(request):
        frame_facts = (template, around(request).facts, shown)
    facts = _facts(request, state, now)
    return Pieces(tenant=request.tenant, facts=facts, around=frame_facts)


def _page(
    request: TenantRequest, page_of: Callable[..., Any]
) -> tuple[Any, versions.KnownControl | None]:
    """The page made anew, and the choice of a day above it."""
    page = page_of(
        tenant=request.tenant,
        query=request.GET,
        now=timezone.now(),
        aggregates_only=not request.membership.may(Role.VIEWER),
    )
    known = versions.control(request.GET, language=get_language())
    if known and known.text:
        page = aggregates.with_links(page, lambda url: url.startswith(("#", "?")))
    return page, known


def _file(request: TenantRequest, page_of: Callable[..., Any], kind: str) -> HttpResponse:
    """One of the page's tables as a file."""
    page, known = _page(request, page_of)
    if not request.membership.may(Role.VIEWER):
        raise PermissionDenied
    asked = request.GET.get("table")
    file = next((one["file"] for one in tables_of(page) if one["id"] == asked), None)
    if file is None:
        raise Http404
    if asking := before_file(request):
        return asking
    day = known.day if known else None
    return answer_file(request, kind, file.caption, file.head, file.rows(), day=day)


def _state(request: TenantRequest) -> kept.State | None:
    """The figures that the page shows, where it may be kept; nothing of what support looks at."""
    if request.support_grant is not None or not set(request.GET) <= kept.ADDRESS:
        return None
    return kept.state()


def _facts(request: TenantRequest, state: kept.State, now: datetime) -> tuple[object, ...]:
    """All that the pieces of this page depend on."""
    tenant = request.tenant
    return (
        *state.facts,
        # As the page reads it: what the bytes of an address say depends on the request's charset.
        (request.path, list(request.GET.lists())),
        (request.membership.role, get_language(), business_day(tenant, now)),
        (tenant.slug, tenant.name, tenant.currency, tenant.time_zone, tenant.fiscal_year_start),
    )


# Of which figures a page tells that closed months changed.
_TOLD: dict[Callable[..., Any], restated_news.About] = {
    financial_page: (restated_news.MRR, restated_news.REVENUE),
    growth_page: (restated_news.MRR,),
    cashflow_page: (restated_news.CASH,),
    recognition_selectors.recognition_page: (restated_news.RECOGNISED,),
}


def _current(
    request: TenantRequest, page_of: Callable[..., Any], state: kept.State | None, now: datetime
) -> dict[str, Any]:
    """What no piece holds, for it changes beside the figures: how old they are, first steps, news.

    Only what `repr` tells apart, because a kept frame depends on it.
    """
    tenant, unnamed = request.tenant, not request.membership.may(Role.VIEWER)
    shown: dict[str, Any] = {}
    if state:
        found = state.published(aggregates_only=unnamed)
        shown["freshness"] = frame.freshness_note(
            tenant, found, now=now, aggregates_only=unnamed, plan=entitlement_of(request)
        )
    if (about := _TOLD.get(page_of)) and (state is None or state.restated(now)):
        shown["restated"] = restated_news.news(
            tenant=tenant,
            about=about,
            words=frame.words_for(tenant),
            now=now,
            aggregates_only=unnamed,
        )
    if page_of is financial_page and request.membership.may(Role.ADMIN):
        shown["checklist"] = checklist.checklist(tenant=tenant, by=request.user)
    return shown


@tenant_page()
def behind(request: TenantRequest, figure: str, month: str) -> HttpResponse:
    """The documents whose amounts add up to one figure of one month."""
    if told := remembering(request):
        return told
    page = behind_selectors.behind_page(
        tenant=request.tenant, figure=figure, month=month, query=request.GET
    )
    return answer(request, "reporting/behind.html", page=page)
