"""What people say of subscriptions and lines holds, and keeps holding as the books grow."""

from __future__ import annotations

from datetime import date

from reporting.domain.choices import (
    Decision,
    LineWord,
    Mark,
    SubscriptionKey,
    UserWords,
    Verdict,
)
from reporting.domain.findings import LineType, Status
from reporting.domain.periods import add_months_date
from reporting.domain.report import Report
from tests.reporting.domain.books import Row, all_moves, mrr_on, report_on

START = date(2025, 1, 1)
OWN = SubscriptionKey(1, "own:3f2a", "EUR")


def monthly(count: int, *, first: int = 0, net: str = "100.00", **kw) -> list[Row]:
    """Invoices on the first of the months from `first` (0: January 2025) on."""
    return [
        Row(on=add_months_date(START, first + number).isoformat(), net=net, **kw)
        for number in range(count)
    ]


def numbered(rows: list[Row]) -> list[Row]:
    """The rows with line ids 1, 2, 3 …"""
    return [row.but(line=place) for place, row in enumerate(rows, start=1)]


def key(name: str = "n:alusta", band: int = 0) -> SubscriptionKey:
    return SubscriptionKey(1, name, "EUR", band)


def status_of(report: Report) -> dict[str, Status]:
    return {str(one.key): one.status for one in report.subscriptions}


def rejecting(*keys: SubscriptionKey) -> UserWords:
    return UserWords(decisions=tuple(Decision(key=one, verdict=Verdict.REJECTED) for one in keys))


def merging(source: SubscriptionKey, target: SubscriptionKey) -> UserWords:
    return UserWords(decisions=(Decision(key=source, merged_into=target),))


class TestMerging:
    OLD, NEW = key("n:vanha kuukausimaksu"), key("n:uusi kuukausimaksu")

    def books(self) -> list[Row]:
        old = monthly(6, name="Vanha kuukausimaksu", unit="MONTH")
        new = monthly(6, first=6, net="150.00", name="Uusi kuukausimaksu", unit="MONTH")
        return [*old, *new]

    def test_a_subscription_continued_by_another_is_one_chain(self):
        report = report_on(self.books(), words=merging(self.OLD, self.NEW))
        assert [one.key for one in report.subscriptions] == [self.NEW]
        assert len(report.subscriptions[0].lines) == 12

    def test_a_gap_is_closed_within_the_grace_and_only_when_linked(self):
        def month(name: str, start: str, end: str) -> Row:
            return Row(on=start, net="100.00", name=name, service=(start, end))

        rows = [
            month("Vanha", "2025-01-01", "2025-02-01"),
            month("Uusi", "2025-03-02", "2025-04-02"),
            month("Uusi", "2025-05-20", "2025-06-20"),
        ]
        apart = report_on(rows)
        linked = report_on(rows, words=merging(key("n:vanha"), key("n:uusi")))
        assert [mrr_on(apart, f"2025-{n:02d}") for n in range(1, 6)] == [
            "100",
            "0",
            "100",
            "0",
            "100",
        ]
        assert [mrr_on(linked, f"2025-{n:02d}") for n in range(1, 6)] == [
            "100",
            "100",
            "100",
            "0",
            "100",
        ]

    def test_an_overlap_counts_once_only_when_linked(self):
        def year(name: str, net: str, start: str, end: str) -> Row:
            return Row(on=start, net=net, name=name, service=(start, end))

        rows = [
            year("Vanha", "1200.00", "2025-01-01", "2026-01-01"),
            year("Uusi", "1800.00", "2025-10-01", "2026-10-01"),
        ]
        apart = report_on(rows)
        linked = report_on(rows, words=merging(key("n:vanha"), key("n:uusi")))
        assert (mrr_on(apart, "2025-11"), mrr_on(linked, "2025-11")) == ("250", "150")
        assert mrr_on(linked, "2025-09") == "100"
        assert all_moves(linked)["2025-10"] == {"expansion": "50.00"}

    def test_merging_into_what_is_gone_changes_nothing(self):
        words = merging(self.OLD, key("n:poistettu"))
        assert report_on(self.books(), words=words).mrr.tolist() == (
            report_on(self.books()).mrr.tolist()
        )

    def test_merges_that_go_in_a_circle_are_let_be(self):
        words = UserWords(
            decisions=(
                Decision(key=self.OLD, merged_into=self.NEW),
                Decision(key=self.NEW, merged_into=self.OLD),
            )
        )
        assert len(report_on(self.books(), words=words).subscriptions) == 2


class TestByHand:
    def test_an_invoice_line_becomes_a_subscription(self):
        row = Row(on="2025-01-01", net="1200.00", name="Projekti", line=1)
        word = LineWord(line_id=1, subscription=OWN, end=date(2026, 1, 1))
        report = report_on([row], words=UserWords(lines=(word,)))
        assert mrr_on(report, "2025-06") == "100"
        (made,) = report.subscriptions
        assert (made.key, made.confirmed, made.period_months) == (OWN, True, 12)

    def test_its_period_may_be_said_of_the_subscription(self):
        row = Row(on="2025-01-01", net="1200.00", name="Projekti", line=1)
        words = UserWords(
            lines=(LineWord(line_id=1, subscription=OWN),),
            decisions=(Decision(key=OWN, period_months=12),),
        )
        assert mrr_on(report_on([row], words=words), "2025-09") == "100"

    def test_later_invoices_follow_several_rows_at_their_price(self):
        rows = numbered(monthly(6, name="Projekti"))
        split = tuple(LineWord(line_id=n, subscription=OWN) for n in (2, 3))
        report = report_on(rows, words=UserWords(lines=split))
        assert {one.key: len(one.lines) for one in report.subscriptions}[OWN] == 5

    def test_one_row_stays_alone(self):
        rows = numbered(monthly(2, name="Projekti"))
        words = UserWords(lines=(LineWord(line_id=1, subscription=OWN),))
        report = report_on(rows, words=words)
        assert [mrr_on(report, f"2025-{n:02d}") for n in (1, 2)] == ["100", "0"]

    def test_splitting_two_sites_apart_keeps_both_counting(self):
        rows = numbered(
            [
                one
                for number, row in enumerate(monthly(6, unit="MONTH", name="Lisenssi"), start=1)
                for one in (row.but(invoice=number), row.but(invoice=number))
            ]
        )
        second = tuple(LineWord(line_id=2 * n, subscription=OWN) for n in range(1, 7))
        report = report_on(rows, words=UserWords(lines=second))
        assert [len(one.lines) for one in report_on(rows).subscriptions] == [12]
        assert sorted(len(one.lines) for one in report.subscriptions) == [6, 6]
        assert mrr_on(report, "2025-03") == "200"
        grown = [*rows, *(row.but(on="2025-07-01", line=None, invoice=99) for row in rows[:2])]
        lines = {
            one.key: len(one.lines)
            for one in report_on(grown, words=UserWords(lines=second)).subscriptions
        }
        assert lines == {OWN: 6, key("n:lisenssi"): 8}

    def test_a_rejected_one_made_by_hand_counts_nowhere(self):
        row = Row(on="2025-01-01", net="1200.00", line=1)
        words = UserWords(
            lines=(LineWord(line_id=1, subscription=OWN),),
            decisions=(Decision(key=OWN, verdict=Verdict.REJECTED),),
        )
        assert not report_on([row], words=words).total_e4.any()


class TestLines:
    def test_one_line_of_a_subscription_may_be_a_one_off(self):
        rows = numbered(monthly(6))
        words = UserWords(lines=(LineWord(line_id=3, type=Mark.ONE_OFF),))
        report = report_on(rows, words=words)
        assert mrr_on(report, "2025-03") == "0"
        assert report.findings.reason(2).code == "user_line"

    def test_a_word_on_a_line_wins_over_one_on_its_subscription(self):
        rows = numbered(monthly(6))
        words = UserWords(
            decisions=(Decision(key=key(), verdict=Verdict.CONFIRMED),),
            lines=(LineWord(line_id=3, type=Mark.USAGE),),
        )
        assert report_on(rows, words=words).findings.type[2] == LineType.USAGE

    def test_a_guessed_period_can_be_put_right(self):
        row = Row(on="2025-03-10", net="1200.00", name="Lisenssi", unit="MONTH", line=1)
        word = LineWord(line_id=1, start=date(2025, 4, 1), end=date(2026, 4, 1))
        report = report_on([row], words=UserWords(lines=(word,)))
        assert list(all_moves(report)) == ["2025-04", "2026-04"]
        assert mrr_on(report, "2025-12") == "100"

    def test_a_credit_in_full_follows_a_period_that_a_person_gave(self):
        rows = [
            Row(on="2025-03-10", net="1200.00", name="Lisenssi", unit="MONTH", line=1),
            Row(on="2025-05-10", net="-1200.00", name="Lisenssi", credit=True, line=2),
        ]
        word = LineWord(line_id=1, start=date(2025, 4, 1), end=date(2026, 4, 1))
        assert not report_on(rows, words=UserWords(lines=(word,))).total_e4.any()


class TestRejecting:
    def bands(self, rows: list[Row]) -> list[int]:
        return sorted(one.key.band for one in report_on(rows).subscriptions)

    def test_a_rejection_holds_when_the_price_drifts(self):
        before = monthly(6)
        words = rejecting(key())
        for price in ("104.00", "118.00", "260.00"):
            report = report_on([*before, *monthly(6, first=6, net=price)], words=words)
            assert set(status_of(report).values()) == {Status.REJECTED}

    def test_a_rejected_part_stays_rejected_when_earlier_invoices_arrive(self):
        rows = self.alternating()
        low = min(one.key.band for one in report_on(rows).subscriptions)
        older = [Row(on=f"2024-{day}", net="98.00") for day in ("09-05", "10-05", "11-05")]
        report = report_on([*older, *rows], words=rejecting(key(band=low)))
        assert sorted(status_of(report).values()) == [Status.CHURNED, Status.REJECTED]

    def alternating(self, low: str = "100.00", months: range = range(1, 9)) -> list[Row]:
        """Two contracts of one product, billed on different days of each month."""
        return [
            row
            for n in months
            for row in (
                Row(on=f"2025-{n:02d}-05", net=low),
                Row(on=f"2025-{n:02d}-12", net="300.00"),
            )
        ]

    def test_a_rejected_part_stays_rejected_when_its_price_leaves_the_band(self):
        rows = self.alternating(months=range(1, 6)) + self.alternating("115.00", range(6, 12))
        low, high = min(self.bands(self.alternating())), max(self.bands(self.alternating()))
        report = report_on(rows, words=rejecting(key(band=low)))
        counted = {one.key.band for one in report.subscriptions if one.counted}
        assert counted == {high}
        assert mrr_on(report, "2025-09") == "300"

    def test_another_purchase_at_another_price_is_proposed(self):
        rows = self.alternating(months=range(1, 6))
        rows += [Row(on=f"2025-{n:02d}-19", net="900.00") for n in range(6, 12)]
        low = min(self.bands(self.alternating()))
        report = report_on(rows, words=rejecting(key(band=low)))
        assert {one.key.band for one in report.subscriptions if one.counted} == {
            30000 * 100,
            9000000,
        }

    def test_a_rejection_holds_when_the_product_gets_another_id_or_code(self):
        rows = [
            *monthly(5, product=7),
            *monthly(5, first=5, product=9),
            *monthly(5, first=10),
        ]
        report = report_on(rows, words=rejecting(key("p7")))
        assert set(status_of(report).values()) == {Status.REJECTED}
        assert not report.total_e4.any()

    def test_a_rejection_holds_for_the_name_that_the_product_got_since(self):
        rows = [
            *monthly(5, product=7),
            *monthly(5, first=5, product=7, name="Perus"),
            *monthly(5, first=10, product=9, name="Perus"),
            *monthly(5, first=10, product=11, name="Lisäpalvelu"),
        ]
        report = report_on(rows, words=rejecting(key("p7")))
        counted = {one.key.product for one in report.subscriptions if one.counted}
        assert counted == {"p11"}

    def test_a_rejection_says_nothing_of_other_customers(self):
        rows = [*monthly(5, product=7), *monthly(5, customer=2, product=7)]
        report = report_on(rows, words=rejecting(key("p7")))
        assert {one.customer_id for one in report.subscriptions if one.counted} == {2}

    def test_confirming_the_other_id_wins_over_a_rejection_by_name(self):
        rows = [*monthly(5, product=7), *monthly(5, first=5, product=9)]
        words = UserWords(
            decisions=(
                Decision(key=key("p7"), verdict=Verdict.REJECTED),
                Decision(key=key("p9"), verdict=Verdict.CONFIRMED),
            )
        )
        assert sorted(status_of(report_on(rows, words=words)).values()) == [
            Status.CHURNED,
            Status.REJECTED,
        ]

    def test_a_part_that_was_named_stays_apart_when_its_rhythm_changes(self):
        rows = self.alternating()
        low = min(self.bands(rows))
        words = UserWords(decisions=(Decision(key=key(band=low), verdict=Verdict.CONFIRMED),))
        more = [Row(on=f"2025-{n:02d}-05", net="100.00") for n in range(9, 13)]
        report = report_on([*rows, *more], words=words)
        assert low in {one.key.band for one in report.subscriptions}


class TestRenewal:
    def test_a_persons_percent_wins_and_else_what_runs_is_renewed(self):
        rows = [*monthly(6), *monthly(6, customer=2), *monthly(6, customer=3)]
        words = UserWords(
            decisions=(
                Decision(key=key(), renewal_percent=60),
                Decision(key=SubscriptionKey(2, "n:alusta", "EUR"), end=date(2025, 8, 1)),
            )
        )
        report = report_on(rows, as_of="2025-06-10", words=words)
        assert report.signs.renewal_percent.tolist() == [60, 0, 100]
