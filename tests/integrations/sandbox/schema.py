"""The structure of the resources that the sandbox serves, API version 26.04, in short form.

A type is `i` whole number, `n` number, `b` boolean, `d` date, `dt` date-time, `s` text (`s80`:
at most 80 characters), `=A|B` one of, a table, or a list of one type. A leading `?` allows null,
a trailing `*` on a name makes the field required.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from integrations.sandbox.params import CHANNELS, INVOICE_TYPES, STATUSES

Table = dict[str, Any]
_DAY = re.compile(r"\d{4}-\d\d-\d\d\Z")
_MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\Z")

TYPE = "=" + "|".join(sorted(INVOICE_TYPES))
STATUS = "=" + "|".join(sorted(STATUSES))
CHANNEL = "=" + "|".join(sorted(CHANNELS))
COUNTRY = "=FINLAND|SWEDEN|GERMANY|NORWAY|UNITED_KINGDOM|UNITED_STATES_OF_AMERICA"
CURRENCY = "=EUR|USD|SEK|NOK|GBP"
LANGUAGE = "=DANISH|ENGLISH|ESTONIAN|FINNISH|NORWEGIAN|SWEDISH"
UNIT = "=PIECE|HOUR|MONTH|DAY|WEEK|YEAR|KILOMETER|PERSON|LOT|GIGABYTE|NO_UNIT"
EVENT_TYPE = (
    "=REFERENCEPAYMENT_TO_INVOICE|BANKSTATEMENT_TO_INVOICE|INVOICE_TO_INVOICE|CREDITLOSS|ELSEWHERE"
)

ADDRESS: Table = {
    "name*": "s80", "specifier": "s80", "street": "s80", "zip": "s20", "city": "s40",
    "country": COUNTRY, "subdivision": "s35",
}  # fmt: skip
SUM: Table = {
    "currency": "s", "inAccountingCurrency": "b", "excludingVatTotal": "n", "vatSumTotal": "n",
    "invoiceSumTotal": "n",
}  # fmt: skip
PARTY: Table = {
    "contactPersonName": "s70", "identifier": "s", "taxCode": "s", "customerNumber": "s",
    "email": "s", "counterPartyAddress*": ADDRESS,
}  # fmt: skip
INVOICE_ITEM: Table = {
    "id": "i", "partnerId": "?i", "type": TYPE, "status": STATUS, "invoiceNumber": "i",
    "originalInvoiceNumber": "s40", "invoiceChannel": CHANNEL, "date": "d", "dueDate": "d",
    "newDueDate": "d", "created": "dt", "version": "dt", "invoiceSumInfo": [SUM],
    "creatorId": "i", "counterParty*": PARTY, "isOffer": "b",
}  # fmt: skip
ROW: Table = {
    "id": "i", "productId": "?i", "product*": "s", "productCode": "s", "quantity*": "n",
    "unit*": UNIT, "unitPrice*": "n", "discountPercent*": "n", "vatPercent*": "n",
    "vatStatus": "i", "comment": "s512", "startDate": "d", "endDate": "d",
    "headerText": "s512", "explanationText": "s512",
}  # fmt: skip
INVOICE: Table = {
    "id": "i", "partnerId": "?i", "type*": TYPE, "status": STATUS, "date*": "d",
    "paymentDate": "d", "counterParty*": PARTY, "billingAddress": ADDRESS,
    "deliveryAddress": ADDRESS,
    "paymentInfo*": {
        "paymentMethod*": "=BANK_TRANSFER", "currency*": CURRENCY,
        "bankAccount": {"accountNumber": "s", "bic": "s"}, "dueDate*": "d", "newDueDate": "d",
        "currencyRate*": "n", "bankReferenceCode": "s", "bankReferenceCodeType": "=FI|RF",
    },
    "extraInfo*": {"accountingByRow*": "b", "unitPricesIncludeVat*": "b"},
    "discountPercent*": "n", "invoiceRows*": [ROW], "invoiceNumber": "i", "vatStatus": "i",
    "originalInvoiceNumber": "s40", "deliveryStartDate": "d", "deliveryEndDate": "d",
    "invoiceChannel*": CHANNEL, "penaltyPercent": "n", "language": LANGUAGE,
    "additionalInformation": "s10000", "ledgerReceiptId": "i", "notes": "s10000",
    "factoringContractId": "?i", "factoringText": "s", "attachments": [{}], "version": "dt",
    "invoiceSumInfo": [SUM], "creatorId": "i", "isOffer": "b",
}  # fmt: skip
PARTNER_ITEM: Table = {
    "id": "i", "name": "s", "type": "=CUSTOMER|SUPPLIER|PERSON", "billingAddress": ADDRESS,
    "invoicingInfo": {"customerNumber": "s", "identifier": "s", "identifierType": "s"},
    "registryInfo": {"active": "b"}, "version": "dt",
}  # fmt: skip
PARTNER: Table = {
    "id": "i", "name*": "s80", "type*": "=CUSTOMER|SUPPLIER|PERSON", "address": ADDRESS,
    "billingAddress": ADDRESS,
    "invoicingInfo": {
        "customerNumber": "s", "identifier": "s", "identifierType": "s",
        "invoiceChannel": CHANNEL, "language": LANGUAGE, "email": "s",
    },
    "paymentInfo*": {
        "factoringContractId": "?i", "paymentMethod*": "=BANK_TRANSFER", "paymentTermDays": "s",
        "currency": CURRENCY,
    },
    "registryInfo": {"active": "b", "partnerGroups": [{}]},
    "additionalInfo": {"formerCompanyName": "s"}, "contactPersons": [{}], "attachments": [{}],
    "version": "dt",
}  # fmt: skip
PRODUCT: Table = {
    "id": "i", "type*": "=PURCHASE|SALES|TRAVEL", "name*": "s100", "code": "s40", "unit": UNIT,
    "discount*": "n", "price*": "n", "vat": "n", "active*": "b", "defaultAccount": "s",
    "vatStatus": "i", "currency*": CURRENCY, "productGroupId": "?i", "version": "dt",
}  # fmt: skip
EVENT: Table = {
    "id": "i", "invoiceId": "i", "type": EVENT_TYPE, "paymentDate": "d", "status": STATUS,
    "amount": "n", "currency": CURRENCY, "paidAmount": "n", "paidCurrency": CURRENCY,
    "description": "s",
}  # fmt: skip
PAYMENT: Table = {
    "id": "i", "invoiceId": "i", "paymentDate": "d", "amount": "n", "receiverName": "s",
    "status": STATUS, "serviceCharge": "s", "paidAmount": "n", "paidCurrency": CURRENCY,
}  # fmt: skip
ACCOUNT: Table = {
    "id": "i", "accountNumber": "s", "iban*": "s", "bic": "s255", "bankName": "s255",
    "currency*": CURRENCY, "defaultForInvoice*": "b", "defaultForPayment*": "b",
    "status*": "=ACTIVE|INACTIVE", "orderNo": "i", "version": "dt",
}  # fmt: skip
STATEMENT: Table = {
    "id": "i", "accountNumber": "s", "startDate": "d", "endDate": "d", "currency": CURRENCY,
    "numberOfDeposits": "i", "depositSum": "n", "numberOfWithdrawals": "i", "withdrawalSum": "n",
    "startBalance": "n", "endBalance": "n", "statementNumber": "i",
    "events": [
        {
            "id": "i", "payDate": "d", "valueDate": "d", "sum": "n", "accountNumber": "s",
            "name": "s", "explanationCode": "i", "archiveCode": "s", "message": "s",
            "reference": "s", "allocated": "b", "invoiceId": "?i", "productId": "?i",
            "attachments": [{}], "allocationMetadataRows": [{}],
        }
    ],
}  # fmt: skip
SESSION: Table = {
    "companyId": "i", "name": "s", "country": COUNTRY, "productVersion": "s", "userId": "i",
    "userName": "s", "companySettings": {"invoiceDiscussionEnabled": "b"},
}  # fmt: skip
PLACE: Table = {"street": "s80", "zip": "s20", "city": "s40", "country": COUNTRY}
COMPANY: Table = {
    "id*": "i", "name*": "s", "country": COUNTRY, "productVersion": "s",
    "operationType": "=PRODUCTION", "accountingOfficeName": "s", "accountingOfficeId": "i",
    "companyAddress": PLACE, "billingAddress": PLACE, "inTradeRegister": "b",
    "businessIdentifier": {"brnType": "=FI", "code": "s25"}, "accountingCoaLanguages": ["s"],
    "companyCurrency": "=DKK|EUR|NOK|SEK", "currencyRateSearchDensity": "=DAILY_EXCHANGE_RATE",
}  # fmt: skip
RATE: Table = {"queryDay": "d", "currency": CURRENCY, "day": "d", "rate": "n"}


def listing(item: Table) -> Table:
    meta = {"pageNumber*": "i", "pageSize*": "i", "resultCount*": "i", "totalCount*": "i"}
    return {"results": [item], "meta*": meta}


def problems(value: Any, kind: Any, place: str = "$") -> Iterator[str]:
    """Everything in which the value departs from the structure."""
    if isinstance(kind, dict):
        yield from _table(value, kind, place)
    elif isinstance(kind, list):
        if not isinstance(value, list):
            yield f"{place}: not a list"
        else:
            for index, item in enumerate(value):
                yield from problems(item, kind[0], f"{place}[{index}]")
    elif not _fits(value, kind):
        yield f"{place}: {value!r} is no {kind}"


def _table(value: Any, kind: Table, place: str) -> Iterator[str]:
    if not isinstance(value, dict):
        yield f"{place}: not an object"
        return
    fields = {name.rstrip("*"): inner for name, inner in kind.items()}
    for name in kind:
        if name.endswith("*") and name[:-1] not in value:
            yield f"{place}: {name[:-1]} is missing"
    for name, inner in value.items():
        if name not in fields:
            yield f"{place}: unknown field {name}"
        else:
            yield from problems(inner, fields[name], f"{place}.{name}")


def _fits(value: Any, kind: str) -> bool:
    if kind.startswith("?"):
        return value is None or _fits(value, kind[1:])
    if kind == "i":
        return type(value) is int
    if kind == "n":
        return type(value) in {int, float}
    if kind == "b":
        return type(value) is bool
    if not isinstance(value, str):
        return False
    if kind.startswith("="):
        return value in kind[1:].split("|")
    if kind in {"d", "dt"}:
        return bool((_DAY if kind == "d" else _MOMENT).match(value))
    return len(value) <= int(kind[1:] or 10**9)
