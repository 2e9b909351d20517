"""What a formula over several figures is made of: CAC, payback and lifetime values."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, cast

from django.http import Http404
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from reporting import parts
from reporting.models import ReportPart, ReportSettings
from reporting.parts import Economics
from reporting.selectors import frame
from reporting.selectors.behind.growth import month_row
from reporting.selectors.behind.kinds import Kind, Part, Question, column
from reporting.selectors.months import written

FIGURES = frozenset(
    {"cost", "cac", "payback", "ltv_cac", "churn_6", "ltv_ours", "ltv_chartmogul", "ltv_calqulate"}
)
_UNITS: dict[str, Any] = {"payback": "tenths", "ltv_cac": "ratio", "churn_6": "rate"}
_FIELDS = {
    "payback": "payback_months_tenths",
    "ltv_cac": "ltv_cac_ppm",
    "churn_6": "customer_churn_6_ppm",
}


class _Inputs:
    """The inputs of one month's figures, each as a row: its name, its value, its documents."""

    def __init__(self, asked: Question) -> None:
        part = ReportPart.objects.filter(name=parts.ECONOMICS).first()
        self.part = cast(Economics, part.body) if part else {"months": [], "gross_margin_bp": None}
        self.by_month: dict[str, Any] = {row["month"]: row for row in self.part["months"]}
        if asked.month not in self.by_month:
            raise Http404
        self.settings = ReportSettings.objects.first() or ReportSettings()
        self.asked, self.words, self.row = asked, asked.words, self.by_month[asked.month]

    def value(self, figure: str) -> str:
        field = _FIELDS.get(figure, f"{figure}_minor")
        return written(self.words, _UNITS.get(figure, "money"), self.row[field])

    def headline(self) -> str:
        """The figure itself, with its currency."""
        figure = self.asked.figure
        if figure in _UNITS:
            return self.value(figure)
        minor = self.row[_FIELDS.get(figure, f"{figure}_minor")]
        return self.words.money(minor, cents=True)

    def of(self, figure: str) -> list[tuple[str, str, str]]:
        lag = frame.month_text(self.asked.index - self.settings.cac_lag_months)
        cost = self.by_month.get(lag, {}).get("cost_minor")
        each = self.words.amount(self.row["arpa_minor"])
        arpa = self._row(_("ARPA, MRR per customer"), each, "arpa")
        churn = self._row(_("Customer churn, six months"), self.value("churn_6"), "churn_6")
        growth = month_row(self.asked)
        net = self.words.rate(growth["net_churn_ppm"])
        chosen = f"ltv_{self.settings.ltv}"
        cac = self._row(_("CAC"), self.value("cac"), "cac")
        match figure:
            case "cost":
                return [
                    self._row(
                        self._said(_("Acquisition cost"), self.asked.month), self.value("cost")
                    )
                ]
            case "cac":
                many = self.words.count(growth["new_customers"])
                paid = self._said(_("Acquisition cost"), lag)
                return [
                    self._row(paid, self.words.amount(cost), "cost" if cost else "", lag),
                    self._row(_("New customers"), many, "new-customers"),
                ]
            case "payback":
                each = self.words.amount(self.row["new_arpa_minor"])
                new = self._row(_("ARPA of new customers"), each, "new_arpa")
                return [cac, new, self._margin()]
            case "ltv_cac":
                return [self._row(_("LTV"), self.value(chosen), chosen), cac]
            case "churn_6":
                return [
                    self._row(
                        self._said(_("Customer churn"), month["month"]),
                        self.words.rate(month["customer_churn_ppm"]),
                        "customer_churn" if month["churned_customers"] else "",
                        month["month"],
                    )
                    for month in self.asked.body["months"]
                    if 0 < self.asked.index - frame.month_index(month["month"]) <= 6
                ]
            case "ltv_chartmogul":
                return [arpa, churn]
            case "ltv_calqulate":
                return [arpa, self._margin(), self._row(_("Net MRR churn"), net, "net_churn")]
        return [arpa, self._margin(), churn]

    def _row(
        self, label: str, value: str, figure: str = "", month: str = ""
    ) -> tuple[str, str, str]:
        url = frame.behind(self.asked.tenant, figure, month or self.asked.month) if figure else ""
        return label, value, url

    def _said(self, label: str, month: str) -> str:
        return _("%(figure)s, %(month)s") % {
            "figure": label,
            "month": self.words.month(month, long=True),
        }

    def _margin(self) -> tuple[str, str, str]:
        share = self.part["gross_margin_bp"]
        return self._row(_("Gross margin"), self.words.rate(None if share is None else share * 100))


def inputs_kind(asked: Question) -> Kind:
    """The figures that a formula puts together, each with a way to its own documents."""
    found = _Inputs(asked)
    names, formula = _formulas()[asked.figure]

    def rows(shown: Sequence[Part]) -> Iterable[tuple[Any, list[Any], str]]:
        for part in shown:
            label, value, url = part.key
            yield label, [value], url

    return Kind(
        _("%(rate)s: %(month)s") % {"rate": names, **asked.said},
        formula,
        [Part(row, 0) for row in found.of(asked.figure)],
        [column("input", _("Made of")), {"key": "value", "label": _("Value"), "numeric": True}],
        rows,
        lambda n: ngettext("%d figure", "%d figures", n) % n,
        headline=found.headline(),
        adds_up=False,
    )


def _formulas() -> dict[str, tuple[str, str]]:
    return {
        "cost": (_("Acquisition cost"), _("What a person entered under Settings, Figures.")),
        "cac": (_("CAC"), _("acquisition cost ÷ new customers")),
        "payback": (
            _("CAC payback, months"),
            _("CAC ÷ (ARPA of new customers × gross margin)"),
        ),
        "ltv_cac": (_("LTV:CAC"), _("LTV ÷ CAC")),
        "churn_6": (
            _("Customer churn, six months"),
            _("The mean of the six complete months before."),
        ),
        "ltv_ours": (
            _("LTV"),
            _("ARPA × gross margin ÷ customer churn of the six months before"),
        ),
        "ltv_chartmogul": (
            _("LTV as in ChartMogul"),
            _("ARPA ÷ customer churn of the six months before"),
        ),
        "ltv_calqulate": (
            _("LTV as in Calqulate"),
            _("ARPA × gross margin ÷ net MRR churn of the month"),
        ),
    }
