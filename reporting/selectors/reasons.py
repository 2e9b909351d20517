"""What the engine decided, in sentences: why a row is a subscription, and for which period."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, timedelta
from typing import Any

from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from reporting.selectors.frame import Words
from reporting.selectors.listing import whole


def period(months: int) -> str:
    """How often a subscription is billed: "Monthly", "Every 3 months"."""
    return _periods().get(months) or ngettext("Every %(n)d month", "Every %(n)d months", months) % {
        "n": months
    }


def _periods() -> dict[int, str]:
    return {
        -1: _("Weekly"),
        -2: _("Every two weeks"),
        1: _("Monthly"),
        2: _("Every two months"),
        3: _("Quarterly"),
        6: _("Half-yearly"),
        12: _("Yearly"),
        24: _("Every two years"),
    }


def span(words: Words, start: date | None, end: date | None) -> str:
    """The days covered, both inclusive; `end` is the first day after them."""
    if start is None:
        return "–"
    if end is None:
        return _("from %(start)s") % {"start": words.day(start)}
    last = max(start, end - timedelta(days=1))
    return _("%(start)s – %(end)s") % {
        "start": whole(words.day(start)),
        "end": whole(words.day(last)),
    }


def line_type(code: str) -> str:
    names = {
        "subscription": _("Recurring"),
        "one_off": _("One-off"),
        "usage": _("Usage"),
        "ignore": _("Left out"),
    }
    return names.get(code, code)


def source(code: str) -> str:
    """Where a row's period came from."""
    names = {
        "user": _("You said so"),
        "row_dates": _("Dates on the row"),
        "delivery": _("Delivery dates of the invoice"),
        "text": _("Dates in the row's text"),
        "unit_words": _("Unit and words of the row"),
        "cadence": _("How often it is billed"),
        "product_default": _("Your word on the product"),
        "fallback": _("Nothing said: one month"),
        "credited_line": _("The row that it credits"),
        "product_vote": _("How often others are billed for it"),
        "none": "–",
    }
    return names.get(code, code)


def confidence(code: str) -> str:
    names = {"high": _("Certain"), "medium": _("Likely"), "low": _("Unsure")}
    return names.get(code, code)


def sureness(subscription: Any) -> str:
    """How sure detection is, in a word and, where it has a score, out of a hundred."""
    word = confidence(subscription.confidence)
    if not subscription.score:
        return word
    return _("%(word)s, %(score)d of 100") % {"word": word, "score": subscription.score}


def evidence(subscription: Any) -> list[str]:
    """What speaks for it, surest first, each a sentence."""
    found = subscription.evidence or [
        {"code": subscription.reason, "params": subscription.reason_params}
    ]
    said = [sentence(one["code"], one.get("params", {})) for one in found]
    return list(dict.fromkeys(said))


def sentence(code: str, params: Mapping[str, Any]) -> str:
    """Why a row got its type and period, for the founder; an unknown code says nothing."""
    maker = _SENTENCES.get(code)
    return maker(params) if maker else ""


def _dated(text: str, params: Mapping[str, Any]) -> str:
    days = int(params.get("days", 0))
    length = ngettext("%(n)d day", "%(n)d days", days) % {"n": days}
    return text % {"length": length, "period": _lower(params)}


def _lower(params: Mapping[str, Any]) -> str:
    months = int(params.get("months", 0))
    return period(months).lower() if months else _("unknown")


def _cadence(params: Mapping[str, Any]) -> str:
    hits = int(params.get("hits", 0))
    if not params.get("months"):
        return ngettext("Invoiced %(n)d time.", "Invoiced %(n)d times, evenly spaced.", hits) % {
            "n": hits
        }
    return ngettext(
        "Invoiced %(n)d time, %(period)s.", "Invoiced %(n)d times in a row, %(period)s.", hits
    ) % {"n": hits, "period": _lower(params)}


def _unit_name(params: Mapping[str, Any]) -> str:
    names = {
        "MONTH": _("month"),
        "YEAR": _("year"),
        "WEEK": _("week"),
        "DAY": _("day"),
        "FULL_DAY": _("day"),
        "HOUR": _("hour"),
        "MINUTE": _("minute"),
        "KILOMETER": _("kilometre"),
    }
    code = str(params.get("unit", ""))
    return names.get(code, code.replace("_", " ").lower())


def _word(params: Mapping[str, Any]) -> str:
    return str(params.get("word", ""))


def _metered(params: Mapping[str, Any]) -> str:
    if _word(params):
        return _("Its text says that it is billed by use: “%(word)s”.") % {"word": _word(params)}
    return _("It is billed by use.")


def _unit_and_word(params: Mapping[str, Any]) -> str:
    if not params.get("months"):
        return _("Its unit is a period, and its text says “%(word)s”.") % {"word": _word(params)}
    return _("Its unit means %(period)s, and its text says “%(word)s”.") % {
        "period": _lower(params),
        "word": _word(params),
    }


def _some(params: Mapping[str, Any]) -> dict[str, Any]:
    """How many of the rows, for a sentence about some of them."""
    return {"lines": int(params.get("lines", 0)), "of": int(params.get("of", 0))}


def _rhythm_found(params: Mapping[str, Any]) -> str:
    """How many invoices came when the rhythm says; `share` is the percent of gaps that kept it."""
    hits = int(params.get("hits", 0))
    kept = 1 + round(int(params.get("share", 0)) * (hits - 1) / 100) if hits else 0
    if kept == hits:
        return ngettext(
            "Invoiced %(period)s, %(n)d time.", "Invoiced %(period)s, %(n)d times in a row.", hits
        ) % {"period": _lower(params), "n": hits}
    return _("Invoiced %(period)s: %(kept)d of %(of)d invoices came when expected.") % {
        "period": _lower(params),
        "kept": kept,
        "of": hits,
    }


def _amount_spread(params: Mapping[str, Any]) -> str:
    percent = int(params.get("percent", 0))
    if not percent:
        return _("Every invoice has the same price.")
    return _("Its highest price lies %(percent)d%% above its lowest.") % {"percent": percent}


_SENTENCES: dict[str, Any] = {
    "no_sign": lambda p: _("Nothing says that it recurs."),
    "user_mark": lambda p: _("You marked the product."),
    "user_confirmed": lambda p: _("You confirmed it."),
    "user_rejected": lambda p: _("You rejected it."),
    "user_line": lambda p: _("You said so of this row."),
    "dates_found": lambda p: _("Rows that state their period: %(lines)d of %(of)d.") % _some(p),
    "rhythm_found": _rhythm_found,
    "unit_found": lambda p: (
        _("Rows sold by the %(unit)s: %(lines)d of %(of)d.") % {**_some(p), "unit": _unit_name(p)}
    ),
    "word_found": lambda p: (
        _("Rows that say “%(word)s”: %(lines)d of %(of)d.") % {**_some(p), "word": _word(p)}
    ),
    "amount_spread": _amount_spread,
    "product_vote": lambda p: (
        _("The product recurs for %(recurring)d of its %(customers)d customers.")
        % {"recurring": int(p.get("recurring", 0)), "customers": int(p.get("customers", 0))}
    ),
    "row_dates": lambda p: _dated(_("The row's dates cover %(length)s: %(period)s."), p),
    "delivery_dates": lambda p: _dated(
        _("The invoice's delivery dates cover %(length)s: %(period)s."), p
    ),
    "text_dates": lambda p: _dated(_("Dates in the row's text cover %(length)s: %(period)s."), p),
    "unit_and_word": _unit_and_word,
    "unit": lambda p: _("It is sold by the %(unit)s.") % {"unit": _unit_name(p)},
    "word": lambda p: _("Its text says “%(word)s”.") % {"word": _word(p)},
    "cadence": _cadence,
    "counter_word": lambda p: _("Its text speaks of a one-off: “%(word)s”.") % {"word": _word(p)},
    "work_unit": lambda p: _("It is work, sold by the %(unit)s.") % {"unit": _unit_name(p)},
    "metered": _metered,
    "not_service": lambda p: _("It is no service: “%(word)s”.") % {"word": _word(p)},
    "credit_full": lambda p: _("It takes back a whole invoice row, for the same period."),
    "credit_part": lambda p: _("It takes back part of an earlier row, from its date on."),
    "credit_dates": lambda p: _("A credit with its own dates."),
    "credit_unmatched": lambda p: _(
        "A credit that matches no invoice row; it lowers one month from its date."
    ),
    "discount_row": lambda p: _("A discount on another row of the same invoice."),
}
