"""What counts as a subscription, for which period, how sure, and why."""

from __future__ import annotations

from datetime import date

import pytest

from reporting.domain.choices import (
    Confidence,
    Decision,
    Mark,
    ProductMark,
    SubscriptionKey,
    UserWords,
    Verdict,
)
from reporting.domain.findings import LineType, Source, Status, Sure
from tests.reporting.domain.books import (
    Row,
    all_moves,
    finding,
    monthly,
    moves,
    mrr_on,
    report_on,
    span,
    yearly,
)


class TestSources:
    def test_row_dates_come_before_delivery_dates_and_text(self):
        row = Row(
            on="2025-01-05",
            net="300.00",
            service=("2025-02-01", "2025-03-01"),
            delivery=("2025-01-01", "2026-01-01"),
            text="kausi 1.1.2025-31.3.2025",
        )
        report = report_on([row])
        assert finding(report)[:3] == (LineType.SUBSCRIPTION, Source.ROW_DATES, Sure.HIGH)
        assert span(report, 0) == ("2025-02-01", "2025-03-01")

    def test_delivery_dates_come_before_text(self):
        row = Row(
            on="2025-01-05",
            net="1200.00",
            delivery=("2025-01-01", "2026-01-01"),
            text="kausi 1.1.2025-31.3.2025",
        )
        assert finding(report_on([row]))[1] is Source.DELIVERY

    def test_dates_in_the_text_are_read(self):
        report = report_on([Row(on="2025-01-05", net="300.00", text="1.2.–30.4.2025")])
        assert finding(report) == (
            LineType.SUBSCRIPTION,
            Source.TEXT,
            Sure.HIGH,
            "text_dates",
        )
        assert span(report, 0) == ("2025-02-01", "2025-05-01")

    def test_a_month_without_a_year_is_the_one_nearest_to_the_invoice(self):
        rows = [
            Row(on="2025-12-20", net="100.00", text="tammikuu"),
            Row(on="2026-01-05", net="100.00", text="joulukuu", customer=2),
        ]
        report = report_on(rows)
        assert span(report, 0) == ("2026-01-01", "2026-02-01")
        assert span(report, 1) == ("2025-12-01", "2026-01-01")

    def test_a_delivery_day_is_no_period(self):
        row = Row(on="2025-01-05", net="80.00", name="Tuoli", delivery=("2025-01-05", "2025-01-06"))
        assert finding(report_on([row]))[0] is LineType.ONE_OFF

    def test_a_year_unit_with_a_recurring_word_is_certain(self):
        report = report_on([Row(on="2025-03-10", net="1200.00", name="Lisenssi", unit="YEAR")])
        assert finding(report) == (
            LineType.SUBSCRIPTION,
            Source.UNIT_WORDS,
            Sure.HIGH,
            "unit_and_word",
        )
        assert span(report, 0) == ("2025-03-10", "2026-03-10")
        assert mrr_on(report, "2025-03") == "100"

    def test_a_unit_alone_waits_for_review(self):
        report = report_on([Row(on="2025-03-10", net="100.00", unit="MONTH")])
        assert finding(report)[2] is Sure.MEDIUM
        assert report.subscriptions[0].status is Status.DETECTED
        assert mrr_on(report, "2025-03") == "0"

    def test_twelve_months_on_one_row_are_a_year(self):
        row = Row(on="2025-01-01", net="1200.00", name="Lisenssi", unit="MONTH", quantity="12")
        assert mrr_on(report_on([row]), "2025-06") == "100"

    def test_twelve_users_billed_monthly_are_a_month(self):
        rows = monthly(6, net="1200.00", name="Lisenssi", unit="MONTH", quantity="12")
        assert mrr_on(report_on(rows), "2025-03") == "1200"

    def test_an_inferred_period_runs_to_the_next_invoice(self):
        rows = [
            Row(on=on, net="100.00")
            for on in ("2025-01-31", "2025-03-03", "2025-03-31", "2025-05-02", "2025-06-02")
        ]
        report = report_on(rows)
        assert span(report, 0) == ("2025-01-31", "2025-03-03")
        assert [mrr_on(report, f"2025-{n:02d}") for n in range(1, 6)] == ["100"] * 5

    def test_an_inferred_period_does_not_stretch_over_a_gap(self):
        rows = [*monthly(5), *monthly(4, first="2025-08-01")]
        report = report_on(rows)
        assert span(report, 4) == ("2025-05-01", "2025-06-01")
        assert moves(report, "2025-06") == {"churn": "100.00"}
        assert moves(report, "2025-08") == {"reactivation": "100.00"}


class TestCadence:
    def test_four_monthly_invoices_of_one_price_are_certain(self):
        report = report_on(monthly(4))
        assert finding(report) == (
            LineType.SUBSCRIPTION,
            Source.CADENCE,
            Sure.HIGH,
            "cadence",
        )
        assert report.findings.reason(0).params == {"hits": 4, "months": 1}

    def test_three_monthly_invoices_wait_for_review(self):
        assert finding(report_on(monthly(3)))[2] is Sure.MEDIUM

    def test_two_invoices_show_no_rhythm(self):
        assert finding(report_on(monthly(2)))[0] is LineType.ONE_OFF

    def test_three_quarterly_invoices_are_certain(self):
        rows = [Row(on=on, net="300.00") for on in ("2025-01-10", "2025-04-10", "2025-07-10")]
        report = report_on(rows)
        assert finding(report)[2] is Sure.HIGH
        assert mrr_on(report, "2025-05") == "100"

    def test_a_yearly_rhythm_alone_is_never_certain(self):
        report = report_on(yearly(4, "2022-05-01", "1200.00"))
        assert finding(report)[1:3] == (Source.CADENCE, Sure.MEDIUM)

    def test_one_missing_invoice_does_not_break_the_rhythm(self):
        rows = monthly(8)
        del rows[4]
        assert finding(report_on(rows))[2] is Sure.HIGH

    def test_one_price_rise_does_not_break_the_rhythm(self):
        rows = [*monthly(5), *monthly(5, first="2025-06-01", net="130.00")]
        report = report_on(rows)
        assert len(report.subscriptions) == 1
        assert moves(report, "2025-06") == {"expansion": "30.00"}

    def test_quantities_that_leap_at_every_invoice_are_use(self):
        bought = (100, 40, 210, 90, 300, 120, 60)
        rows = [
            Row(on=f"2025-{n:02d}-03", net=f"{quantity}.00", quantity=str(quantity))
            for n, quantity in enumerate(bought, start=1)
        ]
        assert finding(report_on(rows))[0] is LineType.ONE_OFF

    def test_users_that_grow_every_month_are_a_subscription(self):
        rows = [
            Row(on=f"2025-{n:02d}-03", net=f"{10 * users}.00", quantity=str(users))
            for n, users in enumerate((10, 12, 15, 19, 24, 30, 38), start=1)
        ]
        assert finding(report_on(rows))[2] is Sure.HIGH

    def test_amounts_that_wander_are_no_subscription(self):
        rows = [
            Row(on=f"2025-{n:02d}-01", net=net)
            for n, net in enumerate(("100", "170", "90", "260", "130", "310"), start=1)
        ]
        assert finding(report_on(rows))[0] is LineType.ONE_OFF

    def test_the_age_of_the_last_invoice_does_not_matter(self):
        report = report_on(monthly(6, first="2020-01-01"), as_of="2026-11-01")
        assert report.subscriptions[0].status is Status.CHURNED
        assert mrr_on(report, "2020-04") == "100"

    def test_weekly_invoices_count_fifty_two_twelfths(self):
        rows = [Row(on=f"2025-01-{n:02d}", net="12.00") for n in (1, 8, 15, 22, 29)]
        report = report_on(rows)
        assert mrr_on(report, "2025-01") == "52"


class TestWords:
    def test_a_recurring_mark_makes_every_row_count(self):
        words = UserWords(products=(ProductMark(product="p7", mark=Mark.RECURRING),))
        report = report_on([Row(on="2025-01-01", net="50.00", product=7)], words=words)
        assert finding(report) == (
            LineType.SUBSCRIPTION,
            Source.FALLBACK,
            Sure.HIGH,
            "user_mark",
        )
        assert mrr_on(report, "2025-01") == "50"
        assert report.subscriptions[0].confirmed

    def test_a_mark_may_bring_its_period(self):
        mark = ProductMark(product="p7", mark=Mark.RECURRING, period_months=12)
        report = report_on(
            [Row(on="2025-01-01", net="1200.00", product=7)], words=UserWords(products=(mark,))
        )
        assert mrr_on(report, "2025-11") == "100"

    def test_a_part_credit_of_a_marked_product_runs_to_the_end_of_its_line(self):
        mark = ProductMark(product="p7", mark=Mark.RECURRING, period_months=12)
        rows = [
            Row(on="2025-01-01", net="1200.00", product=7),
            Row(on="2025-07-01", net="-300.00", product=7, credit=True),
        ]
        report = report_on(rows, words=UserWords(products=(mark,)))
        assert (mrr_on(report, "2025-06"), mrr_on(report, "2025-12")) == ("100", "50")

    def test_a_one_off_mark_beats_every_sign(self):
        words = UserWords(products=(ProductMark(product="n:alusta", mark=Mark.ONE_OFF),))
        report = report_on(monthly(8), words=words)
        assert not report.total_e4.any()

    def test_a_rejected_subscription_never_counts(self):
        key = SubscriptionKey(1, "n:alusta", "EUR")
        words = UserWords(decisions=(Decision(key=key, verdict=Verdict.REJECTED),))
        report = report_on(monthly(8), words=words)
        assert not report.total_e4.any()
        assert report.subscriptions[0].status is Status.REJECTED
        assert report.subscriptions[0].key == key

    def test_a_confirmed_one_counts_whatever_its_signs(self):
        key = SubscriptionKey(1, "n:alusta", "EUR")
        words = UserWords(decisions=(Decision(key=key, verdict=Verdict.CONFIRMED),))
        report = report_on(monthly(2), words=words)
        assert mrr_on(report, "2025-02") == "100"
        assert report.detected_e4.tolist() == [0] * len(report.months)

    def test_an_edited_period_wins_over_dates(self):
        key = SubscriptionKey(1, "n:alusta", "EUR")
        decision = Decision(key=key, verdict=Verdict.CONFIRMED, period_months=12)
        row = Row(on="2025-01-01", net="1200.00", service=("2025-01-01", "2025-02-01"))
        report = report_on([row], words=UserWords(decisions=(decision,)))
        assert finding(report)[1] is Source.USER
        assert mrr_on(report, "2025-09") == "100"

    def test_an_end_by_hand_wins_and_knows_no_grace(self):
        key = SubscriptionKey(1, "n:alusta", "EUR")
        decision = Decision(key=key, end=date(2025, 6, 15))
        row = Row(on="2025-01-01", net="1200.00", service=("2025-01-01", "2026-01-01"))
        report = report_on([row], as_of="2025-06-20", words=UserWords(decisions=(decision,)))
        assert (mrr_on(report, "2025-05"), mrr_on(report, "2025-06")) == ("100", "0")
        assert report.subscriptions[0].status is Status.CHURNED

    def test_a_start_by_hand_moves_the_beginning(self):
        key = SubscriptionKey(1, "n:alusta", "EUR")
        decision = Decision(key=key, start=date(2025, 3, 1))
        row = Row(on="2025-01-01", net="1200.00", service=("2025-01-01", "2026-01-01"))
        report = report_on([row], words=UserWords(decisions=(decision,)))
        assert list(all_moves(report)) == ["2025-03", "2026-01"]

    def test_a_paused_subscription_is_not_late(self):
        key = SubscriptionKey(1, "n:alusta", "EUR")
        words = UserWords(decisions=(Decision(key=key, paused=True),))
        report = report_on(monthly(5), as_of="2025-06-10", words=words)
        assert report.subscriptions[0].status is Status.PAUSED
        assert mrr_on(report, "2025-06") == "0"

    def test_the_threshold_lets_weaker_findings_count(self):
        report = report_on(monthly(3), threshold=Confidence.MEDIUM)
        assert mrr_on(report, "2025-02") == "100"
        assert report.detected_e4.max() == 100_00_0000

    def test_a_key_survives_being_written_down(self):
        key = SubscriptionKey(12, "n:alusta | kk", "EUR", 990)
        assert SubscriptionKey.parse(str(key)) == key


class TestStatus:
    @pytest.mark.parametrize(
        ("as_of", "status"),
        [
            ("2024-12-20", Status.FUTURE),
            ("2025-02-10", Status.ACTIVE),
            ("2025-05-20", Status.LATE),
            ("2025-06-15", Status.LATE),
            ("2025-06-16", Status.CHURNED),
        ],
    )
    def test_a_quarterly_subscription_through_its_life(self, as_of, status):
        row = Row(on="2024-12-15", net="300.00", service=("2025-02-01", "2025-05-01"))
        assert report_on([row], as_of=as_of).subscriptions[0].status is status

    def test_a_chain_that_was_replaced_beside_another_is_not_late(self):
        def pair(number: int, low: str, high: str) -> list[Row]:
            on, end = f"2025-{number:02d}-01", f"2025-{number + 1:02d}-01"
            shared = Row(on=on, net=low, service=(on, end), invoice=number)
            return [shared, shared.but(net=high)]

        rows = [row for n in range(1, 5) for row in pair(n, "100.00", "200.00")]
        rows += [row for n in range(5, 7) for row in pair(n, "130.00", "260.00")]
        report = report_on(rows, as_of="2025-05-20")
        assert mrr_on(report, "2025-05") == "390"
