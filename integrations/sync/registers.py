"""Customers and products: read from Procountor's registers before the invoices that name them."""

from __future__ import annotations

from django.db import connection as database
from django.db import transaction

from integrations.models import Product, Rejection
from integrations.models.runs import Stream
from integrations.procountor import records
from integrations.procountor.documents import Document, Rejected
from integrations.procountor.paging import LARGEST
from integrations.sync import evidence, mapping, targets
from integrations.sync.bulk import mark_unseen, upsert
from integrations.sync.work import Page, Work


def partners(work: Work) -> None:
    """Customers, active and inactive ones; details because the list lacks e-mail and group."""
    start = work.changed_from(Stream.PARTNERS)
    end = work.changed_to() if start else None
    for active in (True, False):
        for listed in work.client.partners(active=active, changed_from=start, changed_to=end):
            ids = [document.record.id for document in listed.documents]
            ids += [int(bad.external_id) for bad in listed.rejected if bad.external_id]
            details = work.client.partner_details(ids)
            missing = {str(number) for number in details.missing}
            seen = [d for d in listed.documents if d.external_id in missing]
            nameless = [bad for bad in listed.rejected if not bad.external_id]
            with work.page() as page:
                _load_partners(
                    work, page, [*details.documents, *seen], [*details.rejected, *nameless]
                )
    if work.incremental and work.rejected_before:
        _again(work)
    with work.page() as page:
        work.finish(Stream.PARTNERS, page)


def _again(work: Work) -> None:
    """Read once more what could not be understood before."""
    with transaction.atomic():
        rows = Rejection.objects.filter(connection=work.connection, stream=Stream.PARTNERS)
        ids = [int(name) for name in rows.values_list("external_id", flat=True) if name.isdigit()]
    for start in range(0, len(ids), LARGEST):
        details = work.client.partner_details(ids[start : start + LARGEST])
        with work.page() as page:
            _load_partners(work, page, list(details.documents), list(details.rejected))


def _load_partners(
    work: Work,
    page: Page,
    documents: list[Document[records.Partner]],
    rejected: list[Rejected],
) -> None:
    news = evidence.news(work, Stream.PARTNERS, documents)
    good = evidence.understood(
        work, page, Stream.PARTNERS, news.documents, mapping.customer, rejected
    )
    upsert(targets.CUSTOMERS, [row for _, row in good], **work.owner)
    evidence.keep(work, Stream.PARTNERS, [document for document, _ in good])
    evidence.count(page.tally(Stream.PARTNERS), documents, rejected, news, good)


def products(work: Work) -> None:
    """Sales products. The list is short and read whole, since products really disappear."""
    seen: set[str] = set()
    for listed in work.client.products():
        seen.update(document.external_id for document in listed.documents)
        seen.update(bad.external_id for bad in listed.rejected)
        with work.page() as page:
            _load_products(work, page, list(listed.documents), list(listed.rejected))
    with work.page() as page:
        # An empty list is more likely a missing right than an empty register.
        if seen:
            gone = mark_unseen(targets.PRODUCTS, seen, now=page.now, **work.owner)
            page.tally(Stream.PRODUCTS).removed += gone
        work.finish(Stream.PRODUCTS, page)


def _load_products(
    work: Work,
    page: Page,
    documents: list[Document[records.Product]],
    rejected: list[Rejected],
) -> None:
    news = evidence.news(work, Stream.PRODUCTS, documents)
    good = evidence.understood(
        work, page, Stream.PRODUCTS, news.documents, mapping.product, rejected
    )
    written = upsert(targets.PRODUCTS, [row for _, row in good], **work.owner)
    evidence.keep(work, Stream.PRODUCTS, [document for document, _ in good])
    evidence.count(page.tally(Stream.PRODUCTS), documents, rejected, news, good)
    back = Product.objects.filter(
        connection=work.connection, external_id__in=[d.external_id for d in documents]
    )
    page.tally(Stream.PRODUCTS).changed += back.exclude(removed_at=None).update(removed_at=None)
    if written.added:
        _adopt_lines(work, list(written.added))


def _adopt_lines(work: Work, external_ids: list[str]) -> None:
    """Lines imported before their product was, or after it had gone, now point to it."""
    with database.cursor() as cursor:
        cursor.execute(
            "UPDATE integrations_invoiceline l SET product_id = p.id FROM integrations_product p"
            " WHERE l.tenant_id = %(tenant)s AND l.connection_id = %(owner)s"
            " AND l.product_id IS NULL AND l.product_external_id = p.external_id"
            " AND p.tenant_id = %(tenant)s AND p.connection_id = %(owner)s"
            " AND p.external_id = ANY(%(ids)s)",
            {
                "tenant": work.connection.tenant_id,
                "owner": work.connection.pk,
                "ids": external_ids,
            },
        )
