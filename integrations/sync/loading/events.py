"""Payment events into the books; what an invoice no longer has is marked as gone."""

from __future__ import annotations

from integrations.models import Payment
from integrations.models.runs import Stream
from integrations.procountor import records
from integrations.procountor.documents import Document
from integrations.sync import evidence, targets
from integrations.sync.bulk import before, found, upsert
from integrations.sync.prepared import PaymentLine
from integrations.sync.settling import Events
from integrations.sync.work import Page, Work


def load_events(work: Work, page: Page, events: Events) -> set[str]:
    """Write the events; the external ids of invoices whose payments changed come back."""
    if not events.invoice_ids:
        return set()
    tally = page.tally(Stream.PAYMENTS)
    news = evidence.news(work, Stream.PAYMENTS, events.documents)
    home = work.connection.currency

    def read(document: Document[records.PaymentEvent]) -> PaymentLine:
        kind = events.kinds.get(document.external_id)
        return work.prepared.payment(document, home=home, kind=kind)

    good = evidence.taken(work, page, Stream.PAYMENTS, news.documents, read, events.rejected)
    rows = {row.external_id: row for _, row in good}
    fresh = {document.external_id for document in news.documents}
    for document in events.documents:
        # Its type was learnt although it says the same as before.
        if document.external_id in events.kinds and document.external_id not in fresh:
            rows[document.external_id] = read(document)
    # An invoice that came with this very transaction has no payments yet that could be gone.
    names = [name for name in map(str, events.invoice_ids) if name not in page.new_invoices]
    stored = found(targets.INVOICES, "external_id", names, **work.owner)
    ids = stored | page.new_invoices
    written = upsert(
        targets.PAYMENTS,
        [before([ids.get(row.invoice_external_id)], row.line) for row in rows.values()],
        fresh=not news.known,
        **work.owner,
    )
    kept = [document for document, _ in good]
    evidence.keep(work, Stream.PAYMENTS, kept, fresh=not news.known)
    evidence.count(tally, events.documents, events.rejected, news, good)
    moved = {rows[key].invoice_external_id for key in written.ids}
    gone = _remove_gone(work, page, events, list(stored.values()))
    tally.removed += len(gone)
    return moved | set(gone)


def _remove_gone(work: Work, page: Page, events: Events, invoice_ids: list[int]) -> list[str]:
    """Mark events that these invoices no longer have; the invoices concerned, once an event."""
    if not all(rejected.external_id for rejected in events.rejected):
        # One whose number could not be read may be any of them.
        return []
    if not invoice_ids:
        return []
    seen = [d.external_id for d in events.documents] + [r.external_id for r in events.rejected]
    stored = Payment.objects.filter(invoice__in=invoice_ids)
    away = stored.filter(removed_at=None).exclude(external_id__in=seen)
    gone = list(away.values_list("invoice_external_id", flat=True))
    if gone:
        away.update(removed_at=page.now)
    if work.run.mode != "first":
        stored.filter(external_id__in=seen).exclude(removed_at=None).update(removed_at=None)
    return gone
