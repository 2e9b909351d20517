"""Rejected documents: why, since when, what they say, and retry or ignore."""

from __future__ import annotations

import re
from typing import Any
from uuid import UUID

from django.contrib import messages
from django.core.paginator import Paginator
from django.http import Http404, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_safe

from billing.gate import PlanNeeded
from calqsync.tenancy.access import TenantRequest, tenant_view
from calqsync.tenancy.models import Role
from calqsync.tenancy.secrets import SecretUnreadable
from calqsync.tenancy.web.limits import limited
from integrations import selectors
from integrations.forms import ChosenForm, IgnoreForm
from integrations.models import Connection, Rejection
from integrations.models.runs import GIVES_UP_AFTER, Stream
from integrations.services import quarantine
from integrations.views.connect import connection_of, plan_needed, posted
from integrations.views.imports import stands_still
from integrations.views.reasons import reason_of
from integrations.views.words import Words

# How many reasons a page shows, how many documents of each, and of one reason alone.
_GROUPS, _EACH, _ALONE = 10, 5, 50
# So much of a document is shown: in HTML each quote of its JSON takes six characters.
_LONGEST = 40_000


@tenant_view()
@require_safe
def connection_rejected(request: TenantRequest, public_id: UUID) -> HttpResponse:
    """Rejected documents by reason, those that are ignored beside them."""
    shown, words = connection_of(public_id), Words(request.tenant, timezone.now())
    ignored = request.GET.get("show") == "ignored"
    counts = selectors.set_aside(shown, now=words.now)
    rejections = selectors.rejections_of(shown, ignored=ignored)
    found, key = selectors.rejection_groups(shown, ignored=ignored), _key(request)
    if key:
        found = found.filter(key=key)
    groups = Paginator(found, _GROUPS).get_page(None if key else request.GET.get("page"))
    if key:
        one = Paginator(rejections.filter(key=key), _ALONE).get_page(request.GET.get("page"))
        newest, page = {key: list(one)}, one
    else:
        newest = selectors.newest_of(rejections, [group["key"] for group in groups], each=_EACH)
        page = groups
    context = {
        "connection": shown,
        "groups": [
            _group(words, shown, group, newest.get(group["key"], []), ignored=ignored)
            for group in groups
        ],
        "alone": bool(key),
        "page": page,
        "ignored": ignored,
        "tabs": _tabs(words, counts, ignored),
        "retried": _retried(words, shown),
        "may_act": request.membership.may(Role.MEMBER),
        "form": IgnoreForm(),
        "empty": _empty(ignored),
        "crumbs": words.crumbs(shown, _("Rejected documents")),
    }
    return render(request, "integrations/rejected.html", context)


def _key(request: TenantRequest) -> str:
    """The one reason that the address asks for; "" for all."""
    asked = request.GET.get("reason", "")
    return asked if re.fullmatch(r"[0-9a-f]{32}", asked) else ""


def _tabs(words: Words, counts: selectors.SetAside, ignored: bool) -> list[dict[str, Any]]:
    return [
        {"label": _("Open"), "url": "?", "active": not ignored, "count": words.count(counts.open)},
        {
            "label": _("Ignored"),
            "url": "?show=ignored",
            "active": ignored,
            "count": words.count(counts.ignored),
        },
    ]


def _group(
    words: Words, shown: Connection, group: dict[str, Any], documents: list[Any], *, ignored: bool
) -> dict[str, Any]:
    reason, count = reason_of(group["reason"]), group["count"]
    kind = Stream(group["stream"]).label
    return {
        "key": group["key"],
        "title": reason.words,
        "told": reason.told,
        "advice": reason.advice,
        "count": count,
        "counted": (
            _("%(kind)s: %(number)s ignored") if ignored else _("%(kind)s: %(number)s rejected")
        )
        % {"kind": kind, "number": words.count(count)},
        "seen": (
            _("First seen %(first)s, last tried %(last)s. Tried up to %(most)s times.")
            if group["most"] < GIVES_UP_AFTER or ignored
            else _(
                "First seen %(first)s, last tried %(last)s. Those that failed %(most)s times are"
                " given up: updates ask for them no more, Retry does."
            )
        )
        % {
            "first": words.moment(group["first"]),
            "last": words.moment(group["last"]),
            "most": words.count(group["most"]),
        },
        "documents": [
            {
                "number": one.external_id,
                "url": words.url_of("connection_document", shown, one.public_id),
                "first": words.moment(one.first_seen_at),
                "last": words.moment(one.last_seen_at),
                "attempts": _tried(words, one),
                "why": one.ignored_reason,
                "public_id": str(one.public_id),
            }
            for one in documents
        ],
        "more": words.count(count - len(documents)) if count > len(documents) else "",
    }


def _tried(words: Words, one: Rejection) -> str:
    """How often it was tried, and whether it still is."""
    tried = words.count(one.attempts)
    return _("%(n)s, given up") % {"n": tried} if one.given_up else tried


def _empty(ignored: bool) -> dict[str, str]:
    if ignored:
        return {"title": _("Nothing is ignored")}
    return {
        "title": _("Nothing is rejected"),
        "text": _("Every document that was read could be understood."),
    }


def _retried(words: Words, shown: Connection) -> dict[str, str] | None:
    """What came of the newest retry, in one sentence."""
    found = selectors.retried_lately(shown, now=words.now)
    if found is None or found.run is None:
        return None
    asked = ngettext("%s document", "%s documents", found.asked) % words.count(found.asked)
    facts = {
        "asked": asked,
        "time": words.clock(found.at),
        "left": words.count(found.left),
        "read": words.count(max(found.asked - found.left, 0)),
    }
    if found.run.finished_at is None:
        said = _("Retry of %(asked)s at %(time)s: the import is under way.")
    elif not found.run.state.startswith("complete"):
        said = _("Retry of %(asked)s at %(time)s: the import did not end well, so it is not known.")
    elif not found.left:
        said = _("Retry of %(asked)s at %(time)s: all of them are imported now.")
    else:
        said = _("Retry of %(asked)s at %(time)s: %(read)s imported, %(left)s still rejected.")
    url = words.url_of("connection_run", shown, found.run.public_id)
    return {"words": said % facts, "url": url}


@tenant_view(Role.MEMBER)
@require_safe
def connection_document(request: TenantRequest, public_id: UUID, document: UUID) -> HttpResponse:
    """One rejected document as Procountor sent it; each look stands in the audit log."""
    shown, words = connection_of(public_id), Words(request.tenant, timezone.now())
    found = selectors.rejection_of(shown, document)
    if found is None:
        raise Http404
    text, unreadable = "", ""
    try:
        text = quarantine.rejection_open(rejection=found, by=request.user)
    except SecretUnreadable:
        unreadable = _(
            "Our copy of the document can no longer be read. Retry asks Procountor for it again;"
            " where that does not help, write to support."
        )
    reason = reason_of(found.reason)
    facts = [
        {"term": _("Kind"), "text": found.get_stream_display()},
        {"term": _("Number in Procountor"), "text": found.external_id},
        {"term": _("First seen"), "text": words.moment(found.first_seen_at)},
        {"term": _("Last tried"), "text": words.moment(found.last_seen_at)},
        {
            "term": _("Tried"),
            "text": _tried(words, found),
            "hint": _(
                "It failed so often for the same reason that updates ask for it no more. Retry"
                " does; a version that changed is read, and each full import reads it along."
            )
            if found.given_up
            else "",
        },
    ]
    if found.ignored_at is not None:
        facts += [
            {
                "term": _("Ignored since"),
                "text": words.moment(found.ignored_at),
                "hint": str(found.ignored_by or ""),
            },
            {"term": _("Ignored because"), "text": found.ignored_reason},
        ]
    context = {
        "connection": shown,
        "document": found,
        "reason": reason,
        "facts": facts,
        "text": text[:_LONGEST],
        "cut": words.count(len(text)) if len(text) > _LONGEST else "",
        "unreadable": unreadable,
        "form": IgnoreForm(),
        "crumbs": _document_crumbs(words, shown, found.external_id),
    }
    return render(request, "integrations/document.html", context)


def _document_crumbs(words: Words, shown: Connection, number: str) -> list[dict[str, str]]:
    crumbs = words.crumbs(shown, _("Rejected documents"), number)
    crumbs[-2]["url"] = words.url("connection_rejected", shown)
    return crumbs


@tenant_view(Role.MEMBER)
@posted
@limited("sync")
def connection_retry(request: TenantRequest, public_id: UUID) -> HttpResponse:
    """Ask Procountor again for one document, or for all with one reason."""
    shown = connection_of(public_id)
    chosen = _chosen(request, shown)
    if chosen is not None and (said := stands_still(request, shown)):
        messages.error(request, said)
    elif chosen is not None:
        try:
            run = quarantine.rejections_retry(
                connection=shown, rejections=chosen, by=request.user, now=timezone.now()
            )
        except PlanNeeded as failure:
            return plan_needed(request, failure)
        if run is None:
            messages.info(request, _gone())
        else:
            messages.success(request, _("Asked again. What comes of it stands here."))
    return _back(request, shown)


@tenant_view(Role.MEMBER)
@posted
def connection_ignore(request: TenantRequest, public_id: UUID) -> HttpResponse:
    """Count one document, or all with one reason, no longer."""
    shown, form = connection_of(public_id), IgnoreForm(request.POST)
    chosen = _chosen(request, shown)
    if chosen is None:
        return _back(request, shown)
    if not form.is_valid():
        messages.error(request, _("Say why, so that a colleague understands it next year."))
        return _back(request, shown)
    number = quarantine.rejections_ignore(
        connection=shown,
        rejections=chosen,
        why=form.cleaned_data["why"],
        by=request.user,
        now=timezone.now(),
    )
    said = ngettext(
        "%s document is ignored. It stays in the list of ignored ones.",
        "%s documents are ignored. They stay in the list of ignored ones.",
        number,
    )
    messages.success(request, said % number) if number else messages.info(request, _gone())
    return _back(request, shown)


@tenant_view(Role.MEMBER)
@posted
def connection_unignore(request: TenantRequest, public_id: UUID) -> HttpResponse:
    """Count one ignored document, or all with one reason, again."""
    shown = connection_of(public_id)
    chosen = _chosen(request, shown, ignored=True)
    if chosen is not None:
        number = quarantine.rejections_unignore(
            connection=shown, rejections=chosen, by=request.user
        )
        said = ngettext(
            "%s document counts again and is tried with the next imports.",
            "%s documents count again and are tried with the next imports.",
            number,
        )
        messages.success(request, said % number) if number else messages.info(request, _gone())
    return _back(request, shown)


def _chosen(request: TenantRequest, shown: Connection, *, ignored: bool = False) -> Any:
    """The documents that the form names; None, with a message, where it names none.

    404 for a document that is not, or no longer, rejected here.
    """
    form = ChosenForm(request.POST)
    if not form.is_valid():
        messages.error(request, _("Choose a document first."))
        return None
    rows = selectors.rejections_of(shown, ignored=ignored)
    if document := form.cleaned_data["document"]:
        if selectors.rejection_of(shown, document) is None:
            raise Http404
        return rows.filter(public_id=document)
    return rows.filter(key=form.cleaned_data["reason"])


def _gone() -> str:
    return _("Nothing was left to do: they are imported, ignored or gone meanwhile.")


def _back(request: TenantRequest, shown: Connection) -> HttpResponse:
    return redirect(reverse("connection_rejected", args=[request.tenant.slug, shown.public_id]))
