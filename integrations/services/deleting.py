"""Deleting a connection's data: the key goes in the request, the rows go by a job."""

from __future__ import annotations

import time
from datetime import timedelta

from django.conf import settings
from django.db import connection as database
from django.db import transaction

from calqsync.jobs.services import ClaimedJob, Outcome, enqueue
from calqsync.tenancy import scope
from integrations.models import Connection
from integrations.signals import books_changed

KIND = "integrations.delete"
_BATCH = 500
# What is many, each with what hangs on it; the rest goes with the connection's own row.
_MANY = ("integrations_invoice", "integrations_rawdocument", "integrations_bankstatement")


def delete_later(connection: Connection) -> None:
    """Have the rows of a disconnected connection deleted; needs a transaction."""
    enqueue(kind=KIND, key=str(connection.pk))


def delete_slice(job: ClaimedJob) -> Outcome:
    """Delete as much as one slice allows, in short transactions; any worker may go on."""
    deadline = time.monotonic() + settings.JOB_SLICE_SECONDS
    pk = int(job.key)
    for table in _MANY:
        while _delete_some(job, table, pk):
            if time.monotonic() > deadline:
                return Outcome.again(timedelta(0))
    with transaction.atomic():
        job.fence()
        # The database's own cascade takes the books and, in rooms above, what hangs on them;
        # Django's would read every row into memory first.
        rows = Connection.objects.filter(pk=pk).exclude(deleting_at=None)
        if rows._raw_delete("default"):
            tenant_id = scope.required()
            books_changed.send(sender=Connection, tenant_id=tenant_id, connection_id=pk)
    return Outcome.done()


def _delete_some(job: ClaimedJob, table: str, connection_id: int) -> int:
    with transaction.atomic():
        job.fence()
        if not Connection.objects.filter(pk=connection_id).exclude(deleting_at=None).exists():
            return 0
        with database.cursor() as cursor:
            cursor.execute(
                f"DELETE FROM {table} WHERE tenant_id = %s AND id IN (SELECT id FROM {table}"  # noqa: S608 - a table of the list above
                " WHERE tenant_id = %s AND connection_id = %s LIMIT %s)",
                [job.tenant_id, job.tenant_id, connection_id, _BATCH],
            )
            return int(cursor.rowcount)
