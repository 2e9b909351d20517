"""People's words laid on the chains and lines that they name."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from reporting.domain.arrays import NO_DAY, Flags, Ints
from reporting.domain.chains import Chains, unit_prices
from reporting.domain.choices import NAMED, OWN, Decision, LineWord, Mark, UserWords, Verdict
from reporting.domain.draft import Draft
from reporting.domain.findings import LineType, Source, Sure, Why
from reporting.domain.lines import Lines, product_refs
from reporting.domain.links import Named
from reporting.domain.periods import day_number, months_between, nearest_nominal
from reporting.domain.texts import normalised_product

MARK_TYPES = {
    Mark.RECURRING: LineType.SUBSCRIPTION,
    Mark.ONE_OFF: LineType.ONE_OFF,
    Mark.USAGE: LineType.USAGE,
    Mark.IGNORE: LineType.IGNORE,
}
_UNSAID = -1


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """What people said about each chain."""

    confirmed: Flags
    rejected: Flags
    paused: Flags
    period: Ints
    """Nominal months, 0 where nothing was said."""
    start: Ints
    end: Ints
    """NO_DAY where nothing was said."""
    renewal: Ints
    """Percent, -1 where nothing was said."""

    @classmethod
    def nothing(cls, count: int) -> Said:
        def full(value: int) -> Ints:
            return np.full(count, value, dtype=np.int64)

        none = np.zeros(count, dtype=np.bool_)
        return cls(
            confirmed=none,
            rejected=none.copy(),
            paused=none.copy(),
            period=full(0),
            start=full(NO_DAY),
            end=full(NO_DAY),
            renewal=full(_UNSAID),
        )


def find_said(lines: Lines, chains: Chains, words: UserWords) -> Said:
    """Decisions laid on the chains they name; a key with band 0 names a whole group.

    A decision on one band is obeyed after one on the whole group, so it wins. A subscription made
    by hand is confirmed by being there. A rejection also holds for what follows the rejected
    subscription: see `_reject_successors`.
    """
    said = Said.nothing(chains.count)
    said.confirmed[chains.count - len(chains.own) :] = True
    if not words.decisions:
        return said
    known = Named(lines, chains, {one.key.customer_id for one in words.decisions})
    spoken = np.zeros(chains.count, dtype=np.bool_)
    for decision in sorted(words.decisions, key=lambda one: one.key.band != 0):
        if decision.merged_into is None:
            chosen = known.find(decision.key)
            _obey(decision, chosen, said)
            spoken[chosen] = True
    rejected = [one for one in words.decisions if one.verdict is Verdict.REJECTED]
    if rejected:
        _reject_namesakes(lines, known, rejected, spoken, said)
        _reject_successors(lines, chains, known, spoken, said)
    return said


def _obey(decision: Decision, chains: list[int], said: Said) -> None:
    start, end, renewal = decision.start, decision.end, decision.renewal_percent
    if decision.verdict is not None or not decision.key.product.startswith(OWN):
        said.confirmed[chains] = decision.verdict is Verdict.CONFIRMED
    said.rejected[chains] = decision.verdict is Verdict.REJECTED
    said.paused[chains] = decision.paused
    said.period[chains] = decision.period_months or 0
    said.start[chains] = NO_DAY if start is None else day_number(start)
    said.end[chains] = NO_DAY if end is None else day_number(end)
    said.renewal[chains] = _UNSAID if renewal is None else renewal


def _reject_namesakes(
    lines: Lines, known: Named, rejected: Iterable[Decision], spoken: Flags, said: Said
) -> None:
    """Reject what the customer buys under the same name and another id, code, or none."""
    rejected = list(rejected)
    names = _names(lines, {one.key.customer_id for one in rejected})
    for decision in rejected:
        key = decision.key
        mine = names.get(key.customer_id, {})
        called = mine.get(key.product, {key.product.removeprefix(NAMED)})
        for ref in [ref for ref, others in mine.items() if called & others]:
            same = known.find(key._replace(product=ref))
            said.rejected[[chain for chain in same if not spoken[chain]]] = True


def _names(lines: Lines, customers: set[int]) -> dict[int, dict[str, set[str]]]:
    """By customer and product ref: the names on the customer's own rows of the product."""
    refs = product_refs(lines)
    rows = np.flatnonzero(np.isin(lines.customer_id, list(customers)))
    columns = (lines.customer_id[rows], lines.product_key[rows], lines.text[rows])
    found: dict[int, dict[str, set[str]]] = {}
    for customer, product, text in set(zip(*(one.tolist() for one in columns), strict=True)):
        name = normalised_product(lines.texts[text].split("\n", 1)[0])
        found.setdefault(customer, {}).setdefault(refs[product], set()).add(name)
    return found


def _reject_successors(
    lines: Lines, chains: Chains, known: Named, spoken: Flags, said: Said
) -> None:
    """Reject the chain that begins where a rejected one of its group ends.

    So a price that drifts into another band brings nothing back. Of several chains that ended by
    then, the one nearest in price is followed; a price half as high again is another purchase.
    """
    prices = unit_prices(lines)
    for chain in np.flatnonzero(said.rejected & (chains.band != 0)).tolist():
        group = known.group(chain)
        rows = {one: np.flatnonzero((chains.of_line == one) & (lines.net > 0)) for one in group}
        by_day = {
            one: mine[np.lexsort((lines.place[mine], lines.invoice_day[mine]))]
            for one, mine in rows.items()
            if len(mine)
        }
        begins = sorted(by_day, key=lambda one: int(lines.invoice_day[by_day[one][0]]))
        for one in begins:
            first = by_day[one][0]
            ended = [
                other
                for other in begins
                if lines.invoice_day[by_day[other][-1]] < lines.invoice_day[first]
            ]
            if spoken[one] or not ended:
                continue
            price = int(prices[first])
            nearest = min(ended, key=lambda other: abs(int(prices[by_day[other][-1]]) - price))
            before = int(prices[by_day[nearest][-1]])
            if said.rejected[nearest] and 2 * max(price, before) <= 3 * min(price, before):
                said.rejected[one] = True


def confirm_lines(lines: Lines, said: Said, draft: Draft) -> None:
    """Charges of confirmed chains are subscriptions whatever the signs say."""
    confirmed = said.confirmed[draft.chain] & (lines.net > 0)
    draft.type[confirmed] = LineType.SUBSCRIPTION
    draft.sure[confirmed] = Sure.HIGH


def apply_said(lines: Lines, chains: Chains, said: Said, draft: Draft) -> None:
    """Confirmed chains are subscriptions whatever the signs say; starts are moved."""
    confirmed = said.confirmed[draft.chain]
    draft.type[confirmed] = LineType.SUBSCRIPTION
    draft.sure[confirmed] = Sure.HIGH
    draft.explain(confirmed & (lines.net > 0), Why.USER_CONFIRMED)
    for chain in np.flatnonzero(said.start != NO_DAY):
        rows = np.flatnonzero(draft.chain == chain)
        if not rows.size:
            continue
        start = draft.start[rows]
        first = int(start.min())
        moved = np.where(start == first, said.start[chain], np.maximum(start, said.start[chain]))
        draft.start[rows] = np.minimum(moved, draft.end[rows])
    ends = said.end[draft.chain]
    cut = ends != NO_DAY
    draft.end[cut] = np.maximum(np.minimum(draft.end[cut], ends[cut]), draft.start[cut])


def apply_lines(lines: Lines, words: Iterable[LineWord], draft: Draft) -> None:
    """What people said of single lines: their type and their period."""
    by_line = {word.line_id: word for word in words}
    if not by_line:
        return
    for row in np.flatnonzero(np.isin(lines.line_id, list(by_line))).tolist():
        word = by_line[int(lines.line_id[row])]
        if word.type is not None or word.subscription is not None:
            kind = LineType.SUBSCRIPTION if word.type is None else MARK_TYPES[word.type]
            draft.type[row] = kind
            draft.sure[row] = Sure.HIGH
            draft.why[row], draft.a[row], draft.b[row] = Why.USER_LINE, 0, 0
        start = int(draft.start[row]) if word.start is None else day_number(word.start)
        end = int(draft.end[row]) if word.end is None else day_number(word.end)
        if (word.start is None and word.end is None) or end <= start:
            continue
        num, den = months_between(np.array([start]), np.array([end]))
        draft.start[row], draft.end[row] = start, end
        draft.num[row], draft.den[row] = num[0], den[0]
        draft.nominal[row] = nearest_nominal(num, den)[0]
        draft.source[row] = Source.USER
