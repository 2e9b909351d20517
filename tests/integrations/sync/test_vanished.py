"""What a complete run no longer sees is marked; much at once only with a person's word."""

from __future__ import annotations

import pytest
from django.core import mail
from django.db import transaction

from calqsync.tenancy import scope
from integrations.models import Invoice, InvoiceLine, Product, RemovalHold
from integrations.models.runs import OPEN_STATES, RunState
from integrations.sandbox import edits
from integrations.services.removals import removals_confirm
from integrations.sync.work import take
from tests.conftest import until_blocked
from tests.integrations.sync.conftest import WEEK, elsewhere, imported, requested

pytestmark = pytest.mark.django_db(transaction=True)


def test_s13_a_product_that_vanished_is_marked_with_its_day_and_comes_back(books, koivu):
    imported(books)
    gone = books.all(Product)[0]
    number = int(gone.external_id)
    shelf = koivu.products
    head, item, detail = shelf.heads[number], shelf.items[number], shelf.details[number]
    shelf.drop(number)
    books.sync()
    marked = books.one(Product, pk=gone.pk)
    assert marked.removed_at is not None
    assert books.streams()["products"].removed == 1
    assert books.all(InvoiceLine, product=gone) != []
    shelf.put(head, item, detail)
    books.sync()
    assert books.one(Product, pk=gone.pk).removed_at is None


def test_a_full_run_in_many_slices_finds_what_vanished(books, koivu, settings):
    imported(books)
    gone = books.all(Invoice)[7]
    edits.delete_invoice(koivu, int(gone.external_id))
    settings.JOB_SLICE_SECONDS = 0
    books.late = WEEK
    for _ in range(200):
        books.slice()
        if books.run().mode == "full" and books.run().state not in OPEN_STATES:
            break
    run = books.run()
    assert (run.mode, run.state) == ("full", RunState.COMPLETE)
    assert run.slices > 5
    assert [i.pk for i in books.all(Invoice) if i.removed_at] == [gone.pk]


def test_s12_many_missing_documents_are_held_until_a_person_and_a_second_run_say_so(
    books, koivu, post_office
):
    imported(books)
    everything = books.all(Invoice)
    for invoice in everything[5:]:
        edits.delete_invoice(koivu, int(invoice.external_id))

    def removed():
        return [i for i in books.all(Invoice) if i.removed_at]

    requested(books, full=True)
    books.slice()
    hold = books.one(RemovalHold)
    assert (hold.stream, hold.missing, hold.stored) == (
        "invoices",
        len(everything) - 5,
        len(everything),
    )
    assert asked(books, post_office) == 2
    assert f"no longer found {len(everything) - 5} of {len(everything)} invoices" in (
        mail.outbox[-1].body
    )
    requested(books, full=True)
    books.slice()
    assert removed() == [], "a second run alone removes nothing"
    assert asked(books, post_office) == 0, "the question was put once to each who can answer it"
    with scope.tenant(books.connection.tenant_id), transaction.atomic():
        RemovalHold.objects.update(confirmed_at=books.now())
    requested(books, full=True)
    books.slice()
    assert len(removed()) == len(everything) - 5
    assert books.one(RemovalHold).ended_at is not None


def asked(books, post_office):
    """How many letters go now that ask whether documents were deleted."""
    before = len(mail.outbox)
    post_office(books.cast.tenant)
    return sum("deleted?" in letter.subject for letter in mail.outbox[before:])


def test_s12b_what_is_seen_again_ends_the_question(books, koivu, post_office):
    imported(books)
    shelf = koivu.invoices
    kept = {}
    for invoice in books.all(Invoice)[5:]:
        number = int(invoice.external_id)
        kept[number] = (shelf.heads[number], shelf.items[number], shelf.details[number])
        shelf.drop(number)
    requested(books, full=True)
    books.slice()
    assert books.one(RemovalHold).ended_at is None
    for parts in kept.values():
        shelf.put(*parts)
    requested(books, full=True)
    books.slice()
    assert books.one(RemovalHold).ended_at is not None
    assert asked(books, post_office) == 0, "a question that is settled is not sent"
    assert [i for i in books.all(Invoice) if i.removed_at] == []


def test_s12c_more_than_was_confirmed_asks_anew(books, koivu, post_office):
    imported(books)
    numbers = [int(invoice.external_id) for invoice in books.all(Invoice)]
    for number in numbers[: len(numbers) // 2]:
        edits.delete_invoice(koivu, number)
    requested(books, full=True)
    books.slice()
    assert asked(books, post_office) == 2
    with scope.tenant(books.connection.tenant_id), transaction.atomic():
        RemovalHold.objects.update(confirmed_at=books.now())
    for number in numbers[len(numbers) // 2 : -2]:
        edits.delete_invoice(koivu, number)
    requested(books, full=True)
    books.slice()
    hold = books.one(RemovalHold)
    assert (hold.confirmed_at, hold.ended_at, hold.missing) == (None, None, len(numbers) - 2)
    assert asked(books, post_office) == 2
    assert [i for i in books.all(Invoice) if i.removed_at] == []


def test_a_person_who_answers_for_what_vanished_locks_in_the_workers_order(books, truth):
    imported(books)
    with scope.tenant(books.connection.tenant_id), transaction.atomic():
        hold = RemovalHold.objects.create(
            tenant_id=books.connection.tenant_id,
            connection=books.connection,
            stream="invoices",
            found_at=books.now(),
            missing=30,
            stored=60,
        )
        assert hold.pk
    with scope.tenant(books.connection.tenant_id), transaction.atomic():
        take(books.connection)
        word = elsewhere(
            books, lambda: removals_confirm(hold=hold, by=books.cast.alice, now=books.now())
        )
        until_blocked(truth)
        assert RemovalHold.objects.select_for_update(nowait=True).get(pk=hold.pk)
    word.join(30)
    assert books.one(RemovalHold, pk=hold.pk).confirmed_at is not None
