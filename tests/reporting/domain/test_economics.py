"""What a customer is worth, what winning one costs, and what came back or is overdue."""

from __future__ import annotations

from datetime import date
from fractions import Fraction

import numpy as np
import pytest

from reporting.domain.choices import Ltv, Settings
from reporting.domain.economics import economics, six_month_churn
from reporting.domain.periods import day_number
from reporting.domain.receivables import Age, Receivables, open_receivables
from reporting.domain.refunds import refund_months, refund_sums
from tests.reporting.domain.books import Row, cents, day, month, receivables_of, report_on

MARCH = month("2025-03")


def monthly(net: str, first: int, last: int, **values) -> list[Row]:
    """One line for each month of 2025 from `first` to `last`."""
    ends = [f"2025-{number + 1:02d}-01" if number < 12 else "2026-01-01" for number in range(13)]
    return [
        Row(
            on=f"2025-{number:02d}-01",
            net=net,
            service=(f"2025-{number:02d}-01", ends[number]),
            **values,
        )
        for number in range(first, last + 1)
    ]


def of(report, name, *, costs=(), **settings):
    chosen = Settings(as_of=date(2027, 6, 15), **settings)
    found = economics(report.periods, report.first_invoices, dict(costs), chosen)
    return {row["month"]: row[name] for row in found["months"]}


def test_asp_is_the_average_first_invoice_of_new_customers():
    year = ("2025-03-01", "2026-03-01")
    rows = [
        *monthly("100.00", 3, 12, customer=1),
        Row(on="2025-03-01", net="1200.00", customer=2, service=year),
        Row(on="2025-03-01", net="300.00", customer=2, name="Käyttöönotto"),
    ]
    report = report_on(rows)
    assert of(report, "asp_minor")["2025-03"] == cents("650.00")
    assert of(report, "new_arpa_minor")["2025-03"] == cents("100.00")
    assert of(report, "asp_minor")["2025-04"] is None


def test_six_months_of_churn_need_six_complete_months_with_customers():
    rows = [*monthly("100.00", 1, 12, customer=1), *monthly("100.00", 1, 4, customer=2)]
    report = report_on(rows, as_of="2025-12-31")
    churn = of(report, "customer_churn_6_ppm")
    assert churn["2025-07"] is None
    assert churn["2025-08"] == round(1_000_000 / 2 / 6)
    assert six_month_churn(report.periods, 7) == Fraction(1, 12)


def test_no_churn_means_no_lifetime_value():
    report = report_on(monthly("100.00", 1, 12), as_of="2025-12-31")
    for name in ("ltv_ours_minor", "ltv_chartmogul_minor", "ltv_calqulate_minor"):
        assert set(of(report, name, gross_margin_bp=8000).values()) == {None}


@pytest.mark.parametrize(
    ("ltv", "expected"), [(Ltv.OURS, 0.8), (Ltv.CHARTMOGUL, 1.0), (Ltv.CALQULATE, None)]
)
def test_the_ratio_takes_the_lifetime_value_that_the_tenant_chose(ltv, expected):
    rows = [
        *monthly("100.00", 1, 12, customer=1),
        *monthly("100.00", 1, 4, customer=2),
        *monthly("100.00", 9, 12, customer=3),
    ]
    report = report_on(rows, as_of="2025-12-31")
    settings = {"gross_margin_bp": 8000, "ltv": ltv, "costs": {month("2025-09"): cents("1200.00")}}
    ratio = of(report, "ltv_cac_ppm", **settings)["2025-09"]
    assert ratio == (None if expected is None else round(expected * 1_000_000))


def test_a_lag_divides_the_cost_of_earlier_months():
    report = report_on(monthly("100.00", 3, 12))
    costs = {MARCH - 1: cents("500.00"), MARCH: cents("900.00")}
    assert of(report, "cac_minor", costs=costs)["2025-03"] == cents("900.00")
    assert of(report, "cac_minor", costs=costs, cac_lag_months=1)["2025-03"] == cents("500.00")
    assert of(report, "cac_minor", costs=costs)["2025-04"] is None


def test_without_a_margin_there_is_no_payback():
    report = report_on(monthly("100.00", 3, 12))
    costs = {MARCH: cents("900.00")}
    assert of(report, "payback_months_tenths", costs=costs)["2025-03"] is None
    known = of(report, "payback_months_tenths", costs=costs, gross_margin_bp=9000)
    assert known["2025-03"] == 100


def test_credit_notes_and_overdue_invoices_stand_in_the_month_of_their_invoice():
    def column(*values):
        return np.array(values, dtype=np.int64)

    days = [day(text) for text in ("2025-01-10", "2025-01-20", "2025-02-01")]
    receivables = Receivables(
        invoice_id=column(1, 2, 3),
        customer_id=column(1, 1, 1),
        invoice_day=column(*days),
        due_day=column(*(one + 14 for one in days)),
        total_gross=column(12_400, -2_400, 5_000),
        open_gross=column(10_000, 0, 5_000),
        paid_day=column(-(2**31), -(2**31), -(2**31)),
    )
    rows = [Row(on="2025-01-10", net="100.00")]
    report = report_on(rows, as_of="2025-02-15")
    january, february = refund_months(refund_sums(receivables, report.calendar), report.calendar)
    assert january | {"month": "", "complete": True} == {
        "month": "",
        "complete": True,
        "credit_notes": 1,
        "credited_minor": 2_400,
        "billed_minor": 12_400,
        "overdue_minor": 10_000,
        "overdue_invoices": 1,
    }
    assert (february["overdue_minor"], february["overdue_invoices"]) == (0, 0)


def test_what_is_overdue_by_month_adds_up_to_what_is_overdue_by_age():
    receivables = receivables_of(
        [(1, "2025-01-20", "124.00", None), (1, "2025-02-20", "-24.00", None)]
    )
    report = report_on([Row(on="2025-01-02", net="100.00")], as_of="2025-03-15")
    months = refund_months(refund_sums(receivables, report.calendar), report.calendar)
    owed = open_receivables(receivables, day_number(report.settings.as_of))
    assert owed.total - owed.by_age[Age.NOT_DUE] == 10_000
    assert sum(month["overdue_minor"] for month in months) == 10_000
