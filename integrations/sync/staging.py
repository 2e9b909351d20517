"""What a run has read goes into the books at once, or is held back until the run is whole.

A first import shows months while older ones still load, so it writes as it reads. An update or a
full re-read changes the books in one transaction at its end: nobody ever sees half of it, and a
run that ends otherwise has changed nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from calqsync.tenancy.secrets import Sealer, SecretUnreadable
from integrations.models import Payment, StagedPage
from integrations.models.runs import Stream
from integrations.procountor import records
from integrations.procountor.documents import Document, Rejected
from integrations.sync import evidence, targets
from integrations.sync.bulk import found
from integrations.sync.erased import Erased
from integrations.sync.loading.bank import load_accounts, load_statements
from integrations.sync.loading.events import load_events
from integrations.sync.loading.invoices import load_invoices
from integrations.sync.loading.registers import load_partners, load_products
from integrations.sync.packing import packed, unpacked
from integrations.sync.settling import Events
from integrations.sync.touched import Touched
from integrations.sync.work import Page, Work

# Documents of neighbouring pages that are loaded together.
TOGETHER = 1000


@dataclass(slots=True, kw_only=True)
class Bundle:
    """Documents of one kind as an answer brought them.

    Events name the invoices whose events these are, all of them, and types told by other reads.
    """

    kind: str
    documents: Sequence[Document[Any]] = ()
    rejected: Sequence[Rejected] = ()
    invoice_ids: Sequence[int] = ()
    types: Mapping[str, str] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.documents) + len(self.rejected)


@dataclass(frozen=True, slots=True)
class _Kind:
    """Where documents of a kind belong, how they are read again, and what writes them."""

    stream: Stream
    record: Any
    load: Callable[[Work, Page, Bundle], Any]


def events_bundle(events: Events) -> Bundle:
    """The payment events of some invoices."""
    return Bundle(
        kind=EVENTS,
        documents=events.documents,
        rejected=events.rejected,
        invoice_ids=events.invoice_ids,
        types=events.kinds,
    )


def _events(bundle: Bundle) -> Events:
    return Events(
        list(bundle.invoice_ids),
        list(bundle.documents),
        list(bundle.rejected),
        dict(bundle.types),
    )


PARTNERS, PRODUCTS, INVOICES = "partners", "products", "invoices"
EVENTS, ACCOUNTS, STATEMENTS = "events", "accounts", "statements"
_KINDS = {
    PARTNERS: _Kind(
        Stream.PARTNERS,
        records.Partner,
        lambda work, page, b: load_partners(work, page, b.documents, b.rejected),
    ),
    PRODUCTS: _Kind(
        Stream.PRODUCTS,
        records.Product,
        lambda work, page, b: load_products(work, page, b.documents, b.rejected),
    ),
    INVOICES: _Kind(
        Stream.INVOICES,
        records.Invoice,
        lambda work, page, b: load_invoices(work, page, b.documents, b.rejected),
    ),
    EVENTS: _Kind(
        Stream.PAYMENTS,
        records.PaymentEvent,
        lambda work, page, b: load_events(work, page, _events(b)),
    ),
    ACCOUNTS: _Kind(
        Stream.BANK,
        records.BankAccount,
        lambda work, page, b: load_accounts(work, page, b.documents, b.rejected),
    ),
    STATEMENTS: _Kind(
        Stream.BANK,
        records.BankStatement,
        lambda work, page, b: load_statements(work, page, b.documents, b.rejected),
    ),
}
# The ids that a full list had, and those that are gone for certain.
SEEN, GONE = "seen", "gone"


class _Ids(msgspec.Struct):
    stream: str
    ids: list[str]


class _Held(msgspec.Struct, array_like=True):
    documents: list[tuple[str, bytes, bytes]]
    rejected: list[tuple[str, bytes, str, bytes]]
    invoice_ids: list[int]
    types: dict[str, str]


def deliver(work: Work, page: Page, bundle: Bundle) -> None:
    """Write the bundle into the books, or hold back what of it is new."""
    kind = _KINDS[bundle.kind]
    if work.direct:
        kind.load(work, page, bundle)
        return
    new = _news_of_events(work, bundle) if bundle.kind == EVENTS else _news(work, bundle, kind)
    if bundle.kind != ACCOUNTS:
        tally = page.tally(kind.stream)
        tally.fetched += len(bundle)
        tally.unchanged += len(bundle) - len(new)
    if len(new) or new.invoice_ids:
        held = _Held(
            [(d.external_id, d.raw, d.digest) for d in new.documents],
            [(r.external_id, r.raw, r.reason, r.digest) for r in new.rejected],
            list(new.invoice_ids),
            dict(new.types),
        )
        _hold(work, bundle.kind, held)


def _news(work: Work, bundle: Bundle, kind: _Kind) -> Bundle:
    if bundle.kind == ACCOUNTS:
        return bundle  # few, and no evidence of them is kept
    news = evidence.news(work, kind.stream, bundle.documents)
    return Bundle(kind=bundle.kind, documents=news.documents, rejected=bundle.rejected)


def _news_of_events(work: Work, bundle: Bundle) -> Bundle:
    """All events of those invoices of which any event is new, changed, gone or back."""
    moved = moved_invoices(work, bundle)
    if not moved:
        return Bundle(kind=EVENTS)
    mine = [d for d in bundle.documents if d.record.invoice_id in moved]
    lost = [d for d in bundle.documents if d.record.invoice_id is None]
    return Bundle(
        kind=EVENTS,
        documents=[*mine, *lost],
        rejected=bundle.rejected,
        invoice_ids=sorted(moved),
        types=bundle.types,
    )


def moved_invoices(work: Work, bundle: Bundle) -> set[int]:
    """The invoices whose payments are not as stored; needs a running transaction."""
    names = map(str, bundle.invoice_ids)
    invoices = found(targets.INVOICES, "external_id", names, **work.owner)
    stored = Payment.objects.filter(invoice__in=list(invoices.values())).values_list(
        "external_id", "invoice_external_id", "removed_at"
    )
    listed = {d.external_id for d in bundle.documents} | {r.external_id for r in bundle.rejected}
    moved = {
        int(invoice) for key, invoice, removed in stored if (key in listed) is (removed is not None)
    }
    for document in evidence.news(work, Stream.PAYMENTS, bundle.documents).documents:
        moved.add(document.record.invoice_id or 0)
    told = {d.record.invoice_id or 0 for d in bundle.documents if d.external_id in bundle.types}
    if bundle.rejected:
        # Whose they are cannot be read; the others' events are loaded with them.
        moved |= set(bundle.invoice_ids)
    return (moved | told) - {0}


def hold_ids(work: Work, kind: str, stream: Stream, ids: Iterable[str]) -> None:
    """Remember for the end of the run what a complete list had (SEEN), or lacks (GONE)."""
    if not work.direct:
        _hold(work, kind, _Ids(stream.value, list(ids)))


def held_ids(work: Work, kind: str, stream: Stream) -> set[str]:
    """All ids held so; needs a running transaction."""
    found: set[str] = set()
    for body in StagedPage.objects.filter(run=work.run, kind=kind).values_list("body", flat=True):
        page = msgspec.msgpack.decode(_opened(work, kind, body), type=_Ids)
        if page.stream == stream:
            found.update(page.ids)
    return found


def _hold(work: Work, kind: str, content: msgspec.Struct) -> None:
    StagedPage.objects.create(
        tenant_id=work.connection.tenant_id,
        run=work.run,
        kind=kind,
        body=_sealed(work.seal, work.connection.pk, kind, content),
    )


def _opened(work: Work, kind: str, body: Any) -> bytes:
    return _unsealed(work.seal, work.connection.pk, kind, body)


def _unsealed(seal: Sealer, owner: int, kind: str, body: Any) -> bytes:
    return unpacked(seal.open(bytes(body), connection_id=owner, field=sealed_as(kind)))


def _sealed(seal: Sealer, owner: int, kind: str, content: msgspec.Struct) -> bytes:
    body = packed(msgspec.msgpack.encode(content))
    return seal.seal(body, connection_id=owner, field=sealed_as(kind))


def sealed_as(kind: str) -> str:
    """The field that a held page is bound to."""
    return f"staged:{kind}"


def blank(seal: Sealer, connection_id: int, erased: Erased) -> None:
    """Blank erased contacts in whatever runs of the connection hold back; digests stay.

    Needs a running transaction that keeps those runs from going on.
    """
    rows = StagedPage.objects.filter(run__connection=connection_id, kind__in=list(_KINDS))
    for row in rows.order_by("pk").iterator(chunk_size=10):
        stream = _KINDS[row.kind].stream
        try:
            body = _unsealed(seal, connection_id, row.kind, row.body)
        except SecretUnreadable:
            continue  # nobody can read it, so no run applies it
        held = msgspec.msgpack.decode(body, type=_Held)
        clean = _Held(
            [(key, erased.left(stream, raw), sha) for key, raw, sha in held.documents],
            [(key, erased.left(stream, raw), why, sha) for key, raw, why, sha in held.rejected],
            held.invoice_ids,
            held.types,
        )
        if clean != held:
            body = _sealed(seal, connection_id, row.kind, clean)
            StagedPage.objects.filter(pk=row.pk).update(body=body)


def apply(work: Work, page: Page) -> Touched:
    """Load everything that was held back, in the order of its reading; returns whom it touched."""
    touched = Touched(work=work)
    ready = False
    for bundle in joined(_bundles(work)):
        if bundle.kind == INVOICES and not ready:
            # Its lines name products that came with this very run.
            work.learn_products()
            ready = True
        names = _touch(touched, bundle)
        _KINDS[bundle.kind].load(work, page, bundle)
        if bundle.kind == INVOICES:
            touched.by_invoices(names)
    # They were counted as fetched when they were.
    for tally in page.tallies.values():
        tally.fetched = 0
    return touched


def _touch(touched: Touched, bundle: Bundle) -> list[str]:
    """Tell whom a bundle is about as the books are; returns the documents' ids."""
    names = [document.external_id for document in bundle.documents]
    if bundle.kind == INVOICES:
        touched.by_invoices(names)
    elif bundle.kind == EVENTS:
        touched.by_invoices(map(str, bundle.invoice_ids))
    elif bundle.kind == PARTNERS:
        touched.by_partners(names)
    return names


def _bundles(work: Work) -> Iterator[Bundle]:
    rows = StagedPage.objects.filter(run=work.run, kind__in=list(_KINDS)).order_by("pk")
    for row in rows.iterator(chunk_size=10):
        held = msgspec.msgpack.decode(_opened(work, row.kind, row.body), type=_Held)
        decode = msgspec.json.Decoder(_KINDS[row.kind].record).decode
        yield Bundle(
            kind=row.kind,
            documents=[
                Document(key, raw, decode(raw), digest) for key, raw, digest in held.documents
            ],
            rejected=[Rejected(*one) for one in held.rejected],
            invoice_ids=held.invoice_ids,
            types=held.types,
        )


def joined(bundles: Iterator[Bundle]) -> Iterator[Bundle]:
    """Neighbours of one kind together: fewer statements for as many documents."""
    waiting: Bundle | None = None
    for bundle in bundles:
        if waiting is None:
            waiting = bundle
        elif _may_join(waiting, bundle):
            waiting.documents = [*waiting.documents, *bundle.documents]
            waiting.rejected = [*waiting.rejected, *bundle.rejected]
            waiting.invoice_ids = [*waiting.invoice_ids, *bundle.invoice_ids]
            waiting.types = {**waiting.types, **bundle.types}
        else:
            yield waiting
            waiting = bundle
    if waiting is not None:
        yield waiting


def _may_join(first: Bundle, second: Bundle) -> bool:
    """Whether loading them together says the same: an invoice's later list of events replaces
    the earlier one.
    """
    return (
        first.kind == second.kind
        and len(first) + len(second) <= TOGETHER
        and set(first.invoice_ids).isdisjoint(second.invoice_ids)
    )


def drop(run_id: int) -> None:
    """Forget what a run held back; needs a running transaction."""
    StagedPage.objects.filter(run=run_id).delete()
