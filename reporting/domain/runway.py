"""Cash, burn and runway from bank statements, in minor units of the reporting currency."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal
from enum import Enum, IntEnum
from fractions import Fraction

import numpy as np

from reporting.domain.arrays import Codes, Flags, Ints, Small, as_int64
from reporting.domain.choices import Average, Settings
from reporting.domain.periods import day_number, first_day, last_day, month_of

DAYS_PER_MONTH = Fraction("30.436875")
CAP_MONTHS = 36
TRANSFER_DAYS = 3


class Financing(IntEnum):
    UNMARKED = 0
    YES = 1
    NO = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Bank:
    """Bank accounts, their statements and the events on them.

    Statement days are inclusive, as banks print them. Amounts are in the reporting currency
    at the stored rate; deposits are positive.
    """

    account_ids: tuple[int, ...]
    ibans: tuple[str, ...]
    active: tuple[bool, ...]
    statement_account: Codes
    """Index into `account_ids`."""
    statement_start: Ints
    statement_end: Ints
    statement_opening: Ints
    """Balance at the beginning of the statement."""
    event_id: Ints
    event_account: Codes
    event_day: Ints
    event_amount: Ints
    event_iban: Codes
    """Counterparty: index into `counterparties`, -1 where the bank names none."""
    event_invoice: Ints
    """Invoice that the event pays, -1 where it is not allocated."""
    financing: Small
    """`Financing`: what a person said about the event."""
    counterparties: tuple[str, ...]


NO_BANK = Bank(
    account_ids=(),
    ibans=(),
    active=(),
    statement_account=np.zeros(0, dtype=np.int32),
    statement_start=np.zeros(0, dtype=np.int64),
    statement_end=np.zeros(0, dtype=np.int64),
    statement_opening=np.zeros(0, dtype=np.int64),
    event_id=np.zeros(0, dtype=np.int64),
    event_account=np.zeros(0, dtype=np.int32),
    event_day=np.zeros(0, dtype=np.int64),
    event_amount=np.zeros(0, dtype=np.int64),
    event_iban=np.zeros(0, dtype=np.int32),
    event_invoice=np.zeros(0, dtype=np.int64),
    financing=np.zeros(0, dtype=np.int8),
    counterparties=(),
)


class State(Enum):
    NO_CASH_DATA = "no_cash_data"
    INSUFFICIENT_HISTORY = "insufficient_history"
    NO_CASH = "no_cash"
    CASHFLOW_POSITIVE = "cashflow_positive"
    OK = "ok"


@dataclass(frozen=True, slots=True, kw_only=True)
class Runway:
    """How long the money lasts, with both parts of the quotient and the months used."""

    state: State
    cash: int | None
    balance_day: int | None
    net_burn: int | None
    """Per month, positive when money goes out."""
    gross_burn: int | None
    """Paid out in operations per month, positive."""
    months_used: tuple[int, ...]
    """Month indexes behind the averages, oldest first; fewer than asked for is said so."""
    months: Decimal | None
    """Cash divided by net burn, one decimal; only in state `ok`."""
    zero_cash_day: int | None

    @property
    def over_cap(self) -> bool:
        """Longer than is worth a figure: show "over 36 months"."""
        return self.months is not None and self.months > CAP_MONTHS


class EventKind(IntEnum):
    OPERATIONS = 0
    OWN_TRANSFER = 1
    FINANCING = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Cashflow:
    """Cash by calendar month, from the first statement to the month of the balance day."""

    months: Ints
    balance: Ints
    """At the month's last day, or at the balance day in its month."""
    money_in: Ints
    money_out: Ints
    """Operations only, both positive; transfers between own accounts are in neither."""
    financing: Ints
    """Signed."""
    complete: Flags
    event_kind: Small
    """`EventKind` of every event, in the input's order."""
    proposed_financing: Ints
    """Events (rows of the input) large enough to ask whether they are financing."""
    runway: Runway


def cashflow(bank: Bank, settings: Settings) -> Cashflow:
    """Money by month and the runway on the last day that every account's statements cover."""
    yesterday = day_number(settings.as_of) - 1
    kind = event_kinds(bank)
    used = _accounts_in_use(bank)
    accounts = np.flatnonzero(used).tolist()
    if not used.any():
        return _without_cash(kind)
    in_use = used[bank.statement_account]
    ends = np.array(
        [
            bank.statement_end[bank.statement_account == account].max()
            for account in np.flatnonzero(used)
        ]
    )
    balance_day = min(int(ends.min()), yesterday)
    first = int(month_of(bank.statement_start[in_use].min()))
    months = np.arange(first, max(int(month_of(balance_day)), first) + 1, dtype=np.int64)
    days = np.minimum(last_day(months), balance_day)
    balance = sum(
        (balance_on(bank, account, days) for account in accounts),
        start=np.zeros(len(months), dtype=np.int64),
    )
    place = month_of(bank.event_day) - first
    counts = (place >= 0) & (bank.event_day <= balance_day) & used[bank.event_account]
    operating = counts & (kind == EventKind.OPERATIONS)
    amounts = bank.event_amount

    def by_month(chosen: Flags) -> Ints:
        total = np.zeros(len(months), dtype=np.int64)
        np.add.at(total, place[chosen], amounts[chosen])
        return total

    money_in = by_month(operating & (amounts > 0))
    money_out = -by_month(operating & (amounts < 0))
    complete = _complete(bank, used, months) & (last_day(months) <= balance_day)
    return Cashflow(
        months=months,
        balance=balance,
        money_in=money_in,
        money_out=money_out,
        financing=by_month(counts & (kind == EventKind.FINANCING)),
        complete=complete,
        event_kind=kind,
        proposed_financing=_proposals(bank, operating, money_in, money_out),
        runway=runway(
            cash=int(balance[-1]),
            balance_day=balance_day,
            months=months[complete],
            money_in=money_in[complete],
            money_out=money_out[complete],
            settings=settings,
        ),
    )


def runway(
    *,
    cash: int | None,
    balance_day: int | None,
    months: Ints,
    money_in: Ints,
    money_out: Ints,
    settings: Settings,
) -> Runway:
    """Runway from cash and the operating flows of complete months, oldest first."""
    if cash is None or balance_day is None:
        return _no_number(State.NO_CASH_DATA, cash, balance_day)
    run = _last_run(months)
    used = months[run][-settings.burn_months :]
    if len(used) < settings.burn_months and len(used) < 2:
        return _no_number(State.INSUFFICIENT_HISTORY, cash, balance_day)
    net = _average((money_out - money_in)[run][-len(used) :], settings.burn_average)
    gross = _average(money_out[run][-len(used) :], settings.burn_average)
    length: Fraction | None = None
    if cash <= 0:
        state = State.NO_CASH
    elif net <= 0:
        state = State.CASHFLOW_POSITIVE
    else:
        state, length = State.OK, Fraction(cash, net)
    return Runway(
        state=state,
        cash=cash,
        balance_day=balance_day,
        net_burn=net,
        gross_burn=gross,
        months_used=tuple(int(month) for month in used),
        months=None if length is None else _one_decimal(length),
        zero_cash_day=None if length is None else balance_day + int(length * DAYS_PER_MONTH),
    )


def event_kinds(bank: Bank) -> Small:
    """Which events are operations, transfers between own accounts, or financing."""
    own = {_plain(iban) for iban in bank.ibans}
    named = np.array([_plain(name) in own for name in bank.counterparties] + [False])
    transfer = named[bank.event_iban]
    transfer |= _mirrored(bank, (bank.event_iban < 0) & ~transfer)
    kind = np.where(transfer, EventKind.OWN_TRANSFER, EventKind.OPERATIONS)
    kind = np.where(bank.financing == Financing.YES, EventKind.FINANCING, kind)
    return kind.astype(np.int8)


def _mirrored(bank: Bank, candidates: Flags) -> Flags:
    """Events without a counterparty that meet an equal one of the other sign on another account."""
    found = np.zeros(len(bank.event_id), dtype=np.bool_)
    rows = np.flatnonzero(candidates & (bank.event_amount != 0))
    rows = rows[np.argsort(bank.event_day[rows], kind="stable")]
    waiting: dict[int, list[int]] = {}
    for row in rows:
        amount, day = int(bank.event_amount[row]), int(bank.event_day[row])
        others = waiting.get(-amount, [])
        match = next(
            (
                other
                for other in others
                if day - int(bank.event_day[other]) <= TRANSFER_DAYS
                and bank.event_account[other] != bank.event_account[row]
            ),
            None,
        )
        if match is None:
            waiting.setdefault(amount, []).append(int(row))
        else:
            others.remove(match)
            found[row] = found[match] = True
    return found


def balance_on(bank: Bank, account: int, days: Ints) -> Ints:
    """The account's balance at the end of each day; 0 before its first statement.

    The statement that covers or precedes the day gives the anchor, so that a rate change or
    a lost event never travels further than one statement.
    """
    own = np.flatnonzero(bank.statement_account == account)
    own = own[np.lexsort((bank.statement_end[own], bank.statement_start[own]))]
    starts = as_int64(bank.statement_start[own])
    events = np.flatnonzero(bank.event_account == account)
    events = events[np.argsort(bank.event_day[events], kind="stable")]
    event_days = as_int64(bank.event_day[events])
    running = np.concatenate(([0], np.cumsum(bank.event_amount[events])))
    anchor = np.searchsorted(starts, days, side="right") - 1
    known = anchor >= 0
    anchor = np.maximum(anchor, 0)
    until = running[np.searchsorted(event_days, days, side="right")]
    before = running[np.searchsorted(event_days, starts[anchor], side="left")]
    return np.where(known, as_int64(bank.statement_opening[own])[anchor] + until - before, 0)


def _accounts_in_use(bank: Bank) -> Flags:
    used = np.zeros(len(bank.account_ids), dtype=np.bool_)
    used[bank.statement_account] = True
    return used & np.array(bank.active, dtype=np.bool_)


def _complete(bank: Bank, used: Flags, months: Ints) -> Flags:
    """Months of which every account's statements cover each day.

    An account that opens with nothing on it needs no statement before its first one.
    """
    complete = np.ones(len(months), dtype=np.bool_)
    begin, stop = first_day(months), last_day(months)
    for account in np.flatnonzero(used):
        own = np.flatnonzero(bank.statement_account == account)
        own = own[np.argsort(bank.statement_start[own], kind="stable")]
        starts, ends = bank.statement_start[own], bank.statement_end[own]
        opened = int(starts[0]) if bank.statement_opening[own[0]] == 0 else None
        if opened is not None:
            starts = np.concatenate(([min(opened, int(begin[0]))], starts))
            ends = np.concatenate(([opened - 1], ends))
        reach = np.maximum.accumulate(ends)
        gaps = np.flatnonzero(starts[1:] > reach[:-1] + 1)
        covered = (begin >= starts[0]) & (stop <= reach[-1])
        for gap in gaps:
            covered &= (stop <= reach[gap]) | (begin >= starts[gap + 1])
        complete &= covered
    return complete


def _last_run(months: Ints) -> slice:
    """The unbroken run of months that ends with the latest one."""
    breaks = np.flatnonzero(np.diff(months) != 1)
    return slice(int(breaks[-1]) + 1 if breaks.size else 0, len(months))


def _average(values: Ints, how: Average) -> int:
    ordered = sorted(int(value) for value in values)
    middle = len(ordered) // 2
    if how is Average.MEAN:
        exact = Fraction(sum(ordered), len(ordered))
    elif len(ordered) % 2:
        exact = Fraction(ordered[middle])
    else:
        exact = Fraction(ordered[middle - 1] + ordered[middle], 2)
    size = int(abs(exact) + Fraction(1, 2))
    return size if exact >= 0 else -size


def _one_decimal(value: Fraction) -> Decimal:
    exact = Decimal(value.numerator) / Decimal(value.denominator)
    return exact.quantize(Decimal("0.1"), rounding=ROUND_HALF_UP)


def _proposals(bank: Bank, operating: Flags, money_in: Ints, money_out: Ints) -> Ints:
    """Unmarked deposits that pay no invoice and dwarf what usually moves in a month.

    Larger than three median months of money in and one median month of money out.
    """
    usual = max(3 * int(np.median(money_in)), int(np.median(money_out)))
    unasked = (bank.financing == Financing.UNMARKED) & (bank.event_invoice < 0)
    return np.flatnonzero(operating & unasked & (bank.event_amount > usual))


def _plain(iban: str) -> str:
    return iban.replace(" ", "").upper()


def _no_number(state: State, cash: int | None, balance_day: int | None) -> Runway:
    return Runway(
        state=state,
        cash=cash,
        balance_day=balance_day,
        net_burn=None,
        gross_burn=None,
        months_used=(),
        months=None,
        zero_cash_day=None,
    )


def _without_cash(kind: Small) -> Cashflow:
    nothing = np.zeros(0, dtype=np.int64)
    return Cashflow(
        months=nothing,
        balance=nothing,
        money_in=nothing,
        money_out=nothing,
        financing=nothing,
        complete=np.zeros(0, dtype=np.bool_),
        event_kind=kind,
        proposed_financing=nothing,
        runway=_no_number(State.NO_CASH_DATA, None, None),
    )
