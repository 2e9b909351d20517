"""Query parameters: known names only, right forms only."""

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime
from typing import Any

from integrations.sandbox.errors import ApiError

MAX_SIZE = 200
INVOICE_TYPES = frozenset(
    {"PERIODIC_TAX_RETURN", "PURCHASE_INVOICE", "PURCHASE_ORDER", "SALES_INVOICE", "SALES_ORDER",
     "TRAVEL_INVOICE", "BILL_OF_CHARGES"}
)  # fmt: skip
STATUSES = frozenset(
    {"EMPTY", "UNFINISHED", "NOT_SENT", "SENT", "RECEIVED", "PAID", "PAYMENT_DENIED", "VERIFIED",
     "APPROVED", "INVALIDATED", "PAYMENT_QUEUED", "PARTLY_PAID", "PAYMENT_SENT_TO_BANK",
     "MARKED_PAID", "STARTED", "INVOICED", "OVERRIDDEN", "DELETED", "UNSAVED",
     "PAYMENT_TRANSACTION_REMOVED"}
)  # fmt: skip
CHANNELS = frozenset(
    {"EMAIL", "MAIL", "ELECTRONIC_INVOICE", "EDIFACT", "PAPER_INVOICE", "NO_SENDING"}
)
_WHOLE = re.compile(r"-?\d{1,18}\Z")
Reader = Callable[[str], Any]


def whole(text: str) -> int:
    if not _WHOLE.match(text):
        raise ValueError("not a whole number")
    return int(text)


def day(text: str) -> str:
    if len(text) != 10:
        raise ValueError("not a date")
    return date.fromisoformat(text).isoformat()


def moment(text: str) -> str:
    """A date-time without zone; a missing time of seconds is filled."""
    parsed = datetime.fromisoformat(text)
    if parsed.tzinfo is not None or "T" not in text or parsed.microsecond:
        raise ValueError("not a date-time without zone")
    return parsed.isoformat()


def flag(text: str) -> bool:
    if text not in {"true", "false"}:
        raise ValueError("not true or false")
    return text == "true"


def direction(text: str) -> str:
    if text not in {"ASC", "DESC"}:
        raise ValueError("not ASC or DESC")
    return text


def one_of(values: frozenset[str]) -> Reader:
    def read(text: str) -> str:
        if text not in values:
            raise ValueError("unknown value")
        return text

    return read


def many(inner: Reader, most: int = 1000) -> Reader:
    """A comma-separated list."""

    def read(text: str) -> frozenset[Any]:
        values = [inner(part) for part in text.split(",")]
        if len(values) > most:
            raise ValueError("too many values")
        return frozenset(values)

    return read


def text(value: str) -> str:
    return value


PAGING: dict[str, Reader] = {
    "size": whole, "page": whole, "previousId": whole, "orderById": direction,
}  # fmt: skip
VERSIONS: dict[str, Reader] = {"versionStartDate": moment, "versionEndDate": moment}
INVOICES: dict[str, Reader] = {
    **PAGING,
    **VERSIONS,
    "status": many(one_of(STATUSES)),
    "types": many(one_of(INVOICE_TYPES)),
    "startDate": day, "endDate": day, "dueStartDate": day, "dueEndDate": day,
    "createdStartDate": moment, "createdEndDate": moment,
    "businessPartnerId": whole, "factoringContractId": whole, "invoiceNumber": whole,
    "originalInvoiceNumber": text, "searchTerm": text, "isOffer": flag,
    "productId": many(whole, 200), "invoiceChannel": many(one_of(CHANNELS)),
    "orderByDate": direction, "orderByCreated": direction, "orderByVersion": direction,
}  # fmt: skip
PARTNERS: dict[str, Reader] = {
    **PAGING,
    **VERSIONS,
    "type": one_of(frozenset({"CUSTOMER", "SUPPLIER", "PERSON"})),
    "active": flag,
    "customerNumber": text, "identifierType": text, "mainGroup": text, "partnerGroup": text,
}  # fmt: skip
PRODUCTS: dict[str, Reader] = {
    **VERSIONS,
    "size": whole, "previousId": whole, "orderById": direction, "orderByVersion": direction,
    "type": one_of(frozenset({"SALES", "PURCHASE", "TRAVEL"})),
    "name": text, "code": text, "group": many(whole), "startDate": day, "endDate": day,
    "includeLocalizations": flag, "active": flag,
}  # fmt: skip
PAYMENT_EVENTS: dict[str, Reader] = {**PAGING, "invoiceId": many(whole, MAX_SIZE)}
STATEMENTS: dict[str, Reader] = {
    **PAGING, "startDate": day, "endDate": day, "orderByStartDate": direction,
}  # fmt: skip
ACCOUNTS: dict[str, Reader] = {**PAGING, "orderByOrderNo": direction}
RATE_TYPES = frozenset(
    {"PROCOUNTOR_ACCOUNTING_EXCHANGE_RATE", "ACCOUNT_CURRENCY_AVERAGE_RATE",
     "ACCOUNT_CURRENCY_BUYING_RATE", "ACCOUNT_CURRENCY_SELLING_RATE", "CASH_BUYING_RATE",
     "CASH_CURRENCY_SALE_EXCHANGE_RATE"}
)  # fmt: skip
RATES: dict[str, Reader] = {
    "baseCurrency": text, "currency": text, "day": day, "rateType": one_of(RATE_TYPES),
}  # fmt: skip


def read(
    given: Sequence[tuple[str, str]], known: Mapping[str, Reader], *, required: Sequence[str] = ()
) -> dict[str, Any]:
    """The parameters by name; anything unknown, malformed or out of bounds is a 400."""
    found: dict[str, Any] = {}
    for name, value in given:
        if name not in known:
            raise ApiError(400, "Unknown query parameter", name)
        try:
            found[name] = known[name](value)
        except ValueError as error:
            raise ApiError(400, f"Invalid value: {error}", name) from error
    for name in required:
        if name not in found:
            raise ApiError(400, "Parameter is required", name)
    if not 1 <= found.get("size", 50) <= MAX_SIZE:
        raise ApiError(400, f"size must be between 1 and {MAX_SIZE}", "size")
    if found.get("page", 0) < 0:
        raise ApiError(400, "page must not be negative", "page")
    return found


def ids_in(path_part: str) -> list[int]:
    """The ids of a batch read: at most 200."""
    try:
        ids = [whole(part) for part in path_part.split(",")]
    except ValueError as error:
        raise ApiError(404, "Not found") from error
    if len(ids) > MAX_SIZE:
        raise ApiError(400, f"At most {MAX_SIZE} ids are allowed")
    return ids
