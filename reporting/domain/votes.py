"""What a product's customers together say of it: that it recurs, and how often.

A customer votes once its history of the product can be judged: three invoices, or a rhythm.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from reporting.domain.arrays import Ints, codes
from reporting.domain.cadence import Cadence
from reporting.domain.chains import Chains
from reporting.domain.draft import Draft
from reporting.domain.findings import LineType
from reporting.domain.lines import Lines, product_refs
from reporting.domain.periods import TWO_WEEKS, WEEK

PERIODS = (WEEK, TWO_WEEKS, 1, 2, 3, 6, 12)
CUSTOMERS, PERCENT = 3, 60
JUDGED_HITS = 3
Tallies = Mapping[str, Ints]
"""By product ref: the customers that vote, then those who call it recurring by `PERIODS`.

The tallies of several customers' lines are the sums of each one's.
"""


class Vote(NamedTuple):
    """One product's vote."""

    recurring: int
    customers: int
    period: int
    """The commonest period of those who call it recurring."""

    @property
    def carried(self) -> bool:
        """Enough customers agree to suggest that the product recurs."""
        return self.customers >= CUSTOMERS and 100 * self.recurring >= PERCENT * self.customers


def vote_tallies(lines: Lines, chains: Chains, cadence: Cadence, draft: Draft) -> Tallies:
    """The vote of the lines' customers; a rhythm of work, usage or fees is not called recurring."""
    if not len(lines):
        return {}
    first = chains.first_line
    service = np.zeros(chains.count, dtype=np.bool_)
    service[draft.chain[draft.type == LineType.SUBSCRIPTION]] = True
    recurring = service & (cadence.nominal != 0)
    judged = np.flatnonzero(recurring | (cadence.hits >= JUDGED_HITS))
    # Of a customer's chains of one product the recurring one with the most invoices votes.
    rank = judged[np.lexsort((judged, cadence.hits[judged], recurring[judged]))]
    voter, _ = codes(lines.customer_id[first[rank]], lines.product_key[first[rank]])
    last = np.zeros(int(voter.max(initial=-1)) + 1, dtype=np.int64)
    last[voter] = rank
    table = np.zeros((len(lines.product_names), 1 + len(PERIODS)), dtype=np.int64)
    product = lines.product_key[first[last]]
    table[:, 0] = np.bincount(product, minlength=len(table))
    place = np.searchsorted(np.sort(PERIODS), cadence.nominal[last])
    calls = np.flatnonzero(recurring[last])
    np.add.at(table, (product[calls], 1 + _ORDER[place[calls]]), 1)
    refs = product_refs(lines)
    return {refs[key]: table[key] for key in np.flatnonzero(table[:, 0]).tolist()}


_ORDER = np.argsort(PERIODS)


def votes(tallies: Tallies) -> dict[str, Vote]:
    """The vote on each product that anybody votes on."""
    return {
        ref: Vote(int(row[1:].sum()), int(row[0]), PERIODS[int(row[1:].argmax())])
        for ref, row in tallies.items()
    }


def elected(lines: Lines, found: Mapping[str, Vote]) -> tuple[Ints, Ints, Ints]:
    """By product key: period, recurring and customers of the votes that carried; else 0."""
    table = np.zeros((3, max(len(lines.product_names), 1)), dtype=np.int64)
    carried = {ref: vote for ref, vote in found.items() if vote.carried}
    if carried:
        for key, ref in enumerate(product_refs(lines)):
            if ref in carried:
                vote = carried[ref]
                table[:, key] = vote.period, vote.recurring, vote.customers
    return table[0], table[1], table[2]
