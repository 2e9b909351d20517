from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest

from calqsync.tenancy import formats

HELSINKI = ZoneInfo("Europe/Helsinki")
NOW = datetime(2026, 11, 21, 5, 40, tzinfo=UTC)


@pytest.mark.parametrize("language", ["fi", "sv", "fi-FI", "sv_SE"])
def test_nordic_amounts_have_a_comma_and_the_sign_behind(language):
    assert formats.money(1234567, "EUR", language=language) == "12\u00a0345,67\u00a0€"


def test_english_amounts_have_the_sign_in_front():
    assert formats.money(1234567, "EUR", language="en") == "€12,345.67"


@pytest.mark.parametrize(
    ("language", "text"), [("en", "\u2212\u2060€12.00"), ("fi", "\u221212,00\u00a0€")]
)
def test_a_negative_amount_has_a_real_minus_sign(language, text):
    assert formats.money(-1200, "EUR", language=language) == text


def test_a_gain_shows_a_plus_only_where_asked():
    assert formats.money(100, "EUR", signed=True) == "+\u2060€1.00"
    assert formats.money(0, "EUR", signed=True) == "€0.00"
    assert formats.money(100, "EUR") == "€1.00"


@pytest.mark.parametrize(
    ("minor", "text"),
    [(1234549, "€12,345"), (1234550, "€12,346"), (-50, "\u2212\u2060€1"), (-49, "€0")],
)
def test_whole_units_round_half_away_from_zero(minor, text):
    assert formats.money(minor, "EUR", cents=False) == text


def test_whole_units_keep_the_nordic_form():
    assert formats.money(1234550, "EUR", language="fi", cents=False) == "12\u00a0346\u00a0€"


def test_a_currency_without_cents_shows_none():
    assert formats.money(1500, "JPY", language="fi") == "1\u00a0500\u00a0¥"
    assert formats.amount(1500, "JPY") == "1,500"


def test_a_currency_without_a_sign_shows_its_code():
    assert formats.money(100, "NOK", language="fi").endswith("NOK")


def test_an_amount_in_a_table_leaves_the_currency_out():
    assert formats.amount(-1234567, "EUR", language="fi") == "\u221212\u00a0345,67"


@pytest.mark.parametrize(
    ("ratio", "language", "text"),
    [
        (Decimal("0.1254"), "en", "12.5%"),
        (Decimal("0.1255"), "fi", "12,6\u00a0%"),
        (Decimal("-0.031"), "sv", "\u22123,1\u00a0%"),
        (1.0, "en", "100.0%"),
    ],
)
def test_a_rate_has_one_decimal(ratio, language, text):
    assert formats.rate(ratio, language=language) == text


def test_a_rate_that_rounds_to_zero_has_no_minus():
    assert formats.rate(Decimal("-0.0001")) == "0.0%"


@pytest.mark.parametrize(
    "text",
    [
        formats.money(None, "EUR"),
        formats.amount(None, "EUR"),
        formats.rate(None),
        formats.decimal(None),
        formats.count(None),
        formats.day(None),
        formats.month(None),
        formats.moment(None, zone=HELSINKI),
        formats.ago(None, now=NOW),
    ],
)
def test_no_figure_is_shown_where_there_is_none(text):
    assert text == "–"


def test_counts_group_their_thousands():
    assert formats.count(25000, language="fi") == "25\u00a0000"
    assert formats.count(-3, signed=True) == "\u22123"


def test_months_of_runway_have_one_decimal():
    assert formats.decimal(Decimal("14.25"), language="fi") == "14,3"


def test_dates_are_day_first():
    assert formats.day(date(2026, 11, 1)) == "1 Nov 2026"
    assert formats.day(date(2026, 11, 1), language="fi") == "1.11.2026"
    assert formats.month(date(2026, 11, 1)) == "Nov 2026"
    assert formats.month(date(2026, 11, 1), language="fi", long=True) == "marraskuu 2026"


def test_an_instant_is_told_in_the_company_zone():
    assert formats.moment(NOW, zone=HELSINKI) == "21 Nov 2026, 07:40"
    assert formats.clock(NOW, zone=HELSINKI, language="fi") == "7.40"


@pytest.mark.parametrize(
    ("passed", "text"),
    [
        (timedelta(hours=2), "2 hours ago"),
        (timedelta(minutes=56), "56 minutes ago"),
        (timedelta(days=3), "3 days ago"),
    ],
)
def test_freshness_is_told_in_words(passed, text):
    assert formats.ago(NOW - passed, now=NOW) == text


def test_an_unknown_language_falls_back_to_english():
    assert formats.money(100, "EUR", language="xx") == "€1.00"
    assert formats.money(100, "EUR", language=None) == "€1.00"


def test_a_country_that_is_named_in_capitals_is_written_as_one_reads_it():
    assert formats.country("UNITED_STATES_OF_AMERICA") == "United States of America"
    assert formats.country("FI") == "Finland"
