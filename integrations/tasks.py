"""The doors for workers: a claimed job in, one service called."""

from __future__ import annotations

from datetime import timedelta

from calqsync.jobs.runner import job_task
from calqsync.jobs.services import ClaimedJob, Outcome
from integrations.services import (
    deleting,
    letters,  # noqa: F401 - registers what the mail job can write
)
from integrations.sync import engine


@job_task(name=engine.KIND, queue="sync", revive_after=timedelta(hours=1))
def sync(job: ClaimedJob) -> Outcome:
    """Import what is due for the connection that the job's key names."""
    return engine.sync_slice(job)


@job_task(name=deleting.KIND, queue="report", revive_after=timedelta(hours=1))
def delete(job: ClaimedJob) -> Outcome:
    """Delete the data of the connection that the job's key names."""
    return deleting.delete_slice(job)
