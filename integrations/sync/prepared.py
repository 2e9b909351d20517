"""What readers make of documents ahead of their writing: lines as COPY takes them, with the sealed
documents.

The writer then only puts references in front and waits for the database, while others compute.
Found by the very object of a document: one that is changed in between (an erased contact) is not
found, and is made anew.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import msgspec

from calqsync.tenancy.secrets import Sealer
from integrations.models.runs import Stream
from integrations.procountor import records
from integrations.procountor.documents import Document
from integrations.sync import mapping
from integrations.sync.bulk import in_line
from integrations.sync.packing import packed_together
from integrations.sync.rows import CustomerRow
from integrations.sync.values import Unusable


def sealed_as(stream: str, external_id: str) -> str:
    """The name that a document's sealed bytes are bound to."""
    return f"raw:{stream}:{external_id}"


class InvoiceLines(msgspec.Struct, array_like=True, frozen=True):
    """An invoice as COPY takes it: its own line, without its customer's id, and those of its rows,
    without the ids of invoice and product, each with the product's external id.
    """

    external_id: str
    customer: CustomerRow
    line: str
    rows: list[tuple[str, str]]

    @classmethod
    def of(cls, record: records.Invoice, *, home: str) -> InvoiceLines:
        """Raises Unusable as `mapping.invoice` does."""
        mapped = mapping.invoice(record, home=home)
        rows = [(row.product_external_id, in_line(row[1:])) for row in mapped.lines]
        return cls(mapped.invoice.external_id, mapped.customer, in_line(mapped.invoice), rows)


class PaymentLine(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """A payment as COPY takes it, without its invoice's id."""

    external_id: str
    invoice_external_id: str
    line: str

    @classmethod
    def of(cls, record: records.PaymentEvent, *, home: str, kind: str | None) -> PaymentLine:
        """Raises Unusable as `mapping.payment` does."""
        row = mapping.payment(record, home=home, kind=kind)
        return cls(row.external_id, row.invoice_external_id, in_line(row))


class Prepared:
    """The lines of a batch's documents; made by one thread, used by another."""

    __slots__ = ("_invoices", "_payments", "_raw")

    def __init__(self) -> None:
        # By identity. Documents are kept beside what was made of them: while they live, nothing
        # else has their identity.
        self._invoices: dict[int, InvoiceLines] = {}
        self._payments: dict[int, PaymentLine] = {}
        self._raw: dict[int, tuple[Document[Any], str]] = {}

    def invoice(self, document: Document[records.Invoice], *, home: str) -> InvoiceLines:
        """The invoice's lines; raises Unusable as `mapping.invoice` does."""
        return self._invoices.get(id(document)) or InvoiceLines.of(document.record, home=home)

    def payment(
        self, document: Document[records.PaymentEvent], *, home: str, kind: str | None
    ) -> PaymentLine:
        """As `invoice`, of a payment event; `kind` is its type where other reads told it."""
        found = self._payments.get(id(document))
        return found or PaymentLine.of(document.record, home=home, kind=kind)

    def raw(self, document: Document[Any]) -> str | None:
        """The row of the sealed document in COPY's text form."""
        found = self._raw.get(id(document))
        return found[1] if found else None

    def add_invoice(
        self, document: Document[records.Invoice], lines: InvoiceLines, raw: str
    ) -> None:
        self._invoices[id(document)] = lines
        self._raw[id(document)] = document, raw

    def add_payment(
        self, document: Document[records.PaymentEvent], line: PaymentLine, raw: str
    ) -> None:
        self._payments[id(document)] = line
        self._raw[id(document)] = document, raw

    @classmethod
    def joined(cls, parts: Sequence[Prepared]) -> Prepared:
        whole = cls()
        for part in parts:
            whole._invoices |= part._invoices
            whole._payments |= part._payments
            whole._raw |= part._raw
        return whole


class Preparer:
    """Prepares documents of one connection, in any thread."""

    def __init__(self, seal: Sealer, *, connection_id: int, home: str) -> None:
        self._seal, self._connection_id, self._home = seal, connection_id, home

    def __call__(
        self,
        invoices: Iterable[Document[records.Invoice]],
        events: Iterable[Document[records.PaymentEvent]],
        kinds: Mapping[str, str],
    ) -> Prepared:
        """`kinds` are types of events by their ids, where other reads told them."""
        ready, home = Prepared(), self._home

        def paid(event: Document[records.PaymentEvent]) -> PaymentLine:
            return PaymentLine.of(event.record, home=home, kind=kinds.get(event.external_id))

        for each in self._made(
            Stream.INVOICES, invoices, lambda one: InvoiceLines.of(one.record, home=home)
        ):
            ready.add_invoice(*each)
        for each in self._made(Stream.PAYMENTS, events, paid):
            ready.add_payment(*each)
        return ready

    def _made(
        self, stream: Stream, documents: Iterable[Document[Any]], lines_of: Callable[..., Any]
    ) -> Iterator[tuple[Document[Any], Any, str]]:
        """Each document with its lines, and the row of its sealed bytes in COPY's text form."""
        usable = []
        for document in documents:
            try:
                usable.append((document, lines_of(document)))
            except (Unusable, ArithmeticError, ValueError):
                continue  # the writer finds the same, and sets it aside
        bodies = packed_together([document.raw for document, _ in usable])
        for (document, lines), body in zip(usable, bodies, strict=True):
            name = document.external_id
            sealed = self._seal.seal(
                body, connection_id=self._connection_id, field=sealed_as(stream.value, name)
            )
            # As `in_line` would, of a word, a number and bytes, which need no escapes.
            raw = f"{stream.value}\t{name}\t\\\\x{document.digest.hex()}\t\\\\x{sealed.hex()}"
            yield document, lines, raw
