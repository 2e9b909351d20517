"""What every customer did between two snapshots, as the engine classifies it, from stored figures.

A month's steps are stored with the customer; those of quarters, years and twelve months are made of
the snapshots at both ends by `domain.movements`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from django.http import Http404
from django.utils.translation import gettext as _

from reporting import parts
from reporting.domain.movements import Movement
from reporting.models import CustomerFigure, ReportPart, ReportSettings
from reporting.selectors.behind import tables
from reporting.selectors.behind.kinds import Question

LENGTHS = {parts.QUARTERS: 3, parts.YEARS: 12}


@dataclass(frozen=True, slots=True)
class Step:
    """One customer between two snapshots, in e4 units; `change` leaves exchange rates out."""

    pk: int
    before: int
    after: int
    change: int
    kind: int
    fx: int
    index: int
    """The month of the later snapshot."""


@dataclass(frozen=True, slots=True)
class Stretch:
    """A month, quarter or year of the growth view as it is published."""

    row: Any
    """A row as `body.Month`."""
    index: int
    """Its last month."""
    name: str
    length: int = 1
    summed: bool = False
    """Its movements are those of its months, added up."""

    @property
    def first(self) -> int:
        return self.index - self.index % self.length

    def steps(self, currency: str) -> list[Step]:
        """What customers did in it, one by one; of each of its months where it is summed."""
        if self.summed:
            return [one for index in range(self.first, self.index + 1) for one in steps(index)]
        return self.whole(currency)

    def whole(self, currency: str) -> list[Step]:
        """From its own first snapshot to its own last one."""
        return steps(self.index, self.index - self.first + 1, currency)


def stretch(asked: Question) -> Stretch:
    """The period that `?view=` and `way=` name, of which the month is the last; by default itself.

    Raises Http404 for what was not published.
    """
    view, month = asked.query.get("view", ""), asked.month
    rows: Sequence[Any] = asked.body["months"]
    summed = asked.query.get("way") == "summed"
    name = asked.month_name
    if view in LENGTHS:
        part = ReportPart.objects.filter(name=view).first()
        rows = part.body["summed" if summed else "reclassified"] if part else []
        name = (naming(view) or str)(month)
    row = next((row for row in rows if row["month"] == month), None)
    if row is None:
        raise Http404
    return Stretch(row, asked.index, name, LENGTHS.get(view, 1), summed and view in LENGTHS)


def naming(view: str) -> Callable[[str], str] | None:
    """How a period of quarters or years is called by its last month; None for months."""
    if view == parts.QUARTERS:
        return lambda month: (
            _("Q%(quarter)d %(year)s") % {"quarter": (int(month[5:]) + 2) // 3, "year": month[:4]}
        )
    return (lambda month: month[:4]) if view == parts.YEARS else None


def steps(index: int, back: int = 1, currency: str = "") -> list[Step]:
    """Every customer with MRR at either of two snapshots `back` months apart, or who moved.

    `currency` is the one in which figures are; over one month it does not matter.
    """
    return _stored(index) if back == 1 else _classified(index - back, index, currency)


def _stored(index: int) -> list[Step]:
    found = []
    for pk, first, mrr, fx, moves in CustomerFigure.objects.filter(
        first_month__lte=index
    ).values_list("pk", "first_month", "mrr_e4", "fx_e4", "moves"):
        place = index - first
        if place >= len(mrr):
            continue
        before, after = mrr[place - 1] if place else 0, mrr[place]
        if before or after or moves[place]:
            change = after - before - fx[place]
            found.append(Step(pk, before, after, change, moves[place], fx[place], index))
    return found


def _classified(before: int, index: int, currency: str) -> list[Step]:
    keys, table = tables.customers_table(before, index, currency)
    chosen = ReportSettings.objects.first() or ReportSettings()
    moved = tables.moved_between(table, before, index, chosen)
    both = table.mrr[:, [before - int(table.months[0]), -1]]
    told = np.flatnonzero(both.any(axis=1) | (moved.kind[:, 0] != Movement.NONE))
    columns = (both[:, 0], both[:, 1], moved.change[:, 0], moved.kind[:, 0], moved.fx[:, 0])
    rows = zip(told.tolist(), *(column[told].tolist() for column in columns), strict=True)
    return [
        Step(keys[row], was, now, change, kind, fx, index)
        for row, was, now, change, kind, fx in rows
    ]
