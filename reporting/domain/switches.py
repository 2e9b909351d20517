"""Plan switches: a subscription whose renewal fell due and that another product took the place of.

Without this the old plan would be awaited for its whole grace beside the new one, and the customer
would count twice until then.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from reporting.domain.arrays import Flags, Ints
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
    """One subscription at one of its ends: the lines of its last, or of its first, period."""

    chain: int
    line: int
    """The smallest id of those lines, which settles ties."""
    group: int
    start: int
    end: int
    invoiced: int
    worth: int
    """Per month, in its own currency."""

    @property
    def due(self) -> int:
        """The day of the next invoice, which comes as long before or after service as the last."""
        return self.end + self.invoiced - self.start


def replaced(
    lines: Lines, draft: Draft, chains: Chains, charges: Flags, last_end: Ints, waiting: Flags
) -> Flags:
    """The `waiting` chains that another subscription replaced; `charges` are the lines that count.

    The successor is of the same customer and currency and of another product, begins where the
    old one ended or later, and was invoiced when the old one fell due or later, without the old
    product on that invoice's day or since. One replaces one: those nearest in worth are paired.
    """
    found = np.zeros(chains.count, dtype=np.bool_)
    if not waiting.any():
        return found
    first_start = np.full(chains.count, np.iinfo(np.int32).max, dtype=np.int64)
    np.minimum.at(first_start, draft.chain[charges], draft.start[charges])
    young = first_start >= last_end[waiting].min() - REPLACED_DAYS
    chain = draft.chain
    ending = charges & waiting[chain] & (draft.end == last_end[chain])
    beginning = charges & young[chain] & (draft.start == first_start[chain])
    owners = np.intersect1d(lines.customer_id[ending], lines.customer_id[beginning])
    if not owners.size:
        return found
    concerned = np.isin(lines.customer_id, owners)
    new = _plans(lines, draft, chains, np.flatnonzero(beginning & concerned))
    billed = np.flatnonzero(concerned & (lines.net > 0))
    latest: dict[int, int] = defaultdict(int)
    groups = chains.group_of_line[billed].tolist()
    for group, day in zip(groups, lines.invoice_day[billed].tolist(), strict=True):
        latest[group] = max(latest[group], day)
    for payer, old in _plans(lines, draft, chains, np.flatnonzero(ending & concerned)).items():
        pairs = [
            (_apart(one, other), one.line, other.line, one.chain, other.chain)
            for one in old
            for other in new.get(payer, ())
            if _follows(one, other, latest[one.group])
        ]
        taken: set[int] = set()
        for _, _, _, before, after in sorted(pairs):
            if not found[before] and after not in taken:
                found[before] = True
                taken.add(after)
    return found


def _follows(old: _Plan, new: _Plan, billed: int) -> bool:
    """Whether one may have replaced the other, whose product was last invoiced on `billed`."""
    return (
        new.group != old.group
        and new.start >= old.end - REPLACED_DAYS
        and new.invoiced >= old.due - REPLACED_DAYS
        and new.invoiced > billed
        and LEAST_SHARE * new.worth >= old.worth
    )


def _apart(old: _Plan, new: _Plan) -> Fraction:
    return Fraction(max(old.worth, new.worth), max(min(old.worth, new.worth), 1))


def _plans(
    lines: Lines, draft: Draft, chains: Chains, rows: Ints
) -> dict[tuple[int, int], list[_Plan]]:
    """The chains of those rows by (customer, currency)."""
    by_chain: dict[int, list[int]] = defaultdict(list)
    for row, chain in zip(rows.tolist(), draft.chain[rows].tolist(), strict=True):
        by_chain[chain].append(row)
    found: dict[tuple[int, int], list[_Plan]] = defaultdict(list)
    for chain, own in by_chain.items():
        worth = line_mrr(lines.net[own], draft.num[own], draft.den[own]).sum()
        plan = _Plan(
            chain=chain,
            line=int(lines.line_id[own].min()),
            group=int(chains.group_of_chain[chain]),
            start=int(draft.start[own].min()),
            end=int(draft.end[own].max()),
            invoiced=int(lines.invoice_day[own].min()),
            worth=int(worth),
        )
        found[int(lines.customer_id[own[0]]), int(lines.currency[own[0]])].append(plan)
    return found
