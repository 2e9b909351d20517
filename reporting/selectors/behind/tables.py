"""The engine's tables of customers and months, put together again from stored figures.

With them a selector asks `domain.movements` what customers did between any two snapshots.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from fractions import Fraction

import numpy as np
from django.db.models import Q, QuerySet

from reporting.domain.arrays import Flags, Ints, as_int64
from reporting.domain.metrics import rounded
from reporting.domain.movements import Movement, Movements, movements
from reporting.domain.mrr import CustomerMonths, Spans, month_table
from reporting.domain.rounding import E4
from reporting.models import CustomerFigure, LineFigure, ReportSettings


def customers_table(before: int, index: int, currency: str) -> tuple[list[int], CustomerMonths]:
    """The tenant's customers up to month `index`, and each row's id of `CustomerFigure`.

    What stands in other currencies than `currency` is told for the months `before` and `index`
    alone. The table begins with the month `before` or earlier.
    """
    found = [
        row
        for row in CustomerFigure.objects.filter(first_month__lte=index)
        .order_by("customer_id")
        .values_list("pk", "customer_id", "first_month", "mrr_e4", "moves")
        if index - row[2] < len(row[3])
    ]
    start = min([before, *(row[2] for row in found)])
    months = np.arange(start, index + 1, dtype=np.int64)
    mrr = _by_month(((first, values) for _pk, _id, first, values, _moves in found), months)
    last = _last_moves(((first, moves) for _pk, _id, first, _mrr, moves in found), months)
    owners = as_int64([row[1] for row in found])
    both = Q(from_month__lte=before, to_month__gt=before) | Q(
        from_month__lte=index, to_month__gt=index
    )
    abroad = LineFigure.objects.filter(both, counted=True).exclude(line__invoice__currency=currency)
    owner, spans = line_spans(abroad, currency)
    known = np.flatnonzero(np.isin(owner, owners))
    table = replace(
        month_table(owners, owner[known], counted_from(spans.take(known), start), months),
        mrr=mrr,
        customer=(mrr > 0) | ~np.isin(last, (Movement.NONE, Movement.CHURN, Movement.PAUSE)),
        away=(mrr == 0) & (last == Movement.PAUSE),
    )
    return [row[0] for row in found], table


def paused(table: CustomerMonths) -> Flags:
    """Where all of a customer's MRR stands still by a pause, as its published movements say.

    The table's own MRR may be that of a part of the customer.
    """
    found = {
        customer: (first, mrr, moves)
        for customer, first, mrr, moves in CustomerFigure.objects.filter(
            customer__in=table.customers.tolist()
        ).values_list("customer_id", "first_month", "mrr_e4", "moves")
    }
    rows = [found.get(customer, (0, [], [])) for customer in table.customers.tolist()]
    mrr = _by_month(((first, values) for first, values, _moves in rows), table.months)
    last = _last_moves(((first, moves) for first, _mrr, moves in rows), table.months)
    away: Flags = (mrr == 0) & (last == Movement.PAUSE)
    return away


def line_spans(lines: QuerySet[LineFigure], currency: str) -> tuple[Ints, Spans]:
    """The customer of each of these lines with MRR, and where it stands by number of month."""
    rows = list(
        lines.exclude(mrr_e4=0).values_list(
            *("customer_id", "from_month", "to_month", "mrr_e4", "line__invoice__currency"),
            *("line__net_minor", "line__net_acc_minor"),
        )
    )
    codes = {name: code for code, name in enumerate(sorted({row[4] for row in rows} - {currency}))}
    owner, first, after, mrr = (as_int64([row[place] for row in rows]) for place in range(4))
    return owner, Spans(
        row=np.arange(len(rows)),
        first=first,
        after=after,
        mrr=mrr,
        native=as_int64(
            [_native(row[3], row[5], row[6]) if row[4] in codes else 0 for row in rows]
        ),
        foreign=as_int64([codes.get(row[4], -1) for row in rows]),
    )


def counted_from(spans: Spans, start: int) -> Spans:
    """The spans in columns of months that begin with `start`."""
    return replace(spans, first=spans.first - start, after=spans.after - start)


def moved_between(
    table: CustomerMonths, before: int, index: int, chosen: ReportSettings
) -> Movements:
    """What the table's customers did from one month's snapshot to another's: one column."""
    start = int(table.months[0])
    return movements(
        table,
        as_int64([index - start]),
        as_int64([before - start]),
        tolerance_bp=chosen.tolerance_bp,
        reactivation_months=chosen.reactivation_months,
        pauses_churn=chosen.pause_handling == "churn",
    )


def _by_month(series: Iterable[tuple[int, Sequence[int]]], months: Ints) -> Ints:
    """A row for each series, which begins with a month of its own; 0 where it says nothing."""
    rows = list(series)
    start, width = int(months[0]), len(months)
    made = np.zeros((len(rows), width), dtype=np.int64)
    for row, (first, values) in enumerate(rows):
        skipped = max(start - first, 0)
        shown = values[skipped : max(start + width - first, 0)]
        begin = first + skipped - start
        made[row, begin : begin + len(shown)] = shown
    return made


def _last_moves(series: Iterable[tuple[int, Sequence[int]]], months: Ints) -> Ints:
    """What each customer did last, up to each month."""
    moves = _by_month(series, months)
    latest = np.maximum.accumulate(np.where(moves != Movement.NONE, np.arange(len(months)), 0), 1)
    return as_int64(np.take_along_axis(moves, latest, axis=1))


def _native(e4: int, net: int, acc: int) -> int:
    """A line's MRR in its own currency: of whole months or weeks where its MRR tells how many."""
    if not acc:
        return 0
    months = Fraction(acc * E4, e4)
    for length in (Fraction(rounded(months)), Fraction(12, 52), Fraction(12, 26)):
        if length > 0 and abs(length - months) * 1_000_000 < months:
            return rounded(Fraction(net * E4) / length)
    return rounded(Fraction(net * E4) / months)
