"""The rows of the books that an import writes, in the column order of their tables.

Tenant, connection and references to other rows are added by the load. Amounts are integer minor
units, end dates the day after the last one.
"""

import datetime as dt
from decimal import Decimal
from typing import NamedTuple


class CustomerRow(NamedTuple):
    identity: str
    external_id: str
    name: str
    sort_key: str
    business_id: str
    customer_number: str
    country: str
    city: str
    email: str
    group: str
    active: bool


class ProductRow(NamedTuple):
    external_id: str
    code: str
    name: str
    sort_key: str
    unit: str
    price: Decimal | None
    currency: str
    vat_percent: Decimal | None
    group: str
    active: bool


class InvoiceRow(NamedTuple):
    external_id: str
    customer_identity: str
    customer_name: str
    number: str
    status: str
    issued: bool
    is_credit: bool
    date: dt.date
    due_date: dt.date | None
    currency: str
    rate: Decimal
    net_minor: int
    vat_minor: int
    total_minor: int
    net_acc_minor: int
    vat_acc_minor: int
    total_acc_minor: int
    delivery_start: dt.date | None
    delivery_end: dt.date | None
    version: str


class LineRow(NamedTuple):
    invoice_external_id: str
    position: int
    product_external_id: str
    product_code: str
    name: str
    text: str
    quantity: Decimal
    unit: str
    unit_price: Decimal
    discount_percent: Decimal
    vat_percent: Decimal
    net_minor: int
    net_acc_minor: int
    start: dt.date | None
    end: dt.date | None


class PaymentRow(NamedTuple):
    external_id: str
    invoice_external_id: str
    date: dt.date
    amount_acc_minor: int
    paid_minor: int
    paid_currency: str
    status: str
    kind: str
    is_cash: bool


class BankAccountRow(NamedTuple):
    external_id: str
    iban: str
    bank_name: str
    currency: str
    active: bool


class BankStatementRow(NamedTuple):
    external_id: str
    iban: str
    start: dt.date
    end: dt.date
    currency: str
    start_minor: int
    end_minor: int


class BankEventRow(NamedTuple):
    external_id: str
    statement_external_id: str
    iban: str
    date: dt.date
    amount_minor: int
    currency: str
    counterparty: str
    counterparty_iban: str
    message: str
    invoice_external_id: str


class MappedInvoice(NamedTuple):
    """An invoice with its lines; `customer` is used where the register does not know it."""

    invoice: InvoiceRow
    lines: tuple[LineRow, ...]
    customer: CustomerRow
