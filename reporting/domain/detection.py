"""Which lines are subscriptions, for which period, how sure, and why.

Layers, each a function of the ones before it: the person's word, stated dates, words and
units, cadence, the vote of the product's customers, and a score with its reasons.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from reporting.domain.arrays import NEVER, Flags, Ints
from reporting.domain.cadence import Cadence, find_cadence
from reporting.domain.chains import Chains, build_chains
from reporting.domain.choices import Settings, UserWords
from reporting.domain.credits import link_full_credits
from reporting.domain.draft import Draft
from reporting.domain.evidence import MARKS, Evidence, gather
from reporting.domain.findings import Findings, LineType, Source, Subscriptions, Sure, Why
from reporting.domain.lines import Lines
from reporting.domain.links import join, link
from reporting.domain.negatives import settle_negatives
from reporting.domain.said import (
    MARK_TYPES,
    apply_lines,
    apply_said,
    confirm_lines,
    find_said,
)
from reporting.domain.spans import give_periods
from reporting.domain.subscriptions import finish
from reporting.domain.votes import JUDGED_HITS, Tallies, Vote, elected, vote_tallies, votes
from reporting.domain.weighing import Signs, weigh

_DATE_REASON = {
    Source.ROW_DATES: Why.ROW_DATES,
    Source.DELIVERY: Why.DELIVERY_DATES,
    Source.TEXT: Why.TEXT_DATES,
}


class Detected(NamedTuple):
    """What detection makes of some customers' lines."""

    findings: Findings
    subscriptions: Subscriptions
    signs: Signs
    tallies: Tallies


def detect(
    lines: Lines,
    words: UserWords,
    settings: Settings,
    unpaid_until: Ints | None = None,
    voted: Mapping[str, Vote] | None = None,
) -> Detected:
    """A finding for every line, the subscriptions that they form, and why.

    `unpaid_until` has the day, by line, from which it no longer counts; without it all count.
    `voted` is the vote on products where the lines are not those of all customers; without it
    the lines' own customers vote. Else each customer is judged by its own lines alone.
    """
    evidence = gather(lines, words)
    credits = link_full_credits(lines)
    hits = (lines.net > 0) & ~credits.cancelled & ~lines.is_credit
    chains = link(lines, build_chains(lines, hits, words.decisions), hits, words)
    cadence = find_cadence(lines, hits, chains.of_line, chains.count)
    said = find_said(lines, chains, words)
    draft = _judge(lines, evidence, chains, cadence)
    tallies = vote_tallies(lines, chains, cadence, draft)
    vote = elected(lines, votes(tallies) if voted is None else voted)
    by_vote = _follow_vote(lines, evidence, cadence, vote, draft)
    give_periods(lines, hits, evidence, chains, cadence, by_vote, said, settings, draft)
    _raise_by_company(lines, evidence, chains, draft)
    confirm_lines(lines, said, draft)
    apply_lines(lines, words.lines, draft)
    settle_negatives(lines, evidence, credits, chains, draft)
    apply_said(lines, chains, said, draft)
    apply_lines(lines, words.lines, draft)
    join(lines, chains, settings, credits.cancelled, draft)
    if unpaid_until is None:
        unpaid_until = np.full(len(lines), NEVER, dtype=np.int64)
    findings, found = finish(lines, draft, chains, said, settings, credits.cancelled, unpaid_until)
    signs = weigh(lines, evidence, cadence, draft.chain, said, vote, findings, found)
    return Detected(findings, found, signs, tallies)


def _follow_vote(
    lines: Lines, evidence: Evidence, cadence: Cadence, vote: tuple[Ints, Ints, Ints], draft: Draft
) -> Ints:
    """Propose lines without any sign, of histories too short to judge, whose product recurs.

    Returns the period of the vote for each such line, else 0.
    """
    period, recurring, customers = (column[lines.product_key] for column in vote)
    young = cadence.hits[draft.chain] < JUDGED_HITS
    rows = (period != 0) & young & (draft.why == Why.NO_SIGN) & (evidence.mark == 0)
    rows &= lines.net > 0
    draft.set_type(rows, LineType.SUBSCRIPTION)
    draft.explain(rows, Why.PRODUCT_VOTE, recurring, customers)
    return np.where(rows, period, 0)


def _judge(lines: Lines, evidence: Evidence, chains: Chains, cadence: Cadence) -> Draft:
    """Type, confidence and reason of every line from its own signs and its chain's rhythm."""
    draft = Draft.blank(len(lines), chains.of_line.copy(), evidence.words)
    chain = draft.chain
    dated = evidence.date_source != Source.NONE
    worded = evidence.word >= 0
    counter = evidence.counter >= 0
    by_unit = evidence.unit_period != 0
    by_long_unit = evidence.unit_period > 0
    rhythm = (cadence.nominal[chain] != 0) | chains.years_worth[chain]
    sure_rhythm = cadence.sure[chain]
    against = evidence.work_unit | (counter & ~by_unit & ~(worded & sure_rhythm))
    usage = (evidence.usage >= 0) | evidence.metered

    draft.set_type(dated | worded | by_unit | rhythm, LineType.SUBSCRIPTION)
    medium = rhythm | by_unit | (worded & (dated | (evidence.word_period != 0))) | evidence.in_band
    high = evidence.in_band | (by_long_unit & worded) | sure_rhythm
    draft.sure[medium] = Sure.MEDIUM
    draft.sure[high & ~counter & ~evidence.work_unit] = Sure.HIGH

    length, nominal = evidence.end - evidence.start, evidence.nominal
    draft.explain(worded, Why.WORD, evidence.word, evidence.word_period)
    draft.explain(by_unit, Why.UNIT, lines.unit, evidence.unit_period)
    _explain_dates(draft, dated, evidence, length, nominal)
    draft.explain(rhythm, Why.CADENCE, cadence.hits[chain], cadence.nominal[chain])
    draft.explain(by_long_unit & worded, Why.UNIT_AND_WORD, evidence.word, evidence.unit_period)
    _explain_dates(draft, evidence.in_band, evidence, length, nominal)

    draft.set_type(against, LineType.ONE_OFF)
    draft.explain(counter & against, Why.COUNTER_WORD, evidence.counter)
    draft.explain(evidence.work_unit, Why.WORK_UNIT, lines.unit)
    draft.set_type(usage, LineType.USAGE)
    draft.explain(usage, Why.METERED, evidence.usage)
    draft.set_type(evidence.not_service >= 0, LineType.IGNORE)
    draft.explain(evidence.not_service >= 0, Why.NOT_SERVICE, evidence.not_service)
    _obey_marks(evidence, draft)
    return draft


def _explain_dates(
    draft: Draft, rows: Flags, evidence: Evidence, length: Ints, nominal: Ints
) -> None:
    for source, why in _DATE_REASON.items():
        draft.explain(rows & (evidence.date_source == source), why, length, nominal)


def _obey_marks(evidence: Evidence, draft: Draft) -> None:
    for number, mark in enumerate(MARKS):
        if mark is None:
            continue
        rows = evidence.mark == number
        draft.set_type(rows, MARK_TYPES[mark])
        draft.explain(rows, Why.USER_MARK)
        draft.sure[rows] = Sure.HIGH


def _raise_by_company(lines: Lines, evidence: Evidence, chains: Chains, draft: Draft) -> None:
    """Lines that stand beside certain ones are certain too.

    A line with a period of its own in a group that holds a certain line (an odd first period),
    and a dated line that ends on the same day as a certain line of its customer (a difference
    billed for the rest of the term).
    """
    service = draft.type == LineType.SUBSCRIPTION
    certain = service & (draft.sure == Sure.HIGH)
    open_rows = service & ~certain & (evidence.counter < 0) & (draft.source <= Source.CADENCE)
    if not open_rows.any():
        return
    group = chains.group_of_line
    certain_groups = np.zeros(int(group.max()) + 1, dtype=np.bool_)
    certain_groups[group[certain]] = True
    raised = open_rows & certain_groups[group]
    dated = open_rows & ~raised & (evidence.date_source != Source.NONE)
    rows = np.flatnonzero(dated)
    if rows.size:
        ends = set(
            zip(lines.customer_id[certain].tolist(), draft.end[certain].tolist(), strict=True)
        )
        pairs = zip(lines.customer_id[rows].tolist(), draft.end[rows].tolist(), strict=True)
        raised[rows] = [pair in ends for pair in pairs]
    draft.sure[raised] = Sure.HIGH
