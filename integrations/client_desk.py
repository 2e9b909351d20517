"""The console's page about our API client: whether Procountor lets it in, and the way back.

What stops here stops for every company, so staff opens it and nobody else, with a reason.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import cast
from uuid import UUID

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.models import CHANGE, LogEntry
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_http_methods

from calqsync.tenancy.accounts import sign_in
from calqsync.tenancy.admin import SUPPORT
from calqsync.tenancy.models import User
from calqsync.tenancy.support import console
from calqsync.tenancy.support.console import Cell, Counter, Panel, tenant_url
from integrations.models import ClientSuspension, Connection
from integrations.sync import breaker

PAGE = "integrations_client"
_SHOWN = 10


class OpenForm(forms.Form):
    """Why the way is open again: kept with the suspension and in the console's log."""

    reason = forms.CharField(
        label=gettext_lazy("Reason"),
        max_length=300,
        help_text=gettext_lazy("What was settled with Procountor, and with whom."),
        widget=forms.TextInput(attrs={"size": 60}),
    )
    ticket = forms.CharField(label=gettext_lazy("Ticket"), max_length=60)


@require_http_methods(["GET", "HEAD", "POST"])
def client(request: HttpRequest) -> HttpResponse:
    """Say whether calls leave; with a reason, let them leave again."""
    if not sign_in.recently_authenticated(request):
        return sign_in.ask_again(request)
    standing = breaker.standing_suspension()
    form = OpenForm(request.POST or None) if standing else None
    if request.method == "POST" and form is not None and form.is_valid():
        if _open(standing, form, by=cast(User, request.user)):
            messages.success(request, _("Imports go on within a quarter of an hour."))
        return redirect("admin:index")
    context = {
        **admin.site.each_context(request),
        "title": _("Open the way to Procountor") if standing else _("Our API client"),
        "tenant_url": reverse("admin:index"),
        "says": _says(standing),
        "form": form,
        "panel": _history(),
    }
    return render(
        request, "admin/client.html", context, status=422 if form and form.errors else 200
    )


@transaction.atomic
def _open(standing: ClientSuspension | None, form: forms.Form, *, by: User) -> bool:
    reason, ticket = form.cleaned_data["reason"], form.cleaned_data["ticket"]
    opened = breaker.lift(by=by, because=reason, ticket=ticket, now=timezone.now())
    if opened and standing is not None:
        LogEntry.objects.log_actions(
            by.pk,
            [standing],
            CHANGE,
            change_message=f"{ticket}: {reason}",
        )
    return opened


def _says(standing: ClientSuspension | None) -> str:
    if standing is None:
        return _("Procountor lets our client in. There is nothing to open.")
    return _(
        "No call leaves for Procountor, from any company. Open the way when Procountor has"
        " confirmed that our client may call again: otherwise the first call closes it anew."
        " Waiting imports come back by themselves, spread over a quarter of an hour."
    )


@transaction.atomic
def _history() -> Panel:
    rows = ClientSuspension.objects.select_related("ended_by").order_by("-found_at")
    found = list(rows[:_SHOWN])
    known = _witnesses({public_id for one in found for public_id in one.witnesses})
    return Panel(
        title=_("Suspensions of our API client"),
        head=[_("Found"), _("How"), _("Noticed at"), _("Ended"), _("Because")],
        rows=[
            [
                Cell(text=one.found_at),
                Cell(text=one.get_reason_display(), below=one.detail),
                _noticed(one, known),
                Cell(
                    text=one.ended_at or _("Stands: no call leaves"),
                    tone="" if one.ended_at else "bad",
                    below=one.ended_by.email if one.ended_by else "",
                ),
                Cell(text=one.ended_because, below=one.ended_ticket),
            ]
            for one in found
        ],
        empty=_("Procountor has never refused our client."),
    )


def _witnesses(public_ids: set[UUID]) -> dict[UUID, Connection]:
    """The connections with these ids, of whichever company, as support may read them."""
    rows = Connection.unscoped.using(SUPPORT).filter(public_id__in=public_ids)
    rows = rows.select_related("tenant").only("public_id", "name", "tenant__name")
    return {row.public_id: row for row in rows}


def _noticed(one: ClientSuspension, known: Mapping[UUID, Connection]) -> Cell:
    """The company whose call closed the way, with those refused before it below."""
    found = [known[public_id] for public_id in reversed(one.witnesses) if public_id in known]
    if not found:
        return Cell(text=_("not known") if not one.witnesses else _("a company that has left"))
    last, *before = (f"{row.tenant.name}: {row.name}" for row in found)
    return Cell(text=last, url=tenant_url(found[0].tenant_id), below=", ".join(before))


def _counters(now: datetime) -> list[Counter]:
    """Nothing while calls leave: what is not wrong takes no room."""
    if breaker.standing_suspension() is None:
        return []
    return [
        Counter(
            label=_("Procountor refuses us"),
            number=1,
            url=reverse(f"admin:{PAGE}"),
            hint=_("No call leaves, for any company. Settle it, then open the way."),
            bad=True,
        )
    ]


def set_up() -> None:
    """Put the page and its number into the console."""
    console.page("integrations/client/", client, name=PAGE)
    console.counter(_counters, place=1)
