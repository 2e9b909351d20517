"""What people do about documents on the pages, with the engine behind them."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

import pytest
from django.db import transaction
from django.urls import reverse
from django.utils import timezone

from calqsync.jobs.models import Job
from calqsync.tenancy import scope
from calqsync.tenancy.models import AuditEvent
from integrations.models import BankAccount, Invoice, Rejection, RemovalHold, SyncRun
from integrations.models.runs import GIVES_UP_AFTER, RunState, Stream
from integrations.sandbox import edits
from integrations.services import runs
from integrations.sync import engine
from tests.conftest import SignedInClient


@pytest.fixture
def browse(books: Any) -> Any:
    """A browser of one of the company's people: `get` and `post` by route name."""
    return Browser(books)


class Browser:
    def __init__(self, books: Any, person: str = "ann") -> None:
        self.books, self.client = books, SignedInClient()
        self.client.force_login(getattr(books.cast, person))

    def address(self, name: str, *more: Any) -> str:
        public_id = self.books.connection.public_id
        return reverse(name, args=[self.books.cast.tenant.slug, public_id, *more])

    def get(self, name: str, *more: Any, query: str = "") -> str:
        answer = self.client.get(self.address(name, *more) + query)
        assert answer.status_code == 200, answer.status_code
        return re.sub(r"\s+", " ", str(answer.content.decode()))

    def post(self, name: str, *more: Any, **form: str) -> str:
        """What the page says that the form leads to."""
        answer = self.client.post(self.address(name, *more), form, follow=True)
        assert answer.redirect_chain, answer.status_code
        return re.sub(r"\s+", " ", str(answer.content.decode()))


def inside(books: Any) -> Any:
    return scope.tenant(books.connection.tenant_id)


def broken(books: Any, koivu: Any) -> tuple[int, bytes]:
    """One invoice that makes no sense, and what it was; imported."""
    [*_, number] = koivu.invoices.details
    good = koivu.invoices.details[number]
    koivu.invoices.details[number] = b'{"id": %d, "type": "SALES_INVOICE"}' % number
    assert books.sync().state == RunState.COMPLETE_WITH_REJECTS
    return number, good


def acts(books: Any) -> list[str]:
    with inside(books), transaction.atomic():
        return list(AuditEvent.objects.order_by("pk").values_list("act", flat=True))


def test_s12d_the_page_asks_and_a_persons_word_and_a_full_import_remove_them(
    books: Any, koivu: Any, browse: Any
) -> None:
    books.sync()
    everything = books.all(Invoice)
    for invoice in everything[5:]:
        edits.delete_invoice(koivu, int(invoice.external_id))
    with inside(books), transaction.atomic():
        request(books, full=True)
    books.slice()
    hold, gone = books.one(RemovalHold), len(everything) - 5
    asks = f"Were {gone:,} invoices deleted"
    assert asks in browse.get("connection")
    assert (
        asks
        in browse.client.get(
            reverse("integrations", args=[books.cast.tenant.slug])
        ).content.decode()
    )

    # Looking again removes nothing, however often.
    assert "Nothing is removed" in browse.post("connection_recheck", hold.public_id)
    assert books.run().mode == "full"
    books.slice()
    assert not [invoice for invoice in books.all(Invoice) if invoice.removed_at]
    assert asks in browse.get("connection")

    told = browse.get("connection_removals", hold.public_id)
    assert f"Remove {gone:,} of {len(everything):,} invoices?" in told
    assert "Whatever the full import finds again" in told
    said = browse.post("connection_removals", hold.public_id)
    assert "are about to be removed" in said
    assert books.one(RemovalHold).confirmed_by_id == books.cast.ann.pk
    assert not [invoice for invoice in books.all(Invoice) if invoice.removed_at], "only a run does"
    books.slice()
    assert len([invoice for invoice in books.all(Invoice) if invoice.removed_at]) == gone
    page = browse.get("connection")
    assert asks not in page
    assert "about to be removed" not in page
    assert [act for act in acts(books) if act.startswith("removal.")] == [
        "removal.checked",
        "removal.confirmed",
    ]
    # Who comes back to the question finds it settled.
    assert "settled already" in browse.post("connection_removals", hold.public_id)


def request(books: Any, *, full: bool) -> None:
    runs.sync_request(connection=books.connection, by=books.cast.alice, now=books.now(), full=full)


def test_s12e_a_word_taken_back_removes_nothing(books: Any, koivu: Any, browse: Any) -> None:
    books.sync()
    for invoice in books.all(Invoice)[5:]:
        edits.delete_invoice(koivu, int(invoice.external_id))
    with inside(books), transaction.atomic():
        request(books, full=True)
    books.slice()
    hold = books.one(RemovalHold)
    browse.post("connection_removals", hold.public_id)
    assert "Look again and remove nothing" in browse.get("connection")
    browse.post("connection_recheck", hold.public_id)
    books.slice()
    assert not [invoice for invoice in books.all(Invoice) if invoice.removed_at]
    assert books.one(RemovalHold).confirmed_at is None


def test_s12f_a_word_given_while_an_update_runs_waits_for_the_next_import(
    books: Any, koivu: Any, browse: Any
) -> None:
    books.sync()
    for invoice in books.all(Invoice)[5:]:
        edits.delete_invoice(koivu, int(invoice.external_id))
    with inside(books), transaction.atomic():
        request(books, full=True)
    books.slice()
    gone = books.one(RemovalHold).missing
    with inside(books), transaction.atomic():
        request(books, full=False)
    assert books.run().mode == "incremental"
    said = browse.post("connection_removals", books.one(RemovalHold).public_id)
    assert "One is under way: the next one does that." in said
    books.slice()
    assert not [invoice for invoice in books.all(Invoice) if invoice.removed_at]
    books.sync()
    assert books.run().mode == "full"
    assert len([invoice for invoice in books.all(Invoice) if invoice.removed_at]) == gone


def test_a_retry_says_what_came_of_it(books: Any, koivu: Any, browse: Any) -> None:
    number, good = broken(books, koivu)
    rejection = books.one(Rejection)
    said = browse.post("connection_retry", document=str(rejection.public_id))
    assert "Retry of 1 document" in said
    assert "under way" in said
    books.slice()
    assert "0 imported, 1 still rejected" in browse.get("connection_rejected")
    assert books.one(Rejection).attempts == 2

    koivu.invoices.details[number] = good
    page = browse.get("connection_rejected")
    [key] = set(re.findall(r'name="reason" value="(\w+)"', page))
    browse.post("connection_retry", reason=key)
    books.slice()
    page = browse.get("connection_rejected")
    assert "all of them are imported now" in page
    assert "Nothing is rejected" in page
    assert books.one(Invoice, external_id=str(number))
    assert acts(books).count("rejection.retried") == 2


def test_what_failed_ten_times_is_asked_for_no_more_until_somebody_retries(
    books: Any, koivu: Any, browse: Any
) -> None:
    number, good = broken(books, koivu)
    document = str(books.one(Rejection).public_id)
    with inside(books), transaction.atomic():
        Rejection.objects.update(attempts=GIVES_UP_AFTER - 1)
    books.sync()
    assert books.one(Rejection).attempts == GIVES_UP_AFTER
    page = browse.get("connection_rejected")
    assert "10, given up" in page
    assert "updates ask for them no more" in page
    koivu.invoices.details[number] = good
    assert books.sync().state == RunState.COMPLETE_WITH_REJECTS
    assert books.one(Rejection).attempts == GIVES_UP_AFTER, "it was not asked for"
    browse.post("connection_retry", document=document)
    books.slice()
    assert books.run().state == RunState.COMPLETE
    assert books.one(Invoice, external_id=str(number))


def set_aside(books: Any, external_id: str, **facts: Any) -> Rejection:
    """A document of the bank or of payments that could not be understood."""
    facts = {"reason": "no amount", "first_seen_at": books.now(), **facts}
    with inside(books), transaction.atomic():
        return Rejection.objects.create(
            connection=books.connection,
            external_id=external_id,
            raw=b"",
            last_seen_at=books.now(),
            **facts,
        )


def test_a_retry_of_a_payment_reads_everything_for_nobody_can_ask_for_it_by_number(
    books: Any, koivu: Any, browse: Any
) -> None:
    books.sync()
    set_aside(books, "77", stream=Stream.PAYMENTS, attempts=GIVES_UP_AFTER)
    document = str(books.one(Rejection).public_id)
    browse.post("connection_retry", document=document)
    assert books.run().mode == "full"
    assert books.one(Rejection).attempts == 0, "it is tried as often as before"


def test_an_account_that_is_understood_takes_back_no_statement_of_its_number(
    books: Any, koivu: Any
) -> None:
    books.sync()
    number = books.all(BankAccount)[0].external_id
    set_aside(books, number, stream=Stream.BANK)
    assert books.sync().state == RunState.COMPLETE_WITH_REJECTS
    assert books.one(Rejection).external_id == number


def test_an_ignored_document_is_kept_uncounted_and_comes_back_on_request(
    books: Any, koivu: Any, browse: Any
) -> None:
    number, good = broken(books, koivu)
    document = str(books.one(Rejection).public_id)
    assert "Say why" in browse.post("connection_ignore", document=document, why=" ")
    assert books.one(Rejection).ignored_at is None
    browse.post("connection_ignore", document=document, why="A test of ours")
    assert "document was rejected" not in browse.get("connection")
    assert "1 ignored" in browse.get("connection")
    assert "A test of ours" in browse.get("connection_rejected", query="?show=ignored")

    run = books.sync()
    assert (run.state, books.one(Rejection).attempts) == (RunState.COMPLETE, 1)
    with inside(books), transaction.atomic():
        request(books, full=True)
    books.slice()
    assert books.run().state == RunState.COMPLETE
    assert books.streams()["invoices"].rejected == 0

    browse.post("connection_unignore", document=document)
    assert "1 document was rejected" in browse.get("connection")
    assert books.sync().state == RunState.COMPLETE_WITH_REJECTS
    koivu.invoices.details[number] = good
    assert books.sync().state == RunState.COMPLETE
    assert {"rejection.ignored", "rejection.unignored"} <= set(acts(books))


def test_a_rejected_document_is_shown_as_it_came_to_those_who_may(
    books: Any, koivu: Any, browse: Any
) -> None:
    number, _good = broken(books, koivu)
    odd = b'{"id":%d,"sum":1.10,"name":"<script>alert(1)</script>","type":7}' % number
    koivu.invoices.details[number] = odd
    books.sync()
    document = books.one(Rejection).public_id
    page = browse.client.get(browse.address("connection_document", document)).content.decode()
    shown = page.split("<pre>")[-1].split("</pre>")[0]
    assert "&quot;sum&quot;: 1.10" in shown
    assert "\n  &quot;" in shown, "it is laid out"
    assert "&lt;script&gt;" in shown
    assert "<script>alert" not in page
    assert acts(books)[-1] == "rejection.opened"
    viewer = Browser(books, "vera")
    answer = viewer.client.get(viewer.address("connection_document", document))
    assert answer.status_code == 403
    assert str(document) not in viewer.get("connection_rejected")


def test_s27c_a_run_whose_machine_is_gone_says_so_and_sync_now_takes_it_up(
    books: Any, browse: Any
) -> None:
    with inside(books), transaction.atomic():
        books.request()
    with inside(books), transaction.atomic():
        books.claim()
        SyncRun.objects.update(state=RunState.RUNNING)
        Job.objects.update(lease_until=timezone.now() - timedelta(minutes=1))
    page = browse.get("connection")
    assert "Interrupted, retrying" in page
    assert "goes on by itself" in page
    assert ">Sync now</button>" in page

    browse.post("connection_sync")
    assert len(books.all(SyncRun)) == 1, "the same run goes on"
    with inside(books), transaction.atomic():
        assert Job.objects.filter(kind=engine.KIND).count() == 1
    books.slice()
    assert books.run().state == RunState.COMPLETE
    assert "Interrupted" not in browse.get("connection")


def test_progress_tells_how_far_back_a_first_import_is_whole(
    books: Any, browse: Any, settings: Any
) -> None:
    settings.JOB_SLICE_SECONDS = 0
    with inside(books), transaction.atomic():
        books.request()
    for _ in range(200):
        books.slice()
        if books.run().finished_at or books.connection.complete_back_to:
            break
    page = browse.get("connection")
    assert "Complete back to" in page
    assert "Newest documents come first" in page
    assert re.search(r"of about [\d,]+ documents\.", page)
