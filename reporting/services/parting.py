"""The parts of a report that only some pages read, composed of the same sums as its body."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from integrations.models import Connection, Product
from reporting.body import Month
from reporting.domain.cohorts import cohorts
from reporting.domain.economics import economics
from reporting.domain.growth import GrowthSums, Period, periods, summed
from reporting.domain.recognition import recognised_months
from reporting.domain.refunds import refund_months
from reporting.domain.segments import SegmentSums, segments
from reporting.feed import Books
from reporting.models import AcquisitionCost
from reporting.parts import (
    COHORTS,
    DIMENSIONS,
    ECONOMICS,
    QUARTERS,
    RECOGNITION,
    REFUNDS,
    YEARS,
    Dimension,
    View,
    segments_by,
)
from reporting.services.composing import Made, known_from, month_row


def parts(books: Books, made: Made) -> dict[str, Any]:
    """Every part by its name; none while there is no invoice line.

    Reads what winning customers cost, and the names of products.
    """
    if not made.used:
        return {}
    totals, calendar, since = made.totals, made.calendar, known_from(books)
    costs = dict(AcquisitionCost.objects.values_list("month", "amount_minor"))
    found: dict[str, Any] = {
        QUARTERS: _view(made, totals.quarters, 3, since),
        YEARS: _view(made, totals.years, 12, since),
        COHORTS: cohorts(totals.cohorts, calendar, since),
        RECOGNITION: {
            "monthly": recognised_months(totals.by_month, calendar, since),
            "daily": recognised_months(totals.by_day, calendar, since),
        },
        ECONOMICS: economics(made.months, totals.first_invoices, costs, books.settings, since),
        REFUNDS: {"months": refund_months(totals.refunds, calendar, since)},
    }
    for dimension in DIMENSIONS:
        sums = totals.segments.by[dimension]
        names = _names(dimension, sums)
        found[segments_by(dimension)] = segments(sums, calendar.months, dimension, names, since)
    return found


def _view(made: Made, sums: GrowthSums, length: int, since: int) -> View:
    totals, calendar = made.totals, made.calendar
    return {
        "reclassified": _rows(made, periods(sums, totals.trailing, calendar, length), since),
        "summed": _rows(
            made, summed(totals.monthly, sums, totals.trailing, calendar, length), since
        ),
    }


def _rows(made: Made, found: tuple[Period, ...], since: int) -> list[Month]:
    first = int(made.calendar.months[0])
    return [
        month_row(period, made.totals, period.last_month - first)
        for period in found
        if period.last_month >= since
    ]


def _names(dimension: Dimension, sums: SegmentSums) -> Mapping[str, tuple[str, str]] | None:
    """Public ids and names of products or connections; the other keys are names already."""
    if dimension not in ("product", "connection"):
        return None
    model: Any = Product if dimension == "product" else Connection
    rows = model.objects.filter(pk__in=[int(key) for key in sums.keys if key])
    return {
        str(pk): (str(public), name)
        for pk, public, name in rows.values_list("pk", "public_id", "name")
    }
