"""Plan switches: a subscription whose renewal fell due and that another product took the place of.

Without this the old plan would be awaited for its whole grace beside the new one, and the customer
would count twice until then.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from reporting.domain.arrays import NEVER, Flags, Ints
from reporting.domain.chains import Chains
from reporting.domain.draft import Draft
from reporting.domain.lines import Lines
from reporting.domain.mrr import line_mrr

REPLACED_DAYS = 3
"""A successor begins, and is invoiced, no earlier than this before its predecessor is due."""
LEAST_SHARE = 4
"""A successor is worth at least this part of what it replaces; less is bought beside it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Plan:
    """A subscription at an end or at a beginning: the lines of that one period."""

    place: int
    """The first of those lines on a day, which settles ties."""
    group: int
    start: int
    end: int
    invoiced: int
    worth: int
    """Per month, in its own currency."""

    @property
    def when(self) -> tuple[int, int]:
        return self.invoiced, self.place

    @property
    def due(self) -> int:
        """The day of the next invoice, which comes as long before or after service as the last."""
        return self.end + self.invoiced - self.start


def replaced(
    lines: Lines, draft: Draft, chains: Chains, charges: Flags, last_end: Ints, waiting: Flags
) -> Flags:
    """The `waiting` chains that another subscription replaced; `charges` are the lines that count.

    The successor is of the same customer and currency and of another product, begins (for the first
    time or again) where the old one ended or later, and was invoiced when the old one fell due or
    later, without the old product on that invoice's day or since. One replaces one: those nearest
    in worth are paired.
    """
    found = np.zeros(chains.count, dtype=np.bool_)
    chain = draft.chain
    ending = np.flatnonzero(charges & waiting[chain] & (draft.end == last_end[chain]))
    if not ending.size:
        return found
    owners, own = np.unique(lines.customer_id[ending], return_inverse=True)
    over = np.full(len(owners), NEVER, dtype=np.int64)
    np.minimum.at(over, own, draft.end[ending])
    rows = np.flatnonzero(charges & np.isin(lines.customer_id, owners))
    turn = over[np.searchsorted(owners, lines.customer_id[rows])] - REPLACED_DAYS
    fresh = chain[rows[draft.start[rows] >= turn]]
    if not fresh.size:
        return found
    young = _by_payer(lines, chain, rows[np.isin(chain[rows], fresh)])
    concerned = [customer for customer, _ in young]
    billed = np.flatnonzero(np.isin(lines.customer_id, concerned) & (lines.net > 0))
    latest: dict[int, int] = defaultdict(int)
    groups = chains.group_of_line[billed].tolist()
    for group, day in zip(groups, lines.invoice_day[billed].tolist(), strict=True):
        latest[group] = max(latest[group], day)
    ending = ending[np.isin(lines.customer_id[ending], concerned)]
    for payer, olds in _by_payer(lines, chain, ending).items():
        pairs = []
        for before, last in olds.items():
            old = _plan(lines, draft, chains, last)
            for after, own in young.get(payer, {}).items():
                new = _begun(lines, draft, chains, own, old)
                if new is not None and _follows(old, new, latest[old.group]):
                    ties = (-old.worth, -new.worth, *old.when, *new.when)
                    pairs.append((_apart(old, new), *ties, before, after))
        taken: set[int] = set()
        for *_, before, after in sorted(pairs):
            if not found[before] and after not in taken:
                found[before] = True
                taken.add(after)
    return found


def _follows(old: _Plan, new: _Plan, billed: int) -> bool:
    """Whether one may have replaced the other, whose product was last invoiced on `billed`."""
    return (
        new.group != old.group
        and new.invoiced >= old.due - REPLACED_DAYS
        and new.invoiced > billed
        and LEAST_SHARE * new.worth >= old.worth
    )


def _apart(old: _Plan, new: _Plan) -> Fraction:
    return Fraction(max(old.worth, new.worth), max(min(old.worth, new.worth), 1))


def _begun(
    lines: Lines, draft: Draft, chains: Chains, rows: NDArray[np.intp], old: _Plan
) -> _Plan | None:
    """The first period of a chain since the old plan's end, if it had none during its last one."""
    fresh = draft.start[rows] >= old.end - REPLACED_DAYS
    if not fresh.any() or (draft.end[rows[~fresh]] > old.start + REPLACED_DAYS).any():
        return None
    rows = rows[fresh]
    return _plan(lines, draft, chains, rows[draft.start[rows] == draft.start[rows].min()])


def _by_payer(
    lines: Lines, chain: Ints, rows: NDArray[np.intp]
) -> dict[tuple[int, int], dict[int, NDArray[np.intp]]]:
    """The rows of each chain by (customer, currency)."""
    by_chain: dict[int, list[int]] = defaultdict(list)
    for row, number in zip(rows.tolist(), chain[rows].tolist(), strict=True):
        by_chain[number].append(row)
    found: dict[tuple[int, int], dict[int, NDArray[np.intp]]] = defaultdict(dict)
    for number, own in by_chain.items():
        payer = int(lines.customer_id[own[0]]), int(lines.currency[own[0]])
        found[payer][number] = np.array(own, dtype=np.intp)
    return found


def _plan(lines: Lines, draft: Draft, chains: Chains, rows: NDArray[np.intp]) -> _Plan:
    """What those rows of one chain are together."""
    return _Plan(
        place=int(lines.place[rows].min()),
        group=int(chains.group_of_chain[draft.chain[rows[0]]]),
        start=int(draft.start[rows].min()),
        end=int(draft.end[rows].max()),
        invoiced=int(lines.invoice_day[rows].min()),
        worth=int(line_mrr(lines.net[rows], draft.num[rows], draft.den[rows]).sum()),
    )
