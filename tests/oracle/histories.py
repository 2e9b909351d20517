"""Invoice histories drawn from a seed, as the oracle's rows and as the engine's lines.

Customers with one to three subscriptions of different products, periods and currencies, begun on
any day, and with plans that change about the last day; renewed with gaps, price changes and moving
exchange rates; invoiced before or after their start; credited in whole or in part, discounted, and
beside them work by the hour.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date, timedelta
from fractions import Fraction
from random import Random
from typing import Any

import numpy as np

from reporting.domain.arrays import NO_DAY
from reporting.domain.choices import Settings, UserWords
from reporting.domain.lines import Lines, build_lines
from reporting.domain.receivables import Receivables
from reporting.domain.report import Report, measure
from reporting.domain.runway import NO_BANK
from reporting.domain.units import unit_code
from tests.oracle.calendars import Span, add_months
from tests.oracle.documents import HOME, Invoice, Row, half_up

EPOCH = date(1970, 1, 1)
FIRST = date(2022, 1, 1)
RATES = {"EUR": (100, 100), "USD": (105, 125), "SEK": (1050, 1190)}


@dataclass
class History:
    """What one company invoiced up to a day."""

    as_of: date
    rows: list[Row] = field(default_factory=list)
    invoices: list[Invoice] = field(default_factory=list)
    open: dict[int, int] = field(default_factory=dict)
    """What is still unpaid, by invoice, of the accounting currency."""
    costs: dict[int, int] = field(default_factory=dict)
    """Acquisition cost by month index."""


class _Writer:
    def __init__(self, seed: int) -> None:
        self.random = Random(seed)
        self.history = History(as_of=FIRST + timedelta(days=self.random.randint(200, 1300)))

    def invoice(
        self, customer: int, day: date, currency: str, lines: list[tuple[Any, ...]]
    ) -> None:
        """Write one invoice of (product, text, unit, quantity, net, dates) lines."""
        if day > self.history.as_of:
            return
        low, high = RATES[currency]
        rate = Fraction(self.random.randint(low, high), 100)
        homes = [half_up(Fraction(line[4]) / rate) for line in lines]
        total, total_home = sum(line[4] for line in lines), sum(homes)
        number = len(self.history.invoices) + 1
        found = Invoice(
            id=number,
            customer=f"c{customer}",
            day=day,
            due=day + timedelta(days=self.random.choice([14, 30])),
            currency=currency,
            total=total,
            total_home=total_home,
            settled=self.random.random() < 0.7,
            events=(),
        )
        self.history.invoices.append(found)
        if not found.settled:
            self.history.open[number] = total_home
        for place, (product, text, unit, quantity, net, dates) in enumerate(lines):
            self.history.rows.append(
                Row(
                    invoice=found,
                    position=place,
                    product=f"#{product}",
                    text=text,
                    unit=unit,
                    quantity=Fraction(quantity),
                    net=net,
                    net_home=homes[place],
                    row_dates=dates,
                    delivery_dates=None,
                )
            )

    def subscription(self, customer: int, product: int, currency: str) -> None:
        random = self.random
        months = random.choice([1, 1, 1, 2, 3, 6, 12])
        start = FIRST + timedelta(days=random.randint(0, 700))
        if random.random() < 0.6:
            start = start.replace(day=1)
        start = start.replace(day=min(start.day, 28))
        price = random.randint(500, 90_000) * months
        dearer = random.randint(1, 20)
        for number in range(random.randint(1, max(2, 30 // months))):
            if number == dearer:
                price = price * random.choice([80, 110, 150]) // 100
            begin = add_months(start, number * months)
            if random.random() < 0.08:
                continue
            self._period(customer, product, currency, price, (begin, add_months(begin, months)))

    def _period(self, customer: int, product: int, currency: str, price: int, span: Span) -> None:
        random = self.random
        day = span[0] + timedelta(days=random.choice([0, 0, 0, -25, -10, 3, 20]))
        lines: list[tuple[Any, ...]] = [
            (product, f"Lisenssi {product}", "PIECE", 1, price, span),
        ]
        if random.random() < 0.15:
            lines.append((90, "Konsultointi", "HOUR", 2, random.randint(1_000, 50_000), None))
        discounted = random.random() < 0.05
        if discounted:
            lines.append((product, "Kampanja-alennus", "PIECE", 1, -price // 5, span))
        self.invoice(customer, day, currency, lines)
        chance = random.random()
        if chance < 0.04 and not discounted:
            later = max(day, span[0]) + timedelta(days=random.randint(0, 20))
            self.invoice(
                customer, later, currency, [(product, "Hyvitys", "PIECE", 1, -price, span)]
            )
        elif chance < 0.08 and (span[1] - span[0]).days > 60:
            half = add_months(span[0], 1)
            back = -price * (span[1] - half).days // (span[1] - span[0]).days
            self.invoice(
                customer,
                half,
                currency,
                [(product, "Hyvitys osasta", "PIECE", 1, back, (half, span[1]))],
            )

    def switch(self, customer: int) -> None:
        """Plans that end about as_of, and others that begin then, in their place or beside."""
        random, as_of = self.random, self.history.as_of
        turn = add_months((as_of - timedelta(days=random.randint(0, 40))).replace(day=1), 0)
        currency, price = random.choice(["EUR", "USD"]), random.randint(2_000, 90_000)
        for product in (5, 6)[: random.choice([1, 1, 2])]:
            months = random.choice([1, 1, 3])
            for number in range(random.randint(2, 5), 0, -1):
                span = (add_months(turn, -number * months), add_months(turn, (1 - number) * months))
                self._period(customer, product, currency, price * months, span)
        for product in (7, 8)[: random.choice([0, 1, 1, 2])]:
            months = random.choice([1, 1, 12])
            begin = turn + timedelta(days=random.choice([0, 0, 0, -2, 2, 9, -9]))
            worth = price * random.choice([20, 60, 100, 150]) // 100
            span = (begin, add_months(begin, months))
            self._period(customer, product, currency, worth * months, span)
            if random.random() < 0.3:
                back = add_months(begin, -random.choice([1, 2, 4, 6]))
                self._period(customer, product, currency, worth, (back, add_months(back, 1)))


def history_of(seed: int) -> History:
    """The same seed gives the same history."""
    writer = _Writer(seed)
    random = writer.random
    for customer in range(1, random.randint(2, 6)):
        currency = random.choice(["EUR", "EUR", "USD", "SEK"])
        for product in random.sample([1, 2, 3, 4], random.choice([1, 1, 2, 3])):
            writer.subscription(customer, product, currency)
    for customer in random.sample(range(1, 9), random.randint(0, 3)):
        writer.switch(customer)
    for month in range(FIRST.year * 12, FIRST.year * 12 + 48):
        if random.random() < 0.7:
            writer.history.costs[month] = random.randint(10_000, 900_000)
    if not writer.history.rows:
        writer.invoice(1, FIRST, HOME, [(1, "Lisenssi 1", "PIECE", 1, 9_900, _january())])
    return writer.history


def _january() -> Span:
    return FIRST, add_months(FIRST, 1)


def number(day: date) -> int:
    return (day - EPOCH).days


def report_of(history: History, words: UserWords | None = None, **settings: Any) -> Report:
    """The engine's report on a history."""
    return measure(
        lines_of(history),
        NO_BANK,
        receivables_of(history),
        words or UserWords(),
        Settings(as_of=history.as_of, currency=HOME, **settings),
    )


def lines_of(history: History) -> Lines:
    rows = history.rows
    columns: dict[str, Any] = {
        "line_id": [place + 1 for place, _ in enumerate(rows)],
        "invoice_id": [row.invoice.id for row in rows],
        "customer_id": [int(row.customer[1:]) for row in rows],
        "product_id": [int(row.product[1:]) for row in rows],
        "invoice_day": [number(row.day) for row in rows],
        "net": [row.net for row in rows],
        "net_acc": [row.net_home for row in rows],
        "quantity_e4": [int(row.quantity * 10_000) for row in rows],
        "start_day": [number(row.row_dates[0]) if row.row_dates else None for row in rows],
        "end_day": [number(row.row_dates[1]) if row.row_dates else None for row in rows],
        "delivery_start_day": [None for _ in rows],
        "delivery_end_day": [None for _ in rows],
        "connection_id": [1 for _ in rows],
        "is_credit": [row.invoice.total < 0 for row in rows],
        "unit": [unit_code(row.unit) for row in rows],
    }
    return build_lines(
        columns=columns,
        products=[row.text for row in rows],
        currencies=[row.invoice.currency for row in rows],
        texts=[row.text for row in rows],
    )


def receivables_of(history: History) -> Receivables:
    found = history.invoices

    def column(values: list[int]) -> Any:
        return np.array(values, dtype=np.int64)

    return Receivables(
        invoice_id=column([one.id for one in found]),
        customer_id=column([int(one.customer[1:]) for one in found]),
        invoice_day=column([number(one.day) for one in found]),
        due_day=column([number(one.due) for one in found]),
        total_gross=column([one.total_home for one in found]),
        open_gross=column([history.open.get(one.id, 0) for one in found]),
        paid_day=column([NO_DAY for _ in found]),
    )
