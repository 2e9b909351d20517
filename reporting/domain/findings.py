"""What detection hands on: a finding for every line, and the subscriptions they form."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from reporting.domain.arrays import Flags, Ints, Small
from reporting.domain.choices import SubscriptionKey


class LineType(IntEnum):
    SUBSCRIPTION = 0
    ONE_OFF = 1
    USAGE = 2
    IGNORE = 3


class Source(IntEnum):
    """Where a line's period came from, in the order in which they are asked."""

    USER = 0
    ROW_DATES = 1
    DELIVERY = 2
    TEXT = 3
    UNIT_WORDS = 4
    CADENCE = 5
    PRODUCT_DEFAULT = 6
    FALLBACK = 7
    CREDITED_LINE = 8
    NONE = 9
    PRODUCT_VOTE = 10
    """How the product's other customers are billed; asked before the fallback alone."""


class Sure(IntEnum):
    """Confidence as a number; the names are those of `choices.Confidence`."""

    LOW = 0
    MEDIUM = 1
    HIGH = 2


class Why(IntEnum):
    """Reason codes; `Reason.params` names what each sentence needs."""

    NO_SIGN = 0
    """Nothing says that it recurs."""
    USER_MARK = 1
    """The product was marked by a person."""
    USER_CONFIRMED = 2
    USER_REJECTED = 3
    ROW_DATES = 4
    """params: days, months"""
    DELIVERY_DATES = 5
    TEXT_DATES = 6
    UNIT_AND_WORD = 7
    """params: unit, word, months"""
    UNIT = 8
    WORD = 9
    CADENCE = 10
    """params: hits, months, share (percent of gaps in the band), same_amount (hits)"""
    COUNTER_WORD = 11
    """params: word"""
    WORK_UNIT = 12
    """params: unit"""
    METERED = 13
    NOT_SERVICE = 14
    """A reminder fee, interest, rounding or collection row; params: word"""
    CREDIT_FULL = 15
    """params: credited_line"""
    CREDIT_PART = 16
    CREDIT_DATES = 17
    CREDIT_UNMATCHED = 18
    DISCOUNT_ROW = 19
    """params: discounted_line"""
    USER_LINE = 20
    """A person said so of this row"""
    PRODUCT_VOTE = 21
    """params: recurring, customers (of those whose histories of the product can be judged)"""


class Reason(NamedTuple):
    code: str
    params: dict[str, int | str]


class Status(IntEnum):
    ACTIVE = 0
    LATE = 1
    CHURNED = 2
    FUTURE = 3
    PAUSED = 4
    DETECTED = 5
    """Found but below the tenant's threshold: waits for review and counts nowhere."""
    REJECTED = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class Findings:
    """One row per input line, in the input's order."""

    type: Small
    """`LineType`"""
    start: Ints
    """First day of service; NO_DAY where the line has no period."""
    end: Ints
    """First day without service."""
    months_num: Ints
    months_den: Ints
    """Months of the period as an exact fraction; 1/1 where there is none."""
    source: Small
    """`Source`"""
    confidence: Small
    """`Sure`"""
    why: Small
    """`Why`"""
    why_a: Ints
    why_b: Ints
    """What the reason's sentence needs; read through `reason`."""
    subscription: Ints
    """Row in `Subscriptions`, -1 where the line belongs to none."""
    counted: Flags
    """The line stands in MRR."""
    late: Flags
    """The line counts beyond its end because its next invoice is awaited."""
    paused: Flags
    """The last line of a subscription that a person paused."""
    ending: Flags
    """The line's subscription has an end that a person set."""
    cancelled: Flags
    """A credit note takes the whole line back."""
    from_month: Ints
    to_month: Ints
    """The line stands in the snapshots of the month indexes from_month <= m < to_month."""
    word_names: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.type)

    def reason(self, row: int) -> Reason:
        """Why line `row` got its type and period, as a code with named parameters."""
        code = Why(int(self.why[row]))
        first, second = int(self.why_a[row]), int(self.why_b[row])
        return Reason(code.name.lower(), _params(code, first, second, self.word_names))


_DATED = {Why.ROW_DATES, Why.DELIVERY_DATES, Why.TEXT_DATES, Why.CREDIT_DATES}
_WORDED = {Why.WORD, Why.COUNTER_WORD, Why.METERED, Why.NOT_SERVICE, Why.UNIT_AND_WORD}


def _params(code: Why, first: int, second: int, words: tuple[str, ...]) -> dict[str, int | str]:
    if code in _DATED:
        return {"days": first, "months": second}
    if code in _WORDED:
        return {"word": words[first] if 0 <= first < len(words) else "", "months": second}
    if code is Why.UNIT or code is Why.WORK_UNIT:
        from reporting.domain.units import UNIT_WORDS

        return {"unit": UNIT_WORDS[first], "months": second}
    if code is Why.CADENCE:
        return {"hits": first, "months": second}
    if code in (Why.CREDIT_FULL, Why.CREDIT_PART):
        return {"credited_line": first}
    if code is Why.PRODUCT_VOTE:
        return {"recurring": first, "customers": second}
    if code is Why.DISCOUNT_ROW:
        return {"discounted_line": first}
    return {}


class Subscription(NamedTuple):
    """One customer's stream of one product in one currency."""

    key: SubscriptionKey
    customer_id: int
    product_key: int
    period_months: int
    """Nominal: -1 weekly, -2 every two weeks, else 1, 2, 3, 6, 12 months."""
    first_start: int
    last_end: int
    """Days; last_end is the first day without service."""
    mrr_e4: int
    """At as_of, in 1/10 000 minor units of the reporting currency."""
    status: Status
    counted: bool
    confirmed: bool
    """A person said so (mark or verdict); otherwise it was detected."""
    confidence: Sure
    reason: Reason
    lines: NDArray[np.intp]
    """Rows of the input that form it, by period start."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Subscriptions:
    """Subscriptions as columns; indexing gives one as a record."""

    customer_id: Ints
    product_key: Ints
    currency: Ints
    band: Ints
    period: Ints
    first_start: Ints
    last_end: Ints
    mrr_e4: Ints
    status: Small
    counted: Flags
    confirmed: Flags
    confidence: Small
    best_line: Ints
    """The line whose reason speaks for the subscription."""
    line_order: NDArray[np.intp]
    line_from: Ints
    """Lines of subscription i: line_order[line_from[i]:line_from[i + 1]]."""
    own: tuple[SubscriptionKey | None, ...]
    """The keys of those made by hand; None for all others. Empty where none is made by hand."""
    product_refs: tuple[str, ...]
    currencies: tuple[str, ...]
    findings: Findings

    def __len__(self) -> int:
        return len(self.customer_id)

    def __iter__(self) -> Iterator[Subscription]:
        return (self[row] for row in range(len(self)))

    def key(self, row: int) -> SubscriptionKey:
        by_hand = self.own[row] if self.own else None
        return by_hand or SubscriptionKey(
            int(self.customer_id[row]),
            self.product_refs[int(self.product_key[row])],
            self.currencies[int(self.currency[row])],
            int(self.band[row]),
        )

    def lines(self, row: int) -> NDArray[np.intp]:
        return self.line_order[self.line_from[row] : self.line_from[row + 1]]

    def __getitem__(self, row: int) -> Subscription:
        if not 0 <= row < len(self):
            raise IndexError(row)
        return Subscription(
            key=self.key(row),
            customer_id=int(self.customer_id[row]),
            product_key=int(self.product_key[row]),
            period_months=int(self.period[row]),
            first_start=int(self.first_start[row]),
            last_end=int(self.last_end[row]),
            mrr_e4=int(self.mrr_e4[row]),
            status=Status(int(self.status[row])),
            counted=bool(self.counted[row]),
            confirmed=bool(self.confirmed[row]),
            confidence=Sure(int(self.confidence[row])),
            reason=self.findings.reason(int(self.best_line[row])),
            lines=self.lines(row),
        )
