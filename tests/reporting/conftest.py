"""A small company in the books, and its figures computed as a worker would."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from calqsync.jobs.services import claim
from calqsync.tenancy import scope
from calqsync.tenancy.bulk import Written
from reporting import services
from tests.conftest import Cast
from tests.factories import (
    Row,
    account_make,
    connection_make,
    customer_make,
    invoice_make,
    monthly_make,
    payment_make,
    product_make,
    statement_make,
)

NOON = datetime(2026, 3, 15, 10, 0, tzinfo=UTC)


@pytest.fixture
def kuura(cast: Cast) -> Iterator[Any]:
    """The company's tenant, in scope."""
    with scope.tenant(cast.tenant.pk):
        yield cast.tenant


def refreshed(now: datetime = NOON) -> Written:
    """Run the refresh job of the tenant in scope."""
    from calqsync.jobs.services import enqueue

    job = claim(enqueue(kind=services.KIND).pk)
    assert job is not None
    written = services.report_refresh(job=job, now=now)
    from calqsync.jobs.models import Job

    Job.objects.all().delete()
    return written


@pytest.fixture
def refresh() -> Callable[..., Written]:
    return refreshed


@pytest.fixture
def books(kuura: Any) -> Any:
    """Two customers: one steady, one that ended; a set-up fee, cash and an open invoice."""
    connection = connection_make()
    product = product_make(connection, "Alusta")
    steady = customer_make(connection, "Aalto Oy")
    ended = customer_make(connection, "Berg Oy")
    for invoice in monthly_make(steady, product, ["2026-01", "2026-02"]):
        payment_make(invoice, invoice.due_date.isoformat(), "100.00")
    open_one = monthly_make(steady, product, ["2026-03"])[0]
    for invoice in monthly_make(ended, product, ["2025-11", "2025-12"], net="50.00"):
        payment_make(invoice, invoice.due_date.isoformat(), "50.00")
    fee = invoice_make(steady, "2026-01-05", [Row(net="500.00", name="Käyttöönotto")])
    payment_make(fee, "2026-01-20", "500.00")
    account = account_make(connection)
    statement_make(account, "2025-12-01", "2025-12-31", "10000.00", [("2025-12-10", "-1000.00")])
    statement_make(account, "2026-01-01", "2026-01-31", "9000.00", [("2026-01-10", "-1500.00")])
    statement_make(account, "2026-02-01", "2026-02-28", "7500.00", [("2026-02-10", "-500.00")])
    return connection, steady, ended, open_one, account
