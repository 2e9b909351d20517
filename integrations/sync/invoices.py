"""Invoices with their lines and payments: the first import, full re-reads and updates."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from datetime import timedelta
from typing import Any

import structlog
from django.db import transaction

from integrations.models import Invoice, Rejection
from integrations.models.runs import GIVES_UP_AFTER, Stream
from integrations.procountor import records
from integrations.procountor.resources import BilledWindow, ChangedWindow
from integrations.procountor.text import local_stamp, stamp
from integrations.procountor.vocabulary import VOID_STATUSES
from integrations.sync import settling, vanished
from integrations.sync.beside import WORTH, Beside, Lost
from integrations.sync.prepared import Prepared, Preparer
from integrations.sync.reading import (
    BATCH,
    Batch,
    Fetched,
    arrived,
    billed_batches,
    items,
    read_ahead,
)
from integrations.sync.staging import (
    GONE,
    INVOICES,
    SEEN,
    Bundle,
    deliver,
    events_bundle,
    held_ids,
    hold_ids,
    joined,
)
from integrations.sync.windows import Place, Window
from integrations.sync.work import OVERLAP, Page, Work

log = structlog.get_logger(__name__)

# A version has whole seconds: what changed just before a read may have changed again after it,
# under the same version. Three hours for stamps that might be in UTC, one for the hour that comes
# twice in autumn, one for clocks that are wrong.
SETTLED_AFTER = timedelta(hours=5)


def invoices(work: Work) -> None:
    if work.direct:
        work.learn_products()
    try:
        with closing(_reader(work)) as read:
            for fetched in arrived(iter(read)):
                _write(work, fetched)
                work.breathe()
    except Lost:
        # Somebody, or the system for want of memory, ended it: on from what is stored.
        log.warning("sync.reader_lost")
        invoices(work)
        return
    if work.run.mode == "full":
        _look_for_missing(work)
    with work.page() as page:
        work.finish(Stream.INVOICES, page)


def begin_beside(work: Work) -> None:
    """Let another process read the invoices of a large first import while registers are read."""
    if not work.direct or work.stream(Stream.INVOICES).complete:
        return
    window, expected = _place(work)
    if expected < WORTH:
        return
    try:
        work.beside = Beside(
            work.connection, window, seal=work.seal, usage=work.usage, deadline=work.deadline
        )
    except OSError as error:
        # No memory or no process left for it: threads of the worker need neither.
        log.warning("sync.no_reader", error=str(error))


def _reader(work: Work) -> Any:
    """What reads the batches; closed when they are written, or not needed any more."""
    if work.beside is not None:
        beside, work.beside = work.beside, None
        return beside
    if work.incremental:
        batches = changed_batches(work)
    else:
        batches = billed_batches(work.client, _place(work)[0])
    # Of a first import nearly every document is new, of another run nearly none.
    home, owner = work.connection.currency, work.connection.pk
    prepare = Preparer(work.seal, connection_id=owner, home=home) if work.direct else None
    return read_ahead(work.client, batches, _kinds_of(work), prepare)


def _place(work: Work) -> tuple[Window, int]:
    """Where to read on, and how many invoices there are, for the progress that people see."""
    stream = work.stream(Stream.INVOICES)
    expected = stream.expected
    if expected is None:
        listed = next(work.client.invoice_list(BilledWindow()), None)
        with work.page() as page:
            expected = 0 if listed is None else listed.total
            page.tally(Stream.INVOICES).expected = expected
    window = Window.from_json(stream.position)
    if window is None:
        window = Window.newest(work.run.window_to.astimezone(work.zone).date())
    return window, expected or 0


def _kinds_of(work: Work) -> Any:
    def kinds_of(invoice_ids: list[int]) -> dict[str, str]:
        if work.run.mode == "first":
            return {}
        with transaction.atomic():
            return settling.known_kinds(work, invoice_ids)

    return kinds_of


def changed_batches(work: Work) -> Iterator[Batch]:
    """What changed since the last run, and what could not be understood then.

    Runs in a reading thread, so all that it needs of the database is fetched beforehand.
    """
    window = ChangedWindow(start=work.changed_from(Stream.INVOICES), end=work.changed_to())
    cursor = work.cursor(Stream.INVOICES)
    with transaction.atomic():
        retried = list(map(int, _set_aside(work, attempts__lt=GIVES_UP_AFTER)))
        recent = Invoice.objects.filter(connection=work.connection, removed_at=None)
        if cursor:
            since = local_stamp(cursor - 2 * OVERLAP)
            recent = recent.filter(version__gte=since.isoformat())
        versions = dict(recent.values_list("external_id", "version"))
    settled = cursor and local_stamp(cursor - SETTLED_AFTER)

    def known(item: records.InvoiceListItem) -> bool:
        """Whether the document is stored as the list shows it."""
        if item.version is None or settled is None or stamp(item.version) >= settled:
            return False
        return versions.get(str(item.id)) == stamp(item.version).isoformat()

    return _changed(work, window, known, retried, work.position(Stream.INVOICES))


def _set_aside(work: Work, **facts: Any) -> list[str]:
    """The numbers of invoices that could not be understood so far."""
    aside = Rejection.objects.filter(
        connection=work.connection, stream=Stream.INVOICES, ignored_at=None, **facts
    )
    return [name for name in aside.values_list("external_id", flat=True) if name.isdigit()]


def _changed(
    work: Work,
    window: ChangedWindow,
    known: Callable[[records.InvoiceListItem], bool],
    retried: Sequence[int],
    stored: dict[str, Any],
) -> Iterator[Batch]:
    after = {name: Place.from_json(stored.get(name)) for name in ("all", "void")}
    batch, seen = Batch(after=after), set[int]()
    begun = any(place.after for place in after.values())
    for invoice_id in () if begun else retried:
        batch.add(invoice_id, None)
        seen.add(invoice_id)
        if len(batch.ids) >= BATCH:
            yield batch
            batch = Batch(after=after)
    # Whether a list without a status shows void documents is not certain, so they are asked for.
    for name, status in (("all", ()), ("void", tuple(sorted(VOID_STATUSES)))):
        place = after[name]
        listed = work.client.invoice_list(
            window, status=status, previous_id=place.after, behind=place.behind
        )
        for page in listed:
            for invoice_id, item in items(page):
                if item is not None and known(item):
                    batch.unchanged += invoice_id not in seen
                elif invoice_id not in seen:
                    batch.add(invoice_id, item.date if item else None)
                seen.add(invoice_id)
                place = place.past(invoice_id)
                batch.after = {**batch.after, name: place}
                if len(batch.ids) >= BATCH:
                    yield batch
                    batch = Batch(after=batch.after)
            batch.unlisted += [bad for bad in page.rejected if not bad.external_id]
    if batch.ids or batch.unlisted or batch.unchanged:
        yield batch


def _write(work: Work, together: Sequence[Fetched]) -> None:
    """Neighbouring batches, their payments and the place to go on from: one transaction."""
    work.prepared = Prepared.joined([fetched.prepared for fetched in together])
    with work.page() as page:
        for bundle in joined(_bundles(together)):
            deliver(work, page, bundle)
        for fetched in together:
            _move_on(work, page, fetched.batch)
        windows = [fetched.batch.window for fetched in together if fetched.batch.window]
        _stands(work, page, windows[-1] if windows else None)
    work.prepared = Prepared()


def _bundles(together: Sequence[Fetched]) -> Iterator[Bundle]:
    for fetched in together:
        rejected = [*fetched.details.rejected, *fetched.batch.unlisted]
        yield Bundle(kind=INVOICES, documents=fetched.details.documents, rejected=rejected)
    for fetched in together:
        yield events_bundle(fetched.events)


def _move_on(work: Work, page: Page, batch: Batch) -> None:
    tally = page.tally(Stream.INVOICES)
    tally.unchanged += batch.unchanged
    tally.fetched += batch.unchanged
    if batch.after:
        tally.position = {name: place.as_json() for name, place in batch.after.items()}
    if work.run.mode == "full":
        hold_ids(work, SEEN, Stream.INVOICES, map(str, batch.ids))


def _stands(work: Work, page: Page, window: Window | None) -> None:
    """Where the list of months stands behind the last of the batches."""
    if window is not None:
        page.tally(Stream.INVOICES).position = window.as_json()
        if work.direct and window.complete_back_to is not None:
            work.complete_back_to(window.complete_back_to, page)


def _look_for_missing(work: Work) -> None:
    """Ask by number for stored invoices that no list had; those that are gone are remembered."""
    with work.page() as page:
        rows = Invoice.objects.filter(connection=work.connection, removed_at=None)
        stored = set(rows.values_list("external_id", flat=True))
        seen = held_ids(work, SEEN, Stream.INVOICES)
        unseen = stored - seen
        aside = set(_set_aside(work)) - seen
        believed = vanished.believed(
            work, page, Stream.INVOICES, missing=len(unseen), stored=len(stored)
        )
        # What an earlier slice asked for is held already.
        known = held_ids(work, GONE, Stream.INVOICES)
    asked = sorted(map(int, (aside | unseen if believed else aside) - known))
    for start in range(0, len(asked), BATCH):
        details = work.client.invoice_details(asked[start : start + BATCH])
        with work.page() as page:
            deliver(
                work,
                page,
                Bundle(kind=INVOICES, documents=details.documents, rejected=details.rejected),
            )
            hold_ids(work, GONE, Stream.INVOICES, map(str, details.missing))
            hold_ids(work, SEEN, Stream.INVOICES, map(str, details.ids))
        work.breathe()
