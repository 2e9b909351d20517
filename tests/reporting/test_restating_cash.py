"""Cash of closed months that changes later is written down with the bank's documents behind it."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from integrations.models import BankAccount, BankEvent, BankStatement
from reporting import services
from reporting.models import Report, Restatement
from tests.conftest import Cast
from tests.factories import Row, account_make, invoice_make, statement_make
from tests.reporting.conftest import NOON, refreshed
from tests.reporting.restated import causes, of, restated

LATER = NOON + timedelta(hours=1)


@pytest.fixture
def published(books: Any) -> Any:
    """The books of the fixture, published at noon; cash is known until the end of February."""
    refreshed()
    return books


def event_make(statement: BankStatement, day: str, minor: int) -> BankEvent:
    return BankEvent.objects.create(
        connection=statement.connection,
        external_id=f"later-{day}",
        statement=statement,
        statement_external_id=statement.external_id,
        iban=statement.iban,
        date=date.fromisoformat(day),
        amount_minor=minor,
        currency=statement.currency,
        counterparty="Toinen Oy",
        counterparty_iban="FI9900000000000000",
    )


def codes(metric: str, month: str) -> list[tuple[str, int]]:
    return [(code, amount) for code, _number, amount in causes(metric, month)]


def test_a_back_dated_event_restates_its_month_and_what_the_next_leaves_unexplained(
    published: Any,
) -> None:
    event = event_make(BankStatement.objects.get(start="2026-01-01"), "2026-01-20", -12000)
    refreshed(LATER)
    assert restated() == {
        "2026-01": {"balance": -12000, "burn": 12000, "money_out": 12000},
        # The bank's own opening balance of February does not know of it.
        "2026-02": {"unexplained": 12000},
    }
    for metric, month, amount in (
        ("balance", "2026-01", -12000),
        ("burn", "2026-01", 12000),
        ("unexplained", "2026-02", 12000),
    ):
        assert codes(metric, month) == [("event_added", amount)]
        params = of(metric, month).causes[0]["params"]
        assert params == {"event": str(event.public_id), "day": "2026-01-20"}
    assert of("balance", "2026-01").currency == "EUR"


def test_a_removed_payment_restates_money_in(kuura: Any, published: Any) -> None:
    event = event_make(BankStatement.objects.get(start="2026-02-01"), "2026-02-20", 9900)
    refreshed(LATER)
    Restatement.objects.all().delete()
    event.removed_at = LATER
    event.save()
    refreshed(LATER + timedelta(hours=1))
    assert restated() == {"2026-02": {"balance": -9900, "burn": 9900, "money_in": -9900}}
    assert codes("money_in", "2026-02") == [("event_removed", -9900)]


def test_a_late_transfer_between_own_accounts_is_neither_money_in_nor_out(published: Any) -> None:
    event = event_make(BankStatement.objects.get(start="2026-02-01"), "2026-02-20", -30000)
    event.counterparty_iban = published[4].iban
    event.save()
    refreshed(LATER)
    assert restated() == {"2026-02": {"balance": -30000, "own_transfers": -30000}}
    assert codes("own_transfers", "2026-02") == [("event_added", -30000)]


def test_an_event_of_another_amount_and_month_is_taken_from_the_one_and_given_to_the_other(
    published: Any,
) -> None:
    event = BankEvent.objects.get(date="2026-01-10")
    event.amount_minor, event.date = -140000, date(2026, 2, 9)
    event.save()
    refreshed(LATER)
    assert codes("money_out", "2026-01") == [("event_edited", -150000)]
    assert codes("money_out", "2026-02") == [("event_edited", 140000)]
    restated()


def test_a_corrected_statement_is_named_where_it_is_stated(published: Any) -> None:
    statement = BankStatement.objects.get(start="2026-02-01")
    statement.start_minor += 3000
    statement.save()
    refreshed(LATER)
    assert restated() == {"2026-02": {"balance": 3000, "unexplained": 3000}}
    for metric in ("balance", "unexplained"):
        assert codes(metric, "2026-02") == [("balance_stated", 3000)]
        params = of(metric, "2026-02").causes[0]["params"]
        assert params["statement"] == str(statement.public_id)
        assert (params["start"], params["end"]) == ("2026-02-01", "2026-02-28")


def test_a_statement_with_many_events_is_one_cause(published: Any) -> None:
    moved = [("2026-02-03", "10.00"), ("2026-02-04", "-30.00")]
    statement_make(published[4], "2026-02-01", "2026-02-28", "7500.00", moved)
    refreshed(LATER)
    assert codes("burn", "2026-02") == [("statement_added", 2000)]
    restated()


def test_events_of_a_statement_that_was_there_are_told_one_by_one(published: Any) -> None:
    statement = BankStatement.objects.get(start="2026-02-01")
    for day, minor in (("2026-02-20", -3000), ("2026-02-21", -2000)):
        event_make(statement, day, minor)
    refreshed(LATER)
    assert codes("burn", "2026-02") == [("event_added", 3000), ("event_added", 2000)]


def test_the_one_event_of_a_statement_is_told_by_itself(published: Any) -> None:
    moved = [("2026-02-03", "-30.00")]
    statement_make(published[4], "2026-02-01", "2026-02-28", "7500.00", moved)
    refreshed(LATER)
    assert codes("burn", "2026-02") == [("event_added", 3000)]


def test_where_several_statements_begin_none_is_named(published: Any) -> None:
    statement_make(published[4], "2026-02-15", "2026-02-28", "7500.00", [])
    refreshed(LATER)
    Restatement.objects.all().delete()
    BankStatement.objects.filter(start="2026-02-15").update(start_minor=760000)
    refreshed(LATER + timedelta(hours=1))
    assert codes("balance", "2026-02") == [("balance_stated", 10000)]
    assert of("balance", "2026-02").causes[0]["params"] == {}


def test_what_older_statements_leave_unexplained_is_what_the_bank_states(published: Any) -> None:
    older = [("2025-11-03", "-100.00"), ("2025-11-04", "-200.00")]
    statement_make(published[4], "2025-11-01", "2025-11-30", "10340.00", older)
    refreshed(LATER)
    assert restated() == {"2025-12": {"unexplained": -4000}}
    assert codes("unexplained", "2025-12") == [("balance_stated", -4000)]


def test_what_an_account_makes_a_transfer_of_is_the_account_s_doing(published: Any) -> None:
    event = event_make(BankStatement.objects.get(start="2026-02-01"), "2026-02-20", -30000)
    event.counterparty_iban = "FI7944052020036082"
    event.save()
    refreshed(LATER)
    Restatement.objects.all().delete()
    account = account_make(published[0], event.counterparty_iban)
    for start, end in (("2025-12-01", "2025-12-31"), ("2026-01-01", "2026-02-28")):
        statement_make(account, start, end, "0.00", [])
    refreshed(LATER + timedelta(hours=1))
    assert restated() == {"2026-02": {"burn": -30000, "money_out": -30000, "own_transfers": -30000}}
    assert codes("own_transfers", "2026-02") == [("account_added", -30000)]


def test_what_a_person_calls_financing_names_the_word(published: Any, cast: Cast) -> None:
    event = event_make(BankStatement.objects.get(start="2026-02-01"), "2026-02-20", 500000)
    refreshed(LATER)
    Restatement.objects.all().delete()
    services.cash_mark(event=event, financing=True, by=cast.bob)
    refreshed(datetime.now(UTC).replace(year=2026, month=3, day=15))
    assert restated() == {"2026-02": {"burn": 500000, "financing": 500000, "money_in": -500000}}
    (cause,) = of("financing", "2026-02").causes
    assert cause["code"] == "word"
    assert set(cause["params"]) == {"event", "day", "edit", "act"}


def test_another_bank_account_is_one_cause(published: Any) -> None:
    account = account_make(published[0], "FI7944052020036082")
    for start, end, opening in (
        ("2025-12-01", "2025-12-31", "700.00"),
        ("2026-01-01", "2026-02-28", "600.00"),
    ):
        statement_make(account, start, end, opening, [(f"{start[:7]}-15", "-100.00")])
    refreshed(LATER)
    changed = restated()
    assert changed["2025-12"] == {"balance": 60000, "burn": 10000, "money_out": 10000}
    assert changed["2026-02"] == {"balance": 50000}
    assert {row.causes[0]["code"] for row in Restatement.objects.all()} == {"account_added"}
    Restatement.objects.all().delete()
    BankAccount.objects.filter(pk=account.pk).update(active=False)
    refreshed(LATER + timedelta(hours=1))
    assert restated()["2026-02"] == {"balance": -50000}
    assert {row.causes[0]["code"] for row in Restatement.objects.all()} == {"account_left_out"}


def test_an_event_deleted_outright_leaves_its_share_behind(published: Any) -> None:
    BankEvent.objects.filter(date="2026-01-10")._raw_delete("default")
    refreshed(LATER)
    assert codes("money_out", "2026-01") == [("documents_deleted", -150000)]
    assert codes("balance", "2026-01") == [("documents_deleted", 150000)]
    restated()


def test_older_statements_and_a_month_that_ends_restate_nothing(published: Any) -> None:
    account = published[4]
    older = [("2025-11-03", "-100.00")]
    statement_make(account, "2025-11-01", "2025-11-30", "10100.00", older)
    statement_make(account, "2026-03-01", "2026-03-14", "7000.00", [("2026-03-03", "-5.00")])
    refreshed(LATER)
    assert [row["month"] for row in Report.objects.get().body["cash"]][0] == "2025-11"
    assert not Restatement.objects.exists()


def test_a_month_that_no_statement_covers_any_more_is_not_called_empty(published: Any) -> None:
    BankStatement.objects.filter(start="2026-02-01").update(removed_at=LATER)
    BankEvent.objects.filter(statement__start="2026-02-01").update(removed_at=LATER)
    refreshed(LATER)
    assert not Restatement.objects.exists()


def test_what_it_restates_costs_a_few_reads_and_nothing_where_it_restates_nothing(
    published: Any,
) -> None:
    def queries(change: Any, now: datetime) -> int:
        change()
        with CaptureQueriesContext(connection) as found:
            refreshed(now)
        return len(found)

    statement = BankStatement.objects.get(start="2026-01-01")
    customer = published[1]
    quiet = queries(
        lambda: invoice_make(customer, "2026-03-02", [Row(net="5.00", name="Matka")]), LATER
    )
    assert not Restatement.objects.exists()
    both = queries(
        lambda: (
            event_make(statement, "2026-01-20", -12000),
            invoice_make(customer, "2026-01-20", [Row(net="5.00", name="Matka")]),
        ),
        LATER + timedelta(hours=1),
    )
    assert {row.metric for row in Restatement.objects.all()} > {"revenue", "balance"}
    assert both - quiet <= 13
