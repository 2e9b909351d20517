"""Import and report of the medium sandbox company (25 000 invoices), everything on one machine."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil

from benchmarks import Result
from calqsync.local.stack import Stack

ROOT = Path(__file__).resolve().parent.parent
COMPANY = "Medium Saas Oy"
MAX_SECONDS = 180
MAX_WORKER_MB = 400


def run() -> Result:
    """Seconds by stage, requests, documents, and the largest worker process in MB.

    The database waits for the disk as it does in production.
    """
    with Stack(ROOT, throwaway=True, durable=True) as stack:
        address = stack.start_all(companies=["medium"])
        os.environ.update(stack.env, LOG_LEVEL="ERROR")
        import django

        django.setup()
        return _measured(stack, address)


def _measured(stack: Stack, address: str) -> Result:
    from calqsync.local import people, waiting

    founder = people.founder("bench@calqsync.example", stack.home.secrets()["founder_password"])
    tenant = people.tenant_of(founder, "Bench Oy")
    visitor = people.sign_in(
        address, founder.email, stack.home.secrets()["founder_password"], at=tenant
    )
    with _largest(stack.children["worker"].process.pid) as memory:
        since, started = waiting.now(), time.monotonic()
        people.connect(visitor, tenant, name="Medium", company=COMPANY)
        waiting.for_imports(tenant, since=since, check=stack.check)
        synced = time.monotonic()
        waiting.for_report(tenant, check=stack.check)
        done = time.monotonic()
    result = Result(figures=_counts(tenant))
    result.figures |= {
        "sync_seconds": round(synced - started, 1),
        "report_seconds": round(done - synced, 1),
        "total_seconds": round(done - started, 1),
        "worker_peak_mb": round(memory["bytes"] / 1_000_000),
    }
    result.at_most("total_seconds", MAX_SECONDS)
    result.at_most("worker_peak_mb", MAX_WORKER_MB)
    result.at_least("invoices", 25_000)
    return result


def _counts(tenant: Any) -> dict[str, float | int | str]:
    from django.db import transaction

    from calqsync.local import figures
    from calqsync.tenancy import scope
    from integrations.models import SyncRun

    [found] = figures.of_tenant(tenant)["connections"]
    counts = {name: found[name] for name in ("customers", "invoices", "invoice_lines", "payments")}
    with scope.tenant(tenant.pk), transaction.atomic():
        run = SyncRun.objects.latest("started_at")
        streams = {
            f"{stream.stream}_seconds": (stream.finished_at - stream.started_at).total_seconds()
            for stream in run.streams.all()
            if stream.started_at and stream.finished_at
        }
    return {**counts, "requests": found["requests"], **streams}


@contextmanager
def _largest(pid: int) -> Iterator[dict[str, int]]:
    """The largest resident size of the process and its children while the block runs."""
    seen = {"bytes": 0}
    over = threading.Event()

    def watch() -> None:
        while not over.wait(0.2):
            try:
                parent = psutil.Process(pid)
                family = [parent, *parent.children(recursive=True)]
                seen["bytes"] = max([seen["bytes"], *(one.memory_info().rss for one in family)])
            except psutil.Error:
                continue  # a child ended between the list and the look

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield seen
    finally:
        over.set()
        thread.join()
