"""Small invoice books written by hand, and the report on them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal
from typing import Any

import numpy as np

from reporting.domain.arrays import Ints
from reporting.domain.choices import Settings, UserWords
from reporting.domain.findings import LineType, Source, Sure
from reporting.domain.lines import Lines, build_lines
from reporting.domain.movements import Movement
from reporting.domain.periods import add_months_date, day_date, day_number, month_index
from reporting.domain.receivables import Receivables
from reporting.domain.recognition import recognition_sums
from reporting.domain.report import Report, measure
from reporting.domain.rounding import minor
from reporting.domain.runway import NO_BANK, Bank, Financing
from reporting.domain.units import unit_code

LATER = date(2027, 6, 15)
NO_WORDS = UserWords()


def day(text: str | None) -> int | None:
    return None if text is None else day_number(date.fromisoformat(text))


def month(text: str) -> int:
    return month_index(date.fromisoformat(f"{text}-01"))


def cents(text: str) -> int:
    return int(Decimal(text) * 100)


@dataclass(frozen=True, kw_only=True)
class Row:
    """One invoice row as one would read it on paper; `service` is half-open."""

    on: str
    net: str
    service: tuple[str, str] | None = None
    delivery: tuple[str, str] | None = None
    customer: int = 1
    product: int = -1
    name: str = "Alusta"
    text: str = ""
    unit: str = "PIECE"
    quantity: str = "1"
    currency: str = "EUR"
    net_acc: str | None = None
    invoice: int | None = None
    credit: bool = False
    line: int | None = None

    def but(self, **changes: Any) -> Row:
        return replace(self, **changes)


def lines_of(rows: Sequence[Row]) -> Lines:
    columns: dict[str, list[Any]] = {
        "line_id": [row.line or 1000 + place for place, row in enumerate(rows)],
        "invoice_id": [row.invoice or 5000 + place for place, row in enumerate(rows)],
        "customer_id": [row.customer for row in rows],
        "product_id": [row.product for row in rows],
        "invoice_day": [day(row.on) for row in rows],
        "net": [cents(row.net) for row in rows],
        "net_acc": [cents(row.net_acc or row.net) for row in rows],
        "quantity_e4": [int(Decimal(row.quantity) * 10_000) for row in rows],
        "unit": [unit_code(row.unit) for row in rows],
        "start_day": [day(row.service[0]) if row.service else None for row in rows],
        "end_day": [day(row.service[1]) if row.service else None for row in rows],
        "delivery_start_day": [day(row.delivery[0]) if row.delivery else None for row in rows],
        "delivery_end_day": [day(row.delivery[1]) if row.delivery else None for row in rows],
        "connection_id": [1 for _ in rows],
        "is_credit": [row.credit for row in rows],
    }
    return build_lines(
        columns=columns,
        products=[row.name for row in rows],
        currencies=[row.currency for row in rows],
        texts=[f"{row.name}\n{row.text}" for row in rows],
    )


def receivables_of(rows: Iterable[tuple[int, str, str, str | None]] = ()) -> Receivables:
    """From (customer, due day, open amount, day of payment)."""
    listed = list(rows)
    absent = -(2**31)

    def column(values: list[Any]) -> Any:
        return np.array(values, dtype=np.int64)

    due = [day(one[1]) for one in listed]
    return Receivables(
        invoice_id=column(list(range(1, len(listed) + 1))),
        customer_id=column([one[0] for one in listed]),
        invoice_day=column([one - 14 for one in due if one is not None]),
        due_day=column(due),
        total_gross=column([cents(one[2]) for one in listed]),
        open_gross=column([0 if one[3] else cents(one[2]) for one in listed]),
        paid_day=column([absent if one[3] is None else day(one[3]) for one in listed]),
    )


def report_on(
    rows: Sequence[Row],
    *,
    as_of: date | str = LATER,
    words: UserWords = NO_WORDS,
    bank: Bank = NO_BANK,
    receivables: Receivables | None = None,
    **settings: Any,
) -> Report:
    seen = date.fromisoformat(as_of) if isinstance(as_of, str) else as_of
    return measure(
        lines_of(rows),
        bank,
        receivables or receivables_of(),
        words,
        Settings(as_of=seen, **settings),
    )


def mrr_on(report: Report, text: str) -> str:
    """A month's MRR as a person reads it; months outside the report have none."""
    place = month(text) - int(report.months[0])
    inside = 0 <= place < len(report.months)
    return str(Decimal(int(report.mrr[place]) if inside else 0) / 100)


def euros(amount: int) -> str:
    return f"{Decimal(int(amount)) / 100:.2f}"


def moves(report: Report, text: str) -> dict[str, str]:
    """The movements of a month that are not zero, displayed."""
    step = report.periods[month(text) - int(report.months[0])].step
    names = ("new", "expansion", "contraction", "churn", "reactivation", "fx")
    return {name: euros(getattr(step, name)) for name in names if getattr(step, name)}


def all_moves(report: Report) -> dict[str, dict[str, str]]:
    """Every month in which something moved."""
    texts = (f"{m // 12:04d}-{m % 12 + 1:02d}" for m in report.months.tolist())
    return {text: moved for text in texts if (moved := moves(report, text))}


def bank_of(
    *,
    statements: Sequence[tuple[int, str, str, str]],
    events: Sequence[tuple[int, str, str] | tuple[int, str, str, str]] = (),
    financing: Sequence[int] = (),
    accounts: int = 1,
) -> Bank:
    """From statements (account, first day, last day, opening) and events
    (account, day, amount, counterparty IBAN); `financing` names the events so marked."""
    names = sorted({event[3] for event in events if len(event) > 3})

    def column(values: list[Any]) -> Any:
        return np.array(values, dtype=np.int64)

    marks = np.zeros(len(events), dtype=np.int8)
    marks[list(financing)] = Financing.YES
    return Bank(
        account_ids=tuple(range(1, accounts + 1)),
        ibans=tuple(f"FI00 {number}" for number in range(accounts)),
        active=(True,) * accounts,
        statement_account=column([one[0] for one in statements]).astype(np.int32),
        statement_start=column([day(one[1]) for one in statements]),
        statement_end=column([day(one[2]) for one in statements]),
        statement_opening=column([cents(one[3]) for one in statements]),
        event_id=column(list(range(len(events)))),
        event_account=column([one[0] for one in events]).astype(np.int32),
        event_day=column([day(one[1]) for one in events]),
        event_amount=column([cents(one[2]) for one in events]),
        event_iban=column([names.index(one[3]) if len(one) > 3 else -1 for one in events]).astype(
            np.int32
        ),
        event_invoice=column([-1 for _ in events]),
        financing=marks,
        counterparties=tuple(names),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """What one figure of a report is made of, in 1/10 000 minor units.

    `line_rows` are rows of the input, `customers` are ids; one of the two is -1 in each part
    (a line's share, or a customer's share or floor adjustment).
    """

    line_rows: Ints
    customers: Ints
    amounts: Ints

    @property
    def total(self) -> int:
        return int(self.amounts.sum())


def mrr_parts(report: Report, month: int) -> Parts:
    """The lines (and floor adjustments) that make up a month's MRR."""
    found = report.findings
    rows = np.flatnonzero(
        (found.from_month <= month) & (month < found.to_month) & (report.mrr_e4 != 0)
    )
    row, column, amount = report.table.adjustments
    floored = column == month - int(report.months[0])
    return Parts(
        line_rows=np.concatenate((rows, np.full(int(floored.sum()), -1))),
        customers=np.concatenate((np.full(len(rows), -1), report.table.customers[row[floored]])),
        amounts=np.concatenate((report.mrr_e4[rows], amount[floored])),
    )


def movement_parts(report: Report, month: int, kind: Movement) -> Parts:
    """The customers behind one movement of a month: positive magnitudes."""
    column = month - int(report.months[0])
    rows = np.flatnonzero(report.monthly.kind[:, column] == kind)
    return _of_customers(report, rows, np.abs(report.monthly.change[rows, column]))


def fx_parts(report: Report, month: int) -> Parts:
    """The customers behind a month's exchange-rate effect, signed."""
    effect = report.monthly.fx[:, month - int(report.months[0])]
    rows = np.flatnonzero(effect)
    return _of_customers(report, rows, effect[rows])


def _of_customers(report: Report, rows: Ints, amounts: Ints) -> Parts:
    nobody = np.full(len(rows), -1, dtype=np.int64)
    return Parts(line_rows=nobody, customers=report.table.customers[rows], amounts=amounts)


def deferral(report: Report) -> tuple[Ints, Ints]:
    """(deferred, accrued) revenue at the end of each month, by the monthly method."""
    sums = recognition_sums(report.schedule(daily=False), report.calendar)
    return sums.deferred, sums.accrued


def part_total(report: Report, text: str, kind: Movement) -> int:
    return minor(movement_parts(report, month(text), kind).total)


def monthly(count: int, *, first: str = "2025-01-01", net: str = "100.00", **kw: Any) -> list[Row]:
    start = date.fromisoformat(first)
    return [
        Row(on=add_months_date(start, number).isoformat(), net=net, **kw) for number in range(count)
    ]


def yearly(years: int, first: str, net: str, **kw: Any) -> list[Row]:
    start = date.fromisoformat(first)
    return [
        Row(on=add_months_date(start, 12 * number).isoformat(), net=net, **kw)
        for number in range(years)
    ]


def finding(report: Report, row: int = 0) -> tuple[LineType, Source, Sure, str]:
    """Type, source, certainty and reason of one line."""
    found = report.findings
    return (
        LineType(int(found.type[row])),
        Source(int(found.source[row])),
        Sure(int(found.confidence[row])),
        found.reason(row).code,
    )


def span(report: Report, row: int) -> tuple[str, str]:
    """The first day that a line covers, and the day after its last."""
    found = report.findings
    return str(day_date(found.start[row])), str(day_date(found.end[row]))
