"""The history of a connection's imports, one import's page, and how one is started and stopped."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.contrib import messages
from django.core.paginator import Paginator
from django.http import Http404, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_http_methods, require_safe

from billing.gate import PlanNeeded
from calqsync.tenancy import sheets
from calqsync.tenancy.access import TenantRequest, before_file, tenant_view
from calqsync.tenancy.models import Role
from calqsync.tenancy.services import audit
from calqsync.tenancy.web import limits
from integrations import selectors
from integrations.models import Connection, SyncStream
from integrations.selectors import RunView
from integrations.services import runs
from integrations.views.connect import connection_of, plan_needed, posted
from integrations.views.problems import allowed, run_problem
from integrations.views.timeline import timeline
from integrations.views.words import Words

_A_PAGE = 10
# What the history and the table of one import count, in this order.
_COUNTS = ("fetched", "added", "changed", "unchanged", "rejected", "removed")


def history(request: TenantRequest, words: Words, shown: Connection) -> dict[str, Any]:
    """The connection's imports, newest first, as parts/data_list.html takes them."""
    page = Paginator(selectors.runs_of(shown), _A_PAGE).get_page(request.GET.get("page"))
    views = selectors.run_views(shown, page, now=words.now)
    return {
        "caption": _("Imports, newest first"),
        "columns": [
            {"key": "started", "label": _("Started")},
            {"key": "state", "label": _("Result")},
            {"key": "took", "label": _("Took"), "numeric": True},
            *_count_columns(),
            {"key": "requests", "label": _("Requests"), "numeric": True},
            {"key": "waited", "label": _("Held back"), "numeric": True, "hint": _held_back()},
        ],
        "rows": [_row(words, shown, view) for view in views],
        "count_text": ngettext("%s import", "%s imports", page.paginator.count)
        % words.count(page.paginator.count),
        "page": page,
        "exports": sheets.buttons(lambda kind: f"?format={kind}") if views else [],
        "empty": {"title": _("No import yet"), "text": _("The first one starts by itself.")},
    }


def _held_back() -> str:
    return _("How long requests waited, side by side, in order to keep to Procountor's limit")


def _count_columns() -> list[dict[str, Any]]:
    labels = {
        "fetched": _("Fetched"),
        "added": _("New"),
        "changed": _("Changed"),
        "unchanged": _("Unchanged"),
        "rejected": _("Rejected"),
        "removed": _("Removed"),
    }
    return [{"key": name, "label": labels[name], "numeric": True} for name in _COUNTS]


def _row(words: Words, shown: Connection, view: RunView) -> dict[str, Any]:
    run = view.run
    return {
        "url": words.url_of("connection_run", shown, run.public_id),
        "cells": [
            {
                "text": words.moment(run.started_at),
                "sub": f"{run.get_mode_display()} · {run.get_trigger_display()}",
            },
            {"text": words.state(view), "badge": view.state},
            words.length(view.length(now=words.now) if run.finished_at else None),
            *(words.count(view.total(name)) for name in _COUNTS),
            words.count(run.requests),
            words.length(view.waited),
        ],
    }


def history_file(request: TenantRequest, shown: Connection, kind: str) -> HttpResponse:
    """The whole history as a file."""
    if asking := before_file(request):
        return asking
    now, name = timezone.now(), _("Imports of %(name)s") % {"name": shown.name}
    audit(act="list.exported", by=request.user, target=name, after={"format": kind})
    views = selectors.run_views(shown, selectors.runs_of(shown), now=now)
    head = [
        *(_("Started"), _("Ended"), _("Result"), _("Kind"), _("Started by"), _("Seconds")),
        *(column["label"] for column in _count_columns()),
        *(_("Requests"), _("Seconds held back by the limit"), _("Error")),
    ]
    rows = (
        [
            view.run.started_at,
            view.run.finished_at,
            view.run.get_state_display(),
            view.run.get_mode_display(),
            view.run.get_trigger_display(),
            round(view.length(now=now).total_seconds()),
            *(view.total(name) for name in _COUNTS),
            view.run.requests,
            round(view.waited.total_seconds()),
            view.run.error_kind,
        ]
        for view in views
    )
    return sheets.file_answer(kind, [name, request.tenant.slug, str(now.date())], head, rows)


@tenant_view()
@require_safe
def connection_run(request: TenantRequest, public_id: UUID, run: UUID) -> HttpResponse:
    """One import: what it did, how long what took, and what stopped it."""
    shown, words = connection_of(public_id), Words(request.tenant, timezone.now())
    view = selectors.run_page(shown, run, now=words.now)
    if view is None:
        raise Http404
    member, admin = request.membership.may(Role.MEMBER), request.membership.may(Role.ADMIN)
    started = words.moment(view.run.started_at)
    context = {
        "connection": shown,
        "view": view,
        "heading": _("Import of %(time)s") % {"time": started},
        "problem": allowed(run_problem(words, shown, view), member=member, admin=admin),
        "facts": _facts(words, shown, view),
        "timeline": timeline(words, view),
        "listing": _streams(words, view),
        "may_cancel": member and view.open,
        "crumbs": words.crumbs(shown, started),
    }
    return render(request, "integrations/run.html", context)


def _facts(words: Words, shown: Connection, view: RunView) -> list[dict[str, Any]]:
    run = view.run
    rejected = view.total("rejected")
    facts = [
        {"term": _("Result"), "status": view.state, "text": words.state(view)},
        {"term": _("Kind"), "text": run.get_mode_display()},
        {"term": _("Started"), "text": words.moment(run.started_at)},
        {"term": _("Started by"), "text": run.get_trigger_display()},
        {
            "term": _("Ended"),
            "text": words.moment(run.finished_at) if run.finished_at else _("Not yet"),
        },
        {"term": _("Took"), "text": words.length(view.length(now=words.now))},
        {"term": _("Reads changes up to"), "text": words.moment(run.window_to)},
        {"term": _("Requests to Procountor"), "text": words.count(run.requests)},
        {
            "term": _("Held back by the limit"),
            "text": words.length(view.waited),
            "hint": _held_back(),
        },
        {"term": _("Done in parts"), "text": words.count(run.slices)},
    ]
    if run.applying_at is not None:
        applied = {"term": _("Applied what it had read"), "text": words.moment(run.applying_at)}
        facts.append(applied)
    if rejected:
        url = words.url("connection_rejected", shown)
        told = _("%s rejected") % words.count(rejected)
        facts.append({"term": _("Could not be understood"), "text": told, "url": url})
    return facts


def _streams(words: Words, view: RunView) -> dict[str, Any]:
    def row(stream: SyncStream) -> dict[str, Any]:
        began, ended = stream.started_at, stream.finished_at
        return {
            "cells": [
                stream.get_stream_display(),
                words.time_in(began, view.run.started_at) if began else "–",
                words.time_in(ended, view.run.started_at) if ended else "–",
                words.length(ended - began if began and ended else None),
                *(words.count(getattr(stream, name)) for name in _COUNTS),
            ]
        }

    return {
        "caption": _("What was read, kind by kind"),
        "columns": [
            {"key": "stream", "label": _("What")},
            {"key": "began", "label": _("Began")},
            {"key": "ended", "label": _("Ended")},
            {"key": "took", "label": _("Took"), "numeric": True},
            *_count_columns(),
        ],
        "rows": [row(stream) for stream in view.streams],
        "count_text": _("%s documents fetched.") % words.count(view.total("fetched")),
        "total": {
            "label": _("All"),
            "cells": ["", "", "", *(words.count(view.total(name)) for name in _COUNTS)],
        },
    }


@tenant_view(Role.MEMBER)
@posted
@limits.limited("sync")
def connection_sync(request: TenantRequest, public_id: UUID) -> HttpResponse:
    shown = connection_of(public_id)
    if said := stands_still(request, shown):
        messages.error(request, said)
    else:
        try:
            runs.sync_request(connection=shown, by=request.user, now=timezone.now())
        except PlanNeeded as failure:
            return plan_needed(request, failure)
    return redirect("connection", request.tenant.slug, shown.public_id)


def stands_still(request: TenantRequest, shown: Connection) -> str:
    """Why nothing is imported whoever asks; "" where something is."""
    if shown.disconnected_at is not None:
        return _("This connection is disconnected. Connect it again first.")
    if request.tenant.deletes_at is not None:
        return _("The company is about to be deleted, so nothing is imported. Keep it first.")
    if shown.paused_at is not None:
        return _("Imports of this connection are paused.")
    return ""


@tenant_view(Role.MEMBER)
@require_http_methods(["GET", "HEAD", "POST"])
def connection_cancel(request: TenantRequest, public_id: UUID) -> HttpResponse:
    """What stopping leaves behind, then the act."""
    shown, words = connection_of(public_id), Words(request.tenant, timezone.now())
    if request.method == "POST":
        if runs.sync_cancel(connection=shown, by=request.user):
            messages.success(request, _("The import is stopped. The next one starts as usual."))
        else:
            messages.info(request, _("The import had ended already."))
        return redirect("connection", request.tenant.slug, shown.public_id)
    view = selectors.connection_progress(shown, now=words.now)
    if view is None or not view.open:
        return redirect("connection", request.tenant.slug, shown.public_id)
    context = {
        "connection": shown,
        "confirm": _cancelling(words, shown, view),
        "crumbs": words.crumbs(shown, _("Stop the import")),
    }
    return render(request, "integrations/ask.html", context)


def _cancelling(words: Words, shown: Connection, view: RunView) -> dict[str, Any]:
    goes, stays = [], []
    if view.run.mode == "first":
        goes.append(_("Nothing that is imported"))
        stays += [
            _("Every document that was imported so far"),
            _("The place that was reached: the next import goes on from there"),
        ]
        undo = _("Older months stay missing from the figures until then.")
    else:
        goes.append(_("What this import has read: nothing of it reaches your figures"))
        if shown.data_as_of is not None:
            as_of = _("Your figures as they are, complete up to %(day)s")
            stays.append(as_of % {"day": words.moment(shown.data_as_of)})
        undo = _("The next import reads all of it again.")
    stays.append(_("The connection, its key and its schedule"))
    return {
        "title": _("Stop the import of %(name)s?") % {"name": shown.name},
        "url": words.url("connection_cancel", shown),
        "action": _("Stop the import"),
        "cancel_url": words.url("connection", shown),
        "goes": goes,
        "stays": stays,
        "undo": f"{undo} {_('Sync now starts it at once.')}",
        "level": "warn",
    }
