"""Makes a company: its customers and their documents, its registers, its bank."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, timedelta
from random import Random
from typing import Any

from integrations.sandbox.bank import build_accounts, statements
from integrations.sandbox.book import Book
from integrations.sandbox.calendars import add_months
from integrations.sandbox.catalogue import build_catalogue
from integrations.sandbox.company import Company
from integrations.sandbox.issue import issue
from integrations.sandbox.lives import draw_partner, live
from integrations.sandbox.model import Catalogue, Partner, Profile
from integrations.sandbox.payments import Payment
from integrations.sandbox.render import encode, partner_item, partner_json, product_json
from integrations.sandbox.store import Head
from integrations.sandbox.suppliers import add_offers, add_purchases
from integrations.sandbox.traps import FIRST_PARTNER, add_traps


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
