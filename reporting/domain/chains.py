"""Chains of invoices: who bought what how often, and at one price or several.

A group is (customer, product, currency). Inside it, lines of one unit price (within 5 %)
form a cluster. Clusters that follow one another are one chain whose price changed; clusters
that alternate are chains side by side (three yearly contracts are not one quarterly one).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from reporting.domain.arrays import Days, Flags, Ints, as_int64
from reporting.domain.lines import Lines
from reporting.domain.periods import TWO_WEEKS, WEEK

# Gap bands in days, with the nominal period each one stands for.
BANDS = (
    (6, 8, WEEK),
    (12, 16, TWO_WEEKS),
    (26, 35, 1),
    (55, 66, 2),
    (83, 98, 3),
    (172, 193, 6),
    (350, 380, 12),
)
_LOW = np.array([band[0] for band in BANDS])
_HIGH = np.array([band[1] for band in BANDS])
_PERIOD = np.array([band[2] for band in BANDS])
_YEARLY = len(BANDS) - 1
_SURE_HITS = np.array([4, 4, 4, 4, 3, 3, 10**9])
"""Hits at one price that make a cadence certain; a yearly one never is by itself."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Chains:
    """One chain per (group, cluster side by side)."""

    of_line: Ints
    group_of_chain: Ints
    band: Ints
    """0 for the only chain of a group, else its first unit price."""
    first_line: Ints
    """A line that names the chain's customer, product and currency."""
    count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Cadence:
    """Per chain; `nominal` is 0 where the dates show no rhythm."""

    nominal: Ints
    hits: Ints
    share_percent: Ints
    same_price_hits: Ints
    sure: Flags
    mean_gap: Ints
    """Whole days between hits on average; 0 for a single hit."""
    hit_keys: Ints
    """Sorted chain * DAY_SPAN + day of every distinct invoice day of every chain."""


DAY_SPAN = 1 << 20


def codes(*columns: NDArray[np.integer]) -> tuple[Ints, Ints]:
    """One dense code per distinct combination of columns, and the first row of each code."""
    key = np.zeros(len(columns[0]), dtype=np.int64)
    for column in columns:
        values = as_int64(column)
        low = int(values.min()) if values.size else 0
        span = int(values.max()) - low + 1 if values.size else 1
        if span > 1 << 20:
            _, values = np.unique(values, return_inverse=True)
            low, span = 0, int(values.max()) + 1
        key = key * span + (values - low)
    _, first, code = np.unique(key, return_index=True, return_inverse=True)
    return code.astype(np.int64), first.astype(np.int64)


def unit_prices(lines: Lines) -> Ints:
    """Price per unit in 1/100 of a minor unit; the whole amount where the quantity is no help."""
    quantity = np.where(lines.quantity_e4 > 0, lines.quantity_e4, 10_000)
    return lines.net * 1_000_000 // quantity


def build_chains(lines: Lines, hits: Flags) -> Chains:
    """Chains of all lines; only `hits` (positive, not credited in full) shape the clusters."""
    group, group_first = codes(lines.customer_id, lines.product_key, lines.currency)
    rows = np.flatnonzero(hits)
    price = unit_prices(lines)
    cluster = _clusters(group[rows], price[rows])
    split = _split_groups(group[rows], cluster, lines.invoice_day[rows], len(group_first))
    apart = np.zeros(len(lines), dtype=np.int64)
    apart[rows] = np.where(split[group[rows]], cluster + 1, 0)
    _lend_to_neighbours(apart, group, lines.invoice_day, rows, split)
    chain, first = codes(group, apart)
    band = np.zeros(len(first), dtype=np.int64)
    order = np.lexsort((lines.line_id, lines.invoice_day, chain))
    _, earliest = np.unique(chain[order], return_index=True)
    opening = order[earliest]
    is_split = split[group[first]]
    band[is_split] = np.maximum(price[opening[is_split]], 1)
    return Chains(
        of_line=chain,
        group_of_chain=group[first],
        band=band,
        first_line=opening.astype(np.int64),
        count=len(first),
    )


def _clusters(group: Ints, price: Ints) -> Ints:
    """Cluster codes: neighbours in price within 5 % belong together."""
    order = np.lexsort((price, group))
    g, p = group[order], price[order]
    new = np.ones(len(order), dtype=np.bool_)
    new[1:] = (g[1:] != g[:-1]) | (p[1:] * 100 > p[:-1] * 105)
    cluster = np.empty(len(order), dtype=np.int64)
    cluster[order] = np.cumsum(new) - 1
    return cluster


def _split_groups(group: Ints, cluster: Ints, day: Days, groups: int) -> Flags:
    """Groups whose clusters alternate rather than follow one another.

    One cluster can leave and come back (a campaign of some months), so a group with k
    clusters is taken as one chain up to 2 (k - 1) changes of price.
    """
    order = np.lexsort((cluster, day, group))
    g, c, d = group[order], cluster[order], day[order]
    same_hit = np.zeros(len(order), dtype=np.bool_)
    same_hit[1:] = (g[1:] == g[:-1]) & (c[1:] == c[:-1]) & (d[1:] == d[:-1])
    g, c = g[~same_hit], c[~same_hit]
    changes = np.zeros(groups, dtype=np.int64)
    np.add.at(changes, g[1:][(g[1:] == g[:-1]) & (c[1:] != c[:-1])], 1)
    kinds = np.zeros(groups, dtype=np.int64)
    distinct = np.unique(cluster, return_index=True)[1]
    np.add.at(kinds, group[distinct], 1)
    return changes > 2 * np.maximum(kinds - 1, 0)


def _lend_to_neighbours(
    apart: Ints, group: Ints, day: Days, rows: NDArray[np.intp], split: Flags
) -> None:
    """Give lines that shaped no cluster the one of the latest hit before them in their group."""
    lost = np.flatnonzero(split[group] & (apart == 0))
    if lost.size == 0:
        return
    order = rows[np.lexsort((day[rows], group[rows]))]
    keys = group[order] * DAY_SPAN + day[order]
    at = np.searchsorted(keys, group[lost] * DAY_SPAN + day[lost], side="right") - 1
    at = np.where((at < 0) | (group[order[at]] != group[lost]), at + 1, at)
    apart[lost] = apart[order[at]]


def find_cadence(lines: Lines, chains: Chains, hits: Flags) -> Cadence:
    """The rhythm of each chain's invoice days."""
    rows = np.flatnonzero(hits)
    chain = chains.of_line[rows]
    day = as_int64(lines.invoice_day[rows])
    price = unit_prices(lines)[rows]
    hit_keys, hit_row = np.unique(chain * DAY_SPAN + day, return_index=True)
    hit_chain, hit_day = np.divmod(hit_keys, DAY_SPAN)
    count = np.bincount(hit_chain, minlength=chains.count).astype(np.int64)
    linked = hit_chain[1:] == hit_chain[:-1]
    gap = np.diff(hit_day)[linked]
    gap_chain = hit_chain[1:][linked]
    table = np.zeros((chains.count, len(BANDS)), dtype=np.int64)
    missing = np.zeros_like(table)
    for column in range(len(BANDS)):
        inside = (gap >= _LOW[column]) & (gap <= _HIGH[column])
        twice = (gap >= 2 * _LOW[column]) & (gap <= 2 * _HIGH[column])
        table[:, column] = np.bincount(gap_chain[inside], minlength=chains.count)
        missing[:, column] = np.bincount(gap_chain[twice], minlength=chains.count)
    best = table.argmax(axis=1)
    each = np.arange(chains.count)
    in_band = table[each, best]
    in_band = in_band + np.where(in_band > 0, np.minimum(missing[each, best], 1), 0)
    gaps = np.maximum(count - 1, 1)
    share = 100 * in_band // gaps
    same = _steady(hit_chain, price[hit_row], chains.count)
    needed = np.where(best == _YEARLY, 2, 3)
    rhythmic = (count >= needed) & (in_band > 0) & (4 * in_band >= 3 * gaps)
    steady = _changes(hit_chain, price[hit_row], chains.count) <= np.maximum(1, count // 4)
    found = rhythmic & steady
    return Cadence(
        nominal=np.where(found, _PERIOD[best], 0),
        hits=count,
        share_percent=np.where(found, share, 0),
        same_price_hits=same,
        sure=found & (same >= _SURE_HITS[best]),
        mean_gap=np.bincount(gap_chain, gap, minlength=chains.count).astype(np.int64) // gaps,
        hit_keys=hit_keys,
    )


def _changes(chain: Ints, price: Ints, chains: int) -> Ints:
    """How often the price moved by more than 5 % from one hit of a chain to the next."""
    low = np.minimum(price[1:], price[:-1])
    high = np.maximum(price[1:], price[:-1])
    moved = (chain[1:] == chain[:-1]) & (high * 100 > low * 105)
    return np.bincount(chain[1:][moved], minlength=chains).astype(np.int64)


def _steady(chain: Ints, price: Ints, chains: int) -> Ints:
    """The longest number of hits of each chain that share one price cluster."""
    if chain.size == 0:
        return np.zeros(chains, dtype=np.int64)
    cluster = _clusters(chain, price)
    sizes = np.bincount(cluster)
    longest = np.zeros(chains, dtype=np.int64)
    np.maximum.at(longest, chain, sizes[cluster])
    return longest


def next_hit(cadence: Cadence, chain: Ints, start: Ints, nominal_stop: Ints) -> Ints:
    """The next invoice day of the same chain that continues a period, else the nominal end.

    It continues the period when it lies between two thirds of a period and one and a half
    after the start: anything sooner is another purchase, anything later a gap.
    """
    length = nominal_stop - start
    soonest = start + (2 * length + 2) // 3
    latest = start + 3 * length // 2
    at = np.searchsorted(cadence.hit_keys, chain * DAY_SPAN + soonest)
    safe = np.minimum(at, max(len(cadence.hit_keys) - 1, 0))
    if cadence.hit_keys.size == 0:
        return nominal_stop
    found_chain, found_day = np.divmod(cadence.hit_keys[safe], DAY_SPAN)
    near = (at < len(cadence.hit_keys)) & (found_chain == chain) & (found_day <= latest)
    return np.where(near, found_day, nominal_stop)
