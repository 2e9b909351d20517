"""What Procountor answers for a sandbox company, in batches, as bytes in this process."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

BLOCK = 5_000  # invoices of one turn


@dataclass
class Answers:
    """The bytes that Procountor answers for some invoices, and for the registers first."""

    partners: list[bytes] = field(default_factory=list)
    products: list[bytes] = field(default_factory=list)
    batches: list[tuple[list[int], bytes, bytes]] = field(default_factory=list)
    invoices: int = 0

    def holds(self, table: str) -> str:
        """SQL for the rows of a table that come from these answers."""
        registers = "true" if self.partners else "false"
        ids = ",".join(f"'{number}'" for batch, _, _ in self.batches for number in batch)
        invoices = f"external_id IN ({ids})"
        mine = f"IN (SELECT id FROM integrations_invoice WHERE {invoices})"
        return {
            "integrations_customer": registers,
            "integrations_product": registers,
            "integrations_invoice": invoices,
            "integrations_invoiceline": f"invoice_id {mine}",
            "integrations_payment": f"invoice_id {mine}",
            "integrations_rawdocument": (
                f"(stream IN ('partners', 'products') AND {registers}"
                f" OR stream = 'invoices' AND {invoices} OR stream = 'payments' AND external_id IN"
                f" (SELECT external_id FROM integrations_payment WHERE invoice_id {mine}))"
            ),
        }[table]

    def renumbered(self, copy: int) -> Answers:
        """Other invoices that say the same."""
        prefix = b'"id":%d' % (copy + 1)
        other = b'"invoiceId":%d' % (copy + 1)

        def moved(body: bytes) -> bytes:
            return body.replace(b'"id":', prefix).replace(b'"invoiceId":', other)

        return Answers(
            batches=[
                ([int(f"{copy + 1}{n}") for n in ids], moved(details), moved(events))
                for ids, details, events in self.batches
            ],
            invoices=self.invoices,
        )


def blocks_of(company: Any) -> Iterator[Answers]:
    """The company as its answers: registers once, invoices newest first."""
    from integrations.procountor.vocabulary import SALES_INVOICE
    from integrations.sync.reading import BATCH

    heads = company.invoices.heads.values()
    ids = sorted((head.id for head in heads if head.type == SALES_INVOICE), reverse=True)
    for start in range(0, len(ids), BLOCK):
        block = Answers()
        if not start:
            block.partners = _pages(company.partners, "CUSTOMER", BATCH)
            block.products = _pages(company.products, "SALES", BATCH)
        for at in range(start, min(start + BLOCK, len(ids)), BATCH):
            batch = sorted(ids[at : min(at + BATCH, start + BLOCK)])
            details = b"[" + b",".join(company.invoices.details[n] for n in batch) + b"]"
            events = [e.payment for n in batch for e in company.events.get(n, ())]
            listed = b'{"results":[' + b",".join(events) + b"]}"
            block.batches.append((batch, details, listed))
            block.invoices += len(batch)
        yield block


def _pages(shelf: Any, kind: str, size: int) -> list[bytes]:
    ids = sorted(head.id for head in shelf.heads.values() if head.type == kind)
    documents = shelf.details or shelf.items
    return [
        b"[" + b",".join(documents[n] for n in ids[at : at + size]) + b"]"
        for at in range(0, len(ids), size)
    ]
