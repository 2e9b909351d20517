"""Draft documents → the JSON of the API, as plain dicts with exact decimals."""

import json
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import msgspec

from integrations.sandbox import numbers
from integrations.sandbox.calendars import iso, rate
from integrations.sandbox.model import Draft, Partner, Product, Row
from integrations.sandbox.sums import Totals, domestic, money, scaled

Json = dict[str, Any]
_encoder = msgspec.json.Encoder(decimal_format="number")
LIST_FIELDS = (
    "id", "partnerId", "type", "status", "invoiceNumber", "originalInvoiceNumber",
    "invoiceChannel", "date", "dueDate", "created", "version", "invoiceSumInfo", "creatorId",
    "isOffer",
)  # fmt: skip


def encode(document: object) -> bytes:
    return _encoder.encode(document)


def decode(raw: bytes) -> Json:
    """The document with decimals as written, so that an edit leaves other fields untouched."""
    found: Json = json.loads(raw, parse_float=Decimal)
    return found


def vat_of(partner: Partner, day: date) -> int:
    """The rate of a sale in tenths of a percent; Finland went from 24 to 25.5 in Sept 2024."""
    if partner.vat_status != 1:
        return 0
    return 255 if day >= date(2024, 9, 1) else 240


def address(partner: Partner, day: date | None = None) -> Json:
    return {
        "name": partner.name_on(day) if day else partner.name,
        "street": partner.street,
        "zip": partner.zip,
        "city": partner.city,
        "country": partner.country,
    }


def sum_info(totals: Totals, currency: str, home: str, factor: int) -> list[Json]:
    """The totals block: one entry, and a second in the accounting currency where it differs."""
    entries = [_sum_entry(currency, currency == home, totals.net, totals.vat)]
    if currency != home:
        net, vat = domestic(totals.net, factor), domestic(totals.vat, factor)
        entries.append(_sum_entry(home, True, net, vat))
    return entries


def _sum_entry(currency: str, accounting: bool, net: int, vat: int) -> Json:
    return {
        "currency": currency,
        "inAccountingCurrency": accounting,
        "excludingVatTotal": money(net),
        "vatSumTotal": money(vat),
        "invoiceSumTotal": money(net + vat),
    }


def row_json(row: Row, row_id: int, draft: Draft) -> Json:
    vat = vat_of(draft.partner, draft.day) if row.vat is None else row.vat
    out: Json = {
        "id": row_id,
        "productId": row.product_id,
        "product": row.name,
        "quantity": scaled(row.quantity, 2),
        "unit": row.unit,
        "unitPrice": scaled(row.price, 4) if row.price % 100 else scaled(row.price // 100, 2),
        "discountPercent": scaled(row.discount, 2),
        "vatPercent": scaled(vat, 1),
        "vatStatus": draft.partner.vat_status,
    }
    if row.code:
        out["productCode"] = row.code
    if row.comment:
        out["comment"] = row.comment
    if row.header:
        out["headerText"] = row.header
    if row.start and row.end:
        out["startDate"], out["endDate"] = row.start.isoformat(), row.end.isoformat()
    return out


def invoice_json(draft: Draft, *, home: str, iban: str, row_ids: range, totals: Totals) -> Json:
    """The detail of a document; status, version and payment date are the caller's."""
    partner, day = draft.partner, draft.day
    factor = rate(draft.currency, day)
    place = address(partner, day)
    party: Json = {
        "identifier": partner.identifier,
        "customerNumber": partner.number,
        "email": f"laskut.{partner.number}@example.com",
        "counterPartyAddress": place,
    }
    out: Json = {
        "id": draft.id,
        "partnerId": None if draft.anonymous else partner.id,
        "type": draft.type,
        "status": draft.final_status,
        "date": day.isoformat(),
        "counterParty": party,
        "billingAddress": place,
        "deliveryAddress": place,
        "paymentInfo": {
            "paymentMethod": "BANK_TRANSFER",
            "currency": draft.currency,
            "bankAccount": {"accountNumber": iban, "bic": "TESTFIHH"},
            "dueDate": (day + timedelta(days=partner.terms)).isoformat(),
            "currencyRate": 1 if draft.currency == home else scaled(factor, 4),
            "bankReferenceCode": numbers.reference(draft.number),
            "bankReferenceCodeType": "FI",
        },
        "extraInfo": {"accountingByRow": True, "unitPricesIncludeVat": draft.vat_included},
        "discountPercent": scaled(draft.header_discount, 2),
        "invoiceNumber": draft.number,
        "vatStatus": partner.vat_status,
        "invoiceChannel": "NO_SENDING" if draft.fate == "approved" else "EMAIL",
        "penaltyPercent": scaled(800, 2),
        "language": partner.language,
        "invoiceRows": [
            row_json(row, row_id, draft) for row, row_id in zip(draft.rows, row_ids, strict=True)
        ],
        "additionalInformation": draft.note,
        "ledgerReceiptId": draft.id - 21_000_000,
        "factoringContractId": partner.factoring,
        "creatorId": 26535,
        "attachments": [],
        "isOffer": draft.fate == "offer",
        "invoiceSumInfo": sum_info(totals, draft.currency, home, factor),
    }
    if partner.factoring:
        out["factoringText"] = "Lasku on siirretty Mallirahoitus Oy:lle"
    if draft.new_due:
        out["paymentInfo"]["newDueDate"] = draft.new_due.isoformat()
    if draft.delivery:
        out["deliveryStartDate"], out["deliveryEndDate"] = (iso(d) for d in draft.delivery)
    return out


def list_item(document: Json) -> Json:
    """What `GET /invoices` shows of a document; `created` travels outside of the detail."""
    item = {name: document[name] for name in LIST_FIELDS if name in document}
    party = document["counterParty"]
    item["counterParty"] = {
        "customerNumber": party.get("customerNumber", ""),
        "counterPartyAddress": party["counterPartyAddress"],
    }
    item["dueDate"] = document["paymentInfo"]["dueDate"]
    if new_due := document["paymentInfo"].get("newDueDate"):
        item["newDueDate"] = new_due
    return item


def partner_json(partner: Partner, version: str) -> Json:
    place = address(partner)
    return {
        "id": partner.id,
        "name": partner.name,
        "type": partner.type,
        "address": place,
        "billingAddress": place,
        "invoicingInfo": {
            "customerNumber": partner.number,
            "identifier": partner.identifier,
            "identifierType": "FI" if partner.country == "FINLAND" else "VAT",
            "invoiceChannel": "EMAIL",
            "language": partner.language,
            "email": f"laskut.{partner.number}@example.com",
        },
        "paymentInfo": {
            "factoringContractId": partner.factoring,
            "paymentMethod": "BANK_TRANSFER",
            "paymentTermDays": str(partner.terms),
            "currency": partner.currency,
        },
        "registryInfo": {"active": partner.active, "partnerGroups": []},
        "additionalInfo": {"formerCompanyName": partner.former_name or ""},
        "contactPersons": [],
        "attachments": [],
        "version": version,
    }


def partner_item(document: Json) -> Json:
    info = document["invoicingInfo"]
    return {
        "id": document["id"],
        "name": document["name"],
        "type": document["type"],
        "billingAddress": document["billingAddress"],
        "invoicingInfo": {
            key: info[key] for key in ("customerNumber", "identifier", "identifierType")
        },
        "registryInfo": {"active": document["registryInfo"]["active"]},
        "version": document["version"],
    }


def product_json(product: Product, *, currency: str, vat: int, version: str) -> Json:
    return {
        "id": product.id,
        "type": product.type,
        "name": product.name,
        "code": product.code,
        "unit": product.unit,
        "discount": scaled(0, 2),
        "price": scaled(product.price, 4),
        "vat": scaled(vat, 1),
        "active": product.active,
        "defaultAccount": "3000" if product.type == "SALES" else "4000",
        "vatStatus": 1,
        "currency": currency,
        "productGroupId": None,
        "version": version,
    }
