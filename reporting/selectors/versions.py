"""Reports as they were known on an earlier day: which days there are, and how one is opened."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any, cast, get_type_hints
from urllib.parse import urlencode

from django.utils.translation import gettext as _

from calqsync.tenancy import formats
from integrations.models import Customer
from reporting.body import Body, CashMonth, Month, Now, Revenue, Runway, ToReview
from reporting.models import ReportVersion

KNOWN = "known"


def asked(query: Mapping[str, str]) -> date | None:
    """The day that the address asks for; None for today's figures and anything unreadable."""
    try:
        return date.fromisoformat(query.get(KNOWN, ""))
    except ValueError:
        return None


def known_on(query: Mapping[str, str]) -> ReportVersion | None:
    """What was known at the end of the day asked for; None for what is known now.

    The last version up to that day; the first one of all where the day lies before it.
    """
    day = asked(query)
    if day is None:
        return None
    rows = ReportVersion.objects.order_by("-day")
    found = rows.filter(day__lte=day).first() or rows.last()
    newest = rows.values_list("day", flat=True).first()
    return found if found and found.day != newest else None


def body_of(version: ReportVersion) -> Body:
    """A version's figures in today's shape: customers by the names that they have now.

    What the program did not compute then is None, or an empty list.
    """
    body = {name: [] for name in Body.__annotations__} | version.body
    body.pop("parts", None)
    for name, row in (("months", Month), ("revenue", Revenue), ("cash", CashMonth)):
        blank = dict.fromkeys(get_type_hints(row))
        body[name] = [blank | one for one in body[name]]
    for name, whole in (("now", Now), ("runway", Runway), ("to_review", ToReview)):
        if name != "now" or body["now"]:
            body[name] = dict.fromkeys(get_type_hints(whole)) | dict(body[name])
    named = [*body["top_customers"], *body["adjustments"]]
    ids = {row["customer"] for row in named}
    names = {
        str(public): name
        for public, name in Customer.objects.filter(public_id__in=ids).values_list(
            "public_id", "name"
        )
    }
    for row in named:
        row["name"] = names.get(row["customer"], _("No longer in the books"))
    return cast(Body, body)


def parts_of(version: ReportVersion) -> Mapping[str, Any]:
    """The version's parts by their names."""
    parts: dict[str, Any] = version.body.get("parts", {})
    return parts


@dataclass(frozen=True, slots=True)
class KnownControl:
    """The choice of a day, and what to say while one is chosen."""

    days: list[date]
    """The newest ones, and the last one of each month before them."""
    first: date
    last: date
    value: str
    keep: list[tuple[str, str]]
    text: str
    """"As known on 12 March 2026"; "" for today's figures."""
    back: str

    @property
    def day(self) -> date | None:
        """The day that is shown; None for today's figures."""
        return date.fromisoformat(self.value) if self.text else None


NEWEST = 31


def control(query: Mapping[str, str], *, language: str | None) -> KnownControl | None:
    """The control of a page of figures; None while there is only one day to choose from."""
    days = list(ReportVersion.objects.order_by("-day").values_list("day", flat=True))
    if len(days) < 2:
        return None
    keep = [(name, value) for name, value in query.items() if name not in (KNOWN, "format")]
    shown, text = _shown(days, asked(query)), ""
    if shown != days[0]:
        text = _("As known on %(day)s") % {"day": formats.day(shown, language=language)}
    newer = zip(days[NEWEST - 1 :], days[NEWEST:], strict=False)
    ends = [day for after, day in newer if (day.year, day.month) != (after.year, after.month)]
    return KnownControl(
        days=[*days[:NEWEST], *ends],
        first=days[-1],
        last=days[0],
        value=shown.isoformat(),
        keep=keep,
        text=text,
        back="?" + urlencode(keep),
    )


def _shown(days: Sequence[date], day: date | None) -> date:
    """The newest of `days`, newest first, that does not lie after `day`; else the oldest."""
    if day is None:
        return days[0]
    return next((one for one in days if one <= day), days[-1])
