"""Kinds of job that note each of their effects in the table `tests_effect`."""

from __future__ import annotations

import os
import signal
import time
from datetime import timedelta

from django.db import connection, transaction

from calqsync.jobs import services
from calqsync.jobs.runner import job_task
from calqsync.jobs.services import ClaimedJob, Outcome


def effect(job: ClaimedJob, part: int = 0) -> None:
    """One write of this run; needs a running transaction that began with the fence."""
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO tests_effect (job_id, kind, key, part, epoch, node, tenant_id)"
            " VALUES (%s, %s, %s, %s, %s, %s, %s)",
            [job.id, job.kind, job.key, part, job.epoch, services.node, job.tenant_id],
        )


@job_task(name="tests.note", queue="sync")
def note(job: ClaimedJob) -> Outcome:
    """One effect, then the payload's `seconds` of work."""
    with transaction.atomic():
        job.fence()
        effect(job)
    time.sleep(job.payload.get("seconds", 0))
    return Outcome.done()


@job_task(name="tests.steps", queue="report")
def steps(job: ClaimedJob) -> Outcome:
    """Pages as an import writes them: each once, gone on with after a break."""
    for page in range(job.payload.get("pages", 10)):
        with transaction.atomic():
            job.fence()
            with connection.cursor() as cursor:
                cursor.execute(
                    "SELECT 1 FROM tests_effect WHERE job_id = %s AND part = %s", [job.id, page]
                )
                done = cursor.fetchone()
            if not done:
                effect(job, page)
                time.sleep(job.payload.get("inside", 0))
        time.sleep(job.payload.get("seconds", 0))
    return Outcome.done()


@job_task(name="tests.held", queue="sync")
def held(job: ClaimedJob) -> Outcome:
    """One effect, then at work until the test releases it."""
    with transaction.atomic():
        job.fence()
        effect(job)
    while not released(job):
        time.sleep(0.05)
    return Outcome.done()


def released(job: ClaimedJob) -> bool:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT 1 FROM tests_effect WHERE job_id = %s AND kind = 'release'", [job.id]
        )
        return cursor.fetchone() is not None


@job_task(name="tests.again", queue="report", revive_after=timedelta(hours=1))
def again(job: ClaimedJob) -> Outcome:
    """Its own schedule: one effect a period."""
    with transaction.atomic():
        job.fence()
        effect(job)
    return Outcome.again(timedelta(seconds=job.payload["every"]))


@job_task(name="tests.dies", queue="sync")
def dies(job: ClaimedJob) -> Outcome:
    """Takes its process with it, as one that needs too much memory does."""
    with transaction.atomic():
        job.fence()
        effect(job)
    os.kill(os.getpid(), signal.SIGKILL)
    return Outcome.done()


if os.environ.get("TESTS_RELEASE") == "newer":

    @job_task(name="tests.newer", queue="sync")
    def newer(job: ClaimedJob) -> Outcome:
        """A kind that workers of the release before do not know."""
        with transaction.atomic():
            job.fence()
            effect(job)
        return Outcome.done()
