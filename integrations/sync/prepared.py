"""What reading threads make of documents ahead of their writing: rows as COPY takes them, with the
sealed documents.

The writer then only puts references in front and waits for the database, while others compute.
Found by the very objects of a document: one that is changed in between (an erased contact) is not
found, and is made anew.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from calqsync.tenancy.secrets import Sealer
from integrations.models.runs import Stream
from integrations.procountor import records
from integrations.procountor.documents import Document
from integrations.sync import mapping
from integrations.sync.bulk import in_line
from integrations.sync.packing import packed
from integrations.sync.rows import MappedInvoice, PaymentRow
from integrations.sync.values import Unusable


def sealed_as(stream: str, external_id: str) -> str:
    """The name that a document's sealed bytes are bound to."""
    return f"raw:{stream}:{external_id}"


class Prepared:
    """The rows and lines of a batch's documents; made by one thread, used by another."""

    __slots__ = ("_invoices", "_lines", "_payments", "_raw")

    def __init__(self) -> None:
        # By identity. Records and documents are kept beside what was made of them, and so are the
        # rows that lines stand for: while they live, nothing else has their identity.
        self._invoices: dict[int, tuple[records.Invoice, MappedInvoice]] = {}
        self._payments: dict[int, tuple[records.PaymentEvent, PaymentRow]] = {}
        self._lines: dict[int, str] = {}
        self._raw: dict[int, tuple[Document[Any], str]] = {}

    def invoice(self, record: records.Invoice, *, home: str) -> MappedInvoice:
        """The invoice's rows; raises Unusable as `mapping.invoice` does."""
        found = self._invoices.get(id(record))
        return found[1] if found else mapping.invoice(record, home=home)

    def payment(self, record: records.PaymentEvent) -> PaymentRow | None:
        found = self._payments.get(id(record))
        return found[1] if found else None

    def line(self, row: tuple[Any, ...], *, behind: int = 0) -> str:
        """The row's values, without the first `behind` of them, in COPY's text form."""
        return self._lines.get(id(row)) or in_line(row[behind:])

    def raw(self, document: Document[Any]) -> str | None:
        """The row of the sealed document in COPY's text form."""
        found = self._raw.get(id(document))
        return found[1] if found else None

    @classmethod
    def joined(cls, parts: Sequence[Prepared]) -> Prepared:
        whole = cls()
        for part in parts:
            whole._invoices |= part._invoices
            whole._payments |= part._payments
            whole._lines |= part._lines
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
        ready = Prepared()
        for document in invoices:
            try:
                mapped = mapping.invoice(document.record, home=self._home)
            except (Unusable, ArithmeticError, ValueError):
                continue  # the writer finds the same, and sets it aside
            ready._invoices[id(document.record)] = (document.record, mapped)
            ready._lines[id(mapped.invoice)] = in_line(mapped.invoice)
            for line in mapped.lines:
                ready._lines[id(line)] = in_line(line[1:])
            self._keep(ready, Stream.INVOICES, document)
        for event in events:
            kind = kinds.get(event.external_id)
            try:
                row = mapping.payment(event.record, home=self._home, kind=kind)
            except (Unusable, ArithmeticError, ValueError):
                continue
            ready._payments[id(event.record)] = (event.record, row)
            ready._lines[id(row)] = in_line(row)
            self._keep(ready, Stream.PAYMENTS, event)
        return ready

    def _keep(self, ready: Prepared, stream: Stream, document: Document[Any]) -> None:
        name = document.external_id
        body = self._seal.seal(
            packed(document.raw),
            connection_id=self._connection_id,
            field=sealed_as(stream.value, name),
        )
        # As `in_line` would, of a word, a number and bytes, which need no escapes.
        line = f"{stream.value}\t{name}\t\\\\x{document.digest.hex()}\t\\\\x{body.hex()}"
        ready._raw[id(document)] = (document, line)
