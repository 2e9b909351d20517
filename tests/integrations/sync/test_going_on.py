"""A run that is broken off goes on where it was, and shows what is whole meanwhile."""

from __future__ import annotations

import json
import time
from datetime import timedelta

import pytest
from django.db import transaction

from calqsync.jobs.models import Job
from calqsync.tenancy import scope
from integrations.models import Invoice, SyncRun
from integrations.models.runs import OPEN_STATES, RunState
from integrations.sandbox import edits
from integrations.sync import engine
from integrations.sync.bank import bank
from tests.integrations.sync.conftest import contents, imported, requested

pytestmark = pytest.mark.django_db(transaction=True)


def test_s33_a_first_import_broken_off_again_and_again_goes_on_where_it_was(books, settings):
    settings.JOB_SLICE_SECONDS = 0
    requested(books)
    back_to, interruptions = [], 0
    while books.run().state in OPEN_STATES:
        with scope.tenant(books.connection.tenant_id):
            with transaction.atomic():
                job = books.claim()
            engine.sync_slice(job, clock=books.now)
            # The worker dies before it can say how it ended: its lease runs out.
            with transaction.atomic():
                Job.objects.filter(pk=job.id).update(
                    lease_until=books.now() - timedelta(seconds=1), deliveries=0
                )
        interruptions += 1
        books.run()
        back_to.append(books.connection.complete_back_to)
        assert interruptions < 200
    assert interruptions >= 10
    assert books.run().state == RunState.COMPLETE
    days = [day for day in back_to if day is not None]
    assert days == sorted(days, reverse=True)
    whole = contents(books)
    with scope.tenant(books.connection.tenant_id), transaction.atomic():
        assert SyncRun.objects.count() == 1
    assert len(whole["Invoice"]) == books.streams()["invoices"].fetched


def test_s5_an_edit_of_every_document_broken_off_in_the_middle_updates_each_once(
    books, koivu, settings
):
    imported(books)
    numbers = [int(invoice.external_id) for invoice in books.all(Invoice)]
    edits.edit_invoices(koivu, numbers, fields={"additionalInformation": "edited in bulk"})
    settings.JOB_SLICE_SECONDS = 0
    requested(books)
    while books.run().state in OPEN_STATES:
        with scope.tenant(books.connection.tenant_id):
            with transaction.atomic():
                job = books.claim()
            engine.sync_slice(job, clock=books.now)
            with transaction.atomic():
                Job.objects.filter(pk=job.id).update(
                    lease_until=books.now() - timedelta(seconds=1), deliveries=0
                )
        states = [stream.position for stream in books.streams().values()]
        assert len(json.dumps(states)) < 10_000
    assert books.run().slices > 3
    assert books.streams()["invoices"].changed == len(numbers)
    versions = {invoice.version for invoice in books.all(Invoice)}
    assert len(versions) == 1


def test_what_was_read_until_late_in_a_slice_is_applied_in_the_next_one(
    books, koivu, settings, monkeypatch
):
    imported(books)
    invoice = books.all(Invoice, issued=True)[0]
    edits.edit_invoice(koivu, int(invoice.external_id), row_fields={"unitPrice": "1234.5"})

    def late(work):
        bank(work)
        work.deadline = time.monotonic() + settings.JOB_SLICE_SECONDS / 2 - 1

    streams = [(stream, late if read is bank else read) for stream, read in engine.STREAMS]
    monkeypatch.setattr(engine, "STREAMS", streams)
    requested(books)
    assert books.slice().again_in == timedelta(0)
    assert books.run().state == RunState.RUNNING
    assert books.one(Invoice, pk=invoice.pk).version == invoice.version
    books.slice()
    assert books.run().state == RunState.COMPLETE
    assert books.one(Invoice, pk=invoice.pk).version != invoice.version


def test_the_first_months_are_announced_while_older_ones_still_load(books, told):
    books.sync()
    assert len(told) == 2, "at once, and at the end"
