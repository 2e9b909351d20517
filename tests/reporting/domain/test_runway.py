"""Cash by month, burn, runway, and what is no operation."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

import numpy as np
import pytest

from reporting.domain.choices import Settings
from reporting.domain.periods import day_date, month_text
from reporting.domain.runway import EventKind, State, cashflow
from tests.reporting.domain.books import bank_of, day, euros

NOVEMBER = Settings(as_of=date(2025, 11, 1))
AUTUMN = (0, "2025-08-01", "2025-10-31", "1000")


def test_money_in_and_out_by_month_and_the_balance_at_each_end():
    flow = cashflow(
        bank_of(
            statements=[AUTUMN],
            events=[(0, "2025-08-31", "500"), (0, "2025-09-01", "-200"), (0, "2025-09-02", "50")],
        ),
        NOVEMBER,
    )
    assert [month_text(one) for one in flow.months.tolist()] == ["2025-08", "2025-09", "2025-10"]
    assert [euros(one) for one in flow.balance] == ["1500.00", "1350.00", "1350.00"]
    assert [euros(one) for one in flow.money_in] == ["500.00", "50.00", "0.00"]
    assert [euros(one) for one in flow.money_out] == ["0.00", "200.00", "0.00"]
    assert flow.complete.tolist() == [True] * 3


def test_the_balance_follows_the_flows_exactly():
    flow = cashflow(
        bank_of(
            statements=[AUTUMN],
            events=[(0, f"2025-{n:02d}-10", f"{n * 7 - 60}") for n in (8, 9, 10)],
            financing=[1],
        ),
        NOVEMBER,
    )
    moved = flow.money_in - flow.money_out + flow.financing
    assert np.array_equal(np.diff(flow.balance), moved[1:])


def test_a_transfer_to_an_own_account_is_no_operation():
    bank = bank_of(
        statements=[AUTUMN, (1, "2025-08-01", "2025-10-31", "0")],
        events=[(0, "2025-09-01", "-300", "FI00 1"), (1, "2025-09-02", "300", "FI00 0")],
        accounts=2,
    )
    flow = cashflow(bank, NOVEMBER)
    assert flow.event_kind.tolist() == [EventKind.OWN_TRANSFER] * 2
    assert not flow.money_in.any()
    assert not flow.money_out.any()
    assert euros(flow.balance[-1]) == "1000.00"


@pytest.mark.parametrize(
    ("second", "kinds"),
    [
        ((1, "2025-09-03", "300"), [EventKind.OWN_TRANSFER] * 2),
        ((1, "2025-09-09", "300"), [EventKind.OPERATIONS] * 2),
        ((0, "2025-09-03", "300"), [EventKind.OPERATIONS] * 2),
        ((1, "2025-09-03", "301"), [EventKind.OPERATIONS] * 2),
    ],
)
def test_equal_amounts_on_two_own_accounts_within_days_are_a_transfer(second, kinds):
    bank = bank_of(
        statements=[AUTUMN, (1, "2025-08-01", "2025-10-31", "0")],
        events=[(0, "2025-09-01", "-300"), second],
        accounts=2,
    )
    assert cashflow(bank, NOVEMBER).event_kind.tolist() == kinds


def test_a_named_stranger_is_no_transfer_however_equal():
    bank = bank_of(
        statements=[AUTUMN, (1, "2025-08-01", "2025-10-31", "0")],
        events=[(0, "2025-09-01", "-300", "FI99"), (1, "2025-09-01", "300", "FI98")],
        accounts=2,
    )
    assert cashflow(bank, NOVEMBER).event_kind.tolist() == [EventKind.OPERATIONS] * 2


def test_a_month_counts_only_when_every_account_s_statements_cover_it():
    bank = bank_of(
        statements=[
            AUTUMN,
            (1, "2025-08-01", "2025-08-31", "10"),
            (1, "2025-09-02", "2025-10-31", "10"),
        ],
        accounts=2,
    )
    assert cashflow(bank, NOVEMBER).complete.tolist() == [True, False, True]


def test_an_account_opened_empty_spoils_no_earlier_month():
    bank = bank_of(statements=[AUTUMN, (1, "2025-10-10", "2025-10-31", "0")], accounts=2)
    assert cashflow(bank, NOVEMBER).complete.tolist() == [True] * 3


def test_a_month_s_statement_may_come_in_days():
    days = [(0, f"2025-09-{n:02d}", f"2025-09-{n:02d}", "5") for n in range(1, 31)]
    flow = cashflow(bank_of(statements=days), replace(NOVEMBER, as_of=date(2025, 10, 1)))
    assert flow.complete.tolist() == [True]


def test_the_running_month_is_never_complete():
    bank = bank_of(statements=[AUTUMN])
    flow = cashflow(bank, replace(NOVEMBER, as_of=date(2025, 10, 31)))
    assert flow.complete.tolist() == [True, True, False]


def test_two_complete_months_are_enough_and_said():
    bank = bank_of(
        statements=[(0, "2025-09-01", "2025-10-31", "9000")],
        events=[(0, "2025-09-10", "-1000"), (0, "2025-10-10", "-2000")],
    )
    runway = cashflow(bank, NOVEMBER).runway
    assert runway.state is State.OK
    assert [month_text(one) for one in runway.months_used] == ["2025-09", "2025-10"]
    assert (euros(runway.net_burn), str(runway.months)) == ("1500.00", "4.0")


def test_one_month_is_enough_when_one_is_asked_for():
    bank = bank_of(
        statements=[(0, "2025-10-01", "2025-10-31", "3000")], events=[(0, "2025-10-10", "-1000")]
    )
    runway = cashflow(bank, replace(NOVEMBER, burn_months=1)).runway
    assert (runway.state, str(runway.months)) == (State.OK, "2.0")


def test_a_gap_in_the_statements_breaks_the_run_of_months():
    bank = bank_of(
        statements=[(0, "2025-06-01", "2025-08-31", "9000"), (0, "2025-10-01", "2025-10-31", "9")]
    )
    assert cashflow(bank, NOVEMBER).runway.state is State.INSUFFICIENT_HISTORY


def test_gross_burn_counts_what_went_out():
    bank = bank_of(
        statements=[AUTUMN],
        events=[(0, f"2025-{n:02d}-10", amount) for n in (8, 9, 10) for amount in ("-500", "400")],
    )
    runway = cashflow(bank, NOVEMBER).runway
    assert (euros(runway.net_burn), euros(runway.gross_burn)) == ("100.00", "500.00")


def test_the_balance_date_is_the_last_day_that_all_accounts_know():
    bank = bank_of(
        statements=[AUTUMN, (1, "2025-08-01", "2025-10-20", "70")],
        events=[(0, "2025-10-25", "-400")],
        accounts=2,
    )
    flow = cashflow(bank, NOVEMBER)
    assert day_date(flow.runway.balance_day) == date(2025, 10, 20)
    assert euros(flow.runway.cash) == "1070.00"


def test_a_statement_s_opening_balance_wins_over_lost_events():
    bank = bank_of(
        statements=[(0, "2025-09-01", "2025-09-30", "100"), (0, "2025-10-01", "2025-10-31", "150")],
        events=[(0, "2025-10-15", "-20")],
    )
    assert [euros(one) for one in cashflow(bank, NOVEMBER).balance] == ["100.00", "130.00"]


def test_a_closed_account_is_no_cash():
    bank = bank_of(statements=[AUTUMN, (1, "2025-08-01", "2025-09-30", "70")], accounts=2)
    closed = replace(bank, active=(True, False))
    assert euros(cashflow(closed, NOVEMBER).runway.cash) == "1000.00"


def test_a_long_runway_is_over_the_cap():
    bank = bank_of(statements=[AUTUMN], events=[(0, f"2025-{n:02d}-10", "-1") for n in (8, 9, 10)])
    assert cashflow(bank, NOVEMBER).runway.over_cap


def test_a_large_deposit_is_proposed_until_someone_speaks():
    events = [(0, f"2025-{n:02d}-10", "400") for n in (8, 9, 10)] + [(0, "2025-09-11", "9000")]
    bank = bank_of(statements=[AUTUMN], events=events)
    assert cashflow(bank, NOVEMBER).proposed_financing.tolist() == [3]
    invoice = bank.event_invoice.copy()
    invoice[3] = 12
    assert not cashflow(replace(bank, event_invoice=invoice), NOVEMBER).proposed_financing.size
    marked = bank_of(statements=[AUTUMN], events=events, financing=[3])
    assert not cashflow(marked, NOVEMBER).proposed_financing.size
    assert day("2025-09-11") == marked.event_day[3]
