"""What we rely on in Procountor's documents, frozen. Unknown fields are ignored, unknown words
are kept as text, and amounts are `Decimal` from the digits on the wire.

A field without a default is one that the figures cannot do without: a document that lacks it is
rejected rather than stored half, even where null is a value that it may have. For the others,
absent and null both read as `None`.
Date-times are Procountor's clock, without a zone (see `text`).
"""

import datetime as dt
from decimal import Decimal

import msgspec

# Amounts beyond this have no place in a ledger; they would only overflow further on.
_MOST_DIGITS = 15


def _in_bounds(*amounts: Decimal | None) -> None:
    for amount in amounts:
        if amount is None:
            continue
        if not amount.is_finite() or amount.adjusted() >= _MOST_DIGITS:
            raise ValueError("an amount is out of bounds")


class Record(msgspec.Struct, frozen=True, kw_only=True, rename="camel", gc=False):
    """Base of every record: snake_case here, camelCase on the wire.

    Records cannot form cycles, so the collector need not look at them.
    """


class Address(Record, frozen=True, kw_only=True):
    name: str | None = None
    specifier: str | None = None
    street: str | None = None
    zip: str | None = None
    city: str | None = None
    country: str | None = None
    subdivision: str | None = None


class CounterParty(Record, frozen=True, kw_only=True):
    """The customer as it stands on the document, which may differ from the register."""

    contact_person_name: str | None = None
    identifier: str | None = None
    tax_code: str | None = None
    customer_number: str | None = None
    email: str | None = None
    counter_party_address: Address | None = None


class SumInfo(Record, frozen=True, kw_only=True):
    """Totals in one currency; two of them when invoice and accounting currency differ."""

    currency: str
    in_accounting_currency: bool
    excluding_vat_total: Decimal
    vat_sum_total: Decimal
    invoice_sum_total: Decimal

    def __post_init__(self) -> None:
        _in_bounds(self.excluding_vat_total, self.vat_sum_total, self.invoice_sum_total)


class InvoiceListItem(Record, frozen=True, kw_only=True):
    """An invoice as the list shows it: no rows and no currency."""

    id: int
    type: str
    status: str
    partner_id: int | None = None
    invoice_number: int | None = None
    original_invoice_number: str | None = None
    date: dt.date
    due_date: dt.date | None = None
    new_due_date: dt.date | None = None
    created: dt.datetime | None = None
    version: dt.datetime | None = None
    counter_party: CounterParty | None = None
    invoice_sum_info: list[SumInfo] | None = None
    is_offer: bool | None = None


class InvoiceRow(Record, frozen=True, kw_only=True):
    """One row; the price is per unit in the invoice's currency, discount and VAT in percent."""

    id: int | None = None
    product_id: int | None = None
    product: str | None = None
    product_code: str | None = None
    quantity: Decimal
    unit: str | None = None
    unit_price: Decimal
    discount_percent: Decimal | None
    vat_percent: Decimal | None
    vat_status: int | None = None
    comment: str | None = None
    start_date: dt.date | None = None
    end_date: dt.date | None = None
    header_text: str | None = None
    explanation_text: str | None = None

    def __post_init__(self) -> None:
        _in_bounds(self.quantity, self.unit_price, self.discount_percent)


class PaymentInfo(Record, frozen=True, kw_only=True):
    """`currency_rate` = units of the invoice's currency per one unit of the accounting currency."""

    payment_method: str | None = None
    currency: str
    due_date: dt.date | None = None
    new_due_date: dt.date | None = None
    currency_rate: Decimal | None = None
    bank_reference_code: str | None = None
    bank_reference_code_type: str | None = None

    def __post_init__(self) -> None:
        _in_bounds(self.currency_rate)


class ExtraInfo(Record, frozen=True, kw_only=True):
    accounting_by_row: bool | None = None
    unit_prices_include_vat: bool


class Invoice(Record, frozen=True, kw_only=True):
    """A whole invoice. A credit note is an invoice with negative amounts."""

    id: int
    type: str
    status: str
    date: dt.date
    # Null for a payer who is in no register; absent never.
    partner_id: int | None
    payment_date: dt.date | None = None
    version: dt.datetime | None = None
    is_offer: bool | None = None
    counter_party: CounterParty | None = None
    payment_info: PaymentInfo
    extra_info: ExtraInfo
    discount_percent: Decimal | None
    order_reference: str | None = None
    invoice_number: int | None = None
    original_invoice_number: str | None = None
    vat_status: int | None = None
    delivery_start_date: dt.date | None = None
    delivery_end_date: dt.date | None = None
    invoice_channel: str | None = None
    language: str | None = None
    additional_information: str | None = None
    notes: str | None = None
    order_number: str | None = None
    agreement_number: str | None = None
    ledger_receipt_id: int | None = None
    invoice_sum_info: list[SumInfo] | None = None
    invoice_rows: list[InvoiceRow]

    def __post_init__(self) -> None:
        _in_bounds(self.discount_percent)


class PartnerInvoicing(Record, frozen=True, kw_only=True):
    customer_number: str | None = None
    identifier: str | None = None
    identifier_type: str | None = None
    email: str | None = None
    language: str | None = None


class PartnerRegistry(Record, frozen=True, kw_only=True):
    active: bool | None = None
    report_group: str | None = None
    report_group_id: int | None = None


class PartnerPayment(Record, frozen=True, kw_only=True):
    payment_term_days: str | None = None
    currency: str | None = None


class PartnerExtra(Record, frozen=True, kw_only=True):
    group: str | None = None
    web_address: str | None = None
    invoice_period: str | None = None


class Partner(Record, frozen=True, kw_only=True):
    """A business partner: the list gives the first half, a detail read the rest."""

    id: int
    name: str
    type: str
    version: dt.datetime | None = None
    billing_address: Address | None = None
    address: Address | None = None
    invoicing_info: PartnerInvoicing | None = None
    registry_info: PartnerRegistry | None = None
    payment_info: PartnerPayment | None = None
    additional_info: PartnerExtra | None = None


class Product(Record, frozen=True, kw_only=True):
    id: int
    name: str
    type: str | None = None
    code: str | None = None
    unit: str | None = None
    discount: Decimal | None = None
    price: Decimal | None = None
    vat: Decimal | None = None
    active: bool | None = None
    default_account: str | None = None
    vat_status: int | None = None
    currency: str | None = None
    product_group_id: int | None = None
    version: dt.datetime | None = None

    def __post_init__(self) -> None:
        _in_bounds(self.discount, self.price)


class PaymentEvent(Record, frozen=True, kw_only=True):
    """One payment event of an invoice.

    `amount` is in the accounting currency, `paid_amount` in `paid_currency`. The bulk read has
    neither `type` nor `currency`; the read of one invoice has both.
    """

    id: int
    invoice_id: int | None = None
    payment_date: dt.date | None = None
    amount: Decimal
    status: str | None = None
    paid_amount: Decimal | None = None
    paid_currency: str | None = None
    type: str | None = None
    currency: str | None = None
    description: str | None = None
    receiver_name: str | None = None

    def __post_init__(self) -> None:
        _in_bounds(self.amount, self.paid_amount)


class BankAccount(Record, frozen=True, kw_only=True):
    id: int
    iban: str | None = None
    account_number: str | None = None
    bic: str | None = None
    bank_name: str | None = None
    currency: str
    status: str | None = None
    order_no: int | None = None
    default_for_invoice: bool | None = None
    version: dt.datetime | None = None


class BankEvent(Record, frozen=True, kw_only=True):
    """One line of a statement. A parent line repeats the sum of the lines in its `event`."""

    id: int
    pay_date: dt.date | None = None
    value_date: dt.date | None = None
    sum: Decimal
    account_number: str | None = None
    name: str | None = None
    explanation_code: int | None = None
    archive_code: str | None = None
    message: str | None = None
    reference: str | None = None
    allocated: bool | None = None
    invoice_id: int | None = None
    event: "list[BankEvent] | BankEvent | None" = None

    def __post_init__(self) -> None:
        _in_bounds(self.sum)

    @property
    def children(self) -> "list[BankEvent]":
        """The lines inside this one; the contract does not say whether one comes in a list."""
        if self.event is None:
            return []
        return self.event if isinstance(self.event, list) else [self.event]


class BankStatement(Record, frozen=True, kw_only=True):
    """Balances are in `currency`; the sign of `withdrawal_sum` is not certain, so compare."""

    id: int
    account_number: str
    start_date: dt.date
    end_date: dt.date
    currency: str
    number_of_deposits: int | None = None
    deposit_sum: Decimal | None = None
    number_of_withdrawals: int | None = None
    withdrawal_sum: Decimal | None = None
    start_balance: Decimal
    end_balance: Decimal
    statement_number: int | None = None
    events: list[BankEvent] | None = None

    def __post_init__(self) -> None:
        _in_bounds(self.deposit_sum, self.withdrawal_sum, self.start_balance, self.end_balance)


class Session(Record, frozen=True, kw_only=True):
    """Which company and user a token speaks for."""

    company_id: int
    name: str | None = None
    country: str | None = None
    product_version: str | None = None
    user_id: int | None = None
    user_name: str | None = None


class BusinessIdentifier(Record, frozen=True, kw_only=True):
    brn_type: str | None = None
    code: str | None = None


class Company(Record, frozen=True, kw_only=True):
    id: int
    name: str
    country: str | None = None
    product_version: str | None = None
    operation_type: str | None = None
    accounting_office_name: str | None = None
    business_identifier: BusinessIdentifier | None = None
    company_currency: str | None = None


class SalesRights(Record, frozen=True, kw_only=True):
    sales_or_group_invoices: str | None = None
    sales_invoice_search: str | None = None
    personal_sales_invoices_only: bool | None = None
    customer_register: str | None = None
    product_register: str | None = None


class PurchaseRights(Record, frozen=True, kw_only=True):
    purchase_invoices: str | None = None
    purchase_invoice_search: str | None = None
    personal_purchase_invoices_only: bool | None = None
    supplier_register: str | None = None


class TravelRights(Record, frozen=True, kw_only=True):
    travel_and_expense_invoices: str | None = None
    travel_and_expense_invoice_search: str | None = None
    personal_travel_and_expense_invoice_only: bool | None = None


class SalaryRights(Record, frozen=True, kw_only=True):
    payroll: str | None = None
    person_register: str | None = None
    personal_salaries_only: bool | None = None


class PaymentRights(Record, frozen=True, kw_only=True):
    payment: str | None = None
    bank_statement_and_reference_payment: str | None = None
    payment_allocation: str | None = None


class AccountingRights(Record, frozen=True, kw_only=True):
    journal_receipts: str | None = None
    journal_receipt_search: str | None = None
    personal_journal_receipts_only: bool | None = None
    accounting_reports: str | None = None


class ManagementRights(Record, frozen=True, kw_only=True):
    basic_company_info: str | None = None
    basic_accounting_info: str | None = None
    chart_of_accounts_and_default_reports: str | None = None


class UserLimits(Record, frozen=True, kw_only=True):
    limited_dimensions: bool | None = None


class Permissions(Record, frozen=True, kw_only=True):
    management: ManagementRights | None = None
    user: UserLimits | None = None
    sales: SalesRights | None = None
    purchases: PurchaseRights | None = None
    travel_and_expenses: TravelRights | None = None
    salaries: SalaryRights | None = None
    payments: PaymentRights | None = None
    accounting: AccountingRights | None = None


class Rights(Record, frozen=True, kw_only=True):
    """What the user behind the token may do, by area of Procountor."""

    role: str | None = None
    rights: Permissions | None = None
