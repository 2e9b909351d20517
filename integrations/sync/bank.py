"""Bank accounts and statements: the whole history at first, then what may still change."""

from __future__ import annotations

from datetime import date, timedelta

from django.db import transaction
from django.db.models import Max

from integrations.models import BankStatement
from integrations.models.runs import Stream
from integrations.sync.staging import ACCOUNTS, SEEN, STATEMENTS, Bundle, deliver, hold_ids
from integrations.sync.work import Work

_DAY = timedelta(days=1)
SPAN = timedelta(days=91)
# Statements of the last weeks may be corrected or come late.
LATE = timedelta(days=35)
# After a year without a statement whatever is older is read in one go.
_EMPTY_SPANS = 4
_BEGINNING = date(1990, 1, 1)


def bank(work: Work) -> None:
    _accounts(work)
    end, empty = _stands(work)
    oldest = _oldest_wanted(work)
    while end >= oldest:
        start = oldest if empty >= _EMPTY_SPANS else max(end - SPAN, oldest)
        found = _span(work, start, end, empty)
        empty = 0 if found else empty + 1
        end = start - _DAY
        work.breathe()
    with work.page() as page:
        work.finish(Stream.BANK, page)


def _stands(work: Work) -> tuple[date, int]:
    """The last day to read, and how many spans just after it were empty."""
    position = work.position(Stream.BANK)
    try:
        return date.fromisoformat(position["end"]), int(position.get("empty", 0))
    except (KeyError, TypeError, ValueError):
        today: date = work.run.window_to.astimezone(work.zone).date()
        return today + SPAN, 0


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
            deliver(
                work,
                page,
                Bundle(kind=ACCOUNTS, documents=listed.documents, rejected=listed.rejected),
            )
    with work.page():
        hold_ids(work, SEEN, Stream.BANK, seen)


def _span(work: Work, start: date, end: date, empty: int) -> bool:
    """Read the statements of some days; whether there were any."""
    pages = list(work.client.bank_statements(start=start, end=end))
    # One transaction with the position: after a break no statement is read and counted again.
    with work.page() as page:
        for listed in pages:
            deliver(
                work,
                page,
                Bundle(kind=STATEMENTS, documents=listed.documents, rejected=listed.rejected),
            )
        page.tally(Stream.BANK).position = {
            "end": (start - _DAY).isoformat(),
            "empty": 0 if pages else empty + 1,
        }
    return bool(pages)
