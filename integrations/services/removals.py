"""What people say about many documents that vanished at once: deleted, or look again."""

from __future__ import annotations

from datetime import datetime

from django.db import transaction

from calqsync.tenancy.models import User
from calqsync.tenancy.services import audit
from integrations.models import RemovalHold, SyncRun
from integrations.services.runs import sync_request
from integrations.sync.work import take


@transaction.atomic
def removals_confirm(*, hold: RemovalHold, by: User, now: datetime) -> SyncRun | None:
    """Say that they were deleted in Procountor: a full import that misses them again removes them.

    The word stays until such an import, or until `removals_check` takes it back. None where the
    connection imports nothing now (`sync_request`). Raises PlanNeeded.
    """
    return _said(hold, by=by, now=now, confirmed=True)


@transaction.atomic
def removals_check(*, hold: RemovalHold, by: User, now: datetime) -> SyncRun | None:
    """Have a full import look once more and remove nothing; takes a word given before back.

    None where the connection imports nothing now (`sync_request`). Raises PlanNeeded.
    """
    return _said(hold, by=by, now=now, confirmed=False)


def _said(hold: RemovalHold, *, by: User, now: datetime, confirmed: bool) -> SyncRun | None:
    # First the connection, then what belongs to it, as a worker does.
    take(hold.connection)
    open_ = RemovalHold.objects.filter(pk=hold.pk, ended_at=None)
    changed = open_.update(
        confirmed_at=now if confirmed else None, confirmed_by=by if confirmed else None
    )
    if not changed:
        return None  # seen again, or removed, while the page was open
    audit(
        act="removal.confirmed" if confirmed else "removal.checked",
        by=by,
        target=hold.connection.name,
        after={
            "connection": str(hold.connection.public_id),
            "stream": str(hold.get_stream_display()),
            "missing": hold.missing,
            "stored": hold.stored,
        },
    )
    return sync_request(connection=hold.connection, by=by, now=now, full=True)
