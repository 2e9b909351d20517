"""What the API answers: the one source of its answers' types and of their description.

Conventions as in `reporting.body`: `…_minor` are integers of minor units of the `currency` beside
them, `…_e4` 1/10 000 of one, `…_ppm` parts per million. Periods of service are half-open: `end` is
the day after the last one. Ids are UUIDs that outlive every import. Amounts of quantities and
prices are decimals in strings.
"""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal
from typing import Any, TypedDict
from uuid import UUID

from reporting.body import Account, Body, CashMonth, Month, Receivables, Revenue, Runway
from reporting.parts import Cohorts, Economics, Recognition, Refunds, Segments, View


class Problem(TypedDict):
    """A failure (RFC 9457): `code` for programs, `advice` for people, `reference` for support."""

    type: str
    title: str
    status: int
    detail: str
    code: str
    advice: str
    reference: str


class Token(TypedDict):
    name: str
    scopes: list[str]
    expires_at: datetime


class Company(TypedDict):
    """Whose data this is, and what the token may read of it today."""

    id: UUID
    name: str
    business_id: str
    currency: str
    time_zone: str
    role: str
    token: Token


class Source(TypedDict):
    """How recent one connected account's books are; its name where the token may see customers."""

    connection: str | None
    name: str | None
    as_of: str | None
    included: bool


class Published(TypedDict):
    """From which publication of the figures an answer is: all of one version fit together."""

    version: int
    published_at: datetime
    as_of: date
    currency: str


class Report(Published):
    """Everything that the dashboards show."""

    freshness: list[Source]
    data: Body


class Months(Published):
    data: list[Month]


class RevenueMonths(Published):
    data: list[Revenue]


class Cash(TypedDict):
    months: list[CashMonth]
    accounts: list[Account]


class CashAnswer(Published):
    data: Cash


class ReceivablesAnswer(Published):
    data: Receivables


class RunwayAnswer(Published):
    data: Runway


class Periods(Published):
    data: View


class CohortsAnswer(Published):
    data: Cohorts


class SegmentsAnswer(Published):
    data: Segments


class EconomicsAnswer(Published):
    data: Economics


class RecognitionAnswer(Published):
    data: Recognition


class RefundsAnswer(Published):
    data: Refunds


class Freshness(Published):
    data: list[Source]


class Page(TypedDict):
    """`next_cursor` is the `cursor` of the next page; null on the last one."""

    has_more: bool
    next_cursor: str | None


class Customer(TypedDict):
    id: UUID
    name: str
    business_id: str
    customer_number: str
    country: str
    city: str
    group: str
    connection: UUID
    active: bool
    currency: str
    mrr_minor: int
    mrr_e4: int
    subscriptions: int
    invoiced_minor: int
    open_minor: int
    overdue_minor: int
    deferred_minor: int
    first_invoice: date | None
    last_invoice: date | None


class CustomerMonth(TypedDict):
    """MRR at the month's snapshot, and what its change is called; "" where nothing changed."""

    month: str
    mrr_e4: int
    fx_e4: int
    movement: str


class CustomerWithMonths(Customer):
    months: list[CustomerMonth]


class Customers(Page):
    data: list[Customer]


class Subscription(TypedDict):
    """Billed in `currency`; its MRR is in `mrr_currency`, that of the figures.

    `period_months`: -1 weekly, -2 every two weeks. `score`: how sure detection is, 0 to 100.
    """

    id: UUID
    customer: UUID
    product: UUID | None
    product_name: str
    status: str
    counted: bool
    confirmed: bool
    confidence: str
    score: int
    period_months: int
    start: date
    end: date
    currency: str
    mrr_currency: str
    mrr_minor: int
    mrr_e4: int
    renewal_percent: int


class Subscriptions(Page):
    data: list[Subscription]


class Product(TypedDict):
    """`mark`: what a person said it is; "" where nobody did."""

    id: UUID
    name: str
    code: str
    group: str
    unit: str
    connection: UUID
    active: bool
    price: Decimal | None
    currency: str
    mark: str
    mark_period_months: int | None


class Products(Page):
    data: list[Product]


class InvoiceLine(TypedDict):
    """One row of an invoice, and what the figures make of it: its type, period and MRR."""

    position: int
    product: UUID | None
    name: str
    text: str
    quantity: Decimal
    unit: str
    unit_price: Decimal
    discount_percent: Decimal
    vat_percent: Decimal
    net_minor: int
    net_acc_minor: int
    subscription: UUID | None
    type: str | None
    start: date | None
    end: date | None
    counted: bool
    confidence: str | None
    mrr_e4: int


class Invoice(TypedDict):
    """`…_minor` in `currency`; `…_acc_minor`, what is paid, open, written off and deferred, and MRR
    in `accounting_currency`.

    `age`: not_due, up_to_30, up_to_60, up_to_90, over_90; "" when nothing is open.
    """

    id: UUID
    number: str
    customer: UUID | None
    customer_name: str
    connection: UUID
    status: str
    issued: bool
    is_credit: bool
    date: date
    due_date: date | None
    currency: str
    accounting_currency: str
    net_minor: int
    vat_minor: int
    total_minor: int
    net_acc_minor: int
    vat_acc_minor: int
    total_acc_minor: int
    paid_minor: int
    open_minor: int
    written_off_minor: int
    deferred_minor: int
    age: str
    expected: date | None
    lines: list[InvoiceLine]


class Invoices(Page):
    data: list[Invoice]


class Payment(TypedDict):
    """Money against an invoice, or with `is_cash` false a write-off."""

    id: UUID
    invoice: UUID | None
    connection: UUID
    date: date
    is_cash: bool
    amount_acc_minor: int
    accounting_currency: str
    paid_minor: int
    paid_currency: str


class Payments(Page):
    data: list[Payment]


class Cause(TypedDict):
    """Why, and how much of the change: minor units, or customers."""

    code: str
    params: dict[str, Any]
    amount: int | None


class Restatement(TypedDict):
    """A closed month's figure that a later computation changed.

    `unit` is that of before and after: minor units of `currency`, or a number of customers.
    `causes` names documents where the token may see them, and is empty where not.
    """

    id: UUID
    at: datetime
    month: str
    metric: str
    unit: str
    currency: str | None
    before: int
    after: int
    causes: list[Cause]


class Restatements(Page):
    data: list[Restatement]
