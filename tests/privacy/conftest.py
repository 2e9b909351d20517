"""Companies with something to lose, and jobs run as a worker would."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import transaction
from django.utils import timezone

from calqsync.jobs import services as jobs
from calqsync.jobs.models import LIVE, Job
from calqsync.tenancy import scope
from calqsync.tenancy.secrets import sealer
from integrations.models import Connection, Credential, RawDocument
from integrations.sync.evidence import sealed_for
from tests import factories
from tests.tenancy.rows import fill

MARKER = "Salainen"


@pytest.fixture(autouse=True)
def _no_broker(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jobs, "nudge", lambda *args: True)


def furnish(tenant: Any, user: Any, *, name: str = MARKER, invoices: int = 3) -> Any:
    """Books with a customer, lines, a payment, a sealed document and a key; the connection."""
    with scope.tenant(tenant.pk), transaction.atomic():
        connection = factories.connection_make(f"{name} account")
        seal = sealer()
        secret = seal.seal_text("key-" + name * 3, connection_id=connection.pk, field="secret")
        Credential.objects.create(connection=connection, kind="api_key", secret=secret)
        customer = factories.customer_make(
            connection, f"{name} Meikäläinen", identity="p:77", external_id="77"
        )
        product = factories.product_make(connection, f"{name} palvelu")
        months = [f"2026-{month:02}" for month in range(1, invoices + 1)]
        for invoice in factories.monthly_make(customer, product, months):
            factories.payment_make(invoice, "2026-04-01", "10.00")
            raw = b'{"id": %s, "total": 1.10, "who": "%s"}' % (
                invoice.external_id.encode(),
                name.encode(),
            )
            RawDocument.objects.create(
                connection=connection,
                stream="invoices",
                external_id=invoice.external_id,
                sha256=b"\1" * 32,
                body=sealed_for(seal, connection.pk, "invoices", invoice.external_id, raw),
            )
    return connection


def fill_all(tenant: Any, user: Any) -> None:
    """A row in every table that the tenant has none in."""
    with transaction.atomic():
        fill(tenant, user)


def run_job(task: Any, tenant: Any, kind: str) -> Any:
    """Have the live job of this kind run by its task, however far its time is."""
    with scope.tenant(tenant.pk), transaction.atomic():
        job = Job.objects.get(kind=kind, state__in=LIVE)
        Job.objects.filter(pk=job.pk).update(run_after=timezone.now())
    task(tenant.pk, job.pk)
    return job.pk


@pytest.fixture
def furnished(committed_cast: Any) -> Any:
    """Kuura Oy and Vieras Oy with a row in every table, and books worth looking at."""
    cast = committed_cast
    for tenant, user, name in (
        (cast.tenant, cast.alice, MARKER),
        (cast.stranger_tenant, cast.mallory, "Tuntematon"),
    ):
        furnish(tenant, user, name=name)
        fill_all(tenant, user)
    return cast


def connection_of(tenant: Any) -> Any:
    with scope.tenant(tenant.pk), transaction.atomic():
        return Connection.objects.order_by("pk").first()
