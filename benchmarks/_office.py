"""A company of ours on a whole stack, and what an import into it costs: shared by benchmarks."""

from __future__ import annotations

import json
import os
import threading
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from calqsync.local.errors import StackError
from calqsync.local.stack import STATE_FOLDER, WORKERS, Stack

ROOT = Path(__file__).resolve().parent.parent
# Our cap where Procountor sets none: more than any machine reaches.
NO_CAP = 5_000
BOOKS = "Books"
_DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))


@contextmanager
def office(companies: list[str], *, rps: int | None = None) -> Iterator[Office]:
    """Everything on one machine, the database waiting for the disk as it does in production.

    Procountor and we keep to `rps` requests a second, or neither to any. Companies are made once
    and kept in `.calqsync/companies`.
    """
    os.environ["PROCOUNTOR_MAX_RPS"] = str(rps or NO_CAP)
    sandbox = ["--control", "--data-dir", str(ROOT / STATE_FOLDER / "companies")]
    if rps is not None:
        sandbox += ["--max-rps", str(rps)]
    with Stack(ROOT, throwaway=True, durable=True) as stack:
        address = stack.start_all(companies=companies, sandbox=sandbox)
        os.environ.update(stack.env, LOG_LEVEL="ERROR")
        import django

        django.setup()
        from calqsync.local import waiting

        waiting.IMPORT_SECONDS = 3600
        _take_first_turn()
        yield Office(stack, address)


def _take_first_turn() -> None:
    """The very first request of an installation waits two seconds for processes that went on alone
    (`docs/limits.md`); no later one does.
    """
    from integrations.sync.limiter import limiter

    limiter(tenant="").acquire()


@dataclass
class Office:
    """The running stack, its founder, and a browser-like client that is signed in."""

    stack: Stack
    address: str

    def company(self, name: str) -> Company:
        """A new company of ours, with its founder signed in."""
        from calqsync.local import people

        password = self.stack.home.secrets()["founder_password"]
        founder = people.founder("bench@calqsync.example", password)
        tenant = people.tenant_of(founder, name)
        return Company(
            self, tenant, people.sign_in(self.address, founder.email, password, at=tenant)
        )

    def sandbox(self, action: str) -> dict[str, Any]:
        """What the sandbox's control `counts` answers; `reset` sets its counts to nothing."""
        address = f"{self.stack.env['PROCOUNTOR_BASE_URL']}/_sandbox/{action}"
        data = b"{}" if action == "reset" else None
        with _DIRECT.open(urllib.request.Request(address, data=data), timeout=30) as answer:
            found: dict[str, Any] = json.load(answer)
        return found

    def costs(self) -> Costs:
        """Watch the workers and the database; use as a context manager."""
        pids = {name: child.process.pid for name, child in self.stack.children.items()}
        return Costs([pids[name] for name in WORKERS], pids["postgres"])


@dataclass
class Company:
    """One company of ours and the person who works for it."""

    office: Office
    tenant: Any
    visitor: Any

    @contextmanager
    def rows(self) -> Iterator[None]:
        """See the company's rows inside, in one transaction."""
        from django.db import transaction

        with self.scope(), transaction.atomic():
            yield

    def scope(self) -> Any:
        """Act for the company inside."""
        from calqsync.tenancy import scope

        return scope.tenant(self.tenant.pk)

    def connect(self, company: str) -> Imported:
        """From "Connect now" to the final figures, with the time of each step."""
        from calqsync.local import people, waiting

        began, since = time.monotonic(), waiting.now()
        people.choose(self.visitor, self.tenant, company=company)
        self.office.sandbox("reset")
        people.confirm(self.visitor, name=BOOKS)
        found = Imported()
        self._wait_for_first_figures()
        found.first_figures = time.monotonic() - began
        waiting.for_imports(self.tenant, since=since, check=self.office.stack.check)
        found.imported = time.monotonic() - began
        found.sandbox = self.office.sandbox("counts")
        waiting.for_report(self.tenant, check=self.office.stack.check)
        found.total = time.monotonic() - began
        return found

    def update(self) -> float:
        """Press "Sync now"; the seconds until the run is complete."""
        from calqsync.local import people, waiting

        began, since = time.monotonic(), waiting.now()
        people.sync_now(self.visitor, self.tenant, name=BOOKS)
        waiting.for_imports(self.tenant, since=since, check=self.office.stack.check)
        spent = time.monotonic() - began
        waiting.for_report(self.tenant, check=self.office.stack.check)
        return spent

    def _wait_for_first_figures(self) -> None:
        """Until the dashboard shows revenue and receivables of this company's own documents."""
        from calqsync.local import waiting
        from reporting.models import Report

        deadline = time.monotonic() + waiting.IMPORT_SECONDS
        while time.monotonic() < deadline:
            with self.rows():
                report = Report.objects.first()
                known = report is not None and report.body["revenue"]
            if known:
                self.visitor.open(f"/t/{self.tenant.slug}/")
                shown = "/figures/open" in self.visitor.html
                if shown and "/figures/revenue/" in self.visitor.html:
                    return
            self.office.stack.check()
            time.sleep(0.1)
        raise StackError("No figures appeared; see .calqsync/logs/worker.log.")


@dataclass
class Imported:
    """Seconds from "Connect now", and what the sandbox counted of the import."""

    first_figures: float = 0.0
    imported: float = 0.0
    total: float = 0.0
    sandbox: dict[str, Any] = field(default_factory=dict)


class Costs:
    """The largest worker process and the processor time of workers and database, in the block."""

    def __init__(self, workers: Sequence[int], database: int) -> None:
        self.largest_mb = 0.0
        self._workers, self._database = workers, database
        # By the process at the top and the process itself.
        self._spent: dict[tuple[int, int], float] = {}
        self._before: dict[tuple[int, int], float] = {}
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    @property
    def worker_seconds(self) -> float:
        """Processor time; what a process used in its last fifth of a second may be missing."""
        return sum(map(self._used, self._workers))

    @property
    def database_seconds(self) -> float:
        """As `worker_seconds`, of all processes of the server."""
        return self._used(self._database)

    @property
    def cpu_seconds(self) -> float:
        """Both together."""
        return self.worker_seconds + self.database_seconds

    def _used(self, top: int) -> float:
        return sum(
            spent - self._before.get(key, 0.0)
            for key, spent in self._spent.items()
            if key[0] == top
        )

    def __enter__(self) -> Costs:
        self._look()
        self._before = dict(self._spent)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()
        self._look()

    def _watch(self) -> None:
        while not self._over.wait(0.2):
            self._look()

    def _look(self) -> None:
        for top in (*self._workers, self._database):
            for process in _family(top):
                try:
                    used = process.cpu_times()
                    self._spent[top, process.pid] = used.user + used.system
                    if top != self._database:
                        size = process.memory_info().rss / 1_000_000
                        self.largest_mb = max(self.largest_mb, size)
                except psutil.Error:
                    continue  # it ended between the list and the look


def _family(pid: int) -> list[psutil.Process]:
    try:
        parent = psutil.Process(pid)
        return [parent, *parent.children(recursive=True)]
    except psutil.Error:
        return []
