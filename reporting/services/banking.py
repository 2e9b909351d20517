"""The bank's figures as they are published: cash by month, accounts, runway."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from reporting.body import Account, Body, CashMonth, Runway
from reporting.domain.arrays import Flags, as_int64
from reporting.domain.periods import day_date, month_of, month_text
from reporting.domain.runway import Cashflow, EventKind, balance_on
from reporting.feed import Books


@dataclass(frozen=True, slots=True, kw_only=True)
class Money:
    """The figures of the bank as they are published; they follow from no invoice."""

    cash: list[CashMonth]
    accounts: list[Account]
    runway: Runway
    deposits: int
    """Large deposits that may be financing and wait for a person's word."""


def money(books: Books, flow: Cashflow) -> Money:
    """The bank's figures of these books."""
    return Money(
        cash=_cash(books, flow),
        accounts=_accounts(books, flow),
        runway=_runway(books, flow),
        deposits=len(flow.proposed_financing),
    )


def money_as_published(body: Body) -> Money:
    """The bank's figures of a report, where nothing of the bank has changed since."""
    return Money(
        cash=body["cash"],
        accounts=body["accounts"],
        runway=body["runway"],
        deposits=body["to_review"]["deposits"],
    )


def counted_events(books: Books, cash: Cashflow) -> Flags:
    """Events inside the months shown, up to the balance day, on accounts in use."""
    bank = books.bank
    if cash.runway.balance_day is None or not len(bank.event_id):
        return np.zeros(len(bank.event_id), dtype=np.bool_)
    active = np.array(bank.active, dtype=np.bool_)[bank.event_account]
    inside = month_of(bank.event_day) >= int(cash.months[0])
    return active & inside & (bank.event_day <= cash.runway.balance_day)


def _cash(books: Books, cash: Cashflow) -> list[CashMonth]:
    if not len(cash.months):
        return []
    chosen = counted_events(books, cash) & (cash.event_kind == EventKind.OWN_TRANSFER)
    place = month_of(books.bank.event_day[chosen]) - int(cash.months[0])
    transfers = np.zeros(len(cash.months), dtype=np.int64)
    np.add.at(transfers, place, books.bank.event_amount[chosen])
    flows = cash.money_in - cash.money_out + cash.financing + transfers
    # What was there before the first statement is where the first month opens, not a gap in it.
    opening = np.concatenate(([cash.balance[0] - flows[0]], cash.balance[:-1]))
    unexplained = cash.balance - opening - flows
    return [
        {
            "month": month_text(int(month)),
            "complete": bool(cash.complete[row]),
            "opening_minor": int(opening[row]),
            "money_in_minor": int(cash.money_in[row]),
            "money_out_minor": int(cash.money_out[row]),
            "financing_minor": int(cash.financing[row]),
            "own_transfers_minor": int(transfers[row]),
            "unexplained_minor": int(unexplained[row]),
            "closing_minor": int(cash.balance[row]),
            "net_burn_minor": int(cash.money_out[row] - cash.money_in[row]),
        }
        for row, month in enumerate(cash.months)
    ]


def _accounts(books: Books, cash: Cashflow) -> list[Account]:
    day = cash.runway.balance_day
    if day is None:
        return []
    return [
        {
            "iban": account.iban,
            "bank_name": account.bank_name,
            "connection": str(account.connection.public_id),
            "active": account.active,
            "balance_minor": int(balance_on(books.bank, row, as_int64([day]))[0]),
        }
        for row, account in enumerate(books.accounts)
    ]


def _runway(books: Books, cash: Cashflow) -> Runway:
    found, settings = cash.runway, books.settings
    return {
        "state": found.state.value,
        "cash_minor": found.cash,
        "balance_date": _iso(found.balance_day),
        "net_burn_minor": found.net_burn,
        "gross_burn_minor": found.gross_burn,
        "months": None if found.months is None else str(found.months),
        "over_36": found.over_cap,
        "zero_date": _iso(found.zero_cash_day),
        "months_used": [month_text(month) for month in found.months_used],
        "months_wanted": settings.burn_months,
        "average": settings.burn_average.value,
    }


def _iso(day: int | None) -> str | None:
    try:
        return None if day is None else day_date(day).isoformat()
    except OverflowError:
        # Money for longer than calendars reach: the page says "over 36 months" anyway.
        return None
