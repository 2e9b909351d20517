"""The Growth page: MRR with its movements, churn and retention by month."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.urls import reverse
from django.utils.translation import gettext as _

from calqsync.tenancy.models import Tenant
from reporting.body import Month
from reporting.selectors import aggregates, frame
from reporting.selectors.frame import PPM, Period, Published, Words, behind
from reporting.selectors.listing import export_links
from reporting.selectors.movements import movements_chart, net_new


@dataclass(frozen=True, slots=True)
class GrowthPage:
    """Everything that the page shows; None parts mean that there are no figures yet."""

    freshness: Any
    period: Period | None
    tiles: list[dict[str, Any]]
    movements: dict[str, Any] | None
    rates: dict[str, Any] | None
    customers: dict[str, Any] | None
    notes: list[str]
    exports: list[dict[str, str]]
    """Files of MRR by customer and month; none for who sees no customers."""
    sample: bool = False


def growth_page(
    *, tenant: Tenant, query: Mapping[str, str], now: datetime, aggregates_only: bool = False
) -> GrowthPage:
    """The page of the tenant in scope; `aggregates_only` for readers who may see no more."""
    found = frame.published(aggregates_only=aggregates_only)
    freshness = frame.freshness_note(tenant, found, now=now, aggregates_only=aggregates_only)
    if found is None or not found.body["months"]:
        return GrowthPage(freshness, None, [], None, None, None, [], [])
    words = frame.words_for(tenant, found.body["currency"])
    months = found.body["months"]
    shown = frame.period(query, [month["month"] for month in months], words)
    rows = [month for month in months if shown.shows(month["month"])]
    files = reverse("customer_months", args=[tenant.slug])
    page = GrowthPage(
        freshness=freshness,
        period=shown,
        tiles=_tiles(tenant, found, words),
        movements=movements_chart(tenant, rows, words, table_shown=True),
        rates=_rates_chart(rows, words),
        customers=_customers_table(tenant, rows, words),
        notes=loading_notes(found, words),
        exports=[] if aggregates_only else export_links(lambda kind: f"{files}?format={kind}"),
    )
    return aggregates.linked_to_aggregates(page, tenant) if aggregates_only else page


def loading_notes(found: Published, words: Words) -> list[str]:
    """What a reader must know before trusting a figure: loading, left out, guessed."""
    notes = []
    if back_to := found.body["complete_back_to"]:
        notes.append(
            _("Still importing: complete back to %(month)s. “New” is provisional until then.")
            % {"month": words.month(back_to[:7], long=True)}
        )
    texts = {
        "connection_other_currency": _(
            "%(name)s keeps its books in %(currency)s and is left out of these figures."
        ),
        "connection_loading": _("%(name)s is still importing and is left out until it is whole."),
        "account_other_currency": _(
            "The bank account %(iban)s is in %(currency)s and is left out of cash."
        ),
        "credits_unmatched": _(
            "%(count)s credit notes match no invoice; each lowers one month from its date."
        ),
        "invoices_without_customer": _(
            "%(count)s invoices name no customer; they stand in no MRR."
        ),
        "negative_customers": _(
            "In %(count)s cases credits exceeded invoices; those customers count as 0."
        ),
    }
    # For readers of aggregates the notes say that something is left out, but not which account.
    unnamed = {"name": _("A connected account"), "iban": _("of the company")}
    notes += [texts[note["code"]] % {**unnamed, **note["params"]} for note in found.body["notes"]]
    return notes


def _tiles(tenant: Tenant, found: Published, words: Words) -> list[dict[str, Any]]:
    months = found.body["months"]
    complete = [month for month in months if month["complete"]]
    last = complete[-1] if complete else None
    before = complete[-2] if len(complete) > 1 else None
    if last is None:
        return []
    return [
        _net_new_tile(last, before, complete, words),
        _rate_tile(
            "gross-churn",
            _("Gross MRR churn"),
            last,
            before,
            complete,
            "gross_churn_ppm",
            words,
            good=False,
            definition=_("Recurring revenue lost in the month, of that at its start."),
            formula=_("(churn + contraction) ÷ MRR at the start"),
        ),
        _rate_tile(
            "net-churn",
            _("Net MRR churn"),
            last,
            before,
            complete,
            "net_churn_ppm",
            words,
            good=False,
            definition=_("Revenue lost less revenue gained from customers; below zero is growth."),
            formula=_("(churn + contraction − expansion − reactivation) ÷ MRR at the start"),
        ),
        _rate_tile(
            "grr",
            _("Gross revenue retention, 12 months"),
            last,
            before,
            complete,
            "grr_12_ppm",
            words,
            good=True,
            definition=_("What last year's customers still bring, growth left out."),
            formula=_("(start − contraction − churn) ÷ start, customer by customer"),
        ),
        _rate_tile(
            "nrr",
            _("Net revenue retention, 12 months"),
            last,
            before,
            complete,
            "nrr_12_ppm",
            words,
            good=True,
            definition=_("What last year's customers bring today, of what they brought then."),
            formula=_("their MRR now ÷ their MRR twelve months ago"),
        ),
        _quick_ratio_tile(last, complete, words),
    ]


def _net_new_tile(
    last: Month, before: Month | None, complete: list[Month], words: Words
) -> dict[str, Any]:
    net = net_new(last)
    return {
        "id": "net-new",
        "name": _("Net new MRR"),
        "value": words.money(net, signed=True),
        "url": "#movements-table-caption",
        "changes": frame.given(
            [
                frame.money_change(
                    words,
                    net,
                    net_new(before) if before else None,
                    against=_("on the month before"),
                )
            ]
        ),
        "points": [net_new(month) for month in complete[-24:]],
        "note": _("in %(month)s") % {"month": words.month(last["month"], long=True)},
        "definition": _("How much recurring revenue grew in the last complete month."),
        "formula": _("new + expansion + reactivation − contraction − churn"),
    }


def _quick_ratio_tile(last: Month, complete: list[Month], words: Words) -> dict[str, Any]:
    return {
        "id": "quick-ratio",
        "name": _("Quick ratio"),
        "value": words.ratio(last["quick_ratio_ppm"]),
        "reason": ""
        if last["quick_ratio_ppm"] is not None
        else _("Nothing was lost in the month, so there is nothing to divide by."),
        "points": [month["quick_ratio_ppm"] for month in complete[-24:]],
        "definition": _("Revenue gained, as a multiple of revenue lost."),
        "formula": _("(new + expansion + reactivation) ÷ (contraction + churn)"),
    }


def _rate_tile(
    tile_id: str,
    name: str,
    last: Month,
    before: Month | None,
    complete: list[Month],
    field: str,
    words: Words,
    *,
    good: bool,
    definition: str,
    formula: str,
) -> dict[str, Any]:
    value = last[field]  # type: ignore[literal-required]
    return {
        "id": tile_id,
        "name": name,
        "value": words.rate(value),
        "url": "#rates-table-caption" if value is not None else "",
        "reason": "" if value is not None else _("Needs recurring revenue at the start."),
        "changes": frame.given(
            [
                frame.rate_change(
                    words,
                    value,
                    before[field] if before else None,  # type: ignore[literal-required]
                    against=_("on the month before"),
                    more_is_good=good,
                )
            ]
        ),
        "points": [month[field] for month in complete[-24:]],  # type: ignore[literal-required]
        "definition": definition,
        "formula": formula,
    }


def _rates_chart(rows: list[Month], words: Words) -> dict[str, Any]:
    lines = [
        ("churn", _("Customer churn"), "customer_churn_ppm"),
        ("contraction", _("Gross MRR churn"), "gross_churn_ppm"),
        ("mrr", _("NRR, month"), "nrr_ppm"),
        ("new", _("NRR, 12 months"), "nrr_12_ppm"),
        ("expansion", _("GRR, 12 months"), "grr_12_ppm"),
    ]
    drawn = lines[:2]
    series = [
        {
            "kind": kind,
            "label": label,
            "values": [
                None if month[field] is None else month[field] / PPM  # type: ignore[literal-required]
                for month in rows
            ],
        }
        for kind, label, field in drawn
    ]
    table_rows = [
        {
            "label": label,
            "kind": kind,
            "line": True,
            "cells": [
                {
                    "text": words.rate(month[field]),  # type: ignore[literal-required]
                    "incomplete": not month["complete"],
                }
                for month in rows
            ],
        }
        for kind, label, field in lines
    ]
    head: list[Any] = [_("Rate")]
    head += [
        {"label": words.month(month["month"]), "incomplete": not month["complete"]}
        for month in rows
    ]
    return {
        "id": "rates",
        "type": "lines",
        "title": _("Churn and retention by month"),
        "summary": _("Customer churn and gross MRR churn for each month shown."),
        "data": {
            "labels": [words.month(month["month"]) for month in rows],
            "series": series,
            "incomplete": [i for i, month in enumerate(rows) if not month["complete"]],
            "incomplete_word": _("so far"),
            "format": {"style": "rate"},
        },
        "table_shown": True,
        "table": {
            "id": "rates-table",
            "caption": _("Churn and retention by month"),
            "months": True,
            "head": head,
            "rows": table_rows,
        },
    }


def _customers_table(tenant: Tenant, rows: list[Month], words: Words) -> dict[str, Any]:
    fields = [
        (_("At the start"), "customers_start", ""),
        (_("New"), "new_customers", "new-customers"),
        (_("Returned"), "reactivated_customers", "reactivation-customers"),
        (_("Left"), "churned_customers", "churn-customers"),
        (_("At month end"), "customers", "customers"),
    ]
    head: list[Any] = [_("Customers")]
    head += [
        {"label": words.month(month["month"]), "incomplete": not month["complete"]}
        for month in rows
    ]
    table = []
    for label, field, figure in fields:
        cells = []
        for month in rows:
            value: int = month[field]  # type: ignore[literal-required]
            url = behind(tenant, figure, month["month"]) if figure and value else ""
            cells.append(
                {"text": words.count(value), "url": url, "incomplete": not month["complete"]}
            )
        table.append({"label": label, "cells": cells, "sub": field == "customers_start"})
    table.append(
        {
            "label": _("MRR per customer, %(currency)s") % {"currency": words.currency},
            "cells": [
                {"text": words.amount(month["arpa_minor"]), "incomplete": not month["complete"]}
                for month in rows
            ],
        }
    )
    return {
        "id": "customers-table",
        "caption": _("Paying customers by month"),
        "months": True,
        "head": head,
        "rows": table,
    }
