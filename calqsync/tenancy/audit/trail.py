"""Reads of a company's audit log: narrowed by area, person, days and text, newest first."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from urllib.parse import urlencode
from uuid import UUID
from zoneinfo import ZoneInfo

from django.db.models import Q, QuerySet, TextField
from django.db.models.functions import Cast
from django.utils.dateparse import parse_date
from django.utils.translation import get_language
from django.utils.translation import gettext as _

from calqsync.tenancy import formats, sheets
from calqsync.tenancy.audit import words
from calqsync.tenancy.models import AuditEvent, Membership, Tenant

PAGE = 50
# More than any person reads; days narrow what a file holds.
FILE_ROWS = 50_000
NOBODY, SUPPORT = "calqsync", "support"
HEAD = ("at", "who", "on_behalf_of", "act", "what", "target", "before", "after", "address")


@dataclass(frozen=True, slots=True)
class Trail:
    """A page of the log as the template shows it, with the filters that led to it."""

    rows: list[dict[str, Any]]
    filters: list[dict[str, Any]]
    query: str
    start: str
    end: str
    narrowed: bool
    older: str
    newest: str
    exports: list[dict[str, str]]


@dataclass(frozen=True, slots=True)
class Asked:
    """What an address asks for; what is unreadable in it is as if it were not there."""

    area: str
    who: str
    text: str
    start: date | None
    end: date | None

    def parameters(self) -> dict[str, str]:
        """The filters as an address carries them."""
        given = {
            "area": self.area,
            "who": self.who,
            "q": self.text,
            "from": self.start.isoformat() if self.start else "",
            "to": self.end.isoformat() if self.end else "",
        }
        return {name: value for name, value in given.items() if value}


def asked(query: Mapping[str, str]) -> Asked:
    """The filters of an address."""
    area, who = query.get("area", ""), query.get("who", "")
    if who not in {NOBODY, SUPPORT}:
        try:
            who = str(UUID(who))
        except ValueError:
            who = ""
    return Asked(
        area=area if area in words.AREAS else "",
        who=who,
        text=query.get("q", "").replace("\0", "").strip()[:100],
        start=_day(query.get("from", "")),
        end=_day(query.get("to", "")),
    )


def _day(text: str) -> date | None:
    try:
        found = parse_date(text)
    except ValueError:
        return None
    return found if found and 1990 <= found.year <= 2100 else None


def events(asked: Asked, *, tenant: Tenant) -> QuerySet[AuditEvent]:
    """The rows that the filters leave, newest first."""
    rows = AuditEvent.objects.order_by("-at", "-pk")
    if asked.area:
        areas = Q()
        for part in words.area_acts(asked.area):
            areas |= Q(act__startswith=f"{part}.")
        rows = rows.filter(areas)
    if asked.who == NOBODY:
        rows = rows.filter(actor_name="")
    elif asked.who == SUPPORT:
        rows = rows.filter(Q(act__startswith="support.") | ~Q(on_behalf_of_name=""))
    elif asked.who:
        rows = rows.filter(Q(actor__public_id=asked.who) | Q(on_behalf_of__public_id=asked.who))
    if asked.text:
        found = Q(target__icontains=asked.text) | Q(address__startswith=asked.text)
        for name in ("actor_name", "on_behalf_of_name"):
            found |= Q(**{f"{name}__icontains": asked.text})
        rows = rows.filter(found)
    zone = ZoneInfo(tenant.time_zone)
    if asked.start:
        rows = rows.filter(at__gte=datetime.combine(asked.start, time(), zone))
    if asked.end:
        rows = rows.filter(at__lt=datetime.combine(asked.end + timedelta(days=1), time(), zone))
    return rows


def naming(words: Iterable[str]) -> int:
    """How many rows of the log of the tenant in scope hold one of these words."""
    found = Q()
    for word in filter(None, words):
        # As the text of JSON has it, where quotes and backslashes are escaped.
        escaped = json.dumps(word, ensure_ascii=False)[1:-1]
        found |= Q(target__icontains=word)
        found |= Q(said_before__icontains=escaped) | Q(said_after__icontains=escaped)
    if not found:
        return 0
    said = {f"said_{name}": Cast(name, TextField()) for name in ("before", "after")}
    return AuditEvent.objects.annotate(**said).filter(found).count()


def trail(*, tenant: Tenant, query: Mapping[str, str]) -> Trail:
    """One page of the log of the tenant in scope.

    The next page begins where this one ended, so that a page deep in a long log costs what
    the first one costs. The address carries a moment and never a row's number, which would
    tell how busy other companies are.
    """
    wanted = asked(query)
    rows = events(wanted, tenant=tenant)
    at, skip = _cursor(query.get("before", ""))
    if at is not None:
        rows = rows.filter(at__lte=at)
    found = list(rows[skip : skip + PAGE + 1])
    shown, more = found[:PAGE], len(found) > PAGE
    zone = ZoneInfo(tenant.time_zone)
    given = wanted.parameters()

    def file_at(kind: str) -> str:
        return "?" + urlencode({**given, "format": kind})

    return Trail(
        rows=[_row(event, zone) for event in shown],
        filters=_filters(wanted),
        query=wanted.text,
        start=given.get("from", ""),
        end=given.get("to", ""),
        narrowed=bool(given),
        older="?" + urlencode({**given, "before": _after(shown, at, skip)}) if more else "",
        newest="?" + urlencode(given) if at is not None else "",
        exports=[*sheets.buttons(file_at), {"label": _("Export JSON"), "url": file_at("json")}],
    )


def _cursor(text: str) -> tuple[datetime | None, int]:
    """The moment to go on from, and how many rows of that very moment were shown already."""
    moment, _dot, shown = text.rpartition("~")
    try:
        at = datetime.fromisoformat(moment)
        skip = int(shown)
    except ValueError:
        return None, 0
    # Near the ends of the calendar a moment has no counterpart in UTC.
    if at.tzinfo is None or not 1990 <= at.year <= 2100 or not 0 <= skip <= 10_000:
        return None, 0
    return at, skip


def _after(shown: list[AuditEvent], at: datetime | None, skip: int) -> str:
    last = shown[-1].at
    same = sum(event.at == last for event in shown) + (skip if last == at else 0)
    return f"{last.astimezone(UTC).isoformat()}~{same}"


def _row(event: AuditEvent, zone: ZoneInfo) -> dict[str, Any]:
    return {
        "when": formats.moment(event.at, zone=zone, language=get_language()),
        "who": event.actor_name or _("CalqSync"),
        "behalf": event.on_behalf_of_name,
        "what": words.act_words(event.act),
        "target": event.target,
        "changes": words.changes(event.before, event.after, zone=zone),
        "address": event.address or "",
    }


def _filters(wanted: Asked) -> list[dict[str, Any]]:
    people = Membership.objects.select_related("user").defer("user__password")
    who = [(str(row.user.public_id), row.user.email) for row in people.order_by("user__email")]
    options = {
        "area": (wanted.area, [("", _("Everything")), *words.AREAS.items()]),
        "who": (
            wanted.who,
            [("", _("Everybody")), *who, (SUPPORT, _("Support")), (NOBODY, _("CalqSync"))],
        ),
    }
    labels = {"area": _("What"), "who": _("Who")}
    return [
        {
            "name": name,
            "label": labels[name],
            "options": [
                {"value": value, "label": label, "selected": value == chosen}
                for value, label in choices
            ],
        }
        for name, (chosen, choices) in options.items()
    ]


def file_rows(wanted: Asked, *, tenant: Tenant) -> Iterator[list[Any]]:
    """The rows of a file under HEAD, newest first."""
    for event in events(wanted, tenant=tenant)[:FILE_ROWS].iterator(chunk_size=2000):
        yield [
            event.at,
            event.actor_name or "CalqSync",
            event.on_behalf_of_name,
            event.act,
            words.act_words(event.act),
            event.target,
            json.dumps(event.before, ensure_ascii=False) if event.before else "",
            json.dumps(event.after, ensure_ascii=False) if event.after else "",
            event.address or "",
        ]


def file_json(wanted: Asked, *, tenant: Tenant) -> bytes:
    """The same rows as JSON, with before and after as objects and moments in UTC."""
    rows = [
        {
            "at": event.at.astimezone(UTC).isoformat(),
            "who": event.actor_name or "CalqSync",
            "on_behalf_of": event.on_behalf_of_name,
            "act": event.act,
            "target": event.target,
            "before": event.before,
            "after": event.after,
            "address": event.address,
        }
        for event in events(wanted, tenant=tenant)[:FILE_ROWS].iterator(chunk_size=2000)
    ]
    return json.dumps(rows, ensure_ascii=False, indent=1).encode()
