"""The oracle's views of one history: periods, cohorts, segments, recognition and economics.

Plain loops over days, customers and rows, with fractions; no code of the product.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date
from fractions import Fraction
from typing import Any

from tests.oracle.calendars import add_months, month_end, month_ends
from tests.oracle.detection import Service, detect
from tests.oracle.documents import HOME, Row, half_up
from tests.oracle.figures import E4, late_chains

Amounts = dict[Any, int]
KINDS = ("new", "expansion", "contraction", "churn", "reactivation", "tolerated")


@dataclass
class Rules:
    """Settings, as a tenant would say them."""

    tolerance_bp: int = 0
    window: int | None = None
    overdue_days: int | None = None


@dataclass
class Books:
    """A history read once: what each counted row stands for, and on which days."""

    rows: list[Row]
    services: list[Service]
    days: list[date]
    """Snapshot days."""
    rules: Rules
    as_of: date
    late: dict[tuple[object, ...], date]
    unpaid: dict[int, date]
    """The first day on which an invoice no longer counts."""

    def stands(self, one: Service, day: date) -> bool:
        cut = self.unpaid.get(one.row.invoice.id)
        if cut is not None and day >= cut:
            return False
        waits = self.late.get(one.chain) == one.after and cut is None
        return one.start <= day and (day < one.after or waits)

    def mrr(self, day: date, key: Callable[[Service], Any], *, floor: bool = False) -> Amounts:
        found: Amounts = defaultdict(int)
        for one in self.services:
            if self.stands(one, day):
                found[key(one)] += per_month(one, one.row.net_home)
        return {who: max(mrr, 0) if floor else mrr for who, mrr in found.items()}

    def native(self, day: date, key: Callable[[Service], Any]) -> dict[Any, tuple[int, int]]:
        """(own, home) MRR by (key, foreign currency)."""
        found: dict[Any, tuple[int, int]] = {}
        for one in self.services:
            if one.row.invoice.currency != HOME and self.stands(one, day):
                pair = key(one), one.row.invoice.currency
                own, home = found.get(pair, (0, 0))
                found[pair] = (
                    own + per_month(one, one.row.net),
                    home + per_month(one, one.row.net_home),
                )
        return found


def per_month(one: Service, net: int) -> int:
    return half_up(Fraction(net * E4) / one.months)


def books(rows: list[Row], as_of: date, opened: dict[int, int], rules: Rules) -> Books:
    services, _ = detect(rows)
    first = min([row.day for row in rows] + [one.start for one in services])
    unpaid = {}
    if rules.overdue_days is not None:
        for row in rows:
            cut = date.fromordinal(row.invoice.due.toordinal() + rules.overdue_days + 1)
            if opened.get(row.invoice.id, 0) > 0 and cut <= as_of:
                unpaid[row.invoice.id] = cut
    return Books(
        rows=rows,
        services=services,
        days=month_ends(first, as_of),
        rules=rules,
        as_of=as_of,
        late=late_chains(services, as_of, rows, unpaid),
        unpaid=unpaid,
    )


def customer_of(one: Service) -> Any:
    return one.row.customer


@dataclass
class Step:
    """What changed between two snapshots, in 1/10 000 minor units."""

    start: int
    end: int
    fx: int = 0
    moved: dict[str, int] = field(default_factory=lambda: dict.fromkeys(KINDS, 0))
    counts: dict[str, int] = field(default_factory=lambda: dict.fromkeys(KINDS, 0))
    paying_start: int = 0
    paying_end: int = 0
    new: list[Any] = field(default_factory=list)


def steps(
    found: Books, chosen: list[int], key: Callable[[Service], Any], *, floor: bool
) -> list[Step]:
    """Between consecutive snapshots of the chosen places, by whatever `key` names."""
    every = [found.mrr(day, key, floor=floor) for day in found.days]
    natives = [found.native(day, key) for day in found.days]
    result, before = [], -1
    for place in chosen:
        p = every[before] if before >= 0 else {}
        c = every[place]
        step = Step(
            start=sum(p.values()),
            end=sum(c.values()),
            paying_start=sum(mrr > 0 for mrr in p.values()),
            paying_end=sum(mrr > 0 for mrr in c.values()),
        )
        rates = _fx(natives[before] if before >= 0 else {}, natives[place])
        for who in {*p, *c}:
            _move(step, who, p.get(who, 0), c.get(who, 0), rates, every, before, place, found.rules)
        result.append(step)
        before = place
    return result


def _move(
    step: Step,
    who: Any,
    prev: int,
    now: int,
    rates: Amounts,
    every: list[Amounts],
    before: int,
    place: int,
    rules: Rules,
) -> None:
    fx = rates.get(who, 0) if prev > 0 and now > 0 else 0
    step.fx += fx
    change = now - prev - fx
    if prev <= 0 < now:
        paid = [at for at in range(before + 1) if every[at].get(who, 0) > 0]
        back = next(at for at in range(before + 1, place + 1) if every[at].get(who, 0) > 0)
        known = bool(paid) and (rules.window is None or back - paid[-1] <= rules.window)
        kind = "reactivation" if known else "new"
        if kind == "new":
            step.new.append(who)
    elif prev > 0 >= now:
        kind = "churn"
    elif change == 0:
        return
    elif abs(change) * 10_000 <= rules.tolerance_bp * prev:
        kind = "tolerated"
    else:
        kind = "expansion" if change > 0 else "contraction"
    step.moved[kind] += change if kind == "tolerated" else abs(change)
    step.counts[kind] += 1


def _fx(before: dict[Any, tuple[int, int]], now: dict[Any, tuple[int, int]]) -> Amounts:
    found: Amounts = defaultdict(int)
    for (who, currency), (own, home) in now.items():
        own_before, home_before = before.get((who, currency), (0, 0))
        if min(own, home, own_before, home_before) > 0:
            found[who] += home - half_up(Fraction(own * home_before, own_before))
    return found


def retained(found: Books, before: int, place: int) -> tuple[int, int, int]:
    """(MRR of a snapshot; what its payers bring at a later one, exchange rates left out; the same
    with each of them at most at what it brought). What a change is called plays no part."""
    then = found.mrr(found.days[before], customer_of, floor=True)
    now = found.mrr(found.days[place], customer_of, floor=True)
    rates = _fx(
        found.native(found.days[before], customer_of), found.native(found.days[place], customer_of)
    )
    kept = capped = 0
    for who, prev in then.items():
        stays = now.get(who, 0)
        brings = stays - (rates.get(who, 0) if prev > 0 and stays > 0 else 0)
        kept += brings if prev > 0 else 0
        capped += min(brings, prev)
    return sum(then.values()), kept, capped


def ends(days: list[date], length: int) -> list[int]:
    """Places of the last snapshots of calendar periods of that many months."""
    last = [place for place, day in enumerate(days) if day.month % length == 0]
    return last if last and last[-1] == len(days) - 1 else [*last, len(days) - 1]


def cohorts(found: Books) -> dict[date, list[tuple[int, int]]]:
    """(customers, MRR) by months since the first, of those who began in each month."""
    every = [found.mrr(day, customer_of, floor=True) for day in found.days]
    began: dict[Any, int] = {}
    for place, paying in enumerate(every):
        for who, mrr in paying.items():
            if mrr > 0:
                began.setdefault(who, place)
    table = {}
    for first in sorted(set(began.values())):
        members = [who for who, at in began.items() if at == first]
        table[found.days[first]] = [
            (
                sum(paying.get(who, 0) > 0 for who in members),
                sum(paying.get(who, 0) for who in members),
            )
            for paying in every[first:]
        ]
    return table


def recognised(found: Books, *, daily: bool) -> list[tuple[int, int, int, int]]:
    """(invoiced and recognised so far, deferred, accrued) at each snapshot, minor units."""
    served = {one.row.place: one for one in found.services}
    result = []
    for day in found.days:
        invoiced = done = deferred = accrued = 0
        for row in found.rows:
            own = row.net_home if row.day.replace(day=1) <= day else 0
            earned = _earned(row, served.get(row.place), day, daily=daily)
            invoiced, done = invoiced + own, done + earned
            left = own - earned
            if left * row.net_home > 0:
                deferred += left
            else:
                accrued -= left
        result.append((invoiced, done, deferred, accrued))
    return result


def _earned(row: Row, one: Service | None, day: date, *, daily: bool) -> int:
    if one is None:
        dates = row.row_dates or row.delivery_dates
        begun = dates[0] if dates else row.day
        return row.net_home if begun <= day else 0
    if daily:
        past = min(max((day - one.start).days + 1, 0), (one.after - one.start).days)
        return half_up(Fraction(row.net_home * past, (one.after - one.start).days))
    dues = []
    month = one.start.replace(day=1)
    while month_end(month) < one.after:
        dues.append(month_end(month))
        month = add_months(month, 1)
    dues = dues or [month_end(one.start)]
    past = sum(due <= day for due in dues)
    return half_up(Fraction(row.net_home * past, len(dues)))


def contracted(found: Books) -> list[tuple[int, int]]:
    """(signed and not begun, known to end) at each snapshot."""
    chains = defaultdict(list)
    for one in found.services:
        chains[one.chain].append(one)
    result = []
    for day in found.days:
        signed = sum(
            per_month(one, one.row.net_home)
            for one in found.services
            if one.row.day <= day < one.start
        )
        ending = 0
        for one in found.services:
            if not (one.start <= day < one.after and found.stands(one, day)):
                continue
            if any(
                other.row.day <= day and (one.after - other.start).days <= 3
                for other in chains[one.chain]
            ):
                ending += per_month(one, one.row.net_home)
        result.append((signed, ending))
    return result


def first_invoices(found: Books, step: Step, place: int) -> int:
    """What the first invoices of a month's new customers ask for subscriptions."""
    total = 0
    day, before = found.days[place], found.days[place - 1] if place else date.min
    for who in step.new:
        begun = [
            one.row
            for one in found.services
            if one.row.customer == who
            and one.row.net_home > 0
            and found.stands(one, day)
            and not (place and found.stands(one, before))
        ]
        lead = min(begun, key=lambda row: (row.day, row.invoice.id)).invoice
        total += sum(row.net_home for row in begun if row.invoice is lead)
    return total
