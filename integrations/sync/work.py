"""One worker's slice of a run: its client, its time, and the transactions that it writes in."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import structlog
from django.db import connection as database
from django.db import transaction
from django.db.models import F, Max

from calqsync.jobs.services import ClaimedJob
from calqsync.tenancy.secrets import Sealer
from integrations.models import Connection, Product, StagedPage, StreamCursor, SyncRun, SyncStream
from integrations.models.runs import RunState, Stream
from integrations.procountor.limits import Usage
from integrations.procountor.resources import Procountor
from integrations.procountor.text import local_text
from integrations.signals import books_changed
from integrations.sync import trouble
from integrations.sync.bulk import Owner
from integrations.sync.prepared import Prepared

if TYPE_CHECKING:
    from integrations.sync.bank import Span
    from integrations.sync.beside import Beside
    from integrations.sync.reading import Ahead

log = structlog.get_logger(__name__)

# Procountor's clock and the zone of its stamps are not certain, so each read goes back a day.
OVERLAP = timedelta(days=1)
# Seconds between two announcements that more months are whole, at least.
_TELL_GAP = 15.0


def hold_books(connection_id: int) -> None:
    """Wait until nobody else ends a run of this connection or erases a contact from its books.

    Held until the transaction ends. An erasure that came in the middle of a promotion would miss
    the rows that nobody sees yet, and they would bring the name back. Taken before any row.
    """
    with database.cursor() as cursor:
        key = f"books:{connection_id}"
        cursor.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 7261004))", [key])


def take(connection: Connection) -> Connection | None:
    """The connection's row, locked until the transaction ends; None where it is disconnected.

    Worker and person both begin with it, so that neither can hold what the other waits for.
    """
    rows = Connection.objects.select_for_update(no_key=True, of=("self",))
    held: Connection | None = rows.filter(pk=connection.pk, disconnected_at=None).first()
    return held


class SliceOver(Exception):
    """This slice has had its time; the next one goes on from the stored position."""


class RunStopped(Exception):
    """The run was cancelled, or its connection is gone; nothing more may be written."""


@dataclass(slots=True)
class Tally:
    """What one page did to one stream; written with the page."""

    fetched: int = 0
    added: int = 0
    changed: int = 0
    unchanged: int = 0
    rejected: int = 0
    removed: int = 0
    expected: int | None = None
    position: dict[str, Any] | None = None
    complete: bool = False

    @property
    def touched(self) -> bool:
        return bool(self.added or self.changed or self.removed)


@dataclass(slots=True)
class Page:
    """One write transaction: a tally for each stream it touches."""

    now: datetime
    tallies: dict[Stream, Tally] = field(default_factory=dict)
    # How the run ends with this transaction; columns of the run.
    ending: dict[str, Any] = field(default_factory=dict)
    # Ids, by external id, of the invoices that came with this transaction.
    new_invoices: dict[str, int] = field(default_factory=dict)

    def tally(self, stream: Stream) -> Tally:
        return self.tallies.setdefault(stream, Tally())


@dataclass(slots=True, kw_only=True)
class Work:
    """What the streams of a slice share. `clock` gives instants, `deadline` is monotonic."""

    job: ClaimedJob
    connection: Connection
    run: SyncRun
    client: Procountor
    usage: Usage
    seal: Sealer
    zone: ZoneInfo
    clock: Any
    deadline: float
    rejected_before: bool = True
    changed_books: bool = False
    cleared: bool = False
    began: float = field(default_factory=time.monotonic)
    # Ids of products by external id, for the lines of invoices.
    products: dict[str, int] = field(default_factory=dict)
    # What reading threads have made of the documents that are being written.
    prepared: Prepared = field(default_factory=Prepared)
    # Read invoices and statements meanwhile, until they are asked for.
    beside: Beside | None = None
    bank_ahead: Ahead[Span] | None = None
    _told: tuple[int, float] = (0, 0.0)
    _tell_after: float = 0.0

    @property
    def direct(self) -> bool:
        """Whether the books change while this run still reads; see `staging`."""
        return bool(self.run.mode == "first")

    @property
    def incremental(self) -> bool:
        return bool(self.run.mode == "incremental")

    @property
    def owner(self) -> Owner:
        return {"tenant_id": self.connection.tenant_id, "connection_id": self.connection.pk}

    @contextmanager
    def page(self) -> Iterator[Page]:
        """A transaction in which this worker may write: fenced, counted, all or nothing."""
        with transaction.atomic():
            # A crash of the server may cost the last pages with their positions, never half.
            with database.cursor() as cursor:
                cursor.execute("SET LOCAL synchronous_commit TO off")
            take(self.connection)
            self.job.fence()
            page = Page(self.clock())
            self._hold_run()
            yield page
            self._count(page)
        self.changed_books |= any(tally.touched for tally in page.tallies.values())

    @contextmanager
    def whole(self) -> Iterator[Page]:
        """The one transaction that ends a run. It may last a while, so it is fenced at its end:
        a heartbeat or a person who cancels need not wait for it, and what they say counts.
        """
        with transaction.atomic():
            hold_books(self.connection.pk)
            self.job.end_if_silent()
            page = Page(self.clock())
            yield page
            self._count(page)
            self._hold_run()
            # After the run's own row, as whoever cancels it does.
            StagedPage.objects.filter(run=self.run).delete()
            if page.ending:
                SyncRun.objects.filter(pk=self.run.pk).update(**page.ending)
            self.job.fence()

    def breathe(self, *, room: float = 0.0) -> None:
        """Raise SliceOver when the slice has less than `room` seconds left; call between pages."""
        if time.monotonic() > self.deadline - room:
            raise SliceOver

    def learn_products(self) -> None:
        with transaction.atomic():
            rows = Product.objects.filter(connection=self.connection)
            self.products = dict(rows.values_list("external_id", "pk"))

    def stream(self, stream: Stream) -> SyncStream:
        """How far the stream is, as stored."""
        with transaction.atomic():
            found: SyncStream = SyncStream.objects.get(run=self.run, stream=stream)
        return found

    def position(self, stream: Stream) -> dict[str, Any]:
        """Where the stream goes on, in the words of whichever release stored it."""
        stored = self.stream(stream).position
        return stored if isinstance(stored, dict) else {}

    def begin(self, stream: Stream) -> None:
        with self.page() as page:
            rows = SyncStream.objects.filter(run=self.run, stream=stream, started_at=None)
            rows.update(started_at=page.now)

    def changed_from(self, stream: Stream) -> str | None:
        """Where an update begins to read, on Procountor's clock; None to read everything."""
        if not self.incremental:
            return None
        cursor = self.cursor(stream)
        return None if cursor is None else local_text(cursor - OVERLAP)

    def changed_to(self) -> str:
        return local_text(self.run.window_to)

    def cursor(self, stream: Stream) -> datetime | None:
        """How far changes have been read; never after this run's own upper bound."""
        with transaction.atomic():
            rows = StreamCursor.objects.filter(connection=self.connection, stream=stream)
            found: datetime | None = rows.values_list("changed_to", flat=True).first()
            if found is None or found <= self.run.window_to:
                return found
            # A clock was wrong once, so it is not known what was read until then.
            log.warning("sync.cursor_in_future", stream=stream.value, cursor=found.isoformat())
            whole = SyncRun.objects.filter(
                connection=self.connection,
                state__in=[RunState.COMPLETE, RunState.COMPLETE_WITH_REJECTS],
                window_to__lte=self.run.window_to,
            )
            return whole.aggregate(latest=Max("window_to"))["latest"]

    def finish(self, stream: Stream, page: Page) -> None:
        """Mark the stream as read to the run's upper bound, with the page's own writes."""
        page.tally(stream).complete = True

    def finished(self) -> set[str]:
        """The streams of this run that saw their end; needs a running transaction."""
        rows = SyncStream.objects.filter(run=self.run, complete=True)
        return set(rows.values_list("stream", flat=True))

    def move_cursors(self) -> None:
        """What was read to its end need not be read again; with the rows that it covers.

        An update that was shown no document at all has no proof that it was shown everything, so
        the next one begins where it began.
        """
        rows = SyncStream.objects.filter(run=self.run, complete=True)
        if self.incremental:
            sound = StreamCursor.objects.filter(
                connection=self.connection, changed_to__lte=self.run.window_to
            )
            rows = rows.exclude(fetched=0, stream__in=sound.values("stream"))
        for stream in rows.values_list("stream", flat=True):
            StreamCursor.objects.update_or_create(
                connection=self.connection,
                stream=stream,
                defaults={"changed_to": self.run.window_to},
                create_defaults={
                    "tenant_id": self.connection.tenant_id,
                    "changed_to": self.run.window_to,
                },
            )

    def complete_back_to(self, day: date, page: Page) -> None:
        """All documents since this day are in the books: figures may show these months."""
        rows = Connection.objects.filter(pk=self.connection.pk).exclude(complete_back_to=day)
        if rows.update(complete_back_to=day) and time.monotonic() >= self._tell_after:
            self.tell()
            now = time.monotonic()
            # The first months at once, then ever rarer: each time all figures are made anew.
            self._tell_after = now + max(_TELL_GAP, now - self.began)

    def tell(self, **told: object) -> None:
        """Say that the books changed, in the transaction that changes them, and whose did."""
        books_changed.send(
            sender=SyncRun,
            tenant_id=self.connection.tenant_id,
            connection_id=self.connection.pk,
            **told,
        )

    def _hold_run(self) -> None:
        """Count the requests so far; whoever cancels the run changes the same row first."""
        requests, waited = self.usage.requests, self.usage.seconds_waited
        held = SyncRun.objects.filter(pk=self.run.pk, state=RunState.RUNNING).update(
            requests=F("requests") + requests - self._told[0],
            waited_ms=F("waited_ms") + round((waited - self._told[1]) * 1000),
        )
        if not held:
            raise RunStopped
        self._told = (requests, waited)

    def _count(self, page: Page) -> None:
        for stream, tally in page.tallies.items():
            self._count_stream(stream, tally, page.now)
        # Until something was read, a trouble lasts and its waits grow.
        progress = any(tally.fetched or tally.complete for tally in page.tallies.values())
        if progress and not self.cleared:
            trouble.read(self.connection)
            self.cleared = True

    def _count_stream(self, stream: Stream, tally: Tally, now: datetime) -> None:
        counts = ("fetched", "added", "changed", "unchanged", "rejected", "removed")
        changes: dict[str, Any] = {
            name: F(name) + getattr(tally, name) for name in counts if getattr(tally, name)
        }
        if tally.expected is not None:
            changes["expected"] = tally.expected
        if tally.position is not None:
            changes["position"] = tally.position
        if tally.complete:
            changes |= {"complete": True, "finished_at": now}
        if changes:
            SyncStream.objects.filter(run=self.run, stream=stream).update(**changes)
