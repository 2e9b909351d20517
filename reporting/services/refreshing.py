"""One computation of a tenant's figures, from the books to the published report."""

from __future__ import annotations

import time
from collections.abc import Collection
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

import structlog
from django.db import IntegrityError, transaction

from calqsync.jobs.models import JobState
from calqsync.jobs.services import ClaimedJob, enqueue, live_job
from calqsync.tenancy import scope
from calqsync.tenancy.bulk import Written
from calqsync.tenancy.models import Tenant
from reporting import feed
from reporting.body import BODY_VERSION
from reporting.models import REFRESH, Report
from reporting.services import keeping
from reporting.services.publishing import (
    Publication,
    follow,
    publish_everything,
    read_everything,
    step_of,
)

log = structlog.get_logger(__name__)
KIND = REFRESH
SWEEP = "reporting.sweep"
TRIES = 3
RESTS = 9


def report_refresh(*, job: ClaimedJob, now: datetime) -> Written:
    """Recompute the tenant's figures and publish them at once; returns the rows that differed.

    Readers see the figures as they were until the one transaction that replaces them commits.
    Running it again on the same books and day writes nothing.
    """
    for attempt in range(TRIES):
        try:
            return _refresh_once(job, now)
        except IntegrityError:
            # An import took away a document between reading and writing: read again.
            log.info("report.books_moved", attempt=attempt)
            if attempt + 1 == TRIES:
                raise
    raise AssertionError("unreachable")


def _refresh_once(job: ClaimedJob, now: datetime) -> Written:
    began = time.monotonic()
    with scope.one_state(), transaction.atomic():
        tenant = Tenant.objects.get(pk=job.tenant_id)
        day = business_day(tenant, now)
        change = keeping.changes()
        step = step_of(tenant=tenant, day=day, change=change)
        everything = None if step else read_everything(tenant=tenant, day=day, change=change)
    publication = Publication(fence=job.fence, now=now, began=began)
    written = follow(step, publication) if step else None
    if written is None:
        if everything is None:
            with scope.one_state(), transaction.atomic():
                # The changes that the transaction above saw, and perhaps more.
                change = keeping.changes()
                everything = read_everything(tenant=tenant, day=day, change=change)
        written = publish_everything(everything, publication)
    # A step that was given up leaves everything behind it: that is what the figures are made of.
    read = everything or step
    assert read is not None
    log.info(
        "report.refreshed",
        lines=len(read.books.lines),
        followed=everything is None,
        written=written.total,
        seconds=round(time.monotonic() - began, 2),
    )
    return written


def business_day(tenant: Tenant, now: datetime) -> date:
    """The day that `now` is in the company's own time zone."""
    return now.astimezone(ZoneInfo(tenant.time_zone)).date()


@transaction.atomic
def until_midnight(*, tenant_id: int, now: datetime) -> timedelta:
    """How long until the company's next day, when receivables, lateness and runway have aged."""
    tenant = Tenant.objects.get(pk=tenant_id)
    tomorrow = business_day(tenant, now) + timedelta(days=1)
    zone = ZoneInfo(tenant.time_zone)
    return datetime(tomorrow.year, tomorrow.month, tomorrow.day, tzinfo=zone) - now


@transaction.atomic
def refresh_enqueue(
    *, patient: bool = False, customers: Collection[int] | None = None, bank: bool = True
) -> None:
    """Have the figures of the tenant in scope recomputed soon, after some change.

    `customers` are all whose figures may be concerned, None: everybody's may; `bank` says whether
    those of the bank may. Asked for any number of times while one computation runs, one more
    follows it. A patient caller's computation may wait while a first import loads (`rest`).
    """
    keeping.change_note(customers=customers, bank=bank)
    enqueue(kind=KIND, payload={"patient": patient})


@transaction.atomic
def rest(*, job: ClaimedJob, now: datetime) -> timedelta:
    """How long the computation may still wait; zero unless it would soon be done again.

    While the first import of all loads, each computation is replaced by the next one. Nine times
    as long as the last one took, the import has the machine for itself.
    """
    report = Report.objects.first()
    if report is None or not job.payload.get("patient") or not feed.loading():
        return timedelta(0)
    took = timedelta(milliseconds=report.compute_ms)
    return max(report.published_at + (1 + RESTS) * took - now, timedelta(0))


@transaction.atomic
def sweep_ensure() -> None:
    """Have the tenant in scope looked after by the sweep."""
    if live_job(kind=SWEEP) is None:
        enqueue(kind=SWEEP)


@transaction.atomic
def stale_refresh(*, now: datetime) -> bool:
    """Recompute figures older than the books, the day or the program; True when they were.

    What a message that was lost, or a computation that failed for good, left behind.
    """
    tenant = Tenant.objects.get(pk=scope.required())
    fresh = feed.freshness(tenant.currency)
    report = Report.objects.first()
    if report is None:
        stale = any(one["as_of"] for one in fresh)
    else:
        stale = (
            report.freshness != fresh
            or report.as_of != business_day(tenant, now)
            or report.body["version"] != BODY_VERSION
        )
    job = live_job(kind=KIND)
    if not stale or (job is not None and job.state == JobState.LEASED):
        return False
    refresh_enqueue()
    return True
