"""Pages of documents as people with different roles see them."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from calqsync.tenancy import scope
from calqsync.tenancy.formats import WORD_JOINER
from tests.conftest import Cast, SignedInClient
from tests.factories import (
    Row,
    connection_make,
    customer_make,
    invoice_make,
    monthly_make,
    payment_make,
    product_make,
)
from tests.reporting.conftest import refreshed


@pytest.fixture
def as_person(cast: Cast) -> Callable[[str], Client]:
    """A browser in which the named person is signed in."""

    def sign_in(name: str) -> Client:
        client = SignedInClient()
        client.force_login(getattr(cast, name))
        return client

    return sign_in


@pytest.fixture
def vera(as_person: Callable[[str], Client]) -> Client:
    return as_person("vera")


@pytest.fixture
def bob(as_person: Callable[[str], Client]) -> Client:
    return as_person("bob")


@pytest.fixture
def shop(cast: Cast) -> Iterator[Any]:
    """Three customers on two accounts: monthly, quarterly, and one with a one-off; computed."""
    with scope.tenant(cast.tenant.pk):
        eu, us = connection_make("EU account"), connection_make("US account")
        plan = product_make(eu, "Alusta", code="A-1")
        other = product_make(us, "Platform", code="P-1")
        hours = product_make(eu, "Konsultointi", code="K-1")
        aalto, berg = customer_make(eu, "Aalto Oy"), customer_make(eu, "Berg Oy")
        cedar = customer_make(us, "Cedar Inc")
        paid, part, due = monthly_make(aalto, plan, ["2026-01", "2026-02", "2026-03"], net="99.99")
        payment_make(paid, "2026-01-14", "99.99")
        payment_make(part, "2026-02-20", "40.00")
        quarter = invoice_make(
            cedar,
            "2026-01-01",
            [Row(net="100.00", product=other, service=("2026-01-01", "2026-04-01"))],
            due="2026-01-31",
        )
        payment_make(quarter, "2026-02-01", "100.00", kind="CREDITLOSS", is_cash=False)
        once = invoice_make(berg, "2026-02-10", [Row(net="500.00", product=hours, unit="HOUR")])
        draft = invoice_make(
            berg, "2026-03-10", [Row(net="7.00")], issued=False, status="UNFINISHED"
        )
        refreshed()
        yield {
            "eu": eu,
            "us": us,
            "plan": plan,
            "hours": hours,
            "aalto": aalto,
            "berg": berg,
            "cedar": cedar,
            "invoices": [paid, part, due, quarter, once],
            "due": due,
            "draft": draft,
        }


def text(response: Any) -> str:
    """The page, without what keeps a sign on the line of its amount."""
    return str(response.content.decode()).replace(WORD_JOINER, "")


def file_of(client: Client, url: str) -> list[dict[str, str]]:
    """The list at `url` as its file holds it."""
    joint = "&" if "?" in url else "?"
    response = client.get(f"{url}{joint}format=csv")
    assert response.status_code == 200, response.status_code
    return list(csv.DictReader(io.StringIO(response.content.decode("utf-8-sig"))))


def summed(rows: list[dict[str, str]], column: str) -> Decimal:
    return sum((Decimal(row[column]) for row in rows), Decimal(0))


def totals_of(response: Any) -> dict[str, str]:
    """The sum row of the list on a page, by the column's key."""
    listing = response.context["listing"]
    keys = [column["key"] for column in listing["columns"]][1:]
    cells = listing["total"]["cells"]
    return {key: cell for key, cell in zip(keys, cells, strict=True) if cell}


# What every page reads before it starts: who asks, for which company, and its settings.
_BEFORE = (
    "FROM django_session",
    "FROM tenancy_user",
    "FROM tenancy_membership m JOIN tenancy_tenant",
    "FROM tenancy_tenant WHERE",
    "FROM tenancy_tenant ORDER BY",
    "FROM billing_account",
    "set_config",
    "SAVEPOINT",
)


def queries_of(client: Client, url: str) -> list[str]:
    """The queries that a page needs beyond session, user, tenant and settings."""
    client.get(url)
    with CaptureQueriesContext(connection) as captured:
        assert client.get(url).status_code == 200
    return [
        query["sql"]
        for query in captured.captured_queries
        if not any(word in query["sql"].replace('"', "") for word in _BEFORE)
    ]
