"""Chains of invoices: who bought what how often, and at one price or several.

A group is (customer, product, currency). Inside it, lines of one unit price (within 5 %)
form a cluster. Clusters that follow one another are one chain whose price changed; clusters
that alternate are chains side by side (three yearly contracts are not one quarterly one).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from reporting.domain.arrays import Flags, Ints, as_int64, codes
from reporting.domain.cadence import DAY_SPAN, clusters, rhythm, varied
from reporting.domain.choices import Decision, SubscriptionKey
from reporting.domain.lines import Lines, product_refs

# A year costs as much as so many months, and is billed this much more rarely.
YEAR_OF_MONTHS = (9.5, 12.5)
YEARLY_AMONG = 6


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
    rows = rows[varied(group[rows], price[rows], groups)]
    cluster = clusters(group[rows], price[rows])
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
    order = np.lexsort((lines.place[rows], lines.invoice_day[rows], cluster))
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


def _earlier_hit(lines: Lines, group: Ints, lost: Ints, rows: NDArray[np.intp]) -> Ints:
    """For each lost row the latest hit of its group up to its day, else the group's first."""
    order = rows[np.lexsort((lines.place[rows], lines.invoice_day[rows], group[rows]))]
    keys = group[order] * DAY_SPAN + lines.invoice_day[order]
    wanted = group[lost] * DAY_SPAN + lines.invoice_day[lost]
    at = np.searchsorted(keys, wanted, side="right") - 1
    other = (at < 0) | (group[order[np.maximum(at, 0)]] != group[lost])
    return order[np.where(other, at + 1, at)]


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
