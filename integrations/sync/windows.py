"""Where an import stands: in the windows of billing dates, and in a list in the order of ids.

A first import walks the windows newest first, until nothing is older. Both are stored between
slices, and a release reads what an older one stored, or begins anew.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date, timedelta
from typing import Any

# After so many empty windows in a row whatever is older is read in one go.
_MOST_EMPTY = 3
_LONGEST_MONTHS = 12
# Documents of a window below which the next one is twice as long, and above which half.
_FEW, _MANY = 100, 1000


@dataclass(frozen=True, slots=True)
class Place:
    """The last id of a list that is stored, and how many documents are (None: unknown)."""

    after: int | None = None
    behind: int | None = 0

    def past(self, last_id: int) -> Place:
        """One document further; one that joined the list late moves nothing."""
        if self.after is not None and last_id <= self.after:
            return self
        return Place(last_id, None if self.behind is None else self.behind + 1)

    def as_json(self) -> list[int | None]:
        return [self.after, self.behind]

    @classmethod
    def from_json(cls, stored: Any) -> Place:
        match stored:
            case [int(after), int() | None as behind]:
                return cls(after, behind)
            case int(after):
                return cls(after, None)
        return cls()


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
        """The same window with one more id stored; one that joined it late moves nothing."""
        if self.after is not None and last_id <= self.after:
            return self
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
    def from_json(cls, stored: Any) -> Window | None:
        """The window as another release may have stored it; None where that cannot be read."""
        try:
            return cls(
                start=_day(stored["start"]),
                end=_day(stored["end"]),
                after=_number(stored.get("after"), None),
                count=_number(stored.get("count"), 0),
                empty=_number(stored.get("empty"), 0),
                months=max(_number(stored.get("months"), 1), 1),
            )
        except (KeyError, TypeError, ValueError, AttributeError):
            return None


def _day(stored: str | None) -> date | None:
    return None if stored is None else date.fromisoformat(stored)


def _number(stored: Any, absent: Any) -> Any:
    return absent if stored is None else int(stored)


def _months_back(end: date, months: int) -> date:
    """The first day of the window of so many whole months that ends on `end`."""
    index = max(end.year * 12 + end.month - months, 12)
    return date(index // 12, index % 12 + 1, 1)
