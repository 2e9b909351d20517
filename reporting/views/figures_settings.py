"""Settings > Figures: how figures are made, and what the books do not say."""

from __future__ import annotations

from typing import Any

from django.http import Http404, HttpResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST

from calqsync.tenancy.access import TenantRequest, tenant_page, tenant_view
from calqsync.tenancy.models import Role
from reporting import services
from reporting.domain.periods import month_index
from reporting.domain.presets import PRESETS, preset_of
from reporting.models import AcquisitionCost, ReportSettings
from reporting.selectors import frame
from reporting.services import business_day
from reporting.views.answering import answer
from reporting.views.figures_form import FREE, LTV, PAUSES, VIEWS, CostsForm, FiguresForm
from reporting.views.saying import asked

COST_MONTHS = 18


@tenant_page()
def settings_figures(request: TenantRequest) -> HttpResponse:
    """How this company's figures are made; admins change it here."""
    return _page(request, FiguresForm.showing(_held(), fixed=not _may(request)), _costs(request))


@tenant_view(Role.ADMIN)
@require_POST
def settings_figures_save(request: TenantRequest) -> HttpResponse:
    """Keep the form, a preset, or the costs, once the person has seen what it does to MRR."""
    to = reverse("settings_figures", args=[request.tenant.slug])
    match request.POST.get("save", ""):
        case "settings":
            form = FiguresForm(request.POST)
            if not form.is_valid():
                return _page(request, form, _costs(request))
            change = services.acts.settings_changed(**form.values())
            what, done = _("Change how figures are made"), _("The settings are changed.")
        case "costs":
            costs = _costs(request, typed=True)
            if not costs.is_valid():
                return _page(request, FiguresForm.showing(_held(), fixed=False), costs)
            change = services.acts.costs_entered(costs.values())
            what, done = _("Enter acquisition costs"), _("The costs are kept.")
        case name if name in PRESETS:
            change = services.acts.settings_changed(**PRESETS[name])
            what, done = _("Choose a preset"), _("The settings are changed.")
        case _other:
            raise Http404
    return asked(request, change, what=what, done=done, to=to)


def _may(request: TenantRequest) -> bool:
    return request.membership.may(Role.ADMIN)


def _held() -> ReportSettings:
    found: ReportSettings = ReportSettings.objects.first() or ReportSettings()
    return found


def _costs(request: TenantRequest, *, typed: bool = False) -> CostsForm:
    """The last months' costs, newest first."""
    running = month_index(business_day(request.tenant, timezone.now()))
    words = frame.words_for(request.tenant)
    months = [
        (month, words.month(frame.month_text(month), long=True))
        for month in range(running, running - COST_MONTHS, -1)
    ]
    rows = AcquisitionCost.objects.filter(month__gt=running - COST_MONTHS)
    held = dict(rows.values_list("month", "amount_minor"))
    given = request.POST if typed else None
    currency = request.tenant.currency
    return CostsForm(given, months=months, held=held, currency=currency, fixed=not _may(request))


def _page(request: TenantRequest, form: FiguresForm, costs: CostsForm) -> HttpResponse:
    row = _held()
    return answer(
        request,
        "reporting/settings.html",
        form=form,
        costs=costs,
        may_change=_may(request),
        presets=_presets(row),
        choices=_choices(row),
        currency=request.tenant.currency,
    )


def _presets(row: ReportSettings) -> list[dict[str, Any]]:
    chosen = preset_of({name: getattr(row, name) for name in PRESETS["ours"]})
    return [
        {"code": code, "name": _preset_name(code), "chosen": code == chosen} for code in PRESETS
    ]


def _preset_name(code: str) -> str:
    names = {
        "ours": _("Ours"),
        "chartmogul": _("Like ChartMogul"),
        "baremetrics": _("Like Baremetrics"),
    }
    return names[code]


def _choices(row: ReportSettings) -> list[dict[str, Any]]:
    """Each setting that the presets name: as it is here and in each of them."""
    labels = {
        "reactivation_months": _("A return is new after"),
        "tolerance_bp": _("Changes ignored up to"),
        "pause_handling": _("A paused customer is"),
        "free_plans": _("A plan discounted by 100%"),
        "overdue_days": _("An unpaid invoice stops counting after"),
        "period_view": _("Quarters and years are classified"),
        "ltv": _("Lifetime value"),
    }
    return [
        {
            "label": label,
            "now": _said(name, getattr(row, name)),
            "presets": [
                (_preset_name(code), _said(name, preset[name])) for code, preset in PRESETS.items()
            ],
        }
        for name, label in labels.items()
    ]


_NAMED: dict[str, dict[str, Any]] = {
    "pause_handling": dict(PAUSES),
    "free_plans": dict(FREE),
    "period_view": dict(VIEWS),
    "ltv": dict(LTV),
}


def _said(name: str, value: Any) -> str:
    """A value in a few words: the first sentence of what the form says about it."""
    if name in _NAMED:
        return str(_NAMED[name][value]).partition(". ")[0].removesuffix(".")
    if name == "tolerance_bp":
        return f"{value / 100:g}%"
    if value is None:
        return _("never")
    unit = _("%(n)d months") if name == "reactivation_months" else _("%(n)d days")
    return unit % {"n": value}
