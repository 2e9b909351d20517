"""What a product's customers say of it, and how sure each subscription is, with its reasons."""

from __future__ import annotations

from datetime import date

import numpy as np
import pytest
from hypothesis import given, settings

from reporting.domain.choices import Decision, Settings, SubscriptionKey, UserWords, Verdict
from reporting.domain.detection import detect
from reporting.domain.findings import LineType, Source, Status, Sure
from reporting.domain.votes import Vote, votes
from tests.reporting.domain.books import NO_WORDS, Row, lines_of, monthly, report_on
from tests.reporting.domain.test_properties import HISTORIES

ONE = Row(on="2025-06-03", net="90.00", customer=9, product=7)


def customers(count: int, *, irregular: int = 0) -> list[Row]:
    """Customers billed monthly for product 7, and some who buy it now and then."""
    rows = [row for one in range(count) for row in monthly(5, customer=1 + one, product=7)]
    for one in range(irregular):
        rows += [
            Row(on=on, net="77.00", customer=50 + one, product=7)
            for on in ("2025-01-03", "2025-01-09", "2025-04-20")
        ]
    return rows


class TestVote:
    def test_a_first_invoice_is_proposed_when_the_products_customers_recur(self):
        report = report_on([*customers(3), ONE])
        found = report.findings
        assert (found.type[-1], found.confidence[-1]) == (LineType.SUBSCRIPTION, Sure.LOW)
        assert found.reason(len(found) - 1).params == {"recurring": 3, "customers": 3}
        proposed = next(one for one in report.subscriptions if one.customer_id == 9)
        assert (proposed.status, proposed.period_months) == (Status.DETECTED, 1)
        assert found.source[-1] == Source.PRODUCT_VOTE

    @pytest.mark.parametrize(
        ("recurring", "irregular", "proposed"),
        [(2, 0, False), (3, 2, True), (3, 3, False), (2, 1, True)],
    )
    def test_sixty_percent_of_three_customers_decide(self, recurring, irregular, proposed):
        found = report_on([*customers(recurring, irregular=irregular), ONE]).findings
        assert bool(found.type[-1] == LineType.SUBSCRIPTION) is proposed

    def test_work_that_is_billed_monthly_elects_nothing(self):
        hours = [row.but(unit="HOUR", name="Konsultointi") for row in customers(4)]
        report = report_on([*hours, ONE.but(unit="HOUR", name="Konsultointi")])
        assert not any(vote.carried for vote in votes(report.tallies).values())

    def test_a_history_that_can_be_judged_is_not_proposed_by_others(self):
        rows = [*customers(5), *(ONE.but(on=on) for on in ("2025-01-03", "2025-01-30"))]
        rows.append(ONE.but(on="2025-05-30"))
        assert report_on(rows).findings.type[-1] == LineType.ONE_OFF

    def test_the_vote_of_all_customers_can_be_handed_to_the_lines_of_one(self):
        every = [*customers(3), ONE]
        vote = votes(report_on(every).tallies)
        assert vote["p7"] == Vote(3, 3, 1)
        settings = Settings(as_of=date(2025, 7, 1))
        alone = detect(lines_of([ONE]), NO_WORDS, settings, None, vote)
        assert alone.findings.type.tolist() == [LineType.SUBSCRIPTION]
        assert detect(lines_of([ONE]), NO_WORDS, settings).findings.type[0] == LineType.ONE_OFF


@given(history=HISTORIES)
@settings(max_examples=30, deadline=None)
def test_tallies_of_all_customers_are_the_sums_of_each_ones(history):
    whole = report_on(history).tallies
    parts: dict[str, np.ndarray] = {}
    for customer in {row.customer for row in history}:
        mine = report_on([row for row in history if row.customer == customer]).tallies
        for ref, row in mine.items():
            parts[ref] = parts.get(ref, 0) + row
    assert {ref: row.tolist() for ref, row in whole.items()} == {
        ref: row.tolist() for ref, row in parts.items()
    }


@given(history=HISTORIES)
@settings(max_examples=40, deadline=None)
def test_each_customer_is_judged_by_its_own_lines_and_the_vote(history):
    lines, day = lines_of(history), Settings(as_of=date(2025, 7, 1))
    whole = detect(lines, NO_WORDS, day)
    vote = votes(whole.tallies)
    for customer in {row.customer for row in history}:
        mine = np.flatnonzero(lines.customer_id == customer)
        alone = detect(lines.part(mine), NO_WORDS, day, None, vote).findings
        for column in ("type", "start", "end", "months_num", "source", "confidence", "why"):
            assert np.array_equal(getattr(alone, column), getattr(whole.findings, column)[mine])


class TestScore:
    def signs(self, rows: list[Row], words: UserWords = NO_WORDS) -> tuple[int, dict[str, dict]]:
        signs = report_on(rows, words=words).signs
        return int(signs.score[0]), {one.code: one.params for one in signs.evidence(0)}

    def test_every_sign_is_named_with_its_numbers(self):
        rows = monthly(6, name="Lisenssi kk", unit="MONTH")
        rows[5] = rows[5].but(net="110.00")
        score, evidence = self.signs(rows)
        assert score > 80
        assert evidence == {
            "rhythm_found": {"hits": 6, "months": 1, "share": 100},
            "unit_found": {"unit": "MONTH", "lines": 6, "of": 6},
            "word_found": {"word": "kk", "lines": 6, "of": 6},
            "amount_spread": {"percent": 10},
        }

    def test_stated_dates_and_the_word_against_them_are_both_shown(self):
        row = Row(
            on="2025-01-01",
            net="100.00",
            name="Käyttöönotto",
            unit="MONTH",
            service=("2025-01-01", "2025-02-01"),
        )
        _, evidence = self.signs([row])
        assert evidence["dates_found"] == {"lines": 1, "months": 1, "of": 1}
        assert evidence["counter_word"] == {"word": "käyttöönotto"}

    def test_scores_follow_confidence(self):
        dated = [
            row.but(service=(row.on, f"2025-{place:02d}-01"))
            for place, row in enumerate(monthly(8), start=2)
        ]
        by_word = [Row(on="2025-03-10", net="9.00", name="Lisenssi")]
        low, medium, high = (self.signs(rows)[0] for rows in (by_word, monthly(3), dated))
        assert 0 < low < 40 <= medium < 80 <= high < 100

    def test_a_persons_word_is_the_end_of_the_scale(self):
        key = SubscriptionKey(1, "n:alusta", "EUR")
        for verdict, score in ((Verdict.CONFIRMED, 100), (Verdict.REJECTED, 0)):
            words = UserWords(decisions=(Decision(key=key, verdict=verdict),))
            assert self.signs(monthly(8), words)[0] == score
