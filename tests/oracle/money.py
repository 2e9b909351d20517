"""The oracle's receivables, cash by month and runway."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import ROUND_HALF_UP, Decimal
from fractions import Fraction
from math import ceil
from statistics import median
from typing import Any

from tests.oracle.calendars import DAY, add_months, month_end
from tests.oracle.documents import Invoice, cents, half_up

NO_MONEY = {"CREDITLOSS", "INVOICE_TO_INVOICE"}
DAYS_A_MONTH = Fraction("30.436875")


@dataclass(frozen=True)
class Open:
    invoice: int
    amount: int
    bucket: str
    expected: date


def receivables(invoices: list[Invoice], as_of: date) -> list[Open]:
    """Open documents in the accounting currency, by age, with the day to expect the money."""
    delays: dict[str, list[tuple[date, int]]] = defaultdict(list)
    owed: list[tuple[Invoice, int]] = []
    for one in invoices:
        left = one.total - sum(cents(event["paidAmount"]) for event in one.events)
        kinds = {event["type"] for event in one.events}
        money = [
            date.fromisoformat(event["paymentDate"])
            for event in one.events
            if event["type"] not in NO_MONEY
        ]
        if one.settled or left * one.total <= 0:
            if money and "CREDITLOSS" not in kinds and one.total > 0:
                delays[one.customer].append((max(money), (max(money) - one.due).days))
        else:
            owed.append((one, half_up(Fraction(left * one.total_home, one.total))))
    everyone = [delay for found in delays.values() for _, delay in found] or [0]
    out = []
    for one, amount in owed:
        own = delays[one.customer]
        usual = _usual(own) if len(own) >= 3 else ceil(median(everyone))
        expected = max(as_of, one.due + timedelta(days=usual))
        out.append(Open(one.id, amount, _bucket((as_of - one.due).days), expected))
    return out


def _usual(paid: list[tuple[date, int]]) -> int:
    """The middle delay of the last twelve; between two days the later one is expected."""
    return ceil(median(delay for _, delay in sorted(paid)[-12:]))


def _bucket(overdue: int) -> str:
    if overdue <= 0:
        return "not_due"
    return next((f"up_to_{edge}" for edge in (30, 60, 90) if overdue <= edge), "over_90")


@dataclass(frozen=True)
class CashMonth:
    name: str
    balance: int
    money_in: int
    money_out: int
    financing: int
    complete: bool


@dataclass(frozen=True)
class Cash:
    months: list[CashMonth]
    proposed: set[int]
    """Bank events large enough to ask whether they are financing."""
    state: str
    cash: int
    balance_day: date
    net_burn: int | None
    runway: Decimal | None
    zero_day: date | None


def cash(raw: Iterable[bytes], as_of: date, financing: frozenset[int] = frozenset()) -> Cash:
    """Cash of statements as the bank printed them; `financing` are events marked by a person."""
    statements = [json.loads(one, parse_float=Decimal) for one in raw]
    accounts = {one["accountNumber"] for one in statements}
    day = min(
        as_of - DAY,
        *(
            max(_day(one, "endDate") for one in statements if one["accountNumber"] == account)
            for account in accounts
        ),
    )
    flows = [(one["accountNumber"], event) for one in statements for event in one["events"]]
    months: list[CashMonth] = []
    month = min(_day(one, "startDate") for one in statements).replace(day=1)
    while month <= day:
        last = min(month_end(month), day)
        inside = [event for _, event in flows if month <= _paid(event) <= last]
        outside = [one for one in inside if one.get("accountNumber") not in accounts]
        work = [cents(one["sum"]) for one in outside if one["id"] not in financing]
        months.append(
            CashMonth(
                name=f"{month:%Y-%m}",
                balance=sum(_balance(statements, account, last) for account in accounts),
                money_in=sum(amount for amount in work if amount > 0),
                money_out=-sum(amount for amount in work if amount < 0),
                financing=sum(cents(one["sum"]) for one in outside if one["id"] in financing),
                complete=_covered(statements, accounts, month),
            )
        )
        month = add_months(month, 1)
    usual = median([one.money_in for one in months if one.complete] or [0])
    proposed = {
        event["id"]
        for _, event in flows
        if cents(event["sum"]) > 3 * usual
        and event.get("accountNumber") not in accounts
        and not event.get("invoiceId")
        and event["id"] not in financing
    }
    return _runway(months, proposed, day)


def _day(holder: dict[str, Any], name: str) -> date:
    return date.fromisoformat(holder[name])


def _paid(event: dict[str, Any]) -> date:
    return date.fromisoformat(event["payDate"])


def _balance(statements: list[dict[str, Any]], account: str, day: date) -> int:
    """At the end of that day: the running statement's opening and its events so far."""
    own = [one for one in statements if one["accountNumber"] == account]
    begun = [one for one in own if _day(one, "startDate") <= day]
    if not begun:
        return 0
    last = max(begun, key=lambda one: (_day(one, "startDate"), one["id"]))
    moved = sum(cents(event["sum"]) for event in last["events"] if _paid(event) <= day)
    return cents(last["startBalance"]) + moved


def _covered(statements: list[dict[str, Any]], accounts: set[str], month: date) -> bool:
    for account in accounts:
        covered: set[date] = set()
        for one in statements:
            if one["accountNumber"] == account:
                day = _day(one, "startDate")
                while day <= _day(one, "endDate"):
                    covered.add(day)
                    day += DAY
        if not all(month + DAY * add in covered for add in range(month_end(month).day)):
            return False
    return True


def _runway(months: list[CashMonth], proposed: set[int], day: date) -> Cash:
    whole = [one for one in months if one.complete][-3:]
    held = months[-1].balance
    burn = half_up(Fraction(sum(one.money_out - one.money_in for one in whole), len(whole) or 1))
    state = "ok"
    if len(whole) < 2:
        state = "insufficient_history"
    elif held <= 0:
        state = "no_cash"
    elif burn <= 0:
        state = "cashflow_positive"
    if state != "ok":
        return Cash(months, proposed, state, held, day, burn, None, None)
    length = Fraction(held, burn)
    shown = (Decimal(held) / Decimal(burn)).quantize(Decimal("0.1"), rounding=ROUND_HALF_UP)
    zero = day + timedelta(days=int(length * DAYS_A_MONTH))
    return Cash(months, proposed, state, held, day, burn, shown, zero)
