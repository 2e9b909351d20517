"""Small books in the database: each function makes one thing, with defaults for the rest.

All need a tenant in scope. Amounts are decimal strings in major units, dates ISO strings, and
service periods half-open, as the books store them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from itertools import count
from typing import Any

from integrations.models import (
    BankAccount,
    BankEvent,
    BankStatement,
    Connection,
    Customer,
    Invoice,
    InvoiceLine,
    Payment,
    Product,
)

_number = count(1000)
IMPORTED_AT = datetime(2026, 3, 15, 6, 0, tzinfo=UTC)


def cents(text: str) -> int:
    return int(Decimal(text) * 100)


def _fresh() -> str:
    return str(next(_number))


def connection_make(name: str = "EU account", **values: Any) -> Any:
    """A connection whose first import is done."""
    number = _fresh()
    return Connection.objects.create(
        **{
            "name": name,
            "company_id": number,
            "company_name": f"{name} Oy",
            "currency": "EUR",
            "first_import_at": IMPORTED_AT,
            "data_as_of": IMPORTED_AT,
        }
        | values
    )


def customer_make(connection: Any, name: str = "Asiakas Oy", **values: Any) -> Any:
    number = _fresh()
    return Customer.objects.create(
        **{
            "connection": connection,
            "external_id": number,
            "identity": number,
            "name": name,
            "sort_key": name.lower(),
        }
        | values
    )


def product_make(connection: Any, name: str = "Alusta", **values: Any) -> Any:
    return Product.objects.create(
        **{
            "connection": connection,
            "external_id": _fresh(),
            "name": name,
            "sort_key": name.lower(),
        }
        | values
    )


@dataclass(frozen=True, kw_only=True)
class Row:
    """One invoice row; `service` is half-open, `acc` the net in the accounting currency."""

    net: str
    name: str = "Alusta"
    product: Any = None
    service: tuple[str, str] | None = None
    text: str = ""
    unit: str = "PIECE"
    quantity: str = "1"
    acc: str | None = None


def invoice_make(
    customer: Any,
    on: str,
    rows: Sequence[Row],
    *,
    due: str | None = None,
    vat: str = "0",
    currency: str = "EUR",
    **values: Any,
) -> Any:
    """An issued invoice with its rows; a negative sum makes it a credit note."""
    net = sum(cents(row.net) for row in rows)
    net_acc = sum(cents(row.acc or row.net) for row in rows)
    number = _fresh()
    invoice = Invoice.objects.create(
        **{
            "connection": customer.connection,
            "external_id": number,
            "customer": customer,
            "customer_identity": customer.identity,
            "customer_name": customer.name,
            "number": number,
            "status": "SENT",
            "issued": True,
            "is_credit": net < 0,
            "date": date.fromisoformat(on),
            "due_date": date.fromisoformat(due or on),
            "currency": currency,
            "rate": Decimal(net) / Decimal(net_acc) if net_acc else Decimal(1),
            "net_minor": net,
            "vat_minor": cents(vat),
            "total_minor": net + cents(vat),
            "net_acc_minor": net_acc,
            "vat_acc_minor": cents(vat),
            "total_acc_minor": net_acc + cents(vat),
        }
        | values
    )
    for position, row in enumerate(rows):
        _line_make(invoice, position, row)
    return invoice


def _line_make(invoice: Any, position: int, row: Row) -> None:
    service = row.service or (None, None)
    InvoiceLine.objects.create(
        connection=invoice.connection,
        invoice=invoice,
        position=position,
        product=row.product,
        product_external_id=row.product.external_id if row.product else "",
        name=row.product.name if row.product else row.name,
        text=row.text,
        quantity=Decimal(row.quantity),
        unit=row.unit,
        unit_price=Decimal(row.net) / Decimal(row.quantity),
        discount_percent=0,
        vat_percent=Decimal("25.5"),
        net_minor=cents(row.net),
        net_acc_minor=cents(row.acc or row.net),
        start=date.fromisoformat(service[0]) if service[0] else None,
        end=date.fromisoformat(service[1]) if service[1] else None,
    )


def payment_make(invoice: Any, on: str, amount: str, **values: Any) -> Any:
    """Money against an invoice in its own currency; pass kind and is_cash for anything else."""
    return Payment.objects.create(
        **{
            "connection": invoice.connection,
            "external_id": _fresh(),
            "invoice": invoice,
            "invoice_external_id": invoice.external_id,
            "date": date.fromisoformat(on),
            "amount_acc_minor": cents(amount),
            "paid_minor": cents(amount),
            "paid_currency": invoice.currency,
            "status": "PAID",
        }
        | values
    )


def account_make(connection: Any, iban: str = "FI2112345600000785", **values: Any) -> Any:
    return BankAccount.objects.create(
        **{
            "connection": connection,
            "external_id": _fresh(),
            "iban": iban,
            "bank_name": "Testipankki",
            "currency": "EUR",
        }
        | values
    )


def statement_make(
    account: Any,
    start: str,
    end: str,
    opening: str,
    events: Sequence[tuple[str, str]],
    **values: Any,
) -> Any:
    """A statement of one account, both days inclusive, with events as (day, amount)."""
    total = sum(cents(amount) for _, amount in events)
    number = _fresh()
    statement = BankStatement.objects.create(
        connection=account.connection,
        external_id=number,
        iban=account.iban,
        start=date.fromisoformat(start),
        end=date.fromisoformat(end),
        currency=account.currency,
        start_minor=cents(opening),
        end_minor=cents(opening) + total,
    )
    for day, amount in events:
        BankEvent.objects.create(
            **{
                "connection": account.connection,
                "external_id": _fresh(),
                "statement": statement,
                "statement_external_id": number,
                "iban": account.iban,
                "date": date.fromisoformat(day),
                "amount_minor": cents(amount),
                "currency": account.currency,
                "counterparty": "Toinen Oy",
                "counterparty_iban": "FI9900000000000000",
            }
            | values
        )
    return statement


def monthly_make(
    customer: Any, product: Any, months: Sequence[str], net: str = "100.00", **values: Any
) -> list[Any]:
    """One invoice a month ("2026-01") for that month's service, due on its 15th."""
    invoices = []
    for month in months:
        year, number = map(int, month.split("-"))
        after = date(year + number // 12, number % 12 + 1, 1).isoformat()
        row = Row(net=net, product=product, service=(f"{month}-01", after))
        invoices.append(invoice_make(customer, f"{month}-01", [row], due=f"{month}-15", **values))
    return invoices
