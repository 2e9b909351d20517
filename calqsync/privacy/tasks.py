"""The doors for workers: a claimed job in, one service called."""

from __future__ import annotations

from datetime import timedelta

from django.utils import timezone

from calqsync.jobs.cleaning import AT_ONCE
from calqsync.jobs.runner import job_task
from calqsync.jobs.services import ClaimedJob, Outcome
from calqsync.privacy.services import companies, exports, retention


@job_task(name=companies.ERASE, queue="report", revive_after=timedelta(hours=1))
def erase(job: ClaimedJob) -> Outcome:
    """Remind of the deletion when it is near, and erase the company when it is due."""
    return companies.deletion_work(job, now=timezone.now())


@job_task(name=exports.KIND, queue="report")
def export(job: ClaimedJob) -> Outcome:
    """Write the full copy of a company's data that somebody asked for."""
    return exports.export_write(job, now=timezone.now())


@job_task(name=retention.SWEEP, queue="report", revive_after=timedelta(hours=1))
def sweep(job: ClaimedJob) -> Outcome:
    """Delete what has been kept long enough."""
    deleted = retention.sweep(job, now=timezone.now())
    more = deleted["jobs"] >= AT_ONCE
    return Outcome.again(timedelta(0) if more else retention.EVERY)
