"""How often a connection imports: what holds, why, and the form that changes it."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.conf import settings
from django.contrib import messages
from django.core.exceptions import ValidationError
from django.http import HttpResponse
from django.shortcuts import redirect
from django.utils import timezone
from django.utils.text import capfirst
from django.utils.translation import gettext as _

from calqsync.tenancy.access import TenantRequest, tenant_view
from calqsync.tenancy.models import Role
from integrations.forms import ScheduleForm
from integrations.models import Connection
from integrations.services import schedules
from integrations.sync.schedule import CHOICES, hours_between
from integrations.views.connect import connection_of, posted
from integrations.views.words import Words


def panel(words: Words, connection: Connection, *, stopped: bool) -> dict[str, Any]:
    """Context of `integrations/_schedule.html`; `stopped` when nothing runs by itself now."""
    chosen, allowed = connection.sync_every_hours, words.allowed
    hours = hours_between(connection, allowed=allowed)
    usual = max(settings.SYNC_EVERY_HOURS, allowed)
    offered = [one for one in CHOICES if one >= allowed or one == chosen]
    as_usual = _("As usual: %(often)s") % {"often": words.often(usual)}
    choices = [(ScheduleForm.USUAL, as_usual)]
    choices += [(str(one), capfirst(words.often(one))) for one in offered]
    return {
        "says": _("Once imports go on, they run %(often)s.") % {"often": words.often(hours)}
        if stopped
        else words.every(hours),
        "why": _("You chose %(often)s. Your plan allows no more often than %(allowed)s.")
        % {"often": words.often(chosen), "allowed": words.often(allowed)}
        if chosen is not None and chosen < allowed
        else "",
        "more": allowed > min(CHOICES),
        "form": ScheduleForm(initial={"every": chosen or ScheduleForm.USUAL}, choices=choices),
        "url": words.url("connection_schedule", connection),
    }


@tenant_view(Role.ADMIN)
@posted
def connection_schedule(request: TenantRequest, public_id: UUID) -> HttpResponse:
    shown, now = connection_of(public_id), timezone.now()
    form = ScheduleForm(request.POST)
    try:
        if not form.is_valid():
            raise ValidationError(_("Choose one of the times in the list."))
        held = schedules.schedule_choose(
            connection=shown, hours=form.hours, by=request.user, now=now
        )
    except ValidationError as error:
        messages.error(request, " ".join(error.messages))
    else:
        words = Words(request.tenant, now)
        messages.success(request, words.every(hours_between(held, allowed=words.allowed)))
    return redirect("connection", request.tenant.slug, public_id)
