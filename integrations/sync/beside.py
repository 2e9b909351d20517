"""Invoices read in a process of their own, beside the one that writes them.

Python computes in one thread at a time, and an import is bound by it: what is read, decoded, mapped
and sealed here leaves the writer nothing but references to put in front. The process is a copy
of the worker's, so it starts at once; it has none of its connections and no lease, keeps to the
same limits, and ends with the pipe to the writer, however that goes away.
"""

from __future__ import annotations

import gc
import mmap
import os
import pickle  # nosec B403
import select
import signal
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any

import msgspec
import structlog
from django.db import connections

from calqsync.tenancy.secrets import Sealer
from integrations.models import Connection
from integrations.models.runs import Stream
from integrations.procountor import records
from integrations.procountor.documents import Document, Page, Rejected
from integrations.procountor.errors import ProcountorError
from integrations.procountor.limits import Usage
from integrations.sync import access
from integrations.sync.packing import unpacked
from integrations.sync.prepared import InvoiceLines, PaymentLine, Prepared, Preparer, sealed_as
from integrations.sync.reading import Batch, Fetched, billed_batches, read_ahead
from integrations.sync.settling import Events
from integrations.sync.windows import Window
from integrations.sync.work import SliceOver

log = structlog.get_logger(__name__)

# Below so many invoices threads of the worker are as fast.
WORTH = 1_000
# Seconds that a process has for its last requests when the writer is gone, and for a key that it
# renews, the wait for a turn included.
GRACE, RENEWAL = 5.0, 60.0
_PIPE_BYTES = 1 << 20
_F_SETPIPE_SZ = 1031
_HEAD = struct.Struct("!cQ")
_BATCH, _FAILED, _END = b"b", b"f", b"e"
_BOOK = struct.Struct("qqqdd")

# Name, digest and what was said, of a document that writes nothing as it is.
_Odd = tuple[str, bytes, bytes]
_Bad = tuple[str, bytes, str, bytes]


class Lost(Exception):
    """The reading process ended without a word; what it had not handed over was not written."""


class _Sheet(msgspec.Struct, array_like=True):
    """A batch on its way: lines with digest and sealed document, and the others as they came."""

    window: dict[str, Any] | None
    ids: list[int]
    unlisted: list[_Bad]
    invoices: list[tuple[bytes, InvoiceLines, str]]
    odd_invoices: list[_Odd]
    bad_invoices: list[_Bad]
    payments: list[tuple[bytes, PaymentLine, str]]
    odd_payments: list[_Odd]
    bad_payments: list[_Bad]
    kinds: dict[str, str]


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(_Sheet).decode
_records: dict[Stream, Any] = {
    Stream.INVOICES: msgspec.json.Decoder(records.Invoice).decode,
    Stream.PAYMENTS: msgspec.json.Decoder(records.PaymentEvent).decode,
}


class _Sent:
    """A document that the other process read; opened again where its words are needed."""

    __slots__ = ("_opened", "_stream", "digest", "external_id")

    def __init__(
        self, stream: Stream, external_id: str, digest: bytes, opened: Callable[[], bytes]
    ) -> None:
        self.external_id, self.digest = external_id, digest
        self._stream, self._opened = stream, opened

    @property
    def raw(self) -> bytes:
        return self._opened()

    @property
    def record(self) -> Any:
        return _records[self._stream](self.raw)


class _Booked(Usage):
    """What the reading process used, in memory that the writer sees."""

    def __init__(self, book: mmap.mmap) -> None:
        super().__init__()
        self._book, self._writing = book, threading.Lock()

    def add(self, **spent: Any) -> None:
        super().add(**spent)
        with self._writing:
            _BOOK.pack_into(self._book, 0, *_spent(self))


def _spent(usage: Usage) -> tuple[int, int, int, float, float]:
    return (
        *(usage.requests, usage.retries, usage.bytes_received),
        *(usage.seconds_waited, usage.seconds_in_http),
    )


class Beside:
    """Batches of a first import from `window` on, read by another process; iterate once.

    `usage` counts its requests as its own. Raises OSError where the system allows no process, and
    while iterated SliceOver when there is nothing at `deadline`, which is monotonic. Close it
    before the slice ends.
    """

    def __init__(
        self,
        connection: Connection,
        window: Window,
        *,
        seal: Sealer,
        usage: Usage,
        deadline: float,
    ) -> None:
        self._connection, self._seal, self._usage = connection, seal, usage
        self._deadline = deadline
        self._book = mmap.mmap(-1, _BOOK.size)
        self._counted = _BOOK.unpack_from(self._book)
        self._source, sink = os.pipe()
        leash, self._leash = os.pipe()
        _widen(sink)
        try:
            self._pid = os.fork()
        except OSError:
            for end in (self._source, sink, leash, self._leash):
                os.close(end)
            raise
        if self._pid == 0:
            _begin(sink, leash, lambda: self._read(window))
        os.close(sink)
        os.close(leash)

    def __iter__(self) -> Iterator[Fetched]:
        kind, size = self._head()
        while kind != _END:
            body = self._exactly(size)
            self._count()
            if kind == _FAILED:
                # From a copy of this very process.
                raise pickle.loads(body)  # noqa: S301 # nosec B301
            fetched = self._fetched(_decode(body))
            known = self._here(0)
            if known:
                kind, size = self._head()
            # What was read before a failure is written first.
            fetched.more = known and kind == _BATCH
            yield fetched
            if not known:
                kind, size = self._head()

    def close(self) -> None:
        """End the process; what it used is counted to the last request."""
        if self._source < 0:
            return
        os.close(self._source)
        os.close(self._leash)
        self._source = -1
        late = time.monotonic() + GRACE + RENEWAL
        while os.waitpid(self._pid, os.WNOHANG)[0] == 0:
            if time.monotonic() > late:
                os.kill(self._pid, signal.SIGKILL)
            time.sleep(0.005)
        self._count()
        self._book.close()

    def _head(self) -> tuple[bytes, int]:
        """What comes next, and its length in bytes; waits for it."""
        kind, size = _HEAD.unpack(self._exactly(_HEAD.size))
        return kind, size

    def _exactly(self, size: int) -> bytearray:
        body = bytearray(size)
        left = memoryview(body)
        while left:
            # However long the other is silent, the worker is given back in time.
            if not self._here(max(0.0, self._deadline - time.monotonic())):
                raise SliceOver
            got = os.readv(self._source, [left])
            if not got:
                raise Lost
            left = left[got:]
        return body

    def _here(self, seconds: float) -> bool:
        """Whether there is something to read, or will be so soon."""
        return bool(select.select([self._source], [], [], seconds)[0])

    def _count(self) -> None:
        now = _BOOK.unpack_from(self._book)
        requests, retries, received, waited, in_http = (
            new - old for new, old in zip(now, self._counted, strict=True)
        )
        self._counted = now
        self._usage.add(
            requests=requests,
            retries=retries,
            bytes_received=received,
            seconds_waited=waited,
            seconds_in_http=in_http,
        )

    def _fetched(self, sheet: _Sheet) -> Fetched:
        ready = Prepared()
        invoices: list[Any] = []
        for digest, lines, raw in sheet.invoices:
            document = self._sent(Stream.INVOICES, lines.external_id, digest, raw)
            ready.add_invoice(document, lines, raw)
            invoices.append(document)
        payments: list[Any] = []
        for digest, line, raw in sheet.payments:
            document = self._sent(Stream.PAYMENTS, line.external_id, digest, raw)
            ready.add_payment(document, line, raw)
            payments.append(document)
        batch = Batch(
            ids=sheet.ids,
            unlisted=[Rejected(*bad) for bad in sheet.unlisted],
            window=Window.from_json(sheet.window),
        )
        events = Events(
            sheet.ids,
            [*payments, *_whole(Stream.PAYMENTS, sheet.odd_payments)],
            [Rejected(*bad) for bad in sheet.bad_payments],
            sheet.kinds,
        )
        page: Page[records.Invoice] = Page(
            (*invoices, *_whole(Stream.INVOICES, sheet.odd_invoices)),
            tuple(Rejected(*bad) for bad in sheet.bad_invoices),
        )
        return Fetched(batch, page, events, ready)

    def _sent(self, stream: Stream, name: str, digest: bytes, line: str) -> Any:
        def opened() -> bytes:
            body = bytes.fromhex(line[line.rindex("x") + 1 :])
            field = sealed_as(stream.value, name)
            return unpacked(self._seal.open(body, connection_id=self._connection.pk, field=field))

        return _Sent(stream, name, digest, opened)

    # In the other process

    def _read(self, window: Window) -> Iterator[bytes]:
        usage = _Booked(self._book)
        client, transport = access.client(self._connection, usage)
        prepare = Preparer(
            self._seal, connection_id=self._connection.pk, home=self._connection.currency
        )
        batches = billed_batches(client, window)
        with closing(transport), closing(read_ahead(client, batches, _no_kinds, prepare)) as read:
            for fetched in read:
                yield _encode(_sheet(fetched))


def _no_kinds(_: list[int]) -> dict[str, str]:
    """A first import has learnt no types before."""
    return {}


def _sheet(fetched: Fetched) -> _Sheet:
    batch, events, ready = fetched.batch, fetched.events, fetched.prepared
    sheet = _Sheet(
        window=batch.window.as_json() if batch.window else None,
        ids=batch.ids,
        unlisted=_bad(batch.unlisted),
        invoices=[],
        odd_invoices=[],
        bad_invoices=_bad(fetched.details.rejected),
        payments=[],
        odd_payments=[],
        bad_payments=_bad(events.rejected),
        kinds=events.kinds,
    )
    for document in fetched.details.documents:
        raw = ready.raw(document)
        if raw is None:
            sheet.odd_invoices.append((document.external_id, document.digest, document.raw))
        else:
            lines = ready.invoice(document, home="")
            sheet.invoices.append((document.digest, lines, raw))
    for event in events.documents:
        raw = ready.raw(event)
        if raw is None:
            sheet.odd_payments.append((event.external_id, event.digest, event.raw))
        else:
            line = ready.payment(event, home="", kind=None)
            sheet.payments.append((event.digest, line, raw))
    return sheet


def _bad(rejected: Any) -> list[_Bad]:
    return [(bad.external_id, bad.raw, bad.reason, bad.digest) for bad in rejected]


def _whole(stream: Stream, odd: list[_Odd]) -> list[Document[Any]]:
    return [Document(name, raw, _records[stream](raw), digest) for name, digest, raw in odd]


def _widen(pipe: int) -> None:
    """Let a whole batch stand in the pipe, where the system knows how."""
    try:
        from fcntl import fcntl

        fcntl(pipe, _F_SETPIPE_SZ, _PIPE_BYTES)
    except OSError:
        return  # as wide as it is


def _begin(sink: int, leash: int, frames: Callable[[], Iterator[bytes]]) -> None:
    """The life of the reading process; never returns."""
    try:
        gc.freeze()
        for name in (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1):
            signal.signal(name, signal.SIG_DFL if name == signal.SIGTERM else signal.SIG_IGN)
        _let_go({sink, leash})
        threading.Thread(target=_held_by, args=(leash,), daemon=True).start()
        _hand_over(sink, frames)
    finally:
        os._exit(0)


def _let_go(kept: set[int]) -> None:
    """Leave the writer's connections to the writer. Their numbers stay taken, so that whatever
    still knows one closes nothing else.
    """
    for each in connections.all(initialized_only=True):
        each.connection = None
    nowhere = os.open(os.devnull, os.O_RDWR)
    folder = "/proc/self/fd" if os.path.isdir("/proc/self/fd") else "/dev/fd"
    for name in os.listdir(folder):
        if int(name) > 2 and int(name) not in kept:
            try:
                os.dup2(nowhere, int(name))
            except OSError:
                continue  # the listing's own


def _held_by(leash: int) -> None:
    os.read(leash, 1)
    time.sleep(GRACE)
    with access.renewing:
        os._exit(1)


def _hand_over(sink: int, frames: Callable[[], Iterator[bytes]]) -> None:
    try:
        for frame in frames():
            _send(sink, _BATCH, frame)
        _send(sink, _END, b"")
    except BrokenPipeError:
        return  # nobody reads any more
    except Exception as error:
        if not isinstance(error, ProcountorError):
            log.exception("sync.reader_failed")
        _send(sink, _FAILED, pickle.dumps(error))


def _send(sink: int, kind: bytes, body: bytes) -> None:
    left = memoryview(_HEAD.pack(kind, len(body)) + body)
    while left:
        left = left[os.write(sink, left) :]
