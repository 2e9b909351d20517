"""The Growth page: MRR with its movements, churn and customers by month, quarter or year."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from django.urls import reverse
from django.utils.translation import gettext as _

from calqsync.tenancy.models import Tenant
from reporting import parts
from reporting.selectors import figures, sentences
from reporting.selectors.behind.steps import LENGTHS, naming
from reporting.selectors.comparing import Line, compared_table
from reporting.selectors.figures import FiguresPage, Reading
from reporting.selectors.frame import Period
from reporting.selectors.listing import export_links
from reporting.selectors.month_tiles import Tiles
from reporting.selectors.months import Months, Row
from reporting.selectors.movements import movement_rows, movements_chart, net_new
from reporting.selectors.rates import rate_tiles, rates_chart

# Months that a sentence explains.
EXPLAINED = 3
_TILES = ["gross_churn", "net_churn", "grr_12", "nrr_12"]


def growth_page(
    *, tenant: Tenant, query: Mapping[str, str], now: datetime, aggregates_only: bool = False
) -> FiguresPage:
    """The page of the tenant in scope; `aggregates_only` for readers who may see no more."""
    view = query.get("view", "")
    view = view if view in LENGTHS else "months"
    wanted = [] if view == "months" else [view]
    read = figures.reading(
        tenant=tenant, query=query, now=now, aggregates_only=aggregates_only, parts=wanted
    )
    lead = _("What recurring revenue is, and what moved it.")
    if not read.months:
        return read.page(title=_("Growth"), lead=lead)
    way = query.get("way", "")
    way = way if way in {"reclassified", "summed"} else read.settings.period_view
    shown = read.period(keep=[(name, query.get(name, "")) for name in ("view", "way")])
    return read.page(
        title=_("Growth"),
        lead=lead,
        period=shown,
        notes=read.unsure_new(shown),
        tabs=_tabs(query, view, way),
        tiles=_tiles(read, shown),
        sections=_sections(read, shown, view, way),
    )


def _tabs(query: Mapping[str, str], view: str, way: str) -> list[dict[str, Any]]:
    views = [("months", _("Months")), (parts.QUARTERS, _("Quarters")), (parts.YEARS, _("Years"))]
    made = [{"label": _("Length"), "items": figures.tabs(query, "view", views, view)}]
    if view != "months":
        ways = [("reclassified", _("First and last day")), ("summed", _("Sum of months"))]
        made.append({"label": _("Counted"), "items": figures.tabs(query, "way", ways, way)})
    return made


def _tiles(read: Reading, shown: Period) -> list[dict[str, Any]]:
    made = Tiles(words=read.words, months=read.months, compare=shown.comparison)
    if not made.complete:
        return []
    net = Row(label=_("Net new MRR"), field=net_new, signed=True)
    quick = Row(
        label=_("Quick ratio"),
        field="quick_ratio_ppm",
        unit="ratio",
        reason=_("Nothing was lost in the month, so there is nothing to divide by."),
    )
    return [
        made.tile(
            "net-new",
            net,
            url="#movements-table-caption",
            definition=_("How much recurring revenue grew in the last complete month."),
            formula=_("new + expansion + reactivation − contraction − churn"),
        ),
        *rate_tiles(made, _TILES, url="#rates-table-caption"),
        made.tile(
            "quick-ratio",
            quick,
            definition=_("Revenue gained, as a multiple of revenue lost."),
            formula=_("(new + expansion + reactivation) ÷ (contraction + churn)"),
        ),
    ]


def _sections(read: Reading, shown: Period, view: str, way: str) -> list[dict[str, Any]]:
    if view != "months" and view not in read.parts:
        return [figures.waiting(_("Quarters and years"))]
    rows: Sequence[Any] = read.months if view == "months" else read.parts[view][way]
    months = read.months_of(
        rows,
        shown,
        length=LENGTHS.get(view, 1),
        name=naming(view),
        span={"view": view, "way": way},
    )
    sections: list[dict[str, Any]] = []
    if view == "months":
        sections.append(_why(read, months))
    if compared := _compared(read, shown):
        sections.append({"table": compared})
    if not months.rows:
        return [*sections, figures.waiting(_("Quarters and years"))]
    sections += [
        {"chart": movements_chart(months, note=_said(view, way))},
        {
            "chart": rates_chart(
                months,
                ["customer_churn", "gross_churn"],
                ["customer_churn", "gross_churn", "nrr", "nrr_12", "grr_12"],
                id="rates",
                title=_("Churn and retention"),
                over={parts.QUARTERS: _("quarter"), parts.YEARS: _("year")}.get(view, ""),
            )
        },
        _customers(read, months),
        _contracted(months),
    ]
    return sections


def _contracted(months: Months) -> dict[str, Any]:
    """MRR, and what of it and beside it is agreed already."""
    table = months.table(
        id="contracted-table",
        caption=_("Contracted MRR"),
        what=_("At the end"),
        rows=[
            Row(label=_("MRR"), field="mrr_minor", figure="mrr"),
            Row(label=_("Invoiced, not yet begun"), field="contracted_minor", figure="signed"),
            Row(
                label=_("Known to end or to be renewed"),
                field="ending_minor",
                figure="ending",
                sign=-1,
            ),
            Row(
                label=_("Contracted MRR"),
                field="contracted_mrr_minor",
                figure="contracted",
                total=True,
            ),
        ],
    )
    text = _(
        "MRR, with what is invoiced already and begins later; without what somebody said will end"
        " within a year, and without what an invoiced renewal replaces."
    )
    return {"table": table, "text": text}


def _why(read: Reading, months: Months) -> dict[str, Any]:
    """A sentence for each of the newest months: what moved MRR, and who, where names may be told.

    Figures of an earlier day name nobody: who moved is known as of today.
    """
    newest = [str(row["month"]) for row in reversed(months.rows[-EXPLAINED:])]
    then = read.found is not None and read.found.version is not None
    unnamed = read.aggregates_only or then
    named = None if unnamed else sentences.movers(newest)
    restated = {} if then else sentences.restated_by(newest)
    return {
        "title": _("Why MRR changed"),
        "facts": [
            {
                "term": read.words.month(month, long=True),
                "text": sentences.why(
                    read.months, month, read.words, named=named, restated=restated
                ),
            }
            for month in newest
        ],
    }


def _said(view: str, way: str) -> str:
    """Which of the two ways of counting a longer period is shown."""
    if view == "months":
        return ""
    if way == "summed":
        return _(
            "Sum of months: movements of the period's months added up, as ChartMogul shows them."
            " A customer who came and left within the period is both new and churned."
        )
    return _(
        "From own first and last day: each customer is compared at the two ends of the period"
        " alone. Who came and left within it is neither new nor churned."
    )


def _customers(read: Reading, months: Months) -> dict[str, Any]:
    def counted(label: str, field: str, figure: str = "", **more: Any) -> Row:
        return Row(label=label, field=field, unit="count", figure=figure, **more)

    table = months.table(
        id="customers-table",
        caption=_("Paying customers"),
        what=_("Customers"),
        rows=[
            counted(_("At the start"), "customers_start", "customers", back=1, sub=True),
            counted(_("New"), "new_customers", "new-customers"),
            counted(_("Returned"), "reactivated_customers", "reactivation-customers"),
            counted(_("Left"), "churned_customers", "churn-customers"),
            counted(_("Paused"), "paused_customers", "paused-customers", optional=True),
            counted(_("At the end"), "customers", "customers", compared=True),
            Row(label=_("MRR per customer"), field="arpa_minor", figure="arpa"),
        ],
    )
    section: dict[str, Any] = {"table": table}
    if not read.aggregates_only:
        files = reverse("customer_months", args=[read.tenant.slug])
        section["more"] = {
            "text": _("MRR by customer and month, all months"),
            "exports": export_links(lambda kind: f"{files}?format={kind}"),
        }
    return section


def _compared(read: Reading, shown: Period) -> dict[str, Any] | None:
    _start, *moved, _end = movement_rows()
    return compared_table(
        read,
        shown,
        read.months,
        id="growth-compared",
        caption=_("Growth compared"),
        lines=[
            *(Line(row, "sum") for row in moved),
            Line(Row(label=_("Net new"), field=net_new), "sum"),
            Line(Row(label=_("MRR at the end"), field="mrr_minor", total=True), "last"),
            Line(Row(label=_("New customers"), field="new_customers", unit="count"), "sum"),
            Line(
                Row(label=_("Customers who left"), field="churned_customers", unit="count"), "sum"
            ),
            Line(Row(label=_("Customers at the end"), field="customers", unit="count"), "last"),
        ],
    )
