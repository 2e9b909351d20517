"""Why a document was rejected, in words, and what can be done about it."""

from __future__ import annotations

import re
from dataclasses import dataclass

from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy


@dataclass(frozen=True, slots=True)
class Reason:
    """A reason for people; `told` is the stored one, where it says more than `words`."""

    words: str
    advice: str
    told: str


_MEND = gettext_lazy("Correct it in Procountor, then retry.")
_OURS = gettext_lazy(
    "Procountor wrote this document in a way that we do not know yet, and we mend that. "
    "Retry later, or ignore it if it does not matter for your figures."
)
# What the import stores, as a pattern; its groups stand in the words as %(…)s.
_KNOWN: list[tuple[re.Pattern[str], str | Promise, str | Promise]] = [
    (
        re.compile(r"^no exchange rate from (?P<one>\w+) to (?P<other>\w+)$"),
        gettext_lazy("No exchange rate from %(one)s to %(other)s"),
        gettext_lazy("Give the document an exchange rate in Procountor, then retry."),
    ),
    (
        re.compile(r"^a payment without its invoice$"),
        gettext_lazy("A payment that names no invoice"),
        gettext_lazy("Allocate the payment to an invoice in Procountor, then retry."),
    ),
    (
        re.compile(r"^a payment without a date$"),
        gettext_lazy("A payment without a date"),
        _MEND,
    ),
    (
        re.compile(r"^the events do not lead from the first balance to the last$"),
        gettext_lazy("The events of a bank statement do not lead to its closing balance"),
        gettext_lazy(
            "Events are missing or doubled. Look at the statement in Procountor, then retry. "
            "Ignored, the account's balance is taken from its other statements."
        ),
    ),
    (
        re.compile(r"^an amount without a single row$"),
        gettext_lazy("An amount without a single row"),
        _MEND,
    ),
    (
        re.compile(r"^'(?P<code>.*)' is no currency$"),
        gettext_lazy("Unknown currency: %(code)s"),
        _MEND,
    ),
    (
        re.compile(r"^a VAT of (?P<percent>\S+) percent$"),
        gettext_lazy("A VAT of %(percent)s percent"),
        _MEND,
    ),
    (
        re.compile(r"out of bounds$"),
        gettext_lazy("A number that is too large to be true"),
        _MEND,
    ),
    (
        re.compile(r"missing required field `(?P<name>\w+)`"),
        gettext_lazy("A field is missing: %(name)s"),
        _OURS,
    ),
    (
        re.compile(r"^Expected .* - at `\$\.?(?P<path>[^`]+)`$"),
        gettext_lazy("A field has an unknown form: %(path)s"),
        _OURS,
    ),
    (
        re.compile(r"^(?:JSON is malformed|Input data was truncated|.*utf-8)"),
        gettext_lazy("The document arrived damaged"),
        gettext_lazy("Retry. If it comes damaged again, open it in Procountor and save it anew."),
    ),
]


def reason_of(stored: str) -> Reason:
    """The stored reason of a rejection for people; an unknown one in its own words."""
    for pattern, words, advice in _KNOWN:
        if found := pattern.search(stored):
            return Reason(str(words) % found.groupdict(), str(advice), stored)
    return Reason(stored or _("No reason was stored"), str(_OURS), "")
