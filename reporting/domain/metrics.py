"""Rates and ratios; None wherever the divisor is zero."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

MILLION = 1_000_000


def ppm(rate: Fraction | None) -> int | None:
    """A rate in whole parts per million, half away from zero."""
    return None if rate is None else _rounded(rate.numerator * MILLION, rate.denominator)


def rounded(value: Fraction) -> int:
    """The nearest whole number, half away from zero."""
    return _rounded(value.numerator, value.denominator)


def _rounded(top: int, bottom: int) -> int:
    # Fractions reduce every step: thousands of rates of a report are ten times slower in them.
    size = (2 * abs(top) + bottom) // (2 * bottom)
    return size if top >= 0 else -size


def ratio(part: int, whole: int) -> Fraction | None:
    return Fraction(int(part), int(whole)) if whole else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Flow:
    """One period's movements as positive magnitudes in any one unit; fx is signed."""

    start: int
    new: int = 0
    expansion: int = 0
    contraction: int = 0
    churn: int = 0
    reactivation: int = 0
    fx: int = 0
    paused: int = 0
    """What pauses stopped where they stand outside churn; those customers pay nothing now, so
    retention counts it."""
    resumed: int = 0
    """What came back after such pauses; no reactivation, and nobody who paid at the start."""
    tolerated: int = 0
    """Signed: changes too small to be called a movement. They are money all the same, so that
    retention counts them."""
    slipped: int = 0
    """The losses among them, as a magnitude."""

    @property
    def net_new(self) -> int:
        """Without exchange rates, pauses and small changes, which stand on their own rows."""
        return self.new + self.expansion + self.reactivation - self.contraction - self.churn

    @property
    def end(self) -> int:
        return self.start + self.net_new - self.paused + self.resumed + self.tolerated + self.fx

    @property
    def gross_churn_rate(self) -> Fraction | None:
        """(churn + contraction) ÷ MRR at start."""
        return ratio(self.churn + self.contraction, self.start)

    @property
    def net_churn_rate(self) -> Fraction | None:
        """(churn + contraction − expansion − reactivation) ÷ start, as ChartMogul has it."""
        lost = self.churn + self.contraction - self.expansion - self.reactivation
        return ratio(lost, self.start)

    @property
    def net_churn_rate_without_reactivation(self) -> Fraction | None:
        return ratio(self.churn + self.contraction - self.expansion, self.start)

    @property
    def nrr(self) -> Fraction | None:
        """Net revenue retention of those who paid at the start; no new, no reactivation."""
        kept = self.start + self.expansion - self.contraction - self.churn - self.paused
        return ratio(kept + self.tolerated, self.start)

    @property
    def grr(self) -> Fraction | None:
        """Gross revenue retention: each customer capped at its own start."""
        lost = self.contraction + self.churn + self.paused + self.slipped
        return ratio(self.start - lost, self.start)

    @property
    def quick_ratio(self) -> Fraction | None:
        """(new + expansion + reactivation) ÷ (contraction + churn)."""
        gained = self.new + self.expansion + self.reactivation
        return ratio(gained, self.contraction + self.churn)

    @property
    def quick_ratio_without_reactivation(self) -> Fraction | None:
        return ratio(self.new + self.expansion, self.contraction + self.churn)


def customer_churn_rate(
    *, start: int, lost: int, joined_and_left: int = 0, left_and_back: int = 0
) -> Fraction | None:
    """Customers lost ÷ customers at start.

    `lost` counts every leaving; those who also joined in the period, and those who came back
    in it, are taken out.
    """
    return ratio(lost - joined_and_left - left_and_back, start)


def arr(mrr: int) -> int:
    """Annual recurring revenue in the unit of `mrr`."""
    return 12 * mrr


def arpa(mrr: int, customers: int) -> Fraction | None:
    """MRR per paying customer, per month."""
    return ratio(mrr, customers)
