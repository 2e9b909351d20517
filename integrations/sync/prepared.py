"""What reading threads make of documents ahead of their writing: mapped rows and sealed bytes.

The writer then waits for the database while others compute. Found by the very objects of a
document: one that is changed in between (an erased contact) is not found, and is made anew.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from calqsync.tenancy.secrets import Sealer
from integrations.models.runs import Stream
from integrations.procountor import records
from integrations.procountor.documents import Document
from integrations.sync import mapping
from integrations.sync.packing import packed
from integrations.sync.rows import MappedInvoice
from integrations.sync.values import Unusable


def sealed_as(stream: str, external_id: str) -> str:
    """The name that a document's sealed bytes are bound to."""
    return f"raw:{stream}:{external_id}"


class Prepared:
    """The rows and sealed bytes of a batch's documents; made by one thread, used by another."""

    __slots__ = ("_rows", "_sealed")

    def __init__(self) -> None:
        # The record beside its row keeps it alive, so that its identity is its own.
        self._rows: dict[int, tuple[records.Invoice, MappedInvoice]] = {}
        self._sealed: dict[bytes, bytes] = {}

    def row(self, record: records.Invoice, *, home: str) -> MappedInvoice:
        """The invoice's rows; raises Unusable as `mapping.invoice` does."""
        found = self._rows.get(id(record))
        return found[1] if found else mapping.invoice(record, home=home)

    def sealed(self, raw: bytes) -> bytes | None:
        return self._sealed.get(raw)

    @classmethod
    def joined(cls, parts: Sequence[Prepared]) -> Prepared:
        whole = cls()
        for part in parts:
            whole._rows |= part._rows
            whole._sealed |= part._sealed
        return whole


class Preparer:
    """Prepares documents of one connection, in any thread."""

    def __init__(self, seal: Sealer, *, connection_id: int, home: str) -> None:
        self._seal, self._connection_id, self._home = seal, connection_id, home

    def __call__(
        self,
        invoices: Iterable[Document[records.Invoice]],
        events: Iterable[Document[records.PaymentEvent]],
    ) -> Prepared:
        ready = Prepared()
        for document in invoices:
            try:
                row = mapping.invoice(document.record, home=self._home)
            except (Unusable, ArithmeticError, ValueError):
                continue  # the writer finds the same, and sets it aside
            ready._rows[id(document.record)] = (document.record, row)
            self._keep(ready, Stream.INVOICES, document)
        for event in events:
            self._keep(ready, Stream.PAYMENTS, event)
        return ready

    def _keep(self, ready: Prepared, stream: Stream, document: Document[Any]) -> None:
        ready._sealed[document.raw] = self._seal.seal(
            packed(document.raw),
            connection_id=self._connection_id,
            field=sealed_as(stream.value, document.external_id),
        )
