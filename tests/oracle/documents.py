"""The oracle's own reading of raw documents: what counts, who pays, and each row's net."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Any

HOME = "EUR"
COUNTS = {
    *("NOT_SENT", "SENT", "APPROVED", "PARTLY_PAID", "PAID", "MARKED_PAID"),
    *("PAYMENT_DENIED", "PAYMENT_QUEUED", "PAYMENT_SENT_TO_BANK"),
}
DAY = timedelta(days=1)


@dataclass(frozen=True)
class Invoice:
    id: int
    customer: str
    day: date
    due: date
    currency: str
    total: int
    total_home: int
    settled: bool
    events: tuple[dict[str, Any], ...]


@dataclass(frozen=True)
class Row:
    """One invoice row; nets in minor units of the invoice's and of the accounting currency."""

    invoice: Invoice
    position: int
    product: str
    text: str
    unit: str
    quantity: Fraction
    net: int
    net_home: int
    row_dates: tuple[date, date] | None
    delivery_dates: tuple[date, date] | None

    @property
    def day(self) -> date:
        return self.invoice.day

    @property
    def customer(self) -> str:
        return self.invoice.customer

    @property
    def group(self) -> tuple[str, str, str]:
        return self.invoice.customer, self.product, self.invoice.currency

    @property
    def place(self) -> tuple[int, int]:
        return self.invoice.id, self.position


def half_up(value: Fraction) -> int:
    """Nearest whole number, halves away from zero."""
    size = abs(value)
    whole = (2 * size.numerator + size.denominator) // (2 * size.denominator)
    return whole if value >= 0 else -whole


def cents(amount: object) -> int:
    return half_up(Fraction(str(amount)) * 100)


def read(documents: Iterable[dict[str, Any]]) -> tuple[list[Invoice], list[Row]]:
    """The sales documents that count, and their rows."""
    invoices: list[Invoice] = []
    rows: list[Row] = []
    for found in documents:
        document = found["document"]
        if document["type"] != "SALES_INVOICE" or document["isOffer"]:
            continue
        if document["status"] not in COUNTS:
            continue
        invoice = _invoice(document, tuple(found["events"]))
        invoices.append(invoice)
        rows.extend(_rows(document, invoice))
    return invoices, rows


def sums_in(document: dict[str, Any], currency: str) -> dict[str, Any]:
    return next(one for one in document["invoiceSumInfo"] if one["currency"] == currency)


def _invoice(document: dict[str, Any], events: tuple[dict[str, Any], ...]) -> Invoice:
    payment = document["paymentInfo"]
    partner = document["partnerId"]
    customer = f"p{partner}" if partner else f"b{document['counterParty']['identifier']}"
    return Invoice(
        id=document["id"],
        customer=customer,
        day=date.fromisoformat(document["date"]),
        due=date.fromisoformat(payment.get("newDueDate") or payment["dueDate"]),
        currency=payment["currency"],
        total=cents(sums_in(document, payment["currency"])["invoiceSumTotal"]),
        total_home=cents(sums_in(document, HOME)["invoiceSumTotal"]),
        settled=document["status"] in ("PAID", "MARKED_PAID"),
        events=events,
    )


def row_nets(document: dict[str, Any]) -> tuple[list[int], list[int]]:
    """Each row's net in minor units of the document's currency and of the accounting currency."""
    rate = Fraction(str(document["paymentInfo"]["currencyRate"]))
    nets = [_net(document, row) for row in document["invoiceRows"]]
    currency = document["paymentInfo"]["currency"]
    _close(nets, cents(sums_in(document, currency)["excludingVatTotal"]))
    homes = [half_up(Fraction(net) / rate) for net in nets]
    _close(homes, cents(sums_in(document, HOME)["excludingVatTotal"]))
    return nets, homes


def _rows(document: dict[str, Any], invoice: Invoice) -> list[Row]:
    nets, homes = row_nets(document)
    return [
        Row(
            invoice=invoice,
            position=place,
            product=_product(row),
            text="\n".join(
                filter(None, map(row.get, ("product", "headerText", "comment", "explanationText")))
            ),
            unit=row["unit"],
            quantity=Fraction(str(row["quantity"])),
            net=nets[place],
            net_home=homes[place],
            row_dates=_dates(row, "startDate", "endDate"),
            delivery_dates=_dates(document, "deliveryStartDate", "deliveryEndDate"),
        )
        for place, row in enumerate(document["invoiceRows"])
    ]


def _net(document: dict[str, Any], row: dict[str, Any]) -> int:
    amount = Fraction(Decimal(str(row["quantity"]))) * Fraction(str(row["unitPrice"]))
    amount *= 1 - Fraction(str(row["discountPercent"])) / 100
    amount *= 1 - Fraction(str(document["discountPercent"])) / 100
    if document["extraInfo"]["unitPricesIncludeVat"]:
        amount /= 1 + Fraction(str(row["vatPercent"])) / 100
    return half_up(amount * 100)


def _close(parts: list[int], whole: int) -> None:
    parts[-1] += whole - sum(parts)


def _product(row: dict[str, Any]) -> str:
    if row["productId"]:
        return f"#{row['productId']}"
    return " ".join(re.sub(r"[\d./–-]+", " ", row["product"].casefold()).split())


def _dates(holder: dict[str, Any], first: str, last: str) -> tuple[date, date] | None:
    """Half-open, from the inclusive days of the document."""
    if not holder.get(first) or not holder.get(last):
        return None
    return date.fromisoformat(holder[first]), date.fromisoformat(holder[last]) + DAY
