"""Recognition: the invoice lines behind what a month invoiced, earned, and left deferred."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date
from typing import Any

import numpy as np
from django.db.models import Q
from django.db.models.functions import Coalesce
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from reporting.domain.arrays import Ints, as_int64
from reporting.domain.periods import day_number, last_day, month_of
from reporting.domain.recognition import Schedule, planned
from reporting.models import LineFigure, ReportSettings
from reporting.selectors import frame
from reporting.selectors.behind.kinds import (
    Kind,
    Part,
    Question,
    Rows,
    column,
    covered,
    customer_url,
    invoice_url,
)

FIGURES = frozenset({"invoiced", "recognised", "deferred", "accrued"})


def recognised_kind(asked: Question) -> Kind:
    """Lines by the tenant's method of recognition; each by its part of the month's figure."""
    chosen = ReportSettings.objects.first() or ReportSettings()
    index, figure = asked.index, asked.figure
    as_of = day_number(date.fromisoformat(asked.body["as_of"]))
    ends = as_int64([min(int(last_day(index)), as_of), int(last_day(index - 1))])
    daily = chosen.recognition == "daily"
    titles = {
        "invoiced": _("Invoiced in %(month)s, by line"),
        "recognised": _("Recognised in %(month)s"),
        "deferred": _("Deferred at the end of %(month)s"),
        "accrued": _("Accrued at the end of %(month)s"),
    }
    return Kind(
        titles[figure] % asked.said,
        _("Invoice lines without VAT, by the method of recognition in your settings."),
        _parts(figure, _rows_of(figure, index), index, ends, daily=daily),
        [
            column("customer", _("Customer")),
            column("line", _("Line")),
            column("invoice", _("Invoice")),
            column("period", _("Earned over")),
        ],
        _line_rows(asked),
        lambda n: ngettext("%d invoice line", "%d invoice lines", n) % n,
    )


def _line_rows(asked: Question) -> Rows:
    """Lines with what they are earned over: their period, or the day of their invoice."""

    def rows(shown: Sequence[Part]) -> Iterable[tuple[Any, list[Any], str]]:
        found = LineFigure.objects.select_related("line__invoice", "customer").in_bulk(
            [part.key for part in shown]
        )
        for part in shown:
            made = found[part.key]
            invoice = made.line.invoice
            served = made.counted and made.start and made.end
            span = covered(made, asked.words) if served else asked.words.day(invoice.date)
            number = {"text": str(invoice), "url": invoice_url(asked.tenant, invoice.public_id)}
            yield (
                made.customer.name,
                [made.line.name, number, span],
                customer_url(asked.tenant, made.customer.public_id),
            )

    return rows


_FIELDS = ("pk", "line__net_acc_minor", "line__invoice__date", "counted", "start", "end", "day")


def _rows_of(figure: str, index: int) -> list[tuple[Any, ...]]:
    """Lines that may have a part in the figure; those that have none fall out later."""
    first, after = (frame.month_start(frame.month_text(one)) for one in (index, index + 1))
    # Where it is not earned over a period: on delivery, or else with the invoice.
    lines = LineFigure.objects.exclude(line__net_acc_minor=0).annotate(
        day=Coalesce("line__start", "line__invoice__delivery_start", "line__invoice__date")
    )
    at_once = Q(counted=False) | Q(start=None) | Q(end=None)
    invoiced = Q(line__invoice__date__gte=first, line__invoice__date__lt=after)
    if figure == "invoiced":
        lines = lines.filter(invoiced)
    elif figure == "recognised":
        running = Q(counted=True, start__lt=after, end__gte=first)
        lines = lines.filter(running | (at_once & Q(day__gte=first, day__lt=after)))
    elif figure == "deferred":
        waiting = Q(counted=True, end__gte=first) | (at_once & Q(day__gte=first))
        lines = lines.filter(waiting, line__invoice__date__lt=after)
    else:
        begun = Q(counted=True, start__lt=after) | (at_once & Q(day__lt=after))
        lines = lines.filter(begun, line__invoice__date__gte=after)
    return list(lines.order_by("pk").values_list(*_FIELDS))


def _parts(
    figure: str, found: Sequence[tuple[Any, ...]], index: int, ends: Ints, *, daily: bool
) -> list[Part]:
    if not found:
        return []
    plan = _schedule(found, daily=daily)
    every = np.arange(len(found))
    months, days = (np.full(len(found), index), np.full(len(found), ends[0]))
    if figure == "invoiced":
        amounts = np.where(plan.invoiced == index, plan.net, 0)
    elif figure == "recognised":
        before = plan.recognised_by(every, months - 1, np.full(len(found), ends[1]))
        amounts = plan.recognised_by(every, months, days) - before
    else:
        amounts = plan.open_on(every, months, days)[figure == "accrued"]
    pairs = zip((row[0] for row in found), amounts.tolist(), strict=True)
    parts = [Part(pk, minor) for pk, minor in pairs if minor]
    return sorted(parts, key=lambda part: (-abs(part.minor), part.key))


def _schedule(found: Sequence[tuple[Any, ...]], *, daily: bool) -> Schedule:
    """What `domain.recognition.schedule` plans for the same lines, from their stored figures."""
    _pk, net, invoiced, counted, start, end, day = zip(*found, strict=True)
    served = np.array(
        [bool(c and s and e and e > s) for c, s, e in zip(counted, start, end, strict=True)]
    )

    def days(column: Sequence[date | None]) -> Ints:
        return as_int64([day_number(one) if one else 0 for one in column])

    return planned(
        row=np.arange(len(found)),
        net=as_int64(net),
        served=served,
        start=days(start),
        end=days(end),
        day=days(day),
        invoiced=month_of(days(invoiced)),
        daily=daily,
    )
