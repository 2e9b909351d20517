"""Tiles of the last complete month: its figure, how it changed, and a small line."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.utils.translation import gettext as _

from reporting.selectors import frame
from reporting.selectors.frame import Comparison, Words
from reporting.selectors.months import Month, Row, written

POINTS = 24


@dataclass(frozen=True, slots=True, kw_only=True)
class Tiles:
    """Makes tiles from published months, oldest first; running months are left out."""

    words: Words
    months: Sequence[Month]
    compare: Comparison | None = None

    @property
    def complete(self) -> list[Month]:
        return [month for month in self.months if month["complete"]]

    def tile(
        self,
        id: str,
        row: Row,
        *,
        definition: str,
        formula: str = "",
        good: bool = True,
        url: str = "",
        name: str = "",
        **more: Any,
    ) -> dict[str, Any]:
        """The tile of one figure; `good` says whether more of it is good news."""
        complete = self.complete
        last = complete[-1] if complete else None
        value = row.value(last) if last else None
        if value is None or last is None:
            note, url = "", ""
        else:
            note = _("in %(month)s") % {"month": self.words.month(str(last["month"]), long=True)}
        return {
            "id": id,
            "name": name or row.label,
            "value": self._written(row, value),
            "url": url,
            "reason": "" if value is not None else row.reason or _("Needs a complete month."),
            "note": note,
            "changes": frame.given([self._change(row, value, last, good)]),
            "points": [row.value(month) for month in complete[-POINTS:]],
            "definition": definition,
            "formula": formula,
            **more,
        }

    def _written(self, row: Row, value: int | None) -> str:
        if row.unit == "money":
            return self.words.money(value, signed=row.signed)
        return written(self.words, row.unit, value)

    def _change(
        self, row: Row, value: int | None, last: Month | None, good: bool
    ) -> dict[str, Any] | None:
        if last is None or value is None:
            return None
        shift = self.compare.shift if self.compare else 1
        against = self.compare.against if self.compare else _("on the month before")
        of = frame.month_text(frame.month_index(str(last["month"])) - shift)
        then = next((month for month in self.months if month["month"] == of), None)
        before = row.value(then) if then else None
        if before is None:
            return None
        if row.unit == "money":
            return frame.money_change(self.words, value, before, against=against, good=good)
        if row.unit == "rate":
            return frame.rate_change(self.words, value, before, against=against, more_is_good=good)
        text = written(self.words, row.unit, value - before, signed=True)
        return frame.change(
            self.words, value, before, against=against, text=text, more_is_good=good
        )
