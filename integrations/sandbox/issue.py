"""Turns drafts into numbered, paid and rendered documents."""

from __future__ import annotations

from datetime import date, timedelta

from integrations.sandbox import numbers
from integrations.sandbox.book import Book
from integrations.sandbox.company import Company
from integrations.sandbox.model import Draft, RowTruth
from integrations.sandbox.payments import Payment, book_payment, event_json, render_event, settle
from integrations.sandbox.render import encode, invoice_json, list_item, vat_of
from integrations.sandbox.store import Head
from integrations.sandbox.sums import RowSum, Totals, totals

_NOT_BUSINESS = frozenset({"UNFINISHED", "INVALIDATED"})


def issue(company: Company, book: Book, *, first_id: int) -> list[Payment]:
    """Number the drafts by the moment they were typed in, settle and render them."""
    drafts = sorted(book.drafts, key=lambda d: (_entered(d, book.anchor), d.partner.id))
    sums = {}
    for place, draft in enumerate(drafts):
        draft.id, draft.number = first_id + place, 1001 + place
        sums[draft.id] = draft_totals(draft)
        draft.total = sums[draft.id].total
    for draft in drafts:
        _link_credit(draft)
    iban = numbers.iban(f"12345600{company.profile.serial % 1_000_000:06d}")
    payments: list[Payment] = []
    clock = _Clock(book.anchor)
    row_id = 9_001 + company.profile.id_base
    for draft in drafts:
        _draw_late_fate(book, draft)
        plan = settle(draft, book.rng, until=book.anchor, home=company.currency)
        mine = [
            book_payment(7_001 + len(payments) + n, draft, kind, day, cents, company.currency)
            for n, (kind, day, cents) in enumerate(plan)
        ]
        payments.extend(mine)
        row_ids = range(row_id, row_id + len(draft.rows))
        row_id += len(draft.rows)
        created = clock.tick(_entered(draft, book.anchor))
        _file(company, draft, mine, sums[draft.id], row_ids, created, iban)
    return payments


def draft_totals(draft: Draft) -> Totals:
    rows = [
        RowSum(
            row.quantity,
            row.price,
            row.discount,
            vat_of(draft.partner, draft.day) if row.vat is None else row.vat,
        )
        for row in draft.rows
    ]
    return totals(rows, draft.header_discount, vat_included=draft.vat_included)


class _Clock:
    """Creation times: working hours, but just after midnight on the anchor day.

    Documents of the anchor day must not lie in the future of someone who starts on it.
    """

    def __init__(self, anchor: date) -> None:
        self.anchor, self.day, self.count = anchor, date.min, 0

    def tick(self, day: date) -> str:
        self.count = self.count + 1 if day == self.day else 0
        self.day = day
        second = 60 + self.count // 16 if day == self.anchor else 28_800 + self.count * 3
        return f"{day}T{second // 3600:02d}:{second // 60 % 60:02d}:{second % 60:02d}"


def _entered(draft: Draft, anchor: date) -> date:
    return min(anchor, draft.day + timedelta(days=draft.delay_entry))


def _link_credit(draft: Draft) -> None:
    """A credit that comes before the original falls due is set off against it."""
    original = draft.credits
    if original is None:
        return
    due = original.day + timedelta(days=original.partner.terms)
    if draft.day <= due and draft.fate == "credit":
        original.settled_by_credit = draft.day
        original.credited = -draft.total


def _draw_late_fate(book: Book, draft: Draft) -> None:
    """Some of the newest wait to be sent; a few due dates were put off."""
    fresh = draft.day > book.anchor - timedelta(days=2)
    if draft.fate == "normal" and fresh and draft.type == "SALES_INVOICE":
        draft.fate = book.rng.choice(("normal", "normal", "not_sent"))
    if draft.type == "SALES_INVOICE" and book.rng.random() < 0.006:
        draft.new_due = draft.day + timedelta(days=draft.partner.terms + 14)


def _file(
    company: Company,
    draft: Draft,
    payments: list[Payment],
    sums: Totals,
    row_ids: range,
    created: str,
    iban: str,
) -> None:
    document = invoice_json(draft, home=company.currency, iban=iban, row_ids=row_ids, totals=sums)
    version = created
    if payments:
        document["paymentDate"] = payments[-1].day.isoformat()
        version = max(created, f"{payments[-1].day}T06:{draft.id % 60:02d}:00")
        company.events[draft.id] = tuple(
            render_event(event_json(p, company.currency), company.name) for p in payments
        )
    elif draft.final_status == "INVALIDATED":
        version = f"{created[:11]}20:00:00" if created[:10] < str(company.anchor) else created
    document["version"] = version
    document["created"] = created
    item = list_item(document)
    del document["created"]
    head = invoice_head(document, created)
    company.invoices.put(head, encode(item), encode(document))
    _note_truth(company, draft, sums, row_ids)


def invoice_head(document: dict[str, object], created: str) -> Head:
    """What the list filters of `GET /invoices` need to know of a document."""
    rows: list[dict[str, object]] = document["invoiceRows"]  # type: ignore[assignment]
    payment: dict[str, object] = document["paymentInfo"]  # type: ignore[assignment]
    party: dict[str, dict[str, str]] = document["counterParty"]  # type: ignore[assignment]
    return Head(
        document["id"],  # type: ignore[arg-type]
        type=document["type"],  # type: ignore[arg-type]
        status=document["status"],  # type: ignore[arg-type]
        date=document["date"],  # type: ignore[arg-type]
        due=payment["dueDate"],  # type: ignore[arg-type]
        created=created,
        version=document["version"],  # type: ignore[arg-type]
        partner=document["partnerId"],  # type: ignore[arg-type]
        number=document["invoiceNumber"],  # type: ignore[arg-type]
        original=document.get("originalInvoiceNumber", ""),  # type: ignore[arg-type]
        channel=document["invoiceChannel"],  # type: ignore[arg-type]
        flag=bool(document["isOffer"]),
        products=tuple(r["productId"] for r in rows if r["productId"]),  # type: ignore[misc]
        name=party["counterPartyAddress"]["name"],
    )


def _note_truth(company: Company, draft: Draft, sums: Totals, row_ids: range) -> None:
    counts = draft.type == "SALES_INVOICE" and draft.final_status not in _NOT_BUSINESS
    for row, row_id, net in zip(draft.rows, row_ids, sums.rows, strict=True):
        truth = row.truth
        company.truths.append(
            RowTruth(
                invoice_id=draft.id,
                row_id=row_id,
                partner_id=None if draft.anonymous else draft.partner.id,
                document_type=draft.type,
                counts=counts,
                currency=draft.currency,
                net_minor=net,
                kind=truth.kind.value,
                key=truth.key,
                cadence_months=truth.cadence,
                start=truth.start,
                end=truth.end,
            )
        )
