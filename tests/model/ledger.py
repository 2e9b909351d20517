"""What the books must hold, read from the sandbox's documents by rules of its own.

Nothing of `integrations.sync` is used here: this is the other reading that imports are held
against. Amounts are minor units; rows are plain dicts under the number that Procountor gave.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import date, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Any

from tests.oracle.documents import COUNTS, HOME, cents, row_nets, sums_in

Row = dict[str, Any]
Table = dict[Any, Row]
Tables = dict[str, Table]
Document = Mapping[str, Any]
# Types of payment events that bring no money.
NO_MONEY = {"CREDITLOSS", "INVOICE_TO_INVOICE"}
_DAY = timedelta(days=1)


def expected(
    invoices: Iterable[Document],
    partners: Iterable[Document],
    products: Iterable[Document],
    accounts: Iterable[Document],
    statements: Iterable[Document],
) -> Tables:
    """Every row that is there now, by table; `invoices` as `/_sandbox/ledger` gives them."""
    tables: Tables = {
        "customers": {
            f"p:{one['id']}": _customer(one) for one in partners if one["type"] == "CUSTOMER"
        },
        "products": {str(one["id"]): _product(one) for one in products if one["type"] == "SALES"},
        "accounts": {str(one["id"]): _account(one) for one in accounts},
        **{name: {} for name in ("invoices", "lines", "payments", "statements", "events")},
    }
    for entry in invoices:
        document = entry["document"]
        if document["type"] != "SALES_INVOICE":
            continue
        number = str(document["id"])
        tables["invoices"][number] = invoice(document)
        for place, line in enumerate(_lines(document, tables["products"])):
            tables["lines"][number, place] = line
        for event in entry["events"]:
            tables["payments"][str(event["id"])] = _payment(event)
    for one in statements:
        tables["statements"][str(one["id"])] = _statement(one)
        for event in one["events"]:
            tables["events"][str(event["id"])] = _event(event, one)
    return tables


def invoice(document: Document) -> Row:
    """The row of a sales invoice, whatever its status."""
    payment = document["paymentInfo"]
    own, home = sums_in(document, payment["currency"]), sums_in(document, HOME)
    start, end = document.get("deliveryStartDate"), document.get("deliveryEndDate")
    return {
        "customer": payer(document),
        "customer_name": document["counterParty"]["counterPartyAddress"]["name"].strip(),
        "number": str(document["invoiceNumber"]),
        "status": document["status"],
        "issued": document["status"] in COUNTS and not document["isOffer"],
        "is_credit": own["invoiceSumTotal"] < 0,
        "date": document["date"],
        "due_date": payment.get("newDueDate") or payment["dueDate"],
        "currency": payment["currency"],
        "rate": Fraction(1) if payment["currency"] == HOME else Fraction(payment["currencyRate"]),
        "net": cents(own["excludingVatTotal"]),
        "vat": cents(own["vatSumTotal"]),
        "total": cents(own["invoiceSumTotal"]),
        "net_home": cents(home["excludingVatTotal"]),
        "vat_home": cents(home["vatSumTotal"]),
        "total_home": cents(home["invoiceSumTotal"]),
        "delivery": _span(start, end),
        "version": document["version"],
    }


def payer(document: Document) -> str:
    """Under which name the books know who pays."""
    if document["partnerId"] is not None:
        return f"p:{document['partnerId']}"
    return "b:" + document["counterParty"]["identifier"].replace(" ", "").upper()


def _lines(document: Document, products: Table) -> list[Row]:
    nets, homes = row_nets(dict(document))
    found = []
    for row, net, home in zip(document["invoiceRows"], nets, homes, strict=True):
        product = "" if row["productId"] is None else str(row["productId"])
        texts = [row.get(name, "").strip() for name in ("headerText", "comment", "explanationText")]
        found.append(
            {
                "product": product,
                "linked": product in products,
                "code": row.get("productCode", "").strip(),
                "name": row["product"].strip(),
                "text": "\n".join(text for text in texts if text),
                "quantity": Fraction(row["quantity"]),
                "unit": row["unit"],
                "unit_price": Fraction(row["unitPrice"]),
                "discount": Fraction(row["discountPercent"]),
                "vat": Fraction(row["vatPercent"]),
                "net": net,
                "net_home": home,
                "span": _span(row.get("startDate"), row.get("endDate")),
            }
        )
    return found


def _payment(event: Document) -> Row:
    return {
        "invoice": str(event["invoiceId"]),
        "date": event["paymentDate"],
        "amount_home": cents(event["amount"]),
        "paid": cents(event["paidAmount"]),
        "currency": event["paidCurrency"],
        "status": event["status"],
        # Which kind an event is need not be known, unless a person made it by hand.
        "kind": event["type"] if event["status"] == "MARKED_PAID" else "",
    }


def _customer(partner: Document) -> Row:
    info, place = partner["invoicingInfo"], partner["billingAddress"]
    return {
        "name": partner["name"].strip(),
        "business_id": info["identifier"],
        "number": info["customerNumber"],
        "country": place["country"],
        "city": place["city"],
        "email": info["email"],
        "active": partner["registryInfo"]["active"],
    }


def _product(product: Document) -> Row:
    return {
        "code": product["code"],
        "name": product["name"].strip(),
        "unit": product["unit"],
        "price": Fraction(product["price"]),
        "currency": product["currency"],
        "vat": Fraction(product["vat"]),
        "active": product["active"],
    }


def _account(account: Document) -> Row:
    return {
        "iban": account["iban"],
        "bank": account["bankName"],
        "currency": account["currency"],
        "active": account["status"] == "ACTIVE",
    }


def _statement(statement: Document) -> Row:
    return {
        "iban": statement["accountNumber"],
        "start": statement["startDate"],
        "end": statement["endDate"],
        "opening": cents(statement["startBalance"]),
        "closing": cents(statement["endBalance"]),
    }


def _event(event: Document, statement: Document) -> Row:
    words = (event.get("message"), event.get("reference"))
    return {
        "statement": str(statement["id"]),
        "date": event["payDate"],
        "amount": cents(event["sum"]),
        "who": event["name"],
        "who_iban": event.get("accountNumber", ""),
        "message": " ".join(word for word in words if word),
        "invoice": "" if event["invoiceId"] is None else str(event["invoiceId"]),
    }


def _span(start: str | None, end: str | None) -> tuple[str | None, str | None]:
    """Half-open, from two days that both belong to it; neither where they contradict."""
    if start and end and end < start:
        return None, None
    return start, (date.fromisoformat(end) + _DAY).isoformat() if end else None


def exact(value: Decimal | None) -> Fraction | None:
    return None if value is None else Fraction(value)
