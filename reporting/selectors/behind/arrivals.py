"""Cohorts, and the first invoices of a month's new customers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.http import Http404
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from reporting.domain import rounding
from reporting.domain.movements import Movement
from reporting.models import CustomerFigure, LineFigure
from reporting.selectors import frame
from reporting.selectors.behind.kinds import (
    Kind,
    Part,
    Question,
    customer_columns,
    customer_rows,
    invoice_columns,
    invoice_rows,
)
from reporting.selectors.frame import PPM, Words

COHORT = "cohort-"
_CUSTOMERS = "-customers"


def cohort_kind(asked: Question) -> Kind:
    """Customers whose first MRR is in the cohort's month, with what they bring in the month."""
    figure, index, words = asked.figure, asked.index, asked.words
    counts = figure.endswith(_CUSTOMERS)
    name = figure.removeprefix(COHORT).removesuffix(_CUSTOMERS)
    try:
        born = frame.month_index(name)
    except ValueError:
        raise Http404 from None
    found, start = [], []
    for pk, first, mrr in CustomerFigure.objects.filter(first_month__lte=born).values_list(
        "pk", "first_month", "mrr_e4"
    ):
        began = next((first + i for i, e4 in enumerate(mrr) if e4 > 0), None)
        if began != born:
            continue
        start.append(mrr[born - first])
        if 0 <= index - first < len(mrr) and mrr[index - first] > 0:
            found.append((pk, mrr[index - first]))
    found.sort(key=lambda pair: (-pair[1], pair[0]))
    shares = rounding.list_minor([e4 for _pk, e4 in found])
    return Kind(
        _("Customers since %(cohort)s, in %(month)s")
        % {"cohort": words.month(name, long=True), **asked.said},
        _(
            "Customers whose first recurring revenue is in that month:"
            " %(kept)s of %(base)s, %(rate)s."
        )
        % _kept(counts, [e4 for _pk, e4 in found], start, words),
        [Part(pk, int(share)) for (pk, _e4), share in zip(found, shares, strict=True)],
        customer_columns(),
        customer_rows(asked),
        lambda n: ngettext("%d customer", "%d customers", n) % n,
        counts_rows=counts,
    )


def _kept(counts: bool, now: Sequence[int], start: Sequence[int], words: Words) -> dict[str, str]:
    """What is left of a cohort, of what it began with, and the rate of both as the page has it."""
    if counts:
        kept, base = len(now), len(start)
        said = words.count(kept), words.count(base)
    else:
        kept, base = rounding.minor(sum(now)), rounding.minor(sum(start))
        said = words.money(kept, cents=True), words.money(base, cents=True)
    rate = (kept * PPM * 2 + base) // (base * 2) if base else None
    return {"kept": said[0], "base": said[1], "rate": words.rate(rate)}


def first_invoices_kind(asked: Question) -> Kind:
    """What the first invoice of each new customer of the month asks for subscriptions."""
    index, words = asked.index, asked.words
    new = _new_customers(index)
    chosen: dict[int, tuple[Any, int]] = {}
    sums: dict[int, int] = {}
    lines = (
        LineFigure.objects.filter(customer__in=new, counted=True, from_month=index)
        .filter(to_month__gt=index, line__net_acc_minor__gt=0)
        .exclude(mrr_e4=0)
        .order_by("line__invoice__date", "line__invoice_id")
        .values_list("customer_id", "line__invoice_id", "line__net_acc_minor")
    )
    for customer, invoice, minor in lines:
        first, _sum = chosen.setdefault(customer, (invoice, 0))
        if first == invoice:
            sums[invoice] = sums.get(invoice, 0) + minor
    parts = [Part(invoice, minor) for invoice, minor in sums.items()]
    parts.sort(key=lambda part: (-part.minor, part.key))
    average = (2 * sum(sums.values()) + len(new)) // (2 * len(new)) if new else 0
    return Kind(
        _("First invoices of new customers, %(month)s") % asked.said,
        _("Subscription lines of each new customer's first invoice; shared by %(count)s customers.")
        % {"count": words.count(len(new))},
        parts,
        invoice_columns(),
        invoice_rows(asked),
        lambda n: ngettext("%d invoice", "%d invoices", n) % n,
        headline=words.money(average, cents=True) if new else "",
    )


def _new_customers(index: int) -> Sequence[int]:
    found = []
    for customer, first, moves in CustomerFigure.objects.filter(first_month__lte=index).values_list(
        "customer_id", "first_month", "moves"
    ):
        place = index - first
        if place < len(moves) and moves[place] == Movement.NEW:
            found.append(customer)
    return found
