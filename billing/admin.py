"""Support's view of trials and plans, and the extension of a trial."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from django import forms
from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from billing.gate import Standing
from billing.models import Account
from billing.services import account_of_tenant, entitlement_now, trial_extend
from calqsync.tenancy import formats
from calqsync.tenancy.admin import SUPPORT, DirectoryAdmin
from calqsync.tenancy.models import Tenant
from calqsync.tenancy.support import console
from calqsync.tenancy.support.console import Action, Cell, Counter, Deed, Panel, act_url

ENDS_SOON = timedelta(days=7)
EXTEND_AT_MOST_DAYS = 30
_STANDINGS = {
    Standing.TRIAL: gettext_lazy("Trial"),
    Standing.ENDED: gettext_lazy("Trial ended, imports stopped"),
}


class EndingTrials(admin.SimpleListFilter):
    """Trials that end within a week, with no plan bought."""

    title = gettext_lazy("trial")
    parameter_name = "trial"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        return [("ending", gettext_lazy("Ends within 7 days")), ("ended", gettext_lazy("Ended"))]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        now = timezone.now()
        if self.value() == "ending":
            return queryset.filter(
                plan="", trial_ends_at__gt=now, trial_ends_at__lte=now + ENDS_SOON
            )
        if self.value() == "ended":
            return queryset.filter(plan="", trial_ends_at__lte=now)
        return queryset


@admin.register(Account)
class AccountAdmin(DirectoryAdmin):
    columns = ["trial_ends_at", "plan", "paid_until", "provider"]
    list_display = ["tenant_name", "trial_ends_at", "plan", "paid_until", "provider"]
    list_filter = ["plan", EndingTrials]
    search_fields = ["plan", "provider"]


def _counters(now: datetime) -> list[Counter]:
    ending = Account.unscoped.using(SUPPORT).filter(
        plan="", trial_ends_at__gt=now, trial_ends_at__lte=now + ENDS_SOON
    )
    return [
        Counter(
            label=_("Trials ending soon"),
            number=ending.count(),
            url=reverse("admin:billing_account_changelist") + "?trial=ending",
            hint=_("Within 7 days, without a plan"),
        )
    ]


def _panel(tenant: Tenant, now: datetime) -> Panel:
    account, state = account_of_tenant(), entitlement_now(now=now)
    ended = state.standing is Standing.ENDED
    return Panel(
        title=_("Plan and trial"),
        head=[_("Standing"), _("Plan"), _("Trial ends"), _("Paid until")],
        rows=[
            [
                Cell(
                    text=_STANDINGS.get(state.standing, _("Paid plan")),
                    tone="bad" if ended else "",
                ),
                Cell(text=account.get_plan_display() if account.plan else ""),
                Cell(text=account.trial_ends_at),
                Cell(text=account.paid_until),
            ]
        ],
        acts=[(_("Extend the trial"), act_url("trial-extend", tenant.pk))],
    )


def _says(_target: str) -> str:
    account = account_of_tenant()
    return _(
        "The trial ends on %(day)s. Days are added to that, or to today where it has ended;"
        " imports start again with the next schedule."
    ) % {"day": formats.day(account.trial_ends_at.date())}


def _perform(deed: Deed) -> str:
    until = max(account_of_tenant().trial_ends_at, deed.now) + timedelta(days=deed.values["days"])
    trial_extend(until=until, by=deed.by)
    return _("The trial ends on %s now.") % formats.day(until.date())


console.counter(_counters, place=30)
console.panel(_panel, place=10)
console.register(
    Action(
        name="trial-extend",
        label=gettext_lazy("Extend the trial"),
        says=_says,
        perform=_perform,
        fields={
            "days": forms.IntegerField(
                label=gettext_lazy("Days to add"),
                min_value=1,
                max_value=EXTEND_AT_MOST_DAYS,
                initial=7,
            )
        },
    )
)
