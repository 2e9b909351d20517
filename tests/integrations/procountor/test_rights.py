import pytest

from integrations.procountor import records as r
from integrations.procountor.rights import NEEDED, Severity, gaps

VIEW, ALL, NONE, OFF = "VIEWING_RIGHTS", "ALL_RIGHTS", "NO_ACCESS", "NOT_ENABLED"


def rights(**areas) -> r.Rights:
    return r.Rights(role="x", rights=r.Permissions(**areas))


def full() -> dict:
    return {
        "management": r.ManagementRights(basic_company_info=VIEW, basic_accounting_info=VIEW),
        "user": r.UserLimits(limited_dimensions=False),
        "sales": r.SalesRights(
            sales_or_group_invoices=VIEW,
            sales_invoice_search=VIEW,
            personal_sales_invoices_only=False,
            customer_register=VIEW,
            product_register=VIEW,
        ),
        "purchases": r.PurchaseRights(purchase_invoices=VIEW, purchase_invoice_search=VIEW),
        "travel_and_expenses": r.TravelRights(travel_and_expense_invoices=VIEW),
        "salaries": r.SalaryRights(payroll=ALL, person_register=VIEW),
        "payments": r.PaymentRights(
            payment=VIEW, bank_statement_and_reference_payment=VIEW, payment_allocation=VIEW
        ),
        "accounting": r.AccountingRights(journal_receipts=VIEW, accounting_reports=VIEW),
    }


def test_a_user_who_may_view_everything_has_no_gaps():
    assert gaps(rights(**full())) == []


@pytest.mark.parametrize(
    ("area", "limits", "code", "severity"),
    [
        ("sales", r.SalesRights(sales_invoice_search=NONE), "sales", Severity.BLOCKING),
        ("sales", r.SalesRights(sales_or_group_invoices=OFF), "sales", Severity.BLOCKING),
        (
            "sales",
            r.SalesRights(personal_sales_invoices_only=True),
            "personal_sales",
            Severity.BLOCKING,
        ),
        ("sales", r.SalesRights(customer_register=NONE), "customers", Severity.DEGRADES),
        ("sales", r.SalesRights(product_register=NONE), "products", Severity.DEGRADES),
        (
            "payments",
            r.PaymentRights(bank_statement_and_reference_payment=NONE),
            "bank_statements",
            Severity.DEGRADES,
        ),
        ("payments", r.PaymentRights(payment=NONE), "payments", Severity.DEGRADES),
        ("payments", r.PaymentRights(payment_allocation=NONE), "payment_allocation", "later"),
        ("management", r.ManagementRights(basic_company_info=NONE), "company_info", "degrades"),
        (
            "management",
            r.ManagementRights(chart_of_accounts_and_default_reports=NONE),
            "chart_of_accounts",
            "later",
        ),
        ("user", r.UserLimits(limited_dimensions=True), "limited_dimensions", "degrades"),
        ("salaries", r.SalaryRights(payroll=NONE), "salaries", "later"),
        ("salaries", r.SalaryRights(payroll=ALL, person_register=NONE), "salaries", "later"),
        ("salaries", r.SalaryRights(payroll=VIEW), "some_salaries", "later"),
        ("salaries", r.SalaryRights(personal_salaries_only=True), "some_salaries", "later"),
        ("accounting", r.AccountingRights(accounting_reports=NONE), "accounting", "later"),
        (
            "accounting",
            r.AccountingRights(personal_journal_receipts_only=True),
            "personal_journals",
            "later",
        ),
        ("purchases", r.PurchaseRights(purchase_invoices=NONE), "purchases", "later"),
        (
            "purchases",
            r.PurchaseRights(personal_purchase_invoices_only=True),
            "personal_purchases",
            "later",
        ),
        (
            "travel_and_expenses",
            r.TravelRights(travel_and_expense_invoice_search=NONE),
            "travel",
            "later",
        ),
        (
            "travel_and_expenses",
            r.TravelRights(personal_travel_and_expense_invoice_only=True),
            "personal_travel",
            "later",
        ),
    ],
)
def test_each_missing_right_is_told_once(area, limits, code, severity):
    found = gaps(rights(**(full() | {area: limits})))
    assert [(gap.code, gap.severity) for gap in found] == [(code, severity)]
    assert "—" in found[0].words


def test_payroll_that_the_company_does_not_use_is_no_gap():
    off = r.SalaryRights(payroll=OFF, person_register=OFF)
    assert gaps(rights(**(full() | {"salaries": off}))) == []


def test_the_gravest_gap_comes_first():
    found = gaps(
        rights(
            salaries=r.SalaryRights(payroll=NONE),
            user=r.UserLimits(limited_dimensions=True),
            sales=r.SalesRights(sales_invoice_search=NONE),
        )
    )
    assert [gap.severity for gap in found] == ["blocking", "degrades", "later"]


def test_silence_is_no_gap():
    assert gaps(r.Rights()) == []
    assert len(NEEDED) > 2
