"""The people who may log in, and what they may see."""

from dataclasses import dataclass
from typing import Any

VIEW, ALL, NONE = "VIEWING_RIGHTS", "ALL_RIGHTS", "NO_ACCESS"


@dataclass(frozen=True, slots=True)
class User:
    id: int
    username: str
    password: str
    first: str
    last: str
    limited: bool = False  # lacks salaries, payments and the product register


USERS = (
    User(26535, "maija.malli", "malli-2026", "Maija", "Malli"),
    User(26536, "risto.rajattu", "malli-2026", "Risto", "Rajattu", limited=True),
)


def by_id(user_id: int) -> User | None:
    return next((user for user in USERS if user.id == user_id), None)


def by_login(username: str, password: str) -> User | None:
    wanted = (username.strip().lower(), password)
    return next((user for user in USERS if (user.username, user.password) == wanted), None)


def user_json(user: User, company_id: int) -> dict[str, Any]:
    return {
        "id": user.id,
        "username": user.username,
        "companyId": company_id,
        "countryCode": "FINLAND",
        "partnerId": 400_000 + user.id,
        "loginMethod": "PROCOUNTOR_KEY",
        "firstName": user.first,
        "lastName": user.last,
        "email": f"{user.username}@example.com",
        "mobilePhone": "",
    }


def rights_json(user: User) -> dict[str, Any]:
    """Viewing rights everywhere; a limited user has gaps that a connect page must name."""
    gap = NONE if user.limited else VIEW
    return {
        "role": "Sale" if user.limited else "Management/Auditor",
        "rights": {
            "management": {
                "basicCompanyInfo": VIEW,
                "basicAccountingInfo": VIEW,
                "chartOfAccountsAndDefaultReports": VIEW,
            },
            "user": {"limitedDimensions": False, "blockSoloLoginToProcountor": False},
            "sales": {
                "salesOrGroupInvoices": VIEW,
                "salesInvoiceSearch": VIEW,
                "personalSalesInvoicesOnly": False,
                "customerRegister": VIEW,
                "productRegister": gap,
            },
            "purchases": {
                "purchaseInvoices": gap,
                "purchaseInvoiceSearch": gap,
                "personalPurchaseInvoicesOnly": False,
                "supplierRegister": gap,
            },
            "travelAndExpenses": {
                "travelAndExpenseInvoices": gap,
                "travelAndExpenseInvoiceSearch": gap,
                "personalTravelAndExpenseInvoiceOnly": False,
            },
            "salaries": {
                "payroll": gap,
                "personalSalariesOnly": False,
                "personRegister": gap,
            },
            "payments": {
                "payment": gap,
                "bankStatementAndReferencePayment": gap,
                "paymentAllocation": gap,
            },
            "accounting": {
                "journalReceipts": VIEW,
                "journalReceiptSearch": VIEW,
                "personalJournalReceiptsOnly": False,
                "accountingReports": VIEW,
            },
        },
    }
