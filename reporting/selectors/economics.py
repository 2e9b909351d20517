"""The Unit economics page: what a customer brings, costs and is worth."""

from __future__ import annotations

from typing import Any, Unpack, cast

from django.utils.translation import gettext as _

from reporting import parts
from reporting.parts import Economics
from reporting.selectors import figures
from reporting.selectors.figures import Asked, FiguresPage, Reading
from reporting.selectors.frame import Period
from reporting.selectors.month_tiles import Tiles
from reporting.selectors.months import Months, Row


def economics_page(**asked: Unpack[Asked]) -> FiguresPage:
    """The page of the tenant in scope; `aggregates_only` for readers who may see no more."""
    read = figures.reading(**asked, parts=[parts.ECONOMICS])
    title = _("Unit economics")
    lead = _("What a customer brings a month, costs to win, and is worth.")
    if not read.months:
        return read.page(title=title, lead=lead)
    shown = read.period()
    if parts.ECONOMICS not in read.parts:
        return read.page(title=title, lead=lead, period=shown, sections=[figures.waiting(title)])
    found = cast(Economics, read.parts[parts.ECONOMICS])
    rows = _Rows(read, found)
    known = _with_growth(read, found)
    return read.page(
        title=title,
        lead=lead,
        period=shown,
        tiles=_tiles(read, rows, known, shown),
        sections=_sections(read, rows, known, shown),
    )


def _with_growth(read: Reading, found: Economics) -> list[dict[str, Any]]:
    """The part's months with what the months of the body say beside them."""
    growth = {row["month"]: row for row in read.months}
    return [{**growth.get(row["month"], {}), **row} for row in found["months"]]


class _Rows:
    """The figures of the page, each with the reason for where it has no value."""

    def __init__(self, read: Reading, found: Economics) -> None:
        no_margin = found["gross_margin_bp"] is None
        margin, cost = _entered(read)
        fresh = _("No new customers in the month, so there is nothing to divide by.")
        won = cost + " " + _("It also needs new customers.")
        self.arpa = _row(
            _("ARPA"), "arpa_minor", _("No paying customers."), kind="mrr", compared=True
        )
        self.asp = _row(_("ASP"), "asp_minor", fresh)
        self.new_arpa = _row(_("ARPA of new customers"), "new_arpa_minor", fresh, kind="expansion")
        self.churn = _row(
            _("Customer churn, six months"),
            "customer_churn_6_ppm",
            _("Needs six complete months with customers."),
            unit="rate",
            figure="churn_6",
        )
        self.cost = _row(_("Acquisition cost"), "cost_minor", cost)
        self.cac = _row(_("CAC"), "cac_minor", won, kind="churn", compared=True)
        self.payback = _row(
            _("CAC payback, months"),
            "payback_months_tenths",
            margin if no_margin else won,
            unit="tenths",
            figure="payback",
        )
        self.ltv_cac = _row(_("LTV:CAC"), "ltv_cac_ppm", _("Needs both LTV and CAC."), unit="ratio")
        self.quick = _row(
            _("Quick ratio"),
            "quick_ratio_ppm",
            _("Nothing was lost in the month, so there is nothing to divide by."),
            unit="ratio",
        )
        ltvs = _worth(margin if no_margin else "")
        self.ltv_name = read.settings.ltv if read.settings.ltv in ltvs else "ours"
        self.ltvs = [ltvs.pop(self.ltv_name), *ltvs.values()]


def _worth(no_margin: str) -> dict[str, Row]:
    """What a customer is worth, by formula; `no_margin` is the reason where a margin is missing."""
    nobody = _("Needs six complete months before it, in which somebody left.")
    growing = _("Needs a complete month with net MRR churn above zero.")
    return {
        "ours": _row(_("LTV"), "ltv_ours_minor", no_margin or nobody, kind="new"),
        "chartmogul": _row(_("LTV as in ChartMogul"), "ltv_chartmogul_minor", nobody),
        "calqulate": _row(_("LTV as in Calqulate"), "ltv_calqulate_minor", no_margin or growing),
    }


def _row(label: str, field: str, reason: str, *, kind: str = "", **more: Any) -> Row:
    """A row that opens the figure its field is named for; one with a kind may be drawn."""
    drawn = {"figure": field.rpartition("_")[0], "kind": kind, "line": bool(kind), **more}
    return Row(label=label, field=field, reason=reason, **drawn)


# Tiles that have no value before a person has entered something.
_ENTERED = {"ltv", "cac", "payback", "ltv-cac"}
_LTV_FORMULAS = {
    "ours": lambda: _("ARPA × gross margin ÷ customer churn of the six months before"),
    "chartmogul": lambda: _("ARPA ÷ customer churn of the six months before"),
    "calqulate": lambda: _("ARPA × gross margin ÷ net MRR churn of the month"),
}


def _tiles(
    read: Reading, rows: _Rows, known: list[dict[str, Any]], shown: Period
) -> list[dict[str, Any]]:
    made = Tiles(words=read.words, months=known, compare=shown.comparison)
    if not made.complete:
        return []
    at = "#economics-table-caption"
    settings = read.settings_url()

    def tile(id: str, row: Row, definition: str, formula: str, **more: Any) -> dict[str, Any]:
        drawn = made.tile(id, row, definition=definition, formula=formula, url=at, **more)
        if drawn["reason"] and settings and id in _ENTERED:
            drawn |= {"note": drawn["reason"], "note_url": settings}
        return drawn

    return [
        tile(
            "arpa",
            rows.arpa,
            _("Average revenue per account: what a paying customer brings a month (ARPA)."),
            _("MRR ÷ paying customers"),
        ),
        tile(
            "ltv",
            rows.ltvs[0],
            _("Lifetime value: what a customer brings until it leaves, if nothing changes (LTV)."),
            _LTV_FORMULAS[rows.ltv_name](),
        ),
        tile(
            "cac",
            rows.cac,
            _("Customer acquisition cost: what it costs to win one customer (CAC)."),
            _("acquisition cost ÷ new customers"),
            good=False,
        ),
        tile(
            "payback",
            rows.payback,
            _("Months until a new customer has paid back what winning it cost."),
            _("CAC ÷ (ARPA of new customers × gross margin)"),
            good=False,
        ),
        tile(
            "ltv-cac",
            rows.ltv_cac,
            _("What a customer is worth, as a multiple of what it costs."),
            _("LTV ÷ CAC"),
        ),
        tile(
            "quick-ratio",
            rows.quick,
            _("Revenue gained, as a multiple of revenue lost; ChartMogul's formula."),
            _("(new + expansion + reactivation) ÷ (contraction + churn)"),
        ),
    ]


def _sections(
    read: Reading, rows: _Rows, known: list[dict[str, Any]], shown: Period
) -> list[dict[str, Any]]:
    months = read.months_of(known, shown)
    if not months.rows:
        return [figures.waiting(_("Unit economics"))]
    return [
        {"chart": _revenue(months, rows)},
        {
            "chart": months.chart(
                id="worth",
                type="lines",
                title=_("Worth and cost of a customer"),
                summary=months.newest([rows.ltvs[0], rows.cac])
                or _("LTV and CAC for each month shown."),
                rows=[rows.ltvs[0], rows.cac],
            )
        }
        if any(row.value(month) for row in (rows.ltvs[0], rows.cac) for month in months.rows)
        else _to_enter(read),
        {
            "table": months.table(
                id="economics-table",
                caption=_("Unit economics by month"),
                what=_("Per customer"),
                rows=[
                    *(rows.arpa, rows.asp, rows.new_arpa, rows.churn, *rows.ltvs),
                    *(rows.cost, rows.cac, rows.payback, rows.ltv_cac, rows.quick),
                ],
            )
        },
        _definitions(),
    ]


def _revenue(months: Months, rows: _Rows) -> dict[str, Any]:
    told = _("ARPA of all paying customers and of the month's new ones, where there are any.")
    return months.chart(
        id="arpa",
        type="lines",
        title=_("Revenue per customer and month"),
        summary=f"{told} {months.newest([rows.arpa, rows.new_arpa])}".strip(),
        rows=[rows.arpa, rows.new_arpa],
    )


def _to_enter(read: Reading) -> dict[str, Any]:
    """What to enter, where the books cannot tell what a customer costs and is worth."""
    url = read.settings_url()
    text = _(
        "Your books do not say your gross margin or what winning customers cost. Enter both,"
        " and LTV, CAC and payback have values."
    )
    if not url:
        text = _(
            "LTV, CAC and payback have values once the company has entered its gross margin and"
            " what winning customers costs."
        )
    return {
        "title": _("What a customer is worth and costs"),
        "text": text,
        "links": [{"label": _("Enter them"), "url": url}] if url else [],
    }


def _entered(read: Reading) -> tuple[str, str]:
    """Why there is no figure without a gross margin and a cost; where to go, for who may."""
    if not read.settings_url():
        return (
            _("Needs the gross margin, which the company has not entered."),
            _("Needs the acquisition cost of the month, which the company has not entered."),
        )
    return (
        _("Needs your gross margin: enter it under Settings, Figures."),
        _("Needs the acquisition cost of the month: enter it under Settings, Figures."),
    )


def _definitions() -> dict[str, Any]:
    facts = [
        (
            _("ARPA"),
            _("Average revenue per account: recurring revenue per paying customer and month."),
            _("MRR ÷ paying customers"),
            _("As in ChartMogul and Baremetrics (ARPU). Calqulate's is per year."),
        ),
        (
            _("ASP"),
            _(
                "Average sale price: the first recurring invoice of the month's new customers, on"
                " average."
            ),
            _("first invoices ÷ new customers"),
            _("ChartMogul's ASP."),
        ),
        (
            _("LTV"),
            _(
                "Lifetime value: what a customer brings until it leaves, after the cost of serving"
                " it."
            ),
            _LTV_FORMULAS["ours"](),
            _("No value while nobody leaves: the figure would be endless."),
        ),
        (
            _("LTV as in ChartMogul"),
            _("The same without gross margin. Baremetrics' is alike."),
            _LTV_FORMULAS["chartmogul"](),
            "",
        ),
        (
            _("LTV as in Calqulate"),
            _("By net MRR churn in place of customers who left."),
            _LTV_FORMULAS["calqulate"](),
            _("No value when customers grow more than they leave."),
        ),
        (
            _("CAC and payback"),
            _(
                "Customer acquisition cost: what winning one customer costs, and how many months it"
                " takes to earn it back."
            ),
            _("CAC ÷ (ARPA of new customers × gross margin)"),
            _("The cost is what you enter, of the month or of earlier ones as you choose."),
        ),
    ]
    return {
        "title": _("How these figures are counted"),
        "facts": [
            {"term": term, "text": text, "formula": formula, "source": source}
            for term, text, formula, source in facts
        ],
    }
