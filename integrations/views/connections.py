"""The list of connections, one connection's page, and what can be done there."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.contrib import messages
from django.core.exceptions import ValidationError
from django.db import transaction
from django.http import Http404, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_safe

from billing.services import entitlement_now
from calqsync.tenancy import sheets
from calqsync.tenancy.access import TenantRequest, tenant_view
from calqsync.tenancy.models import Role
from calqsync.tenancy.web.limits import limited
from integrations import selectors
from integrations.forms import DisconnectForm, NameForm
from integrations.models import Connection, RemovalHold
from integrations.models.connections import GrantKind
from integrations.services import connections, identity, runs
from integrations.services.refusals import ConnectRefused
from integrations.sync.advice import PARTLY
from integrations.views.connect import (
    admin_outside_transaction,
    connection_of,
    posted,
    to_login,
)
from integrations.views.imports import history, history_file
from integrations.views.problems import (
    SUSPENDED,
    allowed,
    button,
    connection_problem,
    held_problem,
    rejected_problem,
)
from integrations.views.schedules import panel
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
                "button": button(words, row.connection, row.status, admin=admin),
                "rejected": row.rejected,
                "holds": [_held(words, row.connection, hold) for hold in row.holds],
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


def _held(words: Words, connection: Connection, hold: RemovalHold) -> dict[str, str]:
    facts = {"missing": words.count(hold.missing), "what": words.inside(hold.get_stream_display())}
    if hold.confirmed_at is not None:
        return {"words": _("%(missing)s %(what)s are about to be removed") % facts}
    return {
        "words": _("Were %(missing)s %(what)s deleted?") % facts,
        "url": words.url("connection", connection),
    }


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
    if kind := sheets.kind_asked(request.GET.get("format")):
        return history_file(request, shown, kind)
    return _page(request, shown, NameForm())


def _page(
    request: TenantRequest, shown: Connection, form: NameForm, *, status: int = 200
) -> HttpResponse:
    now = timezone.now()
    words = Words(request.tenant, now)
    if not form.is_bound:
        form = NameForm(initial={"name": shown.name})
    news = _news(request, shown, words)
    context = news | {
        "form": form,
        "gaps": words.gaps(shown.rights),
        "rights_read": words.moment(shown.rights_read_at) if shown.rights_read_at else "",
        "listing": history(request, words, shown),
        "crumbs": words.crumbs(shown),
        "schedule": panel(words, shown, stopped=news["stopped"]),
    }
    return render(request, "integrations/connection.html", context, status=status)


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
    suspended = shown.trouble_kind == SUSPENDED
    at_work = page.current is not None and page.current.at_work
    off = page.status.code is selectors.Code.DISCONNECTED
    paused = shown.paused_at is not None
    return {
        "connection": shown,
        "status": page.status,
        "says": words.status(shown, page.status),
        "stopped": page.status.code in (selectors.Code.NEEDS_YOU, selectors.Code.PAUSED)
        and shown.trouble_kind != PARTLY,
        "facts": facts,
        "counts": _counts(words, page.counts),
        "set_aside": page.set_aside,
        "current": page.current,
        "progress": words.progress(shown, page.current) if page.current else None,
        "problems": [] if off else _problems(words, shown, page, member=member, admin=admin),
        "may_sync": member
        and not at_work
        and not suspended
        and not off
        and not paused
        and not words.leaving,
        "may_cancel": member and running,
        "may_admin": admin,
        "leaving": words.leaving,
        "may_pause": admin and not off and not paused and not words.leaving,
        "disconnected": off,
        "deleting": shown.deleting_at is not None,
    }


def _problems(
    words: Words,
    shown: Connection,
    page: selectors.ConnectionPage,
    *,
    member: bool,
    admin: bool,
) -> list[dict[str, Any]]:
    """The cards of the connection's page, gravest first."""
    cards = [
        connection_problem(words, shown, page.status, page.current),
        *(held_problem(words, shown, one, member=member, admin=admin) for one in page.holds),
        rejected_problem(words, shown, page.set_aside),
    ]
    found = (allowed(card, member=member, admin=admin) for card in cards)
    return [card for card in found if card is not None]


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
        "crumbs": words.crumbs(shown, _("Disconnect")),
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
