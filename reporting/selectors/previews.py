"""What a change would do to MRR, in words: now, the month that changes most, and each of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from calqsync.tenancy.models import Tenant
from reporting import feed
from reporting.domain import rounding
from reporting.models import Report
from reporting.selectors import frame
from reporting.selectors.frame import Words

MOST_CUSTOMERS = 50


@dataclass(frozen=True, slots=True)
class PreviewPage:
    """The page that stands before a change is saved; all amounts in the reporting currency."""

    facts: list[dict[str, Any]]
    estimate: str
    """Why it is not the whole effect; "" where it is."""
    months: dict[str, Any] | None
    customers: dict[str, Any] | None


def preview_page(*, tenant: Tenant, preview: Any) -> PreviewPage:
    """The tenant's months with and without a change (`services.Preview`)."""
    words = frame.words_for(tenant)
    totals = _totals()
    return PreviewPage(
        facts=_facts(preview, totals, words),
        estimate=_estimate(preview, words),
        months=_months(preview, totals, words),
        customers=_customers(tenant, preview, words),
    )


def _totals() -> Mapping[int, int]:
    """The published MRR of each month, by the month's number, in 1/10 000 of a minor unit."""
    body = Report.objects.values_list("body", flat=True).first() or {"months": []}
    return {frame.month_index(row["month"]): row["mrr_e4"] for row in body["months"]}


def _facts(preview: Any, totals: Mapping[int, int], words: Words) -> list[dict[str, Any]]:
    before, after = preview.now
    total = totals[max(totals)] if totals else before
    facts = [_changed(_("MRR now"), total, after - before, words)]
    if preview.worst is not None:
        month, was, becomes = preview.worst
        name = words.month(frame.month_text(month), long=True)
        term = _("Changes most: %(month)s") % {"month": name}
        facts.append(_changed(term, totals.get(month, was), becomes - was, words))
    moved = sum(was != becomes for _month, was, becomes in preview.months)
    facts.append({"term": _("Months that change"), "text": words.count(moved), "num": True})
    count = words.count(len(preview.customers))
    facts.append({"term": _("Customers that change"), "text": count, "num": True})
    return facts


def _changed(term: str, total: int, by: int, words: Words) -> dict[str, Any]:
    """A total before and after, rounded as the pages round totals."""
    was, becomes = rounding.minor(total), rounding.minor(total + by)
    return {
        "term": term,
        "text": f"{words.money(was, cents=True)} → {words.money(becomes, cents=True)}",
        "hint": words.money(becomes - was, cents=True, signed=True)
        if becomes != was
        else _("no change"),
        "num": True,
    }


def _estimate(preview: Any, words: Words) -> str:
    if preview.whole:
        return ""
    return _(
        "It concerns %(all)s customers. This is what it does to those with the most MRR; the"
        " others follow when it is saved."
    ) % {"all": words.count(preview.concerned)}


def _months(preview: Any, totals: Mapping[int, int], words: Words) -> dict[str, Any] | None:
    rows = []
    for month, was, becomes in reversed(preview.months):
        total = totals.get(month)
        if total is None or was == becomes:
            continue
        before, after = rounding.minor(total), rounding.minor(total + becomes - was)
        rows.append(
            {
                "label": words.month(frame.month_text(month)),
                "cells": [
                    words.amount(before),
                    words.amount(after),
                    words.amount(after - before, signed=True),
                ],
            }
        )
    if not rows:
        return None
    return {
        "id": "months",
        "caption": _("MRR by month"),
        "currency": words.currency,
        "note": _("Only months that change, newest first"),
        "head": [_("Month"), _("Today"), _("Then"), _("Change")],
        "rows": rows,
    }


def _customers(tenant: Tenant, preview: Any, words: Words) -> dict[str, Any] | None:
    if not preview.customers:
        return None
    shown = preview.customers[:MOST_CUSTOMERS]
    names = feed.customer_names([customer for customer, _was, _becomes in shown])
    rows = []
    for customer, was, becomes in shown:
        if customer not in names:
            continue
        before, after = rounding.minor(was), rounding.minor(becomes)
        rows.append(
            {
                "label": names[customer].name,
                "url": reverse("customer", args=[tenant.slug, names[customer].public_id]),
                "cells": [
                    words.amount(before),
                    words.amount(after),
                    words.amount(after - before, signed=True),
                ],
            }
        )
    more = len(preview.customers) - len(shown)
    note = ngettext("and %d more", "and %d more", more) % more if more else ""
    return {
        "id": "customers",
        "caption": _("Customers that change"),
        "currency": words.currency,
        "note": note or _("Their MRR now; some change in past months only"),
        "head": [_("Customer"), _("Today"), _("Then"), _("Change")],
        "rows": rows,
    }
