"""The growth view: MRR by period, what changed it, and the rates of change.

`growth_sums` adds up movements over customers; `periods` and `summed` make periods of such sums
alone, so that whoever keeps the sums needs no customer to show them.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from reporting.domain.arrays import Flags, Ints, as_int64
from reporting.domain.metrics import Flow, arpa, customer_churn_rate
from reporting.domain.movements import KINDS, SIGNS, Movement, Movements
from reporting.domain.mrr import CustomerMonths
from reporting.domain.periods import last_day
from reporting.domain.rounding import minor, minors, share_rows
from reporting.domain.sums import Additive

TRAILING = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class GrowthSums(Additive):
    """Sums over customers for the steps between snapshots; amounts in 1/10 000 minor units.

    `moved` and `movers` have a row for each number of `Movement`: magnitudes (signed for
    TOLERATED, and for PAUSE net of what was resumed), and how many customers moved so. The other
    fields have one value a step.
    """

    moved: Ints
    movers: Ints
    fx: Ints
    start: Ints
    end: Ints
    customers_start: Ints
    customers_end: Ints
    churn_paused: Ints
    """The part of churn that pauses made; 0 where pauses stand outside churn."""
    resumed: Ints
    """What came back after pauses that stand outside churn, which PAUSE has taken off."""
    slipped: Ints
    """What customers lost by changes below the tolerance; a magnitude, inside TOLERATED."""


def growth_sums(table: CustomerMonths, moves: Movements) -> GrowthSums:
    """The sums of all customers of a table, for the steps of `moves`."""
    before, columns = moves.before, moves.columns
    total, count = as_int64(table.mrr.sum(axis=0)), as_int64(table.customer.sum(axis=0))
    shape = (len(Movement), len(columns))
    moved, movers = np.zeros(shape, dtype=np.int64), np.zeros(shape, dtype=np.int64)
    for kind in Movement:
        if kind is not Movement.NONE:
            moved[kind], movers[kind] = moves.total(kind), moves.count(kind)
    counted = moves.paused & (moves.kind == Movement.CHURN)
    small = moves.kind == Movement.TOLERATED
    return GrowthSums(
        moved=moved,
        movers=movers,
        fx=moves.fx_total,
        start=np.where(before >= 0, total[before], 0),
        end=total[columns],
        customers_start=np.where(before >= 0, count[before], 0),
        customers_end=count[columns],
        churn_paused=as_int64(-np.where(counted, moves.change, 0).sum(axis=0)),
        resumed=as_int64(np.where(moves.resumed, moves.change, 0).sum(axis=0)),
        slipped=as_int64(-np.where(small, np.minimum(moves.change, 0), 0).sum(axis=0)),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Calendar:
    """The months of a report and the day it is for; `months` are indexes in unbroken order."""

    months: Ints
    as_of_day: int

    @property
    def complete(self) -> Flags:
        """False for the running month only, unless as_of is its last day."""
        done: Flags = last_day(self.months) <= self.as_of_day
        return done

    @property
    def snapshot_days(self) -> Ints:
        return np.minimum(last_day(self.months), self.as_of_day)

    def ends(self, length: int) -> Ints:
        """Columns of the last months of quarters (3), halves (6) or years (12); the last month
        ends a period that may still run."""
        last = (self.months + 1) % length == 0
        if len(last):
            last[-1] = True
        return np.flatnonzero(last)

    def year_before(self) -> tuple[Ints, Ints]:
        """(before, columns) of the steps over twelve months, for trailing retention."""
        columns = np.arange(TRAILING, len(self.months), dtype=np.int64)
        return columns - TRAILING, columns


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One period's movements in whole minor units that satisfy the identity to the cent."""

    start: int
    new: int
    expansion: int
    contraction: int
    churn: int
    reactivation: int
    fx: int
    end: int
    tolerated: int = 0
    paused: int = 0
    """Positive like churn, of which it is no part; net of what was resumed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rates:
    """One period's rates; None where there is nothing to divide by."""

    gross_churn: Fraction | None
    net_churn: Fraction | None
    customer_churn: Fraction | None
    nrr: Fraction | None
    grr: Fraction | None
    quick_ratio: Fraction | None
    arpa_minor: Fraction | None
    """MRR per customer at the end, per month."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Period:
    """One month, quarter, half or year of the growth view."""

    first_month: int
    last_month: int
    complete: bool
    step: Step
    """Movements in minor units; the identity holds to the cent."""
    mrr_e4: int
    customers_start: int
    customers: int
    """At the end."""
    new_customers: int
    expanded_customers: int
    contracted_customers: int
    churned_customers: int
    reactivated_customers: int
    paused_customers: int
    churn_paused: int
    """Minor units of `step.churn` that pauses made."""
    rates: Rates
    trailing_nrr: Fraction | None
    """Customers paying twelve months earlier: their MRR now, without fx, ÷ then."""
    trailing_grr: Fraction | None


_STEP_ROWS = (*KINDS, Movement.PAUSE, Movement.TOLERATED)


def steps_minor(sums: GrowthSums) -> tuple[Step, ...]:
    """The figures to display: each within one unit of its exact value, the identity exact."""
    start, end = minors(sums.start), minors(sums.end)
    parts = [sums.moved[kind] * SIGNS.get(kind, 1) for kind in _STEP_ROWS]
    shared = share_rows(np.stack([*parts, sums.fx], axis=1), end - start)
    names = [kind.name.lower() for kind in _STEP_ROWS]
    result = []
    for first, last, row in zip(start.tolist(), end.tolist(), shared.tolist(), strict=True):
        amount = dict(zip(names, row, strict=False))
        result.append(
            Step(
                start=first,
                new=amount["new"],
                expansion=amount["expansion"],
                contraction=-amount["contraction"],
                churn=-amount["churn"],
                reactivation=amount["reactivation"],
                fx=row[-1],
                end=last,
                tolerated=amount["tolerated"],
                paused=-amount["pause"],
            )
        )
    return tuple(result)


def periods(
    sums: GrowthSums, trailing: GrowthSums, calendar: Calendar, length: int = 1
) -> tuple[Period, ...]:
    """Months (1), quarters (3), halves (6) or years (12), the running one last.

    Each is classified anew from its own first and last snapshots. Nobody both joins and leaves
    between two snapshots, so ChartMogul's corrections of customer churn have nothing to take
    out. `trailing` are the sums of `calendar.year_before()`.
    """
    columns, steps = calendar.ends(length), steps_minor(sums)
    flows = [_flow(sums, place) for place in range(len(columns))]
    rates = [_rates(flow, sums, place, steps[place]) for place, flow in enumerate(flows)]
    return _periods(sums, trailing, calendar, length, steps, rates)


def summed(
    monthly: GrowthSums, own: GrowthSums, trailing: GrowthSums, calendar: Calendar, length: int
) -> tuple[Period, ...]:
    """Quarters, halves or years as the sum of their months, as users of ChartMogul expect.

    Displayed movements are the sums of the displayed months. `own` are the sums of the periods'
    own snapshots: retention, and customer churn (customers lost, without those who joined in
    the period and those who came back in it, ÷ customers at its start), are theirs.
    """
    columns = calendar.ends(length)
    first = np.append(0, columns[:-1] + 1)[: len(columns)]
    added = GrowthSums(
        moved=_added(monthly.moved, first),
        movers=_added(monthly.movers, first),
        fx=_added(monthly.fx, first),
        start=monthly.start[first],
        end=monthly.end[columns],
        customers_start=monthly.customers_start[first],
        customers_end=monthly.customers_end[columns],
        churn_paused=_added(monthly.churn_paused, first),
        resumed=_added(monthly.resumed, first),
        slipped=_added(monthly.slipped, first),
    )
    months = steps_minor(monthly)
    steps, rates = [], []
    for place, (begin, stop) in enumerate(zip(first.tolist(), columns.tolist(), strict=True)):
        steps.append(_sum_of_steps(months[begin : stop + 1]))
        of_own = _rates(_flow(own, place), own, place, steps[place])
        flow = _flow(added, place)
        rates.append(
            Rates(
                gross_churn=flow.gross_churn_rate,
                net_churn=flow.net_churn_rate,
                customer_churn=of_own.customer_churn,
                nrr=of_own.nrr,
                grr=of_own.grr,
                quick_ratio=flow.quick_ratio,
                arpa_minor=of_own.arpa_minor,
            )
        )
    return _periods(added, trailing, calendar, length, tuple(steps), rates)


def _added(values: Ints, first: Ints) -> Ints:
    """Sums of the last axis from each of `first` up to the next one."""
    if not len(first):
        return values
    return as_int64(np.add.reduceat(values, first, axis=-1))


def _sum_of_steps(steps: tuple[Step, ...]) -> Step:
    def total(name: str) -> int:
        return sum(getattr(step, name) for step in steps)

    return Step(
        start=steps[0].start,
        new=total("new"),
        expansion=total("expansion"),
        contraction=total("contraction"),
        churn=total("churn"),
        reactivation=total("reactivation"),
        fx=total("fx"),
        end=steps[-1].end,
        tolerated=total("tolerated"),
        paused=total("paused"),
    )


def _flow(sums: GrowthSums, place: int) -> Flow:
    moved = sums.moved[:, place].tolist()
    return Flow(
        start=int(sums.start[place]),
        new=moved[Movement.NEW],
        expansion=moved[Movement.EXPANSION],
        contraction=moved[Movement.CONTRACTION],
        churn=moved[Movement.CHURN],
        reactivation=moved[Movement.REACTIVATION],
        fx=int(sums.fx[place]),
        paused=moved[Movement.PAUSE] + int(sums.resumed[place]),
        resumed=int(sums.resumed[place]),
        tolerated=moved[Movement.TOLERATED],
        slipped=int(sums.slipped[place]),
    )


def _rates(flow: Flow, sums: GrowthSums, place: int, step: Step) -> Rates:
    return Rates(
        gross_churn=flow.gross_churn_rate,
        net_churn=flow.net_churn_rate,
        customer_churn=customer_churn_rate(
            start=int(sums.customers_start[place]), lost=int(sums.movers[Movement.CHURN, place])
        ),
        nrr=flow.nrr,
        grr=flow.grr,
        quick_ratio=flow.quick_ratio,
        arpa_minor=arpa(step.end, int(sums.customers_end[place])),
    )


def _periods(
    sums: GrowthSums,
    trailing: GrowthSums,
    calendar: Calendar,
    length: int,
    steps: tuple[Step, ...],
    rates: list[Rates],
) -> tuple[Period, ...]:
    columns, complete = calendar.ends(length), calendar.complete
    result = []
    for place, column in enumerate(columns.tolist()):
        month = int(calendar.months[column])
        movers = sums.movers[:, place].tolist()
        year = _flow(trailing, column - TRAILING) if column >= TRAILING else None
        result.append(
            Period(
                first_month=month - month % length,
                last_month=month,
                complete=bool(complete[column]) and (month + 1) % length == 0,
                step=steps[place],
                mrr_e4=int(sums.end[place]),
                customers_start=int(sums.customers_start[place]),
                customers=int(sums.customers_end[place]),
                new_customers=movers[Movement.NEW],
                expanded_customers=movers[Movement.EXPANSION],
                contracted_customers=movers[Movement.CONTRACTION],
                churned_customers=movers[Movement.CHURN],
                reactivated_customers=movers[Movement.REACTIVATION],
                paused_customers=movers[Movement.PAUSE],
                churn_paused=minor(int(sums.churn_paused[place])),
                rates=rates[place],
                trailing_nrr=year.nrr if year else None,
                trailing_grr=year.grr if year else None,
            )
        )
    return tuple(result)
