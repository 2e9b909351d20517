"""Support's view of connections and imports, and what support may do about them.

Never a credential, never a document.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Any
from uuid import UUID

from django.contrib import admin
from django.core.exceptions import ValidationError
from django.db.models import Q
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from billing.gate import PlanNeeded
from calqsync.tenancy.admin import SUPPORT, DirectoryAdmin, DirectoryInline
from calqsync.tenancy.models import Tenant
from calqsync.tenancy.support import console
from calqsync.tenancy.support.console import Action, Cell, Counter, Deed, Panel, act_url, tenant_url
from integrations import client_desk, selectors, standing_desk
from integrations.models import Connection, SyncRun, SyncStream
from integrations.models.connections import Trouble
from integrations.models.runs import RunState
from integrations.selectors import Code
from integrations.services import runs
from integrations.sync.advice import advice_for

_IN_TROUBLE = [Trouble.OUR_FAULT, Trouble.NEEDS_YOU, Trouble.WAITING]
_BAD_RUNS = [RunState.OUR_FAULT, RunState.NEEDS_YOU]


@admin.register(Connection)
class ConnectionAdmin(DirectoryAdmin):
    columns = [
        *("public_id", "name", "provider", "company_name", "business_id", "country", "currency"),
        *("created_at", "disconnected_at", "paused_at", "paused_by_support", "pause_reason"),
        *("trouble", "trouble_kind", "trouble_detail", "trouble_since", "retry_at"),
        *("trouble_told_at", "trouble_reminded_at", "sync_every_hours"),
        *("first_import_at", "data_as_of", "complete_back_to", "rights", "rights_read_at"),
    ]
    list_display = [
        *("name", "tenant_name", "company_name", "business_id", "trouble", "data_as_of"),
        "disconnected_at",
    ]
    list_filter = ["trouble", "provider", standing_desk.Standing]
    search_fields = ["name", "company_name", "business_id", "=public_id"]


class StreamInline(DirectoryInline):
    model = SyncStream
    columns = [
        *("stream", "started_at", "finished_at", "complete", "expected", "fetched", "added"),
        *("changed", "unchanged", "rejected", "removed"),
    ]


@admin.register(SyncRun)
class SyncRunAdmin(DirectoryAdmin):
    columns = [
        *("public_id", "connection", "mode", "trigger", "state", "started_at", "finished_at"),
        *("window_to", "requests", "waited_ms", "busy_ms", "slices", "error_kind", "error"),
    ]
    list_display = [
        *("started_at", "tenant_name", "connection", "mode", "trigger", "state", "requests"),
        *("error_kind", "error"),
    ]
    list_filter = ["state", "mode", "error_kind"]
    search_fields = ["=public_id", "error_kind", "error", "connection__name"]
    related = ["connection"]
    inlines = [StreamInline]
    ordering = ["-started_at"]


def _named(term: str) -> Iterable[int]:
    """Tenants with a connection of this name, company or business id."""
    found = Connection.unscoped.using(SUPPORT).filter(
        Q(name__icontains=term) | Q(company_name__icontains=term) | Q(business_id__iexact=term)
    )
    return found.values_list("tenant_id", flat=True)[:200]


def _troubled() -> Any:
    return Connection.unscoped.using(SUPPORT).filter(trouble__in=_IN_TROUBLE, disconnected_at=None)


def _counters(now: datetime) -> list[Counter]:
    listed = reverse("admin:integrations_connection_changelist")
    return [
        Counter(
            label=label,
            number=_troubled().filter(trouble=trouble).count(),
            url=f"{listed}?trouble__exact={trouble}&disconnected_at__isnull=True",
            hint=hint,
            bad=trouble == Trouble.OUR_FAULT,
        )
        for trouble, label, hint in (
            (Trouble.OUR_FAULT, _("Our faults"), _("Connections stopped by an error of ours")),
            (Trouble.NEEDS_YOU, _("Need the customer"), _("Connections to be connected anew")),
            (Trouble.WAITING, _("Wait for Procountor"), _("Tried again by themselves")),
        )
    ]


def _troubles(now: datetime) -> Panel:
    shown = (
        _troubled()
        .select_related("tenant")
        .only(
            *("name", "company_name", "trouble", "trouble_kind", "trouble_detail", "trouble_since"),
            *("retry_at", "tenant__name"),
        )
    )
    # Our own faults first: nobody but us can mend them.
    rows = sorted(shown.order_by("trouble_since")[:50], key=lambda c: _IN_TROUBLE.index(c.trouble))
    return Panel(
        title=_("Connections in trouble"),
        head=[_("Company"), _("Connection"), _("Trouble"), _("What helps"), _("Since")],
        rows=[
            [
                Cell(text=c.tenant.name, url=tenant_url(c.tenant_id)),
                Cell(text=c.name, below=c.company_name),
                Cell(
                    text=c.get_trouble_display(),
                    tone="bad" if c.trouble == Trouble.OUR_FAULT else "",
                    below=c.trouble_kind,
                ),
                Cell(text=_helps(c), below=c.trouble_detail),
                Cell(text=c.trouble_since, below=_next_try(c, now)),
            ]
            for c in rows
        ],
        empty=_("No connection is in trouble."),
    )


def _helps(connection: Connection) -> str:
    """What the customer is told to do, or that it is ours to mend."""
    if connection.trouble == Trouble.OUR_FAULT:
        return _("Ours to mend: read the error, then retry.")
    return advice_for(connection.trouble_kind) if connection.trouble else ""


def _next_try(connection: Connection, now: datetime) -> str:
    if connection.retry_at is None or connection.retry_at < now:
        return ""
    return _("tried again in %d min") % round((connection.retry_at - now).total_seconds() / 60)


def _connections(tenant: Tenant, now: datetime) -> Panel:
    shown = Connection.objects.order_by("disconnected_at", "name")
    return Panel(
        title=_("Connections"),
        head=[_("Connection"), _("Company"), _("Status"), _("What helps"), _("Figures as of"), ""],
        rows=[_connection_row(tenant, connection, now) for connection in shown],
        empty=_("Nothing is connected."),
    )


def _connection_row(tenant: Tenant, connection: Connection, now: datetime) -> list[Cell]:
    status = selectors.status_of(connection, now=now)
    needs = status.code is Code.NEEDS_YOU or status.reason == "our_fault"
    return [
        Cell(
            text=connection.name,
            url=reverse("admin:integrations_connection_change", args=[connection.pk]),
        ),
        Cell(text=connection.company_name, below=connection.business_id),
        Cell(
            text=status.code.value.replace("_", " "),
            tone="bad" if needs else "",
            below=status.reason or connection.pause_reason,
        ),
        Cell(text=_helps(connection), below=connection.trouble_detail),
        Cell(text=connection.data_as_of, below=_next_try(connection, now)),
        Cell(text="", acts=_offered(tenant, connection, status)),
    ]


def _offered(
    tenant: Tenant, connection: Connection, status: selectors.Status
) -> list[tuple[Any, str]]:
    """What can be done about a connection: nothing once it is disconnected."""

    def link(label: Any, name: str) -> tuple[Any, str]:
        return label, act_url(name, tenant.pk, connection.public_id)

    if status.code is Code.DISCONNECTED:
        return []
    if connection.paused_at is not None:
        return [link(_("Resume"), "sync-resume")]
    return [link(_("Retry"), "sync-retry"), link(_("Pause"), "sync-pause")]


def _runs(tenant: Tenant, now: datetime) -> Panel:
    shown = SyncRun.objects.select_related("connection").order_by("-started_at", "-pk")[:15]
    return Panel(
        title=_("Imports"),
        head=[_("Started"), _("Connection"), _("State"), _("Error"), _("What helps")],
        rows=[
            [
                Cell(
                    text=run.started_at,
                    url=reverse("admin:integrations_syncrun_change", args=[run.pk]),
                    below=run.get_trigger_display(),
                ),
                Cell(text=run.connection.name, below=run.get_mode_display()),
                Cell(text=run.get_state_display(), tone="bad" if run.state in _BAD_RUNS else ""),
                Cell(text=run.error_kind, below=run.error),
                Cell(text=_run_helps(run)),
            ]
            for run in shown
        ],
        empty=_("Nothing was imported yet."),
        more=(
            _("All imports of this company"),
            reverse("admin:integrations_syncrun_changelist") + f"?tenant__id__exact={tenant.pk}",
        ),
    )


def _run_helps(run: SyncRun) -> str:
    if run.state == RunState.OUR_FAULT:
        return _("Ours to mend: read the error, then retry.")
    return advice_for(run.error_kind) if run.error_kind else ""


def _one(target: str) -> Connection | None:
    try:
        public_id = UUID(target)
    except ValueError:
        return None
    found: Connection | None = Connection.objects.filter(
        public_id=public_id, disconnected_at=None
    ).first()
    return found


def _on_connection(
    name: str, label: Any, says: Any, perform: Callable[[Connection, Deed], str]
) -> None:
    def what(target: str) -> str | None:
        found = _one(target)
        return str(says) % {"name": found.name} if found else None

    def deed(done: Deed) -> str:
        found = _one(done.target)
        if found is None:
            raise ValidationError(_("This connection was disconnected meanwhile."))
        return perform(found, done)

    console.register(Action(name=name, label=label, says=what, perform=deed))


def _retry(connection: Connection, deed: Deed) -> str:
    try:
        run = runs.sync_request(connection=connection, by=deed.by, now=deed.now)
    except PlanNeeded as failure:
        raise ValidationError(str(failure)) from None
    if run is None:
        raise ValidationError(_("This connection is paused. Resume it first."))
    return _("%s imports now.") % connection.name


def _pause(connection: Connection, deed: Deed) -> str:
    runs.connection_pause(
        connection=connection, by=deed.by, now=deed.now, by_support=True, reason=deed.reason
    )
    return _("%s is paused.") % connection.name


def _resume(connection: Connection, deed: Deed) -> str:
    runs.connection_resume(connection=connection, by=deed.by, now=deed.now, by_support=True)
    return _("%s imports again.") % connection.name


_on_connection(
    "sync-retry",
    gettext_lazy("Retry the import"),
    gettext_lazy("%(name)s imports at once, or joins the import that is under way."),
    _retry,
)
_on_connection(
    "sync-pause",
    gettext_lazy("Pause the imports"),
    gettext_lazy(
        "%(name)s stops importing until support resumes it. Nothing that is imported is lost; the"
        " company sees the reason that you give."
    ),
    _pause,
)
_on_connection(
    "sync-resume",
    gettext_lazy("Resume the imports"),
    gettext_lazy("%(name)s imports again, at once where the plan allows."),
    _resume,
)
console.finders.append(_named)
console.counter(_counters, place=10)
console.troubles.append(_troubles)
console.panel(_connections, place=20)
console.panel(_runs, place=30)
client_desk.set_up()
standing_desk.set_up()
