"""The invoices behind a subscription as a small picture: how much, when, and what they cover.

Places are percentages and heights pixels, so that the picture is as wide as its box while its
words keep their size.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from itertools import pairwise
from typing import Any, NamedTuple

from django.db.models import F
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from reporting.models import LineFigure
from reporting.selectors.frame import Words

_NEWEST = 60
_FLOOR, _TALLEST, _SHORTEST = 40, 34, 4
_COVER, _AXIS, _HEIGHT = 44, 66, 72
# The narrowest bar that can still be seen, in percent.
_THIN = 0.4
MONTH_DAYS = 365.25 / 12


class Step(NamedTuple):
    """One row behind a subscription; `end` is the first day that it no longer covers."""

    subscription: int
    day: date
    net_minor: int
    start: date | None
    end: date | None


@dataclass(frozen=True, slots=True)
class _Scale:
    first: date
    days: int

    def place(self, day: date) -> float:
        return max(0.0, min((day - self.first).days / self.days * 100, 100.0))


def steps_of(subscriptions: Iterable[int]) -> Mapping[int, list[Step]]:
    """The rows behind each subscription by their day, the newest sixty."""
    rows = (
        LineFigure.objects.filter(subscription__in=list(subscriptions))
        .order_by("line__invoice__date", "pk")
        .values_list(
            "subscription_id", F("line__invoice__date"), F("line__net_acc_minor"), "start", "end"
        )
    )
    found: dict[int, list[Step]] = {}
    for row in rows:
        step = Step(*row)
        found.setdefault(step.subscription, []).append(step)
    return {key: steps[-_NEWEST:] for key, steps in found.items()}


def timeline(
    *, steps: Sequence[Step], last_end: date, as_of: date, words: Words, ident: str
) -> dict[str, Any] | None:
    """What _timeline.html draws: a bar an invoice row, what they cover, today, a summary."""
    if not steps:
        return None
    first = min([step.day for step in steps] + [step.start for step in steps if step.start])
    last = max(last_end, as_of, steps[-1].day)
    scale = _Scale(first, max((last - first).days, 1))
    largest = max(abs(step.net_minor) for step in steps) or 1
    return {
        "id": ident,
        "height": _HEIGHT,
        "y_cover": _COVER,
        "y_axis": _AXIS,
        "floor": _FLOOR,
        "bars": [_bar(scale, step, largest) for step in steps],
        "covers": [
            _cover(scale, step.start, step.end) for step in steps if step.start and step.end
        ],
        "now": _percent(scale.place(as_of)),
        "first": words.day(first),
        "last": words.day(last),
        "summary": _summary(steps, words),
    }


def _bar(scale: _Scale, step: Step, largest: int) -> dict[str, Any]:
    height = max(round(abs(step.net_minor) / largest * _TALLEST), _SHORTEST)
    return {
        "kind": "credit" if step.net_minor < 0 else "invoice",
        "x": _percent(scale.place(step.day)),
        "y": _FLOOR - height,
        "height": height,
    }


def _cover(scale: _Scale, start: date, end: date) -> dict[str, str]:
    at, to = scale.place(start), scale.place(end)
    # A thin gap keeps one period apart from the next.
    width = max(to - at - _THIN / 2, _THIN)
    return {"x": _percent(min(at, 100 - width)), "width": _percent(width)}


def _percent(value: float) -> str:
    return f"{value:.2f}%"


def _summary(steps: Sequence[Step], words: Words) -> str:
    """The picture in a sentence: how many rows, when, and how much each."""
    billed = [step for step in steps if step.net_minor > 0] or list(steps)
    rows = ngettext("%(n)s invoice row", "%(n)s invoice rows", len(billed))
    parts = [rows % {"n": words.count(len(billed))}]
    first, last = words.day(billed[0].day), words.day(billed[-1].day)
    parts.append(first if first == last else f"{first} – {last}")
    low, high = min(s.net_minor for s in billed), max(s.net_minor for s in billed)
    each = words.money(low, cents=True)
    if low != high:
        each = f"{each} – {words.money(high, cents=True)}"
    parts.append(_("%(amount)s each") % {"amount": each})
    gaps = sorted(
        (after.day - before.day).days
        for before, after in pairwise(billed)
        if after.day != before.day
    )
    if gaps:
        parts.append(_apart(gaps[len(gaps) // 2]))
    return ", ".join(parts)


def _apart(days: int) -> str:
    """A distance in words: in months where it is within a fifteenth of a whole number of them."""
    months = round(days / MONTH_DAYS)
    if months and abs(days - months * MONTH_DAYS) * 15 <= months * MONTH_DAYS:
        found = ngettext("about every month", "about every %(n)d months", months)
        return found % {"n": months}
    return ngettext("about every day", "about every %(n)d days", days) % {"n": days}
