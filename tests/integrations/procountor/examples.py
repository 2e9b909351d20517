"""Answers as the API's documentation shows them, with invented companies."""

from copy import deepcopy
from typing import Any

SUMS = {
    "currency": "EUR",
    "inAccountingCurrency": True,
    "excludingVatTotal": 1080.0,
    "vatSumTotal": 275.4,
    "invoiceSumTotal": 1355.4,
}

LIST_ITEM: dict[str, Any] = {
    "id": 81203344,
    "partnerId": 510023,
    "type": "SALES_INVOICE",
    "status": "SENT",
    "invoiceNumber": 1187,
    "originalInvoiceNumber": "SUB-2026-0044",
    "invoiceChannel": "EMAIL",
    "date": "2026-01-01",
    "dueDate": "2026-01-15",
    "created": "2026-01-01T09:02:11",
    "version": "2026-01-01T09:14:03",
    "creatorId": 26535,
    "isOffer": False,
    "counterParty": {
        "customerNumber": "2041",
        "counterPartyAddress": {"name": "Kuusi Data Oy", "country": "FINLAND"},
    },
    "invoiceSumInfo": [SUMS],
}

INVOICE: dict[str, Any] = {
    "id": 81203344,
    "partnerId": 510023,
    "type": "SALES_INVOICE",
    "status": "SENT",
    "date": "2026-01-01",
    "counterParty": LIST_ITEM["counterParty"],
    "paymentInfo": {
        "paymentMethod": "BANK_TRANSFER",
        "currency": "EUR",
        "dueDate": "2026-01-15",
        "currencyRate": 1,
    },
    "extraInfo": {"accountingByRow": True, "unitPricesIncludeVat": False},
    "discountPercent": 0,
    "invoiceNumber": 1187,
    "vatStatus": 1,
    "deliveryStartDate": "2026-01-01",
    "deliveryEndDate": "2026-12-31",
    "invoiceRows": [
        {
            "id": 9911,
            "productId": 77120,
            "product": "Platform licence, annual",
            "productCode": "LIC-Y",
            "quantity": 1,
            "unit": "YEAR",
            "unitPrice": 1200.00,
            "discountPercent": 10,
            "vatPercent": 25.5,
            "startDate": "2026-01-01",
            "endDate": "2026-12-31",
        }
    ],
    "ledgerReceiptId": 60020111,
    "version": "2026-01-01T09:14:03",
    "attachments": [],
    "factoringContractId": None,
    "invoiceSumInfo": [SUMS],
}

PARTNER: dict[str, Any] = {
    "id": 510023,
    "name": "Kuusi Data Oy",
    "type": "CUSTOMER",
    "billingAddress": {"name": "Kuusi Data Oy", "city": "Helsinki"},
    "invoicingInfo": {"customerNumber": "2041", "identifier": "1234567-1"},
    "registryInfo": {"active": True},
    "version": "2025-11-04T10:00:00",
}

PRODUCT: dict[str, Any] = {
    "id": 77120,
    "type": "SALES",
    "name": "Platform licence, annual",
    "unit": "YEAR",
    "discount": 0,
    "price": 1200.0,
    "vat": 25.5,
    "active": True,
    "currency": "EUR",
    "productGroupId": None,
    "version": "2025-12-01T08:00:00",
}

EVENT: dict[str, Any] = {
    "id": 7001,
    "invoiceId": 81203344,
    "type": "REFERENCEPAYMENT_TO_INVOICE",
    "paymentDate": "2026-01-14",
    "status": "PAID",
    "amount": 1355.4,
    "currency": "EUR",
    "paidAmount": 1355.4,
    "paidCurrency": "EUR",
    "description": "",
}

BULK_EVENT: dict[str, Any] = {
    "id": 7001,
    "invoiceId": 81203344,
    "paymentDate": "2026-01-14",
    "amount": 1355.4,
    "receiverName": "Kuusi Data Oy",
    "status": "PAID",
    "paidAmount": 1355.4,
    "paidCurrency": "EUR",
}

BANK_ACCOUNT: dict[str, Any] = {
    "id": 71,
    "accountNumber": "123456-785",
    "iban": "FI2112345600000785",
    "currency": "EUR",
    "status": "ACTIVE",
    "version": "2025-01-01T00:00:00",
}

STATEMENT: dict[str, Any] = {
    "id": 5_000_000_001,
    "accountNumber": "FI2112345600000785",
    "startDate": "2026-01-14",
    "endDate": "2026-01-14",
    "currency": "EUR",
    "depositSum": 1355.4,
    "withdrawalSum": -4.5,
    "startBalance": 10000.0,
    "endBalance": 11350.9,
    "events": [
        {
            "id": 990001,
            "payDate": "2026-01-14",
            "sum": 1355.4,
            "name": "Kuusi Data Oy",
            "allocated": True,
            "invoiceId": 81203344,
        },
        {"id": 990002, "payDate": "2026-01-14", "sum": -4.5, "invoiceId": None},
    ],
}

SESSION: dict[str, Any] = {
    "companyId": 10452,
    "name": "Mallifirma Oy",
    "country": "FINLAND",
    "userId": 26535,
    "userName": "tech.user",
    "companySettings": {"invoiceDiscussionEnabled": False},
}

COMPANY: dict[str, Any] = {
    "id": 10452,
    "name": "Mallifirma Oy",
    "businessIdentifier": {"brnType": "FI", "code": "7654321-2"},
    "companyCurrency": "EUR",
}


def numbered(document: dict[str, Any], number: int, **changes: Any) -> dict[str, Any]:
    return deepcopy(document) | {"id": number} | changes


def listed(*documents: dict[str, Any], total: int | None = None) -> dict[str, Any]:
    count = len(documents)
    return {
        "results": list(documents),
        "meta": {
            "pageNumber": 0,
            "pageSize": 200,
            "resultCount": count,
            "totalCount": count if total is None else total,
        },
    }
