"""A company imported over real HTTP has the figures that its documents have."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any

import pytest
from django.db import transaction

from calqsync.jobs import services as jobs
from calqsync.jobs.models import Job
from calqsync.tenancy import scope
from integrations.procountor.limits import NoLimit
from integrations.sandbox import Company, build_company, start_server
from integrations.sync import access
from reporting import services, tasks
from reporting.domain.periods import month_text
from reporting.models import Report
from tests.conftest import Cast
from tests.integrations.sync.conftest import ANCHOR, CLIENT, connect
from tests.oracle.product import report_of

NOW = datetime(2026, 11, 1, 12, 0, tzinfo=UTC)


@pytest.fixture
def company() -> Company:
    return build_company("kuusi", anchor=ANCHOR)


@pytest.fixture
def published(
    committed_cast: Cast, company: Company, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> Report:
    """The report that a worker published after importing the company."""
    monkeypatch.setattr(access, "limiter", NoLimit)
    monkeypatch.setattr(jobs, "nudge", lambda *args: True)
    monkeypatch.setattr(tasks.timezone, "now", lambda: NOW)
    settings.PROCOUNTOR_CLIENT_ID = CLIENT["client_id"]
    settings.PROCOUNTOR_CLIENT_SECRET = CLIENT["client_secret"]
    tenant_id = committed_cast.tenant.pk
    with start_server(
        [company], client_id=CLIENT["client_id"], client_secret=CLIENT["client_secret"]
    ) as sandbox:
        settings.PROCOUNTOR_BASE_URL = sandbox.base_url
        books = connect(committed_cast, company, sandbox)
        while books.sync().state not in {"complete", "complete_with_rejects"}:
            pass
    with scope.tenant(tenant_id), transaction.atomic():
        job = Job.objects.get(kind=services.KIND)
    tasks.refresh(tenant_id, job.pk)
    with scope.tenant(tenant_id), transaction.atomic():
        found: Report = Report.objects.get()
        return found


def test_figures_of_an_import_are_those_of_its_documents(
    published: Report, company: Company
) -> None:
    """The way through the tables changes nothing; the oracle checks the engine itself."""
    wanted = report_of(company, date(2026, 11, 1))
    body: Any = published.body
    months = [month_text(int(month)) for month in wanted.months]
    assert [row["month"] for row in body["months"]] == months
    assert [row["mrr_e4"] for row in body["months"]] == wanted.total_e4.tolist()
    assert [row["new_minor"] for row in body["months"]] == [one.step.new for one in wanted.periods]
    assert [row["fx_minor"] for row in body["months"]] == [one.step.fx for one in wanted.periods]
    assert body["receivables"]["total_minor"] == wanted.receivables.total
    assert [row["minor"] for row in body["receivables"]["ages"]] == list(
        wanted.receivables.by_age.values()
    )
    assert [row["closing_minor"] for row in body["cash"]] == wanted.cash.balance.tolist()
    assert [row["money_out_minor"] for row in body["cash"]] == wanted.cash.money_out.tolist()
    assert body["runway"]["net_burn_minor"] == wanted.cash.runway.net_burn
    assert body["runway"]["state"] == wanted.cash.runway.state.value
