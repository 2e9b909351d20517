"""Documents that could not be understood: how many, grouped by their reason, and one of them.

Support reads these rows under a grant, without the document and without who ignored it, so
nothing here but `rejection_of` may ask for another column than those it names.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, ClassVar
from uuid import UUID

from django.db.models import Count, F, Max, Min, QuerySet, Value, Window
from django.db.models.functions import MD5, Concat, RowNumber

from calqsync.tenancy.models import AuditEvent
from integrations.models import Connection, Rejection, SyncRun

RETRIED = "rejection.retried"
_SHOWN = (
    *("public_id", "stream", "external_id", "reason", "attempts"),
    *("first_seen_at", "last_seen_at", "ignored_at", "ignored_reason"),
)
LATELY = timedelta(days=7)


@dataclass(frozen=True, slots=True, kw_only=True)
class SetAside:
    """How many documents are missing from the figures; `lately` came within a week."""

    FIELDS: ClassVar = ("open", "ignored", "lately")

    open: int
    ignored: int
    lately: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Retried:
    """What came of the newest retry: of `asked` documents `left` are still set aside."""

    run: SyncRun | None
    asked: int
    left: int
    at: datetime


def rejections_of(connection: Connection, *, ignored: bool = False) -> Any:
    """The documents set aside, newest first, with the `key` of their group; not their content."""
    return (
        Rejection.objects.filter(connection=connection, ignored_at__isnull=not ignored)
        .only(*_SHOWN)
        .annotate(key=MD5(Concat(F("stream"), Value(":"), F("reason"))))
        .order_by("-last_seen_at", "-pk")
    )


def rejection_groups(connection: Connection, *, ignored: bool = False) -> Any:
    """One row a reason, the largest first: key, stream, reason, count, first, last, attempts."""
    return (
        rejections_of(connection, ignored=ignored)
        .order_by()
        .values("key", "stream", "reason")
        .annotate(
            count=Count("pk"),
            first=Min("first_seen_at"),
            last=Max("last_seen_at"),
            most=Max("attempts"),
        )
        .order_by("-count", "-last", "key")
    )


def newest_of(rejections: QuerySet[Any], keys: Iterable[str], *, each: int) -> dict[str, list[Any]]:
    """The newest documents of each of these groups, by key; one query for all."""
    ranked = rejections.filter(key__in=list(keys)).annotate(
        place=Window(RowNumber(), partition_by=["key"], order_by=["-last_seen_at", "-pk"])
    )
    found: dict[str, list[Any]] = defaultdict(list)
    for one in ranked.filter(place__lte=each):
        found[one.key].append(one)
    return found


def set_aside(connection: Connection, *, now: datetime) -> SetAside:
    """How many documents of the connection are set aside."""
    found = counted(rejections_by_fate(now), [connection])
    return SetAside(**(dict.fromkeys(SetAside.FIELDS, 0) | {what: n for _, what, n in found}))


def rejections_by_fate(now: datetime) -> dict[str, Any]:
    """The rows that each count of `SetAside` counts, over all connections."""
    still = Rejection.objects.filter(ignored_at=None)
    return {
        "open": still,
        "ignored": Rejection.objects.exclude(ignored_at=None),
        "lately": still.filter(first_seen_at__gt=now - LATELY),
    }


def counted(
    rows: Mapping[str, Any], connections: Sequence[Connection]
) -> Iterator[tuple[int, str, int]]:
    """How many of each kind of rows each connection has, by its key; one query for all."""
    first, *more = (
        each.filter(connection__in=connections)
        .order_by()
        .values("connection")
        .annotate(n=Count("pk"), what=Value(name))
        for name, each in rows.items()
    )
    for row in first.union(*more, all=True):
        yield row["connection"], row["what"], row["n"]


def rejection_of(connection: Connection, public_id: UUID) -> Rejection | None:
    """One document set aside, with its sealed content and who ignored it."""
    rows = Rejection.objects.filter(connection=connection, public_id=public_id)
    found: Rejection | None = rows.select_related("ignored_by").first()
    return found


def retried_lately(connection: Connection, *, now: datetime) -> Retried | None:
    """What came of the newest retry within a day, for whoever looks for its result."""
    event = (
        AuditEvent.objects.filter(
            act=RETRIED,
            at__gt=now - timedelta(days=1),
            after__connection=str(connection.public_id),
        )
        .order_by("-at", "-pk")
        .first()
    )
    if event is None:
        return None
    named = event.after.get("documents", [])
    run = SyncRun.objects.filter(connection=connection, public_id=event.after.get("run")).first()
    left = Rejection.objects.filter(connection=connection).annotate(
        name=Concat(F("stream"), Value(" "), F("external_id"))
    )
    still = left.filter(name__in=named).count()
    return Retried(run=run, asked=len(named), left=still, at=event.at)
