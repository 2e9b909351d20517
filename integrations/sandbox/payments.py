"""Who pays what and when, and which status a document ends in."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from random import Random

from integrations.sandbox.calendars import banking_day, rate
from integrations.sandbox.model import Draft
from integrations.sandbox.render import Json, encode
from integrations.sandbox.store import EventBytes
from integrations.sandbox.sums import domestic, money

BANK_TYPES = frozenset({"REFERENCEPAYMENT_TO_INVOICE", "BANKSTATEMENT_TO_INVOICE"})
_CREDIT_LOSS_AFTER = timedelta(days=200)


@dataclass(frozen=True, slots=True)
class Payment:
    """A payment event: `cents` in the accounting currency, `paid` in the invoice's."""

    id: int
    draft: Draft
    type: str
    day: date
    cents: int
    paid: int
    status: str

    @property
    def through_bank(self) -> bool:
        return self.type in BANK_TYPES


def settle(draft: Draft, rng: Random, *, until: date, home: str) -> list[tuple[str, date, int]]:
    """Set the document's final status; returns (type, day, cents of its currency) per payment.

    Only days before `until` count; credits are settled against their originals.
    """
    fixed = {"unfinished": "UNFINISHED", "invalidated": "INVALIDATED", "not_sent": "NOT_SENT"}
    if draft.fate in fixed:
        draft.final_status = fixed[draft.fate]
        return []
    if draft.type == "SALES_ORDER":
        draft.final_status = "INVOICED" if draft.day.toordinal() % 3 else "SENT"
        return []
    plan = [(kind, day, cents) for kind, day, cents in _plan(draft, rng, until) if day < until]
    draft.paid = sum(cents for _, _, cents in plan)
    draft.final_status = _status(draft, plan, until)
    return plan


def _plan(draft: Draft, rng: Random, until: date) -> Iterator[tuple[str, date, int]]:
    partner, total = draft.partner, draft.total
    due = draft.day + timedelta(days=partner.terms)
    if draft.credits is not None:
        original = draft.credits
        settled = max(draft.day, original.day)
        if original.settled_by_credit == draft.day:
            yield "INVOICE_TO_INVOICE", settled, total
        else:
            yield "BANKSTATEMENT_TO_INVOICE", banking_day(settled + timedelta(days=14)), total
        return
    credited = 0
    if draft.settled_by_credit is not None:
        credited = draft.credited
        yield "INVOICE_TO_INVOICE", draft.settled_by_credit, credited
    rest = total - credited
    pays = draft.pays or partner.pays
    if rest <= 0:
        return
    if pays == "full":
        pays = _draw_way(rng)
    delay = partner.delay + rng.choice((-2, -1, 0, 0, 0, 0, 1, 2, 4))
    if rng.random() < 0.03:
        delay += rng.randrange(20, 75)
    day = banking_day(max(draft.day + timedelta(days=1), due + timedelta(days=delay)))
    if draft.type == "PURCHASE_INVOICE":
        yield "BANKSTATEMENT_TO_INVOICE", banking_day(due), rest
    elif pays == "never":
        if due + _CREDIT_LOSS_AFTER < until:
            yield "CREDITLOSS", due + _CREDIT_LOSS_AFTER, rest
    elif pays == "hand":
        yield "ELSEWHERE", day, rest
    elif pays == "partial":
        half = rest // 2
        yield "REFERENCEPAYMENT_TO_INVOICE", day, half
        yield "REFERENCEPAYMENT_TO_INVOICE", banking_day(day + timedelta(days=30)), rest - half
    elif pays == "partly":
        yield "REFERENCEPAYMENT_TO_INVOICE", day, rest * 6 // 10
    elif pays == "over":
        yield "BANKSTATEMENT_TO_INVOICE", day, rest + 10_00
    else:
        yield "REFERENCEPAYMENT_TO_INVOICE", day, rest


def _draw_way(rng: Random) -> str:
    """Even customers who pay as they should once in a while pay otherwise."""
    draw = rng.randrange(1000)
    for limit, way in ((8, "partial"), (11, "hand"), (13, "over"), (17, "never")):
        if draw < limit:
            return way
    return "full"


def _status(draft: Draft, plan: list[tuple[str, date, int]], until: date) -> str:
    if draft.type == "PURCHASE_INVOICE" and not plan:
        return "APPROVED"
    if not plan:
        return "APPROVED" if draft.fate == "approved" else "SENT"
    if draft.paid != draft.total:
        return "PARTLY_PAID"
    by_hand = any(kind in {"CREDITLOSS", "ELSEWHERE"} for kind, _, _ in plan)
    return "MARKED_PAID" if by_hand else "PAID"


def book_payment(number: int, draft: Draft, kind: str, day: date, cents: int, home: str) -> Payment:
    factor = rate(draft.currency, day)
    at_home = cents if draft.currency == home else domestic(cents, factor)
    by_hand = kind in {"CREDITLOSS", "ELSEWHERE"}
    return Payment(number, draft, kind, day, at_home, cents, "MARKED_PAID" if by_hand else "PAID")


def event_json(payment: Payment, home: str) -> Json:
    """The shape of `/invoices/{id}/paymentevents`."""
    return {
        "id": payment.id,
        "invoiceId": payment.draft.id,
        "type": payment.type,
        "paymentDate": payment.day.isoformat(),
        "status": payment.status,
        "amount": money(payment.cents),
        "currency": home,
        "paidAmount": money(payment.paid),
        "paidCurrency": payment.draft.currency,
        "description": "",
    }


def render_event(event: Json, receiver: str) -> EventBytes:
    """The event in both of its shapes; the payment shape has no type."""
    payment = {
        "id": event["id"],
        "invoiceId": event["invoiceId"],
        "paymentDate": event["paymentDate"],
        "amount": event["amount"],
        "receiverName": receiver,
        "status": event["status"],
        "paidAmount": event["paidAmount"],
        "paidCurrency": event["paidCurrency"],
    }
    return EventBytes(event["id"], encode(event), encode(payment))
