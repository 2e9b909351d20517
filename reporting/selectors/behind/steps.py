"""What every customer did between two snapshots, as the engine classifies it, from stored figures.

A month's steps are stored with the customer; those of quarters, years and twelve months are made of
the snapshots at both ends, and of the foreign lines that stand there.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from django.db.models import Q
from django.http import Http404
from django.utils.translation import gettext as _

from reporting import parts
from reporting.body import Body
from reporting.domain.metrics import rounded
from reporting.domain.movements import Movement
from reporting.domain.rounding import E4
from reporting.models import CustomerFigure, LineFigure, ReportPart, ReportSettings
from reporting.selectors.frame import Words

LENGTHS = {parts.QUARTERS: 3, parts.YEARS: 12}
_LEFT = (Movement.CHURN, Movement.PAUSE)


@dataclass(frozen=True, slots=True)
class Step:
    """One customer between two snapshots, in e4 units; `change` leaves exchange rates out."""

    pk: int
    before: int
    after: int
    change: int
    kind: int
    fx: int
    index: int
    """The month of the later snapshot."""


@dataclass(frozen=True, slots=True)
class Stretch:
    """A month, quarter or year of the growth view as it is published."""

    row: Any
    """A row as `body.Month`."""
    index: int
    """Its last month."""
    name: str
    length: int = 1
    summed: bool = False
    """Its movements are those of its months, added up."""

    @property
    def first(self) -> int:
        return self.index - self.index % self.length

    def steps(self, currency: str) -> list[Step]:
        """What customers did in it, one by one; of each of its months where it is summed."""
        if self.summed:
            return [one for index in range(self.first, self.index + 1) for one in steps(index)]
        return self.whole(currency)

    def whole(self, currency: str) -> list[Step]:
        """From its own first snapshot to its own last one."""
        return steps(self.index, self.index - self.first + 1, currency)


def stretch(
    month: str, index: int, body: Body, words: Words, query: Mapping[str, str] | None = None
) -> Stretch:
    """The period that `?view=` and `way=` name, of which `month` is the last; a month by default.

    Raises Http404 for what was not published.
    """
    view = (query or {}).get("view", "")
    rows: Sequence[Any] = body["months"]
    summed = (query or {}).get("way") == "summed"
    name = words.month(month, long=True)
    if view in LENGTHS:
        part = ReportPart.objects.filter(name=view).first()
        rows = part.body["summed" if summed else "reclassified"] if part else []
        name = (naming(view) or str)(month)
    row = next((row for row in rows if row["month"] == month), None)
    if row is None:
        raise Http404
    return Stretch(row, index, name, LENGTHS.get(view, 1), summed and view in LENGTHS)


def naming(view: str) -> Callable[[str], str] | None:
    """How a period of quarters or years is called by its last month; None for months."""
    if view == parts.QUARTERS:
        return lambda month: (
            _("Q%(quarter)d %(year)s") % {"quarter": (int(month[5:]) + 2) // 3, "year": month[:4]}
        )
    return (lambda month: month[:4]) if view == parts.YEARS else None


def steps(index: int, back: int = 1, currency: str = "") -> list[Step]:
    """Every customer with MRR at either of two snapshots `back` months apart, or who moved.

    `currency` is the one in which figures are; over one month it does not matter.
    """
    settings = ReportSettings.objects.first() or ReportSettings()
    effects = _effects(index - back, index, currency) if back > 1 else {}
    found = []
    for pk, customer, first, mrr, fx, moves in CustomerFigure.objects.filter(
        first_month__lte=index
    ).values_list("pk", "customer_id", "first_month", "mrr_e4", "fx_e4", "moves"):
        i, p = index - first, index - first - back
        if i >= len(mrr):
            continue
        before = mrr[p] if p >= 0 else 0
        if back == 1:
            effect = fx[i] if i < len(fx) else 0
            kind = moves[i] if i < len(moves) else Movement.NONE
        else:
            effect = effects.get(customer, 0) if before > 0 and mrr[i] > 0 else 0
            change = mrr[i] - before - effect
            kind = _kind(mrr[: i + 1], moves[: i + 1], p, change, settings)
        if before or mrr[i] or kind:
            change = mrr[i] - before - effect
            found.append(Step(pk, before, mrr[i], change, kind, effect, index))
    return found


def _kind(
    mrr: Sequence[int], moves: Sequence[int], p: int, change: int, settings: ReportSettings
) -> int:
    """The movement from place `p` of a customer's months, -1 and less for before them, to the end.

    Who is a customer at 0 (on a plan made free), and whose end was a pause, is told by the last
    movement up to there.
    """
    before = mrr[p] if p >= 0 else 0
    was = before > 0 or (p >= 0 and _stays(moves[: p + 1]))
    remains = mrr[-1] > 0 or _stays(moves)
    if was and not remains:
        return Movement.PAUSE if _last(moves) == Movement.PAUSE else Movement.CHURN
    if remains and not was:
        if p >= 0 and _last(moves[: p + 1]) == Movement.PAUSE:
            return Movement.PAUSE
        paid = next((at for at in range(p, -1, -1) if mrr[at] > 0), -1)
        again = next((at for at in range(max(p, -1) + 1, len(mrr)) if mrr[at] > 0), len(mrr) - 1)
        window = settings.reactivation_months
        known = paid >= 0 and (window is None or again - paid <= window)
        return Movement.REACTIVATION if known else Movement.NEW
    if not change:
        return Movement.NONE
    if abs(change) * 10_000 <= settings.tolerance_bp * before:
        return Movement.TOLERATED
    return Movement.EXPANSION if change > 0 else Movement.CONTRACTION


def _last(moves: Sequence[int]) -> int:
    return next((kind for kind in reversed(moves) if kind != Movement.NONE), Movement.NONE)


def _stays(moves: Sequence[int]) -> bool:
    return _last(moves) not in (*_LEFT, Movement.NONE)


def _effects(before: int, index: int, currency: str) -> dict[int, int]:
    """By customer id what exchange rates did between two snapshots: what stands at the later one
    in each foreign currency, less what would at the rate of the earlier one."""
    both = Q(from_month__lte=before, to_month__gt=before) | Q(
        from_month__lte=index, to_month__gt=index
    )
    lines = (
        LineFigure.objects.filter(both, counted=True)
        .exclude(mrr_e4=0)
        .exclude(line__invoice__currency=currency)
        .values_list(
            *("customer_id", "line__invoice__currency", "from_month", "to_month", "mrr_e4"),
            *("line__net_minor", "line__net_acc_minor"),
        )
    )
    sums: dict[tuple[int, str], list[int]] = defaultdict(lambda: [0, 0, 0, 0])
    for customer, money, begins, stops, e4, net, acc in lines:
        own = _native(e4, net, acc)
        for place, month in enumerate((before, index)):
            if begins <= month < stops:
                sums[customer, money][2 * place] += own
                sums[customer, money][2 * place + 1] += e4
    found: dict[int, int] = defaultdict(int)
    for (customer, _money), (own_before, then, own_now, now) in sums.items():
        if min(own_before, then, own_now, now) > 0:
            expected = (2 * own_now * then + own_before) // (2 * own_before)
            found[customer] += now - expected if own_now != own_before else now - then
    return found


def _native(e4: int, net: int, acc: int) -> int:
    """A line's MRR in its own currency: of whole months or weeks where its MRR tells how many."""
    if not acc:
        return 0
    months = Fraction(acc * E4, e4)
    for length in (Fraction(rounded(months)), Fraction(12, 52), Fraction(12, 26)):
        if length > 0 and abs(length - months) * 1_000_000 < months:
            return rounded(Fraction(net * E4) / length)
    return rounded(Fraction(net * E4) / months)
