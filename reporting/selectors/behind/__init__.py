"""The documents behind one figure: their amounts add up to it, to the cent."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from django.core.paginator import Paginator
from django.http import Http404
from django.utils.translation import gettext as _

from calqsync.tenancy.models import Tenant
from reporting.body import Body
from reporting.selectors import frame
from reporting.selectors.behind import growth, money
from reporting.selectors.behind.kinds import Kind
from reporting.selectors.frame import Words

PAGE = 50
_SNAPSHOTS = {"mrr": growth.mrr, "arr": growth.arr, "customers": growth.customers}
_MOVEMENTS = {"new", "reactivation", "expansion", "contraction", "churn", "fx"}
_REVENUE = {"revenue", "recurring", "non_recurring"}
_CASH = {"money_in", "money_out", "burn", "financing", "own_transfers"}


@dataclass(frozen=True, slots=True)
class BehindPage:
    title: str
    figure: str
    lead: str
    listing: dict[str, Any]


def behind_page(*, tenant: Tenant, figure: str, month: str, page: str | None) -> BehindPage:
    """What makes up `figure` in `month`; raises Http404 for a figure or month there is not."""
    found = frame.published()
    if found is None:
        raise Http404
    try:
        index = frame.month_index(month)
    except ValueError:
        raise Http404 from None
    words = frame.words_for(tenant, found.body["currency"])
    kind = _kind(tenant, figure, month, index, found.body, words)
    shown = Paginator(kind.parts, PAGE).get_page(page)
    total = sum(part.minor for part in kind.parts)
    rows = [
        {"url": url, "cells": [first, *cells, words.amount(part.minor)]}
        for part, (first, cells, url) in zip(
            shown.object_list, kind.rows(list(shown.object_list)), strict=True
        )
    ]
    blanks = [""] * (len(kind.columns) - 1)
    listing = {
        "caption": kind.title,
        "currency": words.currency,
        "columns": [
            *kind.columns,
            {"key": "amount", "label": _("Amount"), "numeric": True},
        ],
        "rows": rows,
        "total": {"label": _("Sum"), "cells": [*blanks, words.amount(total)]},
        "count_text": kind.unit(len(kind.parts)),
        "page": shown,
        "empty": {"title": _("Nothing behind this figure"), "text": _("It is zero.")},
    }
    headline = words.count(len(kind.parts)) if kind.counts_rows else words.money(total, cents=True)
    return BehindPage(kind.title, headline, kind.lead, listing)


def _kind(tenant: Tenant, figure: str, month: str, index: int, body: Body, words: Words) -> Kind:
    month_name = words.month(month, long=True)
    if figure in _SNAPSHOTS:
        return _SNAPSHOTS[figure](tenant, month_name, month, index, body, words)
    if figure in _MOVEMENTS:
        return growth.movement(tenant, figure, month_name, month, index, body, words)
    if (counted := figure.removesuffix("-customers")) in _MOVEMENTS and counted != figure:
        made = growth.movement(tenant, counted, month_name, month, index, body, words)
        return replace(made, counts_rows=True)
    if figure in _REVENUE:
        return money.revenue_kind(tenant, figure, month_name, month, words)
    if figure == "open" or figure.startswith(("open-", "expected-")):
        return money.open_kind(tenant, figure, body, words)
    if figure in _CASH:
        return money.cash_kind(figure, month_name, index, words)
    raise Http404
