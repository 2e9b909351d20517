"""What support sees across companies of imports that stand still: nothing breaks in silence.

Reads through the support role alone, by the same schedule and plan as the customers' pages.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from django.contrib import admin
from django.db.models import Exists, OuterRef, Q, QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from billing.gate import SHORTEST_HOURS, SHORTEST_OF_ALL
from billing.models import Account
from calqsync.tenancy.admin import SUPPORT
from calqsync.tenancy.support import console
from calqsync.tenancy.support.console import Cell, Counter, Panel, tenant_url
from integrations.models import Connection, RemovalHold, SyncRun
from integrations.models.runs import RunState
from integrations.sync.schedule import CHOICES, stale_after

LONG = timedelta(days=7)
# A connection that never came in is new for so long.
NEW_FOR = timedelta(days=1)


def stale(now: datetime) -> QuerySet[Connection]:
    """Connections that should import and whose figures are older than two of their periods."""
    accounts = Account.unscoped.using(SUPPORT)
    ended = accounts.filter(Q(plan="") | Q(paid_until__lte=now), trial_ends_at__lte=now)
    slow = {
        plan: accounts.filter(plan=plan).exclude(tenant_id__in=ended.values("tenant_id"))
        for plan, hours in SHORTEST_HOURS.items()
        if hours > SHORTEST_OF_ALL
    }
    of_plan = {plan: Q(tenant_id__in=found.values("tenant_id")) for plan, found in slow.items()}
    others = ~Q(pk=None)
    for condition in of_plan.values():
        others &= ~condition
    old = Q(data_as_of=None, created_at__lt=now - NEW_FOR)
    for chosen in (None, *CHOICES):
        connection = Connection(sync_every_hours=chosen)
        for condition, allowed in [
            (others, SHORTEST_OF_ALL),
            *((of_plan[plan], SHORTEST_HOURS[plan]) for plan in of_plan),
        ]:
            since = now - stale_after(connection, allowed=allowed)
            old |= condition & Q(sync_every_hours=chosen, data_as_of__lt=since)
    return _importing().filter(old).exclude(tenant_id__in=ended.values("tenant_id"))


def broken_for_long(now: datetime) -> QuerySet[Connection]:
    """Connections in one trouble for over a week: each was mailed about and is tried daily."""
    return _importing().exclude(trouble="").filter(trouble_since__lt=now - LONG)


def held(now: datetime) -> QuerySet[Connection]:
    """Connections whose people are asked whether vanished documents were deleted."""
    asked = RemovalHold.unscoped.using(SUPPORT).filter(
        connection=OuterRef("pk"), ended_at=None, confirmed_at=None
    )
    return _importing().filter(Exists(asked))


def _importing() -> QuerySet[Connection]:
    found: QuerySet[Connection] = Connection.unscoped.using(SUPPORT).filter(
        disconnected_at=None, paused_at=None, tenant__deletes_at=None
    )
    return found


_KINDS: dict[str, tuple[Any, Any, Any]] = {
    "stale": (stale, gettext_lazy("Stale figures"), gettext_lazy("Older than two imports")),
    "long": (
        broken_for_long,
        gettext_lazy("Broken for long"),
        gettext_lazy("In trouble for over a week"),
    ),
    "held": (
        held,
        gettext_lazy("Asked about removals"),
        gettext_lazy("Documents vanished at once"),
    ),
}


class Standing(admin.SimpleListFilter):
    """Connections that stand still in one of these ways."""

    title = gettext_lazy("standing")
    parameter_name = "standing"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        return [(key, label) for key, (_find, label, _hint) in _KINDS.items()]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        if self.value() not in _KINDS:
            return queryset
        find = _KINDS[str(self.value())][0]
        return queryset.filter(pk__in=find(timezone.now()).values("pk"))


def _counters(now: datetime) -> list[Counter]:
    listed = reverse("admin:integrations_connection_changelist")
    runs = reverse("admin:integrations_syncrun_changelist")
    at_work = SyncRun.unscoped.using(SUPPORT).filter(state=RunState.RUNNING)
    return [
        *(
            Counter(
                label=label,
                number=find(now).count(),
                url=f"{listed}?standing={key}",
                hint=hint,
                bad=key == "stale",
            )
            for key, (find, label, hint) in _KINDS.items()
        ),
        Counter(
            label=_("Imports at work"),
            number=at_work.count(),
            url=f"{runs}?state__exact={RunState.RUNNING}",
            hint=_("Running, or interrupted"),
        ),
    ]


def _standing_still(now: datetime) -> Panel:
    shown = (
        stale(now)
        .select_related("tenant")
        .only(
            *("name", "company_name", "data_as_of", "trouble", "trouble_kind", "tenant__name"),
            *("trouble_told_at", "trouble_reminded_at"),
        )
        .order_by("data_as_of")[:50]
    )
    return Panel(
        title=_("Figures that stand still"),
        head=[_("Company"), _("Connection"), _("Figures as of"), _("Trouble"), _("Written to")],
        rows=[
            [
                Cell(text=c.tenant.name, url=tenant_url(c.tenant_id)),
                Cell(text=c.name, below=c.company_name),
                Cell(text=c.data_as_of),
                Cell(
                    text=c.get_trouble_display() if c.trouble else _("None known: look why"),
                    tone="" if c.trouble else "bad",
                    below=c.trouble_kind,
                ),
                Cell(text=c.trouble_told_at, below=c.trouble_reminded_at),
            ]
            for c in shown
        ],
        empty=_("All figures are as fresh as their schedules."),
    )


def set_up() -> None:
    """Put the numbers and the table on the console's front page; once a process."""
    console.counter(_counters, place=11)
    console.troubles.append(_standing_still)
