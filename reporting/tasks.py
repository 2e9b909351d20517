"""Jobs of this room."""

from __future__ import annotations

from datetime import timedelta

from django.utils import timezone

from calqsync.jobs.runner import job_task
from calqsync.jobs.services import ClaimedJob, Outcome
from reporting import services

SWEEP_EVERY = timedelta(hours=1)


@job_task(name=services.KIND, queue="report", revive_after=timedelta(hours=1))
def refresh(job: ClaimedJob) -> Outcome:
    """Recompute a tenant's figures: now, and at each of the company's midnights."""
    if wait := services.rest(job=job, now=timezone.now()):
        return Outcome.again(wait)
    services.report_refresh(job=job, now=timezone.now())
    return Outcome.again(services.until_midnight(tenant_id=job.tenant_id, now=timezone.now()))


@job_task(name=services.SWEEP, queue="report", revive_after=timedelta(hours=1))
def sweep(job: ClaimedJob) -> Outcome:
    """Look every hour for figures that fell behind the books, and for versions past their time."""
    services.stale_refresh(now=timezone.now())
    services.versions_thin(today=timezone.now().date())
    return Outcome.again(SWEEP_EVERY)
