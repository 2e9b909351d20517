"""The documents behind one figure: their amounts add up to it, to the cent."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from django.core.paginator import Paginator
from django.http import Http404
from django.utils.translation import gettext as _

from calqsync.tenancy.models import Tenant
from reporting.body import Body
from reporting.selectors import frame
from reporting.selectors.behind import (
    arrivals,
    changes,
    contracted,
    growth,
    inputs,
    money,
    rates,
    recognised,
    segmented,
)
from reporting.selectors.behind.kinds import Kind
from reporting.selectors.behind.steps import stretch
from reporting.selectors.frame import Words

PAGE = 50
_SNAPSHOTS = {"mrr": growth.mrr, "arr": growth.arr, "customers": growth.customers}
_MOVEMENTS = {*growth.MOVEMENTS, "fx"}
_REVENUE = {"revenue", "recurring", "non_recurring"}
_CASH = {"money_in", "money_out", "burn", "financing", "own_transfers"}
_BALANCES = {"balance", "opening", "unexplained"}


@dataclass(frozen=True, slots=True)
class BehindPage:
    title: str
    figure: str
    lead: str
    links: tuple[tuple[str, str], ...]
    listing: dict[str, Any]


def behind_page(*, tenant: Tenant, figure: str, month: str, query: Mapping[str, str]) -> BehindPage:
    """What makes up `figure` in `month`; raises Http404 for a figure or month there is not.

    The `query` has the page, and may narrow the figure to a segment: `by` and `key`. With `view`
    and `way` the figure is that of the quarter or year of which `month` is the last.
    """
    found = frame.published()
    if found is None:
        raise Http404
    try:
        index = frame.month_index(month)
    except ValueError:
        raise Http404 from None
    words = frame.words_for(tenant, found.body["currency"])
    if "by" in query:
        kind = segmented.segment_kind(tenant, figure, month, index, found.body, words, query)
    else:
        kind = _kind(tenant, figure, month, index, found.body, words, query)
    shown = Paginator(kind.parts, PAGE).get_page(query.get("page"))
    total = sum(part.minor for part in kind.parts)
    rows = [
        {
            "url": url,
            "cells": [first, *cells, *([words.amount(part.minor)] if kind.adds_up else [])],
        }
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
            *([{"key": "amount", "label": _("Amount"), "numeric": True}] if kind.adds_up else []),
        ],
        "rows": rows,
        "total": {"label": _("Sum"), "cells": [*blanks, words.amount(total)]}
        if kind.adds_up
        else None,
        "count_text": kind.unit(len(kind.parts)),
        "page": shown,
        "empty": {"title": _("Nothing behind this figure"), "text": _("It is zero.")},
    }
    figure_words = words.money(total, cents=True)
    if kind.counts_rows:
        figure_words = words.count(len(kind.parts))
    return BehindPage(kind.title, kind.headline or figure_words, kind.lead, kind.links, listing)


def _kind(
    tenant: Tenant,
    figure: str,
    month: str,
    index: int,
    body: Body,
    words: Words,
    query: Mapping[str, str] | None = None,
) -> Kind:
    month_name = words.month(month, long=True)
    if figure in _SNAPSHOTS:
        return _SNAPSHOTS[figure](tenant, month_name, month, index, body, words)
    counted = figure.removesuffix("-customers")
    if counted in _MOVEMENTS:
        found = stretch(month, index, body, words, query)
        made = growth.movement(tenant, counted, found, words)
        if figure == "paused-customers":
            # Who resumed stands in the list too, and is taken off the number.
            return replace(made, headline=words.count(found.row["paused_customers"]))
        return replace(made, counts_rows=counted != figure)
    if figure in rates.FIGURES:
        return rates.rate_kind(tenant, figure, stretch(month, index, body, words, query), words)
    if figure in _REVENUE:
        return money.revenue_kind(tenant, figure, month_name, month, words)
    if figure == "open" or figure.startswith(("open-", "expected-")):
        return money.open_kind(tenant, figure, body, words)
    if figure in _CASH:
        return money.cash_kind(figure, month_name, index, words)
    return _further(tenant, figure, month, index, body, words)


def _further(tenant: Tenant, figure: str, month: str, index: int, body: Body, words: Words) -> Kind:
    month_name = words.month(month, long=True)
    if figure in contracted.FIGURES:
        return contracted.contracted_kind(tenant, figure, month, index, body, words)
    if figure in inputs.FIGURES:
        return inputs.inputs_kind(tenant, figure, month, index, body, words)
    if figure in _BALANCES:
        return money.balance_kind(tenant, figure, month, index, body, words)
    if figure in recognised.FIGURES:
        return recognised.recognised_kind(tenant, figure, month, index, body, words)
    if figure in money.REFUNDS:
        return money.refund_kind(tenant, figure, month_name, month, body, words)
    if figure == "asp":
        return arrivals.first_invoices_kind(tenant, month, index, words)
    if figure.startswith(arrivals.COHORT):
        return arrivals.cohort_kind(tenant, figure, month, index, words)
    if figure.startswith(changes.CHANGE):
        named = figure.removeprefix(changes.CHANGE)
        return changes.change_kind(tenant, named, month, index, body, words)
    if figure.startswith(money.ACCOUNT):
        return money.account_kind(tenant, figure.removeprefix(money.ACCOUNT), body, words)
    if figure.startswith(money.BOUGHT):
        return money.bought_kind(tenant, figure.removeprefix(money.BOUGHT), body, words)
    raise Http404
