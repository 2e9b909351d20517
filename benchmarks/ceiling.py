"""What loading an invoice costs, against the least it could: its decode and a COPY of its rows.

The ceiling is two things and nothing else. Each answer is decoded once by msgspec, the fastest
JSON library at hand, into records without a check of ours. Then the same rows that the import
stores (customers, products, invoices, lines, payments and sealed raw documents) go by plain COPY,
from text that was made before the clock started, into tables with the same columns, defaults,
indexes and foreign keys, as the tables' owner: no row-level security, no upsert, one COPY a table
for thousands of invoices. A second ceiling leaves the keys out, which no import may.

Beside it runs what the worker does with the same bytes: cut into documents, hashed, decoded,
compared with what is stored, mapped to rows, compressed and sealed, and written through
row-level security with every key checked, in the transactions of a first import that is never
kept waiting. Requests and
their waiting are no part of either. Both take turns, block by block, on one database.
"""

from __future__ import annotations

import gc
import io
import os
import resource
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, cast

import msgspec
import psutil

from benchmarks import Result
from benchmarks._answers import Answers, blocks_of
from calqsync.local.stack import Stack

ROOT = Path(__file__).resolve().parent.parent
SHIFT = 1_000_000_000
REFERENCES = {"id", "customer_id", "invoice_id", "product_id"}
PART = 5  # batches that are renumbered at a time, so that their copies take no memory
MAX_RATIO = 2.5
MIN_INVOICES_A_SECOND = 1_000
COPIES = 3  # of the company, under other ids, loaded on top to watch the memory
MAX_GROWN_MB = 20.0


def run() -> Result:
    """Microseconds an invoice, invoices a second and the ratio to the ceiling.

    `worker_us` is processor time of the process that loads, `database_us` that of its server
    process; a core's share is the worker's alone. The database waits for the disk as it does in
    production.
    """
    with Stack(ROOT, throwaway=True, durable=True) as stack:
        stack.start_services()
        stack.migrate()
        os.environ.update(stack.env, LOG_LEVEL="ERROR")
        import django

        django.setup()
        return measured()


@dataclass
class Cost:
    """Processor seconds of this process and of its database process, and seconds in all."""

    worker: float = 0.0
    database: float = 0.0
    wall: float = 0.0

    @property
    def busy(self) -> float:
        return self.worker + self.database

    @contextmanager
    def measure(self, server: psutil.Process) -> Iterator[None]:
        gc.collect()
        wall, worker, database = time.perf_counter(), time.process_time(), _spent(server)
        yield
        self.database += _spent(server) - database
        self.worker += time.process_time() - worker
        self.wall += time.perf_counter() - wall


def _spent(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


def measured() -> Result:
    from integrations.sandbox import build_company

    company = build_company("medium")
    blocks = list(blocks_of(company))
    first, second = Importer("First Oy"), Importer("Second Oy")
    for block in blocks:  # untimed: fills caches, and leaves the rows for the ceiling to copy
        first.load(block)
    ceiling, keyless = Ceiling(first, second, blocks), Ceiling(first, second, blocks, keys=False)
    real, least, bare = Cost(), Cost(), Cost()
    for number, block in enumerate(blocks):
        turns: list[Callable[[], None]] = [
            partial(second.timed, block, real),
            partial(ceiling.timed, number, least),
            partial(keyless.timed, number, bare),
        ]
        for turn in turns if number % 2 else reversed(turns):
            turn()
    result = _result(sum(block.invoices for block in blocks), real, least, ceiling)
    result.figures["ratio_to_copy_without_keys"] = round(real.busy / bare.busy, 2)
    result.figures |= ceiling.sizes(second)
    result.figures |= _grown(second, blocks)
    result.at_most("ratio", MAX_RATIO)
    result.at_least("invoices_a_second_on_one_core", MIN_INVOICES_A_SECOND)
    result.at_most("memory_grown_mb", MAX_GROWN_MB)
    return result


def _result(invoices: int, real: Cost, least: Cost, ceiling: Ceiling) -> Result:
    def us(seconds: float) -> float:
        return round(seconds / invoices * 1e6, 1)

    return Result(
        figures={
            "invoices": invoices,
            "ceiling_decode_us": us(ceiling.decoding.busy),
            "ceiling_copy_us": us(least.busy - ceiling.decoding.busy),
            "ceiling_us": us(least.busy),
            "ceiling_wall_us": us(least.wall),
            "worker_us": us(real.worker),
            "database_us": us(real.database),
            "import_us": us(real.busy),
            "import_wall_us": us(real.wall),
            "ratio": round(real.busy / least.busy, 2),
            "ratio_by_the_clock": round(real.wall / least.wall, 2),
            "invoices_a_second_on_one_core": round(invoices / real.worker),
            "invoices_a_second_with_database": round(invoices / real.wall),
        }
    )


def _grown(importer: Importer, blocks: Sequence[Answers]) -> dict[str, float]:
    """How much the largest size of this process grew while it loaded the company thrice more."""
    before = _peak_mb()
    for copy in range(1, COPIES + 1):
        for block in blocks:
            for start in range(0, len(block.batches), PART):
                part = Answers(batches=block.batches[start : start + PART])
                importer.load(part.renumbered(copy))
    return {"memory_mb": round(_peak_mb()), "memory_grown_mb": round(_peak_mb() - before, 1)}


def _peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000


class Importer:
    """A tenant with one connection in its first import; loads answers as a worker does."""

    def __init__(self, name: str) -> None:
        from django.db import connection, transaction
        from django.utils import timezone

        from calqsync.jobs import services as jobs
        from calqsync.tenancy import scope
        from calqsync.tenancy.models import User
        from calqsync.tenancy.services import tenant_create
        from integrations.models import Connection, SyncRun, SyncStream
        from integrations.models.runs import Stream
        from integrations.procountor import records
        from integrations.procountor.documents import Reader
        from integrations.sync.engine import KIND

        with transaction.atomic():
            owner = User.objects.create_user(f"{name}@calqsync.example", None, name=name)
            self.tenant = tenant_create(name=name, owner=owner)
        with scope.tenant(self.tenant.pk):
            with transaction.atomic():
                self.books = Connection.objects.create(name="Books", company_id="1")
                now = timezone.now()
                run = SyncRun.objects.create(
                    tenant=self.tenant,
                    connection=self.books,
                    mode="first",
                    trigger="person",
                    state="running",
                    started_at=now,
                    window_to=now,
                )
                for stream in Stream:
                    SyncStream.objects.create(tenant=self.tenant, run=run, stream=stream)
                job_id = jobs.enqueue(kind=KIND, key=str(self.books.pk)).pk
            with transaction.atomic():
                job = jobs.claim(job_id)
            self.work = self._work(job, run)
            connection.ensure_connection()
        self.server = _server_process()
        self.partners, self.products = Reader(records.Partner), Reader(records.Product)
        self.invoices, self.payments = Reader(records.Invoice), Reader(records.PaymentEvent)

    def _work(self, job: Any, run: Any) -> Any:
        from zoneinfo import ZoneInfo

        from django.db import transaction
        from django.utils import timezone

        from calqsync.tenancy.secrets import sealer
        from integrations.procountor.limits import Usage
        from integrations.sync.work import Work

        with transaction.atomic():
            seal = sealer()
        return Work(
            job=job,
            connection=self.books,
            run=run,
            client=cast(Any, None),  # nothing is asked for here
            usage=Usage(),
            seal=seal,
            zone=ZoneInfo(self.tenant.time_zone),
            clock=timezone.now,
            deadline=time.monotonic() + 3600,
            rejected_before=False,
        )

    def timed(self, block: Answers, cost: Cost) -> None:
        with cost.measure(self.server):
            self.load(block)

    def load(self, block: Answers) -> None:
        from calqsync.tenancy import scope
        from integrations.procountor.documents import elements_of_batch, envelope
        from integrations.sync.loading.events import load_events
        from integrations.sync.loading.invoices import load_invoices
        from integrations.sync.loading.registers import load_partners, load_products
        from integrations.sync.reading import TOGETHER
        from integrations.sync.settling import Events

        with scope.tenant(self.tenant.pk):
            for body in block.partners:
                partners = self.partners.read(elements_of_batch(body))
                with self.work.page() as page:
                    load_partners(self.work, page, *partners[:2])
            for body in block.products:
                products = self.products.read(elements_of_batch(body))
                with self.work.page() as page:
                    load_products(self.work, page, *products[:2])
            self.work.learn_products()
            for start in range(0, len(block.batches), TOGETHER):
                documents: list[Any] = []
                rejected: list[Any] = []
                events = Events([])
                for ids, details, listed in block.batches[start : start + TOGETHER]:
                    invoices = self.invoices.read(elements_of_batch(details))
                    payments = self.payments.read(envelope(listed).elements)
                    documents += invoices[0]
                    rejected += invoices[1]
                    events.invoice_ids += ids
                    events.documents += payments[0]
                    events.rejected += payments[1]
                with self.work.page() as page:
                    load_invoices(self.work, page, documents, rejected)
                    load_events(self.work, page, events)

    def rows(self, table: str, columns: Sequence[str], owner: Importer, block: Answers) -> bytes:
        """What this tenant stored of the block, as COPY text that says it is another's."""
        from django.db import connection, transaction

        from calqsync.tenancy import scope

        # Rows of another tenant have other ids, and refer to each other by them.
        shift = 0 if owner is self else SHIFT
        names = ", ".join(
            f'"{name}" + {shift}' if name in REFERENCES else f'"{name}"' for name in columns
        )
        query = (
            f"COPY (SELECT {owner.tenant.pk}, {owner.books.pk}, {names} FROM {table}"
            f" WHERE connection_id = {self.books.pk} AND {block.holds(table)}"
            " ORDER BY id) TO STDOUT"
        )
        text = io.BytesIO()
        with scope.tenant(self.tenant.pk), transaction.atomic(), connection.cursor() as cursor:
            cursor.copy_expert(query, text)
        return text.getvalue()

    def count(self, table: str) -> int:
        from django.db import connection, transaction

        from calqsync.tenancy import scope

        with scope.tenant(self.tenant.pk), transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(f"SELECT count(*) FROM {table}")
            return int(cursor.fetchone()[0])


class Ceiling:
    """What `source` stored, as COPY text made beforehand, for tables that no policy binds.

    They hold the rows of `source` already, so that they grow beside the real tables; the text
    is the same rows again, under the ids of `owner`.
    """

    def __init__(
        self, source: Importer, owner: Importer, blocks: Sequence[Answers], *, keys: bool = True
    ) -> None:
        from django.db import connections

        from integrations.sync import targets

        loaded = (
            *(targets.CUSTOMERS, targets.PRODUCTS, targets.INVOICES, targets.LINES),
            *(targets.PAYMENTS, targets.RAW),
        )
        self.columns = {each.table: ("id", *each.columns) for each in loaded}
        self.twins = {table: f"{'keyed' if keys else 'bare'}_{table}" for table in self.columns}
        self.database = connections["owner"]
        self.database.ensure_connection()
        self.server = _server_process("owner")
        self.blocks = blocks
        self.decoding = Cost()
        with self.database.cursor() as cursor:
            for table, twin in self.twins.items():
                cursor.execute(f"CREATE TABLE {twin} (LIKE {table} INCLUDING ALL)")
            for table in self.twins if keys else ():
                self._bind(cursor, table)
        for block in blocks:
            self._copy(self._texts(source, source, block))
        self.texts = [self._texts(source, owner, block) for block in blocks]

    def _bind(self, cursor: Any, table: str) -> None:
        """Give a twin the foreign keys of its table, to other twins where there are."""
        cursor.execute(
            "SELECT pg_get_constraintdef(oid) FROM pg_constraint"
            " WHERE contype = 'f' AND conrelid = %s::regclass",
            [table],
        )
        for (key,) in cursor.fetchall():
            for other, twin in self.twins.items():
                key = key.replace(f"REFERENCES {other}(", f"REFERENCES {twin}(")
            cursor.execute(f"ALTER TABLE {self.twins[table]} ADD {key}")

    def _texts(self, source: Importer, owner: Importer, block: Answers) -> dict[str, bytes]:
        return {
            table: source.rows(table, columns, owner, block)
            for table, columns in self.columns.items()
        }

    def timed(self, number: int, cost: Cost) -> None:
        with cost.measure(self.server):
            with self.decoding.measure(self.server):
                self._decode(self.blocks[number])
            self._copy(self.texts[number])

    def _decode(self, block: Answers) -> None:
        decode = msgspec.json.decode
        for body in (*block.partners, *block.products):
            decode(body)
        for _, details, listed in block.batches:
            decode(details)
            decode(listed)

    def _copy(self, texts: dict[str, bytes]) -> None:
        from django.db import transaction

        with transaction.atomic(using="owner"), self.database.cursor() as cursor:
            cursor.execute("SET LOCAL synchronous_commit TO off")
            for table, text in texts.items():
                names = ("tenant_id", "connection_id", *self.columns[table])
                quoted = ", ".join(f'"{name}"' for name in names)
                cursor.copy_expert(
                    f"COPY {self.twins[table]} ({quoted}) FROM STDIN", io.BytesIO(text)
                )

    def sizes(self, importer: Importer) -> dict[str, int]:
        """Rows by table; RuntimeError unless the import stored as many."""
        found: dict[str, int] = {}
        for table in self.columns:
            with self.database.cursor() as cursor:
                owned = [importer.tenant.pk]
                cursor.execute(
                    f"SELECT count(*) FROM {self.twins[table]} WHERE tenant_id = %s", owned
                )
                [expected] = cursor.fetchone()
            stored = importer.count(table)
            if stored != expected:
                raise RuntimeError(f"{table}: {stored} rows stored, {expected} copied")
            found[table.removeprefix("integrations_") + "s"] = stored
        return found


def _server_process(alias: str = "default") -> psutil.Process:
    from django.db import connections

    with connections[alias].cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        return psutil.Process(cursor.fetchone()[0])
