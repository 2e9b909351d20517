"""What Procountor said, kept sealed; and by its hash, whether it says anything new."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from calqsync.tenancy.secrets import Sealer
from integrations.models import RawDocument, Rejection
from integrations.models.runs import Stream
from integrations.procountor.documents import Document, Rejected
from integrations.procountor.records import Record
from integrations.sync import targets
from integrations.sync.bulk import Row, found, store
from integrations.sync.erased import Erased
from integrations.sync.packing import packed, unpacked
from integrations.sync.prepared import sealed_as
from integrations.sync.values import Unusable
from integrations.sync.work import Page, Tally, Work

R = TypeVar("R", bound=Record)
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class News(Generic[R]):
    """The documents of a page that are new or say something else than before."""

    documents: tuple[Document[R], ...]
    known: frozenset[str]

    def is_new(self, external_id: str) -> bool:
        return external_id not in self.known


def news(work: Work, stream: Stream, documents: Iterable[Document[R]]) -> News[R]:
    """Compare by hash with what is stored; each id once, its last document counts.

    One that was set aside in between is news even if it says again what it said before.
    """
    unique = {document.external_id: document for document in documents}
    where = {"stream": stream.value}
    stored = found(targets.RAW, "external_id", unique, wanted="sha256", where=where, **work.owner)
    aside = _names_set_aside(work, stream, unique) if work.rejected_before else set()
    fresh = [
        d for key, d in unique.items() if bytes(stored.get(key, b"")) != d.digest or key in aside
    ]
    if fresh:
        # Looked up for each page, so that an erasure holds from the next one on.
        fresh = Erased.of(work.seal, work.connection.pk).cleaned(stream, fresh)
    return News(tuple(fresh), frozenset(stored))


def _names_set_aside(work: Work, stream: Stream, names: Iterable[str]) -> set[str]:
    rows = Rejection.objects.filter(
        connection=work.connection, stream=stream, external_id__in=list(names)
    )
    return set(rows.values_list("external_id", flat=True))


def keep(
    work: Work, stream: Stream, documents: Sequence[Document[Any]], *, fresh: bool = False
) -> None:
    """Store what these documents said, in place of what they said before; `fresh` ones are new."""
    rows: list[Row] = [
        work.prepared.raw(d)
        or (stream.value, d.external_id, d.digest, sealed(work, stream, d.external_id, d.raw))
        for d in documents
    ]
    store(targets.RAW, rows, fresh=fresh, **work.owner)


def sealed(work: Work, stream: str, external_id: str, raw: bytes) -> bytes:
    return sealed_for(work.seal, work.connection.pk, stream, external_id, raw)


def sealed_for(
    seal: Sealer, connection_id: int, stream: str, external_id: str, raw: bytes
) -> bytes:
    """The bytes as `opened` reads them."""
    field = sealed_as(stream, external_id)
    return seal.seal(packed(raw), connection_id=connection_id, field=field)


def opened(document: RawDocument | Rejection, seal: Sealer) -> bytes:
    """The bytes that Procountor sent; raises SecretUnreadable."""
    body = document.body if isinstance(document, RawDocument) else document.raw
    field = sealed_as(document.stream, document.external_id)
    return unpacked(seal.open(bytes(body), connection_id=document.connection_id, field=field))


def understood(
    work: Work,
    page: Page,
    stream: Stream,
    documents: Sequence[Document[R]],
    read: Callable[[R], T],
    rejected: Sequence[Rejected] = (),
    *,
    apart: str = "",
) -> list[tuple[Document[R], T]]:
    """As `taken`, where `read` needs no more than the record."""

    def whole(document: Document[R]) -> T:
        return read(document.record)

    return taken(work, page, stream, documents, whole, rejected, apart=apart)


def taken(
    work: Work,
    page: Page,
    stream: Stream,
    documents: Sequence[Document[R]],
    read: Callable[[Document[R]], T],
    rejected: Sequence[Rejected] = (),
    *,
    apart: str = "",
) -> list[tuple[Document[R], T]]:
    """The documents with what `read` makes of them; the others are set aside with a reason.

    `apart` begins the names of those in a stream with documents of two kinds, whose numbers
    may be the same.
    """
    good: list[tuple[Document[R], T]] = []
    bad = list(rejected)
    for document in documents:
        try:
            good.append((document, read(document)))
        except (Unusable, ArithmeticError, ValueError) as error:
            reason = str(error) or type(error).__name__
            bad.append(Rejected(document.external_id, document.raw, reason, document.digest))
    _set_aside(work, page, stream, bad, apart)
    if work.rejected_before and good:
        ids = [(apart + document.external_id)[:40] for document, _ in good]
        Rejection.objects.filter(
            connection=work.connection, stream=stream, external_id__in=ids
        ).delete()
    return good


def _set_aside(
    work: Work, page: Page, stream: Stream, rejected: Sequence[Rejected], apart: str
) -> None:
    if not rejected:
        return
    erased = Erased.of(work.seal, work.connection.pk)
    rows: dict[str, tuple[Any, ...]] = {}
    for each in rejected:
        name = (apart + (each.external_id or "?" + each.digest.hex()))[:40]
        raw = sealed(work, stream, name, erased.left(stream, each.raw))
        rows[name] = (stream.value, name, each.reason[:500], raw, page.now, page.now, 1)
    ignored = Rejection.objects.filter(
        connection=work.connection, stream=stream, external_id__in=list(rows)
    ).exclude(ignored_at=None)
    page.tally(stream).rejected += len(rows) - ignored.count()
    work.rejected_before = True
    store(targets.REJECTIONS, list(rows.values()), **work.owner)


def count(
    tally: Tally,
    documents: Sequence[Document[Any]],
    rejected: Sequence[Rejected],
    news: News[Any],
    good: Sequence[tuple[Document[Any], Any]],
) -> None:
    """Add a page to the stream's counts."""
    added = sum(news.is_new(document.external_id) for document, _ in good)
    tally.fetched += len(documents) + len(rejected)
    tally.added += added
    tally.changed += len(good) - added
    tally.unchanged += len(documents) - len(news.documents)
