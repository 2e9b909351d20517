"""Waits until what the demo started has come to its end in the database."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import datetime

from django.db import transaction
from django.utils import timezone

from calqsync.jobs.models import LIVE, Job, JobState
from calqsync.local.errors import StackError
from calqsync.tenancy import scope
from calqsync.tenancy.models import Tenant
from integrations.models import Connection, SyncRun
from integrations.models.runs import OPEN_STATES, RunState
from reporting.models import Report

IMPORT_SECONDS = 900
REPORT_SECONDS = 300
DONE = (RunState.COMPLETE, RunState.COMPLETE_WITH_REJECTS)


def now() -> datetime:
    return timezone.now()


def is_connected(tenant: Tenant, name: str) -> bool:
    """Whether a connection of that name exists."""
    with scope.tenant(tenant.pk), transaction.atomic():
        return Connection.objects.filter(name=name, disconnected_at=None).exists()


def for_imports(tenant: Tenant, *, since: datetime, check: Callable[[], None]) -> None:
    """Return when each connection has finished a run that started (or was open) after `since`."""

    def done() -> bool:
        for connection in Connection.objects.all():
            runs = SyncRun.objects.filter(connection=connection)
            if runs.filter(state__in=OPEN_STATES).exists():
                return False
            last = runs.order_by("-started_at").first()
            if last is None or last.finished_at is None or last.finished_at < since:
                return False
            if last.state not in DONE:
                raise StackError(
                    f"The import of {connection.name} ended as {last.get_state_display()}. "
                    f"{last.error}"
                )
        return True

    _poll(tenant, done, check, seconds=IMPORT_SECONDS, what="import")


def for_report(tenant: Tenant, *, check: Callable[[], None]) -> None:
    """Return when figures over all connections are published and no report job is left."""

    def done() -> bool:
        jobs = Job.objects.filter(kind__startswith="reporting.")
        failed = jobs.filter(state=JobState.FAILED).order_by("-pk").first()
        report = Report.objects.first()
        busy = jobs.filter(state__in=LIVE, run_after__lte=timezone.now()).exists()
        if failed and not busy and report is None:
            raise StackError(f"The figures could not be computed. {failed.error}")
        included = {row["name"] for row in report.freshness if row["included"]} if report else set()
        wanted = set(Connection.objects.values_list("name", flat=True))
        return not busy and wanted <= included

    _poll(tenant, done, check, seconds=REPORT_SECONDS, what="report")


def _poll(
    tenant: Tenant,
    done: Callable[[], bool],
    check: Callable[[], None],
    *,
    seconds: float,
    what: str,
) -> None:
    deadline = time.monotonic() + seconds
    while True:
        with scope.tenant(tenant.pk), transaction.atomic():
            if done():
                return
        check()
        if time.monotonic() > deadline:
            raise StackError(
                f"The {what} did not end within {seconds:.0f} s; "
                "see .calqsync/logs/worker.log for what it does."
            )
        time.sleep(0.1)
