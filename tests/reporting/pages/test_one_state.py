"""Figures that are published while somebody reads: each page shows one state, and names it."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import pytest
from django.db import connection, connections, transaction
from django.test import Client
from django.urls import resolve, reverse

from calqsync.tenancy import scope
from integrations.models import Connection, Invoice, InvoiceLine
from tests.conftest import Cast, SignedInClient
from tests.factories import (
    account_make,
    connection_make,
    customer_make,
    monthly_make,
    payment_make,
    product_make,
    statement_make,
)
from tests.reporting.conftest import refreshed
from tests.reporting.pages.conftest import text
from tests.reporting.pages.crawling import pages_of

STATES = (("100.00", datetime(2026, 3, 15, 6, 40, tzinfo=UTC)),
          ("250.00", datetime(2026, 3, 15, 12, 10, tzinfo=UTC)))  # fmt: skip
# Differ from one load to the next of the same state.
_TOKENS = re.compile(r'(name="csrfmiddlewaretoken" value="|X-CSRFToken"?: ?"?|nonce=")[^"]*')


@pytest.fixture
def reader(committed_cast: Cast) -> Client:
    """A signed-in member of a company with a few documents of every kind, published once."""
    tenant = committed_cast.tenant
    with scope.tenant(tenant.pk), transaction.atomic():
        books = connection_make()
        product = product_make(books, "Alusta")
        customer = customer_make(books, "Aalto Oy")
        for invoice in monthly_make(customer, product, ["2026-01", "2026-02"]):
            payment_make(invoice, invoice.due_date.isoformat(), "100.00")
        monthly_make(customer, product, ["2026-03"])
        account = account_make(books)
        statement_make(account, "2026-02-01", "2026-02-28", "75.00", [("2026-02-10", "-5.00")])
    publish(tenant.pk, 0)
    client = SignedInClient()
    client.force_login(committed_cast.vera)
    return client


def publish(tenant_id: int, state: int) -> None:
    """Bring the books to one of two states and publish their figures, as an import does."""
    net, at = STATES[state]
    cents = int(net.replace(".", ""))
    with scope.tenant(tenant_id), transaction.atomic():
        InvoiceLine.objects.update(net_minor=cents, net_acc_minor=cents)
        Invoice.objects.update(total_minor=cents, total_acc_minor=cents)
        Connection.objects.update(data_as_of=at)
        refreshed()


@contextmanager
def queries(number: int, do: Callable[[], None]) -> Iterator[list[str]]:
    """The statements of the block; `do` runs in another thread just before that one of them."""
    asked: list[str] = []

    def elsewhere() -> None:
        try:
            do()
        finally:
            connections.close_all()

    def before(execute: Callable[..., Any], sql: str, *arguments: Any) -> Any:
        asked.append(sql)
        if len(asked) == number:
            thread = threading.Thread(target=elsewhere)
            thread.start()
            thread.join()
        return execute(sql, *arguments)

    with connection.execute_wrapper(before):
        yield asked


def shown(client: Client, address: str) -> str:
    return _TOKENS.sub("", text(client.get(address)))


def test_s34_every_page_shows_one_published_state_and_names_it(
    reader: Client, committed_cast: Cast
) -> None:
    tenant = committed_cast.tenant
    found = pages_of(reader, reverse("financial", args=[tenant.slug]))
    kinds = {resolve(address.split("?")[0]).url_name: address for address in found}
    addresses = [a for a in kinds.values() if _is_ours(a) and "format=" not in a]
    assert len(addresses) >= 10
    state = 0
    for address in addresses:
        old = shown(reader, address)
        with queries(0, lambda: None) as asked:
            assert shown(reader, address) == old
        assert _named(state) in old, address
        # The first ones find out who asks; the page's own begin with the company's tables.
        for number in (_first_of_figures(asked) + 1, len(asked)):
            other = 1 - state
            with queries(number, lambda: publish(tenant.pk, other)):  # noqa: B023
                assert shown(reader, address) == old, f"{address}: two states on one page"
            old, state = shown(reader, address), other
            assert _named(state) in old, address


def _first_of_figures(asked: list[str]) -> int:
    return 1 + next(place for place, sql in enumerate(asked) if "reporting_" in sql)


def _is_ours(address: str) -> bool:
    return resolve(address.split("?")[0]).func.__module__.startswith("reporting.views")


def _named(state: int) -> str:
    """How a page names the state: the time of its books, in the company's zone."""
    return ("08:40", "14:10")[state]
