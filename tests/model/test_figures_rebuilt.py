"""Figures that followed every edit equal, to the cent, those of whoever imports it all anew."""

from __future__ import annotations

import json
import re
from datetime import datetime
from random import Random
from typing import Any

import pytest
from django.db import transaction
from django.utils import timezone

from calqsync.jobs import services as jobs
from calqsync.tenancy import scope
from reporting.services import refreshing
from tests.integrations.sync.conftest import Books
from tests.model.bookkeeping import Bookkeeper, scribble
from tests.model.world import newcomer

pytestmark = [pytest.mark.django_db(transaction=True)]
_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
# Each row of the published figures under names that both tenants share.
_FIGURES = {
    "customers": (
        "SELECT c.identity, f.first_month, f.mrr_e4, f.fx_e4, f.moves, f.mrr_now_e4,"
        " f.invoiced_minor, f.open_minor, f.overdue_minor, f.subscriptions,"
        " f.first_invoice::text, f.last_invoice::text FROM reporting_customerfigure f"
        " JOIN integrations_customer c ON c.id = f.customer_id WHERE f.tenant_id = %s"
    ),
    "invoices": (
        "SELECT i.external_id, f.paid_minor, f.written_off_minor, f.open_minor, f.due::text,"
        " f.expected::text, f.age, f.recurring_minor FROM reporting_invoicefigure f"
        " JOIN integrations_invoice i ON i.id = f.invoice_id WHERE f.tenant_id = %s"
    ),
    "lines": (
        "SELECT i.external_id, l.position, c.identity, f.type, f.start::text, f.end::text,"
        " f.source, f.counted, f.late, f.from_month, f.to_month, f.mrr_e4"
        " FROM reporting_linefigure f JOIN integrations_invoiceline l ON l.id = f.line_id"
        " JOIN integrations_invoice i ON i.id = l.invoice_id"
        " JOIN integrations_customer c ON c.id = f.customer_id WHERE f.tenant_id = %s"
    ),
    "subscriptions": (
        "SELECT c.identity, s.product_name, s.currency, s.period_months, s.first_start::text,"
        " s.last_end::text, s.mrr_e4, s.status, s.counted FROM reporting_subscription s"
        " JOIN integrations_customer c ON c.id = s.customer_id WHERE s.tenant_id = %s"
    ),
    "cash": (
        "SELECT e.external_id, f.kind, f.amount_minor, f.month, f.proposed"
        " FROM reporting_cashfigure f JOIN integrations_bankevent e ON e.id = f.event_id"
        " WHERE f.tenant_id = %s"
    ),
}


def publish(books: Books, now: datetime) -> None:
    """Have the figures computed and published, as a worker does."""
    with scope.tenant(books.connection.tenant_id):
        with transaction.atomic():
            job = jobs.claim(jobs.enqueue(kind=refreshing.KIND).pk)
        assert job is not None
        refreshing.report_refresh(job=job, now=now)
        jobs.finish(job, jobs.Outcome.done())


def published(cursor: Any, books: Books) -> dict[str, list[str]]:
    """All that was published, without anything that is one tenant's own."""
    owner = [books.connection.tenant_id]
    names = {str(books.connection.public_id): "the connection"}
    cursor.execute("SELECT public_id::text, identity FROM integrations_customer"
                   " WHERE tenant_id = %s", owner)  # fmt: skip
    names |= dict(cursor.fetchall())
    cursor.execute("SELECT body, currency, as_of FROM reporting_report WHERE tenant_id = %s", owner)
    [(body, currency, as_of)] = cursor.fetchall()
    # Listed by the customers' own numbers, which no two imports share.
    body["adjustments"].sort(key=lambda row: (names[row["customer"]], row["month"]))
    text = _UUID.sub(lambda found: names[found[0]], json.dumps(body, indent=1, sort_keys=True))
    found = {"body": [*text.splitlines(), currency, str(as_of)]}
    for name, query in _FIGURES.items():
        cursor.execute(query, owner)
        found[name] = sorted(map(str, cursor.fetchall()))
    return found


def follow_and_compare(keeper: Bookkeeper, cursor: Any, *, edits: int, together: int) -> None:
    """`edits` random edits, an update and new figures after each few; then a fresh import."""
    dice, now = Random(edits), timezone.now()
    following = newcomer(keeper.company, keeper.sandbox)
    assert following.sync().state == "complete"
    publish(following, now)
    for _ in range(edits // together):
        for _ in range(together):
            scribble(keeper, dice)
        run = following.sync()
        assert (run.mode, run.state) == ("incremental", "complete")
        publish(following, now)
    anew = newcomer(keeper.company, keeper.sandbox)
    assert anew.sync().state == "complete"
    publish(anew, now)
    mine, theirs = published(cursor, following), published(cursor, anew)
    for name, rows in theirs.items():
        assert mine[name] == rows, name
    assert len(theirs["lines"]) > 100


def test_d12_figures_after_forty_edits_equal_those_of_a_fresh_import(
    reachable: Bookkeeper, truth: Any, transactional_db: None
) -> None:
    follow_and_compare(reachable, truth, edits=40, together=8)


@pytest.mark.nightly
def test_d12b_figures_after_five_hundred_edits_equal_those_of_a_fresh_import(
    reachable: Bookkeeper, truth: Any, transactional_db: None
) -> None:
    follow_and_compare(reachable, truth, edits=500, together=5)
