"""Amounts, days and words on their way into columns: checked, rounded, cut, in order."""

import re
import unicodedata
from datetime import date, timedelta
from decimal import ROUND_HALF_UP, Decimal
from functools import lru_cache
from typing import TypeVar

from babel.numbers import get_currency_precision

Day = TypeVar("Day", date, date | None)

ONE = Decimal(1)
_DAY = timedelta(days=1)
_LARGEST_MINOR = 9 * 10**17
# What no column holds, and control characters, which no spreadsheet holds.
_UNWRITABLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff\ufffe\uffff]")


class Unusable(Exception):
    """A document that cannot stand in the books; the message says why, in English."""


def minor(amount: Decimal, currency: str) -> int:
    """The amount in minor units, half away from zero."""
    if amount.adjusted() >= 20:
        raise Unusable("an amount is out of bounds")
    scaled = amount.scaleb(digits(currency))
    units = int(scaled)
    if units != scaled:
        units = int(scaled.quantize(ONE, rounding=ROUND_HALF_UP))
    if abs(units) >= _LARGEST_MINOR:
        raise Unusable("an amount is out of bounds")
    return units


@lru_cache(maxsize=256)
def digits(currency: str) -> int:
    """Decimals of the currency's minor unit."""
    return int(get_currency_precision(currency))


def converted(units: int, currency: str, home: str, rate: Decimal) -> int:
    """Minor units of a currency in the accounting currency's; `rate` is foreign per domestic."""
    if rate == ONE and currency == home:
        return units
    return minor(Decimal(units).scaleb(-digits(currency)) / rate, home)


def bounded(value: Decimal | None, whole_digits: int, what: str) -> Decimal | None:
    """The value, if its whole part has at most that many digits."""
    if value is not None and value.adjusted() >= whole_digits:
        raise Unusable(f"a {what} out of bounds")
    return value


def plausible(day: Day) -> Day:
    """The day, if books can have it; the others come from slips, and would stretch every chart."""
    if day is not None and not 1900 <= day.year < 2200:
        raise Unusable(f"a day out of bounds: {day}")
    return day


def half_open(first: date | None, last: date | None) -> tuple[date | None, date | None]:
    """The first day and the day after the last; neither where they contradict each other.

    The last day of the calendar means that there is none.
    """
    if last is not None and last.year == date.max.year:
        last = None
    if first and last and last < first:
        return None, None
    first, last = plausible(first), plausible(last)
    return first, None if last is None else last + _DAY


def clean(text: str | None, limit: int) -> str:
    """The text without outer blanks, cut to the column, in characters that can be stored.

    Letters are composed (NFC), so that a name is found however it was typed.
    """
    if not text:
        return ""
    if not text.isprintable():
        text = _UNWRITABLE.sub("", text)
    if not text.isascii():
        text = unicodedata.normalize("NFC", text)
    return text.strip()[:limit]


def currency_code(code: str) -> str:
    if len(code) != 3 or not code.isalpha() or not code.isascii():
        raise Unusable(f"{code[:10]!r} is no currency")
    return code.upper()


def iban(text: str | None) -> str:
    return re.sub(r"\s", "", clean(text, 80)).upper()[:40]


def normalised(name: str) -> str:
    """A name as people mean it: case, spacing and width do not matter."""
    return " ".join(unicodedata.normalize("NFKC", name).casefold().split())


_LAST_LETTERS = str.maketrans(
    {"å": "{", "ä": "|", "æ": "|", "ö": "}", "ø": "}", "ü": "y", "ß": "ss", "đ": "d", "ł": "l"}
)


@lru_cache(maxsize=4096)
def sort_key(name: str) -> str:
    """Text whose plain order is the Finnish and Swedish one: Å, Ä and Ö after Z."""
    folded = unicodedata.normalize("NFC", name).casefold().translate(_LAST_LETTERS)
    plain = unicodedata.normalize("NFKD", folded)
    kept = "".join(c if c.isalnum() or c in "{|}" else " " if c.isspace() else "" for c in plain)
    return " ".join(kept.split())[:250]
