"""Rates and what they are made of: the customers above the line, and what they are divided by."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction

from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from reporting.domain import metrics, rounding
from reporting.domain.movements import Movement
from reporting.selectors import frame
from reporting.selectors.behind.growth import step_columns, step_rows
from reporting.selectors.behind.kinds import Kind, Question, column, shared
from reporting.selectors.behind.steps import Step, Stretch, steps, stretch
from reporting.selectors.frame import Words
from reporting.selectors.rates import rates

_GAINS = {Movement.NEW, Movement.EXPANSION, Movement.REACTIVATION}
_LOSSES = {Movement.CONTRACTION, Movement.CHURN}
_KEPT = {Movement.EXPANSION, *_LOSSES}
# Retention follows the money, whatever a small change or a pause is called.
_RETAINED = {*_KEPT, Movement.TOLERATED, Movement.PAUSE}
TOLERATED = "tolerated"
CUSTOMER_CHURN = "customer_churn"


def _lost(step: Step) -> int:
    return -step.change if step.kind in _LOSSES else 0


def _lost_net(step: Step) -> int:
    return -step.change if step.kind in _KEPT | {Movement.REACTIVATION} else 0


def _kept(step: Step) -> int:
    moved = step.change if step.kind in _RETAINED else 0
    return step.before + moved if step.before else 0


def _kept_at_most(step: Step) -> int:
    lost = min(step.change, 0) if step.kind in _RETAINED else 0
    return step.before + lost if step.before else 0


def _left(step: Step) -> int:
    return step.change if step.kind == Movement.CHURN else 0


def _gained_and_lost(step: Step) -> int:
    return step.change if step.kind in _GAINS | _LOSSES else 0


def _tolerated(step: Step) -> int:
    return step.change if step.kind == Movement.TOLERATED else 0


def _new(step: Step) -> int:
    return step.change if step.kind == Movement.NEW else 0


def _stands(step: Step) -> int:
    return step.after


# What each customer adds to the upper half of the rate, and how many months it looks back.
_PARTS: dict[str, tuple[Callable[[Step], int], int]] = {
    CUSTOMER_CHURN: (_left, 1),
    "gross_churn": (_lost, 1),
    "net_churn": (_lost_net, 1),
    "nrr": (_kept, 1),
    "grr": (_kept_at_most, 1),
    "nrr_12": (_kept, 12),
    "grr_12": (_kept_at_most, 12),
    "quick_ratio": (_gained_and_lost, 1),
    "arpa": (_stands, 1),
    "new_arpa": (_new, 1),
    TOLERATED: (_tolerated, 1),
}
FIGURES = frozenset(_PARTS)
# What a period of so many months is called.
_OVER: dict[int, Callable[[], str]] = {3: lambda: _("quarter"), 12: lambda: _("year")}
_ENDS = frozenset({"nrr", "grr", CUSTOMER_CHURN})


def rate_kind(asked: Question) -> Kind:
    """The customers behind one rate of a period; their sum is what the rate divides.

    Retention and customer churn compare the two ends of a period, also where its movements are
    those of its months. Who stayed for nothing and then left is counted, at an amount of 0.
    """
    figure, words, over = asked.figure, asked.words, stretch(asked)
    amount, back = _PARTS[figure]
    if back > 1:
        found = steps(over.index, back, words.currency)
    else:
        found = over.whole(words.currency) if figure in _ENDS else over.steps(words.currency)
    parts = [(step, amount(step)) for step in found]
    counted = {Movement.CHURN} if figure == CUSTOMER_CHURN else set()
    parts = [(step, exact) for step, exact in parts if exact or step.kind in counted]
    parts.sort(key=lambda pair: (-abs(pair[1]), pair[0].pk))
    total = rounding.minor(sum(exact for _step, exact in parts))
    if figure == TOLERATED:
        total = over.row["tolerated_minor"]
    if figure == CUSTOMER_CHURN:
        title, value, divided = _customers_said(asked, over, len(parts))
    else:
        title, value, divided = _said(figure, over, found, words)
    return Kind(
        _("%(rate)s: %(month)s") % {"rate": title, "month": over.name},
        divided % {"sum": words.money(total, cents=True)},
        shared(parts, total),
        [column("customer", _("Customer")), *step_columns()],
        step_rows(asked),
        lambda n: ngettext("%d customer", "%d customers", n) % n,
        headline=value,
    )


def _customers_said(asked: Question, over: Stretch, left: int) -> tuple[str, str, str]:
    """As `_said`, of customers: how many left, of how many at the start."""
    words, before = asked.words, frame.month_text(over.first - 1)
    row = next((row for row in asked.body["months"] if row["month"] == before), None)
    text = _("%(left)s who left ÷ %(base)s customers at the end of %(month)s; %%(sum)s of MRR") % {
        "left": words.count(left),
        "base": words.count(row["customers"] if row else 0),
        "month": words.month(before, long=True),
    }
    rate = rates()[CUSTOMER_CHURN].row.label
    return rate, words.rate(over.row["customer_churn_ppm"]), text


def _said(figure: str, over: Stretch, found: Sequence[Step], words: Words) -> tuple[str, str, str]:
    """Its name, its value, and the division in words; "%(sum)s" is the sum of the rows."""
    row = over.row
    if figure == TOLERATED:
        text = _("Changes below the tolerance of your settings: no expansion and no contraction.")
        return _("Changes too small to count"), "", text
    if figure == "arpa":
        text = _("%%(sum)s from %(count)s paying customers") % {
            "count": words.count(row["customers"])
        }
        return _("MRR per customer"), words.money(row["arpa_minor"], cents=True), text
    if figure == "new_arpa":
        text = _("%%(sum)s from %(count)s new customers") % {
            "count": words.count(row["new_customers"])
        }
        each = metrics.rounded(Fraction(row["new_minor"], row["new_customers"] or 1))
        return _("MRR per new customer"), words.money(each, cents=True), text
    if figure == "quick_ratio":
        gained = sum(step.change for step in found if step.kind in _GAINS)
        lost = sum(-step.change for step in found if step.kind in _LOSSES)
        text = _("%(gained)s gained ÷ %(lost)s lost; %%(sum)s in all") % {
            "gained": words.money(rounding.minor(gained), cents=True),
            "lost": words.money(rounding.minor(lost), cents=True),
        }
        return _("Quick ratio"), words.ratio(row["quick_ratio_ppm"]), text
    back = _PARTS[figure][1]
    before = over.index - back if back > 1 else over.first - 1
    base = rounding.minor(sum(step.before for step in found))
    if back == 1:
        base = row["start_minor"]
    when = frame.month_text(before)
    text = _("%%(sum)s ÷ %(base)s at the end of %(month)s") % {
        "base": words.money(base, cents=True),
        "month": words.month(when, long=True),
    }
    named = rates(_OVER.get(over.length, str)())[figure]
    return named.row.label, words.rate(row[f"{figure}_ppm"]), text
