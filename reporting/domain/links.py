"""People's words on how lines form subscriptions: made by hand, split off, merged.

A word names a line or a subscription by what outlives an import, so that it holds after every
one of them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from reporting.domain.arrays import Flags, Ints
from reporting.domain.chains import Chains, unit_prices
from reporting.domain.choices import OWN, LineWord, Settings, SubscriptionKey, UserWords
from reporting.domain.draft import Draft
from reporting.domain.findings import LineType
from reporting.domain.lines import Lines, product_refs


class Named:
    """Finds the chains that a key names, among those of the given customers."""

    def __init__(self, lines: Lines, chains: Chains, customers: set[int]) -> None:
        self._lines, self._chains = lines, chains
        self._own = {
            key: chains.count - len(chains.own) + place for place, key in enumerate(chains.own)
        }
        refs = product_refs(lines)
        first = chains.first_line[: chains.count - len(chains.own)]
        self._groups: dict[tuple[int, str, str], list[int]] = {}
        for chain in np.flatnonzero(np.isin(lines.customer_id[first], list(customers))).tolist():
            row = first[chain]
            product, currency = refs[lines.product_key[row]], lines.currencies[lines.currency[row]]
            name = int(lines.customer_id[row]), product, currency
            self._groups.setdefault(name, []).append(chain)

    def find(self, key: SubscriptionKey) -> list[int]:
        """The chains of the key: of its whole group where it names no band.

        A band is the chain's first unit price; where earlier invoices or a change of price moved
        that, it is the chain that ever had the price.
        """
        if key.product.startswith(OWN):
            return [self._own[key]] if key in self._own else []
        found = self._groups.get(key[:3], [])
        if not key.band:
            return found
        exact = [chain for chain in found if self._chains.band[chain] == key.band]
        return exact or [chain for chain in found if self._knew(chain, key.band)]

    def group(self, chain: int) -> list[int]:
        """Every chain of the chain's customer, product and currency."""
        lines, row = self._lines, self._chains.first_line[chain]
        return [
            other
            for name, found in self._groups.items()
            if name[0] == lines.customer_id[row] and chain in found
            for other in found
        ]

    def _knew(self, chain: int, price: int) -> bool:
        rows = np.flatnonzero((self._chains.of_line == chain) & (self._lines.net > 0))
        return bool(_near(unit_prices(self._lines.take(rows)), price).any())


def _near(prices: Ints, price: int) -> Flags:
    """Within 5 % of the price."""
    within: Flags = (prices * 100 <= price * 105) & (price * 100 <= prices * 105)
    return within


def link(lines: Lines, chains: Chains, hits: Flags, words: UserWords) -> Chains:
    """The chains with people's own ones, with the lines that they moved, and merged as they said.

    A later invoice's line follows into an own chain of several lines at a price that, since the
    chain began, only lines of that chain have had; one row stays alone. What names a subscription
    that the books do not hold is left.
    """
    named = [word for word in words.lines if word.subscription is not None]
    merged = {one.key: one.merged_into for one in words.decisions if one.merged_into is not None}
    if named:
        chains = _moved(lines, chains, hits, named)
    if merged:
        chains = _merged(lines, chains, merged)
    return chains


def _moved(lines: Lines, chains: Chains, hits: Flags, named: Sequence[LineWord]) -> Chains:
    rows = np.flatnonzero(np.isin(lines.line_id, [word.line_id for word in named]))
    row_of = {int(lines.line_id[row]): int(row) for row in rows}
    wanted: dict[SubscriptionKey, list[int]] = {}
    for word in named:
        if word.line_id in row_of and word.subscription is not None:
            wanted.setdefault(word.subscription, []).append(row_of[word.line_id])
    own = tuple(sorted(key for key in wanted if key.product.startswith(OWN)))
    first = [
        min(wanted[key], key=lambda row: (lines.invoice_day[row], lines.place[row])) for key in own
    ]
    first_line = np.append(chains.first_line, np.array(first, dtype=np.int64))
    of_line = chains.of_line.copy()
    chains = replace(
        chains,
        of_line=of_line,
        part_of_line=of_line,
        group_of_chain=np.append(chains.group_of_chain, chains.group_of_line[first]),
        band=np.append(chains.band, np.zeros(len(own), dtype=np.int64)),
        years_worth=np.append(chains.years_worth, np.zeros(len(own), dtype=np.bool_)),
        first_line=first_line,
        count=chains.count + len(own),
        own=own,
    )
    known = Named(lines, chains, {key.customer_id for key in wanted})
    taken = np.zeros(len(lines), dtype=np.bool_)
    taken[list(row_of.values())] = True
    for key, mine in wanted.items():
        for chain in known.find(key)[:1]:
            of_line[mine] = chain
    for key in own:
        if len(wanted[key]) == 1:
            continue
        later = _followers(lines, chains, hits & ~taken, np.array(wanted[key], dtype=np.int64))
        of_line[later] = known.find(key)[0]
    return chains


def _followers(lines: Lines, chains: Chains, free: Flags, mine: Ints) -> NDArray[np.intp]:
    """Later lines of the group at the chain's last price, unless others had it beside the chain."""
    last = mine[np.lexsort((lines.place[mine], lines.invoice_day[mine]))[-1]]
    group = chains.group_of_line
    rows = np.flatnonzero(free & (group == group[last]))
    price = int(unit_prices(lines.take(np.array([last])))[0])
    rows = rows[_near(unit_prices(lines.take(rows)), price)]
    day = lines.invoice_day[rows]
    beside = (day >= lines.invoice_day[mine].min()) & (day <= lines.invoice_day[last])
    return rows[:0] if beside.any() else rows[day > lines.invoice_day[last]]


def _merged(
    lines: Lines, chains: Chains, into: Mapping[SubscriptionKey, SubscriptionKey]
) -> Chains:
    customers = {key.customer_id for pair in into.items() for key in pair}
    known = Named(lines, chains, customers)
    target = np.arange(chains.count, dtype=np.int64)
    for key in into:
        seen, end = {key}, into[key]
        while end in into and end not in seen:
            seen.add(end)
            end = into[end]
        found = known.find(end)
        if found and end not in seen:
            target[known.find(key)] = found[0]
    return replace(chains, of_line=target[chains.of_line], part_of_line=chains.of_line)


def join(lines: Lines, chains: Chains, settings: Settings, cancelled: Flags, draft: Draft) -> None:
    """Inside each merged subscription, let no two parts run at once and close short gaps.

    While a line of the part that began later runs, lines of earlier parts do not. A gap no longer
    than the grace of the period before it is covered by that period. Worth per month stays.
    """
    if chains.part_of_line is chains.of_line:
        return
    service = draft.type == LineType.SUBSCRIPTION
    standing = service & (lines.net > 0) & ~cancelled
    linked = np.unique(chains.of_line[chains.part_of_line != chains.of_line])
    for chain in linked.tolist():
        rows = np.flatnonzero(service & (draft.chain == chain))
        charges = rows[standing[rows]]
        parts = chains.part_of_line[charges]
        begins = {int(part): int(draft.start[charges[parts == part]].min()) for part in set(parts)}
        ordered = sorted(begins, key=lambda part: (begins[part], part))
        for place, part in enumerate(ordered):
            later = charges[np.isin(parts, ordered[place + 1 :])]
            _give_way(draft, rows[chains.part_of_line[rows] == part], later)
        _close_gaps(settings, draft, charges)


def _give_way(draft: Draft, rows: NDArray[np.intp], later: NDArray[np.intp]) -> None:
    """End the rows where a later part's line begins, or at once where one runs already."""
    for row in rows.tolist():
        start, end = draft.start[row], draft.end[row]
        begin, stop = draft.start[later], draft.end[later]
        meets = begin[(begin < end) & (stop > start) & (stop > begin)]
        if meets.size:
            draft.end[row] = max(int(meets.min()), int(start))


def _close_gaps(settings: Settings, draft: Draft, rows: NDArray[np.intp]) -> None:
    order = rows[np.argsort(draft.start[rows], kind="stable")]
    order = order[draft.end[order] > draft.start[order]]
    reached = int(draft.end[order[0]]) if order.size else 0
    for row in order.tolist():
        start = int(draft.start[row])
        if start > reached:
            last = order[draft.end[order] == reached]
            grace = max(settings.grace_days.get(int(draft.nominal[one]), 0) for one in last)
            if start - reached <= grace:
                draft.end[last] = start
        reached = max(reached, int(draft.end[row]))
