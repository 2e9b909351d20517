"""Processes die and memories are lost under the running product; imports end all the same."""

from __future__ import annotations

import signal
from collections.abc import Iterator

import pytest
import redis

from tests.journeys.running import TOGETHER, JourneyStack, Office, found_company

pytestmark = TOGETHER
WAITING = "Procountor is busy or does not answer. We try again"


@pytest.fixture
def repaired(stack: JourneyStack) -> Iterator[JourneyStack]:
    """The servers; whatever a test broke runs again afterwards."""
    yield stack
    if "sandbox" not in stack.children:
        stack.start_procountor()
    if "worker" not in stack.children:
        stack.start_worker()
    stack.no_faults()


def page_of(office: Office) -> str:
    """What the list of connections says now."""
    office.visitor.open(office.url("settings/integrations/"))
    return office.visitor.html


def begin_slow_import(office: Office) -> None:
    """An import that has stored its first documents and has more to read."""
    office.stack.fault(kind="slow", seconds=2, times=None, path="/invoices", company="koivu")
    office.connect("koivu", name="Books")
    office.stack.until(lambda: documents(office) > 0)


def documents(office: Office) -> int:
    query = "SELECT count(*) FROM integrations_rawdocument WHERE tenant_id = %s"
    return int(office.stack.one(query, office.tenant_id))


def imports_done(office: Office) -> int:
    return int(
        office.stack.one(
            "SELECT count(*) FROM integrations_syncrun WHERE tenant_id = %s AND state = 'complete'",
            office.tenant_id,
        )
    )


def forget_everything(stack: JourneyStack) -> None:
    with redis.Redis.from_url(stack.env["REDIS_URL"]) as valkey:
        valkey.flushall()


def test_a_procountor_that_goes_away_is_waited_for(repaired: JourneyStack) -> None:
    office = found_company(repaired, "Odottava Oy")
    begin_slow_import(office)
    repaired.stop_child("sandbox", sign=signal.SIGKILL)
    repaired.until(lambda: WAITING in page_of(office))

    repaired.start_procountor()
    office.visitor.press("Sync now")
    office.await_figures()
    assert WAITING not in page_of(office)
    assert imports_done(office) == 1


def test_s27_a_worker_that_dies_is_told_of_and_replaced(repaired: JourneyStack) -> None:
    office = found_company(repaired, "Toipuva Oy")
    begin_slow_import(office)
    repaired.stop_workers(sign=signal.SIGKILL)
    repaired.until(lambda: "The import was interrupted" in page_of(office))

    repaired.no_faults()
    repaired.start_worker()
    office.await_figures()
    assert imports_done(office) == 1
    assert office.report()["now"]["mrr_minor"] > 0


def test_a_broker_that_forgets_its_queues_loses_no_import(
    repaired: JourneyStack, books: Office
) -> None:
    before = imports_done(books)
    repaired.stop_workers(sign=signal.SIGKILL)
    page_of(books)
    books.visitor.press("Sync now")
    forget_everything(repaired)
    repaired.start_worker()
    repaired.until(lambda: imports_done(books) == before + 1)


def test_a_broker_that_forgets_while_everything_runs_loses_no_import(
    repaired: JourneyStack, books: Office
) -> None:
    before = imports_done(books)
    forget_everything(repaired)
    page_of(books)
    books.visitor.press("Sync now")
    repaired.until(lambda: imports_done(books) == before + 1)
