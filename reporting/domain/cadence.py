"""The rhythm of invoice days: which period they keep, and how surely."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from reporting.domain.arrays import Flags, Ints
from reporting.domain.lines import Lines
from reporting.domain.periods import TWO_WEEKS, WEEK

DAY_SPAN = 1 << 20
"""Keys of days are owner * DAY_SPAN + day."""
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
_PERIOD = np.array([band[2] for band in BANDS])
_YEARLY = len(BANDS) - 1
_SURE_HITS = np.array([4, 4, 4, 4, 3, 3, 10**9])
"""Hits at one price that make a cadence certain; a yearly one never is by itself."""
LEAP_PERCENT = 50
"""How far a sum moves from one invoice to the next where quantities are use."""
YEAR_DAYS, MOST_CONTRACTS, RENEWAL_PERCENT = 365, 6, 15
"""Of yearly contracts side by side: as many a year at most, renewed at a price so much off."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cadence:
    """Per chain; `nominal` is 0 where the dates show no rhythm."""

    nominal: Ints
    hits: Ints
    share_percent: Ints
    sure: Flags
    """Enough hits at one price to count without a person's word."""
    mean_gap: Ints
    """Whole days between hits on average; 0 for a single hit."""
    hit_keys: Ints
    """Sorted chain * DAY_SPAN + day of every distinct invoice day of every chain."""


def find_cadence(lines: Lines, hits: Flags, chain: Ints, chains: int) -> Cadence:
    """The rhythm of each chain's invoice days.

    Where all invoices come again a year later at their price, and no shorter rhythm is unbroken,
    they are yearly contracts side by side.
    """
    found = rhythm(lines, np.flatnonzero(hits), chain, chains)
    yearly = _yearly_side_by_side(lines, hits, chain, found)
    if not yearly.any():
        return found
    return replace(
        found,
        nominal=np.where(yearly, _PERIOD[_YEARLY], found.nominal),
        share_percent=np.where(yearly, 100, found.share_percent),
        sure=found.sure & ~yearly,
    )


def _yearly_side_by_side(lines: Lines, hits: Flags, chain: Ints, found: Cadence) -> Flags:
    owner, day = np.divmod(found.hit_keys, DAY_SPAN)
    chains = len(found.hits)
    first, last = np.full(chains, DAY_SPAN), np.zeros(chains, dtype=np.int64)
    np.minimum.at(first, owner, day)
    np.maximum.at(last, owner, day)
    low, high, _ = BANDS[_YEARLY]
    often = found.hits * YEAR_DAYS > MOST_CONTRACTS * (last - first + YEAR_DAYS)
    asked: Flags = (found.hits >= 4) & (found.share_percent < 100) & (last - first >= high) & ~often
    if not asked.any():
        return asked
    rows = np.flatnonzero(hits & asked[chain])
    keys, at = np.unique(chain[rows] * DAY_SPAN + lines.invoice_day[rows], return_inverse=True)
    owner, day = np.divmod(keys, DAY_SPAN)
    again = np.zeros(len(keys), dtype=np.bool_)
    before = again.copy()
    for price in _hit_prices(lines, rows, at, len(keys)):
        earlier = np.searchsorted(keys, keys - high)
        near = (keys[earlier] <= keys - low) & (owner[earlier] == owner)
        near &= 100 * np.abs(price - price[earlier]) <= RENEWAL_PERCENT * price
        before |= near
        again[earlier[near]] = True
    lacks = (~before & (day > first[owner] + high)) | (~again & (day < last[owner] - high))
    judged = np.bincount(owner[before], minlength=chains) >= 2
    yearly: Flags = asked & judged & (np.bincount(owner[lacks], minlength=chains) == 0)
    return yearly


def varied(group: Ints, price: Ints, groups: int) -> Flags:
    """Rows of groups that know more than one price."""
    low = np.full(groups, np.iinfo(np.int64).max)
    high = np.zeros(groups, dtype=np.int64)
    np.minimum.at(low, group, price)
    np.maximum.at(high, group, price)
    several: Flags = high > low + low // 20
    return several[group]


def clusters(group: Ints, price: Ints) -> Ints:
    """Cluster codes: neighbours in price within 5 % belong together."""
    order = np.lexsort((price, group))
    g, p = group[order], price[order]
    new = np.ones(len(order), dtype=np.bool_)
    new[1:] = (g[1:] != g[:-1]) | (p[1:] * 100 > p[:-1] * 105)
    cluster = np.empty(len(order), dtype=np.int64)
    cluster[order] = np.cumsum(new) - 1
    return cluster


def rhythm(lines: Lines, rows: NDArray[np.intp], owner: Ints, owners: int) -> Cadence:
    """The rhythm of the days on which each owner (a chain or a group) was invoiced."""
    keys, at = np.unique(owner[rows] * DAY_SPAN + lines.invoice_day[rows], return_inverse=True)
    hit_owner, hit_day = np.divmod(keys, DAY_SPAN)
    count = np.bincount(hit_owner, minlength=owners).astype(np.int64)
    linked = hit_owner[1:] == hit_owner[:-1]
    gap = np.diff(hit_day)[linked]
    best, in_band = _best_band(gap, hit_owner[1:][linked], owners)
    gaps = np.maximum(count - 1, 1)
    needed = np.where(best == _YEARLY, 2, 3)
    regular = (count >= needed) & (in_band > 0) & (4 * in_band >= 3 * gaps)
    allowed, same = np.maximum(1, count // 4), np.zeros(owners, dtype=np.int64)
    steady = np.zeros(owners, dtype=np.bool_)
    per_unit, in_all = _hit_prices(lines, rows, at, len(keys))
    # What is bought in ever other quantities is use, however even its price.
    leaps = 2 * _changes(hit_owner, in_all, owners, LEAP_PERCENT) > count
    for price in (per_unit, in_all):
        calm = (_changes(hit_owner, price, owners) <= allowed) & ~leaps
        same = np.where(calm, np.maximum(same, _same_price(hit_owner, price, owners)), same)
        steady |= calm
    found = regular & steady
    return Cadence(
        nominal=np.where(found, _PERIOD[best], 0),
        hits=count,
        share_percent=np.where(found, 100 * in_band // gaps, 0),
        sure=found & (same >= _SURE_HITS[best]),
        mean_gap=np.bincount(hit_owner[1:][linked], gap, owners).astype(np.int64) // gaps,
        hit_keys=keys,
    )


def _best_band(gap: Ints, owner: Ints, owners: int) -> tuple[Ints, Ints]:
    """Each owner's commonest band and its gaps in it; one gap of twice the length is forgiven."""
    table = np.zeros((len(BANDS), owners), dtype=np.int64)
    missing = np.zeros_like(table)
    for row, (low, high, _) in enumerate(BANDS):
        inside = (gap >= low) & (gap <= high)
        twice = (gap >= 2 * low) & (gap <= 2 * high)
        table[row] = np.bincount(owner[inside], minlength=owners)
        missing[row] = np.bincount(owner[twice], minlength=owners)
    best = table.argmax(axis=0)
    each = np.arange(owners)
    in_band = table[best, each]
    forgiven = np.where(in_band > 0, np.minimum(missing[best, each], 1), 0)
    return best, in_band + forgiven


def _hit_prices(lines: Lines, rows: NDArray[np.intp], at: Ints, hits: int) -> tuple[Ints, Ints]:
    """Two prices of each hit: per unit, which more users leave alone, and in all."""
    net, quantity = np.zeros(hits, dtype=np.int64), np.zeros(hits, dtype=np.int64)
    np.add.at(net, at, lines.net[rows])
    np.add.at(quantity, at, np.maximum(lines.quantity_e4[rows], 0))
    return net * 1_000_000 // np.where(quantity > 0, quantity, 10_000), net


def _changes(owner: Ints, price: Ints, owners: int, percent: int = 5) -> Ints:
    """How often the price moved by more than so much from one hit to the next."""
    low = np.minimum(price[1:], price[:-1])
    high = np.maximum(price[1:], price[:-1])
    moved = (owner[1:] == owner[:-1]) & (high * 100 > low * (100 + percent))
    return np.bincount(owner[1:][moved], minlength=owners).astype(np.int64)


def _same_price(owner: Ints, price: Ints, owners: int) -> Ints:
    """The largest number of hits of each owner that share one price cluster."""
    longest = np.bincount(owner, minlength=owners).astype(np.int64)
    several = varied(owner, price, owners)
    if several.any():
        own = owner[several]
        cluster = clusters(own, price[several])
        longest[own] = 0
        np.maximum.at(longest, own, np.bincount(cluster)[cluster])
    return longest


def next_hit(cadence: Cadence, chain: Ints, start: Ints, nominal_stop: Ints) -> Ints:
    """The next invoice day of the same chain that continues a period, else the nominal end.

    It continues the period from ten days, or a tenth of the period, before its end up to one
    and a half periods after its start: anything sooner is another purchase, anything later
    a gap.
    """
    length = nominal_stop - start
    soonest = nominal_stop - np.maximum(np.minimum(length // 3, 10), length // 10)
    latest = start + 3 * length // 2
    at = np.searchsorted(cadence.hit_keys, chain * DAY_SPAN + soonest)
    safe = np.minimum(at, max(len(cadence.hit_keys) - 1, 0))
    if cadence.hit_keys.size == 0:
        return nominal_stop
    found_chain, found_day = np.divmod(cadence.hit_keys[safe], DAY_SPAN)
    near = (at < len(cadence.hit_keys)) & (found_chain == chain) & (found_day <= latest)
    return np.where(near, found_day, nominal_stop)
