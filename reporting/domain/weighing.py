"""How sure each subscription is, as a score with every sign that speaks for or against it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from reporting.domain.arrays import NO_DAY, Flags, Ints
from reporting.domain.cadence import Cadence
from reporting.domain.chains import unit_prices
from reporting.domain.evidence import Evidence
from reporting.domain.findings import Findings, Reason, Source, Status, Subscriptions, Sure
from reporting.domain.lines import Lines
from reporting.domain.said import Said
from reporting.domain.units import UNIT_WORDS

STEADY_PERCENT = 5
# Points of each sign; the total is held inside the range of the subscription's confidence.
DATES, WORD, UNIT, RHYTHM, SURE_RHYTHM, STEADY, VOTE, COUNTER = 35, 15, 15, 20, 10, 10, 10, -30
_RANGES = {Sure.LOW: (1, 39), Sure.MEDIUM: (40, 79), Sure.HIGH: (80, 99)}
MADE_CERTAIN, REFUSED = 100, 0
SIGN_CODES = (
    "dates_found",
    "rhythm_found",
    "unit_found",
    "word_found",
    "amount_spread",
    "product_vote",
    "counter_word",
)
"""The codes of `Signs.evidence`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Signs:
    """One row per subscription; counts are of its charges (lines above zero)."""

    score: Ints
    """0 to 100: below 40 low, below 80 medium confidence; 100 confirmed, 0 rejected."""
    renewal_percent: Ints
    """A person's word; else 100 for what runs or is to begin, 0 for what has a known end."""
    charges: Ints
    dated: Ints
    worded: Ints
    by_unit: Ints
    countered: Ints
    word: Ints
    unit: Ints
    counter: Ints
    """Of the latest charge that has one: indexes into the findings' words and `UNIT_WORDS`."""
    months: Ints
    """The nominal period of the subscription."""
    hits: Ints
    rhythm: Ints
    share: Ints
    """Of the cadence: invoice days, its nominal period, percent of gaps in the band."""
    spread: Ints
    """How far the highest unit price lies above the lowest, in percent."""
    recurring: Ints
    customers: Ints
    """Of the product's vote where it carried; else 0."""
    words: tuple[str, ...]

    def evidence(self, row: int) -> list[Reason]:
        """Every sign of one subscription, the weightiest first."""
        found: list[Reason] = []

        def say(code: str, **params: int | str) -> None:
            found.append(Reason(code, params))

        of = int(self.charges[row])
        if self.dated[row]:
            dated, months = int(self.dated[row]), int(self.months[row])
            say("dates_found", lines=dated, of=of, months=months)
        if self.share[row]:
            hits, months = int(self.hits[row]), int(self.rhythm[row])
            say("rhythm_found", hits=hits, months=months, share=int(self.share[row]))
        if self.by_unit[row]:
            unit = UNIT_WORDS[int(self.unit[row])]
            say("unit_found", unit=unit, lines=int(self.by_unit[row]), of=of)
        if self.worded[row]:
            word = self.words[int(self.word[row])]
            say("word_found", word=word, lines=int(self.worded[row]), of=of)
        if self.hits[row] > 1:
            say("amount_spread", percent=int(self.spread[row]))
        if self.customers[row]:
            recurring, customers = int(self.recurring[row]), int(self.customers[row])
            say("product_vote", recurring=recurring, customers=customers)
        if self.countered[row]:
            say("counter_word", word=self.words[int(self.counter[row])])
        return found


def weigh(
    lines: Lines,
    evidence: Evidence,
    cadence: Cadence,
    chain_of_line: Ints,
    said: Said,
    vote: tuple[Ints, Ints, Ints],
    findings: Findings,
    found: Subscriptions,
) -> Signs:
    """The signs of every subscription; `vote` as `votes.elected` gives it."""
    size = len(found)
    rows = found.line_order[lines.net[found.line_order] > 0]
    owner = findings.subscription[rows]
    chain = chain_of_line[found.best_line]

    def count(flags: Flags) -> Ints:
        return np.bincount(owner[flags[rows]], minlength=size).astype(np.int64)

    def latest(flags: Flags, values: Ints) -> Ints:
        last = np.zeros(size, dtype=np.int64)
        mine = rows[flags[rows]]
        last[findings.subscription[mine]] = values[mine]
        return last

    charges = np.maximum(np.bincount(owner, minlength=size).astype(np.int64), 1)
    dated = evidence.date_source != Source.NONE
    worded, unit, counter = evidence.word >= 0, evidence.unit_period != 0, evidence.counter >= 0
    spread = _spread(unit_prices(lines)[rows], owner, size)
    _, recurring, customers = (column[found.product_key] for column in vote)
    share = cadence.share_percent[chain]
    signs = Signs(
        score=np.zeros(size, dtype=np.int64),
        renewal_percent=_renewal(said, chain, found),
        charges=charges,
        dated=count(dated),
        worded=count(worded),
        by_unit=count(unit),
        countered=count(counter),
        word=latest(worded, evidence.word),
        unit=latest(unit, lines.unit.astype(np.int64)),
        counter=latest(counter, evidence.counter),
        months=found.period,
        hits=cadence.hits[chain],
        rhythm=cadence.nominal[chain],
        share=share,
        spread=spread,
        recurring=recurring,
        customers=customers,
        words=evidence.words,
    )
    points = (DATES * signs.dated + WORD * signs.worded + UNIT * signs.by_unit) // charges
    points += RHYTHM * share // 100 + SURE_RHYTHM * cadence.sure[chain]
    points += STEADY * ((spread <= STEADY_PERCENT) & (signs.hits > 1)) + VOTE * (customers > 0)
    points += COUNTER * signs.countered // charges
    signs.score[:] = _ranged(points, found)
    return signs


def _ranged(points: Ints, found: Subscriptions) -> Ints:
    """Points as a share of the range that the confidence allows."""
    most = DATES + WORD + UNIT + RHYTHM + SURE_RHYTHM + STEADY + VOTE
    score = np.zeros(len(points), dtype=np.int64)
    for sure, (low, high) in _RANGES.items():
        mine = found.confidence == sure
        score[mine] = low + (high - low) * np.clip(points[mine], 0, most) // most
    score[found.confirmed] = MADE_CERTAIN
    score[found.status == Status.REJECTED] = REFUSED
    return score


def _renewal(said: Said, chain: Ints, found: Subscriptions) -> Ints:
    ends = said.end[chain] != NO_DAY
    ends |= np.isin(found.status, (Status.CHURNED, Status.PAUSED, Status.REJECTED))
    return np.where(said.renewal[chain] >= 0, said.renewal[chain], np.where(ends, 0, 100))


def _spread(price: Ints, owner: Ints, size: int) -> Ints:
    low = np.full(size, np.iinfo(np.int64).max)
    high = np.zeros(size, dtype=np.int64)
    np.minimum.at(low, owner, price)
    np.maximum.at(high, owner, price)
    return np.where(high > 0, 100 * (high - np.minimum(low, high)) // np.maximum(low, 1), 0)
