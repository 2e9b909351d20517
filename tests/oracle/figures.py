"""The oracle's MRR, movements, rates and revenue, customer by customer and day by day."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta
from fractions import Fraction

from tests.oracle.calendars import month_ends
from tests.oracle.detection import Service, detect
from tests.oracle.documents import HOME, Row, half_up

GRACE = {1: 30, 2: 35, 3: 45, 6: 60, 12: 60}
E4 = 10_000
KINDS = ("new", "expansion", "contraction", "churn", "reactivation")


@dataclass
class Month:
    """One snapshot; amounts in 1/10 000 of a minor unit of the accounting currency."""

    day: date
    mrr: int = 0
    customers: int = 0
    fx: int = 0
    moved: dict[str, int] = field(default_factory=lambda: dict.fromkeys(KINDS, 0))
    counts: dict[str, int] = field(default_factory=lambda: dict.fromkeys(KINDS, 0))
    rates: dict[str, Fraction | None] = field(default_factory=dict)


@dataclass
class Growth:
    services: list[Service]
    unmatched: list[Row]
    months: list[Month]
    by_customer: list[dict[str, int]]
    revenue: dict[str, tuple[int, int]]
    """(recurring, all) net by "YYYY-MM" of the invoice, minor units."""


def late_chains(
    services: list[Service], as_of: date, rows: list[Row], unpaid: Mapping[int, date] | None = None
) -> dict[tuple[object, ...], date]:
    """The end of each subscription that awaits its next invoice within the grace.

    `unpaid` has the invoices that no longer count, with the day from which they do not.
    """
    standing = [one for one in services if one.row.net > 0 and not one.cancelled]
    last: dict[tuple[object, ...], Service] = {}
    for one in standing:
        if one.chain not in last or one.after > last[one.chain].after:
            last[one.chain] = one
    late = {}
    for chain, one in last.items():
        followed = any(
            other.row.group == one.row.group
            and other.chain != chain
            and other.start >= one.after - timedelta(days=3)
            for other in standing
        )
        if one.after <= as_of <= one.after + timedelta(days=GRACE[one.nominal]) and not followed:
            late[chain] = one.after
    standing = [one for one in standing if one.row.invoice.id not in (unpaid or {})]
    gone = _switched(standing, late, as_of, rows)
    return {chain: after for chain, after in late.items() if chain not in gone}


def _switched(
    standing: list[Service], late: dict[tuple[object, ...], date], as_of: date, rows: list[Row]
) -> set[tuple[object, ...]]:
    """Late subscriptions whose place another product's took: one for one, nearest in worth."""
    chains: dict[tuple[object, ...], list[Service]] = defaultdict(list)
    for one in standing:
        if one.start <= as_of and one.start < one.after:
            chains[one.chain].append(one)
    pairs = []
    for old, after in late.items():
        last = [one for one in chains.get(old, []) if one.after == after]
        if not last:
            continue
        group = last[0].row.group
        worth = sum(_per_month(one, one.row.net) for one in last)
        begun = min(one.start for one in last)
        due = after + (min(one.row.day for one in last) - begun)
        billed = max(row.day for row in rows if row.group == group and row.net > 0)
        for new, members in chains.items():
            later = [one for one in members if (one.start - after).days >= -3]
            earlier = [one.after for one in members if one not in later]
            if not later or (earlier and (max(earlier) - begun).days > 3):
                continue
            start = min(one.start for one in later)
            first = [one for one in later if one.start == start]
            other = first[0].row.group
            day = min(one.row.day for one in first)
            price = sum(_per_month(one, one.row.net) for one in first)
            if (
                (other[0], other[2]) == (group[0], group[2])
                and other[1] != group[1]
                and (day - due).days >= -3
                and day > billed
                and price * 4 >= worth
            ):
                apart = Fraction(max(price, worth), min(price, worth))
                places = [
                    (min(one.row.day for one in plan), min(one.row.place for one in plan))
                    for plan in (last, first)
                ]
                pairs.append((apart, -worth, -price, *places, old, new))
    gone: set[tuple[object, ...]] = set()
    taken: set[tuple[object, ...]] = set()
    for *_, old, new in sorted(pairs, key=lambda pair: pair[:5]):
        if old not in gone and new not in taken:
            gone.add(old)
            taken.add(new)
    return gone


def grow(rows: list[Row], as_of: date) -> Growth:
    services, unmatched = detect(rows)
    late = late_chains(services, as_of, rows)
    first = min([row.day for row in rows] + [one.start for one in services])
    days = month_ends(first, as_of)
    growth = Growth(services, unmatched, [Month(day) for day in days], [], _revenue(rows, services))
    pairs_by_month: list[dict[tuple[str, str], tuple[int, int]]] = []
    priced = [
        (one, _per_month(one, one.row.net), _per_month(one, one.row.net_home)) for one in services
    ]
    for month in growth.months:
        customers: dict[str, int] = defaultdict(int)
        pairs: dict[tuple[str, str], tuple[int, int]] = {}
        for one, own, home in priced:
            if not _counts(one, month.day, late):
                continue
            customers[one.row.customer] += home
            if one.row.invoice.currency != HOME:
                key = one.row.customer, one.row.invoice.currency
                before = pairs.get(key, (0, 0))
                pairs[key] = before[0] + own, before[1] + home
        growth.by_customer.append({who: max(mrr, 0) for who, mrr in customers.items()})
        pairs_by_month.append(pairs)
    paid_before: set[str] = set()
    for place, month in enumerate(growth.months):
        now = growth.by_customer[place]
        before = growth.by_customer[place - 1] if place else {}
        fx = _fx(pairs_by_month[place - 1], pairs_by_month[place]) if place else {}
        _move(month, before, now, fx, paid_before)
        _rate(month, before)
        if place >= 12:
            year_ago = growth.by_customer[place - 12]
            fx = _fx(pairs_by_month[place - 12], pairs_by_month[place])
            _trail(month, year_ago, now, fx)
        paid_before |= {who for who, mrr in now.items() if mrr > 0}
    return growth


def _per_month(one: Service, net: int) -> int:
    return half_up(Fraction(net * E4) / one.months)


def _counts(one: Service, day: date, late: dict[tuple[object, ...], date]) -> bool:
    return one.start <= day and (day < one.after or late.get(one.chain) == one.after)


def _fx(
    before: dict[tuple[str, str], tuple[int, int]], now: dict[tuple[str, str], tuple[int, int]]
) -> dict[str, int]:
    """Per customer: what stands there now less what would at the former rate."""
    effects: dict[str, int] = defaultdict(int)
    for (customer, currency), (own, home) in now.items():
        own_before, home_before = before.get((customer, currency), (0, 0))
        if own > 0 and own_before > 0:
            effects[customer] += home - half_up(Fraction(own * home_before, own_before))
    return effects


def _move(
    month: Month, before: dict[str, int], now: dict[str, int], fx: dict[str, int], known: set[str]
) -> None:
    month.mrr = sum(now.values())
    month.customers = sum(mrr > 0 for mrr in now.values())
    for who in set(before) | set(now):
        p, c = before.get(who, 0), now.get(who, 0)
        effect = fx.get(who, 0) if p and c else 0
        change = c - p - effect
        month.fx += effect
        if p == 0 and c > 0:
            kind = "reactivation" if who in known else "new"
        elif p > 0 and c == 0:
            kind = "churn"
        elif change:
            kind = "expansion" if change > 0 else "contraction"
        else:
            continue
        month.moved[kind] += abs(change)
        month.counts[kind] += 1


def _rate(month: Month, before: dict[str, int]) -> None:
    start, paying = sum(before.values()), sum(mrr > 0 for mrr in before.values())
    moved = month.moved
    gained = moved["new"] + moved["expansion"] + moved["reactivation"]
    lost = moved["churn"] + moved["contraction"]
    kept = moved["expansion"] + moved["reactivation"]
    month.rates = {
        "gross_churn": _over(lost, start),
        "net_churn": _over(lost - kept, start),
        "customer_churn": _over(month.counts["churn"], paying),
        "nrr": _over(start + moved["expansion"] - lost, start),
        "grr": _over(start - lost, start),
        "quick_ratio": _over(gained, lost),
        "arpa_minor": _over(month.mrr, month.customers * E4),
        "trailing_nrr": None,
        "trailing_grr": None,
    }


def _trail(month: Month, year_ago: dict[str, int], now: dict[str, int], fx: dict[str, int]) -> None:
    """Those who paid a year ago: their MRR now without exchange rates, and no more than then."""
    then = sum(year_ago.values())
    kept = {
        who: now.get(who, 0) - (fx.get(who, 0) if now.get(who, 0) else 0)
        for who, mrr in year_ago.items()
        if mrr > 0
    }
    month.rates["trailing_nrr"] = _over(sum(kept.values()), then)
    month.rates["trailing_grr"] = _over(
        sum(min(mrr, year_ago[who]) for who, mrr in kept.items()), then
    )


def _over(part: int, whole: int) -> Fraction | None:
    return Fraction(part, whole) if whole else None


def _revenue(rows: list[Row], services: list[Service]) -> dict[str, tuple[int, int]]:
    recurring = {one.row.place for one in services}
    months: dict[str, tuple[int, int]] = {}
    for row in rows:
        name = f"{row.day:%Y-%m}"
        part, whole = months.get(name, (0, 0))
        own = row.net_home if row.place in recurring else 0
        months[name] = part + own, whole + row.net_home
    return months
