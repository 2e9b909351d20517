"""Invoices on their way in: listed, then read whole in batches, a few batches ahead.

The list has no rows, so every document is read again in a batch with its payment events.
What threads read and prepare is written by the worker's own thread, in order.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field, replace
from datetime import date
from hashlib import sha256
from queue import SimpleQueue
from threading import Event
from typing import Any, Generic, TypeVar

from integrations.procountor import records
from integrations.procountor.documents import Page, Rejected
from integrations.procountor.resources import BilledWindow, Procountor
from integrations.sync.prepared import Prepared, Preparer
from integrations.sync.settling import Events, Standing, read_events, standing
from integrations.sync.windows import Place, Window

HIDDEN = "lists name the document, but it is not there when asked for by its number"
# So many of a batch may be deleted between two requests; more are a fault, or a missing right.
_MOST_DELETED = 10
# Up to 200 may be asked for at once. A full page of payments must be asked for what is behind it,
# and most invoices have one payment: a little fewer invoices save a request for nearly each batch.
BATCH = 190
# Requests in flight at once, and batches held with their documents: memory against latency.
READERS, AHEAD = 8, 10
# Batches written in one transaction, if they have arrived.
TOGETHER = 5
# Batches listed ahead, without documents, and windows whose lists are read at the same time.
LISTED, LISTERS = 8, 3

T = TypeVar("T")

Listed = Page[records.InvoiceListItem]


@dataclass(slots=True)
class Batch:
    """Up to BATCH invoices to read. `window` is where the list stands behind them."""

    ids: list[int] = field(default_factory=list)
    # The billing days of those that a list has just named.
    days: dict[int, date] = field(default_factory=dict)
    unlisted: list[Rejected] = field(default_factory=list)
    window: Window | None = None
    # For an update: where its two lists stand behind this batch.
    after: dict[str, Place] = field(default_factory=dict)
    unchanged: int = 0

    def add(self, invoice_id: int, day: date | None) -> None:
        self.ids.append(invoice_id)
        if day is not None:
            self.days[invoice_id] = day


@dataclass(slots=True)
class Fetched:
    """A batch with its documents and the payment events that belong to them."""

    batch: Batch
    details: Page[records.Invoice]
    events: Events
    prepared: Prepared = field(default_factory=Prepared)
    # The one behind it is here already.
    more: bool = False


def fetch(
    client: Procountor,
    batch: Batch,
    known_kinds: dict[str, str],
    each: Callable[..., Iterable[dict[str, str]]] = map,
    prepare: Preparer | None = None,
) -> Fetched:
    """Read a batch and prepare it; runs in a reading thread. `each` as `read_events` takes it."""
    details = _whole(client, batch)
    standings: dict[int, Standing] = {d.record.id: standing(d.record) for d in details.documents}
    # Whatever the status: what was paid may be void by now, or open again because the payment was
    # taken back. It is one request a batch either way.
    events = read_events(client, batch.ids, standings, known_kinds, each)
    ready = Prepared()
    if prepare:
        ready = prepare(details.documents, events.documents, events.kinds)
    return Fetched(batch, details, events, ready)


def _whole(client: Procountor, batch: Batch) -> Page[records.Invoice]:
    """The batch's invoices; one that lists name and that cannot be read, however often it is
    asked for, is set aside. One that was deleted in between is no loss.
    """
    if not batch.ids:
        return Page(())
    first = client.invoice_details(batch.ids)
    if not first.missing:
        return first
    second = client.invoice_details(first.missing)
    hidden = [
        number
        for number in second.missing
        if len(second.missing) > _MOST_DELETED or _still_listed(client, batch, number)
    ]
    return Page(
        (*first.documents, *second.documents),
        (*first.rejected, *second.rejected, *map(_hidden, hidden)),
    )


def _still_listed(client: Procountor, batch: Batch, invoice_id: int) -> bool:
    day = batch.days.get(invoice_id)
    if day is None:
        return True
    listed = client.invoice_list(BilledWindow(start=day, end=day))
    return any(invoice_id in page.ids for page in listed)


def _hidden(invoice_id: int) -> Rejected:
    raw = b'{"id":%d}' % invoice_id
    return Rejected(str(invoice_id), raw, HIDDEN, sha256(raw).digest())


def read_ahead(
    client: Procountor,
    batches: Iterator[Batch],
    kinds_of: Callable[[list[int]], dict[str, str]],
    prepare: Preparer | None = None,
) -> Generator[Fetched, None, None]:
    """The batches in their order, a few of them read while one is being written.

    The iterator of batches runs in one thread of its own, up to LISTED batches ahead, which are
    only numbers. `kinds_of` runs in the caller's. At most AHEAD batches are held with documents.
    """
    ahead: deque[Future[Fetched]] = deque()
    lister = ThreadPoolExecutor(1, thread_name_prefix="procountor-list")
    readers = ThreadPoolExecutor(READERS, thread_name_prefix="procountor-read")
    # Readers wait for these, so they need threads of their own.
    single = ThreadPoolExecutor(READERS // 2, thread_name_prefix="procountor-single")
    listed = deque(lister.submit(next, batches, None) for _ in range(LISTED))
    broken = False
    try:
        while listed or ahead:
            while listed and len(ahead) < AHEAD and (listed[0].done() or not ahead):
                # What was read before the list failed is handed on first.
                broken = bool(ahead) and listed[0].exception() is not None
                if broken:
                    break
                batch = listed.popleft().result()
                if batch is None:
                    listed.clear()
                    break
                listed.append(lister.submit(next, batches, None))
                known = kinds_of(batch.ids)
                ahead.append(readers.submit(fetch, client, batch, known, single.map, prepare))
            if not ahead:
                continue
            if listed and not broken and len(ahead) < AHEAD:
                # Whichever comes first: a batch to read, or one to hand on.
                either: list[Future[Any]] = [ahead[0], listed[0]]
                wait(either, return_when=FIRST_COMPLETED)
                if not ahead[0].done():
                    continue
            fetched = ahead.popleft().result()
            fetched.more = bool(ahead) and ahead[0].done() and ahead[0].exception() is None
            yield fetched
    finally:
        for pool in (lister, readers, single):
            pool.shutdown(wait=True, cancel_futures=True)
        if isinstance(batches, Generator):
            batches.close()


class Ahead(Generic[T]):
    """What an iterator gives, up to `most` of it read by a thread before anybody asks.

    Gives at once all that is there by then. Where reading fails it ends, and whoever asks goes on
    alone; None is no item.
    """

    def __init__(self, items: Iterator[T], *, most: int, name: str) -> None:
        self._items = items
        self._pool = ThreadPoolExecutor(1, thread_name_prefix=name)
        self._coming = deque(self._pool.submit(next, items, None) for _ in range(most))

    def __iter__(self) -> Iterator[list[T]]:
        while found := self._found():
            for _ in found:
                self._coming.append(self._pool.submit(next, self._items, None))
            yield found

    def _found(self) -> list[T]:
        found: list[T] = []
        while self._coming and (not found or self._coming[0].done()):
            coming = self._coming[0]
            if coming.exception() is not None or (item := coming.result()) is None:
                break
            self._coming.popleft()
            found.append(item)
        return found

    def close(self) -> None:
        self._pool.shutdown(wait=True, cancel_futures=True)


def arrived(read: Iterator[Fetched]) -> Iterator[list[Fetched]]:
    """What is here by now, up to TOGETHER batches: the slower the writing, the more at once."""
    found: list[Fetched] = []
    for fetched in read:
        found.append(fetched)
        if not fetched.more or len(found) >= TOGETHER:
            yield found
            found = []
    if found:
        yield found


@dataclass(frozen=True, slots=True)
class _Names:
    """What billed_batches keeps of a page: ids with their billing days, by growing id."""

    days: list[tuple[int, date | None]]
    unlisted: list[Rejected]


class _Walk:
    """One window's list, read by a thread of its own into `pages`; None ends them.

    `size` is known from the first page on, where Procountor tells it.
    """

    def __init__(self, window: Window) -> None:
        self.window = window
        self.pages: SimpleQueue[_Names | Exception | None] = SimpleQueue()
        self.size: int | None = None

    def run(self, client: Procountor, stop: Event) -> None:
        billed = BilledWindow(start=self.window.start, end=self.window.end)
        after, behind = self.window.after, self.window.count
        try:
            for page in client.invoice_list(billed, previous_id=after, behind=behind):
                if after is None and self.size is None and page.total is not None:
                    self.size = max(page.total, len(page.ids))
                days = [(number, item.date if item else None) for number, item in items(page)]
                nameless = [bad for bad in page.rejected if not bad.external_id]
                self.pages.put(_Names(days, nameless))
                if stop.is_set():
                    return
            self.pages.put(None)
        except Exception as failure:
            self.pages.put(failure)

    def older(self) -> Window | None:
        """The next window, as soon as this one's size is known."""
        return None if self.size is None else replace(self.window, count=self.size).older()


def billed_batches(client: Procountor, window: Window | None) -> Iterator[Batch]:
    """Every invoice by billing date, newest window first, from where `window` stands.

    A list is read page after page, so the next windows are listed at the same time.
    """
    stop, pool = Event(), ThreadPoolExecutor(LISTERS, thread_name_prefix="procountor-window")
    walks: deque[_Walk] = deque()

    def begin(one: Window | None) -> None:
        if one is not None:
            walks.append(_Walk(one))
            pool.submit(walks[-1].run, client, stop)

    batch = Batch()
    begin(window)
    try:
        while walks:
            window = walks[0].window
            while (names := walks[0].pages.get()) is not None:
                if isinstance(names, Exception):
                    raise names
                while len(walks) < LISTERS and (older := walks[-1].older()):
                    begin(older)
                for invoice_id, day in names.days:
                    batch.add(invoice_id, day)
                    window = batch.window = window.stored_to(invoice_id)
                    if len(batch.ids) >= BATCH:
                        yield batch
                        batch = Batch()
                batch.unlisted += names.unlisted
            if len(walks) == 1:
                begin(window.older())
            walks.popleft()
            # With the last id of a window stored, the next one is where to go on.
            batch.window = walks[0].window if walks else batch.window
        if batch.ids or batch.unlisted:
            yield batch
    finally:
        stop.set()
        pool.shutdown(wait=True, cancel_futures=True)


def items(page: Listed) -> list[tuple[int, records.InvoiceListItem | None]]:
    """What a page lists, by growing id; an item that cannot be read may be a good document."""
    found = {document.record.id: document.record for document in page.documents}
    return [(invoice_id, found.get(invoice_id)) for invoice_id in page.ids]
