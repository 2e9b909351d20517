"""The list of connections, one connection's page, and what can be done there."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.contrib import messages
from django.core.exceptions import ValidationError
from django.core.paginator import Paginator
from django.db import transaction
from django.http import Http404, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_safe

from billing.gate import PlanNeeded
from billing.services import entitlement_now
from calqsync.tenancy.access import TenantRequest, tenant_view
from calqsync.tenancy.models import Role
from calqsync.tenancy.web.limits import limited
from integrations import selectors
from integrations.forms import DisconnectForm, NameForm
from integrations.models import Connection
from integrations.models.connections import GrantKind
from integrations.services import connections, identity, runs
from integrations.services.refusals import ConnectRefused
from integrations.views.connect import (
    admin_outside_transaction,
    connection_of,
    plan_needed,
    posted,
    to_login,
)
from integrations.views.words import Words

_COUNT_WORDS = {
    "customers": gettext_lazy("Customers"),
    "products": gettext_lazy("Products"),
    "invoices": gettext_lazy("Invoices"),
    "payments": gettext_lazy("Payments"),
    "statements": gettext_lazy("Bank statements"),
}


@tenant_view()
@require_safe
def integrations(request: TenantRequest) -> HttpResponse:
    now = timezone.now()
    words = Words(request.tenant, now)
    rows = selectors.connections_page(now=now, leaving=words.leaving)
    admin = request.membership.may(Role.ADMIN)
    context = {
        "rows": [
            {
                "connection": row.connection,
                "status": row.status,
                "says": words.status(row.connection, row.status),
                "last": words.ago(row.connection.data_as_of),
                "counts": _counts(words, row.counts),
                "url": words.url("connection", row.connection),
                "button": words.button(row.connection, row.status, admin=admin),
            }
            for row in rows
        ],
        "deleting": any(row.connection.deleting_at for row in rows),
        "deleted": [event.target for event in selectors.deleted_lately(now=now)],
        "leaving": words.leaving,
        "may_sync": request.membership.may(Role.MEMBER),
        "needed": [_(line) for line in identity.RIGHTS_NEEDED],
        "may_connect": admin,
        "may_import": entitlement_now(now=now).may_import,
    }
    return render(request, "integrations/list.html", context)


def _counts(words: Words, counts: dict[str, int]) -> list[dict[str, Any]]:
    return [
        {"term": str(_COUNT_WORDS[name]), "text": words.count(number), "num": True}
        for name, number in counts.items()
    ]


@tenant_view()
@require_safe
def connection(request: TenantRequest, public_id: UUID) -> HttpResponse:
    """One connection; the address of one whose data is gone leads a member to the list."""
    try:
        shown = connection_of(public_id)
    except Http404:
        if not selectors.was_deleted(public_id):
            raise
        messages.info(request, _("This connection and its data were deleted."))
        return redirect("integrations", request.tenant.slug)
    return _page(request, shown, NameForm())


def _page(
    request: TenantRequest, shown: Connection, form: NameForm, *, status: int = 200
) -> HttpResponse:
    now = timezone.now()
    words = Words(request.tenant, now)
    if not form.is_bound:
        form = NameForm(initial={"name": shown.name})
    page = Paginator(selectors.runs_of(shown), 10).get_page(request.GET.get("page"))
    context = _news(request, shown, words) | {
        "form": form,
        "gaps": words.gaps(shown.rights),
        "rights_read": words.moment(shown.rights_read_at) if shown.rights_read_at else "",
        "listing": _history(words, page),
        "crumbs": _crumbs(request, shown),
    }
    return render(request, "integrations/connection.html", context, status=status)


def _crumbs(request: TenantRequest, shown: Connection, *, last: str = "") -> list[dict[str, str]]:
    crumbs = [
        {"label": _("Integrations"), "url": reverse("integrations", args=[request.tenant.slug])},
        {"label": shown.name, "url": reverse("connection", args=_ids(request, shown))},
    ]
    if last:
        return [*crumbs, {"label": last, "url": ""}]
    return [crumbs[0], {**crumbs[1], "url": ""}]


def _ids(request: TenantRequest, shown: Connection) -> list[Any]:
    return [request.tenant.slug, shown.public_id]


def _news(request: TenantRequest, shown: Connection, words: Words) -> dict[str, Any]:
    """What an import changes on the page."""
    page = selectors.connection_page(shown, now=words.now, leaving=words.leaving)
    facts = [
        {"term": _("Status"), "status": page.status.badge},
        {"term": _("Company in Procountor"), "text": shown.company_name},
        {"term": _("Business id"), "text": shown.business_id},
        {
            "term": _("Figures as of"),
            "text": words.moment(shown.data_as_of) if shown.data_as_of else _("Nothing yet"),
            "hint": words.ago(shown.data_as_of) if shown.data_as_of else "",
        },
        {
            "term": _("Next import"),
            "text": words.clock(page.next_import) if page.next_import and not words.leaving else "",
        },
        {
            "term": _("Authorised by"),
            "text": _("Not shown to support")
            if page.grant is None
            else dict(GrantKind.choices).get(page.grant, _("Nothing: the key is destroyed")),
        },
    ]
    member, admin = request.membership.may(Role.MEMBER), request.membership.may(Role.ADMIN)
    running = page.current is not None and page.current.open
    off = page.status.code is selectors.Code.DISCONNECTED
    paused = shown.paused_at is not None
    return {
        "connection": shown,
        "status": page.status,
        "says": words.status(shown, page.status),
        "facts": facts,
        "counts": _counts(words, page.counts),
        "rejected": page.rejected,
        "current": page.current,
        "progress": words.progress(shown, page.current) if page.current else None,
        "problem": words.problem(shown, page.status, page.current, admin=admin) if member else None,
        "may_sync": member and not running and not off and not paused and not words.leaving,
        "may_cancel": member and running,
        "may_admin": admin,
        "leaving": words.leaving,
        "may_pause": admin and not off and not paused and not words.leaving,
        "disconnected": off,
        "deleting": shown.deleting_at is not None,
    }


def _history(words: Words, page: Any) -> dict[str, Any]:
    def row(run: Any) -> dict[str, Any]:
        took = run.finished_at - run.started_at if run.finished_at else None
        return {
            "cells": [
                {"text": words.moment(run.started_at), "sub": run.get_trigger_display()},
                {"text": run.get_state_display(), "badge": run.state},
                run.get_mode_display(),
                *(words.count(n) for n in (run.added, run.changed, run.removed, run.rejected)),
                _("%d s") % round(took.total_seconds()) if took is not None else "–",
                words.count(run.requests),
            ]
        }

    number = {"numeric": True}
    return {
        "caption": _("Imports, newest first"),
        "columns": [
            {"key": "started", "label": _("Started")},
            {"key": "state", "label": _("Result")},
            {"key": "mode", "label": _("Kind")},
            {"key": "added", "label": _("New"), **number},
            {"key": "changed", "label": _("Changed"), **number},
            {"key": "removed", "label": _("Removed"), **number},
            {"key": "rejected", "label": _("Set aside"), **number},
            {"key": "took", "label": _("Took"), **number},
            {"key": "requests", "label": _("Requests"), **number},
        ],
        "rows": [row(run) for run in page],
        "count_text": ngettext("%s import", "%s imports", page.paginator.count)
        % words.count(page.paginator.count),
        "page": page,
        "empty": {"title": _("No import yet"), "text": _("The first one starts by itself.")},
    }


@tenant_view()
@require_safe
@never_cache
def connection_progress(request: TenantRequest, public_id: UUID) -> HttpResponse:
    """The open import alone; when its state changes, everything on the page that changes too."""
    shown, words = connection_of(public_id), Words(request.tenant, timezone.now())
    current = selectors.connection_progress(shown, now=words.now)
    if current is not None and current.open and current.state == request.GET.get("state"):
        context = {"progress": words.progress(shown, current)}
        return render(request, "parts/progress.html", context)
    return render(request, "integrations/_news.html", _news(request, shown, words) | {"oob": True})


@tenant_view(Role.MEMBER)
@posted
def connection_sync(request: TenantRequest, public_id: UUID) -> HttpResponse:
    shown = connection_of(public_id)
    if shown.disconnected_at is not None:
        messages.error(request, _("This connection is disconnected. Connect it again first."))
        return redirect("connection", *_ids(request, shown))
    if request.tenant.deletes_at is not None:
        said = _("The company is about to be deleted, so nothing is imported. Keep it first.")
        messages.error(request, said)
        return redirect("connection", *_ids(request, shown))
    if shown.paused_at is not None:
        messages.error(request, _("Imports of this connection are paused."))
        return redirect("connection", *_ids(request, shown))
    try:
        runs.sync_request(connection=shown, by=request.user, now=timezone.now())
    except PlanNeeded as failure:
        return plan_needed(request, failure)
    return redirect("connection", *_ids(request, shown))


@tenant_view(Role.MEMBER)
@posted
def connection_cancel(request: TenantRequest, public_id: UUID) -> HttpResponse:
    shown = connection_of(public_id)
    runs.sync_cancel(connection=shown, by=request.user)
    messages.info(request, _("The import stops at the next document. What it read is kept."))
    return redirect("connection", *_ids(request, shown))


@tenant_view(Role.ADMIN)
@posted
def connection_pause(request: TenantRequest, public_id: UUID) -> HttpResponse:
    shown = connection_of(public_id)
    try:
        runs.connection_pause(connection=shown, by=request.user, now=timezone.now())
    except runs.PausedBySupport as refusal:
        messages.error(request, str(refusal))
    else:
        messages.success(request, _("Imports are paused. The data and the key stay."))
    return redirect("connection", *_ids(request, shown))


@tenant_view(Role.ADMIN)
@posted
def connection_resume(request: TenantRequest, public_id: UUID) -> HttpResponse:
    shown = connection_of(public_id)
    try:
        runs.connection_resume(connection=shown, by=request.user, now=timezone.now())
    except runs.PausedBySupport as refusal:
        messages.error(request, str(refusal))
    return redirect("connection", *_ids(request, shown))


@tenant_view(Role.ADMIN)
@posted
def connection_rename(request: TenantRequest, public_id: UUID) -> HttpResponse:
    shown = connection_of(public_id)
    form = NameForm(request.POST)
    if form.is_valid():
        try:
            connections.connection_rename(
                connection=shown, name=form.cleaned_data["name"], by=request.user
            )
        except ValidationError as error:
            form.add_error("name", error)
            shown = connection_of(public_id)
        else:
            messages.success(request, _("Name saved."))
            return redirect("connection", *_ids(request, shown))
    return _page(request, shown, form, status=422)


@tenant_view(Role.ADMIN, fresh=True)
@posted
@limited("connect")
def connection_reconnect(request: TenantRequest, public_id: UUID) -> HttpResponse:
    kind = GrantKind.REFRESH_TOKEN if request.POST.get("way") == "code" else GrantKind.API_KEY
    return to_login(request, kind=kind, connection=connection_of(public_id))


@admin_outside_transaction
@posted
def connection_rights(request: TenantRequest, public_id: UUID) -> HttpResponse:
    """Ask Procountor again what its user may see."""
    with transaction.atomic():
        shown = connection_of(public_id)
    try:
        connections.rights_check(connection=shown, now=timezone.now())
    except ConnectRefused as refusal:
        messages.error(request, refusal.advice)
    else:
        messages.success(request, _("The rights were read again."))
    return redirect("connection", *_ids(request, shown))


@tenant_view(Role.ADMIN, fresh=True)
@require_http_methods(["GET", "HEAD", "POST"])
def connection_disconnect(request: TenantRequest, public_id: UUID) -> HttpResponse:
    """What goes and what stays, then the act."""
    shown = connection_of(public_id)
    if shown.deleting_at is not None:
        return redirect("connection", *_ids(request, shown))
    form = DisconnectForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        delete = form.cleaned_data["books"] == "delete"
        connections.connection_disconnect(
            connection=shown, delete_data=delete, by=request.user, now=timezone.now()
        )
        messages.success(request, _disconnected(shown, delete))
        return redirect("integrations", request.tenant.slug)
    words = Words(request.tenant, timezone.now())
    page = selectors.connection_page(shown, now=words.now)
    context = {
        "connection": shown,
        "form": form,
        "counts": _counts(words, page.counts),
        "disconnected": shown.disconnected_at is not None,
        "crumbs": _crumbs(request, shown, last=_("Disconnect")),
    }
    return render(request, "integrations/disconnect.html", context)


def _disconnected(shown: Connection, delete: bool) -> str:
    first = (
        _("%(name)s is disconnected. Its data is being deleted, which takes a few minutes.")
        if delete
        else _("%(name)s is disconnected. Its data is kept.")
    )
    key = _(
        "Our copy of the key is destroyed. Remove the key in Procountor too:"
        " Basics > API client keys."
    )
    return first % {"name": shown.name} + " " + key


@tenant_view()
@require_safe
def connection_rejected(request: TenantRequest, public_id: UUID) -> HttpResponse:
    """Documents that an import set aside, each with its reason."""
    shown, words = connection_of(public_id), Words(request.tenant, timezone.now())
    page = Paginator(selectors.rejections_of(shown), 50).get_page(request.GET.get("page"))
    listing = {
        "caption": _("Documents set aside"),
        "columns": [
            {"key": "id", "label": _("Number in Procountor")},
            {"key": "stream", "label": _("Kind")},
            {"key": "reason", "label": _("Reason")},
            {"key": "first", "label": _("First seen")},
            {"key": "last", "label": _("Last tried")},
        ],
        "rows": [
            {
                "cells": [
                    row.external_id,
                    row.get_stream_display(),
                    row.reason,
                    words.moment(row.first_seen_at),
                    words.moment(row.last_seen_at),
                ]
            }
            for row in page
        ],
        "count_text": ngettext("%s document", "%s documents", page.paginator.count)
        % words.count(page.paginator.count),
        "page": page,
        "empty": {
            "title": _("Nothing was set aside"),
            "text": _("Every document that was read could be understood."),
        },
    }
    crumbs = _crumbs(request, shown, last=_("Set aside"))
    context = {"connection": shown, "listing": listing, "crumbs": crumbs}
    return render(request, "integrations/rejected.html", context)
