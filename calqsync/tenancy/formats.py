"""How figures and dates are written for people: pure functions over Babel's locale data.

Amounts come in as integer minor units, ratios as fractions (0.125 is 12.5 %), instants as
aware datetimes. Every function takes the language ("en", "fi", "sv") and answers "–" for
None, so that no page shows a figure where there is none.
"""

from __future__ import annotations

from datetime import date, datetime, tzinfo
from decimal import ROUND_HALF_UP, Decimal
from functools import lru_cache

from babel import Locale
from babel.dates import format_date, format_time, format_timedelta
from babel.numbers import (
    format_currency,
    get_currency_precision,
    get_decimal_symbol,
    get_group_symbol,
)

NONE = "–"
MINUS = "\u2212"
PLUS = "+"
NO_BREAK = "\u00a0"
WORD_JOINER = "\u2060"

# Dates in English are written day first, as everywhere in the Nordic countries.
_LOCALES = {"en": "en_GB", "fi": "fi_FI", "sv": "sv_FI"}


@lru_cache(maxsize=16)
def locale_for(language: str | None) -> Locale:
    """Return the locale to write in; a language that we do not speak is written in English."""
    code = (language or "en").replace("_", "-").split("-")[0].lower()
    return Locale.parse(_LOCALES.get(code, "en_GB"))


def money(
    minor: int | None,
    currency: str,
    *,
    language: str | None = "en",
    cents: bool = True,
    signed: bool = False,
) -> str:
    """Write an amount with its currency: "12 345,67 €" or "€12,345.67".

    `minor` is in the currency's minor unit. With cents=False the amount is rounded half
    away from zero to whole units. With signed=True a plus stands before a gain.
    """
    if minor is None:
        return NONE
    value = _major(minor, currency, cents=cents)
    before, after = _around_money(currency, language or "en")
    digits = decimals_of(currency) if cents else 0
    sign = _sign(value, signed)
    # A line may end between a sign and a currency's, and would leave the sign behind.
    joined = f"{sign}{WORD_JOINER}" if sign and before else sign
    return f"{joined}{before}{_decimal(abs(value), digits, language)}{after}"


def amount(
    minor: int | None,
    currency: str,
    *,
    language: str | None = "en",
    cents: bool = True,
    signed: bool = False,
) -> str:
    """Write an amount without its currency, for tables that name the currency once."""
    if minor is None:
        return NONE
    value = _major(minor, currency, cents=cents)
    digits = decimals_of(currency) if cents else 0
    return _sign(value, signed) + _decimal(abs(value), digits, language)


def rate(
    ratio: Decimal | float | None,
    *,
    language: str | None = "en",
    digits: int = 1,
    signed: bool = False,
) -> str:
    """Write a ratio as a percentage with one decimal: 0.1254 is "12.5%" or "12,5 %"."""
    if ratio is None:
        return NONE
    percent = decimal(Decimal(str(ratio)) * 100, language=language, digits=digits, signed=signed)
    return f"{percent}{_percent_gap(language or 'en')}%"


def decimal(
    value: Decimal | float | None,
    *,
    language: str | None = "en",
    digits: int = 1,
    signed: bool = False,
) -> str:
    """Write a plain number with fixed decimals, such as months of runway: "14.2"."""
    if value is None:
        return NONE
    rounded = _round(Decimal(str(value)), digits)
    return _sign(rounded, signed) + _decimal(abs(rounded), digits, language)


def count(value: int | None, *, language: str | None = "en", signed: bool = False) -> str:
    """Write a whole number with its thousands grouped."""
    if value is None:
        return NONE
    return _sign(Decimal(value), signed) + _decimal(Decimal(abs(value)), 0, language)


def day(value: date | None, *, language: str | None = "en") -> str:
    """Write a business day: "21 Nov 2026" or "21.11.2026"."""
    if value is None:
        return NONE
    pattern = "d MMM y" if locale_for(language).language == "en" else "d.M.y"
    return format_date(value, pattern, locale=locale_for(language))


def month(value: date | None, *, language: str | None = "en", long: bool = False) -> str:
    """Write the month that a day lies in: "Nov 2026", in full "November 2026"."""
    if value is None:
        return NONE
    return format_date(value, "LLLL y" if long else "LLL y", locale=locale_for(language))


def moment(value: datetime | None, *, zone: tzinfo, language: str | None = "en") -> str:
    """Write an instant in the company's zone: "21 Nov 2026, 07:40"."""
    if value is None:
        return NONE
    local = value.astimezone(zone)
    return f"{day(local.date(), language=language)}, {clock(value, zone=zone, language=language)}"


def clock(value: datetime | None, *, zone: tzinfo, language: str | None = "en") -> str:
    """Write the time of day in the company's zone: "07:40" or "7.40"."""
    if value is None:
        return NONE
    return format_time(value.astimezone(zone), "short", locale=locale_for(language))


def ago(value: datetime | None, *, now: datetime, language: str | None = "en") -> str:
    """Say how long ago an instant was: "2 hours ago". `now` is passed in, both are aware."""
    if value is None:
        return NONE
    # 0.95 keeps "59 minutes ago" from being rounded up to an hour.
    return format_timedelta(
        value - now, add_direction=True, threshold=0.95, locale=locale_for(language)
    )


def country(code: str, *, language: str | None = "en") -> str:
    """The name of a country by its two letters; a name in capitals is written as one reads it."""
    name = locale_for(language).territories.get(code.upper())
    if name or len(code) <= 3:
        return str(name or code)
    small = {"Of", "And", "The"}
    words = code.replace("_", " ").title().split()
    return " ".join(word.lower() if at and word in small else word for at, word in enumerate(words))


def _major(minor: int, currency: str, *, cents: bool) -> Decimal:
    value = Decimal(minor).scaleb(-decimals_of(currency))
    return value if cents else _round(value, 0)


@lru_cache(maxsize=256)
def decimals_of(currency: str) -> int:
    """How many decimals the currency's minor unit stands for."""
    return int(get_currency_precision(currency))


def _round(value: Decimal, digits: int) -> Decimal:
    return value.quantize(Decimal(1).scaleb(-digits), rounding=ROUND_HALF_UP)


def _sign(value: Decimal, signed: bool) -> str:
    if value < 0:
        return MINUS
    return PLUS if signed and value > 0 else ""


def _decimal(value: Decimal, digits: int, language: str | None) -> str:
    # Babel knows the signs; putting them in ourselves is 20 times faster than its patterns,
    # and a page or a stored month has thousands of cells.
    return f"{value:,.{digits}f}".translate(_separators(language or "en"))


@lru_cache(maxsize=16)
def _separators(language: str) -> dict[int, str]:
    locale = locale_for(language)
    return {ord(","): get_group_symbol(locale), ord("."): get_decimal_symbol(locale)}


@lru_cache(maxsize=16)
def _percent_gap(language: str) -> str:
    return NO_BREAK if NO_BREAK in locale_for(language).percent_formats[None].pattern else ""


@lru_cache(maxsize=256)
def _around_money(currency: str, language: str) -> tuple[str, str]:
    """What stands before and behind the digits of an amount."""
    text = format_currency(0, currency, locale=locale_for(language))
    zero = _decimal(Decimal(0), decimals_of(currency), language)
    before, _zero, after = text.partition(zero)
    return before, after
