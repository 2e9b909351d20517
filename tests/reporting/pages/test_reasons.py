"""Whatever the engine decides has a sentence, and its numbers stand in it."""

from __future__ import annotations

from datetime import date
from enum import IntEnum

import pytest

from reporting.domain.findings import LineType, Source, Status, Sure, Why
from reporting.domain.weighing import SIGN_CODES
from reporting.models import Subscription
from reporting.selectors import frame, reasons, timelines
from reporting.selectors.subscriptions import state_words
from reporting.services import PERIODS

PARAMS = {"days": 31, "months": 1, "word": "kuukausi", "unit": "MONTH", "hits": 4}


@pytest.mark.parametrize("why", list(Why))
def test_every_reason_has_a_sentence(why: Why) -> None:
    for params in (PARAMS, {}):
        sentence = reasons.sentence(why.name.lower(), params)
        assert sentence.endswith(".")
        assert "%(" not in sentence


@pytest.mark.parametrize("code", SIGN_CODES)
def test_every_sign_has_a_sentence(code: str) -> None:
    for params in (PARAMS | {"percent": 7}, {}):
        sentence = reasons.sentence(code, params)
        assert sentence.endswith(".")
        assert "%(" not in sentence


@pytest.mark.parametrize(
    ("codes", "words"),
    [(LineType, reasons.line_type), (Source, reasons.source), (Sure, reasons.confidence)],
)
def test_every_code_has_a_word(codes: type[IntEnum], words: object) -> None:
    assert callable(words)
    for code in codes:
        assert words(code.name.lower()) != code.name.lower()


def test_every_status_has_a_word() -> None:
    codes = {status.name.lower() for status in Status}
    assert codes <= set(state_words())
    assert codes == {value for value, _word in Subscription._meta.get_field("status").choices}


def test_every_period_has_a_name() -> None:
    assert len({reasons.period(months) for months in (*PERIODS, 24, 7)}) == len(PERIODS) + 2


def test_numbers_stand_in_the_sentence() -> None:
    text = reasons.sentence("row_dates", {"days": 31, "months": 3})
    assert "31 days" in text
    assert "quarterly" in text
    assert "4 times" in reasons.sentence("cadence", {"hits": 4, "months": 1})


@pytest.mark.parametrize(
    ("params", "said"),
    [
        ({"hits": 12, "months": 1, "share": 100}, "Invoiced monthly, 12 times in a row."),
        (
            {"hits": 12, "months": 1, "share": 81},
            "Invoiced monthly: 10 of 12 invoices came when expected.",
        ),
        ({"hits": 2, "months": 12, "share": 100}, "Invoiced yearly, 2 times in a row."),
    ],
)
def test_a_rhythm_is_said_in_invoices(params: dict[str, int], said: str) -> None:
    assert reasons.sentence("rhythm_found", params) == said


def test_a_period_is_written_with_its_last_day() -> None:
    words = frame.Words("EUR", None, "en")
    said = reasons.span(words, date(2026, 1, 1), date(2026, 2, 1)).replace("\u00a0", " ")
    assert said == "1 Jan 2026 – 31 Jan 2026"


def test_an_unknown_code_is_shown_as_nothing() -> None:
    assert reasons.sentence("from_a_later_version", {}) == ""


@pytest.mark.parametrize(
    ("days", "said"),
    [
        (114, "about every 4 months"),
        (30, "about every month"),
        (364, "about every 12 months"),
        (7, "about every 7 days"),
        (45, "about every 45 days"),
    ],
)
def test_a_distance_is_told_in_months_where_it_is_some(days, said):
    assert timelines._apart(days) == said
