"""A connected company in the sandbox, and the engine run in this process."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import partial
from typing import Any

import pytest
import redis
from django.conf import settings as configured
from django.db import connections, transaction
from django.utils import timezone

from billing.services import trial_extend
from calqsync.jobs import services as jobs
from calqsync.jobs.models import Job, Priority
from calqsync.jobs.services import Outcome
from calqsync.tenancy import scope
from calqsync.tenancy.secrets import sealer
from integrations import models
from integrations.models import Connection, Credential, Invoice, StagedPage, SyncRun, SyncStream
from integrations.models.runs import RunState
from integrations.procountor.limits import NoLimit
from integrations.procountor.transport import Transport
from integrations.sandbox import Company, Handle, build_company, edits, start_server
from integrations.services import runs
from integrations.signals import books_changed
from integrations.sync import access, engine

ANCHOR = date(2026, 11, 1)
WEEK = timedelta(days=8)
CLIENT = {"client_id": "calqsyncTestClient", "client_secret": "calqsync-test-secret"}


@pytest.fixture
def koivu() -> Company:
    """A small company of the test's own, to be changed at will."""
    return build_company("koivu", anchor=ANCHOR)


@pytest.fixture
def sandbox(koivu: Company, settings: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Handle]:
    with start_server([koivu], **CLIENT) as handle:
        settings.PROCOUNTOR_BASE_URL = handle.base_url
        settings.PROCOUNTOR_CLIENT_ID = CLIENT["client_id"]
        settings.PROCOUNTOR_CLIENT_SECRET = CLIENT["client_secret"]
        monkeypatch.setattr(access, "limiter", NoLimit)
        # Quick repeats of a request need not be waited for.
        monkeypatch.setattr(access, "Transport", partial(Transport, sleep=lambda seconds: None))
        monkeypatch.setattr(jobs, "nudge", lambda *args: True)
        yield handle


@dataclass
class Books:
    """A tenant's connection to the sandbox; `sync` runs the engine as a worker would."""

    connection: Connection
    company: Company
    sandbox: Handle
    cast: Any
    late: timedelta = timedelta(0)

    def now(self) -> datetime:
        return timezone.now() + self.late

    def request(self) -> SyncRun | None:
        return runs.sync_request(connection=self.connection, by=self.cast.alice, now=self.now())

    def claim(self) -> Any:
        job = Job.objects.get(kind=engine.KIND, key=str(self.connection.pk))
        # Not interactive: such a slice is short, and a slow machine would need more than one.
        Job.objects.filter(pk=job.pk).update(
            run_after=timezone.now() - timedelta(seconds=1), priority=Priority.SCHEDULED
        )
        claimed = jobs.claim(job.pk)
        assert claimed is not None
        return claimed

    def slice(self) -> Outcome:
        """One slice of whatever is due."""
        with scope.tenant(self.connection.tenant_id):
            with transaction.atomic():
                job = self.claim()
            outcome = engine.sync_slice(job, clock=self.now)
            jobs.finish(job, outcome)
        return outcome

    def sync(self) -> SyncRun:
        """A run asked for by a person, to its end or to where it stops."""
        with scope.tenant(self.connection.tenant_id), transaction.atomic():
            self.request()
        self.slice()
        return self.run()

    def run(self) -> SyncRun:
        with scope.tenant(self.connection.tenant_id), transaction.atomic():
            self.connection.refresh_from_db()
            return SyncRun.objects.filter(connection=self.connection).latest("pk")

    def streams(self) -> dict[str, SyncStream]:
        with scope.tenant(self.connection.tenant_id), transaction.atomic():
            run = SyncRun.objects.filter(connection=self.connection).latest("pk")
            return {s.stream: s for s in SyncStream.objects.filter(run=run)}

    def all(self, model: Any, **conditions: Any) -> list[Any]:
        with scope.tenant(self.connection.tenant_id), transaction.atomic():
            return list(
                model.objects.filter(connection=self.connection, **conditions).order_by("pk")
            )

    def one(self, model: Any, **conditions: Any) -> Any:
        [found] = self.all(model, **conditions)
        return found


OWNERS = {"tenant_id", "connection_id"}
VOLATILE = {"id", "public_id", "customer_id", "invoice_id", "product_id", "statement_id"}
TABLES = (
    models.Customer,
    models.Product,
    models.Invoice,
    models.InvoiceLine,
    models.Payment,
    models.BankAccount,
    models.BankStatement,
    models.BankEvent,
)


def contents(books: Books) -> dict[str, list[str]]:
    """Everything imported, without the ids that depend on the order of writing."""
    found: dict[str, list[str]] = {}
    for model in TABLES:
        rows = []
        for row in books.all(model):
            values = {f.attname: getattr(row, f.attname) for f in model._meta.concrete_fields}
            kept = {name: values[name] for name in values.keys() - VOLATILE - OWNERS}
            linked = {name: values[name] is not None for name in values.keys() & VOLATILE}
            rows.append(str(sorted((kept | linked).items())))
        found[model.__name__] = sorted(rows)
    return found


def connect(cast: Any, company: Company, sandbox: Handle, name: str = "Main account") -> Books:
    with scope.tenant(cast.tenant.pk), transaction.atomic():
        connection = Connection.objects.create(
            name=name,
            company_id=str(company.id),
            company_name=company.name,
            created_by=cast.alice,
        )
        secret = sealer().seal_text(
            sandbox.api_key(company), connection_id=connection.pk, field="secret"
        )
        Credential.objects.create(connection=connection, kind="api_key", secret=secret)
    return Books(connection, company, sandbox, cast)


@pytest.fixture
def books(committed_cast: Any, koivu: Company, sandbox: Handle) -> Books:
    return connect(committed_cast, koivu, sandbox)


@pytest.fixture
def told() -> Iterator[list[dict[str, Any]]]:
    """What `books_changed` said."""
    heard: list[dict[str, Any]] = []

    def hear(sender: Any, **said: Any) -> None:
        heard.append(said)

    books_changed.connect(hear)
    yield heard
    books_changed.disconnect(hear)


def imported(books):
    with scope.tenant(books.connection.tenant_id), transaction.atomic():
        trial_extend(until=books.now() + timedelta(days=90), by=None)
    assert books.sync().state == RunState.COMPLETE
    return books


def staged(books):
    with scope.tenant(books.connection.tenant_id), transaction.atomic():
        return StagedPage.objects.count()


def requested(books, **how):
    with scope.tenant(books.connection.tenant_id), transaction.atomic():
        return runs.sync_request(
            connection=books.connection, by=books.cast.alice, now=books.now(), **how
        )


def changes(koivu, books):
    """Something new in every stream that an update reads."""
    some = [int(i.external_id) for i in books.all(Invoice, issued=True)[:6]]
    edits.edit_invoice(koivu, some[0], row_fields={"unitPrice": "1234.5"})
    edits.create_invoice(koivu, like=some[1], day="2026-11-02")
    edits.invalidate_invoice(koivu, some[2])
    edits.drop_row(koivu, some[3])


def spoil(koivu, number):
    """Make a listed document one that breaks the contract; the good one comes back."""
    good = koivu.invoices.details[number]
    koivu.invoices.details[number] = b'{"id": %d, "type": "SALES_INVOICE"}' % number
    return good


def elsewhere(books, do):
    """In another process, which must not wait for what this one is doing."""

    def does():
        try:
            with scope.tenant(books.connection.tenant_id), transaction.atomic():
                do()
        finally:
            connections.close_all()

    thread = threading.Thread(target=does)
    thread.start()
    return thread


def wait_for_a_lock():
    """Until some session of this database waits for a row of another one."""
    for _ in range(6000):
        with connections["default"].cursor() as cursor:
            cursor.execute("SELECT count(*) FROM pg_locks WHERE NOT granted")
            if cursor.fetchone()[0]:
                return
            cursor.execute("SELECT pg_sleep(0.01)")
    raise AssertionError("nobody waits")


@pytest.fixture
def server() -> redis.Redis:
    """The Valkey that gives the limiter's turns."""
    return redis.Redis.from_url(configured.REDIS_URL)


@pytest.fixture
def name(server: redis.Redis) -> Iterator[str]:
    """A limiter's name that nobody else uses; what is kept under it is deleted afterwards."""
    made = f"test-{uuid.uuid4().hex}"
    yield made
    server.delete(*server.keys(f"procountor:{{{made}}}:*") or ["none"])
