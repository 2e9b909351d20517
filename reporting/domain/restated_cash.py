"""What each cause changed in a month's cash: flows by bank event, balances by all that led to them.

A balance is everything that moved until the month's end, and what the bank states beyond it. So
the causes of a changed balance are those of the month before, the month's own, and one for what
is stated and no event explains. Amounts are minor units, months numbers of `domain.periods`.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from reporting.domain.restatements import Cause

Key = tuple[int, int, int]
"""(cause, document, word), as in `domain.restatements`."""
Parts = dict[Key, int]
DELETED: Key = (Cause.DOCUMENTS_DELETED, -1, -1)


class Moved(NamedTuple):
    """What an event adds to a month, or, with the sign -1, what it no longer adds."""

    month: int
    key: Key
    kind: str
    """As in `CashFigure.kind`."""
    amount: int
    """Deposits positive."""
    sign: int

    def parts(self) -> dict[str, int]:
        """What it changes in each figure of its month."""
        amount = self.amount * self.sign
        if self.kind == "financing":
            return {"financing": amount}
        if self.kind == "own_transfer":
            return {"own_transfers": amount}
        side = {"money_in": amount} if self.amount > 0 else {"money_out": -amount}
        return {**side, "burn": -amount}


@dataclass(frozen=True, slots=True)
class State:
    """Of one month: all that moved in it, signed, and what was held at its end."""

    flow: int
    closing: int


States = Mapping[int, State]
_NOTHING = State(0, 0)


def parts_by_month(
    moved: Iterable[Moved],
    before: States,
    after: States,
    *,
    last: int,
    stated: Callable[[int], Key],
) -> dict[tuple[str, int], Parts]:
    """The causes of each figure and month up to `last`; those of a balance add up to its change.

    `stated` names what the bank states in a month beyond its events.
    """
    found: dict[tuple[str, int], Parts] = defaultdict(lambda: defaultdict(int))
    flows: dict[int, Parts] = defaultdict(lambda: defaultdict(int))
    for one in moved:
        flows[one.month][one.key] += one.amount * one.sign
        for metric, amount in one.parts().items():
            found[metric, one.month][one.key] += amount
    carried: Parts = {}
    for month in range(min([*before, *after], default=last), last + 1):
        was, now = before.get(month, _NOTHING), after.get(month, _NOTHING)
        own = flows.get(month, {})
        lost = now.flow - was.flow - sum(own.values())
        held = sum(carried.values())
        beyond = now.closing - was.closing - held - (now.flow - was.flow)
        moved_here = _sum((own, {DELETED: lost}))
        # What the bank states as before takes back what changed until then, or until the end.
        if beyond == -held:
            unexplained = _taken(carried)
        elif now.closing == was.closing:
            unexplained = _taken(_sum((carried, moved_here)))
        else:
            unexplained = {stated(month): beyond}
        found["unexplained", month] = unexplained
        carried = _sum((carried, moved_here, unexplained))
        found["balance", month] = carried
    return found


def _taken(parts: Parts) -> Parts:
    return {key: -amount for key, amount in parts.items()}


def _sum(parts: Sequence[Parts]) -> Parts:
    total: Parts = defaultdict(int)
    for one in parts:
        for key, amount in one.items():
            total[key] += amount
    return {key: amount for key, amount in total.items() if amount}
