"""One segment's MRR, movements and customers: the lines and customers within it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, cast

import numpy as np
from django.db.models import Q, QuerySet
from django.http import Http404
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from calqsync.tenancy.models import Tenant
from reporting import parts
from reporting.body import Body
from reporting.domain import rounding
from reporting.domain.arrays import as_int64
from reporting.domain.movements import SIGNS, Movements
from reporting.domain.mrr import CustomerMonths, Free, kept_free, month_table
from reporting.domain.segments import ADJUSTMENT, OTHER
from reporting.models import LineFigure, ReportPart, ReportSettings
from reporting.parts import Segment, Segments
from reporting.selectors.behind.growth import MOVEMENTS, mrr_lines
from reporting.selectors.behind.kinds import Kind, Part, column, customer_rows_by_id
from reporting.selectors.behind.tables import counted_from, line_spans, moved_between, paused
from reporting.selectors.frame import Words

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


def segment_kind(
    tenant: Tenant,
    figure: str,
    month: str,
    index: int,
    body: Body,
    words: Words,
    address: Mapping[str, str],
) -> Kind:
    """The figure of `?by=` a dimension and `key=` one of its segments; Http404 for no such one."""
    dimension, key = address.get("by", ""), address.get("key", "")
    if dimension not in _PATHS or figure not in FIGURES:
        raise Http404
    part = ReportPart.objects.filter(name=f"{parts.SEGMENTS}.{dimension}").first()
    if part is None:
        raise Http404
    found = cast(Segments, part.body)
    segment = next((one for one in found["segments"] if one["key"] == key), None)
    if segment is None or month not in found["months"]:
        raise Http404
    row = segment["months"][found["months"].index(month)]
    title = _("%(segment)s, %(month)s") % {
        "segment": segment["name"] or _("Without one"),
        "month": words.month(month, long=True),
    }
    if key == ADJUSTMENT:
        return _lifted(title, row, figure, month, body)
    lines = _lines_of(dimension, segment, found)
    if figure == "mrr":
        standing = lines.filter(from_month__lte=index, to_month__gt=index).exclude(mrr_e4=0)
        return mrr_lines(tenant, standing, row["mrr_minor"], title, words)
    table, moved = _measured(lines, index, words.currency)
    if figure == "customers":
        amounts = table.mrr[:, -1] if len(table.mrr) else as_int64([])
        total = rounding.minor(int(amounts[amounts > 0].sum()))
        rows = np.flatnonzero(table.customer[:, -1]) if len(table.mrr) else as_int64([])
    elif figure == "fx":
        amounts, total = moved.fx[:, -1], row["fx_minor"]
        rows = np.flatnonzero(amounts)
    else:
        kind = MOVEMENTS[figure]
        # A loss is published as a magnitude, and listed with its sign.
        total = row[f"{figure}_minor"] * SIGNS.get(kind, 1)  # type: ignore[literal-required]
        amounts = moved.change[:, -1]
        rows = np.flatnonzero(moved.kind[:, -1] == kind)
    rows = rows[np.argsort(-np.abs(amounts[rows]), kind="stable")]
    shares = rounding.share_out(amounts[rows], total)
    return Kind(
        title,
        _("Customers within the segment, by their lines in it."),
        [
            Part(customer, minor)
            for customer, minor in zip(table.customers[rows].tolist(), shares.tolist(), strict=True)
        ],
        [column("customer", _("Customer")), column("business_id", _("Business id"))],
        customer_rows_by_id(tenant),
        lambda n: ngettext("%d customer", "%d customers", n) % n,
        counts_rows=figure == "customers",
    )


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


def _lifted(title: str, row: Any, figure: str, month: str, body: Body) -> Kind:
    """What lifts customers to 0, and the cents by which segments are rounded apart."""
    if figure != "mrr":
        raise Http404
    found = [one for one in body["adjustments"] if one["month"] == month]
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
