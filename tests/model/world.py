"""What a machine of imports works in: processes, a sandbox, and a tenant for each machine."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import count
from types import SimpleNamespace
from typing import Any

from django.utils import timezone

from calqsync.tenancy import scope
from calqsync.tenancy.models import User
from calqsync.tenancy.services import tenant_create
from integrations.models.runs import OPEN_STATES
from integrations.sandbox import Company, Handle
from integrations.services import connect as connecting
from integrations.services import runs
from tests.integrations.sync.conftest import Books, connect
from tests.model.books import books, shown_invoices
from tests.model.ledger import Row, Tables
from tests.model.machines import Machines

TABLES = (
    *("customer", "product", "invoice", "invoiceline", "payment"),
    *("bankaccount", "bankstatement", "bankevent"),
)
_OPEN = "', '".join(OPEN_STATES)
_COUNTS = ("fetched", "added", "changed", "unchanged", "rejected")


_numbers = count()


def newcomer(company: Company, sandbox: Handle) -> Books:
    """A new tenant that has just connected this company."""
    number = next(_numbers)
    owner = User.objects.create_user(f"owner{number}@example.com", "correct horse battery")
    tenant = tenant_create(name=f"Malli {number} Oy", owner=owner)
    return connect(SimpleNamespace(tenant=tenant, alice=owner), company, sandbox)


@dataclass
class World:
    """One set of processes for many machines, each with a company and a tenant of its own."""

    machines: Machines
    sandbox: Handle
    truth: Any

    def office(self, company: Company) -> Office:
        """A new tenant that has just connected this company; the sandbox shows no other."""
        self.quiet()
        self.sandbox.app.companies.clear()
        self.sandbox.app.companies[company.id] = company
        return Office(self, newcomer(company, self.sandbox))

    def quiet(self) -> None:
        """Nothing misbehaves, and no earlier tenant's import goes on."""
        self.sandbox.clear_faults()
        self.machines.thaw()
        self.truth.execute(
            "UPDATE jobs_job SET state = 'cancelled', lease_until = NULL, epoch = epoch + 1"
            " WHERE state IN ('queued', 'leased')"
        )


@dataclass
class Office:
    """One tenant's import as seen from outside: what is asked of it, and what its rows say."""

    world: World
    books: Books

    @property
    def connection_id(self) -> int:
        return int(self.books.connection.pk)

    def ask(self) -> None:
        """Sync now, as a person presses it."""
        with scope.tenant(self.books.connection.tenant_id):
            runs.sync_request(
                connection=self.books.connection, by=self.books.cast.alice, now=timezone.now()
            )

    def cancel(self) -> None:
        with scope.tenant(self.books.connection.tenant_id):
            runs.sync_cancel(connection=self.books.connection, by=self.books.cast.alice)

    def make_full(self) -> None:
        """So long ago was the last full read that the next run is one."""
        self._do(
            "UPDATE integrations_syncstream s SET finished_at = s.finished_at - interval '8 days'"
            " FROM integrations_syncrun r WHERE r.id = s.run_id AND r.connection_id = %s"
        )

    def reconnect(self) -> None:
        """Authorise the connection anew, with a fresh key."""
        user, held = self.books.cast.alice, self.books.connection
        now, key = timezone.now(), self.books.sandbox.api_key(self.books.company)
        with scope.tenant(held.tenant_id):
            flow = connecting.connect_by_key(connection=held, browser="b", by=user, now=now)
            flow = connecting.key_finish(flow=flow, key=key)
            connecting.connect_confirm(flow=flow, name=held.name, by=user, now=now)

    # -- what the rows say -----------------------------------------------------------------------

    def state(self) -> str:
        """How the newest run stands."""
        return str(
            self._one(
                "SELECT state FROM integrations_syncrun WHERE connection_id = %s"
                " ORDER BY id DESC LIMIT 1"
            )
            or ""
        )

    def settled(self) -> bool:
        """Whether nothing is being imported now; a run that waits for Procountor is not, nor is
        one that was given up for a while after its workers died.

        What was asked of a waiting run shows in its job alone until a worker takes it.
        """
        called, given_up = self._row(
            "SELECT count(*) FILTER (WHERE state = 'leased' OR run_after <= now()),"
            " count(*) FILTER (WHERE state = 'queued' AND run_after > now()"
            " AND error_class = 'WorkerLost')"
            " FROM jobs_job WHERE state IN ('queued', 'leased')"
            " AND kind = 'integrations.sync' AND key = %s::text"
        )
        return not called and (bool(given_up) or self.state() not in ("queued", "running"))

    def holder(self) -> str:
        """Which process holds the job."""
        return str(
            self._one(
                "SELECT lease_owner FROM jobs_job WHERE kind = 'integrations.sync'"
                " AND key = %s::text AND state = 'leased'"
            )
            or ""
        )

    def standing(self) -> str:
        """The newest run, its job and what the worker said last, for whoever looks for a fault."""
        found = [
            self._row("SELECT row_to_json(r) FROM integrations_syncrun r WHERE connection_id = %s"
                      " ORDER BY id DESC LIMIT 1"),
            self._row("SELECT row_to_json(j) FROM jobs_job j WHERE key = %s::text"
                      " AND kind = 'integrations.sync' ORDER BY id DESC LIMIT 1"),
            self._row("SELECT now(), %s"),
        ]  # fmt: skip
        return "\n".join([*map(str, found), self.world.machines.children["worker"].tail()])

    def story(self) -> str:
        """Every run so far, in order, for whoever looks for a fault."""
        self._do(
            "SELECT id, mode, trigger, state, error_kind, slices, started_at, window_to,"
            " applying_at, finished_at FROM integrations_syncrun WHERE connection_id = %s"
            " ORDER BY id"
        )
        return "\n".join(map(str, self.world.truth.fetchall()))

    def open_runs(self) -> int:
        return int(
            self._one(
                "SELECT count(*) FROM integrations_syncrun WHERE connection_id = %s"
                f" AND state IN ('{_OPEN}')"
            )
        )

    def look(self) -> Look:
        """The books and the runs that ended well, of one moment."""
        cursor = self.world.truth
        cursor.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
        try:
            cursor.execute(
                "SELECT id, mode, window_to FROM integrations_syncrun WHERE connection_id = %s"
                " AND state LIKE 'complete%%' ORDER BY finished_at, id",
                [self.connection_id],
            )
            ended = [(number, mode, at.astimezone(UTC)) for number, mode, at in cursor.fetchall()]
            shown = shown_invoices(cursor, self.connection_id)
            return Look(ended, shown, fingerprint(cursor, self.connection_id))
        finally:
            cursor.execute("COMMIT")

    def miscounted(self) -> list[str]:
        """Streams of runs that ended well, whose counts do not add up."""
        self.world.truth.execute(
            f"SELECT r.id, r.mode, s.stream, {', '.join(f's.{name}' for name in _COUNTS)}"
            " FROM integrations_syncstream s JOIN integrations_syncrun r ON r.id = s.run_id"
            " WHERE r.connection_id = %s AND r.state LIKE 'complete%%'"
            " AND s.stream IN ('invoices', 'payments', 'products')"
            " AND s.fetched <> s.added + s.changed + s.unchanged + s.rejected",
            [self.connection_id],
        )
        return [str(row) for row in self.world.truth.fetchall()]

    def tables(self) -> Tables:
        return books(self.world.truth, self.connection_id)

    def _one(self, query: str) -> Any:
        row = self._row(query)
        return row and row[0]

    def _row(self, query: str) -> Any:
        self._do(query)
        return self.world.truth.fetchone()

    def _do(self, query: str) -> None:
        self.world.truth.execute(query, [self.connection_id])


@dataclass(frozen=True)
class Look:
    """The books at one moment: the runs that had ended well, the invoices, and all rows' mark."""

    ended: list[tuple[int, str, datetime]]
    invoices: dict[str, Row]
    mark: str


def fingerprint(cursor: Any, connection_id: int) -> str:
    """Changes with any row of the books of that connection."""
    found = hashlib.sha256()
    for table in TABLES:
        cursor.execute(
            f"SELECT md5(string_agg(t::text, '|' ORDER BY id)) FROM integrations_{table} t"
            " WHERE connection_id = %s",
            [connection_id],
        )
        found.update(f"{table} {cursor.fetchone()[0]}".encode())
    return found.hexdigest()
