"""What the pages of figures share: the published report, the months shown, words and freshness."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, tzinfo
from typing import Any, cast
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

from django.urls import reverse
from django.utils.translation import get_language
from django.utils.translation import gettext as _

from billing.gate import Entitlement
from calqsync.tenancy import formats
from calqsync.tenancy.models import Tenant
from integrations import selectors as integrations
from reporting.body import BODY_VERSION, Body
from reporting.domain.periods import month_number as month_index
from reporting.domain.periods import month_text
from reporting.models import Report, ReportVersion
from reporting.selectors import aggregates, versions

PPM = 1_000_000


@dataclass(frozen=True, slots=True)
class Words:
    """Writes figures in the reader's language and the company's currency and zone."""

    currency: str
    zone: tzinfo
    language: str | None

    def money(self, minor: int | None, *, cents: bool = False, signed: bool = False) -> str:
        return formats.money(
            minor, self.currency, language=self.language, cents=cents, signed=signed
        )

    def amount(self, minor: int | None, *, signed: bool = False) -> str:
        return formats.amount(minor, self.currency, language=self.language, signed=signed)

    def rate(self, ppm: int | None, *, signed: bool = False) -> str:
        return formats.rate(
            None if ppm is None else ppm / PPM, language=self.language, signed=signed
        )

    def ratio(self, ppm: int | None, digits: int = 1) -> str:
        return formats.decimal(
            None if ppm is None else ppm / PPM, language=self.language, digits=digits
        )

    def count(self, value: int | None, *, signed: bool = False) -> str:
        return formats.count(value, language=self.language, signed=signed)

    def month(self, text: str, *, long: bool = False) -> str:
        return formats.month(month_start(text), language=self.language, long=long)

    def day(self, value: date | str | None) -> str:
        if isinstance(value, str):
            value = date.fromisoformat(value)
        return formats.day(value, language=self.language)

    def clock(self, value: datetime) -> str:
        return formats.clock(value, zone=self.zone, language=self.language)

    def moment(self, value: datetime) -> str:
        return formats.moment(value, zone=self.zone, language=self.language)

    def ago(self, value: datetime, now: datetime) -> str:
        return formats.ago(value, now=now, language=self.language)


def words_for(tenant: Tenant, currency: str | None = None) -> Words:
    return Words(currency or tenant.currency, ZoneInfo(tenant.time_zone), get_language())


def month_start(text: str) -> date:
    """The first day of "YYYY-MM"; raises ValueError for anything else."""
    return date.fromisoformat(f"{text}-01")


@dataclass(frozen=True, slots=True)
class Published:
    """The figures last published for the tenant, and how recent each account's books are."""

    report: Report
    body: Body
    freshness: list[dict[str, Any]]
    version: ReportVersion | None = None
    """Set where these are the figures as known on an earlier day."""


def published(
    *, aggregates_only: bool = False, query: Mapping[str, str] | None = None
) -> Published | None:
    """The published figures of the tenant in scope; None before the first import is done.

    Also None while figures of another version of the program wait to be computed anew. With
    `aggregates_only`, nothing in them names a customer, a document, an account or a person.
    With the `query` of an address that asks for a day, the figures as known on it.
    """
    if version := versions.known_on(query or {}):
        return _as_known(version, aggregates_only)
    report = Report.objects.first()
    if report is None or report.body["version"] != BODY_VERSION:
        return None
    body = cast(Body, report.body)
    if aggregates_only:
        return Published(
            report, aggregates.body_of(body), aggregates.freshness_of(report.freshness)
        )
    return Published(report, body, report.freshness)


def _as_known(version: ReportVersion, aggregates_only: bool) -> Published:
    body = versions.body_of(version)
    if aggregates_only:
        body = aggregates.body_of(body)
    report = Report(
        as_of=version.day, currency=body["currency"], published_at=version.published_at, body=body
    )
    return Published(report, body, [], version)


@dataclass(frozen=True, slots=True)
class Comparison:
    """The earlier months that those shown are compared with, one by one."""

    shift: int
    """How many months earlier each of them lies."""
    against: str
    """The words behind a change: "on a year ago"."""


@dataclass(frozen=True, slots=True)
class Period:
    """Which months a page shows, what they are compared with, and the controls to change it."""

    first: str
    last: str
    presets: list[dict[str, Any]]
    text: str
    keep: list[tuple[str, str]]
    """State of the address that the controls carry on, such as the chosen view."""
    compare: list[dict[str, Any]]
    comparison: Comparison | None

    @property
    def start(self) -> str:
        return self.first

    @property
    def end(self) -> str:
        return self.last

    def shows(self, month: str, *, length: int = 1) -> bool:
        """Whether the month, or the period of `length` months that ends with it, is shown."""
        begins = month_text(month_index(month) - length + 1)
        return self.first <= month and begins <= self.last


_PRESETS = (("12", 12), ("24", 24), ("all", None))


def period(
    query: Mapping[str, str],
    months: Sequence[str],
    words: Words,
    *,
    keep: Sequence[tuple[str, str]] = (),
) -> Period:
    """The period that the address asks for, within the months there are; 12 by default.

    Anything unreadable falls back to the default: a shared address must never break.
    """
    oldest, newest = (months[0], months[-1]) if months else ("2000-01", "2000-01")
    chosen = query.get("period", "")
    first, last = _asked(query, oldest, newest)
    if first is None or last is None:
        chosen = chosen if chosen in dict(_PRESETS) else "12"
        length = dict(_PRESETS)[chosen]
        last = newest
        first = (
            oldest if length is None else max(oldest, month_text(month_index(last) - length + 1))
        )
    else:
        chosen = ""
    known = (versions.KNOWN, query.get(versions.KNOWN, ""))
    kept = [(name, value) for name, value in (*keep, known) if value]
    compare, comparison = _compared(query, month_index(last) - month_index(first) + 1)
    asked = [("compare", query["compare"])] if comparison else []
    labels = {"12": _("12 months"), "24": _("24 months"), "all": _("All")}
    presets = [
        {
            "label": labels[key],
            "url": "?" + urlencode([*kept, ("period", key), *asked]),
            "active": key == chosen,
        }
        for key, _length in _PRESETS
    ]
    text = f"{words.month(first)} – {words.month(last)}"
    return Period(first, last, presets, text, kept, compare, comparison)


def _compared(
    query: Mapping[str, str], length: int
) -> tuple[list[dict[str, Any]], Comparison | None]:
    """The choices of what to compare with, and the chosen one."""
    choices = {
        "": (_("Nothing"), None),
        "previous": (_("The period before"), Comparison(length, _("on the period before"))),
        "year": (_("The same months a year ago"), Comparison(12, _("on a year ago"))),
    }
    chosen = query.get("compare", "")
    chosen = chosen if chosen in choices else ""
    options = [
        {"value": value, "label": label, "selected": value == chosen}
        for value, (label, _comparison) in choices.items()
    ]
    return options, choices[chosen][1]


def _asked(query: Mapping[str, str], oldest: str, newest: str) -> tuple[str | None, str | None]:
    try:
        first, last = query["from"], query["to"]
        month_start(first), month_start(last)
    except (KeyError, ValueError):
        return None, None
    first, last = sorted((first, last))
    if last < oldest or first > newest:
        return None, None
    return max(first, oldest), min(last, newest)


@dataclass(frozen=True, slots=True)
class StaleLine:
    """One account whose figures are old, or that needs somebody, in words and with a way on."""

    text: str
    url: str
    reconnect: bool
    """Whether a new login is what helps."""


@dataclass(frozen=True, slots=True)
class FreshnessNote:
    """How recent the figures are, in words; `stale` when older than twice an account's schedule.

    `text` is "" while there are no figures, and `lines` say what holds each account up.
    """

    text: str
    url: str
    stale: bool
    lines: list[StaleLine]


def freshness_note(
    tenant: Tenant,
    found: Published | None,
    *,
    now: datetime,
    aggregates_only: bool = False,
    plan: Entitlement | None = None,
) -> FreshnessNote | None:
    """ "As of 07:40 · EU account, US account", from the books behind the published figures.

    With `aggregates_only` the note names no accounts and leads nowhere. Figures of an earlier day
    say which one. `plan` is looked up where it is not given.
    """
    words = words_for(tenant)
    if found and found.version:
        day = words.day(found.version.day)
        return FreshnessNote(_("As known on %(day)s") % {"day": day}, "", False, [])
    accounts = integrations.freshness(now=now, leaving=tenant.deletes_at is not None, plan=plan)
    shown = [row for row in found.freshness if row.get("as_of")] if found else []
    lines = []
    if not aggregates_only:
        lines = _stale_lines(tenant, found, accounts, words=words, now=now)
    if not shown:
        return FreshnessNote("", "", False, lines) if lines else None
    oldest = min(datetime.fromisoformat(row["as_of"]) for row in shown)
    today = now.astimezone(words.zone).date() == oldest.astimezone(words.zone).date()
    when = words.clock(oldest) if today else words.moment(oldest)
    names = ", ".join(row["name"] for row in shown if "name" in row)
    stale = any(account.stale for account in accounts)
    text = _("As of %(when)s") % {"when": when}
    if names:
        text += f" · {names}"
    if stale:
        text = _("%(text)s (%(ago)s)") % {"text": text, "ago": words.ago(oldest, now)}
    url = reverse("integrations", args=[tenant.slug]) if names else ""
    return FreshnessNote(text, url, stale, lines)


def _stale_lines(
    tenant: Tenant,
    found: Published | None,
    accounts: Iterable[integrations.Freshness],
    *,
    words: Words,
    now: datetime,
) -> list[StaleLine]:
    rows = {row["connection"]: row for row in found.freshness} if found else {}
    lines = []
    for account in accounts:
        row = rows.get(str(account.public_id), {"included": True, "as_of": None})
        loading = account.status.code is integrations.Code.SYNCING and not row["as_of"]
        asks = account.status.code is integrations.Code.NEEDS_YOU
        if loading or not row["included"] or not (asks or account.stale):
            continue
        age = _("nothing imported completely yet")
        if row["as_of"]:
            ago = words.ago(datetime.fromisoformat(row["as_of"]), now)
            age = _("data from %(ago)s") % {"ago": ago}
        text = _("%(name)s: %(age)s.") % {"name": account.name, "age": age}
        url = reverse("connection", args=[tenant.slug, account.public_id])
        lines.append(StaleLine(f"{text} {account.why}".strip(), url, account.reconnect))
    return lines


def behind(
    tenant: Tenant, figure: str, month: str, address: Mapping[str, str] | None = None
) -> str:
    """The address of the documents behind one figure; `address` narrows it, to a segment say."""
    url = reverse("behind", args=[tenant.slug, figure, month])
    return f"{url}?{urlencode(address)}" if address else url


def change(
    words: Words,
    now: int | None,
    before: int | None,
    *,
    against: str,
    text: str,
    more_is_good: bool = True,
) -> dict[str, Any] | None:
    """One line under a tile: how a figure changed, and whether that is good news."""
    if now is None or before is None:
        return None
    if now == before:
        return {"text": _("no change"), "against": against, "direction": "", "good": None}
    return {
        "text": text,
        "against": against,
        "direction": "up" if now > before else "down",
        "good": (now > before) == more_is_good,
    }


def money_change(
    words: Words, now: int | None, before: int | None, *, against: str, good: bool = True
) -> dict[str, Any] | None:
    if now is None or before is None:
        return None
    text = words.money(now - before, signed=True)
    if before > 0:
        text += f" ({words.rate((now - before) * PPM // before, signed=True)})"
    return change(words, now, before, against=against, text=text, more_is_good=good)


def rate_change(
    words: Words, now: int | None, before: int | None, *, against: str, more_is_good: bool
) -> dict[str, Any] | None:
    if now is None or before is None:
        return None
    # Compared as they are shown: a change that rounds to 0.0 points is none.
    now, before = round(now / 1000) * 1000, round(before / 1000) * 1000
    points = formats.decimal((now - before) / 10_000, language=words.language, digits=1)
    sign = formats.PLUS if now > before else ""
    text = _("%(points)s points") % {"points": f"{sign}{points}".replace("-", formats.MINUS)}
    return change(words, now, before, against=against, text=text, more_is_good=more_is_good)


def given(changes: Iterable[dict[str, Any] | None]) -> list[dict[str, Any]]:
    return [item for item in changes if item]
