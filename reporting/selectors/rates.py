"""Churn and retention: each rate's name, its plain words, its formula and who counts it so."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.utils.translation import gettext as _

from reporting.selectors.month_tiles import Tiles
from reporting.selectors.months import Months, Row


@dataclass(frozen=True, slots=True)
class Rate:
    """One rate of a month as every page of figures says it."""

    row: Row
    words: str
    formula: str
    source: str
    """Which vendor's formula it is, and how others differ."""
    good: bool
    """More of it is good news."""


def rates(over: str = "") -> dict[str, Rate]:
    """By name: customer_churn, gross_churn, net_churn, nrr, grr, nrr_12, grr_12.

    `over` is the word for what the rates run over, a month unless told.
    """
    start = _("Needs recurring revenue at the start of the month.")
    return {**_churn(start), **_retention(over or _("month"), start), **_over_a_year()}


def _row(label: str, name: str, kind: str, reason: str) -> Row:
    return Row(
        label=label,
        field=f"{name}_ppm",
        unit="rate",
        kind=kind,
        line=True,
        reason=reason,
        figure=name,
        compared=True,
    )


def _churn(start: str) -> dict[str, Rate]:
    """What was lost in a month; without a value for the reason `start`."""
    return {
        "customer_churn": Rate(
            _row(_("Customer churn"), "customer_churn", "churn", start),
            _(
                "Customers who left in the month, of those at its start. Who joined and left, or"
                " left and came back, within the month does not count."
            ),
            _("customers lost ÷ customers at the start"),
            _("ChartMogul's formula. Baremetrics also counts who joined and left within 30 days."),
            good=False,
        ),
        "gross_churn": Rate(
            _row(_("Gross MRR churn"), "gross_churn", "contraction", start),
            _("Recurring revenue lost in the month, of that at its start."),
            _("(churn + contraction) ÷ MRR at the start"),
            _("ChartMogul's formula. Baremetrics calls it revenue churn, over the last 30 days."),
            good=False,
        ),
        "net_churn": Rate(
            _row(_("Net MRR churn"), "net_churn", "fx", start),
            _("Revenue lost less revenue gained from customers; below zero is growth."),
            _("(churn + contraction − expansion − reactivation) ÷ MRR at the start"),
            _("ChartMogul's formula. With returned customers, so NRR is not 100% less this rate."),
            good=False,
        ),
    }


def _retention(over: str, start: str) -> dict[str, Rate]:
    """What is left of a period's first MRR at its end; without a value for the reason `start`."""
    return {
        "nrr": Rate(
            _row(_("NRR, %(over)s") % {"over": over}, "nrr", "mrr", start),
            _(
                "Net revenue retention: what the customers at the month's start bring at its end,"
                " of what they brought."
            ),
            _("(start + expansion − contraction − churn) ÷ start"),
            _("ChartMogul's formula: new and returned customers stand outside."),
            good=True,
        ),
        "grr": Rate(
            _row(_("GRR, %(over)s") % {"over": over}, "grr", "reactivation", start),
            _(
                "Gross revenue retention: what the customers at the month's start still bring at"
                " its end, growth left out; never above 100%."
            ),
            _("(start − contraction − churn) ÷ start, customer by customer"),
            _("The usual formula; each customer counts at most what it brought at the start."),
            good=True,
        ),
    }


def _over_a_year() -> dict[str, Rate]:
    """What is left of the MRR of twelve months ago."""
    year = _("Needs recurring revenue twelve months earlier.")
    return {
        "nrr_12": Rate(
            _row(_("NRR, 12 months"), "nrr_12", "new", year),
            _(
                "Net revenue retention: what the customers of twelve months ago bring today, of"
                " what they brought then."
            ),
            _("their MRR now ÷ their MRR twelve months ago"),
            _("What boards mean by net revenue retention; ChartMogul's rule over a year."),
            good=True,
        ),
        "grr_12": Rate(
            _row(_("GRR, 12 months"), "grr_12", "expansion", year),
            _(
                "Gross revenue retention: what the customers of twelve months ago still bring,"
                " growth left out."
            ),
            _("(start − contraction − churn) ÷ start over twelve months, customer by customer"),
            _("The same customers and months as NRR over twelve months."),
            good=True,
        ),
    }


def rate_tiles(made: Tiles, names: list[str], *, url: str) -> list[dict[str, Any]]:
    """A tile for each of these rates, leading to the table that holds them."""
    known = rates()
    tiles = []
    for name in names:
        rate = known[name]
        tiles.append(
            made.tile(
                name.replace("_", "-"),
                rate.row,
                definition=rate.words,
                formula=rate.formula,
                good=rate.good,
                url=url,
            )
        )
    return tiles


def rates_chart(
    months: Months,
    drawn: list[str],
    listed: list[str],
    *,
    id: str,
    title: str,
    over: str = "",
    **more: Any,
) -> dict[str, Any]:
    """Some rates as lines, above a table of them and others."""
    known = rates(over)
    return months.chart(
        id=id,
        type="lines",
        title=title,
        summary=months.newest([known[name].row for name in drawn]) or title,
        rows=[known[name].row for name in drawn],
        table_shown=True,
        table=months.table(
            id=f"{id}-table",
            caption=title,
            what=_("Rate"),
            rows=[known[name].row for name in listed],
        ),
        **more,
    )
