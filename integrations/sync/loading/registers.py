"""Customers and products into the books."""

from __future__ import annotations

from collections.abc import Sequence

from django.db import connection as database

from integrations.models import Product
from integrations.models.runs import Stream
from integrations.procountor import records
from integrations.procountor.documents import Document, Rejected
from integrations.sync import evidence, mapping, targets
from integrations.sync.bulk import upsert
from integrations.sync.work import Page, Work


def load_partners(
    work: Work,
    page: Page,
    documents: Sequence[Document[records.Partner]],
    rejected: Sequence[Rejected],
) -> None:
    news = evidence.news(work, Stream.PARTNERS, documents)
    good = evidence.understood(
        work, page, Stream.PARTNERS, news.documents, mapping.customer, rejected
    )
    upsert(targets.CUSTOMERS, [row for _, row in good], **work.owner)
    evidence.keep(work, Stream.PARTNERS, [document for document, _ in good])
    evidence.count(page.tally(Stream.PARTNERS), documents, rejected, news, good)


def load_products(
    work: Work,
    page: Page,
    documents: Sequence[Document[records.Product]],
    rejected: Sequence[Rejected],
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
