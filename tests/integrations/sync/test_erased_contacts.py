"""A contact that was erased is nowhere in our copy of the books, and no import brings it back."""

from __future__ import annotations

import json
import re
import threading
from typing import Any

import pytest
from django.db import connections, transaction
from django.utils import timezone

from calqsync.privacy.models import Erasure, Export
from calqsync.privacy.services import contacts, exports
from calqsync.tenancy import scope
from calqsync.tenancy.models import AuditEvent
from calqsync.tenancy.secrets import sealer
from integrations.models import (
    Customer,
    ErasedContact,
    Invoice,
    RawDocument,
    Rejection,
    StagedPage,
)
from integrations.sandbox import edits
from integrations.sync import evidence, staging
from integrations.sync.packing import unpacked
from tests.integrations.sync.conftest import wait_for_a_lock

pytestmark = pytest.mark.django_db(transaction=True)


def opened(books: Any) -> dict[tuple[str, str], dict[str, Any]]:
    """Every stored document, as text that a person could read."""
    with scope.tenant(books.cast.tenant.pk), transaction.atomic():
        seal = sealer()
        rows = [*RawDocument.objects.all(), *Rejection.objects.all()]
        return {
            (row.stream, row.external_id): json.loads(evidence.opened(row, seal)) for row in rows
        }


def everywhere(books: Any, truth: Any) -> str:
    """All text that is stored for the tenant, sealed documents opened; audit rows apart."""
    truth.execute(
        "SELECT c.relname FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid"
        " WHERE c.relkind = 'r' AND a.attname = 'tenant_id' AND NOT a.attisdropped"
    )
    tables = [row[0] for row in truth.fetchall()]
    found = [json.dumps(list(opened(books).values()), ensure_ascii=False)]
    for table in tables:
        truth.execute(
            f'SELECT t::text FROM "{table}" t WHERE tenant_id = %s', [books.cast.tenant.pk]
        )
        found += [row[0] for row in truth.fetchall()]
    return "\n".join(found)


def most_invoiced(books: Any) -> Any:
    """The partner of the register with the most invoices."""
    found: dict[int, int] = {}
    for invoice in books.all(Invoice):
        if invoice.customer_identity.startswith("p:"):
            found[invoice.customer_id] = found.get(invoice.customer_id, 0) + 1
    return max(books.all(Customer), key=lambda one: found.get(one.pk, 0))


def erase(books: Any, customer: Any) -> None:
    with scope.tenant(books.cast.tenant.pk), transaction.atomic():
        contacts.contact_erase(
            tenant=books.cast.tenant,
            customer=customer,
            by=books.cast.alice,
            now=timezone.now(),
        )


def traces(books: Any, customer: Any) -> set[str]:
    """What the documents say about who this customer is."""
    party = opened(books)["partners", customer.external_id]
    place = party.get("billingAddress") or {}
    said = {customer.name, customer.email, customer.business_id, place.get("street")}
    return {text for text in said if text and len(text) > 3}


def still_there(books: Any, truth: Any, said: set[str]) -> set[str]:
    text = everywhere(books, truth).casefold()
    return {one for one in said if one.casefold() in text}


def test_the_name_is_gone_from_rows_and_documents_and_amounts_stay(books, truth):
    books.sync()
    customer = most_invoiced(books)
    said = traces(books, customer)
    assert len(said) >= 3
    assert still_there(books, truth, said) == said
    sums = [(i.external_id, i.net_minor, i.date) for i in books.all(Invoice)]
    erase(books, customer)
    assert still_there(books, truth, said) == set()
    assert [(i.external_id, i.net_minor, i.date) for i in books.all(Invoice)] == sums
    erased = books.one(Customer, pk=customer.pk)
    assert re.fullmatch(r"Erased contact [0-9A-F]{6}", erased.name)
    assert (erased.email, erased.city, erased.business_id) == ("", "", "")


def test_no_import_brings_it_back_neither_changed_nor_new_documents(books, koivu, truth):
    books.sync()
    customer = most_invoiced(books)
    said = traces(books, customer)
    erase(books, customer)
    invoice = books.all(Invoice, customer=customer)[-1]
    edits.edit_invoice(koivu, int(invoice.external_id), row_fields={"quantity": "7"})
    edits.change_partner(koivu, int(customer.external_id), name=customer.name)
    new = edits.create_invoice(koivu, like=int(invoice.external_id), day="2026-11-02")
    books.sync()
    stored = books.one(Invoice, external_id=str(new["id"]))
    assert stored.customer_id == customer.pk
    assert stored.customer_name.startswith("Erased contact ")
    assert still_there(books, truth, said) == set()
    assert len(books.all(Customer, identity=customer.identity)) == 1


def test_documents_of_others_stay_as_they_were(books):
    books.sync()
    customer = most_invoiced(books)
    before = opened(books)
    own = {("invoices", i.external_id) for i in books.all(Invoice, customer=customer)}
    erase(books, customer)
    after = opened(books)
    changed = {key for key in before if after[key] != before[key]}
    assert own <= changed
    assert {key for key in changed - own if key[0] == "invoices"} == set()
    others = {i.customer_name for i in books.all(Invoice) if i.customer_id != customer.pk}
    assert not any(name.startswith("Erased contact") for name in others)


def test_a_second_erasure_changes_nothing_more(books, truth):
    books.sync()
    customer = most_invoiced(books)
    erase(books, customer)
    before = opened(books)
    erase(books, books.one(Customer, pk=customer.pk))
    assert opened(books) == before
    assert Erasure.objects.count() == 1


def test_marks_are_hashes_under_the_tenant_s_key(books):
    books.sync()
    customer = most_invoiced(books)
    erase(books, customer)
    with scope.tenant(books.cast.tenant.pk), transaction.atomic():
        marks = list(ErasedContact.objects.values_list("mark", flat=True))
        assert len(marks) > 2
        assert all(re.fullmatch("[0-9a-f]{64}", mark) for mark in marks)
        event = AuditEvent.objects.get(act="contact.erased")
        assert customer.name not in str(event.target) + str(event.after)


def test_a_copy_that_was_taken_before_is_deleted(books):
    books.sync()
    with scope.tenant(books.cast.tenant.pk), transaction.atomic():
        export = exports.export_request(by=books.cast.alice, now=timezone.now())
        Export.objects.filter(pk=export.pk).update(state="ready")
    erase(books, most_invoiced(books))
    with scope.tenant(books.cast.tenant.pk), transaction.atomic():
        assert Export.objects.get().state == "expired"


def held_back(books: Any) -> str:
    """What runs hold back of documents, as text that a person could read."""
    with scope.tenant(books.cast.tenant.pk), transaction.atomic():
        seal, found = sealer(), []
        for page in StagedPage.objects.all():
            body = seal.open(
                bytes(page.body), connection_id=books.connection.pk, field=f"staged:{page.kind}"
            )
            found.append(unpacked(body).decode(errors="replace"))
        return "\n".join(found)


def test_a_run_that_holds_pages_back_holds_no_name_of_a_contact_erased_meanwhile(
    books, koivu, sandbox, truth
):
    books.sync()
    customer = most_invoiced(books)
    said = traces(books, customer)
    invoice = books.all(Invoice, customer=customer)[-1]
    edits.edit_invoice(koivu, int(invoice.external_id), row_fields={"quantity": "7"})
    new = edits.create_invoice(koivu, like=int(invoice.external_id), day="2026-11-02")
    sandbox.fault("status", path="bankstatements", times=None, status=500)
    assert books.sync().state == "waiting"
    assert customer.name in held_back(books)
    erase(books, customer)
    assert not [one for one in said if one in held_back(books)]
    sandbox.clear_faults()
    assert books.sync().state.startswith("complete")
    assert books.one(Invoice, external_id=str(new["id"])).customer_id == customer.pk
    assert still_there(books, truth, said) == set()


def test_an_erasure_waits_for_the_end_of_a_promotion_and_misses_nothing_of_it(
    books, koivu, truth, monkeypatch
):
    books.sync()
    customer = most_invoiced(books)
    said = traces(books, customer)
    invoice = books.all(Invoice, customer=customer)[-1]
    edits.create_invoice(koivu, like=int(invoice.external_id), day="2026-11-02")
    apply, ended = staging.apply, []

    def erases():
        try:
            erase(books, customer)
            ended.append("erased")
        finally:
            connections.close_all()

    click = threading.Thread(target=erases)

    def applies(work, page):
        touched = apply(work, page)
        click.start()
        wait_for_a_lock()
        assert ended == []
        return touched

    monkeypatch.setattr(staging, "apply", applies)
    assert books.sync().state.startswith("complete")
    click.join(timeout=30)
    assert ended == ["erased"]
    assert still_there(books, truth, said) == set()


def test_a_document_that_cannot_be_understood_is_set_aside_without_the_name(books, koivu, truth):
    books.sync()
    customer = most_invoiced(books)
    said = traces(books, customer)
    erase(books, customer)
    number = int(books.all(Invoice, customer=customer)[-1].external_id)
    edits.edit_invoice(koivu, number, row_fields={"quantity": "7"})
    document = json.loads(koivu.invoices.details[number])
    assert customer.name in json.dumps(document, ensure_ascii=False)
    del document["status"]
    koivu.invoices.details[number] = json.dumps(document).encode()
    books.sync()
    assert books.one(Rejection, external_id=str(number))
    assert still_there(books, truth, said) == set()
