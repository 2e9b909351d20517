"""Invoiced amounts become revenue part by part, and what is left stands as deferred or accrued."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reporting.domain.recognition import deferred_by_line, recognition_sums
from tests.reporting.domain.books import Row, cents, day, euros, lines_of, report_on
from tests.reporting.domain.test_properties import DAYS, HISTORIES, measured

YEAR = ("2025-01-01", "2026-01-01")


def by_month(report, name, *, daily=False):
    sums = recognition_sums(report.schedule(daily=daily), report.calendar)
    return [euros(one) for one in getattr(sums, name).tolist()]


def test_the_monthly_method_recognises_equal_parts_on_last_days():
    rows = [Row(on="2025-01-01", net="1000.00", service=("2025-01-01", "2025-04-01"))]
    report = report_on(rows, as_of="2025-04-30")
    assert by_month(report, "recognised") == ["333.33", "333.34", "333.33", "0.00"]
    assert by_month(report, "deferred") == ["666.67", "333.33", "0.00", "0.00"]


def test_the_part_of_the_running_month_is_deferred_until_its_last_day():
    rows = [Row(on="2025-01-01", net="1200.00", service=YEAR)]
    assert by_month(report_on(rows, as_of="2025-02-27"), "deferred") == ["1100.00", "1100.00"]
    assert by_month(report_on(rows, as_of="2025-02-28"), "deferred") == ["1100.00", "1000.00"]


def test_service_before_its_invoice_is_accrued():
    rows = [Row(on="2025-03-10", net="300.00", service=("2025-01-01", "2025-04-01"))]
    report = report_on(rows, as_of="2025-04-30")
    assert by_month(report, "accrued") == ["100.00", "200.00", "0.00", "0.00"]
    assert by_month(report, "deferred") == ["0.00"] * 4


def test_work_is_recognised_when_it_is_delivered():
    work = Row(on="2025-02-05", net="500.00", name="Konsultointi", unit="HOUR")
    before = work.but(on="2025-01-10", net="80.00")
    rows = [before, work.but(delivery=("2025-01-01", "2025-02-01"))]
    report = report_on(rows, as_of="2025-03-31")
    assert by_month(report, "recognised") == ["580.00", "0.00", "0.00"]
    assert by_month(report, "accrued") == ["500.00", "0.00", "0.00"]


def test_work_of_the_running_month_is_recognised_on_its_day():
    work = Row(on="2025-02-05", net="500.00", name="Konsultointi", unit="HOUR")
    assert by_month(report_on([work], as_of="2025-02-10"), "recognised") == ["500.00"]


def test_a_credit_takes_deferred_revenue_back():
    rows = [
        Row(on="2025-01-01", net="1200.00", service=YEAR),
        Row(on="2025-07-01", net="-600.00", service=("2025-07-01", "2026-01-01"), credit=True),
    ]
    report = report_on(rows, as_of="2025-12-31")
    assert by_month(report, "deferred")[5:8] == ["600.00", "0.00", "0.00"]
    assert by_month(report, "accrued") == ["0.00"] * 12
    assert by_month(report, "recognised")[6:] == ["0.00"] * 6


@pytest.mark.parametrize("daily", [False, True])
@given(history=HISTORIES, as_of=DAYS)
@settings(max_examples=25, deadline=None)
def test_what_is_invoiced_is_recognised_deferred_or_accrued(daily, history, as_of):
    report = measured(lines_of(history), as_of)
    plan = report.schedule(daily=daily)
    sums = recognition_sums(plan, report.calendar)
    left = np.cumsum(sums.invoiced) - np.cumsum(sums.recognised)
    assert np.array_equal(left, sums.deferred - sums.accrued)
    assert np.array_equal(sums.invoiced, report.revenue["total"])
    deferred = deferred_by_line(plan, len(report.lines), report.calendar)
    assert deferred.sum() == sums.deferred[-1]


@pytest.mark.parametrize("daily", [False, True])
@given(
    net=st.integers(-900_000, 900_000).filter(bool),
    begin=st.integers(0, 400),
    length=st.integers(27, 800),
)
@settings(max_examples=30, deadline=None)
def test_the_parts_of_a_line_make_the_whole(daily, net, begin, length):
    start = np.datetime64("2023-01-01") + begin
    row = Row(
        on="2023-01-01",
        net=f"{net / 100:.2f}",
        service=(str(start), str(start + length)),
        name="Lisenssi kk",
        unit="MONTH",
    )
    report = report_on([row])
    sums = recognition_sums(report.schedule(daily=daily), report.calendar)
    assert sums.recognised.sum() == cents(row.net)
    assert (sums.recognised * np.sign(net) >= 0).all()


def test_work_is_recognised_on_the_row_s_own_day_before_that_of_the_invoice():
    work = Row(
        on="2025-01-15",
        net="500.00",
        unit="HOUR",
        service=("2025-03-10", "2025-03-11"),
        delivery=("2025-02-01", "2025-02-02"),
    )
    plan = report_on([work, work.but(service=None)]).schedule(daily=True)
    assert plan.at_once.tolist() == [day("2025-03-10"), day("2025-02-01")]
