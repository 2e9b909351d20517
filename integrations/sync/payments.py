"""Open invoices are asked again each run: a payment need not change the invoice's version."""

from __future__ import annotations

from decimal import Decimal

from django.db import transaction

from integrations.models import Invoice
from integrations.models.runs import Stream
from integrations.procountor.paging import LARGEST
from integrations.procountor.vocabulary import OPEN_STATUSES
from integrations.sync import settling
from integrations.sync.settling import Standing
from integrations.sync.staging import INVOICES, Bundle, deliver, events_bundle, moved_invoices
from integrations.sync.values import digits
from integrations.sync.work import Work


def payments(work: Work) -> None:
    """Re-read the payments of open invoices; a first or full run has just read them all."""
    stored = work.position(Stream.PAYMENTS).get("after")
    after = stored if isinstance(stored, int) else 0
    while work.incremental:
        found = _open_after(work, after)
        if not found:
            break
        _again(work, found)
        after = found[-1].pk
        work.breathe()
    with work.page() as page:
        work.finish(Stream.PAYMENTS, page)


def _open_after(work: Work, after: int) -> list[Invoice]:
    with transaction.atomic():
        rows = Invoice.objects.filter(
            connection=work.connection,
            issued=True,
            status__in=OPEN_STATUSES,
            removed_at=None,
            pk__gt=after,
        ).order_by("pk")
        return list(rows.only("external_id", "status", "total_minor", "currency")[:LARGEST])


def _again(work: Work, found: list[Invoice]) -> None:
    standings = {
        int(i.external_id): Standing(
            i.status, Decimal(i.total_minor).scaleb(-digits(i.currency)), i.currency
        )
        for i in found
    }
    with transaction.atomic():
        known = settling.known_kinds(work, standings)
    events = settling.read_events(work.client, list(standings), standings, known)
    bundle = events_bundle(events)
    with transaction.atomic():
        moved = moved_invoices(work, bundle)
    details = work.client.invoice_details(sorted(moved))
    with work.page() as page:
        deliver(work, page, bundle)
        deliver(
            work,
            page,
            Bundle(kind=INVOICES, documents=details.documents, rejected=details.rejected),
        )
        page.tally(Stream.PAYMENTS).position = {"after": found[-1].pk}
