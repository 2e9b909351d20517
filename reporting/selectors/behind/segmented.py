"""One segment's MRR, movements and customers: the lines and customers within it."""

from __future__ import annotations

from dataclasses import replace
from typing import cast

import numpy as np
from django.db.models import Q, QuerySet
from django.http import Http404
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from reporting import parts
from reporting.domain import rounding
from reporting.domain.arrays import as_int64
from reporting.domain.movements import SIGNS, Movements
from reporting.domain.mrr import CustomerMonths, Free, kept_free, month_table
from reporting.domain.segments import ADJUSTMENT, OTHER
from reporting.models import LineFigure, ReportPart, ReportSettings
from reporting.parts import Segment, SegmentMonth, Segments
from reporting.selectors.behind.growth import MOVEMENTS, mrr_lines
from reporting.selectors.behind.kinds import (
    Kind,
    Part,
    Question,
    column,
    customer_columns,
    customer_rows_by_id,
    shared,
)
from reporting.selectors.behind.tables import counted_from, line_spans, moved_between, paused
from reporting.selectors.movements import movement_names
from reporting.selectors.segments import segment_name

FIGURES = frozenset({"mrr", "customers", "fx", *MOVEMENTS})
# Where a line finds what it is grouped by.
_PATHS = {
    "product": "line__product__public_id",
    "product_group": "line__product__group",
    "customer_group": "customer__group",
    "country": "customer__country",
    "currency": "line__invoice__currency",
    "connection": "line__connection__public_id",
}


def segment_kind(asked: Question) -> Kind:
    """The figure of `?by=` a dimension and `key=` one of its segments; Http404 for no such one."""
    dimension, key = asked.query.get("by", ""), asked.query.get("key", "")
    if dimension not in _PATHS or asked.figure not in FIGURES:
        raise Http404
    part = ReportPart.objects.filter(name=f"{parts.SEGMENTS}.{dimension}").first()
    if part is None:
        raise Http404
    found = cast(Segments, part.body)
    segment = next((one for one in found["segments"] if one["key"] == key), None)
    if segment is None or asked.month not in found["months"]:
        raise Http404
    row = segment["months"][found["months"].index(asked.month)]
    title = _("%(segment)s: %(figure)s of %(month)s") % {
        "segment": segment_name(segment, found["dimension"], asked.words.language),
        "figure": {"customers": _("Customers"), **movement_names()}[asked.figure],
        **asked.said,
    }
    if key == ADJUSTMENT:
        return _lifted(asked, row, title)
    lines = _lines_of(dimension, segment, found)
    if asked.figure == "mrr":
        standing = lines.filter(from_month__lte=asked.index, to_month__gt=asked.index)
        return mrr_lines(asked, standing, row["mrr_minor"], title)
    amounts, total = _amounts(asked, lines, row)
    return Kind(
        title,
        _("Customers within the segment, by their lines in it."),
        shared(sorted(amounts, key=lambda pair: -abs(pair[1])), total),
        customer_columns(),
        customer_rows_by_id(asked),
        lambda n: ngettext("%d customer", "%d customers", n) % n,
        counts_rows=asked.figure == "customers",
    )


def _amounts(
    asked: Question, lines: QuerySet[LineFigure], row: SegmentMonth
) -> tuple[list[tuple[int, int]], int]:
    """The customers behind a figure of the segment, by id with an exact amount, and their sum."""
    table, moved = _measured(lines, asked.index, asked.words.currency)
    if asked.figure == "customers":
        amounts, chosen = table.mrr[:, -1], table.customer[:, -1]
        total = rounding.minor(int(amounts[amounts > 0].sum()))
    elif asked.figure == "fx":
        amounts, total = moved.fx[:, -1], row["fx_minor"]
        chosen = amounts != 0
    else:
        kind = MOVEMENTS[asked.figure]
        # A loss is published as a magnitude, and listed with its sign.
        total = row[f"{asked.figure}_minor"] * SIGNS.get(kind, 1)  # type: ignore[literal-required]
        amounts, chosen = moved.change[:, -1], moved.kind[:, -1] == kind
    pairs = zip(table.customers[chosen].tolist(), amounts[chosen].tolist(), strict=True)
    return list(pairs), total


def _lines_of(dimension: str, segment: Segment, found: Segments) -> QuerySet[LineFigure]:
    path = _PATHS[dimension]
    lines = LineFigure.objects.filter(counted=True)
    if segment["key"] == OTHER:
        named = [one["key"] for one in found["segments"] if one["key"] not in {OTHER, ADJUSTMENT}]
        blank = Q(**{f"{path}__isnull": True})
        keys = [key for key in named if key]
        lines = lines.filter(~Q(**{f"{path}__in": keys}) | blank)
        return lines.exclude(blank) if "" in named else lines
    if segment["key"]:
        return lines.filter(**{path: segment["key"]})
    unnamed = Q(**{f"{path}__isnull": True})
    if not path.endswith("public_id"):
        unnamed |= Q(**{path: ""})
    return lines.filter(unnamed)


def _measured(
    lines: QuerySet[LineFigure], index: int, currency: str
) -> tuple[CustomerMonths, Movements]:
    """The segment's customers up to the month, and what they did in it, as the engine has it."""
    lines = lines.filter(from_month__lte=index)
    customer, spans = line_spans(lines, currency)
    first = min([index, *spans.first.tolist()])
    months = np.arange(first, index + 1, dtype=np.int64)
    spans = counted_from(spans, first)
    table = month_table(np.unique(customer), customer, spans, months, floor=False)
    chosen = ReportSettings.objects.first() or ReportSettings()
    if chosen.free_plans == "kept":
        table = _with_free(table, lines, first)
    if chosen.pause_handling != "churn":
        table = replace(table, away=paused(table))
    return table, moved_between(table, index - 1, index, chosen)


def _with_free(table: CustomerMonths, lines: QuerySet[LineFigure], first: int) -> CustomerMonths:
    """The table with those who stay customers on plans made free."""
    rows = (
        lines.filter(Q(line__net_minor=0) | Q(reason="discount_row"))
        .exclude(line__invoice__is_credit=True)
        .values_list("customer_id", "from_month", "to_month")
    )
    found = as_int64(list(rows)).reshape(-1, 3)
    free = Free(row=np.arange(len(found)), first=found[:, 1] - first, after=found[:, 2] - first)
    return kept_free(table, table.customers, found[:, 0], free)


def _lifted(asked: Question, row: SegmentMonth, title: str) -> Kind:
    """What lifts customers to 0, and the cents by which segments are rounded apart."""
    if asked.figure != "mrr":
        raise Http404
    found = [one for one in asked.body["adjustments"] if one["month"] == asked.month]
    rest = row["mrr_minor"] - sum(rounding.minor(one["amount_e4"]) for one in found)
    pairs = [(one["name"], rounding.minor(one["amount_e4"])) for one in found]
    pairs += [(_("Cents lost in rounding"), rest)] if rest else []
    return Kind(
        title,
        _("Customers whose credits exceed their invoices count as 0."),
        [Part(name, minor) for name, minor in pairs],
        [column("customer", _("Customer"))],
        lambda shown: ((part.key, [], "") for part in shown),
        lambda n: ngettext("%d row", "%d rows", n) % n,
    )
