"""The resources of the API: one function per call, each from memory."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from typing import Any

from integrations.sandbox import calendars, params
from integrations.sandbox.company import Company
from integrations.sandbox.errors import ApiError
from integrations.sandbox.http import Request, Response
from integrations.sandbox.lists import page_of
from integrations.sandbox.render import Json, encode
from integrations.sandbox.store import Shelf, cut_page, envelope
from integrations.sandbox.sums import scaled
from integrations.sandbox.users import User, rights_json, user_json

VERSION = "26.04"
STATUS: Json = {
    "name": "Procountor API",
    "version": VERSION,
    "status": "OK",
    "procountorVersion": "111.0",
}


@dataclass(slots=True)
class Call:
    """A request of a known user in a known company."""

    request: Request
    company: Company
    user: User
    omit_empty: bool

    def read(self, known: dict[str, params.Reader], required: tuple[str, ...] = ()) -> Json:
        return params.read(self.request.params(), known, required=required)


Resource = Callable[..., Response]


def ok(document: object) -> Response:
    return Response(200, encode(document))


def listed(call: Call, shelf: Shelf, query: Json, default_order: str = "DESC") -> Response:
    page = page_of(shelf, query, default_order=default_order)
    items = shelf.items
    shown = [items[document_id] for document_id in page.ids]
    return Response(200, envelope(shown, page, omit_empty=call.omit_empty))


def batch(shelf: Shelf, id_list: str) -> Response:
    """One id asked: the object. Several: an array by id, unknown ones left out; none: 404."""
    ids = params.ids_in(id_list)
    details = shelf.details
    found = [details[i] for i in sorted(set(ids)) if i in details]
    if not found:
        raise ApiError(404, "Not found")
    if len(ids) == 1:
        return Response(200, found[0])
    return Response(200, b"[" + b",".join(found) + b"]")


def invoices(call: Call) -> Response:
    return listed(call, call.company.invoices, call.read(params.INVOICES))


def invoice_batch(call: Call, id_list: str) -> Response:
    return batch(call.company.invoices, id_list)


def invoice_events(call: Call, invoice_id: str) -> Response:
    query = call.read(params.PAGING)
    if int(invoice_id) not in call.company.invoices.heads:
        raise ApiError(404, "Not found")
    events = call.company.events.get(int(invoice_id), ())
    return paged(call, {event.id: event.event for event in events}, query)


def payment_events(call: Call) -> Response:
    """Events of many invoices in the shape of a payment, which has no type."""
    query = call.read(params.PAYMENT_EVENTS, required=("invoiceId",))
    events = call.company.events
    rows = {
        event.id: event.payment
        for invoice_id in query["invoiceId"]
        for event in events.get(invoice_id, ())
    }
    return paged(call, rows, query)


def paged(call: Call, rows: dict[int, bytes], query: Json) -> Response:
    """A page of rows that were gathered for this call, oldest id first unless asked."""
    descending = query.get("orderById", "ASC") == "DESC"
    page = cut_page(
        sorted(rows, reverse=descending),
        page=query.get("page", 0),
        size=query.get("size", 50),
        previous=query.get("previousId"),
        descending=descending,
    )
    items = [rows[event_id] for event_id in page.ids]
    return Response(200, envelope(items, page, omit_empty=call.omit_empty))


def partners(call: Call) -> Response:
    query = call.read(params.PARTNERS)
    query.setdefault("active", True)
    if name := call.request.headers.get("name"):
        query["name"] = name
    return listed(call, call.company.partners, query)


def partner_batch(call: Call, id_list: str) -> Response:
    return batch(call.company.partners, id_list)


def products(call: Call) -> Response:
    query = call.read(params.PRODUCTS)
    query.setdefault("type", frozenset({"SALES", "PURCHASE"}))
    query.pop("includeLocalizations", None)
    return listed(call, call.company.products, query, "ASC")


def product_batch(call: Call, id_list: str) -> Response:
    return batch(call.company.products, id_list)


def bank_accounts(call: Call) -> Response:
    query = call.read(params.ACCOUNTS)
    if "orderById" not in query:
        query.setdefault("orderByOrderNo", "ASC")
    return listed(call, call.company.accounts, query, "ASC")


def bank_statements(call: Call) -> Response:
    query = call.read(params.STATEMENTS)
    query["accountNumber"] = call.request.headers.get("accountnumber", "").replace(" ", "")
    if "orderById" not in query and "previousId" not in query:
        query.setdefault("orderByStartDate", "DESC")
    return listed(call, call.company.statements, query)


def session_info(call: Call) -> Response:
    return ok(
        {
            "companyId": call.company.id,
            "name": call.company.name,
            "country": call.company.profile.country,
            "productVersion": "FINANCIALS_PLUS",
            "userId": call.user.id,
            "userName": call.user.username,
            "companySettings": {"invoiceDiscussionEnabled": False},
        }
    )


def company_info(call: Call) -> Response:
    return ok(call.company.company_json())


def current_user(call: Call) -> Response:
    return ok(user_json(call.user, call.company.id))


def user_rights(call: Call) -> Response:
    return ok(rights_json(call.user))


def company_currency(call: Call) -> Response:
    return ok({"companyCurrency": call.company.currency})


def exchange_rate(call: Call) -> Response:
    """Units of `currency` for one unit of the base currency on that day."""
    query: dict[str, Any] = call.read(params.RATES, required=tuple(params.RATES))
    base, wanted, day = query["baseCurrency"], query["currency"], query["day"]
    if not (calendars.known_currency(base) and calendars.known_currency(wanted)):
        raise ApiError(404, "No exchange rate found")
    asked = date.fromisoformat(day)
    value = calendars.rate(wanted, asked) * 10_000 // calendars.rate(base, asked)
    return ok({"queryDay": day, "currency": wanted, "day": day, "rate": scaled(value, 4)})


def status(call: Call) -> Response:
    return ok(STATUS)


ROUTES: tuple[tuple[re.Pattern[str], Resource], ...] = tuple(
    (re.compile(pattern), resource)
    for pattern, resource in (
        (r"/invoices", invoices),
        (r"/invoices/(\d[\d,]*)", invoice_batch),
        (r"/invoices/(\d+)/paymentevents", invoice_events),
        (r"/payments/paymentevents", payment_events),
        (r"/businesspartners", partners),
        (r"/businesspartners/(\d[\d,]*)", partner_batch),
        (r"/products", products),
        (r"/products/(\d[\d,]*)", product_batch),
        (r"/bankaccounts", bank_accounts),
        (r"/bankstatements", bank_statements),
        (r"/sessioninfo", session_info),
        (r"/company", company_info),
        (r"/users", current_user),
        (r"/users/rights", user_rights),
        (r"/currencies/company", company_currency),
        (r"/currencies/exchangerate", exchange_rate),
        (r"/status", status),
    )
)


def answer(call: Call, path: str) -> Response:
    """Find the resource of a path below `/api` and answer."""
    for pattern, resource in ROUTES:
        if match := pattern.fullmatch(path):
            if call.request.method != "GET":
                raise ApiError(405, "Method not allowed in the sandbox")
            return resource(call, *match.groups())
    raise ApiError(404, "Not found")
