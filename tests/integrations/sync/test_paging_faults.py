"""A list that pages badly is read whole, or its run is not complete and changes nothing."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from integrations.models import BankStatement, Invoice, Product, StreamCursor
from integrations.models.runs import RunState
from integrations.sandbox import edits
from tests.integrations.sync.conftest import contents
from tests.integrations.sync.edges import full, imported, numbers, wrong
from tests.model.bookkeeping import pihla

pytestmark = pytest.mark.django_db(transaction=True)
INVOICES = "^/invoices$"
HELSINKI = ZoneInfo("Europe/Helsinki")


@pytest.fixture
def koivu():
    """A company of a hundred invoices, in place of the larger one."""
    return pihla()


@pytest.fixture
def small_pages(sandbox):
    """Lists of many pages; sent for again after faults are cleared."""

    def cut(size: int = 10) -> None:
        sandbox.fault("small_pages", times=None, size=size)

    cut()
    return cut


def cursors(books) -> dict[str, Any]:
    return {one.stream: one.changed_to for one in books.all(StreamCursor)}


def test_s6_a_statement_that_leaves_a_page_already_read_hides_no_other(
    books, koivu, sandbox, small_pages, truth
):
    sandbox.clear_faults()
    small_pages(3)
    newest = (books.now().astimezone(HELSINKI) - timedelta(days=92)).date().isoformat()
    span = sorted(n for n, head in koivu.statements.heads.items() if head.date >= newest)
    assert len(span) > 6
    # What lies ahead of today is empty; the first page after it holds the one that goes.
    sandbox.fault(
        "then", path="^/bankstatements$", after=1, do=lambda: koivu.statements.drop(span[0])
    )
    assert books.sync().state == RunState.COMPLETE
    stored = {int(one.external_id) for one in books.all(BankStatement)}
    assert stored == {*koivu.statements.heads, span[0]}
    lost = [line for line in wrong(books, truth) if "missing" in line]
    assert lost == []


@pytest.mark.parametrize("knows", [True, False])
def test_s7_the_document_to_go_on_after_is_gone(books, koivu, sandbox, small_pages, truth, knows):
    imported(books)
    some = numbers(books)[:40]
    edits.edit_invoices(koivu, some, fields={"discountPercent": 3})
    if not knows:
        sandbox.fault("forgets", path=INVOICES)
    sandbox.fault("then", path=INVOICES, do=lambda: edits.delete_invoice(koivu, some[9]))
    sandbox.app.log.clear()
    assert books.sync().state == RunState.COMPLETE
    assert some[9] not in koivu.invoices.heads
    lists = [line for line in sandbox.requests if line.path.endswith("/invoices")]
    assert len(lists) <= 12
    assert wrong(books, truth) == [line for line in wrong(books, truth) if str(some[9]) in line]
    full(books, truth)
    assert wrong(books, truth) == []


@pytest.mark.parametrize("path", [INVOICES, "^/businesspartners$", "^/bankstatements$"])
def test_s8_a_list_that_repeats_itself_ends_the_run_after_few_requests(
    books, koivu, sandbox, small_pages, truth, path
):
    before, stood = contents(imported(books)), cursors(books)
    changed = [h.id for h in koivu.partners.heads.values() if h.type == "CUSTOMER" and h.flag]
    for number in changed[:15]:
        edits.change_partner(koivu, number, name=f"Nimi {number}")
    edits.edit_invoices(koivu, numbers(books)[:30], fields={"discountPercent": 3})
    sandbox.fault("repeat", path=path, times=None)
    truth.execute('UPDATE integrations_bankstatement SET "end" = "end" - 300')
    truth.execute("UPDATE integrations_bankstatement SET start = start - 300")
    before = contents(books)
    sandbox.app.log.clear()
    run = books.sync()
    assert (run.state, run.error_kind) == (RunState.WAITING, "nonsense")
    assert "paging fault" in run.error
    asked = [line for line in sandbox.requests if line.path.endswith(path.strip("^$"))]
    assert len(asked) <= 14
    assert contents(books) == before
    assert cursors(books) == stood
    sandbox.clear_faults()
    books.slice()
    assert books.run().state == RunState.COMPLETE


@pytest.mark.parametrize("fault", ["empty_page", "short_page"])
@pytest.mark.parametrize("page", [0, 1, 2])
def test_s9_a_page_that_lost_documents_once_is_not_the_end(
    books, koivu, sandbox, small_pages, truth, fault, page
):
    for path in (INVOICES, "^/businesspartners$", "^/products$", "^/bankstatements$"):
        sandbox.fault(fault, path=path, after=page)
    assert books.sync().state == RunState.COMPLETE
    assert wrong(books, truth) == []


@pytest.mark.parametrize("path", [INVOICES, "^/products$", "^/bankaccounts$"])
def test_s9b_a_list_that_never_shows_its_end_is_not_complete(
    books, koivu, sandbox, small_pages, truth, path
):
    imported(books)
    before, stood = contents(books), cursors(books)
    edits.edit_invoices(koivu, numbers(books)[:30], fields={"discountPercent": 3})
    small_pages()
    sandbox.fault("empty_page", path=path, times=None)
    truth.execute(
        "UPDATE integrations_syncstream SET finished_at = finished_at - interval '8 days'"
    )
    run = books.sync()
    assert (run.mode, run.state, run.error_kind) == ("full", RunState.WAITING, "nonsense")
    assert contents(books) == before
    assert cursors(books) == stood
    sandbox.clear_faults()
    books.slice()
    assert books.run().state == RunState.COMPLETE
    assert wrong(books, truth) == []


NO_LISTS = [
    "<html>maintenance</html>",
    '{"results":[{"id":81200001,"type":"SALES_INV',
    "[]",
    "{}",
    '{"message":"ok"}',
    '{"errors":[{"status":500,"message":"oops"}]}',
    "null",
    "",
]
LISTS = (INVOICES, "^/businesspartners$", "^/products$", "^/bankaccounts$", "^/bankstatements$")


@pytest.mark.parametrize("path", LISTS)
def test_s11_an_answer_that_makes_no_sense_removes_nothing_and_is_named_so(
    books, koivu, sandbox, truth, path
):
    imported(books)
    before, stood = contents(books), cursors(books)
    truth.execute(
        "UPDATE integrations_syncstream SET finished_at = finished_at - interval '8 days'"
    )
    for body in NO_LISTS:
        sandbox.clear_faults()
        sandbox.fault("body", path=path, times=None, body=body)
        if books.run().state == RunState.WAITING:
            books.slice()
        else:
            books.sync()
        run = books.run()
        assert (run.mode, run.state, run.error_kind) == ("full", RunState.WAITING, "nonsense"), body
        assert contents(books) == before
        assert cursors(books) == stood
        assert books.connection.trouble == "waiting"
    sandbox.clear_faults()
    books.slice()
    assert books.run().state == RunState.COMPLETE
    assert wrong(books, truth) == []


@pytest.mark.parametrize("body", ["[]", "<html>", '[{"id":81200001,"type"', "{}"])
def test_s11b_batches_that_make_no_sense_are_not_documents_that_are_gone(
    books, koivu, sandbox, truth, body
):
    imported(books)
    before, stood = contents(books), cursors(books)
    edits.edit_invoices(koivu, numbers(books)[:30], fields={"discountPercent": 3})
    sandbox.fault("body", path=r"^/invoices/\d", times=None, body=body)
    run = books.sync()
    assert (run.state, run.error_kind) == (RunState.WAITING, "nonsense")
    assert contents(books) == before
    assert cursors(books) == stood
    sandbox.clear_faults()
    books.slice()
    assert wrong(books, truth) == []


def test_s11c_an_answer_cut_off_in_the_middle_is_asked_for_again(books, koivu, sandbox, truth):
    for path in LISTS:
        sandbox.fault("cut", path=path)
    sandbox.fault("html", path=r"^/invoices/\d", after=1)
    if books.sync().state == RunState.WAITING:
        books.slice()
    assert books.run().state == RunState.COMPLETE
    assert wrong(books, truth) == []


def test_s11d_in_a_full_run_the_last_page_alone_makes_no_sense(
    books, koivu, sandbox, small_pages, truth
):
    imported(books)
    edits.delete_invoice(koivu, numbers(books)[3])
    truth.execute(
        "UPDATE integrations_syncstream SET finished_at = finished_at - interval '8 days'"
    )
    lists = len([line for line in sandbox.requests if line.path.endswith("/invoices")])
    sandbox.fault("html", path=INVOICES, times=None, after=lists - 2)
    run = books.sync()
    assert (run.mode, run.state) == ("full", RunState.WAITING)
    assert books.all(Invoice, removed_at__isnull=False) == []
    assert books.all(Product, removed_at__isnull=False) == []
    sandbox.clear_faults()
    books.slice()
    assert len(books.all(Invoice, removed_at__isnull=False)) == 1
    assert wrong(books, truth) == []
