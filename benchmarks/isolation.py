"""What a request and a job pay for tenant isolation: scope and policies against neither of them."""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

from benchmarks import Result
from calqsync.local.stack import Stack

ROOT = Path(__file__).resolve().parent.parent
TENANTS = 20
CUSTOMERS = 2_000
PAIRS, WARM = 250, 20
MAX_ADDED_MS = 1.0
KIND = "bench.read"


def run() -> Result:
    """Medians in ms with and without isolation, their difference and their ratio.

    Without: a superuser's connection, which no policy binds, and no setting before each
    transaction. The two take turns in one process, so that a busy moment meets both.
    """
    with Stack(ROOT, throwaway=True) as stack:  # the disk's time is no part of it
        stack.start_services()
        stack.migrate()
        os.environ.update(stack.env, LOG_LEVEL="ERROR")
        import django

        django.setup()
        return _measured(stack)


def _measured(stack: Stack) -> Result:
    from django.db import connections
    from django.test import override_settings

    open_settings = override_settings(ALLOWED_HOSTS=["testserver"], LIMITS={})
    with open_settings:
        tenant, owner = _companies()
        bare = _unbound(stack)
        result = Result(figures={"companies": TENANTS, "customers_each": CUSTOMERS})
        for name, asked in (("request", _request(tenant, owner)), ("task", _task(tenant))):
            result.figures |= _compared(name, asked, bare)
            result.at_most(f"{name}_added_ms", MAX_ADDED_MS)
    connections.close_all()
    bare.close()
    return result


def _companies() -> tuple[Any, Any]:
    """Companies of one size, of which one is measured; and its owner."""
    from django.db import transaction

    from calqsync.tenancy import scope
    from calqsync.tenancy.models import User
    from calqsync.tenancy.services import tenant_create
    from integrations.models import Connection, Customer

    with transaction.atomic():
        owner = User.objects.create_user("bench@calqsync.example", None, name="Bench")
        for number in range(TENANTS):
            tenant = tenant_create(name=f"Bench {number}", owner=owner)
            with scope.tenant(tenant.pk):
                books = Connection.objects.create(name="Books", company_id=str(number))
                Customer.objects.bulk_create(
                    Customer(
                        tenant=tenant,
                        connection=books,
                        external_id=str(n),
                        identity=str(n),
                        name=f"Customer {n}",
                        sort_key=f"customer {n:05}",
                    )
                    for n in range(CUSTOMERS)
                )
    from django.db import connections

    with connections["owner"].cursor() as cursor:
        cursor.execute("ANALYZE integrations_customer")
    return tenant, owner


def _unbound(stack: Stack) -> Any:
    """A connection to the same database that row-level security does not bind."""
    import environ
    from django.db import connections

    bare = connections["default"].copy()
    name = bare.settings_dict["NAME"]
    found = environ.Env.db_url_config(stack.superuser_dsn(name))
    bare.settings_dict |= {key: found[key] for key in ("USER", "PASSWORD", "HOST", "PORT")}
    return bare


@contextmanager
def _without_isolation(bare: Any) -> Iterator[None]:
    from django.db import connections

    from calqsync.tenancy import scope

    bound = connections["default"]
    connections["default"] = bare
    try:
        with mock.patch.object(scope, "current_settings", return_value=("", "", "")):
            yield
    finally:
        connections["default"] = bound


def _request(tenant: Any, owner: Any) -> Callable[[], float]:
    """Ask for a page of a list, as a signed-in member."""
    from django.conf import settings
    from django.test import Client

    from calqsync.tenancy.accounts.sessions import cookie_of

    client = Client()
    client.force_login(owner)
    client.cookies[settings.SESSION_COOKIE_NAME] = cookie_of(str(client.session.session_key))
    path = f"/t/{tenant.slug}/customers/"

    def asked() -> float:
        began = time.perf_counter()
        answer = client.get(path)
        spent = time.perf_counter() - began
        if answer.status_code != 200:
            raise RuntimeError(f"the page answered {answer.status_code}")
        return spent

    return asked


def _task(tenant: Any) -> Callable[[], float]:
    """Run a job that reads rows and writes nothing but its own state."""
    from django.db import transaction

    from calqsync.jobs import runner, services
    from calqsync.tenancy import scope
    from integrations.models import Customer

    services.register(KIND, "report")
    with mock.patch.object(services, "nudge"), scope.tenant(tenant.pk), transaction.atomic():
        runs = range(2 * (WARM + PAIRS) + 1)
        waiting = [services.enqueue(kind=KIND, key=str(number)).pk for number in runs]

    def reads(job: services.ClaimedJob) -> services.Outcome:
        with transaction.atomic():
            job.fence()
            if len(Customer.objects.order_by("sort_key")[:200]) != 200:
                raise RuntimeError("the job saw too few rows")
        return services.Outcome.done()

    def ran() -> float:
        job_id = waiting.pop()
        began = time.perf_counter()
        runner.run(reads, tenant_id=tenant.pk, job_id=job_id)
        return time.perf_counter() - began

    return ran


def _compared(name: str, asked: Callable[[], float], bare: Any) -> dict[str, float]:
    """Median with and without isolation; the difference is the median over the pairs.

    `settings` is how often the database was told the scope, along with a statement.
    """
    from calqsync.tenancy.backend.cursors import Connection

    with_it: list[float] = []
    without: list[float] = []
    for turn in range(WARM + PAIRS):
        for bound in (True, False) if turn % 2 else (False, True):
            if bound:
                spent = asked()
            else:
                with _without_isolation(bare):
                    spent = asked()
            if turn >= WARM:  # caches are filled by then
                (with_it if bound else without).append(spent * 1000)
    told: list[bytes] = []
    untold = Connection.untold

    def noted(connection: Connection) -> tuple[bytes, tuple[str, str, str]]:
        sql, wanted = untold(connection)
        told.extend([b"set_config"] * (b"set_config" in sql))
        return sql, wanted

    with mock.patch.object(Connection, "untold", noted):
        asked()
    added = statistics.median(a - b for a, b in zip(with_it, without, strict=True))
    isolated, plain = statistics.median(with_it), statistics.median(without)
    return {
        f"{name}_ms": round(isolated, 2),
        f"{name}_without_ms": round(plain, 2),
        f"{name}_added_ms": round(added, 3),
        f"{name}_ratio": round(isolated / plain, 3),
        f"{name}_settings": len(told),
    }
