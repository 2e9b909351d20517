"""The product as real processes on a database of its own, and people who use it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from itertools import count
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import urlsplit

import psycopg2
import pytest
import requests

from calqsync.local.environment import ROLE_VARIABLES
from calqsync.local.home import free_port
from calqsync.local.mailbox import mails
from calqsync.local.people import connect
from calqsync.local.stack import Stack
from calqsync.local.visitor import Visitor
from calqsync.tenancy.isolation.roles import create_roles

ROOT = Path(__file__).parents[2]
# One process runs all journeys: they share the servers.
TOGETHER = [pytest.mark.stack, pytest.mark.xdist_group("stack")]
PASSWORD = "correct horse battery"
# So that a second try of a test meets nobody of its first.
NUMBERS = count(1)
COMPANIES = {"kuusi": "Kuusi Data Oy", "aalto-us": "Aalto Analytics Inc", "koivu": "Koivu Software"}
# A worker that died is noticed in seconds rather than in minutes, and one that stands still for
# some seconds keeps its job.
LEASE_SECONDS = 8
QUICK = {
    "JOB_LEASE_SECONDS": str(LEASE_SECONDS),
    "JOB_HEARTBEAT_SECONDS": "0.5",
    "DISPATCH_SECONDS": "0.3",
    "PROCOUNTOR_MAX_RPS": "100",
    "LOG_LEVEL": "INFO",
}


class JourneyStack(Stack):
    """Web, worker, beat, sandbox and Valkey of their own; PostgreSQL is the test run's."""

    def __init__(self) -> None:
        super().__init__(ROOT, throwaway=True)
        self.database = f"calqsync_journeys_{os.getpid()}"

    def start(self) -> None:
        """Every process up and the schema made."""
        home = self.home.folder
        self.env |= QUICK | {"EMAIL_FILE_DIR": str(home / "mail"), "STATIC_ROOT": f"{home}/static"}
        self.start_services()
        port = free_port()
        self.serve_at(port)
        self.start_procountor(wait=False)
        self.start_web(port, wait=False)
        self.start_worker(wait=False)
        migrate = [sys.executable, "-m", "django", "migrate", "--database", "owner", "-v", "0"]
        subprocess.run(migrate, cwd=ROOT, env=self.env, check=True)
        self.start_beat(wait=False)
        self.await_http(self.children["sandbox"], f"{self.procountor}/")
        self.await_web()
        self.await_worker()

    def start_procountor(self, *, wait: bool = True) -> None:
        """Start the sandbox; at its old address when it ran before."""
        client = [self.env["PROCOUNTOR_CLIENT_ID"], self.env["PROCOUNTOR_CLIENT_SECRET"]]
        self.start_sandbox(
            *("--companies", *COMPANIES),
            *("--client-id", client[0], "--client-secret", client[1]),
            *("--redirect-uri", self.env["PROCOUNTOR_REDIRECT_URI"], "--control"),
            wait=wait,
        )

    @property
    def site(self) -> str:
        return self.env["SITE_URL"]

    @property
    def procountor(self) -> str:
        return self.env["PROCOUNTOR_BASE_URL"]

    def fault(self, **options: Any) -> None:
        """Have the sandbox misbehave."""
        requests.post(f"{self.procountor}/_sandbox/fault", json=options).raise_for_status()

    def no_faults(self) -> None:
        requests.post(f"{self.procountor}/_sandbox/clear").raise_for_status()

    def rows(self, query: str, *values: Any) -> list[tuple[Any, ...]]:
        """What the database holds, past row-level security."""
        with self._truth.cursor() as cursor:
            cursor.execute(query, values)
            return cursor.fetchall() if cursor.description else []

    def one(self, query: str, *values: Any) -> Any:
        """The first column of the first row; None when there is none."""
        found = self.rows(query, *values)
        return found[0][0] if found else None

    def until(self, holds: Callable[[], Any], *, seconds: float = 180) -> Any:
        """Wait until `holds()` is true; fails when a process ends or time runs out."""
        deadline = time.monotonic() + seconds
        while not (found := holds()):
            self.check()
            assert time.monotonic() < deadline, f"{holds.__name__} did not come true"
            time.sleep(0.1)
        return found

    def code_for(self, email: str) -> str:
        """The code in the newest mail to that address."""

        def found() -> str | None:
            for mail in mails(Path(self.env["EMAIL_FILE_DIR"])):
                if mail.to == email and (
                    code := re.search(r"^\s*([A-Z0-9]{3,4}-?[A-Z0-9]{3,4})\s*$", mail.body, re.M)
                ):
                    return code[1]
            return None

        return str(self.until(found))

    @cached_property
    def _truth(self) -> Any:
        connection = psycopg2.connect(self._superuser, dbname=self.database)
        connection.autocommit = True
        return connection

    def drop_database(self) -> None:
        """The end of everything that the journeys wrote."""
        server = psycopg2.connect(self._superuser)
        server.autocommit = True
        with server.cursor() as cursor:
            cursor.execute(f'DROP DATABASE IF EXISTS "{self.database}" WITH (FORCE)')
        server.close()

    @property
    def _superuser(self) -> str:
        return os.environ["TEST_SUPERUSER_URL"]

    def _start_postgres(self) -> None:
        passwords = {}
        for variable, role in ROLE_VARIABLES.items():
            parts = urlsplit(os.environ[variable])
            passwords[role] = parts.password or ""
            self.env[variable] = parts._replace(path=f"/{self.database}").geturl()
        create_roles(self._superuser, passwords, self.database)


@dataclass
class Office:
    """A company in CalqSync and its founder's session."""

    stack: JourneyStack
    email: str
    slug: str
    visitor: Visitor

    @property
    def tenant_id(self) -> int:
        return int(self.stack.one("SELECT id FROM tenancy_tenant WHERE slug = %s", self.slug))

    def url(self, path: str = "") -> str:
        return f"{self.stack.site}/t/{self.slug}/{path}"

    def cookies(self) -> list[dict[str, str]]:
        """The session for a browser, so that each test need not sign in."""
        jar = self.visitor.session.cookies
        return [{"name": c.name, "value": c.value or "", "url": self.stack.site} for c in jar]

    def connect(self, slug: str, *, name: str) -> None:
        """Connect a company of the sandbox; its import begins."""
        connect(self.visitor, SimpleNamespace(slug=self.slug), name=name, company=COMPANIES[slug])

    def figures_ready(self) -> bool:
        """Whether every import is done and its figures are published; fails when one stopped."""
        ends = self.stack.rows(
            "SELECT DISTINCT ON (connection_id) state, error FROM integrations_syncrun"
            " WHERE tenant_id = %s ORDER BY connection_id, started_at DESC, id DESC",
            self.tenant_id,
        )
        stopped = [end for end in ends if end[0] in ("needs_you", "our_fault", "cancelled")]
        assert not stopped, stopped
        due = self.stack.one(
            "SELECT count(*) FROM jobs_job WHERE tenant_id = %s AND kind = 'reporting.refresh'"
            " AND (state = 'leased' OR state = 'queued' AND run_after <= now())",
            self.tenant_id,
        )
        return bool(ends) and all(end[0].startswith("complete") for end in ends) and not due

    def await_figures(self, *, seconds: float = 240) -> None:
        self.stack.until(self.figures_ready, seconds=seconds)

    def report(self) -> dict[str, Any]:
        """The published figures."""
        body = self.stack.one(
            "SELECT body FROM reporting_report WHERE tenant_id = %s", self.tenant_id
        )
        assert body, "no figures are published"
        return dict(body)

    def end_trial(self) -> None:
        self.stack.rows(
            "UPDATE billing_account SET trial_ends_at = now() - interval '1 minute'"
            " WHERE tenant_id = %s",
            self.tenant_id,
        )


def found_company(stack: JourneyStack, name: str) -> Office:
    """A person signs up and stands before an empty company."""
    email = f"founder{next(NUMBERS)}@{name.lower().replace(' ', '-')}.example"
    visitor = Visitor(stack.site)
    visitor.open("/accounts/signup/")
    said = {"email": email, "password1": PASSWORD, "company_name": name, "accept_terms": "on"}
    visitor.press("Create account", said)
    visitor.press("Continue", {"code": stack.code_for(email)})
    visitor.open("/")
    return Office(stack, email, visitor.url.split("/t/")[1].split("/")[0], visitor)
