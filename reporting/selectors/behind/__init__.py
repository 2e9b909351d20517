"""The documents behind one figure: their amounts add up to it, to the cent."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from django.core.paginator import Page, Paginator
from django.http import Http404
from django.utils.translation import gettext as _

from calqsync.tenancy.models import Tenant
from reporting.selectors import frame
from reporting.selectors.behind import (
    arrivals,
    cash,
    changes,
    contracted,
    growth,
    inputs,
    rates,
    recognised,
    revenue,
    segmented,
)
from reporting.selectors.behind.kinds import Kind, Part, Question
from reporting.selectors.frame import Words

PAGE = 50
_KINDS: dict[str, Callable[[Question], Kind]] = {
    "mrr": growth.mrr,
    "arr": growth.arr,
    "customers": growth.customers,
    "asp": arrivals.first_invoices_kind,
    "open": revenue.open_kind,
    **dict.fromkeys(growth.MOVED, growth.movement_kind),
    **dict.fromkeys(rates.FIGURES, rates.rate_kind),
    **dict.fromkeys(contracted.FIGURES, contracted.contracted_kind),
    **dict.fromkeys(inputs.FIGURES, inputs.inputs_kind),
    **dict.fromkeys(recognised.FIGURES, recognised.recognised_kind),
    **dict.fromkeys(revenue.REVENUE, revenue.revenue_kind),
    **dict.fromkeys(revenue.REFUNDS, revenue.refund_kind),
    **dict.fromkeys(cash.FLOWS, cash.flow_kind),
    **dict.fromkeys(cash.BALANCES, cash.balance_kind),
}
# Figures whose name ends with what they are of: an age, a cohort, a customer, an account.
_KINDS_OF: dict[str, Callable[[Question], Kind]] = {
    "open-": revenue.open_kind,
    "expected-": revenue.open_kind,
    revenue.BOUGHT: revenue.bought_kind,
    arrivals.COHORT: arrivals.cohort_kind,
    changes.CHANGE: changes.change_kind,
    cash.ACCOUNT: cash.account_kind,
}


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
        frame.month_index(month)
    except ValueError:
        raise Http404 from None
    words = frame.words_for(tenant, found.body["currency"])
    kind = kind_of(
        Question(
            tenant=tenant, figure=figure, month=month, body=found.body, words=words, query=query
        )
    )
    shown = Paginator(kind.parts, PAGE).get_page(query.get("page"))
    total = sum(part.minor for part in kind.parts)
    figure_words = words.money(total, cents=True)
    if kind.counts_rows:
        figure_words = words.count(len(kind.parts))
    listing = _listing(kind, shown, total, words)
    return BehindPage(kind.title, kind.headline or figure_words, kind.lead, kind.links, listing)


def kind_of(asked: Question) -> Kind:
    """How the figure is taken apart; raises Http404 for one there is not."""
    if "by" in asked.query:
        return segmented.segment_kind(asked)
    made = _KINDS.get(asked.figure)
    if made is None:
        told = (made for start, made in _KINDS_OF.items() if asked.figure.startswith(start))
        made = next(told, None)
    if made is None:
        raise Http404
    return made(asked)


def _listing(kind: Kind, shown: Page[Part], total: int, words: Words) -> dict[str, Any]:
    """The table of the parts on one page, with the sum of all where they add up."""
    amount = {"key": "amount", "label": _("Amount"), "numeric": True}
    blanks = [""] * (len(kind.columns) - 1)
    parts = list(shown.object_list)
    rows = [
        {
            "url": url,
            "cells": [first, *cells, *([words.amount(part.minor)] if kind.adds_up else [])],
        }
        for part, (first, cells, url) in zip(parts, kind.rows(parts), strict=True)
    ]
    return {
        "caption": kind.title,
        "currency": words.currency,
        "columns": [*kind.columns, *([amount] if kind.adds_up else [])],
        "rows": rows,
        "total": {"label": _("Sum"), "cells": [*blanks, words.amount(total)]}
        if kind.adds_up
        else None,
        "count_text": kind.unit(len(kind.parts)),
        "page": shown,
        "empty": {"title": _("Nothing behind this figure"), "text": _("It is zero.")},
    }
