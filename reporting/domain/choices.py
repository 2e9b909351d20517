"""What people decided: marks on products, verdicts on subscriptions, and the settings."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from enum import Enum
from typing import NamedTuple

from reporting.domain.periods import TWO_WEEKS, WEEK


class Mark(Enum):
    RECURRING = "recurring"
    ONE_OFF = "one_off"
    USAGE = "usage"
    IGNORE = "ignore"


class Verdict(Enum):
    CONFIRMED = "confirmed"
    REJECTED = "rejected"


class Confidence(Enum):
    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"


class Average(Enum):
    MEAN = "mean"
    MEDIAN = "median"


class Ltv(Enum):
    """Which customer lifetime value is compared with the cost of winning a customer."""

    OURS = "ours"
    CHARTMOGUL = "chartmogul"
    CALQULATE = "calqulate"


@dataclass(frozen=True, slots=True, kw_only=True)
class ProductMark:
    """A person's word on one product; `product` is a ref of `lines.product_refs`."""

    product: str
    mark: Mark
    period_months: int | None = None


OWN = "own:"
"""Begins the product of a subscription that a person made or split off by hand."""
NAMED = "n:"
"""Begins the product of a row without one: its own text, normalised, follows."""


class SubscriptionKey(NamedTuple):
    """Names one subscription across imports.

    `band` is 0 when the customer has one chain of this product in this currency; when there
    are several side by side it is the first unit price of each, in 1/100 of a minor unit. One
    made by hand has a product of its own ("own:3f2a") and band 0.
    """

    customer_id: int
    product: str
    currency: str
    band: int = 0

    def __str__(self) -> str:
        return f"{self.customer_id}|{self.product}|{self.currency}|{self.band}"

    @classmethod
    def parse(cls, text: str) -> SubscriptionKey:
        customer, rest = text.split("|", 1)
        product, currency, band = rest.rsplit("|", 2)
        return cls(int(customer), product, currency, int(band))


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """A person's word on one subscription.

    A key with band 0 speaks for every chain of that customer, product and currency.
    `end` is the first day without service and beats every computed end; `start` moves the
    beginning. A paused subscription has no grace after its last period. `merged_into` names the
    subscription that this one is a part of: its lines, its verdict and its key are that one's.
    """

    key: SubscriptionKey
    verdict: Verdict | None = None
    period_months: int | None = None
    start: date | None = None
    end: date | None = None
    paused: bool = False
    renewal_percent: int | None = None
    """How likely its next period is; None: nobody said it."""
    merged_into: SubscriptionKey | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LineWord:
    """A person's word on one invoice line; what is None stays as detection finds it.

    `subscription` moves the line to the subscription of that key. A key whose product begins
    with `OWN` names one that exists by such words alone. `start` and `end` (the first day
    without service) are the line's service period.
    """

    line_id: int
    type: Mark | None = None
    subscription: SubscriptionKey | None = None
    start: date | None = None
    end: date | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class UserWords:
    products: tuple[ProductMark, ...] = ()
    decisions: tuple[Decision, ...] = ()
    lines: tuple[LineWord, ...] = ()


DEFAULT_GRACE: Mapping[int, int] = {WEEK: 7, TWO_WEEKS: 10, 1: 30, 2: 35, 3: 45, 6: 60, 12: 60}


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """How one tenant wants its figures, and the day they are for."""

    as_of: date
    currency: str = "EUR"
    grace_days: Mapping[int, int] = field(default_factory=lambda: dict(DEFAULT_GRACE))
    """Days after a period's end during which a missing invoice is late, by nominal period."""
    tolerance_bp: int = 0
    """Changes of at most this many hundredths of a percent are no expansion or contraction."""
    threshold: Confidence = Confidence.HIGH
    """Detected subscriptions of at least this confidence count at once."""
    default_period_months: int = 1
    burn_months: int = 3
    burn_average: Average = Average.MEAN
    reactivation_months: int | None = None
    """A return after more months than this is a new customer; None: always a reactivation."""
    pauses_churn: bool = True
    """A customer who pauses all is churn; else the pause stands on a row of its own, outside
    the churn rates, and inside retention."""
    keep_free: bool = False
    """A plan discounted by 100 % keeps its customer at 0 (a contraction); else it ends."""
    overdue_days: int | None = None
    """An invoice unpaid for more days after it fell due no longer counts; None: it counts."""
    daily_recognition: bool = False
    """Revenue is recognised by the day; else in equal parts at the ends of months."""
    ltv: Ltv = Ltv.OURS
    gross_margin_bp: int | None = None
    """Parts of ten thousand; None: figures that need it have no value."""
    cac_lag_months: int = 0
    complete_from: date | None = None
    """While the first import loads newest first: the day back to which it is complete."""
