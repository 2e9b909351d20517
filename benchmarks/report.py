"""Figures of a million lines against SQL in PostgreSQL and DuckDB, and a change followed.

Compared is one result: MRR, movements and customers of 60 months, and each customer's months, from
rows in PostgreSQL to rows in tables, which must be equal to the last unit. Ours finds out which
lines are subscriptions on the way. Then the whole of what we publish, and one changed invoice.
`--lines` takes fewer lines; bars hold for a million.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import statistics
import time
from collections.abc import Callable
from multiprocessing import get_context
from pathlib import Path
from typing import Any, NamedTuple
from unittest import mock

import numpy as np
import psutil

from benchmarks import Result, _copy, _million, _peers
from calqsync.local.stack import Stack

ROOT = Path(__file__).resolve().parent.parent
MAX_SHARE_OF_SQL, MAX_TIMES_DUCKDB = 0.5, 1.1
MAX_CHANGE_MS, MAX_WORKER_MB = 200, 400
CHANGES, WARM = 25, 5
_MOVES = range(1, 6)
# Between two looks at how much memory the publishing processes hold.
LOOK_SECONDS = 0.5


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--lines", type=int, default=_million.LINES)
    parser.add_argument("--rounds", type=int, default=3)


def run(*, lines: int, rounds: int) -> Result:
    """Seconds on the clock and of processors, ours and the server's, medians of the rounds."""
    with Stack(ROOT, throwaway=True) as stack:
        stack.start_services()
        stack.migrate()
        os.environ.update(stack.env, LOG_LEVEL="ERROR")
        import django

        django.setup()
        return _measured(stack, lines, rounds)


def _measured(stack: Stack, lines: int, rounds: int) -> Result:
    tenant, counts = made(stack, lines)
    where = place_of(stack, tenant)
    bench = Bench(where)
    result = Result(figures={"lines": counts["invoiceline"], "customers": counts["customer"]})
    times = bench.compared(rounds)
    for name, laps in times.items():
        result.figures[f"{name}_seconds"] = round(statistics.median(lap[0] for lap in laps), 2)
        result.figures[f"{name}_cpu_seconds"] = round(statistics.median(lap[1] for lap in laps), 2)
    for unit, place in (("", 0), ("_cpu", 1)):
        middle = {
            name: statistics.median(lap[place] for lap in laps) for name, laps in times.items()
        }
        result.figures[f"share_of_sql{unit}"] = round(middle["ours"] / middle["sql"], 3)
        result.figures[f"times_duckdb{unit}"] = round(middle["ours"] / middle["duckdb"], 3)
    result.at_most("share_of_sql", MAX_SHARE_OF_SQL)
    result.at_most("times_duckdb", MAX_TIMES_DUCKDB)
    result.figures |= _published(stack, where)
    result.at_most("change_ms", MAX_CHANGE_MS)
    result.at_most("peak_mb", MAX_WORKER_MB)
    return result


def made(stack: Stack, lines: int = _million.LINES) -> tuple[Any, dict[str, int]]:
    """A company of ours with so many lines, and how many rows it has."""
    from django.db import connections, transaction

    from calqsync.tenancy import scope
    from calqsync.tenancy.models import User
    from calqsync.tenancy.services import tenant_create
    from integrations.models import Connection

    with transaction.atomic():
        owner = User.objects.create_user("bench@calqsync.example", None, name="Bench")
        tenant = tenant_create(name="Bench", owner=owner)
        with scope.tenant(tenant.pk):
            books = Connection.objects.create(
                name="Books", company_id="1", currency="EUR",
                first_import_at=_million.NOW, data_as_of=_million.NOW,
            )  # fmt: skip
    dsn = stack.superuser_dsn(connections["default"].settings_dict["NAME"])
    return tenant, _million.fill(dsn, tenant.pk, books.pk, lines=lines)


class Place(NamedTuple):
    """Where the company is: its id, the superuser's address of its database, the server's pid."""

    tenant: int
    dsn: str
    server: int


def place_of(stack: Stack, tenant: Any) -> Place:
    from django.db import connections

    dsn = stack.superuser_dsn(connections["default"].settings_dict["NAME"])
    return Place(tenant.pk, dsn, stack.children["postgres"].process.pid)


class Bench:
    def __init__(self, place: Place) -> None:
        import psycopg2

        self.tenant = place.tenant
        self.day = _million.NOW.date()
        self.running = self.day.year * 12 + self.day.month - 1
        self.first = self.running - _million.MONTHS + 1
        self.server = psycopg2.connect(place.dsn)
        self.server.autocommit = True
        self.postmaster = psutil.Process(place.server)

    def compared(self, rounds: int) -> dict[str, list[tuple[float, float]]]:
        """(seconds, processor seconds) of every round; they take turns, and must agree."""
        ways: dict[str, Callable[[], Any]] = {
            "ours": self.ours, "sql": self.by_sql, "duckdb": self.by_duckdb
        }  # fmt: skip
        times: dict[str, list[tuple[float, float]]] = {name: [] for name in ways}
        for _round in range(rounds):
            for name, way in ways.items():
                times[name].append(self.timed(way))
        for name in ("ours", "duckdb"):
            self.check_equal(name)
        return times

    def timed(self, work: Callable[[], Any]) -> tuple[float, float]:
        spent, began = self.cpu(), time.perf_counter()
        work()
        return time.perf_counter() - began, self.cpu() - spent

    def cpu(self) -> float:
        """Processor seconds of this process, of those it waited for, and of the whole server."""
        total = 0.0
        for process in (psutil.Process(), self.postmaster):
            times = process.cpu_times()
            total += times.user + times.system + times.children_user + times.children_system
        for child in self.postmaster.children():
            with contextlib.suppress(psutil.NoSuchProcess):
                own = child.cpu_times()
                total += own.user + own.system
        return total

    def rows(self) -> Any:
        """The lines as the computation reads them."""
        from django.db import transaction

        from calqsync.tenancy import scope
        from integrations.models import Connection
        from reporting.feed.invoices import read_invoices
        from reporting.feed.lines import read_lines
        from reporting.feed.reading import plan_for_whole_tables

        with scope.tenant(self.tenant), scope.one_state(), transaction.atomic():
            plan_for_whole_tables()
            connections = list(Connection.objects.values_list("pk", flat=True))
            return read_lines(read_invoices(connections, None))[0]

    def ours(self) -> None:
        from reporting.domain.choices import Settings, UserWords
        from reporting.domain.growth import growth_sums
        from reporting.domain.movements import Movement
        from reporting.domain.receivables import Receivables
        from reporting.domain.report import measure
        from reporting.domain.runway import NO_BANK
        from reporting.services.abreast import made_abreast
        from reporting.services.measuring import Dealt, many_at_once, shard_of

        lines = self.rows()
        dealt = Dealt(shard_of(lines.customer_id, many_at_once(len(lines))))
        nobody = Receivables(**dict.fromkeys(Receivables.__slots__, np.zeros(0, dtype=np.int64)))
        settings = Settings(as_of=self.day)

        def measured(number: int) -> tuple[Any, ...]:
            report = measure(
                lines.part(dealt.rows(number)), NO_BANK, nobody, UserWords(), settings,
                since=self.first, votes={}, company_delay=0,
            )  # fmt: skip
            table, monthly = report.table, report.monthly
            sums = growth_sums(table, monthly)
            return sums, table.customers, table.mrr, monthly.fx, monthly.kind

        months, ids, tables = None, [], []
        for sums, customers, *one in made_abreast(measured, dealt.numbers):
            months = sums if months is None else months + sums
            ids.append(customers)
            tables.append(one)
        assert months is not None
        kinds = [Movement(number) for number in _MOVES]
        figures = np.stack(
            [
                np.arange(self.first, self.running + 1), months.end, months.fx,
                months.customers_end, *(months.moved[kind] for kind in kinds),
                *(months.movers[kind] for kind in kinds),
            ],
            axis=1,
        )  # fmt: skip
        whole = [np.concatenate(one) for one in zip(*tables, strict=True)]
        self.store("ours", figures, np.concatenate(ids), whole)

    def by_sql(self) -> None:
        with self.server.cursor() as cursor:
            _peers.by_postgres(cursor, self.tenant, str(self.day), self.first, self.running)

    def by_duckdb(self) -> None:
        import pandas as pd

        lines = self.rows()
        frame = pd.DataFrame(
            {
                "customer": lines.customer_id, "product": lines.product_id, "net": lines.net,
                "net_acc": lines.net_acc, "start": lines.start_day, "stop": lines.end_day,
                "currency": pd.Categorical.from_codes(lines.currency, list(lines.currencies)),
            }
        )  # fmt: skip
        months, customers = _peers.by_duckdb(frame, str(self.day), self.first, self.running)
        rows = np.stack([np.asarray(one, dtype=np.int64) for one in months.values()], axis=1)
        tables = [np.stack(customers[name]) for name in ("mrr", "fx")]
        tables.append(np.stack(customers["moves"]).astype(np.int8))
        self.store("duckdb", rows, customers["customer"], tables)

    def store(self, name: str, months: Any, ids: Any, tables: Any) -> None:
        """Into tables like the peer's, by binary COPY."""
        columns = ", ".join(f"moved_{n} bigint" for n in _MOVES)
        columns += ", " + ", ".join(f"movers_{n} bigint" for n in _MOVES)
        with self.server.cursor() as cursor:
            cursor.execute(
                f"DROP TABLE IF EXISTS {name}_months, {name}_customers;"
                f" CREATE TABLE {name}_months (month bigint, mrr bigint, fx bigint,"
                f" customers bigint, {columns}); CREATE TABLE {name}_customers"
                " (customer bigint, mrr bigint[], fx bigint[], moves smallint[])"
            )
            for table, body in (
                ("months", _copy.rows(list(months.T))),
                ("customers", _copy.rows([ids, *tables])),
            ):
                cursor.copy_expert(
                    f"COPY {name}_{table} FROM STDIN (FORMAT binary)", body, size=1 << 20
                )

    def check_equal(self, name: str) -> None:
        """Raise unless every stored figure is the peer's."""
        with self.server.cursor() as cursor:
            for table in ("months", "customers"):
                cast = "*" if table == "months" else "customer, mrr::text, fx::text, moves::text"
                cursor.execute(
                    f"SELECT count(*) FROM ((SELECT {cast} FROM {name}_{table} EXCEPT ALL"
                    f" SELECT {cast} FROM peer_{table}) UNION ALL (SELECT {cast} FROM"
                    f" peer_{table} EXCEPT ALL SELECT {cast} FROM {name}_{table})) d"
                )
                if different := cursor.fetchone()[0]:
                    raise AssertionError(
                        f"{different} rows of {table} differ between {name} and SQL"
                    )

    def publish(self, customers: list[int] | None) -> None:
        """One run of the job that publishes, after a change of these customers, or of anything."""
        from django.db import transaction

        from calqsync.jobs import services as jobs
        from calqsync.tenancy import scope
        from reporting import services

        with scope.tenant(self.tenant):
            with transaction.atomic(), mock.patch.object(jobs, "nudge"):
                services.refresh_enqueue(customers=customers, bank=customers is None)
                waiting = jobs.live_job(kind=services.KIND)
            assert waiting is not None
            job = jobs.claim(waiting.pk)
            assert job is not None
            services.report_refresh(job=job, now=_million.NOW)
            with transaction.atomic():
                jobs.finish(job, jobs.Outcome.done())

    def change(self, number: int) -> int:
        """Another price on the last invoice of a customer; returns whose."""
        with self.server.cursor() as cursor:
            cursor.execute(
                "UPDATE integrations_invoiceline SET net_minor = net_minor + 100,"
                " net_acc_minor = net_acc_minor + 100 WHERE id = (SELECT max(l.id)"
                " FROM integrations_invoiceline l JOIN integrations_invoice i"
                " ON i.id = l.invoice_id WHERE i.tenant_id = %s AND i.customer_id = %s)",
                [self.tenant, number],
            )
        return number


def _published(stack: Stack, place: Place) -> dict[str, float]:
    """Everything that a tenant is shown: at first, again, and after one changed invoice.

    In a process of its own, as a worker's is, whose memory is the most that it and the helper that
    it may fork hold together: what they share counts once.
    """
    context = get_context("spawn")
    receiving, sending = context.Pipe(duplex=False)
    process = context.Process(target=_publishing, args=(dict(stack.env), place, sending))
    process.start()
    sending.close()
    peak = 0.0
    while not receiving.poll(LOOK_SECONDS):
        peak = max(peak, _held_mb(process.pid))
    figures: dict[str, float] = receiving.recv()
    process.join()
    return figures | {"peak_mb": round(max(peak, figures["process_mb"]))}


def _publishing(env: dict[str, str], place: Place, sending: Any) -> None:
    os.environ.update(env, LOG_LEVEL="ERROR")
    import django

    django.setup()
    bench = Bench(place)
    figures: dict[str, float] = {}
    for name in ("first_publication", "publication"):
        took, cpu = bench.timed(lambda: bench.publish(None))
        figures |= {f"{name}_seconds": round(took, 1), f"{name}_cpu_seconds": round(cpu, 1)}
    with bench.server.cursor() as cursor:
        cursor.execute("SELECT min(customer_id) FROM reporting_customerfigure")
        first = cursor.fetchone()[0]
    laps = []
    for number in range(WARM + CHANGES):
        customer = bench.change(first + 31 * number)
        laps.append(bench.timed(lambda: bench.publish([customer])))  # noqa: B023
    figures["change_ms"] = round(1000 * statistics.median(lap[0] for lap in laps[WARM:]))
    figures["change_cpu_ms"] = round(1000 * statistics.median(lap[1] for lap in laps[WARM:]))
    # What `getrusage` says is of the process before it, where one was spawned.
    status = Path("/proc/self/status").read_text()
    figures["process_mb"] = round(int(status.split("VmHWM:", 1)[1].split()[0]) / 1024)
    sending.send(figures)


def _held_mb(pid: int | None) -> float:
    """What a process and its children hold; each process's part of what they share."""
    held = 0.0
    with contextlib.suppress(psutil.Error):
        process = psutil.Process(pid)
        for one in (process, *process.children()):
            rollup = Path(f"/proc/{one.pid}/smaps_rollup")
            with contextlib.suppress(OSError):
                held += int(rollup.read_text().split("Pss:", 1)[1].split()[0])
    return held / 1024
