"""What `Report.body` holds: every figure of the dashboards, complete and from one computation.

Conventions, so that no page computes anything but a format:

- `…_minor`: integer minor units of `currency`. `…_e4`: integer 1/10 000 of a minor unit.
- `…_ppm`: a rate as integer parts per million (20 % is 200 000; a quick ratio of 2.2 is
  2 200 000). None where the divisor is zero: show "–".
- Months are "YYYY-MM", days "YYYY-MM-DD", instants ISO 8601 in UTC.
- Lists run from the oldest month to the newest. A month without `complete` is still running
  (or not covered by statements): shown, marked, and left out of averages.

The list behind a figure, with amounts that `domain.rounding.share_out(parts_e4, figure_minor)`
makes add up to it to the cent:

- MRR of month m: `LineFigure` with counted and from_month <= m < to_month, amount mrr_e4, plus
  the rows of `adjustments` for m. By customer: `CustomerFigure.mrr_e4[m - first_month]`.
- A movement of month m: `CustomerFigure` rows whose `moves[m - first_month]` is its number in
  `domain.movements.Movement`; signed amount = mrr_e4[i] - mrr_e4[i - 1] - fx_e4[i], where i is
  m - first_month and mrr_e4[-1] counts as 0. The fx row: all fx_e4[i] other than 0.
- Recurring revenue of a month: `InvoiceFigure.recurring_minor` of the invoices dated in it;
  the rest of it: `Invoice.net_acc_minor` - recurring_minor. Invoices that count have a row.
- Receivables of an age: `InvoiceFigure` with that age, amount open_minor. Expected in a week or
  month: those whose `expected` lies in it.
- Money in, out, financing, own transfers of a month: `CashFigure` of that month by kind and,
  for operating, by sign of amount_minor.
"""

from __future__ import annotations

from typing import Literal, TypedDict

BODY_VERSION = 6


class Month(TypedDict):
    """MRR and what changed it: to the cent, start + new + expansion + reactivation - contraction
    - churn - paused + fx + tolerated = mrr."""

    month: str
    complete: bool
    start_minor: int
    new_minor: int
    expansion_minor: int
    reactivation_minor: int
    # Positive magnitudes, like the gains above.
    contraction_minor: int
    churn_minor: int
    # What pauses stopped: where the tenant keeps it out of churn, and else as a part of churn.
    paused_minor: int
    churn_paused_minor: int
    # Signed: exchange rates, and changes below the tenant's tolerance (0 by default).
    fx_minor: int
    tolerated_minor: int
    mrr_minor: int
    mrr_e4: int
    arr_minor: int
    # The part of mrr_minor that detection found and no person has confirmed.
    detected_minor: int
    # Beside mrr_minor: invoiced by this snapshot for service that starts later; the part of
    # mrr_minor known to end; and contracted MRR, mrr + contracted - ending.
    contracted_minor: int
    ending_minor: int
    contracted_mrr_minor: int
    customers_start: int
    customers: int
    new_customers: int
    reactivated_customers: int
    churned_customers: int
    expanded_customers: int
    contracted_customers: int
    paused_customers: int
    # Per month and paying customer.
    arpa_minor: int | None
    gross_churn_ppm: int | None
    net_churn_ppm: int | None
    customer_churn_ppm: int | None
    quick_ratio_ppm: int | None
    # Retention of those who paid at the month's start, and twelve months earlier.
    nrr_ppm: int | None
    grr_ppm: int | None
    nrr_12_ppm: int | None
    grr_12_ppm: int | None


class Revenue(TypedDict):
    """Net invoiced in a month by the invoices' dates, credit notes taken off."""

    month: str
    complete: bool
    recurring_minor: int
    non_recurring_minor: int
    invoices: int


class Now(TypedDict):
    """The tiles: the snapshot of `month`, and rates of the last complete month."""

    month: str
    mrr_minor: int
    arr_minor: int
    customers: int
    subscriptions: int
    arpa_minor: int | None
    # Parts of mrr_minor: detected and not yet confirmed; awaiting a late invoice.
    detected_minor: int
    late_minor: int
    # The last complete month, which the rates below are of; None before there is one.
    rates_month: str | None
    customer_churn_ppm: int | None
    gross_churn_ppm: int | None
    net_churn_ppm: int | None
    nrr_12_ppm: int | None
    grr_12_ppm: int | None
    nrr_ppm: int | None
    grr_ppm: int | None
    quick_ratio_ppm: int | None


class TopCustomer(TypedDict):
    """One of the ten with most net invoiced in the twelve months to `as_of`, largest first."""

    customer: str  # public id
    name: str
    connection: str  # public id
    invoiced_minor: int
    share_ppm: int | None
    mrr_minor: int


class Adjustment(TypedDict):
    """What lifts a customer whose lines sum below zero to 0 in one month."""

    month: str
    customer: str  # public id
    name: str
    amount_e4: int


AgeCode = Literal["not_due", "up_to_30", "up_to_60", "up_to_90", "over_90"]


class Age(TypedDict):
    age: AgeCode
    minor: int
    invoices: int


class Expected(TypedDict):
    """Open receivables expected from `start` up to the next row's start; the last row is open."""

    start: str  # a Monday, or the first day of a month
    minor: int
    invoices: int


class Receivables(TypedDict):
    """Open sales invoices, VAT included; each list of parts adds up to total_minor."""

    total_minor: int
    overdue_minor: int
    invoices: int
    ages: list[Age]  # all five, in order
    weeks: list[Expected]
    months: list[Expected]


class CashMonth(TypedDict):
    """opening + in - out + financing + own_transfers + unexplained = closing."""

    month: str
    complete: bool
    opening_minor: int
    # Operations, positive magnitudes.
    money_in_minor: int
    money_out_minor: int
    # Signed. Own transfers are 0 unless the other side is on an account that is not imported.
    financing_minor: int
    own_transfers_minor: int
    # Balances that statements state and their events do not explain; an account's first balance.
    unexplained_minor: int
    closing_minor: int
    # out - in: positive while money is burnt.
    net_burn_minor: int


class Account(TypedDict):
    iban: str
    bank_name: str
    connection: str  # public id
    active: bool
    balance_minor: int


RunwayState = Literal["no_cash_data", "insufficient_history", "no_cash", "cashflow_positive", "ok"]


class Runway(TypedDict):
    state: RunwayState
    cash_minor: int | None
    balance_date: str | None
    net_burn_minor: int | None
    gross_burn_minor: int | None
    # "4.3"; only in state ok. Above 36 show "over 36 months".
    months: str | None
    over_36: bool
    zero_date: str | None
    months_used: list[str]
    months_wanted: int
    average: Literal["mean", "median"]


NoteCode = Literal[
    # connection, name, currency: its accounting currency is not the company's; left out.
    "connection_other_currency",
    # connection, name: its first import is running; left out until it is whole.
    "connection_loading",
    # iban, currency: an account in another currency, left out of cash.
    "account_other_currency",
    # count: credit notes that no invoice line could be found for.
    "credits_unmatched",
    # count: issued invoices without a customer; in revenue by no one, left out of MRR.
    "invoices_without_customer",
    # count: customer-months lifted to 0 because credits exceeded invoices.
    "negative_customers",
]


class Note(TypedDict):
    code: NoteCode
    params: dict[str, str | int]


class ToReview(TypedDict):
    subscriptions: int
    deposits: int
    credits: int


class Body(TypedDict):
    version: int
    currency: str
    as_of: str
    # Set while the first import is loading: revenue is complete from this month on, MRR twelve
    # months later, and "new" is provisional.
    complete_back_to: str | None
    # The last month in which customers from before the books begin may appear as new: one billed
    # by the year has its first invoice in them up to twelve months later. None: no subscription.
    unsure_new_until: str | None
    now: Now | None  # None before MRR can be known
    months: list[Month]
    adjustments: list[Adjustment]
    revenue: list[Revenue]
    top_customers: list[TopCustomer]
    receivables: Receivables
    cash: list[CashMonth]
    accounts: list[Account]
    runway: Runway
    to_review: ToReview
    notes: list[Note]


class Freshness(TypedDict):
    """One row of `Report.freshness`: how recent the books behind the figures are."""

    connection: str  # public id
    name: str
    as_of: str | None
    included: bool
