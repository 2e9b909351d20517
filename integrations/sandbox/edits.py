"""Changes to a company while it is being served; each bumps the document's version to now."""

from collections.abc import Callable
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

from integrations.sandbox import numbers
from integrations.sandbox.calendars import rate
from integrations.sandbox.company import Company
from integrations.sandbox.issue import invoice_head
from integrations.sandbox.payments import render_event
from integrations.sandbox.render import (
    Json,
    decode,
    encode,
    list_item,
    partner_item,
    sum_info,
)
from integrations.sandbox.store import EventBytes, Head
from integrations.sandbox.sums import RowSum, money, scaled, totals

_DAY = timedelta(days=1)


def _put(company: Company, document: Json, created: str, version: str | None = None) -> Json:
    document["version"] = version or company.now()
    head = invoice_head(document, created)
    company.invoices.put(
        head, encode(list_item({**document, "created": created})), encode(document)
    )
    return document


def _load(company: Company, invoice_id: int) -> tuple[Json, str]:
    return decode(company.invoices.details[invoice_id]), company.invoices.heads[invoice_id].created


def _resum(document: Json) -> None:
    rows = [
        RowSum(
            int(Decimal(row["quantity"]) * 100),
            int(Decimal(row["unitPrice"]) * 10_000),
            int(Decimal(row["discountPercent"]) * 100),
            int(Decimal(row["vatPercent"]) * 10),
        )
        for row in document["invoiceRows"]
    ]
    included = document["extraInfo"]["unitPricesIncludeVat"]
    discount = int(Decimal(document["discountPercent"]) * 100)
    sums = totals(rows, discount, vat_included=included)
    payment = document["paymentInfo"]
    factor = rate(payment["currency"], date.fromisoformat(document["date"]))
    if payment["currency"] != "EUR":
        payment["currencyRate"] = scaled(factor, 4)
    document["invoiceSumInfo"] = sum_info(sums, payment["currency"], "EUR", factor)


def edit_invoice(
    company: Company,
    invoice_id: int,
    *,
    row: int = 0,
    row_fields: Json | None = None,
    fields: Json | None = None,
    version: str | None = None,
) -> Json:
    """Overwrite fields of one row and of the document; totals follow."""
    document, created = _load(company, invoice_id)
    for name, value in (row_fields or {}).items():
        document["invoiceRows"][row][name] = Decimal(value) if _is_number(value) else value
    document.update(fields or {})
    _resum(document)
    return _put(company, document, created, version)


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float, str)) and not isinstance(value, bool) and _decimal(value)


def _decimal(value: object) -> bool:
    return str(value).replace("-", "", 1).replace(".", "", 1).isdigit()


def create_invoice(
    company: Company,
    *,
    like: int,
    day: str,
    created: str | None = None,
    version: str | None = None,
    fields: Json | None = None,
) -> Json:
    """A new document with the rows of another, dated `day` (backdated if that is long ago).

    With a `version` of the past it is one that lists did not show until now.
    """
    document, _ = _load(company, like)
    invoice_id = company.invoices.next_id()
    row_id = invoice_id * 10
    number = max(head.number for head in company.invoices.heads.values()) + 1
    due = date.fromisoformat(day) + 14 * _DAY
    document.update(id=invoice_id, date=day, invoiceNumber=number, status="SENT")
    document.pop("paymentDate", None)
    document["paymentInfo"]["dueDate"] = due.isoformat()
    document["paymentInfo"]["bankReferenceCode"] = numbers.reference(number)
    for offset, row in enumerate(document["invoiceRows"]):
        row["id"] = row_id + offset
    document.update(fields or {})
    _resum(document)
    return _put(company, document, created or company.now(), version)


def add_row(company: Company, invoice_id: int, *, row_fields: Json | None = None) -> Json:
    """One more row, like the last one but for these fields."""
    document, created = _load(company, invoice_id)
    rows = document["invoiceRows"]
    rows.append({**rows[-1], "id": max(row["id"] for row in rows) + 1, **(row_fields or {})})
    _resum(document)
    return _put(company, document, created)


def drop_row(company: Company, invoice_id: int, *, row: int = 0) -> Json:
    """Take a row away; an invoice keeps its last one."""
    document, created = _load(company, invoice_id)
    if len(document["invoiceRows"]) > 1:
        del document["invoiceRows"][row]
    _resum(document)
    return _put(company, document, created)


def edit_invoices(company: Company, invoice_ids: list[int], *, fields: Json) -> Json:
    """Overwrite fields of many documents, which all get one version."""
    version = company.now()
    for invoice_id in invoice_ids:
        edit_invoice(company, invoice_id, fields=fields, version=version)
    return {"edited": len(invoice_ids), "version": version}


def credit_invoice(company: Company, invoice_id: int, *, day: str) -> Json:
    """A credit note of the whole invoice, its quantities negative."""
    document, _ = _load(company, invoice_id)
    rows = [{**row, "quantity": -row["quantity"]} for row in document["invoiceRows"]]
    return create_invoice(company, like=invoice_id, day=day, fields={"invoiceRows": rows})


def give_to(company: Company, invoice_id: int, *, like: int) -> Json:
    """Address a document to the customer of another one."""
    other, _ = _load(company, like)
    names = ("partnerId", "counterParty", "billingAddress", "deliveryAddress")
    return edit_invoice(company, invoice_id, fields={name: other[name] for name in names})


def delete_invoice(company: Company, invoice_id: int) -> Json:
    """Make a document vanish without a trace, as some deletes do."""
    company.events.pop(invoice_id, None)
    return {"deleted": company.invoices.drop(invoice_id)}


def invalidate_invoice(company: Company, invoice_id: int) -> Json:
    return edit_invoice(company, invoice_id, fields={"status": "INVALIDATED"})


def add_payment(
    company: Company,
    invoice_id: int,
    *,
    day: str,
    amount: str | None = None,
    kind: str = "REFERENCEPAYMENT_TO_INVOICE",
    bump: bool = True,
) -> Json:
    """Book a payment of `amount` of the invoice's currency (default: all that is open)."""
    document, created = _load(company, invoice_id)
    info = document["invoiceSumInfo"][0]
    total = Decimal(info["invoiceSumTotal"])
    events = company.events.get(invoice_id, ())
    paid = sum((Decimal(decode(e.event)["paidAmount"]) for e in events), Decimal())
    part = total - paid if amount is None else Decimal(amount)
    factor = rate(info["currency"], date.fromisoformat(day))
    by_hand = kind in {"CREDITLOSS", "ELSEWHERE", "CASH"}
    event: Json = {
        "id": _next_event(company),
        "invoiceId": invoice_id,
        "type": kind,
        "paymentDate": day,
        "status": "MARKED_PAID" if by_hand else "PAID",
        "amount": money(round(part * 1_000_000 / factor)),
        "currency": "EUR",
        "paidAmount": part,
        "paidCurrency": info["currency"],
        "description": "",
    }
    company.events[invoice_id] = (*events, render_event(event, company.name))
    full = paid + part == total
    document["status"] = event["status"] if full else "PARTLY_PAID"
    document["paymentDate"] = day
    version = None if bump else document["version"]
    _put(company, document, created, version)
    return event


def _next_event(company: Company) -> int:
    """A number that no payment has had, those that are gone included."""
    company.last_event = max(
        company.last_event,
        90_000_000,
        *(event.id for events in company.events.values() for event in events),
    )
    company.last_event += 1
    return company.last_event


def drop_payment(company: Company, invoice_id: int, *, bump: bool = True) -> Json:
    """Take the last payment of an invoice back; it is open again."""
    document, created = _load(company, invoice_id)
    kept: tuple[EventBytes, ...] = company.events[invoice_id][:-1]
    company.events[invoice_id] = kept
    document["status"] = "PARTLY_PAID" if kept else "SENT"
    return _put(company, document, created, None if bump else document["version"])


def change_partner(
    company: Company, partner_id: int, *, active: bool | None = None, name: str | None = None
) -> Json:
    """Deactivate or rename a customer."""
    document = decode(company.partners.details[partner_id])
    if active is not None:
        document["registryInfo"]["active"] = active
    if name is not None:
        document["name"] = name
    document["version"] = company.now()
    head = company.partners.heads[partner_id]._replace(
        version=document["version"],
        flag=document["registryInfo"]["active"],
        name=document["name"],
    )
    company.partners.put(head, encode(partner_item(document)), encode(document))
    return document


def edit_product(company: Company, product_id: int, *, fields: Json) -> Json:
    """Overwrite fields of a product; one that was dropped is there again."""
    document: Json = decode(company.products.last_seen(product_id))
    document.update(fields, version=company.now())
    raw = encode(document)
    head = Head(
        product_id,
        type=document["type"],
        version=document["version"],
        flag=document["active"],
        original=document["code"],
        name=document["name"],
    )
    company.products.put(head, raw, raw)
    return document


def drop_product(company: Company, product_id: int) -> Json:
    """Make a product vanish from the register."""
    return {"deleted": company.products.drop(product_id)}


def correct_statement(
    company: Company, statement_id: int, *, event: int = 0, amount: str, drop: bool = False
) -> Json:
    """Change one movement of a bank statement, or take it away; its balance follows."""
    document: Json = decode(company.statements.items[statement_id])
    found = document["events"][event]
    change = (Decimal(0) if drop else Decimal(amount)) - found["sum"]
    found["sum"] = Decimal(amount)
    if drop:
        del document["events"][event]
    document["endBalance"] += change
    company.statements.put(company.statements.heads[statement_id], encode(document))
    return document


ACTIONS: dict[str, Callable[..., Any]] = {
    action.__name__: action
    for action in (
        *(create_invoice, edit_invoice, edit_invoices, add_row, drop_row, give_to),
        *(credit_invoice, delete_invoice, invalidate_invoice, add_payment, drop_payment),
        *(change_partner, edit_product, drop_product, correct_statement),
    )
}
