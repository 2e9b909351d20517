"""Which documents a list answers with, and in which order."""

from collections.abc import Callable, Mapping
from operator import attrgetter
from typing import Any

from integrations.sandbox.store import Head, Page, Shelf, cut_page

_BOUNDS = (
    ("versionStartDate", "version", True),
    ("versionEndDate", "version", False),
    ("createdStartDate", "created", True),
    ("createdEndDate", "created", False),
    ("startDate", "date", True),
    ("endDate", "date", False),
    ("dueStartDate", "due", True),
    ("dueEndDate", "due", False),
)
_EQUALS = (
    ("businessPartnerId", "partner"),
    ("invoiceNumber", "number"),
    ("originalInvoiceNumber", "original"),
    ("customerNumber", "original"),
    ("code", "original"),
    ("isOffer", "flag"),
    ("active", "flag"),
)
_MEMBERS = (
    ("types", "type"),
    ("type", "type"),
    ("status", "status"),
    ("invoiceChannel", "channel"),
)
_ORDERS = (
    ("orderByVersion", "version"),
    ("orderByDate", "date"),
    ("orderByStartDate", "created"),
    ("orderByCreated", "created"),
    ("orderByOrderNo", "number"),
)
_PAGING = frozenset({"size", "page", "previousId"})


def page_of(shelf: Shelf, query: Mapping[str, Any], *, default_order: str = "DESC") -> Page:
    """The page that the query asks for; bounds are inclusive, without order newest id first."""
    key = tuple(sorted((k, _plain(v)) for k, v in query.items() if k not in _PAGING))
    order, descending = _order(query, default_order)
    ids = shelf.listing(
        (key, default_order),
        _filter(query),
        order,
        descending=descending,
        dated=(query.get("startDate"), query.get("endDate")),
    )
    by_id = all(name not in query for name, _ in _ORDERS)
    return cut_page(
        ids,
        page=query.get("page", 0),
        size=query.get("size", 50),
        previous=query.get("previousId") if by_id else None,
        descending=descending,
    )


def _plain(value: object) -> str:
    return ",".join(sorted(map(str, value))) if isinstance(value, frozenset) else str(value)


def _order(query: Mapping[str, Any], default: str) -> tuple[Callable[[Head], Any], bool]:
    for name, column in _ORDERS:
        if name in query and "orderById" not in query:
            return attrgetter(column, "id"), query[name] == "DESC"
    return attrgetter("id"), query.get("orderById", default) == "DESC"


def _filter(query: Mapping[str, Any]) -> Callable[[Head], bool]:
    tests: list[Callable[[Head], bool]] = []
    for name, column in _EQUALS:
        if name in query:
            tests.append(_equals(attrgetter(column), query[name]))
    for name, column in _MEMBERS:
        if name in query:
            wanted = query[name] if isinstance(query[name], frozenset) else {query[name]}
            tests.append(_member(attrgetter(column), wanted))
    for name, column, lower in _BOUNDS:
        if name in query:
            tests.append(_bound(attrgetter(column), query[name], lower))
    if "productId" in query:
        tests.append(lambda head: not query["productId"].isdisjoint(head.products))
    for name in ("searchTerm", "name"):
        if name in query:
            tests.append(_contains(str(query[name]).lower()))
    if query.get("accountNumber"):
        tests.append(_equals(attrgetter("account"), query["accountNumber"]))
    if "factoringContractId" in query or "mainGroup" in query or "partnerGroup" in query:
        tests.append(lambda head: False)
    return lambda head: all(test(head) for test in tests)


def _equals(column: Callable[[Head], Any], wanted: object) -> Callable[[Head], bool]:
    return lambda head: bool(column(head) == wanted)


def _member(column: Callable[[Head], Any], wanted: Any) -> Callable[[Head], bool]:
    return lambda head: column(head) in wanted


def _bound(column: Callable[[Head], str], edge: str, lower: bool) -> Callable[[Head], bool]:
    if lower:
        return lambda head: column(head) >= edge
    return lambda head: column(head) <= edge


def _contains(term: str) -> Callable[[Head], bool]:
    return lambda head: term in head.name.lower() or term == str(head.number)
