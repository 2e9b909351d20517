"""The forms of Settings > Figures; every choice says what it does and which tool does it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from calqsync.tenancy.formats import decimals_of
from reporting.domain.choices import DEFAULT_GRACE
from reporting.models import ReportSettings

PERIOD_NAMES = {
    -1: _("Weekly"),
    -2: _("Every two weeks"),
    1: _("Monthly"),
    2: _("Every two months"),
    3: _("Quarterly"),
    6: _("Half-yearly"),
    12: _("Yearly"),
}
PAUSES = [
    ("churn", _("Churn, marked as a pause. Ours and ChartMogul's way.")),
    ("excluded", _("A row of its own: left out of churn rates, kept in retention.")),
]
FREE = [
    ("ended", _("It ends: churn. Ours and Baremetrics' way.")),
    ("kept", _("The customer stays at 0: a contraction. ChartMogul's way.")),
]
VIEWS = [
    ("reclassified", _("From their own first and last day. Ours, Baremetrics' and Fincome's way.")),
    ("summed", _("As the sum of their months. ChartMogul's way.")),
]
RECOGNITION = [
    ("monthly", _("In equal parts on the last day of each month. Calqulate's way.")),
    ("daily", _("By the day, to the cent.")),
]
LTV = [
    ("ours", _("ARPA × gross margin ÷ customer churn of six months. Ours.")),
    ("chartmogul", _("ARPA ÷ customer churn of six months. ChartMogul's and Baremetrics' way.")),
    ("calqulate", _("ARPA × gross margin ÷ net MRR churn. Calqulate's way.")),
]


def _choice(label: Any, choices: Sequence[tuple[str, Any]], text: Any = "") -> forms.ChoiceField:
    return forms.ChoiceField(label=label, choices=choices, widget=forms.RadioSelect, help_text=text)


def _whole(label: Any, text: Any = "", *, top: int, low: int = 0, needed: bool = False) -> Any:
    return forms.IntegerField(
        label=label, min_value=low, max_value=top, required=needed, help_text=text
    )


class FiguresForm(forms.Form):
    """How a tenant's figures are made; empty numbers mean "no limit", or "not known"."""

    threshold = forms.ChoiceField(
        label=_("Count detected subscriptions from"),
        choices=[("high", _("High confidence")), ("medium", _("Medium")), ("low", _("Low"))],
        help_text=_("What is less certain waits for review and is in no figure."),
    )
    reactivation_months = _whole(
        _("A return is new after, months"),
        _("Empty: a return is always a reactivation, as in ChartMogul. Maxio uses 3."),
        top=120,
        low=1,
    )
    tolerance_percent = forms.DecimalField(
        label=_("Ignore changes up to, %"),
        min_value=0,
        max_value=10,
        decimal_places=2,
        help_text=_(
            "Smaller changes of a customer are no expansion or contraction; 1 swallows rounding."
            " They stand on a row of their own. 0 in all tools that we know."
        ),
    )
    pause_handling = _choice(_("A paused customer is"), PAUSES)
    free_plans = _choice(_("A plan discounted by 100%"), FREE)
    overdue_days = _whole(
        _("An unpaid invoice stops counting, days after its due day"),
        _(
            "Empty: it counts, as in ChartMogul. Baremetrics uses 30. A later payment lets it count"
            " again from its start, and the months between are restated."
        ),
        top=365,
    )
    period_view = _choice(_("Quarters and years are classified"), VIEWS)
    recognition = _choice(_("Revenue is recognised"), RECOGNITION)
    ltv = _choice(_("Lifetime value"), LTV)
    gross_margin_percent = forms.DecimalField(
        label=_("Gross margin, %"),
        min_value=0,
        max_value=100,
        decimal_places=2,
        required=False,
        help_text=_("Lifetime value and payback need it; empty: they have no value."),
    )
    cac_lag_months = _whole(
        _("Months from cost to customer"),
        _("CAC divides the cost of so many months earlier by the new customers of a month."),
        top=12,
        needed=True,
    )
    burn_months = forms.TypedChoiceField(
        label=_("Burn is an average of, complete months"),
        coerce=int,
        choices=[(number, str(number)) for number in (1, 3, 6, 12)],
    )
    burn_average = forms.ChoiceField(
        label=_("Average"), choices=[("mean", _("Mean")), ("median", _("Median"))]
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for period, name in PERIOD_NAMES.items():
            self.fields[_grace(period)] = _whole(name, top=365, needed=True)

    @classmethod
    def showing(cls, row: ReportSettings, *, fixed: bool) -> FiguresForm:
        """The form as the settings are; `fixed` for who may not change them."""
        form = cls(initial=initial(row))
        for field in form.fields.values():
            field.disabled = fixed
        return form

    def groups(self) -> list[tuple[Any, Any, list[forms.BoundField]]]:
        """(title, text, fields) in the order of the page."""
        shown = [(title, text, [self[name] for name in names]) for title, text, names in GROUPS]
        title = _("How long a next invoice is awaited, days")
        text = _(
            "After a period has ended, its MRR stays so long and is marked late. Then service ended"
            " when it was paid until, and the months between are restated. SaaSync lets you choose"
            " one number of days; ours follow the billing period."
        )
        return [*shown, (title, text, [self[_grace(period)] for period in PERIOD_NAMES])]

    def values(self) -> dict[str, Any]:
        """The settings as they are kept. Needs a valid form."""
        given = dict(self.cleaned_data)
        graces = {period: given.pop(_grace(period)) for period in PERIOD_NAMES}
        given["tolerance_bp"] = int(given.pop("tolerance_percent") * 100)
        margin = given.pop("gross_margin_percent")
        given["gross_margin_bp"] = None if margin is None else int(margin * 100)
        given["grace_days"] = {
            str(period): days for period, days in graces.items() if days != DEFAULT_GRACE[period]
        }
        return given


GROUPS: list[tuple[Any, Any, list[str]]] = [
    (_("What counts"), "", ["threshold", "overdue_days", "free_plans"]),
    (
        _("What changed"),
        _("None of these changes MRR; they say what a change of it is called."),
        ["reactivation_months", "tolerance_percent", "pause_handling", "period_view"],
    ),
    (_("Revenue recognition"), "", ["recognition"]),
    (_("Unit economics"), "", ["ltv", "gross_margin_percent", "cac_lag_months"]),
    (_("Burn and runway"), "", ["burn_months", "burn_average"]),
]


def _grace(period: int) -> str:
    return f"grace_{period}".replace("-", "w")


def initial(row: ReportSettings) -> dict[str, Any]:
    """The settings as the form's fields hold them."""
    names = FiguresForm.base_fields
    shown = {name: getattr(row, name) for name in names if hasattr(row, name)}
    shown["tolerance_percent"] = _percent(row.tolerance_bp)
    shown["gross_margin_percent"] = _percent(row.gross_margin_bp)
    for period in PERIOD_NAMES:
        shown[_grace(period)] = row.grace_days.get(str(period), DEFAULT_GRACE[period])
    return shown


def _percent(parts: int | None) -> Decimal | None:
    return None if parts is None else (Decimal(parts) / 100).normalize() + 0


class CostsForm(forms.Form):
    """What winning customers cost, month by month; an empty field is not known, 0 is free."""

    def __init__(
        self,
        *args: Any,
        months: Sequence[tuple[int, str]],
        held: Mapping[int, int],
        currency: str,
        fixed: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        self.months = [month for month, _name in months]
        self._decimals = decimals_of(currency)
        for month, name in months:
            cost = held.get(month)
            self.fields[_cost(month)] = forms.DecimalField(
                label=name,
                min_value=0,
                max_digits=14,
                decimal_places=self._decimals,
                required=False,
                disabled=fixed,
                initial=None if cost is None else Decimal(cost).scaleb(-self._decimals),
            )

    def values(self) -> dict[int, int | None]:
        """Minor units by month, None where the field is empty. Needs a valid form."""
        given = {month: self.cleaned_data[_cost(month)] for month in self.months}
        return {
            month: None if amount is None else int(amount.scaleb(self._decimals))
            for month, amount in given.items()
        }


def _cost(month: int) -> str:
    return f"cost_{month // 12:04d}_{month % 12 + 1:02d}"
