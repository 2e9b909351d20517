"""From the engine's report to the published body: integers, codes and names."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction

import numpy as np

from reporting.body import (
    BODY_VERSION,
    Account,
    Adjustment,
    Body,
    CashMonth,
    Expected,
    Month,
    Note,
    Now,
    Receivables,
    Revenue,
    Runway,
    TopCustomer,
)
from reporting.domain.arrays import Flags, Ints, as_int64
from reporting.domain.findings import Status
from reporting.domain.metrics import arr
from reporting.domain.movements import Movement
from reporting.domain.periods import day_date, day_number, first_day, month_of, month_text
from reporting.domain.receivables import Age
from reporting.domain.report import Period, Report
from reporting.domain.rounding import minor
from reporting.domain.runway import Cashflow, EventKind, balance_on
from reporting.feed import Books, CustomerName, customer_names

MILLION = 1_000_000
WEEKS, MONTHS = 26, 24
# MRR of a month needs every invoice that may reach into it: a yearly one begins a year before.
KNOWN_AFTER_MONTHS = 12


def compose(books: Books, report: Report) -> Body:
    """The body of the tenant's report; reads only the names of a few customers."""
    back_to = _complete_back_to(books)
    months = _months(report, 0 if back_to is None else back_to + KNOWN_AFTER_MONTHS)
    names = _named(report)
    credits = len(report.unmatched_credits())
    return {
        "version": BODY_VERSION,
        "currency": books.settings.currency,
        "as_of": books.settings.as_of.isoformat(),
        "complete_back_to": None if back_to is None else month_text(back_to),
        "now": _now(report, months),
        "months": months,
        "adjustments": _adjustments(report, names),
        "revenue": _revenue(report, back_to or 0),
        "top_customers": _top_customers(report, names),
        "receivables": _receivables(report),
        "cash": _cash(books, report.cash),
        "accounts": _accounts(books, report.cash),
        "runway": _runway(books, report.cash),
        "to_review": {
            "subscriptions": int((report.subscriptions.status == Status.DETECTED).sum()),
            "deposits": len(report.cash.proposed_financing),
            "credits": credits,
        },
        "notes": books.notes + _notes(report, credits),
    }


def _complete_back_to(books: Books) -> int | None:
    """The first month of which every day has been imported, while the first import loads."""
    day = books.settings.complete_from
    if day is None:
        return None
    month = int(month_of(day_number(day)))
    return month if day.day == 1 else month + 1


def ppm(rate: Fraction | None) -> int | None:
    """A rate in parts per million, half away from zero."""
    return None if rate is None else _rounded(rate * MILLION)


def _rounded(value: Fraction) -> int:
    size = int(abs(value) + Fraction(1, 2))
    return size if value >= 0 else -size


def _months(report: Report, known_from: int) -> list[Month]:
    if not len(report.lines):
        return []
    expanded = report.monthly.count(Movement.EXPANSION)
    contracted = report.monthly.count(Movement.CONTRACTION)
    rows: list[Month] = []
    paying = 0
    for column, period in enumerate(report.periods):
        if period.last_month >= known_from:
            rows.append(
                _month(report, period, column, paying)
                | {
                    "expanded_customers": int(expanded[column]),
                    "contracted_customers": int(contracted[column]),
                }
            )
        paying = period.customers
    return rows


def _month(report: Report, period: Period, column: int, paying: int) -> Month:
    step, rates = period.step, period.rates
    total = int(report.total_e4[column])
    return {
        "month": month_text(period.last_month),
        "complete": period.complete,
        "start_minor": step.start,
        "new_minor": step.new,
        "expansion_minor": step.expansion,
        "reactivation_minor": step.reactivation,
        "contraction_minor": step.contraction,
        "churn_minor": step.churn,
        "fx_minor": step.fx,
        "tolerated_minor": step.tolerated,
        "mrr_minor": step.end,
        "mrr_e4": total,
        "arr_minor": minor(arr(total)),
        "detected_minor": minor(int(report.detected_e4[column])),
        "contracted_minor": minor(int(report.future_e4[column])),
        "customers_start": paying,
        "customers": period.customers,
        "new_customers": period.new_customers,
        "reactivated_customers": period.reactivated_customers,
        "churned_customers": period.churned_customers,
        "expanded_customers": 0,
        "contracted_customers": 0,
        "arpa_minor": None if rates.arpa_minor is None else _rounded(rates.arpa_minor),
        "gross_churn_ppm": ppm(rates.gross_churn),
        "net_churn_ppm": ppm(rates.net_churn),
        "customer_churn_ppm": ppm(rates.customer_churn),
        "quick_ratio_ppm": ppm(rates.quick_ratio),
        "nrr_ppm": ppm(rates.nrr),
        "grr_ppm": ppm(rates.grr),
        "nrr_12_ppm": ppm(period.trailing_nrr),
        "grr_12_ppm": ppm(period.trailing_grr),
    }


def _now(report: Report, months: list[Month]) -> Now | None:
    if not months:
        return None
    last = months[-1]
    rated = next((row for row in reversed(months) if row["complete"]), None)
    status = report.subscriptions.status
    running = report.subscriptions.counted & np.isin(status, (Status.ACTIVE, Status.LATE))
    return {
        "month": last["month"],
        "mrr_minor": last["mrr_minor"],
        "arr_minor": last["arr_minor"],
        "customers": last["customers"],
        "subscriptions": int(running.sum()),
        "arpa_minor": last["arpa_minor"],
        "detected_minor": last["detected_minor"],
        "late_minor": minor(report.late_e4),
        "rates_month": rated["month"] if rated else None,
        "customer_churn_ppm": rated["customer_churn_ppm"] if rated else None,
        "gross_churn_ppm": rated["gross_churn_ppm"] if rated else None,
        "net_churn_ppm": rated["net_churn_ppm"] if rated else None,
        "nrr_12_ppm": rated["nrr_12_ppm"] if rated else None,
        "grr_12_ppm": rated["grr_12_ppm"] if rated else None,
        "nrr_ppm": rated["nrr_ppm"] if rated else None,
        "grr_ppm": rated["grr_ppm"] if rated else None,
        "quick_ratio_ppm": rated["quick_ratio_ppm"] if rated else None,
    }


def _named(report: Report) -> Mapping[int, CustomerName]:
    """Names of the customers that the body names."""
    top, _ = report.top_customers()
    floored = report.table.customers[report.table.adjustments[0]]
    return customer_names(np.unique(np.concatenate((top, floored))).tolist())


def _adjustments(report: Report, names: Mapping[int, CustomerName]) -> list[Adjustment]:
    rows, columns, amounts = report.table.adjustments
    ids = report.table.customers[rows].tolist()
    return [
        {
            "month": month_text(int(report.months[column])),
            "customer": names[customer].public_id,
            "name": names[customer].name,
            "amount_e4": int(amount),
        }
        for customer, column, amount in zip(ids, columns, amounts, strict=True)
    ]


def _top_customers(report: Report, names: Mapping[int, CustomerName]) -> list[TopCustomer]:
    ids, sums = report.top_customers()
    whole = int(report.revenue["total"][-12:].sum())
    place = np.searchsorted(report.table.customers, ids)
    return [
        {
            "customer": names[customer].public_id,
            "name": names[customer].name,
            "connection": names[customer].connection,
            "invoiced_minor": int(invoiced),
            "share_ppm": ppm(Fraction(int(invoiced), whole)) if whole > 0 else None,
            "mrr_minor": minor(int(report.table.mrr[row, -1])),
        }
        for customer, invoiced, row in zip(ids.tolist(), sums, place, strict=True)
        if invoiced > 0
    ]


def _revenue(report: Report, known_from: int) -> list[Revenue]:
    if not len(report.lines):
        return []
    recurring, total = report.revenue["recurring"], report.revenue["total"]
    _, first = np.unique(report.lines.invoice_id, return_index=True)
    place = month_of(report.lines.invoice_day[first]) - int(report.months[0])
    inside = place[(place >= 0) & (place < len(report.months))]
    counts = np.bincount(inside, minlength=len(report.months))
    return [
        {
            "month": month_text(int(month)),
            "complete": bool(report.complete[column]),
            "recurring_minor": int(recurring[column]),
            "non_recurring_minor": int(total[column] - recurring[column]),
            "invoices": int(counts[column]),
        }
        for column, month in enumerate(report.months)
        if month >= known_from
    ]


def _receivables(report: Report) -> Receivables:
    owed = report.receivables
    day = day_number(report.settings.as_of)
    monday = day - (day + 3) % 7
    weeks = monday + 7 * np.arange(WEEKS)
    months = first_day(int(month_of(day)) + np.arange(MONTHS))
    return {
        "total_minor": owed.total,
        "overdue_minor": owed.total - owed.by_age[Age.NOT_DUE],
        "invoices": len(owed.row),
        "ages": [
            {
                "age": age.name.lower(),  # type: ignore[typeddict-item]
                "minor": owed.by_age[age],
                "invoices": int((owed.age == age).sum()),
            }
            for age in Age
        ],
        "weeks": _expected(owed.expected_day, owed.open_gross, weeks),
        "months": _expected(owed.expected_day, owed.open_gross, months),
    }


def _expected(days: Ints, amounts: Ints, starts: Ints) -> list[Expected]:
    """Sums from each start to the next; rows after the last day with money are left out."""
    place = np.searchsorted(starts, days, side="right") - 1
    sums = np.zeros(len(starts), dtype=np.int64)
    np.add.at(sums, place, amounts)
    counts = np.bincount(place, minlength=len(starts))
    used = int(place.max()) + 1 if len(place) else 0
    return [
        {
            "start": day_date(int(starts[row])).isoformat(),
            "minor": int(sums[row]),
            "invoices": int(counts[row]),
        }
        for row in range(used)
    ]


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


def _notes(report: Report, credits: int) -> list[Note]:
    notes: list[Note] = []
    if credits:
        notes.append({"code": "credits_unmatched", "params": {"count": credits}})
    floored = len(report.table.adjustments[0])
    if floored:
        notes.append({"code": "negative_customers", "params": {"count": floored}})
    return notes
