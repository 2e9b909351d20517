"""Erasing the personal data of a customer's contact from the imported books."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec
from django.db import transaction
from django.db.models import Q

from calqsync.tenancy import scope
from calqsync.tenancy.secrets import Sealer, SecretUnreadable, sealer
from integrations.models import (
    BankEvent,
    Customer,
    ErasedContact,
    Invoice,
    InvoiceLine,
    Payment,
    RawDocument,
    Rejection,
    SyncRun,
)
from integrations.models.runs import OPEN_STATES, Stream
from integrations.signals import books_changed
from integrations.sync import evidence, staging
from integrations.sync.erased import (
    Erased,
    identity_mark,
    neutral_name,
    tag_of,
    without_words,
    word_mark,
)
from integrations.sync.values import normalised, sort_key
from integrations.sync.work import hold_books


def contact_mark(customer: Customer) -> str:
    """What the ledger of erasures knows this customer by; no name can be read from it."""
    return identity_mark(sealer(), customer.connection_id, customer.identity)


def contact_is_erased(customer: Customer) -> bool:
    """Whether the customer shows under a neutral name already."""
    return bool(_tag_shown(customer))


def _tag_shown(customer: Customer) -> str:
    """The tag of an erased contact that the customer is named by; empty for any other name."""
    tag = customer.name.removeprefix(neutral_name(""))
    known = tag != customer.name and ErasedContact.objects.filter(tag=tag).exists()
    return tag if known else ""


@transaction.atomic
def contact_erase(*, customer: Customer, now: datetime) -> str:
    """Take name, addresses and numbers of a contact out of the books; returns its mark.

    Amounts, dates and products stay, under a neutral name, so that the figures stay as they are.
    Procountor keeps the documents; the next import finds them there and leaves them nameless.
    """
    # What an import is writing ends first; whatever it writes next knows of the erasure.
    hold_books(customer.connection_id)
    open_runs = SyncRun.objects.filter(connection=customer.connection, state__in=OPEN_STATES)
    list(open_runs.select_for_update())
    seal = sealer()
    mark = identity_mark(seal, customer.connection_id, customer.identity)
    tag = _tag_shown(customer) or tag_of(mark)
    invoices = Invoice.objects.filter(customer=customer)
    numbers = list(invoices.values_list("external_id", flat=True))
    _remember(seal, customer, numbers, mark, tag, now)
    erased = Erased.of(seal, customer.connection_id)
    if customer.name != neutral_name(tag):
        erased.words.update(filter(None, [customer.name, customer.email]))
    _documents(seal, erased, customer, numbers)
    _rows(customer, tag, sorted(erased.words, key=len, reverse=True), numbers)
    books_changed.send(
        sender=Customer, tenant_id=customer.tenant_id, connection_id=customer.connection_id
    )
    return mark


@transaction.atomic
def contact_keep_erased(*, mark: str, now: datetime) -> None:
    """Know the contact of this mark again although its row is not there (yet)."""
    ErasedContact.objects.bulk_create(
        [ErasedContact(tenant_id=scope.required(), mark=mark, tag=tag_of(mark), erased_at=now)],
        ignore_conflicts=True,
    )


def _remember(
    seal: Sealer, customer: Customer, invoices: list[str], mark: str, tag: str, now: datetime
) -> None:
    """Store the hashes by which documents of this contact are known from now on."""
    identities = [f"i:{number}" for number in invoices]
    if customer.business_id:
        identities.append("b:" + "".join(customer.business_id.split()).upper())
    if customer.customer_number:
        identities.append(f"n:{customer.customer_number}")
    neutral = neutral_name(tag)
    words = {customer.name, customer.email} - {"", "?", neutral}
    marks = {mark, *(word_mark(seal, word) for word in words)}
    marks |= {identity_mark(seal, customer.connection_id, one) for one in identities}
    ErasedContact.objects.bulk_create(
        [
            ErasedContact(tenant_id=customer.tenant_id, mark=one, tag=tag, erased_at=now)
            for one in sorted(marks)
        ],
        ignore_conflicts=True,
    )


def _documents(seal: Sealer, erased: Erased, customer: Customer, invoices: list[str]) -> None:
    """Blank what Procountor sent about this contact, and seal it again under its old digest."""
    connection = customer.connection_id
    payments = Payment.objects.filter(invoice__customer=customer)
    statements = _events(customer, invoices).values_list("statement_external_id", flat=True)
    wanted = (
        Q(stream=Stream.PARTNERS, external_id=customer.external_id)
        | Q(stream=Stream.INVOICES, external_id__in=invoices)
        | Q(stream=Stream.PAYMENTS, external_id__in=payments.values("external_id"))
        | Q(stream=Stream.BANK, external_id__in=list(statements))
    )
    rows = RawDocument.objects.filter(wanted, connection_id=connection).order_by("pk")
    for document in rows.iterator(chunk_size=200):
        body = _blanked(seal, erased, document)
        if body is not None:
            RawDocument.objects.filter(pk=document.pk).update(body=body)
    for set_aside in Rejection.objects.filter(connection_id=connection):
        body = _blanked(seal, erased, set_aside)
        if body is not None:
            Rejection.objects.filter(pk=set_aside.pk).update(raw=body)
    staging.blank(seal, connection, erased)


def _blanked(seal: Sealer, erased: Erased, document: RawDocument | Rejection) -> bytes | None:
    try:
        raw = erased.blanked(document.stream, evidence.opened(document, seal))
    except (SecretUnreadable, msgspec.DecodeError, UnicodeDecodeError):
        return None  # nobody can read it, or it is no document
    if raw is None:
        return None
    return evidence.sealed_for(
        seal, document.connection_id, document.stream, document.external_id, raw
    )


def _events(customer: Customer, invoices: list[str]) -> Any:
    return BankEvent.objects.filter(
        Q(invoice_external_id__in=invoices) | Q(counterparty__iexact=customer.name),
        connection_id=customer.connection_id,
    )


def _rows(customer: Customer, tag: str, words: list[str], invoices: list[str]) -> None:
    """Blank the typed rows: the customer, its invoices' names and texts, its payments' senders."""
    neutral = neutral_name(tag)
    for event in _events(customer, invoices):
        BankEvent.objects.filter(pk=event.pk).update(
            counterparty=neutral,
            counterparty_iban="",
            message=without_words(event.message, [event.counterparty, *words], tag)[:500],
        )
    for word in words:
        named = InvoiceLine.objects.filter(
            Q(name__icontains=word) | Q(text__icontains=word), invoice__customer=customer
        )
        for line in named:
            InvoiceLine.objects.filter(pk=line.pk).update(
                name=without_words(line.name, words, tag)[:300],
                text=without_words(line.text, words, tag),
            )
    # Where Procountor gave no number of a partner, the name itself was the identity.
    identity = customer.identity
    if not identity.startswith("p:"):
        identity = "t:" + normalised(neutral)
    Invoice.objects.filter(customer=customer).update(
        customer_name=neutral, customer_identity=identity
    )
    Customer.objects.filter(pk=customer.pk).update(
        identity=identity,
        name=neutral,
        sort_key=sort_key(neutral),
        business_id="",
        customer_number="",
        country="",
        city="",
        email="",
    )
