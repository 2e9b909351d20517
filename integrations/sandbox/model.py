"""What a generated company is made of before it becomes documents."""

from dataclasses import dataclass, field
from datetime import date
from enum import StrEnum


class Kind(StrEnum):
    """What an invoice row really is; the answer that detection tries to find."""

    SUBSCRIPTION = "subscription"
    ONE_OFF = "one_off"
    USAGE = "usage"
    IGNORE = "ignore"


@dataclass(frozen=True, slots=True)
class Truth:
    """The right reading of one row; the service period is half-open."""

    kind: Kind
    key: str | None = None
    cadence: int | None = None
    start: date | None = None
    end: date | None = None


@dataclass(frozen=True, slots=True)
class RowTruth:
    """Truth of a row of an issued document, with its net in minor units of its currency."""

    invoice_id: int
    row_id: int
    partner_id: int | None
    document_type: str
    counts: bool  # a sales invoice that is a business transaction (not a draft, not invalidated)
    currency: str
    net_minor: int
    kind: str
    key: str | None
    cadence_months: int | None
    start: date | None
    end: date | None


@dataclass(frozen=True, slots=True)
class Product:
    """A row of the product register; the price is in ten-thousandths, VAT in tenths of a %."""

    id: int
    name: str
    code: str
    unit: str
    price: int
    kind: Kind
    cadence: int = 0
    active: bool = True
    type: str = "SALES"


@dataclass(slots=True)
class Partner:
    """A customer or supplier and its habits."""

    id: int
    name: str
    identifier: str
    number: str
    country: str = "FINLAND"
    currency: str = "EUR"
    language: str = "FINNISH"
    street: str = "Testikatu 1"
    zip: str = "00100"
    city: str = "Helsinki"
    type: str = "CUSTOMER"
    active: bool = True
    terms: int = 14
    delay: int = 2  # days between due date and payment, on average
    dates: str = "row"  # row | invoice | text | none: where the service period is written
    vat_status: int = 1
    factoring: int | None = None
    former_name: str | None = None
    renamed: date | None = None
    pays: str = "full"  # full | partial | never | over | hand
    group: str | None = None

    def name_on(self, day: date) -> str:
        if self.former_name and self.renamed and day < self.renamed:
            return self.former_name
        return self.name


@dataclass(slots=True)
class Row:
    """One invoice row: quantity in hundredths, price in ten-thousandths, percents in hundredths.

    `start` and `end` are the inclusive dates written on the row, if any.
    """

    name: str
    quantity: int
    unit: str
    price: int
    truth: Truth
    product_id: int | None = None
    code: str | None = None
    discount: int = 0
    vat: int | None = None  # tenths of a percent; None: the customer's own rate on that day
    start: date | None = None
    end: date | None = None
    comment: str | None = None
    header: str | None = None


@dataclass(slots=True, eq=False)
class Draft:
    """A document about to be issued."""

    partner: Partner
    day: date
    rows: list[Row]
    type: str = "SALES_INVOICE"
    fate: str = "normal"  # normal | unfinished | invalidated | not_sent | offer | credit | approved
    currency: str = "EUR"
    vat_included: bool = False
    header_discount: int = 0
    delivery: tuple[date, date] | None = None
    note: str = ""
    delay_entry: int = 0  # days between the invoice date and the day it was typed in
    credits: "Draft | None" = None
    anonymous: bool = False  # partnerId is null
    pays: str | None = None
    id: int = 0
    number: int = 0
    total: int = 0
    paid: int = 0
    final_status: str = ""
    settled_by_credit: date | None = None
    new_due: date | None = None
    credited: int = 0


@dataclass(slots=True)
class Event:
    """A line of a bank statement; cents, withdrawals negative."""

    day: date
    cents: int
    name: str
    code: int
    message: str = ""
    reference: str = ""
    account: str = ""
    invoice_id: int | None = None


@dataclass(frozen=True, slots=True)
class Profile:
    """How a company is to be made."""

    slug: str
    name: str
    company_id: int
    serial: int
    months: int
    customers: int
    country: str = "FINLAND"
    foreign: tuple[tuple[str, str, int], ...] = ()  # (currency, country, weight)
    target_invoices: int | None = None
    mrr_scale: int = 100  # percent of list prices
    burn_share: int = 45  # net burn in percent of the income of the last three months
    runway_months: int = 12
    traps: bool = True
    english: bool = False
    daily_statements: bool = False
    id_base: int = 0


@dataclass(slots=True)
class Catalogue:
    products: dict[str, Product] = field(default_factory=dict)

    def __getitem__(self, code: str) -> Product:
        return self.products[code]
