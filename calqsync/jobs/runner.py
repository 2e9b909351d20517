"""The task base: a wake-up in, the tenant's scope opened, one handler called."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import structlog
from celery import shared_task
from django.db import connection

from calqsync.jobs import services
from calqsync.jobs.services import Cancelled, ClaimedJob, LostLease, Outcome
from calqsync.tenancy import scope

log = structlog.get_logger(__name__)
Handler = Callable[[ClaimedJob], Outcome]


def job_task(
    *, name: str, queue: str, revive_after: timedelta | None = None
) -> Callable[[Handler], Any]:
    """Register a handler as the Celery task of a job kind.

    The message carries (tenant id, job id). The handler runs with the tenant in scope and no
    transaction open; it opens its own and fences each one that writes. What it raises is
    retried with growing waits, except LostLease (another worker has it) and Cancelled.
    `revive_after` is for jobs that are their own schedule, see `services.register`.
    """

    def decorate(handler: Handler) -> Any:
        services.register(name, queue, revive_after=revive_after)

        # The queue travels with each message; the task itself needs none.
        @shared_task(name=name, acks_late=True, ignore_result=True)
        def wake(tenant_id: int, job_id: int) -> None:
            run(handler, tenant_id=tenant_id, job_id=job_id)

        return wake

    return decorate


def run(handler: Handler, *, tenant_id: int, job_id: int) -> None:
    """Claim and run one job; does nothing when it is not due or not free."""
    if scope.current() is not None:
        raise RuntimeError("a task began with another job's tenant still in scope")
    connection.close_if_unusable_or_obsolete()
    with scope.tenant(tenant_id), structlog.contextvars.bound_contextvars(job=job_id):
        job = services.claim(job_id)
        if job is not None:
            _run_claimed(handler, job)


def _run_claimed(handler: Handler, job: ClaimedJob) -> None:
    try:
        with services.kept(job):
            outcome = handler(job)
        services.finish(job, outcome)
    except LostLease:
        log.warning("job.lost_lease", kind=job.kind)
    except Cancelled:
        services.stopped(job)
    except Exception as error:
        log.exception("job.failed", kind=job.kind, attempts=job.attempts)
        # What failed may be the connection itself; a fresh one can still say so.
        if not connection.in_atomic_block:
            connection.close_if_unusable_or_obsolete()
        services.retry_later(job, error_class=type(error).__name__, error=str(error))
