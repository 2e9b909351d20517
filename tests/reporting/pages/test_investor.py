"""An investor sees sums and rates of the company, and no name, document, account or person."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from calqsync.tenancy import scope
from calqsync.tenancy.models import Invitation, Membership, Role
from reporting.body import Body
from reporting.models import Report
from reporting.selectors import aggregates
from tests.architecture import routes
from tests.conftest import Cast
from tests.factories import (
    Row,
    account_make,
    connection_make,
    customer_make,
    invoice_make,
    monthly_make,
    payment_make,
    product_make,
    statement_make,
)
from tests.reporting.conftest import refreshed
from tests.reporting.pages.conftest import text
from tests.reporting.pages.crawling import pages_of

# The pages of figures, their figures as JSON with tokens to ask for them, and the page from which
# anybody may leave.
OPEN = {"financial", "growth", "cashflow", "retention", "segments", "economics", "recognition"}
OPEN |= {"overdue", "api_figures", "settings_data"}
OPEN |= {"restatements", "board", "settings_tokens", "token_create", "token_revoke"}
# In every name and number of the books below.
MARK = "zq7xv2k"


@pytest.fixture
def marked(cast: Cast) -> Any:
    """Books in which every name, number and account carries the mark, with computed figures."""
    with scope.tenant(cast.tenant.pk):
        eu = connection_make("Zq7xv2k account", company_name="Zq7xv2k Oy", business_id="ZQ7XV2K-1")
        us = connection_make("Zq7xv2k dollars", currency="USD")
        product = product_make(eu, "Zq7xv2k platform", code="ZQ7XV2K-P")
        steady, left = customer_make(eu, "Zq7xv2k Aalto"), customer_make(eu, "Zq7xv2k Berg")
        customer_make(us, "Zq7xv2k Cedar")
        months = ["2025-11", "2025-12", "2026-01", "2026-02", "2026-03"]
        for invoice in monthly_make(steady, product, months, number="ZQ7XV2K-1001")[:3]:
            payment_make(invoice, invoice.due_date.isoformat(), "100.00")
        monthly_make(left, product, months[:3], net="50.00", number="ZQ7XV2K-1002")
        credited = [Row(net="-70.00", name="Zq7xv2k refund")]
        invoice_make(left, "2026-02-05", credited, number="ZQ7XV2K-1003")
        account = account_make(eu, "FI00ZQ7XV2K0000000001", bank_name="Zq7xv2k bank")
        account_make(us, "US00ZQ7XV2K0000000002", bank_name="Zq7xv2k bank", currency="USD")
        said = {"counterparty": "Zq7xv2k landlord", "counterparty_iban": "FI00ZQ7XV2K0000000003"}
        for month, last, balance in [("2026-01", "31", "9000.00"), ("2026-02", "28", "7500.00")]:
            day = f"{month}-10"
            statement_make(
                account, f"{month}-01", f"{month}-{last}", balance, [(day, "-1500.00")], **said
            )
        Invitation.objects.create(
            email="guest@example.com", token_hash="x", expires_at=timezone.now()
        )
        refreshed()
        return Report.objects.get()


@pytest.fixture
def ivan(cast: Cast) -> Client:
    client = Client()
    client.force_login(cast.ivan)
    return client


def test_no_name_number_or_account_reaches_an_investor(
    ivan: Client, cast: Cast, marked: Report
) -> None:
    pages = pages_of(ivan, cast.url(""))
    pages["api"] = text(ivan.get(cast.url("api/figures/")))
    assert {cast.url("growth/"), cast.url("cashflow/"), cast.url("?period=24")} <= set(pages)
    people = [f"{name}@example.com" for name in ("alice", "ann", "bob", "vera", "guest")]
    marks = [MARK, *people]
    leaked = {
        address: [mark for mark in marks if mark in page.lower()] for address, page in pages.items()
    }
    assert {address: found for address, found in leaked.items() if found} == {}


@pytest.mark.parametrize("page", ["restatements/", "board/", "segments/?by=connection"])
def test_pages_that_no_figure_links_to_name_nothing_either(
    ivan: Client, cast: Cast, marked: Report, page: str
) -> None:
    assert MARK not in text(ivan.get(cast.url(page))).lower()


def test_the_marks_do_reach_a_viewer(cast: Cast, marked: Report) -> None:
    codes = {note["code"] for note in marked.body["notes"]}
    assert {"connection_other_currency", "credits_unmatched"} <= codes
    client = Client()
    client.force_login(cast.vera)
    for address in ("", "cashflow/", "api/figures/", "customers/"):
        assert MARK in text(client.get(cast.url(address))).lower(), address


def test_an_investor_sees_the_same_sums_as_a_viewer(
    ivan: Client, cast: Cast, marked: Report
) -> None:
    viewer = Client()
    viewer.force_login(cast.vera)
    for address in ("", "growth/", "cashflow/"):
        mine, theirs = (client.get(cast.url(address)).context["page"] for client in (ivan, viewer))
        assert [tile["value"] for tile in mine.tiles] == [tile["value"] for tile in theirs.tiles]
        assert len(mine.tiles) >= 4
    figures = ivan.get(cast.url("api/figures/")).json()["figures"]
    assert figures["months"] == marked.body["months"]
    assert figures["runway"] == marked.body["runway"]


def test_an_investor_is_told_how_recent_the_figures_are(
    ivan: Client, cast: Cast, marked: Report
) -> None:
    page = text(ivan.get(cast.url("")))
    assert "As of " in page


def address_of(page: Any, cast: Cast) -> str:
    samples = {
        "UUIDConverter": str(uuid4()),
        "SlugConverter": cast.tenant.slug,
        "IntConverter": "1",
    }
    values = {name: samples.get(converter, "mrr") for converter, name in page.parameters}
    return reverse(page.name, kwargs=values)


@pytest.mark.parametrize("method", ["get", "post"])
def test_every_other_page_is_closed_to_an_investor(ivan: Client, cast: Cast, method: str) -> None:
    closed = [page for page in routes.pages() if page.name not in OPEN]
    assert len(closed) > 25, "the walk found hardly any page, so it guards nothing"
    wrong = {}
    for page in closed:
        if page.view.min_role is Role.INVESTOR:
            wrong[page.name] = "is open to investors and not on the list"
            continue
        status = getattr(ivan, method)(address_of(page, cast)).status_code
        if status != 403:
            wrong[page.name] = str(status)
    assert wrong == {}


def test_every_field_of_the_figures_is_either_shown_to_investors_or_emptied() -> None:
    named = {*aggregates.SHOWN, *aggregates.EMPTIED, "notes"}
    assert set(Body.__annotations__) == named


def test_a_company_without_figures_asks_nothing_of_an_investor(ivan: Client, cast: Cast) -> None:
    for address in ("", "growth/", "cashflow/"):
        page = text(ivan.get(cast.url(address)))
        assert "Open integrations" not in page
        assert "First steps" not in page
    pages_of(ivan, cast.url(""))


def test_who_becomes_an_investor_sees_less_at_once(cast: Cast, marked: Report) -> None:
    client = Client()
    client.force_login(cast.vera)
    assert client.get(cast.url("customers/")).status_code == 200
    with scope.tenant(cast.tenant.pk):
        Membership.objects.filter(user=cast.vera).update(role=Role.INVESTOR)
    assert client.get(cast.url("customers/")).status_code == 403
    assert MARK not in text(client.get(cast.url(""))).lower()
