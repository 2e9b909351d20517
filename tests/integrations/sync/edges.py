"""A small company that a test changes at will, and its ledger beside the books."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from django.db import transaction
from django.utils import timezone

from billing.services import trial_extend
from calqsync.tenancy import scope
from integrations.models import Invoice
from reporting.models import Report
from tests.integrations.sync.conftest import Books
from tests.model.books import books as shown
from tests.model.books import differences
from tests.model.ledger import Tables, expected
from tests.reporting.conftest import refreshed

REGISTERS = ("partners", "products", "accounts", "statements")


def ledger(books: Books) -> Tables:
    """What the books must hold, from the sandbox's documents as they are now."""
    company = books.company
    return expected(list(company.documents()), *(list(company.register(k)) for k in REGISTERS))


def wrong(books: Books, truth: Any) -> list[str]:
    """Every row that is missing, too many or different."""
    return differences(ledger(books), shown(truth, books.connection.pk))


def imported(books: Books) -> Books:
    """The books after their first import, with a trial that outlasts the test."""
    in_tenant(books, lambda: trial_extend(until=books.now() + timedelta(days=900), by=None))
    assert books.sync().state == "complete", (books.run().error_kind, books.run().error)
    return books


def in_tenant(books: Books, do: Any) -> Any:
    with scope.tenant(books.connection.tenant_id), transaction.atomic():
        return do()


def at(books: Books, moment: datetime) -> None:
    """Let it be that moment, here and at Procountor."""
    books.late = books.company.clock_ahead = moment - timezone.now()


def later(books: Books, **how: float) -> None:
    books.late += timedelta(**how)
    books.company.clock_ahead += timedelta(**how)


def full(books: Books, truth: Any) -> Any:
    """A run that reads everything again."""
    truth.execute(
        "UPDATE integrations_syncstream SET finished_at = finished_at - interval '8 days'"
    )
    run = books.sync()
    assert run.mode == "full"
    return run


def numbers(books: Books, **conditions: Any) -> list[int]:
    """The numbers of sales invoices in the books."""
    return [int(one.external_id) for one in books.all(Invoice, **conditions)]


def euros(books: Books) -> list[int]:
    """Issued invoices of this company in euros, by number."""
    return numbers(books, issued=True, currency="EUR")


def figures(books: Books) -> Any:
    """The report that a worker makes of the books."""

    def make() -> Any:
        refreshed(books.now())
        return Report.objects.latest("pk").body

    return in_tenant(books, make)
