"""What people do about documents that could not be understood: look, retry, ignore."""

from __future__ import annotations

from datetime import datetime

import msgspec
from django.db import transaction
from django.db.models import QuerySet

from calqsync.tenancy.models import User
from calqsync.tenancy.secrets import sealer
from calqsync.tenancy.services import audit
from integrations.models import Connection, Rejection, SyncRun
from integrations.models.runs import GIVES_UP_AFTER, Stream
from integrations.services.names import tidy
from integrations.services.runs import sync_request
from integrations.sync.evidence import opened

# How many numbers an entry of the audit log names.
_NAMED = 500


@transaction.atomic
def rejections_retry(
    *, connection: Connection, rejections: QuerySet[Rejection], by: User, now: datetime
) -> SyncRun | None:
    """Ask Procountor for these documents again, in the run that is answered.

    Payments and bank statements cannot be asked for by number, so a full import reads them.
    What was given up is tried as often as before. Joins an open run, which may have asked
    already. None, and nothing asked, where none of them is open or the connection imports
    nothing (`sync_request`). Raises PlanNeeded.
    """
    chosen = rejections.filter(ignored_at=None)
    numbers = _numbers(chosen)
    whole = chosen.filter(stream__in=[Stream.PAYMENTS, Stream.BANK]).exists()
    run = sync_request(connection=connection, by=by, now=now, full=whole) if numbers else None
    if run is not None:
        chosen.filter(attempts__gte=GIVES_UP_AFTER).update(attempts=0)
        after = {"run": str(run.public_id)} | _named(connection, numbers)
        audit(act="rejection.retried", by=by, target=connection.name, after=after)
    return run


@transaction.atomic
def rejections_ignore(
    *,
    connection: Connection,
    rejections: QuerySet[Rejection],
    why: str,
    by: User,
    now: datetime,
) -> int:
    """Keep these documents without counting or retrying them; how many there were.

    A later version that can be understood is imported all the same.
    """
    held = rejections.filter(ignored_at=None).select_for_update(no_key=True)
    numbers, reason = _numbers(held), tidy(why)[:200]
    if not numbers:
        return 0
    changed = rejections.filter(ignored_at=None).update(
        ignored_at=now, ignored_by=by, ignored_reason=reason
    )
    after = {"reason": reason} | _named(connection, numbers)
    audit(act="rejection.ignored", by=by, target=connection.name, after=after)
    return changed


@transaction.atomic
def rejections_unignore(
    *, connection: Connection, rejections: QuerySet[Rejection], by: User
) -> int:
    """Count these documents and try them again with each import; how many there were."""
    held = rejections.exclude(ignored_at=None).select_for_update(no_key=True)
    numbers = _numbers(held)
    if not numbers:
        return 0
    changed = rejections.exclude(ignored_at=None).update(
        ignored_at=None, ignored_by=None, ignored_reason=""
    )
    after = _named(connection, numbers)
    audit(act="rejection.unignored", by=by, target=connection.name, after=after)
    return changed


@transaction.atomic
def rejection_open(*, rejection: Rejection, by: User) -> str:
    """What Procountor sent, as text; laid out where it is JSON. Raises SecretUnreadable.

    Each opening stands in the audit log.
    """
    raw = opened(rejection, sealer())
    audit(
        act="rejection.opened",
        by=by,
        target=f"{rejection.get_stream_display()} {rejection.external_id}",
        after={"connection": str(rejection.connection.public_id)},
    )
    try:
        # Only blanks are added: numbers stay digit by digit as they came.
        text = msgspec.json.format(raw, indent=2).decode()
    except (msgspec.DecodeError, UnicodeDecodeError):
        text = raw.decode(errors="backslashreplace")
    return "".join(sign if sign.isprintable() or sign in "\n\t" else "\ufffd" for sign in text)


def _numbers(rejections: QuerySet[Rejection]) -> list[str]:
    rows = rejections.order_by("stream", "external_id").values_list("stream", "external_id")
    return [f"{stream} {number}" for stream, number in rows]


def _named(connection: Connection, numbers: list[str]) -> dict[str, object]:
    return {
        "connection": str(connection.public_id),
        "count": len(numbers),
        "documents": numbers[:_NAMED],
    }
