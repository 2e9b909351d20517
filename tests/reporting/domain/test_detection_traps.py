"""Books that look like subscriptions and are none, or look like none and are; and credits."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

import pytest

from reporting.domain.choices import (
    Confidence,
)
from reporting.domain.findings import LineType
from reporting.domain.periods import add_months_date
from tests.reporting.domain.books import (
    Row,
    all_moves,
    finding,
    month,
    monthly,
    moves,
    mrr_on,
    mrr_parts,
    report_on,
    yearly,
)


class TestTraps:
    def test_three_yearly_contracts_are_not_a_quarterly_one(self):
        rows = [
            row
            for first, net in (
                ("2022-01-01", "1200.00"),
                ("2022-04-01", "2400.00"),
                ("2022-07-01", "3600.00"),
            )
            for row in yearly(4, first, net)
        ]
        report = report_on(rows, threshold=Confidence.MEDIUM)
        assert {one.period_months for one in report.subscriptions} == {12}
        assert len(report.subscriptions) == 3
        assert mrr_on(report, "2024-12") == "600"

    @pytest.mark.parametrize("rise", ["1.00", "1.04"])
    def test_three_yearly_contracts_at_nearly_one_price_are_not_a_quarterly_one(self, rise):
        rows = [
            row.but(net=f"{Decimal(row.net) * Decimal(rise) ** number:.2f}")
            for first, net in (
                ("2022-01-01", "3510.00"),
                ("2022-04-01", "3549.00"),
                ("2022-07-01", "3588.00"),
            )
            for number, row in enumerate(yearly(4, first, net))
        ]
        report = report_on(rows, threshold=Confidence.MEDIUM)
        assert {one.period_months for one in report.subscriptions} == {12}
        assert float(mrr_on(report, "2023-12")) == pytest.approx(887.25 * float(rise), abs=0.02)

    def test_a_quarterly_one_that_missed_two_invoices_is_quarterly(self):
        days = ("2022-01-01", "2022-04-01", "2022-10-01", "2023-01-01", "2023-04-01", "2023-07-01")
        days += ("2024-01-01", "2024-04-01", "2024-07-01", "2024-10-01")
        report = report_on([Row(on=on, net="300.00") for on in days])
        assert {one.period_months for one in report.subscriptions} == {3}

    def test_renewals_of_other_contracts_do_not_cut_a_yearly_period(self):
        rows = [
            row
            for first, net in (
                ("2024-06-24", "3510.00"),
                ("2024-09-24", "3549.00"),
                ("2024-12-24", "3588.00"),
            )
            for row in yearly(2, first, net, name="Vuosilisenssi", unit="YEAR")
        ]
        report = report_on(rows)
        assert mrr_on(report, "2025-04") == "887.25"
        assert mrr_on(report, "2025-08") == "887.25"

    def test_a_consultant_billed_monthly_in_hours_is_none(self):
        rows = monthly(8, name="Konsultointi", unit="HOUR", net="900.00")
        report = report_on(rows)
        assert finding(report)[0] is LineType.ONE_OFF
        assert finding(report)[3] == "work_unit"
        assert not len(report.subscriptions)

    def test_dated_hours_are_none(self):
        row = Row(on="2025-02-01", net="900.00", unit="HOUR", service=("2025-01-01", "2025-02-01"))
        assert finding(report_on([row]))[0] is LineType.ONE_OFF

    def test_annual_and_monthly_of_one_product_stand_side_by_side(self):
        rows = [
            *(
                row.but(
                    service=(row.on, add_months_date(date.fromisoformat(row.on), 1).isoformat())
                )
                for row in monthly(6)
            ),
            Row(on="2025-01-15", net="1200.00", service=("2025-01-15", "2026-01-15")),
        ]
        assert mrr_on(report_on(rows), "2025-03") == "200"

    def test_a_year_without_dates_beside_the_months_of_one_product_is_a_year(self):
        rows = [
            *monthly(14),
            Row(on="2025-03-01", net="1100.00"),
        ]
        report = report_on(rows, threshold=Confidence.MEDIUM)
        assert {one.period_months for one in report.subscriptions} == {1, 12}
        assert mrr_on(report, "2025-08") == "191.67"

    def test_a_dearer_invoice_now_and_then_is_no_year(self):
        rows = monthly(14)
        rows[5] = rows[5].but(net="600.00")
        report = report_on(rows, threshold=Confidence.MEDIUM)
        assert {one.period_months for one in report.subscriptions} == {1}

    def test_an_invoice_of_the_first_that_slips_from_31_january_to_3_march_is_monthly(self):
        days = ("2024-12-02", "2025-01-01", "2025-01-31", "2025-03-03", "2025-04-01")
        report = report_on([Row(on=on, net="100.00") for on in days])
        assert [mrr_on(report, f"2025-{n:02d}") for n in (1, 2, 3)] == ["100"] * 3

    def test_a_product_whose_code_and_name_change_is_one_subscription(self):
        rows = [*monthly(5, product=7), *monthly(5, first="2025-06-01", product=7, name="Perus-1")]
        report = report_on(rows)
        assert len(report.subscriptions) == 1
        assert list(all_moves(report)) == ["2025-01", "2025-11"]

    def test_a_customer_abroad_without_vat_is_read_like_any_other(self):
        rows = monthly(4, name="Platform fee", currency="SEK", net="1100.00", net_acc="100.00")
        assert mrr_on(report_on(rows), "2025-03") == "100"

    def test_licences_of_odd_lengths_last_as_many_months_as_they_were_bought_for(self):
        bought = (("2025-01-15", 4), ("2025-05-15", 1), ("2025-06-15", 5), ("2025-11-15", 2))
        rows = [
            Row(
                on=on, net=f"{100 * months}.00", unit="MONTH", quantity=str(months), name="Lisenssi"
            )
            for on, months in bought
        ]
        report = report_on(rows, as_of="2025-12-20")
        assert [mrr_on(report, f"2025-{n:02d}") for n in range(1, 13)] == ["100"] * 12

    def test_an_invoice_that_makes_up_for_a_forgotten_one_covers_both_months(self):
        rows = monthly(8, unit="MONTH", name="Lisenssi")
        del rows[3]
        rows[3] = rows[3].but(net="200.00", quantity="2")
        report = report_on(rows)
        assert [mrr_on(report, f"2025-{n:02d}") for n in range(1, 9)] == ["100"] * 8

    def test_twice_the_users_after_a_pause_make_up_for_nothing(self):
        rows = monthly(8, unit="MONTH", name="Lisenssi")
        del rows[3]
        rows[3:] = [row.but(net="200.00", quantity="2") for row in rows[3:]]
        assert mrr_on(report_on(rows), "2025-04") == "0"

    @pytest.mark.parametrize("word", ["erotus", "difference", "mellanskillnad"])
    def test_a_difference_runs_to_the_end_of_what_it_tops_up(self, word):
        rows = [
            Row(on="2025-01-01", net="1200.00", name="Vuosilisenssi", unit="YEAR"),
            Row(on="2025-06-01", net="350.00", name=f"Business, {word}", unit="YEAR"),
        ]
        report = report_on(rows, threshold=Confidence.MEDIUM)
        assert [mrr_on(report, f"2025-{n:02d}") for n in (5, 6, 12)] == ["100", "150", "150"]

    def test_more_users_at_the_same_price_is_one_chain(self):
        rows = [
            *monthly(4, net="100.00", quantity="10"),
            *monthly(4, first="2025-05-01", net="120.00", quantity="12"),
        ]
        report = report_on(rows)
        assert len(report.subscriptions) == 1
        assert moves(report, "2025-05") == {"expansion": "20.00"}

    def test_a_campaign_of_three_months_contracts_and_expands(self):
        rows = [
            *monthly(4),
            *monthly(3, first="2025-05-01", net="80.00"),
            *monthly(4, first="2025-08-01"),
        ]
        report = report_on(rows)
        assert len(report.subscriptions) == 1
        assert moves(report, "2025-05") == {"contraction": "20.00"}
        assert moves(report, "2025-08") == {"expansion": "20.00"}

    def test_two_lines_of_one_product_in_one_invoice_are_summed(self):
        rows = [
            one.but(invoice=number)
            for number, row in enumerate(monthly(5), start=1)
            for one in (row, row)
        ]
        report = report_on(rows)
        assert len(report.subscriptions) == 1
        assert mrr_on(report, "2025-03") == "200"

    def test_a_fee_split_over_two_rows_now_and_then_keeps_its_rhythm(self):
        rows = monthly(8)
        for place in (2, 5):
            whole = rows[place].but(invoice=place)
            rows[place] = whole.but(net="10.00")
            rows.append(whole.but(net="90.00"))
        report = report_on(rows)
        assert len(report.subscriptions) == 1
        assert [mrr_on(report, f"2025-{n:02d}") for n in range(1, 9)] == ["100"] * 8

    def test_an_invoice_for_a_past_period_counts_in_that_period(self):
        report = report_on(
            [Row(on="2025-06-20", net="300.00", service=("2025-01-01", "2025-04-01"))]
        )
        assert all_moves(report) == {"2025-01": {"new": "100.00"}, "2025-04": {"churn": "100.00"}}

    @pytest.mark.parametrize("name", ["Maksumuistutus", "Viivästyskorko", "Pyöristys"])
    def test_rows_that_are_no_service_are_ignored_however_regular(self, name):
        report = report_on(monthly(8, name=name, net="5.00"))
        assert finding(report)[0] is LineType.IGNORE
        assert report.revenue["other"].sum() == 8 * 500

    def test_a_discount_row_reduces_the_plan_beside_it(self):
        rows = [
            row
            for number, plan in enumerate(monthly(5), start=1)
            for row in (
                plan.but(invoice=number),
                plan.but(invoice=number, name="Alennus", net="-20.00"),
                plan.but(invoice=number, name="Käyttöönotto", net="500.00"),
            )
        ]
        assert mrr_on(report_on(rows), "2025-03") == "80"

    def test_metered_rows_stand_in_a_series_of_their_own(self):
        report = report_on(monthly(5, name="API-kutsut, ylitys", net="7.00"))
        assert finding(report)[0] is LineType.USAGE
        assert report.revenue["usage"].sum() == 5 * 700

    def test_free_text_rows_of_one_service_form_one_chain(self):
        rows = [
            row.but(name=f"Alustan kuukausimaksu {number}/2025")
            for number, row in enumerate(monthly(5), start=1)
        ]
        assert len(report_on(rows).subscriptions) == 1


class TestCredits:
    def test_a_full_credit_and_its_correction_leave_no_movement(self):
        rows = [
            *monthly(6),
            Row(on="2025-03-03", net="-100.00", credit=True),
            Row(on="2025-03-05", net="100.00"),
        ]
        report = report_on(rows)
        assert [mrr_on(report, f"2025-{n:02d}") for n in range(1, 7)] == ["100"] * 6
        assert list(all_moves(report)) == ["2025-01", "2025-07"]
        assert report.findings.reason(6).params == {"credited_line": 1002}

    def test_half_of_todays_price_takes_back_nothing_of_long_ago(self):
        def both(on: str, seats: str, plan: str = "500.00", **kw) -> list[Row]:
            place = int(on.replace("-", ""))
            shared = Row(on=on, net=plan, name="Plan kk", unit="MONTH", invoice=place, **kw)
            return [shared, shared.but(net=seats, name="Seats kk")]

        rows = [row for n in (1, 2) for row in both(f"2025-{n:02d}-01", "50.00")]
        rows += [row for n in (3, 4, 5) for row in both(f"2025-{n:02d}-01", "100.00")]
        rows += both("2025-05-16", "-50.00", plan="-250.00", credit=True)
        report = report_on(rows)
        assert mrr_on(report, "2025-02") == "550"
        assert report.findings.reason(len(rows) - 1).code == "credit_part"

    def test_a_part_credit_runs_to_the_end_of_its_line(self):
        rows = [
            Row(on="2025-01-01", net="1200.00", service=("2025-01-01", "2026-01-01")),
            Row(on="2025-07-01", net="-300.00", credit=True),
        ]
        report = report_on(rows)
        assert (mrr_on(report, "2025-06"), mrr_on(report, "2025-07")) == ("100", "50")
        assert mrr_on(report, "2025-12") == "50"

    def test_an_unmatched_credit_takes_one_month_and_is_listed(self):
        rows = [
            Row(on="2025-01-01", net="1200.00", service=("2025-01-01", "2026-01-01")),
            Row(on="2025-05-10", net="-30.00", name="Hyvitys", credit=True),
        ]
        report = report_on(rows)
        assert [mrr_on(report, f"2025-{n:02d}") for n in (4, 5, 6)] == ["100", "70", "100"]
        assert report.unmatched_credits().tolist() == [1]

    def test_a_customer_never_falls_below_zero(self):
        rows = [
            Row(on="2025-01-01", net="120.00", service=("2025-01-01", "2026-01-01")),
            Row(on="2025-05-10", net="-30.00", name="Hyvitys", credit=True),
        ]
        report = report_on(rows)
        parts = mrr_parts(report, month("2025-05"))
        assert mrr_on(report, "2025-05") == "0"
        assert parts.total == 0
        assert parts.customers.tolist() == [-1, -1, 1]
        assert parts.amounts.tolist()[2] == 20_00_0000

    def test_a_credit_for_work_leaves_mrr_alone(self):
        rows = [
            *monthly(5),
            Row(on="2025-02-02", net="400.00", name="Konsultointi"),
            Row(on="2025-03-03", net="-150.00", name="Konsultointi", credit=True),
        ]
        assert mrr_on(report_on(rows), "2025-03") == "100"

    def test_a_dated_credit_for_usage_stays_usage(self):
        march = ("2025-03-01", "2025-04-01")
        rows = [
            *monthly(5),
            Row(on="2025-03-31", net="70.00", name="Ylityskäyttö", delivery=march),
            Row(on="2025-04-02", net="-30.00", name="Ylityskäyttö", delivery=march, credit=True),
        ]
        report = report_on(rows)
        assert mrr_on(report, "2025-03") == "100"
        assert report.revenue["usage"].sum() == 4000
