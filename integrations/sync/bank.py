"""Bank accounts and statements: the whole history at first, then what may still change."""

from __future__ import annotations

from datetime import date, timedelta

from django.db import transaction
from django.db.models import Max

from integrations.models import BankEvent, BankStatement
from integrations.models.runs import Stream
from integrations.procountor import records
from integrations.procountor.documents import Page as Listed
from integrations.sync import evidence, mapping, targets
from integrations.sync.bulk import found as found_ids
from integrations.sync.bulk import mark_unseen, upsert
from integrations.sync.work import Page, Work

_DAY = timedelta(days=1)
SPAN = timedelta(days=91)
# Statements of the last weeks may be corrected or come late.
LATE = timedelta(days=35)
# After a year without a statement whatever is older is read in one go.
_EMPTY_SPANS = 4
_BEGINNING = date(1990, 1, 1)


def bank(work: Work) -> None:
    _accounts(work)
    position = work.stream(Stream.BANK).position
    end = date.fromisoformat(position["end"]) if position else _today(work) + SPAN
    oldest = _oldest_wanted(work)
    empty = int(position.get("empty", 0))
    while end >= oldest:
        start = oldest if empty >= _EMPTY_SPANS else max(end - SPAN, oldest)
        found = _span(work, start, end, empty)
        empty = 0 if found else empty + 1
        end = start - _DAY
        work.breathe()
    with work.page() as page:
        work.finish(Stream.BANK, page)


def _today(work: Work) -> date:
    day: date = work.run.window_to.astimezone(work.zone).date()
    return day


def _oldest_wanted(work: Work) -> date:
    if not work.incremental:
        return _BEGINNING
    with transaction.atomic():
        known = BankStatement.objects.filter(connection=work.connection)
        newest = known.aggregate(day=Max("end"))["day"]
    return _BEGINNING if newest is None else newest - LATE


def _accounts(work: Work) -> None:
    seen: set[str] = set()
    for listed in work.client.bank_accounts():
        seen.update(document.external_id for document in listed.documents)
        seen.update(bad.external_id for bad in listed.rejected)
        with work.page() as page:
            good = evidence.understood(
                work, page, Stream.BANK, listed.documents, mapping.bank_account, listed.rejected
            )
            upsert(targets.BANK_ACCOUNTS, [row for _, row in good], **work.owner)
    if seen:
        with work.page() as page:
            mark_unseen(targets.BANK_ACCOUNTS, seen, now=page.now, **work.owner)


def _span(work: Work, start: date, end: date, empty: int) -> bool:
    """Read the statements of some days; whether there were any."""
    found = False
    for listed in work.client.bank_statements(start=start, end=end):
        found = True
        with work.page() as page:
            _load(work, page, listed)
    with work.page() as page:
        page.tally(Stream.BANK).position = {
            "end": (start - _DAY).isoformat(),
            "empty": 0 if found else empty + 1,
        }
    return found


def _load(work: Work, page: Page, listed: Listed[records.BankStatement]) -> None:
    news = evidence.news(work, Stream.BANK, listed.documents)
    good = evidence.understood(
        work, page, Stream.BANK, news.documents, mapping.bank_statement, listed.rejected
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
    evidence.count(page.tally(Stream.BANK), listed.documents, listed.rejected, news, good)
