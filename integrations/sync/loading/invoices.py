"""Invoices into the books: the row, its lines, and a customer that no register knew."""

from __future__ import annotations

from collections.abc import Sequence

from django.db import connection as database
from django.db.models import Count

from integrations.models import Invoice, InvoiceLine
from integrations.models.runs import Stream
from integrations.procountor import records
from integrations.procountor.documents import Document, Rejected
from integrations.sync import evidence, targets
from integrations.sync.bulk import before, found, insert_missing, store, upsert
from integrations.sync.prepared import InvoiceLines
from integrations.sync.rows import CustomerRow
from integrations.sync.work import Page, Work


def load_invoices(
    work: Work,
    page: Page,
    documents: Sequence[Document[records.Invoice]],
    rejected: Sequence[Rejected] = (),
) -> None:
    """Write invoices that say something new, with their lines and unknown customers."""
    news = evidence.news(work, Stream.INVOICES, documents)
    home = work.connection.currency

    def read(document: Document[records.Invoice]) -> InvoiceLines:
        return work.prepared.invoice(document, home=home)

    good = evidence.taken(work, page, Stream.INVOICES, news.documents, read, rejected)
    mapped = [one for _, one in good]
    customers = _customers(work, page, {one.customer.identity: one.customer for one in mapped})
    written = upsert(
        targets.INVOICES,
        [before([customers[one.customer.identity]], one.line) for one in mapped],
        fresh=not news.known,
        **work.owner,
    )
    ids = written.ids
    # The row of an invoice may be the same although its document changed.
    same = [one.external_id for one in mapped if one.external_id not in ids]
    ids |= found(targets.INVOICES, "external_id", same, **work.owner)
    lines = [
        before([ids[one.external_id], work.products.get(product)], line)
        for one in mapped
        for product, line in one.rows
    ]
    existing = [one for one in mapped if one.external_id not in written.added]
    store(targets.LINES, lines, fresh=not existing, **work.owner)
    _drop_surplus_lines({ids[one.external_id]: len(one.rows) for one in existing})
    if work.run.mode == "full":
        names = [document.external_id for document in documents]
        back = Invoice.objects.filter(connection=work.connection, external_id__in=names)
        back.exclude(removed_at=None).update(removed_at=None)
    if work.rejected_before and written.added:
        _adopt_payments(work, list(written.added))
    else:
        page.new_invoices |= written.added
    kept = [document for document, _ in good]
    evidence.keep(work, Stream.INVOICES, kept, fresh=not news.known)
    evidence.count(page.tally(Stream.INVOICES), documents, rejected, news, good)


def _customers(work: Work, page: Page, payers: dict[str, CustomerRow]) -> dict[str, int]:
    """Ids of the payers by identity; those that no register told are added."""
    ids: dict[str, int] = found(targets.CUSTOMERS, "identity", payers, **work.owner)
    unknown = [row for identity, row in payers.items() if identity not in ids]
    added = insert_missing(targets.CUSTOMERS, unknown, **work.owner)
    page.tally(Stream.PARTNERS).added += len(added)
    return ids | added


def _drop_surplus_lines(sizes: dict[int, int]) -> None:
    """Delete lines beyond the new number of an invoice's rows, with what hangs on them."""
    if not sizes:
        return
    stored = (
        InvoiceLine.objects.filter(invoice__in=sizes)
        .values("invoice")
        .annotate(n=Count("pk"))
        .order_by()
    )
    for row in stored:
        if row["n"] > sizes[row["invoice"]]:
            surplus = InvoiceLine.objects.filter(
                invoice=row["invoice"], position__gte=sizes[row["invoice"]]
            )
            surplus.delete()


def _adopt_payments(work: Work, external_ids: list[str]) -> None:
    """Payments that came while their invoice was set aside now belong to it."""
    with database.cursor() as cursor:
        cursor.execute(
            "UPDATE integrations_payment y SET invoice_id = i.id FROM integrations_invoice i"
            " WHERE y.tenant_id = %(tenant)s AND y.connection_id = %(owner)s"
            " AND y.invoice_id IS NULL AND y.invoice_external_id = i.external_id"
            " AND i.tenant_id = %(tenant)s AND i.connection_id = %(owner)s"
            " AND i.external_id = ANY(%(ids)s)",
            {
                "tenant": work.connection.tenant_id,
                "owner": work.connection.pk,
                "ids": external_ids,
            },
        )
