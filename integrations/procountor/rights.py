"""What a user's rights in Procountor mean for the figures, in words.

Lists are filtered silently where a right is missing, so a gap must be told before someone
trusts a sum. A right that Procountor does not mention counts as no gap.
"""

from dataclasses import dataclass
from enum import StrEnum

from integrations.procountor.records import (
    AccountingRights,
    ManagementRights,
    PaymentRights,
    Permissions,
    PurchaseRights,
    Rights,
    SalaryRights,
    SalesRights,
    TravelRights,
    UserLimits,
)
from integrations.procountor.vocabulary import NO_ACCESS, NOT_ENABLED, VIEWING_RIGHTS


def _(message: str) -> str:
    """Mark a sentence for translation; the caller translates it when it is shown."""
    return message


class Severity(StrEnum):
    """`blocking`: no import; `degrades`: figures are missing today; `later`: not used yet."""

    BLOCKING = "blocking"
    DEGRADES = "degrades"
    LATER = "later"


@dataclass(frozen=True, slots=True)
class Gap:
    """One thing that the user may not see. `words` is an English constant to be translated."""

    code: str
    severity: Severity
    words: str


# What the connect page names as needed, in the order of use.
NEEDED = (
    _("Sales: sales invoices and sales invoice search, viewing rights"),
    _("Sales: customer register and product register, viewing rights"),
    _("Payments: payments, bank statements and reference payments, viewing rights"),
    _("Management: basic company info, viewing rights"),
)


def gaps(rights: Rights) -> list[Gap]:
    """Every gap, the gravest first."""
    granted = rights.rights or Permissions()
    found = [
        *_sales(granted.sales or SalesRights()),
        *_payments(granted.payments or PaymentRights()),
        *_management(granted.management or ManagementRights()),
        *_limits(granted.user or UserLimits()),
        *_salaries(granted.salaries or SalaryRights()),
        *_accounting(granted.accounting or AccountingRights()),
        *_purchases(granted.purchases or PurchaseRights()),
        *_travel(granted.travel_and_expenses or TravelRights()),
    ]
    return sorted(found, key=lambda gap: list(Severity).index(gap.severity))


def _closed(*rights: str | None) -> bool:
    return any(right in {NO_ACCESS, NOT_ENABLED} for right in rights)


def _denied(*rights: str | None) -> bool:
    """No access to something that the company does use."""
    return any(right == NO_ACCESS for right in rights)


def _sales(sales: SalesRights) -> list[Gap]:
    found = []
    if _closed(sales.sales_or_group_invoices, sales.sales_invoice_search):
        words = _("Sales invoices: no access — without them there is nothing to import")
        found.append(Gap("sales", Severity.BLOCKING, words))
    if sales.personal_sales_invoices_only:
        words = _("Sales invoices: only the user's own — every figure would be too low")
        found.append(Gap("personal_sales", Severity.BLOCKING, words))
    if _closed(sales.customer_register):
        words = _("Customers: no access — customers are known only by the names on their invoices")
        found.append(Gap("customers", Severity.DEGRADES, words))
    if _closed(sales.product_register):
        words = _("Products: no access — revenue by product would be incomplete")
        found.append(Gap("products", Severity.DEGRADES, words))
    return found


def _payments(payments: PaymentRights) -> list[Gap]:
    found = []
    if _closed(payments.bank_statement_and_reference_payment):
        words = _("Bank statements: no access — cash and runway would be missing")
        found.append(Gap("bank_statements", Severity.DEGRADES, words))
    if _closed(payments.payment):
        words = _("Payments: no access — paid and open invoices could not be told apart by date")
        found.append(Gap("payments", Severity.DEGRADES, words))
    if _denied(payments.payment_allocation):
        words = _("Payment allocation: no access — a deposit could not be matched to its invoice")
        found.append(Gap("payment_allocation", Severity.LATER, words))
    return found


def _management(management: ManagementRights) -> list[Gap]:
    found = []
    if _denied(management.basic_company_info):
        words = _("Company info: no access — the company's currency and business id stay unknown")
        found.append(Gap("company_info", Severity.DEGRADES, words))
    if _denied(management.basic_accounting_info, management.chart_of_accounts_and_default_reports):
        words = _("Chart of accounts: no access — profit and loss could not be shown")
        found.append(Gap("chart_of_accounts", Severity.LATER, words))
    return found


def _limits(user: UserLimits) -> list[Gap]:
    if not user.limited_dimensions:
        return []
    words = _("Dimensions: limited — documents of other dimensions would be left out unseen")
    return [Gap("limited_dimensions", Severity.DEGRADES, words)]


def _salaries(salaries: SalaryRights) -> list[Gap]:
    if _denied(salaries.payroll, salaries.person_register):
        words = _("Salaries: no access — profit and loss would be wrong")
        return [Gap("salaries", Severity.LATER, words)]
    # Procountor hands out salary receipts only to a user with full rights to payroll.
    if salaries.personal_salaries_only or salaries.payroll == VIEWING_RIGHTS:
        words = _("Salaries: not all of them — profit and loss would be wrong")
        return [Gap("some_salaries", Severity.LATER, words)]
    return []


def _accounting(accounting: AccountingRights) -> list[Gap]:
    if _denied(
        accounting.journal_receipts,
        accounting.journal_receipt_search,
        accounting.accounting_reports,
    ):
        words = _("Accounting: no access — profit and loss could not be shown")
        return [Gap("accounting", Severity.LATER, words)]
    if accounting.personal_journal_receipts_only:
        words = _("Journals: only the user's own — profit and loss would be wrong")
        return [Gap("personal_journals", Severity.LATER, words)]
    return []


def _purchases(purchases: PurchaseRights) -> list[Gap]:
    if _denied(purchases.purchase_invoices, purchases.purchase_invoice_search):
        words = _("Purchases: no access — costs and bills to pay would be missing")
        return [Gap("purchases", Severity.LATER, words)]
    if purchases.personal_purchase_invoices_only:
        words = _("Purchases: only the user's own — costs would be too low")
        return [Gap("personal_purchases", Severity.LATER, words)]
    return []


def _travel(travel: TravelRights) -> list[Gap]:
    if _denied(travel.travel_and_expense_invoices, travel.travel_and_expense_invoice_search):
        words = _("Travel and expenses: no access — costs would be too low")
        return [Gap("travel", Severity.LATER, words)]
    if travel.personal_travel_and_expense_invoice_only:
        words = _("Travel and expenses: only the user's own — costs would be too low")
        return [Gap("personal_travel", Severity.LATER, words)]
    return []


__all__ = ["NEEDED", "Gap", "Severity", "gaps"]
