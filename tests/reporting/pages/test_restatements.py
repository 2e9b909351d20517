"""Pages say which closed months changed, in which currency, and by which bank documents."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from calqsync.tenancy.tokens.scopes import FIGURES
from integrations.models import BankEvent, BankStatement
from reporting.models import Restatement
from tests.factories import Row, account_make, invoice_make, statement_make
from tests.reporting.conftest import NOON, refreshed
from tests.reporting.pages.conftest import file_of, queries_of, text
from tests.tenancy.test_api_tokens import made


@pytest.fixture
def changed(shop: Any) -> BankEvent:
    """A day later a one-off of January and a bank event of February have come."""
    account = account_make(shop["aalto"].connection)
    opened = [("2026-01-01", "2026-01-31", "900.00"), ("2026-02-01", "2026-02-28", "800.00")]
    for start, end, opening in opened:
        statement_make(account, start, end, opening, [(f"{start[:7]}-15", "-100.00")])
    refreshed(NOON + timedelta(hours=1))
    Restatement.objects.all().delete()
    invoice_make(shop["aalto"], "2026-01-20", [Row(net="70.00", name="Koulutus")], number="1188")
    statement_make(account, "2026-02-10", "2026-02-28", "800.00", [])
    event = BankEvent.objects.get(date="2026-02-15")
    event.pk, event.external_id, event.amount_minor = None, "later", -2500
    event.public_id = BankEvent._meta.get_field("public_id").get_default()
    event.statement = BankStatement.objects.get(start="2026-02-01")
    event.save()
    refreshed(NOON + timedelta(days=1))
    # Pages tell of what was restated lately, by the clock of the day on which they are read.
    Restatement.objects.update(at=timezone.now())
    return event


def test_the_financial_page_tells_of_revenue(vera, cast, changed):
    page = text(vera.get(cast.url("")))
    assert "Revenue of January 2026 was restated by +€70.00: added invoice 1188" in page
    assert page.count("was restated by") == 1, "revenue and its parts are one line"


def test_the_recognition_page_tells_of_what_was_earned(vera, cast, changed):
    page = text(vera.get(cast.url("recognition/")))
    assert "Recognised revenue of January 2026 was restated by +€70.00" in page


def test_the_cash_page_tells_of_cash_on_a_kept_page_too(vera, cast, changed):
    said = "Closing balance of February 2026 was restated by −€25.00"
    for _again in range(2):
        page = text(vera.get(cast.url("cashflow/")))
        assert f"{said}: added bank event 15 Feb 2026" in page
    Restatement.objects.all().delete()
    assert said not in text(vera.get(cast.url("cashflow/")))


def test_the_board_report_tells_of_revenue_and_cash(vera, cast, changed):
    Restatement.objects.update(at=NOON + timedelta(days=1))
    page = text(vera.get(cast.url("board/")))
    assert "Revenue of January 2026 was restated by +€70.00" in page


def test_a_cause_of_the_bank_shows_its_event(vera, cast, changed):
    row = Restatement.objects.get(metric="balance")
    page = text(vera.get(cast.url(f"restatements/{row.public_id}/")))
    assert "Closing balance of February 2026, restated" in page
    assert "−€25.00" in page
    assert f"Toinen Oy · {changed.iban}" in page
    assert "/figures/balance/2026-02/" in page


def test_the_list_names_the_currency_of_each_figure(vera, cast, changed):
    row = Restatement.objects.get(metric="revenue")
    row.currency = "SEK"
    row.save()
    page = text(vera.get(cast.url("restatements/?metric=revenue")))
    assert "+SEK" in page
    files = file_of(vera, cast.url("restatements/"))
    assert {line["Figure"]: line["Currency"] for line in files}["Revenue"] == "SEK"
    assert {line["Figure"]: line["Currency"] for line in files}["Closing balance"] == "EUR"


def test_a_program_asks_for_one_figure_and_is_told_its_currency(cast, changed):
    _token, secret = made(cast, "vera", scopes=[FIGURES])
    sent = {"Authorization": f"Bearer {secret}"}
    said = Client().get("/api/v1/restatements", {"metric": "balance"}, headers=sent).json()
    (row,) = said["data"]
    assert (row["metric"], row["unit"], row["currency"]) == ("balance", "minor", "EUR")
    assert (row["month"], row["after"] - row["before"]) == ("2026-02", -2500)
    assert row["causes"] == [], "documents take a scope of their own"


def test_an_investor_reads_the_kind_of_a_cause_and_not_the_day(as_person, cast, changed):
    page = text(as_person("ivan").get(cast.url("cashflow/")))
    assert "restated by −€25.00: added bank event</a>" in page


def test_twelve_queries_are_enough(vera, cast, changed):
    balance = Restatement.objects.get(metric="balance")
    for address in ("cashflow/", "restatements/", f"restatements/{balance.public_id}/"):
        found = queries_of(vera, cast.url(address))
        assert len(found) <= 12, "\n".join(found)
