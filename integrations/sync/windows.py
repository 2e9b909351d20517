"""The windows of billing dates that a first import walks: newest first, until nothing is older."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date, timedelta
from typing import Any

# After so many empty windows in a row whatever is older is read in one go.
_MOST_EMPTY = 3
_LONGEST_MONTHS = 12
# Documents of a window below which the next one is twice as long, and above which half.
_FEW, _MANY = 100, 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """Billing days from `start` to `end`, both included; None is open.

    `after` is the last id of the window that is already stored and `count` how many ids are.
    `empty` counts the empty windows just before this one; `months` is its length.
    """

    start: date | None
    end: date | None
    after: int | None = None
    count: int = 0
    empty: int = 0
    months: int = 1

    @classmethod
    def newest(cls, today: date) -> Window:
        """The running month and whatever is dated later."""
        return cls(start=today.replace(day=1), end=None)

    def older(self) -> Window | None:
        """The window before this one; None when this one reached the beginning."""
        if self.start is None or self.start == date.min:
            return None
        end = self.start - timedelta(days=1)
        empty = 0 if self.count else self.empty + 1
        if empty >= _MOST_EMPTY:
            return Window(start=None, end=end)
        months = self.months
        if self.count < _FEW:
            months = min(2 * months, _LONGEST_MONTHS)
        elif self.count > _MANY:
            months = max(months // 2, 1)
        return Window(start=_months_back(end, months), end=end, empty=empty, months=months)

    def stored_to(self, last_id: int) -> Window:
        """The same window with one more id stored."""
        return replace(self, after=last_id, count=self.count + 1)

    @property
    def complete_back_to(self) -> date | None:
        """The first day of the whole time after this window."""
        return None if self.end is None else self.end + timedelta(days=1)

    def as_json(self) -> dict[str, Any]:
        return {
            "start": self.start and self.start.isoformat(),
            "end": self.end and self.end.isoformat(),
            "after": self.after,
            "count": self.count,
            "empty": self.empty,
            "months": self.months,
        }

    @classmethod
    def from_json(cls, stored: dict[str, Any]) -> Window:
        def day(text: str | None) -> date | None:
            return date.fromisoformat(text) if text else None

        return cls(
            start=day(stored["start"]),
            end=day(stored["end"]),
            after=stored["after"],
            count=stored["count"],
            empty=stored["empty"],
            months=stored["months"],
        )


def _months_back(end: date, months: int) -> date:
    """The first day of the window of so many whole months that ends on `end`."""
    index = max(end.year * 12 + end.month - months, 12)
    return date(index // 12, index % 12 + 1, 1)
