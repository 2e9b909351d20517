"""One company of the sandbox: its documents, its bank, and the truth about its invoices."""

import gc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date, timedelta
from random import Random
from typing import Any

from integrations.sandbox import numbers
from integrations.sandbox.bank import Account, build_accounts, statements
from integrations.sandbox.book import Book
from integrations.sandbox.calendars import add_months, now_local
from integrations.sandbox.catalogue import build_catalogue
from integrations.sandbox.issue import issue
from integrations.sandbox.lives import draw_partner, live
from integrations.sandbox.model import Catalogue, Partner, Profile, RowTruth
from integrations.sandbox.payments import Payment
from integrations.sandbox.render import (
    Json,
    decode,
    encode,
    partner_item,
    partner_json,
    product_json,
)
from integrations.sandbox.store import EventBytes, Head, Shelf
from integrations.sandbox.suppliers import add_offers, add_purchases
from integrations.sandbox.traps import FIRST_PARTNER, add_traps


@dataclass(slots=True)
class Company:
    """Everything that the API shows of one company; ids repeat between companies."""

    profile: Profile
    seed: int
    anchor: date
    opens: date
    invoices: Shelf = field(default_factory=Shelf)
    partners: Shelf = field(default_factory=Shelf)
    products: Shelf = field(default_factory=Shelf)
    accounts: Shelf = field(default_factory=Shelf)
    statements: Shelf = field(default_factory=Shelf)
    events: dict[int, tuple[EventBytes, ...]] = field(default_factory=dict)  # by invoice id
    bank: list[Account] = field(default_factory=list)  # empty when read from a cache
    truths: list[RowTruth] = field(default_factory=list)
    late_truths: Callable[[], list[RowTruth]] | None = None
    last_event: int = 0  # the highest number of a payment that an edit added
    clock_ahead: timedelta = timedelta(0)  # how far this company's clock is wrong

    @property
    def slug(self) -> str:
        return self.profile.slug

    @property
    def id(self) -> int:
        return self.profile.company_id

    @property
    def name(self) -> str:
        return self.profile.name

    def now(self) -> str:
        """The moment as this company's documents are stamped with it."""
        return now_local(self.clock_ahead)

    @property
    def business_id(self) -> str:
        return numbers.business_id(self.profile.serial)

    @property
    def currency(self) -> str:
        return "EUR"

    def truth(self) -> list[RowTruth]:
        """The right reading of every invoice row, as generated (edits do not change it)."""
        if self.late_truths is not None:
            self.truths, self.late_truths = self.late_truths(), None
        return list(self.truths)

    def register(self, kind: str) -> Iterator[Json]:
        """Every `partners`, `products`, `accounts` or `statements` as the API shows it now."""
        shelf: Shelf = getattr(self, kind)
        for document_id in sorted(shelf.items):
            yield decode(shelf.details.get(document_id) or shelf.items[document_id])

    def documents(self) -> Iterator[Json]:
        """Every document as the API shows it now, with its payment events under `events`."""
        for invoice_id in sorted(self.invoices.details):
            document = decode(self.invoices.details[invoice_id])
            events = [decode(event.event) for event in self.events.get(invoice_id, ())]
            yield {"document": document, "events": events}

    def company_json(self) -> Json:
        place = {
            "street": "Mallikuja 2",
            "zip": "00200",
            "city": "Helsinki",
            "country": self.profile.country,
        }
        return {
            "id": self.id,
            "name": self.name,
            "country": self.profile.country,
            "productVersion": "FINANCIALS_PLUS",
            "operationType": "PRODUCTION",
            "accountingOfficeName": "Tilikulma Oy",
            "accountingOfficeId": 320,
            "companyAddress": place,
            "billingAddress": place,
            "inTradeRegister": True,
            "businessIdentifier": {"brnType": "FI", "code": self.business_id},
            "accountingCoaLanguages": ["fi", "en"],
            "companyCurrency": self.currency,
            "currencyRateSearchDensity": "DAILY_EXCHANGE_RATE",
        }


def make_company(profile: Profile, *, seed: int, anchor: date) -> Company:
    """Generate a company; the same profile, seed and anchor give the same bytes."""
    with _without_collector():
        return _make(profile, seed, anchor)


@contextmanager
def _without_collector() -> Iterator[None]:
    """Nothing made here is garbage, and looking for it costs a fifth of the time."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def _make(profile: Profile, seed: int, anchor: date) -> Company:
    rng = Random(f"{profile.slug}/{seed}")
    anchor = anchor.replace(day=1)
    opens = add_months(anchor, -profile.months)
    company = Company(profile, seed, anchor, opens)
    base = profile.id_base
    catalogue = build_catalogue(
        brand=profile.name.split()[0], english=profile.english, first_id=77_101 + base
    )
    rises = ((add_months(anchor, -19), 104), (add_months(anchor, -7), 103))
    book = Book(rng, catalogue, opens, anchor, profile.mrr_scale, rises)
    customers = _customers(book, profile)
    suppliers = add_purchases(book, first_id=520_001 + base)
    add_offers(book, customers)
    payments = issue(company, book, first_id=81_200_001 + base)
    _register(company, [*customers, *suppliers], catalogue)
    _bank(company, rng, payments)
    return company


def _customers(book: Book, profile: Profile) -> list[Partner]:
    first_id = FIRST_PARTNER + profile.id_base
    customers = add_traps(book, profile, first_id=first_id) if profile.traps else []
    while len(customers) < profile.customers or _short(book, profile):
        index = len(customers)
        partner = draw_partner(book.rng, profile, index, first_id + index)
        customers.append(partner)
        live(book, partner)
    if profile.target_invoices is not None:
        extra = len(book.drafts) - profile.target_invoices
        if extra > 0:
            del book.drafts[-extra:]
    return customers


def _short(book: Book, profile: Profile) -> bool:
    return profile.target_invoices is not None and len(book.drafts) < profile.target_invoices


def _register(company: Company, partners: list[Partner], catalogue: Catalogue) -> None:
    version = f"{company.opens - timedelta(days=9)}T10:00:00"
    for partner in partners:
        changed = f"{partner.renamed}T11:30:00" if partner.renamed else version
        document = partner_json(partner, changed)
        head = Head(
            partner.id,
            type=partner.type,
            version=changed,
            flag=partner.active,
            original=partner.number,
            name=partner.name,
        )
        company.partners.put(head, encode(partner_item(document)), encode(document))
    for product in catalogue.products.values():
        document = product_json(product, currency=company.currency, vat=255, version=version)
        raw = encode(document)
        head = Head(
            product.id,
            type=product.type,
            version=version,
            flag=product.active,
            original=product.code,
            name=product.name,
        )
        company.products.put(head, raw, raw)


def _bank(company: Company, rng: Random, payments: list[Payment]) -> None:
    profile, opens, anchor = company.profile, company.opens, company.anchor
    company.bank = build_accounts(profile, rng, payments, opens=opens, anchor=anchor)
    for place, account in enumerate(company.bank):
        document: dict[str, Any] = {
            "id": account.id,
            "accountNumber": account.number,
            "iban": account.iban,
            "bic": "TESTFIHH",
            "bankName": "Testipankki",
            "currency": "EUR",
            "defaultForInvoice": place == 0,
            "defaultForPayment": place == 0,
            "status": "ACTIVE",
            "orderNo": place + 1,
            "version": f"{opens}T00:00:00",
        }
        raw = encode(document)
        company.accounts.put(Head(account.id, number=place + 1, flag=True), raw, raw)
        for statement in statements(
            account,
            opens=opens,
            anchor=anchor,
            daily=profile.daily_statements and place == 0,
            first_id=880_000 + place * 100_000,
            merged=profile.target_invoices is not None,
        ):
            head = Head(
                statement["id"],
                date=statement["endDate"],
                created=statement["startDate"],
                account=account.iban,
            )
            company.statements.put(head, encode(statement))
