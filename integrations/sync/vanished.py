"""What a complete run no longer saw: marked as removed, if that many may be believed."""

from __future__ import annotations

from typing import Any

import structlog

from integrations.models import BankAccount, Invoice, Product, Rejection, RemovalHold
from integrations.models.runs import Stream
from integrations.sync.staging import GONE, SEEN, held_ids
from integrations.sync.trouble import ask_about_removals
from integrations.sync.work import Page, Work

log = structlog.get_logger(__name__)

# So many may vanish at once and be believed, or one in so many, whichever is more.
FEW, SHARE = 20, 20
# Of a small register, more than every second one is not believed.
_SMALL = 6


def believed(work: Work, page: Page, stream: Stream, *, missing: int, stored: int) -> bool:
    """Whether documents that a complete run missed may be taken for removed.

    So many at once are more likely a right that was taken away. They are held until a person
    has said that they were deleted and a later run misses them again.
    """
    held = RemovalHold.objects.filter(connection=work.connection, stream=stream, ended_at=None)
    hold = held.select_for_update().first()
    if not _too_many(missing, stored):
        if hold is not None:
            held.update(ended_at=page.now)
        return missing > 0
    if hold is None:
        log.warning("sync.removal_held", stream=stream.value, missing=missing, stored=stored)
        hold = RemovalHold.objects.create(
            tenant_id=work.connection.tenant_id,
            connection=work.connection,
            stream=stream,
            found_at=page.now,
            missing=missing,
            stored=stored,
        )
        # The server names it, and its letter is about that name.
        hold.refresh_from_db(fields=["public_id"])
        ask_about_removals(hold)
        return False
    confirmed = hold.confirmed_at is not None and hold.confirmed_at <= work.run.started_at
    if confirmed and missing <= hold.missing + max(FEW, hold.missing // SHARE):
        return True
    # More than was confirmed: the question is asked anew.
    changed = {"confirmed_at": None, "confirmed_by": None} if confirmed else {}
    held.update(missing=missing, stored=stored, **changed)
    if confirmed:
        ask_about_removals(hold)
    return False


def _too_many(missing: int, stored: int) -> bool:
    if missing == stored > 0:
        return True
    if stored >= _SMALL and 2 * missing > stored:
        return True
    return missing > max(FEW, stored // SHARE)


def settle(work: Work, page: Page) -> None:
    """Mark what is gone and bring back what was seen again; part of the promotion."""
    _invoices(work, page)
    for stream, model in ((Stream.PRODUCTS, Product), (Stream.BANK, BankAccount)):
        if stream in work.finished():
            _register(work, page, stream, model)
    if work.run.mode == "full":
        # It read everything: what it did not set aside again, in this very transaction, is
        # understood, or gone. Told by no clock's order: another worker's may go differently.
        rows = Rejection.objects.filter(connection=work.connection, stream__in=work.finished())
        rows.exclude(last_seen_at=page.now).delete()


def _invoices(work: Work, page: Page) -> None:
    if work.run.mode != "full":
        return
    rows = Invoice.objects.filter(connection=work.connection)
    tally = page.tally(Stream.INVOICES)
    gone = held_ids(work, GONE, Stream.INVOICES)
    tally.removed += rows.filter(external_id__in=gone, removed_at=None).update(removed_at=page.now)
    tally.changed += _back(rows, held_ids(work, SEEN, Stream.INVOICES))
    if gone:
        _end_confirmed(work, page, Stream.INVOICES)


def _register(work: Work, page: Page, stream: Stream, model: Any) -> None:
    """Registers are read whole by every run, so whatever was not seen has vanished."""
    seen = held_ids(work, SEEN, stream)
    rows = model.objects.filter(connection=work.connection)
    stored = set(rows.filter(removed_at=None).values_list("external_id", flat=True))
    unseen = stored - seen
    tally = page.tally(stream)
    # A document whose number could not be read may be any of them.
    readable = "" not in seen
    if readable and believed(work, page, stream, missing=len(unseen), stored=len(stored)):
        tally.removed += rows.filter(external_id__in=unseen).update(removed_at=page.now)
        _end_confirmed(work, page, stream)
    tally.changed += _back(rows, seen)


def _end_confirmed(work: Work, page: Page, stream: Stream) -> None:
    RemovalHold.objects.filter(
        connection=work.connection,
        stream=stream,
        ended_at=None,
        confirmed_at__lte=work.run.started_at,
    ).update(ended_at=page.now)


def _back(rows: Any, seen: set[str]) -> int:
    away = rows.exclude(removed_at=None).values_list("pk", "external_id")
    back = [pk for pk, external_id in away if external_id in seen]
    return int(rows.filter(pk__in=back).update(removed_at=None)) if back else 0
