"""Chains of invoices: who bought what how often, and at one price or several.

A group is (customer, product, currency). Inside it, lines of one unit price (within 5 %)
form a cluster. Clusters that follow one another are one chain whose price changed; clusters
that alternate are chains side by side (three yearly contracts are not one quarterly one).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from reporting.domain.arrays import Flags, Ints, as_int64
from reporting.domain.choices import Decision, SubscriptionKey
from reporting.domain.lines import Lines, product_refs
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
_PERIOD = np.array([band[2] for band in BANDS])
_YEARLY = len(BANDS) - 1
# A year costs as much as so many months, and is billed this much more rarely.
YEAR_OF_MONTHS = (9.5, 12.5)
YEARLY_AMONG = 6
YEAR_DAYS, MOST_CONTRACTS, RENEWAL_PERCENT = 365, 6, 15
"""Of yearly contracts side by side: as many a year at most, renewed at a price so much off."""
LEAP_PERCENT = 50
_SURE_HITS = np.array([4, 4, 4, 4, 3, 3, 10**9])
"""Hits at one price that make a cadence certain; a yearly one never is by itself."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Chains:
    """One chain per (group, cluster side by side)."""

    of_line: Ints
    group_of_line: Ints
    group_of_chain: Ints
    band: Ints
    """0 for the only chain of a group, else its first unit price."""
    years_worth: Flags
    """Its price is that of a year of the group's monthly chain."""
    first_line: Ints
    """A line that names the chain's customer, product and currency."""
    part_of_line: Ints
    """The chain of each line before people's words merged some."""
    count: int
    own: tuple[SubscriptionKey, ...] = ()
    """Keys of the last chains: those that exist by people's words alone."""


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


def build_chains(lines: Lines, hits: Flags, decisions: Sequence[Decision] = ()) -> Chains:
    """Chains of all lines; only `hits` (positive, not credited in full) shape the clusters.

    A group of which people named a part (a band) stays split however its rhythm changes.
    """
    group, first = codes(lines.customer_id, lines.product_key, lines.currency)
    groups = len(first)
    rows = np.flatnonzero(hits)
    price = unit_prices(lines)
    rows = rows[_varied(group[rows], price[rows], groups)]
    cluster = _clusters(group[rows], price[rows])
    years = _years_worth(lines, group, rows, cluster)
    apart = _named_apart(lines, first, decisions)
    apart[group[rows[years[cluster]]]] = True
    split = _split_groups(lines, group, rows, cluster, apart)
    inside = split[group[rows]]
    if not inside.any():
        return Chains(
            of_line=group,
            group_of_line=group,
            group_of_chain=np.arange(groups, dtype=np.int64),
            band=np.zeros(groups, dtype=np.int64),
            years_worth=np.zeros(groups, dtype=np.bool_),
            first_line=first,
            part_of_line=group,
            count=groups,
        )
    return _side_by_side(lines, group, first, rows[inside], cluster[inside], split, years)


def _side_by_side(
    lines: Lines,
    group: Ints,
    first: Ints,
    rows: NDArray[np.intp],
    cluster: Ints,
    split: Flags,
    years: Flags,
) -> Chains:
    """Chains where some groups are split: theirs come after those of whole groups."""
    groups, price = len(first), unit_prices(lines)
    order = np.lexsort((lines.line_id[rows], lines.invoice_day[rows], cluster))
    rows, cluster = rows[order], cluster[order]
    own, opening, part = np.unique(cluster, return_index=True, return_inverse=True)
    of_line = group.copy()
    of_line[rows] = groups + part
    lost = np.flatnonzero(split[group] & (of_line < groups))
    of_line[lost] = of_line[_earlier_hit(lines, group, lost, rows)]
    kept = np.append(~split, np.ones(len(opening), dtype=np.bool_))
    number = np.cumsum(kept) - 1
    first_line = np.append(first, rows[opening])[kept]
    band = np.append(np.zeros(groups, dtype=np.int64), np.maximum(price[rows[opening]], 1))
    of_line = number[of_line]
    return Chains(
        of_line=of_line,
        part_of_line=of_line,
        group_of_line=group,
        group_of_chain=group[first_line],
        band=band[kept],
        years_worth=np.append(np.zeros(groups, dtype=np.bool_), years[own])[kept],
        first_line=first_line,
        count=int(kept.sum()),
    )


def _varied(group: Ints, price: Ints, groups: int) -> Flags:
    """Rows of groups that know more than one price."""
    low = np.full(groups, np.iinfo(np.int64).max)
    high = np.zeros(groups, dtype=np.int64)
    np.minimum.at(low, group, price)
    np.maximum.at(high, group, price)
    varied: Flags = high > low + low // 20
    return varied[group]


def _earlier_hit(lines: Lines, group: Ints, lost: Ints, rows: NDArray[np.intp]) -> Ints:
    """For each lost row the latest hit of its group up to its day, else the group's first."""
    order = rows[np.lexsort((lines.line_id[rows], lines.invoice_day[rows], group[rows]))]
    keys = group[order] * DAY_SPAN + lines.invoice_day[order]
    wanted = group[lost] * DAY_SPAN + lines.invoice_day[lost]
    at = np.searchsorted(keys, wanted, side="right") - 1
    other = (at < 0) | (group[order[np.maximum(at, 0)]] != group[lost])
    return order[np.where(other, at + 1, at)]


def _clusters(group: Ints, price: Ints) -> Ints:
    """Cluster codes: neighbours in price within 5 % belong together."""
    order = np.lexsort((price, group))
    g, p = group[order], price[order]
    new = np.ones(len(order), dtype=np.bool_)
    new[1:] = (g[1:] != g[:-1]) | (p[1:] * 100 > p[:-1] * 105)
    cluster = np.empty(len(order), dtype=np.int64)
    cluster[order] = np.cumsum(new) - 1
    return cluster


def _years_worth(lines: Lines, group: Ints, rows: NDArray[np.intp], cluster: Ints) -> Flags:
    """Clusters at ten to twelve times the price of their group's monthly one: a year each."""
    count = int(cluster.max(initial=-1)) + 1
    years = np.zeros(count, dtype=np.bool_)
    if not count:
        return years
    hits = np.bincount(cluster, minlength=count)
    price = np.bincount(cluster, unit_prices(lines)[rows], count) / hits
    own = group[rows[np.unique(cluster, return_index=True)[1]]]
    order = np.lexsort((hits, own))
    last = np.append(own[order][1:] != own[order][:-1], True)
    base = np.zeros(int(own.max()) + 1, dtype=np.int64)
    base[own[order][last]] = order[last]
    base = base[own]
    low, high = YEAR_OF_MONTHS
    years = (price >= low * price[base]) & (price <= high * price[base])
    years &= YEARLY_AMONG * hits <= hits[base]
    if years.any():
        owner = np.zeros(len(lines), dtype=np.int64)
        owner[rows] = cluster
        asked = rows[np.isin(cluster, base[years])]
        years &= rhythm(lines, asked, owner, count).nominal[base] == 1
    return years


def _named_apart(lines: Lines, first: Ints, decisions: Sequence[Decision]) -> Flags:
    """Groups of which a person named a part."""
    named = {one.key[:3] for one in decisions if one.key.band}
    apart = np.zeros(len(first), dtype=np.bool_)
    if not named:
        return apart
    refs = product_refs(lines)
    customers = lines.customer_id[first]
    for place in np.flatnonzero(np.isin(customers, [customer for customer, _, _ in named])):
        row = first[place]
        product, currency = refs[lines.product_key[row]], lines.currencies[lines.currency[row]]
        apart[place] = (int(customers[place]), product, currency) in named
    return apart


def _split_groups(
    lines: Lines, group: Ints, rows: NDArray[np.intp], cluster: Ints, apart: Flags
) -> Flags:
    """Groups whose clusters alternate rather than follow one another, or that are `apart`.

    One cluster can leave and come back (a campaign of some months), so a group with k
    clusters is taken as one chain up to 2 (k - 1) changes of price, and always when its
    days and their sums keep a rhythm (one month's fee split over two rows).
    """
    groups = len(apart)
    own, day = group[rows], as_int64(lines.invoice_day[rows])
    kinds = np.bincount(own[np.unique(cluster, return_index=True)[1]], minlength=groups)
    order = np.flatnonzero(kinds[own] > 1)
    order = order[np.lexsort((cluster[order], day[order], own[order]))]
    g, c, d = own[order], cluster[order], day[order]
    same_hit = (g[1:] == g[:-1]) & (c[1:] == c[:-1]) & (d[1:] == d[:-1])
    kept = np.append(True, ~same_hit) if order.size else np.zeros(0, dtype=np.bool_)
    g, c = g[kept], c[kept]
    turns = g[1:][(g[1:] == g[:-1]) & (c[1:] != c[:-1])]
    changes = np.bincount(turns, minlength=groups)
    split = changes > 2 * np.maximum(kinds - 1, 0)
    if split.any():
        doubtful = np.zeros(len(lines), dtype=np.bool_)
        doubtful[rows] = split[own]
        split &= rhythm(lines, np.flatnonzero(doubtful), group, groups).nominal == 0
    return split | (apart & (kinds > 1))


def find_cadence(lines: Lines, chains: Chains, hits: Flags) -> Cadence:
    """The rhythm of each chain's invoice days.

    Where all invoices come again a year later at their price, and no shorter rhythm is unbroken,
    they are yearly contracts side by side.
    """
    found = rhythm(lines, np.flatnonzero(hits), chains.of_line, chains.count)
    yearly = _yearly_side_by_side(lines, chains, hits, found)
    if not yearly.any():
        return found
    return replace(
        found,
        nominal=np.where(yearly, _PERIOD[_YEARLY], found.nominal),
        share_percent=np.where(yearly, 100, found.share_percent),
        sure=found.sure & ~yearly,
    )


def _yearly_side_by_side(lines: Lines, chains: Chains, hits: Flags, found: Cadence) -> Flags:
    owner, day = np.divmod(found.hit_keys, DAY_SPAN)
    first, last = np.full(chains.count, DAY_SPAN), np.zeros(chains.count, dtype=np.int64)
    np.minimum.at(first, owner, day)
    np.maximum.at(last, owner, day)
    low, high, _ = BANDS[_YEARLY]
    asked = (found.hits >= 4) & (found.share_percent < 100) & (last - first >= high)
    asked &= found.hits * YEAR_DAYS <= MOST_CONTRACTS * (last - first + YEAR_DAYS)
    if not asked.any():
        return asked
    rows = np.flatnonzero(hits & asked[chains.of_line])
    chain, on = chains.of_line[rows], as_int64(lines.invoice_day[rows])
    keys, at = np.unique(chain * DAY_SPAN + on, return_inverse=True)
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
    judged = np.bincount(owner[before], minlength=chains.count) >= 2
    return asked & judged & (np.bincount(owner[lacks], minlength=chains.count) == 0)


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
    varied = _varied(owner, price, owners)
    if varied.any():
        own = owner[varied]
        cluster = _clusters(own, price[varied])
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
