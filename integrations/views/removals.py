"""Documents that vanished at once: whether they were deleted is for a person to say."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.contrib import messages
from django.http import HttpResponse, HttpResponseRedirect
from django.shortcuts import redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods

from billing.gate import PlanNeeded
from calqsync.tenancy.access import TenantRequest, tenant_view
from calqsync.tenancy.models import Role
from calqsync.tenancy.web.limits import limited
from integrations import selectors
from integrations.models import Connection, RemovalHold
from integrations.services import removals
from integrations.views.connect import connection_of, plan_needed, posted
from integrations.views.imports import stands_still
from integrations.views.words import Words

FULL = "full"


@tenant_view(Role.ADMIN)
@require_http_methods(["GET", "HEAD", "POST"])
def connection_removals(request: TenantRequest, public_id: UUID, hold: UUID) -> HttpResponse:
    """What removing them does, then the word that they were deleted."""
    shown, words = connection_of(public_id), Words(request.tenant, timezone.now())
    held = selectors.removal_held(shown, hold)
    if held is None:
        return _settled(request, shown)
    if request.method == "POST":
        try:
            run = removals.removals_confirm(hold=held, by=request.user, now=words.now)
        except PlanNeeded as failure:
            return plan_needed(request, failure)
        said = _("A full import looks for them once more and removes what it misses again.")
        if run is not None and run.started_at < words.now:
            said = f"{said} {_('One is under way: the next one does that.')}"
        messages.success(request, _when(request, shown, said))
        return redirect("connection", request.tenant.slug, shown.public_id)
    context = {
        "connection": shown,
        "confirm": _removing(words, shown, held),
        "crumbs": words.crumbs(shown, _("Remove documents")),
    }
    return render(request, "integrations/ask.html", context)


@tenant_view(Role.MEMBER)
@posted
@limited("sync")
def connection_recheck(request: TenantRequest, public_id: UUID, hold: UUID) -> HttpResponse:
    """Have a full import look once more without removing anything."""
    shown = connection_of(public_id)
    held = selectors.removal_held(shown, hold)
    if held is None:
        return _settled(request, shown)
    try:
        run = removals.removals_check(hold=held, by=request.user, now=timezone.now())
    except PlanNeeded as failure:
        return plan_needed(request, failure)
    said = _("A full import looks for them once more. Nothing is removed.")
    if run is not None and run.mode != FULL:
        said = _("Nothing is removed. Ask again when the import that is under way has ended.")
    messages.success(request, _when(request, shown, said))
    return redirect("connection", request.tenant.slug, shown.public_id)


def _settled(request: TenantRequest, shown: Connection) -> HttpResponseRedirect:
    messages.info(request, _("This is settled already: an import found or removed them."))
    return redirect("connection", request.tenant.slug, shown.public_id)


def _when(request: TenantRequest, shown: Connection, said: str) -> str:
    """The answer, with what holds it up where nothing is imported now."""
    return " ".join(part for part in (said, stands_still(request, shown)) if part)


def _removing(words: Words, shown: Connection, held: RemovalHold) -> dict[str, Any]:
    facts = {
        "missing": words.count(held.missing),
        "stored": words.count(held.stored),
        "what": words.inside(held.get_stream_display()),
    }
    return {
        "title": _("Remove %(missing)s of %(stored)s %(what)s?") % facts,
        "text": _(
            "A full import starts and looks for each of them once more. Only what it misses"
            " again is removed."
        ),
        "url": words.url_of("connection_removals", shown, held.public_id),
        "action": _("They were deleted: remove them"),
        "cancel_url": words.url("connection", shown),
        "goes": [
            _("Up to %(missing)s %(what)s from lists and figures") % facts,
            _("What they brought to past months: those figures change"),
        ],
        "stays": [
            _("Whatever the full import finds again"),
            _("Everything in Procountor, untouched"),
            _("Your decisions on customers, products and subscriptions"),
        ],
        "undo": _(
            "Until that import has ended this can be taken back. Documents that come back in"
            " Procountor come back here too."
        ),
    }
