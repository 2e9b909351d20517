"""Payment events of invoices: read in bulk, with a second look where the bulk is not enough."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from functools import partial

from integrations.models import Payment
from integrations.procountor import records
from integrations.procountor.documents import Document, Rejected
from integrations.procountor.errors import NotFound
from integrations.procountor.resources import Procountor
from integrations.procountor.vocabulary import PAID_STATUSES
from integrations.sync import targets
from integrations.sync.bulk import found
from integrations.sync.work import Work

PARTLY_PAID = "PARTLY_PAID"
BY_HAND = "MARKED_PAID"


@dataclass(frozen=True, slots=True)
class Standing:
    """What an invoice says about itself: its status, and its total in its own currency."""

    status: str
    total: Decimal | None
    currency: str


@dataclass(slots=True)
class Events:
    """The payment events of some invoices, all of them; `kinds` are types by event id."""

    invoice_ids: list[int]
    documents: list[Document[records.PaymentEvent]] = field(default_factory=list)
    rejected: list[Rejected] = field(default_factory=list)
    kinds: dict[str, str] = field(default_factory=dict)


def standing(record: records.Invoice) -> Standing:
    currency = record.payment_info.currency
    totals = [e for e in record.invoice_sum_info or () if e.currency == currency]
    return Standing(record.status, totals[0].invoice_sum_total if totals else None, currency)


def read_events(
    client: Procountor,
    invoice_ids: Sequence[int],
    standings: Mapping[int, Standing],
    known_kinds: Mapping[str, str],
    each: Callable[..., Iterable[dict[str, str]]] = map,
) -> Events:
    """Every event of up to 200 invoices; types where they are needed and not known yet.

    `each` maps a request over invoices; one with threads sends several at the same time.
    """
    found = Events(list(invoice_ids))
    if not invoice_ids:
        return found
    for page in client.payment_events(invoice_ids):
        found.documents += page.documents
        found.rejected += page.rejected
    by_invoice: dict[int, list[records.PaymentEvent]] = defaultdict(list)
    for document in found.documents:
        if document.record.invoice_id is not None:
            by_invoice[document.record.invoice_id].append(document.record)
    unclear = []
    for invoice_id in invoice_ids:
        events = by_invoice.get(invoice_id, [])
        unknown = [event for event in events if str(event.id) not in known_kinds]
        if needs_types(standings.get(invoice_id), events, unknown):
            unclear.append(invoice_id)
    for kinds in each(partial(_types, client), unclear):
        found.kinds |= kinds
    return found


def needs_types(
    invoice: Standing | None,
    events: Sequence[records.PaymentEvent],
    unknown: Sequence[records.PaymentEvent],
) -> bool:
    """Whether only the invoice's own event list can tell what its payments are.

    An event made by hand may be a credit loss; and where the sum of the events contradicts the
    invoice's status, something else than money closed it.
    """
    if not unknown:
        return False
    if any(event.status == BY_HAND for event in unknown):
        return True
    if invoice is None or invoice.total is None:
        return False
    if any((event.paid_currency or invoice.currency) != invoice.currency for event in events):
        return False
    paid = sum((_paid(event) for event in events), Decimal(0))
    if invoice.status in PAID_STATUSES:
        return paid != invoice.total
    if invoice.status == PARTLY_PAID:
        return paid == invoice.total
    return paid != 0


def _paid(event: records.PaymentEvent) -> Decimal:
    return event.amount if event.paid_amount is None else event.paid_amount


def _types(client: Procountor, invoice_id: int) -> dict[str, str]:
    try:
        pages = list(client.invoice_payment_events(invoice_id))
    except NotFound:
        return {}
    return {d.external_id: d.record.type for p in pages for d in p.documents if d.record.type}


def known_kinds(work: Work, invoice_ids: Iterable[int]) -> dict[str, str]:
    """Types that an earlier run learnt, by event id; needs a running transaction."""
    ids = found(targets.INVOICES, "external_id", map(str, invoice_ids), **work.owner)
    stored = Payment.objects.filter(invoice__in=list(ids.values())).exclude(kind="")
    return dict(stored.values_list("external_id", "kind"))
