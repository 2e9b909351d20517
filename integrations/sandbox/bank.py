"""The two bank accounts of a company: what comes in, what it costs, and the statements."""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from random import Random
from typing import Any

from integrations.sandbox import numbers
from integrations.sandbox.calendars import add_months, banking_day, month_length
from integrations.sandbox.model import Event, Profile
from integrations.sandbox.payments import Payment
from integrations.sandbox.sums import money

_DAY = timedelta(days=1)
_SAVINGS_OPENING = 20_000_00
# share of a month's cost in percent, day of the month, payee, bank code
_COSTS = (
    (48, 25, "Palkat", 725),
    (10, 10, "Eläkevakuutus Malli", 702),
    (22, 12, "Verohallinto", 702),
    (6, 2, "Toimitilat Esimerkki Oy", 702),
    (8, 20, "Ohjelmistot, korttimaksut", 721),
    (6, 16, "Muut kulut", 702),
)


@dataclass(slots=True)
class Account:
    """One account with its events in any order; `opening` in cents on the first day."""

    id: int
    number: str
    iban: str
    name: str
    opening: int
    events: list[Event]

    def balance(self, day: date) -> int:
        """Cents at the end of that day."""
        return self.opening + sum(e.cents for e in self.events if e.day <= day)


def build_accounts(
    profile: Profile, rng: Random, payments: Iterable[Payment], *, opens: date, anchor: date
) -> list[Account]:
    """Main and savings account from the opening day to the day before the anchor."""
    serial = f"{profile.serial % 1_000_000:06d}"
    accounts = [
        Account(71 + place, number, numbers.iban(number), name, opening, [])
        for place, (number, name, opening) in enumerate(
            (
                (f"12345600{serial}", "Käyttötili", 0),
                (f"12345699{serial}", "Säästötili", _SAVINGS_OPENING),
            )
        )
    ]
    main, savings = accounts
    main.events = _customer_events(payments)
    months = _months(opens, anchor)
    income: dict[tuple[int, int], int] = defaultdict(int)
    for event in main.events:
        income[event.day.year, event.day.month] += event.cents
    recent = sum(income[m.year, m.month] for m in months[-3:]) // 3
    burn = recent * profile.burn_share // 100
    costs = _costs(rng, months, max(recent + burn, 4_000_00))
    for cost_events in costs:
        main.events.extend(e for e in cost_events if opens <= e.day < anchor)
    _fund(profile, main, months, income, costs, target=burn * profile.runway_months)
    _move_between(main, savings, months, anchor)
    return accounts


def _months(opens: date, anchor: date) -> list[date]:
    months, day = [], opens
    while day < anchor:
        months.append(day)
        day = add_months(day, 1)
    return months


def _customer_events(payments: Iterable[Payment]) -> list[Event]:
    events = []
    for payment in payments:
        if not payment.through_bank:
            continue
        incoming = payment.draft.type == "SALES_INVOICE"
        events.append(
            Event(
                payment.day,
                payment.cents if incoming else -payment.cents,
                payment.draft.partner.name,
                705 if incoming else 702,
                reference=numbers.reference(payment.draft.number) if incoming else "",
                invoice_id=payment.draft.id,
            )
        )
    return events


def _costs(rng: Random, months: list[date], level: int) -> list[list[Event]]:
    """Costs of each month: they grow to `level` and wobble by a few percent."""
    out = []
    for place, month in enumerate(months):
        growth = 45 + 55 * (place + 1) // len(months)
        total = level * growth * rng.randrange(97, 104) // 10_000
        events = [
            Event(banking_day(month.replace(day=day)), -(total * share // 100), payee, code)
            for share, day, payee, code in _COSTS
        ]
        last = month.replace(day=month_length(month.year, month.month))
        events.append(Event(last, -rng.randrange(12_00, 40_00), "Testipankki", 730, "Palvelumaksu"))
        out.append(events)
    return out


def _fund(
    profile: Profile,
    main: Account,
    months: list[date],
    income: dict[tuple[int, int], int],
    costs: list[list[Event]],
    *,
    target: int,
) -> None:
    """Opening balance and one round of financing, so that the cash lasts as the profile says."""
    flows = [
        income[month.year, month.month] + sum(e.cents for e in events)
        for month, events in zip(months, costs, strict=True)
    ]
    need = target - sum(flows) - _SAVINGS_OPENING
    round_place = len(months) // 3
    low = running = 0
    for flow in flows[: round_place + 1]:
        running += flow
        low = min(low, running)
    opening = -low * 13 // 10 + 15_000_00
    financing = max(0, need - opening) // 1_000_00 * 1_000_00
    main.opening = need - financing if financing else max(need, opening)
    if financing:
        day = banking_day(months[round_place].replace(day=15))
        main.events.append(
            Event(day, financing, "Pääomasijoitus Malli Ventures Ky", 710, "Osakeanti, merkintä")
        )


def _move_between(main: Account, savings: Account, months: list[date], anchor: date) -> None:
    """Own transfers: spare money goes to savings, and comes back before it runs short."""
    by_month: dict[tuple[int, int], int] = defaultdict(int)
    for event in main.events:
        by_month[event.day.year, event.day.month] += event.cents
    here, there = main.opening, savings.opening
    for month in months:
        here += by_month[month.year, month.month]
        ahead = sum(
            -min(0, by_month[later.year, later.month])
            for later in (add_months(month, 1), add_months(month, 2))
        )
        day = banking_day(month.replace(day=27))
        move = 0
        if here > 4 * ahead + 60_000_00:
            move = (here - 2 * ahead - 30_000_00) // 2 // 1_000_00 * 1_000_00
        elif here < ahead + 20_000_00 and there > 5_000_00:
            move = -min(there, ahead + 20_000_00) // 1_000_00 * 1_000_00
            move = max(move, -there)
        if not move or day >= anchor:
            continue
        here, there = here - move, there + move
        main.events.append(
            Event(day, -move, "Oma tilisiirto", 700, "Tilien välinen siirto", account=savings.iban)
        )
        savings.events.append(
            Event(day, move, "Oma tilisiirto", 700, "Tilien välinen siirto", account=main.iban)
        )


def periods(opens: date, anchor: date, *, daily: bool) -> Iterator[tuple[date, date]]:
    """Statement periods without gaps: weeks or banking days, none across a month's end."""
    start = opens
    while start < anchor:
        end = start
        month_end = start.replace(day=month_length(start.year, start.month))
        while end < month_end and (end.weekday() > 4 if daily else end.weekday() < 6):
            end += _DAY
        yield start, min(end, anchor - _DAY)
        start = end + _DAY


def statements(
    account: Account, *, opens: date, anchor: date, daily: bool, first_id: int, merged: bool
) -> list[dict[str, Any]]:
    """Every statement of the account; balances join without a gap."""
    events = sorted(account.events, key=lambda e: e.day)
    balance, place, out = account.opening, 0, []
    event_id = first_id * 10
    for number, (start, end) in enumerate(periods(opens, anchor, daily=daily), start=1):
        mine = []
        while place < len(events) and events[place].day <= end:
            mine.append(events[place])
            place += 1
        if merged:
            mine = _merge(mine)
        closing = balance + sum(e.cents for e in mine)
        out.append(
            _statement(first_id + number, account, number, (start, end), (balance, closing), mine)
        )
        for item, event in zip(out[-1]["events"], mine, strict=True):
            event_id += 1
            item.update(_event(event_id, event))
        balance = closing
    return out


def _merge(events: list[Event]) -> list[Event]:
    """Reference payments of a day as one line, as banks report them to large companies."""
    kept = [e for e in events if e.code != 705]
    days: dict[date, tuple[int, int]] = {}
    for event in events:
        if event.code == 705:
            count, cents = days.get(event.day, (0, 0))
            days[event.day] = count + 1, cents + event.cents
    kept += [
        Event(day, cents, "Viitesiirrot", 705, f"Viitesiirrot {count} kpl")
        for day, (count, cents) in days.items()
    ]
    return sorted(kept, key=lambda e: e.day)


def _statement(
    statement_id: int,
    account: Account,
    number: int,
    span: tuple[date, date],
    balances: tuple[int, int],
    events: list[Event],
) -> dict[str, Any]:
    deposits = [e.cents for e in events if e.cents >= 0]
    withdrawals = [e.cents for e in events if e.cents < 0]
    return {
        "id": statement_id,
        "accountNumber": account.iban,
        "startDate": span[0].isoformat(),
        "endDate": span[1].isoformat(),
        "currency": "EUR",
        "numberOfDeposits": len(deposits),
        "depositSum": money(sum(deposits)),
        "numberOfWithdrawals": len(withdrawals),
        "withdrawalSum": money(sum(withdrawals)),
        "startBalance": money(balances[0]),
        "endBalance": money(balances[1]),
        "statementNumber": number,
        "events": [{} for _ in events],
    }


def _event(event_id: int, event: Event) -> dict[str, Any]:
    out: dict[str, Any] = {
        "id": event_id,
        "payDate": event.day.isoformat(),
        "valueDate": event.day.isoformat(),
        "sum": money(event.cents),
        "name": event.name,
        "explanationCode": event.code,
        "archiveCode": f"A{event_id}",
        "allocated": event.invoice_id is not None,
        "invoiceId": event.invoice_id,
        "attachments": [],
        "allocationMetadataRows": [],
    }
    if event.message:
        out["message"] = event.message
    if event.reference:
        out["reference"] = event.reference
    if event.account:
        out["accountNumber"] = event.account
    return out
