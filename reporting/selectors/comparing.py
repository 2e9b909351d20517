"""The months that a page shows beside earlier ones: both sums and how they differ."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from django.utils.translation import gettext as _

from reporting.selectors import frame
from reporting.selectors.figures import Reading
from reporting.selectors.frame import PPM, Period, Words
from reporting.selectors.months import File, Month, Row, number, written


@dataclass(frozen=True, slots=True)
class Line:
    """A figure over several months: what changes adds up, a state is that of the last one."""

    row: Row
    over: Literal["sum", "last"]

    def value(self, months: Sequence[Month]) -> int | None:
        values = [self.row.value(month) for month in months]
        if not values or None in values:
            return None
        return sum(one or 0 for one in values) if self.over == "sum" else values[-1]


def compared_table(
    read: Reading,
    shown: Period,
    months: Sequence[Month],
    *,
    id: str,
    caption: str,
    lines: Sequence[Line],
) -> dict[str, Any] | None:
    """What `parts/figure_table.html` draws; None where nothing is to be compared.

    Where the earlier months are not all known, their column and the changes have no values.
    """
    if shown.comparison is None:
        return None
    words = read.words
    now = [month for month in months if shown.shows(str(month["month"]))]
    names = [_earlier(str(month["month"]), shown.comparison.shift) for month in now]
    known = {str(month["month"]): month for month in months}
    then = [known[name] for name in names if name in known]
    then = then if len(then) == len(now) else []
    both = [(line.row, line.value(now), line.value(then)) for line in lines]
    both = [one for one in both if not one[0].optional or one[1] or one[2]]
    spans = [shown.text, f"{words.month(names[0])} – {words.month(names[-1])}"]
    note = _("Amounts in %(currency)s.") % {"currency": words.currency}
    if any(not month["complete"] for month in now):
        note += " " + _("The running month counts as far as it has come.")
    head = [_("Figure"), *spans, _("Change"), _("In percent")]
    return {
        "id": id,
        "caption": caption,
        "note": note,
        "wide": True,
        "head": head,
        "rows": [_drawn(words, *one) for one in both],
        "file": File(caption, head, lambda: [_filed(words, *one) for one in both]),
    }


def _drawn(words: Words, row: Row, after: int | None, before: int | None) -> dict[str, Any]:
    """The figure now and then, and by how much they differ, as the page has it."""
    hint = _("Not all of the earlier months are known.") if before is None else ""
    difference = written(words, row.unit, _difference(after, before), signed=True)
    return {
        "label": row.label,
        "kind": row.kind,
        "total": row.total,
        "cells": [
            {"text": written(words, row.unit, after)},
            {"text": written(words, row.unit, before), "hint": hint},
            {"text": difference, "hint": hint},
            {"text": words.rate(_share(after, before), signed=True), "hint": hint},
        ],
    }


def _filed(words: Words, row: Row, after: int | None, before: int | None) -> list[Any]:
    """The same as a file has it."""
    values = (after, before, _difference(after, before))
    amounts = [number(words, row.unit, one) for one in values]
    return [row.label, *amounts, number(words, "rate", _share(after, before))]


def _difference(after: int | None, before: int | None) -> int | None:
    return None if after is None or before is None else after - before


def _share(after: int | None, before: int | None) -> int | None:
    """Growth in parts per million; None where a loss became a gain, or nothing was before."""
    if after is None or not before or after * before < 0:
        return None
    return (abs(after) - abs(before)) * PPM // abs(before)


def _earlier(month: str, shift: int) -> str:
    return frame.month_text(frame.month_index(month) - shift)
