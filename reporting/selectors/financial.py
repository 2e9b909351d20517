"""The Financial Reporting Dashboard: six tiles, revenue by month, top customers, receivables."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.urls import reverse
from django.utils.translation import gettext as _

from calqsync.tenancy.models import Tenant
from reporting.body import Body
from reporting.selectors import aggregates, frame, sample, tiles
from reporting.selectors.frame import Period, Words, behind
from reporting.selectors.months import Months, Row
from reporting.selectors.notes import loading_notes


@dataclass(frozen=True, slots=True)
class FinancialPage:
    """Everything that the page shows; `sample` when the figures are not the company's own."""

    freshness: Any
    period: Period | None
    tiles: list[dict[str, Any]]
    revenue: dict[str, Any] | None
    top_customers: dict[str, Any] | None
    receivables: dict[str, Any] | None
    notes: list[str]
    sample: bool


def financial_page(
    *, tenant: Tenant, query: Mapping[str, str], now: datetime, aggregates_only: bool = False
) -> FinancialPage:
    """The page of the tenant in scope; `aggregates_only` for readers who may see no more."""
    found = frame.published(aggregates_only=aggregates_only, query=query)
    freshness = frame.freshness_note(tenant, found, now=now, aggregates_only=aggregates_only)
    is_sample = found is None or not found.body["revenue"]
    shown_report = sample.published(tenant, today=now.date()) if is_sample else found
    assert shown_report is not None
    body = aggregates.body_of(shown_report.body) if aggregates_only else shown_report.body
    words = frame.words_for(tenant, body["currency"])
    shown = frame.period(query, [row["month"] for row in body["revenue"]], words)
    revenue = Months(
        tenant=tenant,
        words=words,
        rows=[row for row in body["revenue"] if shown.shows(row["month"])],
        known=body["revenue"],
        compare=shown.comparison,
    )
    page = FinancialPage(
        freshness=freshness,
        period=None if is_sample else shown,
        tiles=tiles.tiles(tenant, shown_report, words),
        revenue=_revenue_chart(revenue),
        top_customers=_top_customers(tenant, body, words),
        receivables=receivables_by_age(tenant, body, words),
        notes=[] if is_sample else loading_notes(shown_report, words),
        sample=is_sample,
    )
    if is_sample:
        return aggregates.without_links(page)
    return aggregates.linked_to_aggregates(page, tenant) if aggregates_only else page


def revenue_rows() -> list[Row]:
    """Net invoiced in a month: its parts, and the sum of them."""
    return [
        Row(
            label=_("Recurring"),
            field="recurring_minor",
            kind="revenue",
            figure="recurring",
        ),
        Row(
            label=_("One-off and usage"),
            field="non_recurring_minor",
            kind="other",
            figure="non_recurring",
        ),
        Row(
            label=_("Invoiced, net"),
            field=_invoiced,
            figure="revenue",
            total=True,
            compared=True,
        ),
    ]


def _invoiced(month: Any) -> int:
    return int(month["recurring_minor"] + month["non_recurring_minor"])


def _revenue_chart(months: Months) -> dict[str, Any] | None:
    if not months.rows:
        return None
    rows, words = revenue_rows(), months.words
    return months.chart(
        id="revenue",
        type="bars",
        title=_("Revenue by month"),
        note=_("Invoiced, without VAT, credit notes taken off"),
        summary=_("%(total)s invoiced from %(first)s to %(last)s.")
        % {
            "total": words.money(sum(_invoiced(month) for month in months.rows)),
            "first": months.heading(months.rows[0]),
            "last": months.heading(months.rows[-1]),
        },
        rows=rows[:2],
        data_stacked=True,
        table=months.table(
            id="revenue-table",
            caption=_("Revenue by month"),
            what=_("Revenue"),
            rows=rows,
        ),
    )


def _top_customers(tenant: Tenant, body: Body, words: Words) -> dict[str, Any] | None:
    rows = body["top_customers"]
    if not rows:
        return None
    largest = max(max(row["invoiced_minor"] for row in rows), 1)
    return {
        "id": "top-customers",
        "title": _("Top customers, last 12 months"),
        "what": _("Customer"),
        "measure": _("Net invoiced"),
        "currency": words.currency,
        "kind": "revenue",
        "rows": [
            {
                "label": row["name"],
                "url": reverse("customer", args=[tenant.slug, row["customer"]]),
                "value": words.amount(row["invoiced_minor"]),
                "value_url": behind(tenant, f"bought-{row['customer']}", body["as_of"][:7]),
                "sub": words.rate(row["share_ppm"]),
                "percent": max(0, row["invoiced_minor"] * 100 // largest),
            }
            for row in rows
        ],
        "url": reverse("customers", args=[tenant.slug]) + "?sort=-invoiced",
        "url_text": _("All customers"),
    }


def age_names() -> dict[str, str]:
    return {
        "not_due": _("Not yet due"),
        "up_to_30": _("1 to 30 days late"),
        "up_to_60": _("31 to 60 days late"),
        "up_to_90": _("61 to 90 days late"),
        "over_90": _("Over 90 days late"),
    }


def receivables_by_age(tenant: Tenant, body: Body, words: Words) -> dict[str, Any] | None:
    """Open invoices, VAT included, by how late they are; the parts add up to the total."""
    found = body["receivables"]
    if not found["invoices"]:
        return None
    names = age_names()
    largest = max(max(age["minor"] for age in found["ages"]), 1)
    as_of = body["as_of"][:7]
    return {
        "id": "receivables",
        "title": _("Open receivables by age"),
        "what": _("Days late"),
        "measure": _("Open, VAT included"),
        "currency": words.currency,
        "kind": "cash",
        "rows": [
            {
                "label": names[age["age"]],
                "url": behind(tenant, f"open-{age['age']}", as_of),
                "value": words.amount(age["minor"]),
                "percent": max(0, age["minor"] * 100 // largest),
            }
            for age in found["ages"]
        ],
        "total": {
            "label": _("All open"),
            "value": words.amount(found["total_minor"]),
            "url": behind(tenant, "open", as_of),
        },
    }
