"""Deleting finished jobs, a bounded number at a time."""

from __future__ import annotations

from datetime import datetime

from django.db import connection, transaction

from calqsync.jobs.services import ClaimedJob
from calqsync.tenancy import scope

_STEP = 1_000
# So many a run at most: what is left is for the next one.
AT_ONCE = 50_000


def ended_delete(job: ClaimedJob, *, before: datetime) -> int:
    """Delete jobs of the tenant in scope that ended before then, oldest first; how many.

    Returns AT_ONCE when there may be more. Each step is a transaction of its own, so that nobody
    waits for a long one.
    """
    deleted = 0
    while deleted < AT_ONCE:
        with transaction.atomic():
            job.fence()
            step = _delete_some(scope.required(), before)
        deleted += step
        if step < _STEP:
            break
    return deleted


def _delete_some(tenant_id: int, before: datetime) -> int:
    with connection.cursor() as cursor:
        cursor.execute(
            "WITH old AS MATERIALIZED (SELECT id FROM jobs_job WHERE tenant_id = %s"
            " AND finished_at IS NOT NULL AND finished_at < %s ORDER BY finished_at LIMIT %s)"
            " DELETE FROM jobs_job j USING old WHERE j.tenant_id = %s AND j.id = old.id",
            [tenant_id, before, _STEP, tenant_id],
        )
        return int(cursor.rowcount)
