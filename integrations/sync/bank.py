"""Bank accounts and statements: the whole history at first, then what may still change."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date, timedelta
from itertools import chain
from typing import NamedTuple

from django.db import transaction
from django.db.models import Max

from integrations.models import BankStatement
from integrations.models.runs import Stream
from integrations.procountor import records
from integrations.procountor.documents import Page
from integrations.procountor.resources import Procountor
from integrations.sync.reading import Ahead
from integrations.sync.staging import ACCOUNTS, SEEN, STATEMENTS, Bundle, deliver, hold_ids
from integrations.sync.work import Work

_DAY = timedelta(days=1)
SPAN = timedelta(days=91)
# Statements of the last weeks may be corrected or come late.
LATE = timedelta(days=35)
# After a year without a statement whatever is older is read in one go.
_EMPTY_SPANS = 4
_BEGINNING = date(1990, 1, 1)


# Statements of a first import wait in memory to be written: of so many spans, or until their
# documents have so many bytes. What was made of them takes several times as much.
_AHEAD, _AHEAD_BYTES = 12, 16_000_000


class Span(NamedTuple):
    """The statements of some days, newest days first; `empty` spans in a row were without any."""

    start: date
    pages: list[Page[records.BankStatement]]
    empty: int


def begin_bank(work: Work) -> None:
    """Read statements while invoices are written, which the worker waits for."""
    if not work.stream(Stream.BANK).complete:
        work.bank_ahead = Ahead(_fitting(_spans(work)), most=_AHEAD, name="procountor-bank")


def _fitting(spans: Iterator[Span]) -> Iterator[Span]:
    """The first spans, to the one that fills what may be read ahead."""
    room = _AHEAD_BYTES
    for span in spans:
        yield span
        room -= sum(len(document.raw) for page in span.pages for document in page.documents)
        if room <= 0:
            return


def bank(work: Work) -> None:
    _accounts(work)
    for spans in chain(work.bank_ahead or (), _rest(work)):
        _write(work, spans)
        work.breathe()
    with work.page() as page:
        work.finish(Stream.BANK, page)


def _rest(work: Work) -> Iterator[list[Span]]:
    """From where the position stands when it is asked for."""
    for span in _spans(work):
        yield [span]


def _spans(work: Work) -> Iterator[Span]:
    (end, empty), oldest = _stands(work), _oldest_wanted(work)
    return _read(work.client, end, empty, oldest)


def _read(client: Procountor, end: date, empty: int, oldest: date) -> Iterator[Span]:
    while end >= oldest:
        start = oldest if empty >= _EMPTY_SPANS else max(end - SPAN, oldest)
        pages = list(client.bank_statements(start=start, end=end))
        empty = 0 if pages else empty + 1
        yield Span(start, pages, empty)
        end = start - _DAY


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


def _write(work: Work, spans: Sequence[Span]) -> None:
    # One transaction with the position: after a break no statement is read and counted again.
    with work.page() as page:
        for listed in (listed for span in spans for listed in span.pages):
            deliver(
                work,
                page,
                Bundle(kind=STATEMENTS, documents=listed.documents, rejected=listed.rejected),
            )
        page.tally(Stream.BANK).position = {
            "end": (spans[-1].start - _DAY).isoformat(),
            "empty": spans[-1].empty,
        }
