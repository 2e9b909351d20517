"""Bank accounts, statements and their events into the books."""

from __future__ import annotations

from collections.abc import Sequence

from integrations.models import BankEvent
from integrations.models.runs import Stream
from integrations.procountor import records
from integrations.procountor.documents import Document, Rejected
from integrations.sync import evidence, mapping, targets
from integrations.sync.bulk import found as found_ids
from integrations.sync.bulk import upsert
from integrations.sync.work import Page, Work

ACCOUNT = "account "
"""Begins the name of a bank account that is set aside: statements number themselves alone."""


def load_accounts(
    work: Work,
    page: Page,
    documents: Sequence[Document[records.BankAccount]],
    rejected: Sequence[Rejected] = (),
) -> None:
    good = evidence.understood(
        work, page, Stream.BANK, documents, mapping.bank_account, rejected, apart=ACCOUNT
    )
    upsert(targets.BANK_ACCOUNTS, [row for _, row in good], **work.owner)


def load_statements(
    work: Work,
    page: Page,
    documents: Sequence[Document[records.BankStatement]],
    rejected: Sequence[Rejected] = (),
) -> None:
    news = evidence.news(work, Stream.BANK, documents)
    good = evidence.understood(
        work, page, Stream.BANK, news.documents, mapping.bank_statement, rejected
    )
    upsert(targets.STATEMENTS, [row for _, (row, _) in good], **work.owner)
    ids = found_ids(
        targets.STATEMENTS, "external_id", [row.external_id for _, (row, _) in good], **work.owner
    )
    events = {
        event.external_id: (ids[event.statement_external_id], *event)
        for _, (_, events) in good
        for event in events
    }
    upsert(targets.BANK_EVENTS, list(events.values()), **work.owner)
    corrected = [row.external_id for _, (row, _) in good if not news.is_new(row.external_id)]
    if corrected:
        BankEvent.objects.filter(
            connection=work.connection, statement_external_id__in=corrected, removed_at=None
        ).exclude(external_id__in=list(events)).update(removed_at=page.now)
    evidence.keep(work, Stream.BANK, [document for document, _ in good])
    evidence.count(page.tally(Stream.BANK), documents, rejected, news, good)
