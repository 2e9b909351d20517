"""Every state that each invoice has been in, and which of them the books may show.

A run that ended well promises to show what was there when it began, or something newer; never
something older, and never what was in no document.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from tests.model.ledger import Row, Table

HELSINKI = ZoneInfo("Europe/Helsinki")
# A payment may change these without touching the version, so they are judged at the end.
_LOOSE = {"status", "version"}


@dataclass(frozen=True)
class State:
    """What an invoice said from `since` on; None when it was not there."""

    since: datetime
    version: str
    row: Row | None


@dataclass
class History:
    """The states of all invoices in order, and how far complete runs must have followed them."""

    states: dict[str, list[State]] = field(default_factory=dict)
    floors: dict[str, int] = field(default_factory=dict)

    def note(self, invoices: Table, *, now: datetime) -> None:
        """The ledger as it stands since `now`."""
        beginning = not self.states
        for number in invoices.keys() | self.states.keys():
            row = _firm(invoices.get(number))
            known = self.states.setdefault(number, [])
            if not known and not beginning:
                known.append(State(datetime.min.replace(tzinfo=now.tzinfo), "", None))
            if not known or known[-1].row != row:
                version = invoices[number]["version"] if row else ""
                known.append(State(now, version, row))

    def run_ended(self, *, mode: str, window_to: datetime) -> None:
        """A run ended well: what it must have seen is the oldest that may be shown."""
        to = window_to.astimezone(HELSINKI).strftime("%Y-%m-%dT%H:%M:%S")
        for number, states in self.states.items():
            gone = states[-1].row is None
            for place, state in enumerate(states):
                # What was deleted since may have been gone before the run came to it.
                unseen = gone and state.row is not None
                if state.since < window_to and not unseen and _visible(state, mode, to):
                    self.floors[number] = max(place, self.floors.get(number, 0))

    def objections(self, shown: dict[str, Row], *, whole: bool) -> list[str]:
        """What the books show and may not; a missing invoice counts when they are `whole`."""
        wrong = [
            f"invoice {number} was never there" for number in shown.keys() - self.states.keys()
        ]
        for number, states in self.states.items():
            allowed: list[Any] = [state.row for state in states[self.floors.get(number, 0) :]]
            if not whole:
                allowed.append(None)
            row = _firm(shown.get(number))
            if row not in allowed:
                newest = allowed[-1] or {}
                odd = {n: (v, newest.get(n)) for n, v in (row or {}).items() if v != newest.get(n)}
                wrong.append(f"invoice {number} shows {odd or row}, one of {len(allowed)} states")
        return wrong


def _firm(row: Row | None) -> Row | None:
    return None if row is None else {n: v for n, v in row.items() if n not in _LOOSE}


def _visible(state: State, mode: str, to: str) -> bool:
    """Whether a run of this mode can have seen the state: a deletion shows in full reads only."""
    if state.row is None:
        return mode == "full"
    return mode != "incremental" or state.version <= to
