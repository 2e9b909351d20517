"""Whoever cancels, pauses or removes meanwhile is obeyed, and neither waits for the other."""

from __future__ import annotations

import threading

import pytest
from django.db import connections, transaction

from calqsync.tenancy import scope
from integrations.models import Connection
from integrations.models.runs import RunState
from integrations.services import runs
from integrations.sync import engine, staging
from tests.conftest import until_blocked
from tests.integrations.sync.conftest import (
    changes,
    contents,
    elsewhere,
    imported,
    requested,
    staged,
    wait_for_a_lock,
)

pytestmark = pytest.mark.django_db(transaction=True)


def test_q19_a_cancelled_update_leaves_the_last_complete_state(books, koivu, monkeypatch):
    before = contents(imported(books))
    changes(koivu, books)
    begin = engine.Work.begin

    def begins(work, stream):
        if stream == "bank":
            assert staged(books) > 0
            with transaction.atomic():
                assert runs.sync_cancel(connection=books.connection, by=None)
        begin(work, stream)

    monkeypatch.setattr(engine.Work, "begin", begins)
    assert books.sync().state == RunState.CANCELLED
    assert contents(books) == before
    assert staged(books) == 0
    monkeypatch.undo()
    assert books.sync().state == RunState.COMPLETE
    assert contents(books) != before


def test_q19b_a_cancellation_during_the_promotion_counts(books, koivu, monkeypatch):
    before = contents(imported(books))
    changes(koivu, books)
    apply, waited = staging.apply, []

    def cancel():
        with scope.tenant(books.connection.tenant_id), transaction.atomic():
            assert runs.sync_cancel(connection=books.connection, by=None)
        connections.close_all()

    def applies(work, page):
        touched = apply(work, page)
        # A click in another process, which must not wait for the promotion.
        click = threading.Thread(target=cancel)
        click.start()
        click.join(timeout=10)
        waited.append(click.is_alive())
        return touched

    monkeypatch.setattr(staging, "apply", applies)
    assert books.sync().state == RunState.CANCELLED
    assert waited == [False]
    assert contents(books) == before


def test_q19c_a_cancellation_at_the_very_end_of_the_promotion_waits_for_nothing(
    books, koivu, monkeypatch
):
    before = contents(imported(books))
    changes(koivu, books)
    works, waited = engine.trouble.works, []

    def last(connection, *, first):
        works(connection, first=first)
        click = elsewhere(books, lambda: runs.sync_cancel(connection=connection, by=None))
        click.join(timeout=10)
        waited.append(click.is_alive())

    monkeypatch.setattr(engine.trouble, "works", last)
    assert books.sync().state == RunState.CANCELLED
    assert waited == [False]
    assert contents(books) == before
    assert staged(books) == 0


def test_q19d_a_run_cancelled_while_a_worker_takes_it_up_stays_cancelled(books, koivu, truth):
    before = contents(imported(books))
    changes(koivu, books)
    requested(books)
    with scope.tenant(books.connection.tenant_id):
        with transaction.atomic():
            job = books.claim()
        with transaction.atomic():
            assert runs.sync_cancel(connection=books.connection, by=None)

            def worker():
                try:
                    with scope.tenant(books.connection.tenant_id):
                        engine.sync_slice(job, clock=books.now)
                finally:
                    connections.close_all()

            slice_ = threading.Thread(target=worker)
            slice_.start()
            until_blocked(truth)
    slice_.join(60)
    assert books.run().state == RunState.CANCELLED
    assert contents(books) == before


def test_s32_a_connection_removed_in_mid_run_gets_nothing_more(books, koivu, monkeypatch):
    before = contents(imported(books))
    changes(koivu, books)
    begin = engine.Work.begin

    def begins(work, stream):
        if stream == "payments":
            with transaction.atomic():
                runs.sync_cancel(connection=books.connection, by=None)
                Connection.objects.filter(pk=books.connection.pk).update(
                    disconnected_at=books.now()
                )
        begin(work, stream)

    monkeypatch.setattr(engine.Work, "begin", begins)
    books.sync()
    assert contents(books) == before
    monkeypatch.undo()
    assert books.slice().again_in is None
    assert contents(books) == before


def test_a_person_who_pauses_in_mid_page_and_the_worker_never_wait_for_each_other(
    books, monkeypatch
):
    outcome = []

    def pause():
        try:
            with scope.tenant(books.connection.tenant_id):
                runs.connection_pause(
                    connection=books.connection, by=books.cast.alice, now=books.now()
                )
            outcome.append("paused")
        finally:
            connections.close_all()

    click = threading.Thread(target=pause)
    complete = engine.Work.complete_back_to

    def completes(work, day, page):
        if not outcome and click.ident is None:
            click.start()
            wait_for_a_lock()
        complete(work, day, page)

    monkeypatch.setattr(engine.Work, "complete_back_to", completes)
    run = books.sync()
    click.join(timeout=30)
    assert outcome == ["paused"]
    assert run.state == RunState.CANCELLED
