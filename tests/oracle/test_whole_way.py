"""From the sandbox over HTTP, through import and database, to the published figures."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from datetime import UTC, date, datetime
from typing import Any

import pytest
from django.db import transaction

from calqsync.jobs import services as jobs
from calqsync.tenancy import scope
from integrations.models.runs import RunState
from integrations.procountor.limits import NoLimit
from integrations.sandbox import Company, build_company, start_server
from integrations.sync import access
from reporting.models import CustomerFigure, Report
from reporting.services import refreshing
from tests.integrations.sync.conftest import CLIENT, connect
from tests.oracle import figures, money
from tests.oracle.documents import read

AS_OF = date(2026, 11, 2)
NOON = datetime(2026, 11, 2, 10, 0, tzinfo=UTC)
RUNWAY = ("state", "cash_minor", "net_burn_minor", "months", "balance_date", "zero_date")

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def kuusi(settings: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Company, Any]]:
    """The company with every trap, and the running sandbox that shows it."""
    company = build_company("kuusi", anchor=AS_OF)
    with start_server([company], **CLIENT) as handle:
        settings.PROCOUNTOR_BASE_URL = handle.base_url
        settings.PROCOUNTOR_CLIENT_ID = CLIENT["client_id"]
        settings.PROCOUNTOR_CLIENT_SECRET = CLIENT["client_secret"]
        monkeypatch.setattr(access, "limiter", NoLimit)
        monkeypatch.setattr(jobs, "nudge", lambda *args: True)
        yield company, handle


def test_published_figures_equal_the_oracle(committed_cast: Any, kuusi: Any) -> None:
    company, handle = kuusi
    run = connect(committed_cast, company, handle).sync()
    assert run.state == RunState.COMPLETE, (run.error_kind, run.error)
    with scope.tenant(committed_cast.tenant.pk):
        with transaction.atomic():
            job = jobs.claim(jobs.enqueue(kind=refreshing.KIND).pk)
        assert job is not None
        refreshing.report_refresh(job=job, now=NOON)
        with transaction.atomic():
            body = Report.objects.get().body
            customers = list(CustomerFigure.objects.values_list("first_month", "mrr_e4"))
    invoices, rows = read(company.documents())
    growth = figures.grow(rows, AS_OF)
    assert growth_of(body) == expected_growth(growth)
    assert customer_months(customers) == expected_customers(growth)
    assert {row["month"]: recurring_and_all(row) for row in body["revenue"]} == growth.revenue
    check_receivables(body["receivables"], money.receivables(invoices, AS_OF))
    check_cash(body, money.cash(company.statements.items.values(), AS_OF))


def growth_of(body: Any) -> Any:
    return {
        row["month"]: (
            row["mrr_e4"],
            row["customers"],
            *(row[f"{kind}_customers"] for kind in ("new", "expanded", "contracted", "churned")),
            row["reactivated_customers"],
        )
        for row in body["months"]
    }


def expected_growth(growth: figures.Growth) -> Any:
    return {
        f"{one.day:%Y-%m}": (
            one.mrr,
            one.customers,
            *(one.counts[kind] for kind in figures.KINDS),
        )
        for one in growth.months
    }


def customer_months(stored: list[Any]) -> Any:
    """MRR of the paying customers by month number, without who they are."""
    months = defaultdict(list)
    for first, amounts in stored:
        for place, amount in enumerate(amounts):
            if amount:
                months[first + place].append(amount)
    return {month: sorted(amounts) for month, amounts in months.items()}


def expected_customers(growth: figures.Growth) -> Any:
    found = {}
    for month, amounts in zip(growth.months, growth.by_customer, strict=True):
        if paying := sorted(one for one in amounts.values() if one):
            found[month.day.year * 12 + month.day.month - 1] = paying
    return found


def recurring_and_all(row: Any) -> tuple[int, int]:
    return row["recurring_minor"], row["recurring_minor"] + row["non_recurring_minor"]


def check_receivables(owed: Any, oracle: list[money.Open]) -> None:
    ages = {row["age"]: (row["minor"], row["invoices"]) for row in owed["ages"]}
    assert ages == {
        age: (
            sum(one.amount for one in oracle if one.bucket == age),
            sum(one.bucket == age for one in oracle),
        )
        for age in ages
    }
    for view in ("weeks", "months"):
        starts = [date.fromisoformat(row["start"]) for row in owed[view]]
        ends = [*starts[1:], date.max]
        for row, start, end in zip(owed[view], starts, ends, strict=True):
            inside = [one.amount for one in oracle if start <= one.expected < end]
            assert (row["minor"], row["invoices"]) == (sum(inside), len(inside)), row


def check_cash(body: Any, oracle: money.Cash) -> None:
    named = ("month", "closing_minor", "money_in_minor", "money_out_minor", "financing_minor")
    assert [(*(row[name] for name in named), row["complete"]) for row in body["cash"]] == [
        (one.name, one.balance, one.money_in, one.money_out, one.financing, one.complete)
        for one in oracle.months
    ]
    assert body["to_review"]["deposits"] == len(oracle.proposed)
    assert oracle.runway is not None
    assert oracle.zero_day is not None
    assert tuple(body["runway"][name] for name in RUNWAY) == (
        oracle.state,
        oracle.cash,
        oracle.net_burn,
        str(oracle.runway),
        oracle.balance_day.isoformat(),
        oracle.zero_day.isoformat(),
    )
