"""What a publication changes in closed months, with the documents behind it, and what was known.

Runs in the publishing transaction, after the figures' rows are written. What each row was comes
from `former_table`: whoever writes `LineFigure`, `CustomerFigure`, `InvoiceFigure` and `CashFigure`
does so with `replace_rows(keep_former=True)` once a report exists.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any, NamedTuple

from django.db import connection as database
from django.db import transaction
from django.db.models import Max

from calqsync.tenancy import scope
from integrations.models import Invoice
from reporting.body import Body, Freshness
from reporting.domain.arrays import Ints
from reporting.domain.periods import month_number
from reporting.domain.restated import FIGURES, Figure, Source
from reporting.domain.restatements import Share, by_metric, shares
from reporting.models import Report, ReportVersion, Restatement
from reporting.parts import RECOGNITION, RecognisedMonth
from reporting.services.cash_tracing import bank_documents, trace_cash
from reporting.services.causing import Words
from reporting.services.schedule_tracing import trace_recognised
from reporting.services.tracing import Published, Traced, trace

# Causes that a restatement names one by one; more of a kind are counted.
NAMED = 20
# Days of which every one keeps its version: a year, and time to close the books of the last one.
DAYS = 400


class Change(NamedTuple):
    """A figure of a closed month that differs."""

    month: int
    figure: Figure
    was: int
    became: int

    @property
    def by(self) -> int:
        return self.became - self.was


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedules:
    """Revenue recognition by month, by the method that the tenant chose; none where it is equal."""

    daily: bool
    before: Sequence[RecognisedMonth] = ()
    after: Sequence[RecognisedMonth] = ()

    @classmethod
    def of(cls, former: Any, part: Any, *, daily: bool) -> Schedules:
        """Of what the part was, where that differs, and of what it is; None without any line."""
        if former is None:
            return cls(daily=daily)
        method = "daily" if daily else "monthly"
        return cls(daily=daily, before=former[method], after=part[method] if part else ())


def restated(
    *,
    old: Report,
    body: Body,
    schedules: Schedules,
    freshness: Sequence[Freshness],
    now: datetime,
) -> int:
    """Write a `Restatement` for each closed month's figure that differs; returns how many.

    `old` is the report as it was before this publication. Months that were not complete in it,
    or not shown, restate nothing, and neither do figures that stood under "still importing".
    """
    before: Body = old.body
    loading = before["complete_back_to"] or body["complete_back_to"]
    if loading or before["currency"] != body["currency"]:
        return 0
    # Written so that the newest month's MRR has the highest number: lists begin with it.
    found = _changes(
        {**before, RECOGNITION: schedules.before}, {**body, RECOGNITION: schedules.after}
    )
    changes = sorted(found, key=lambda one: (one.month, -_PLACES[one.figure]))
    if not changes:
        return 0
    words = Words.since(old.published_at)
    was = Published(body=before, freshness=old.freshness)
    became = Published(body=body, freshness=freshness)
    of_bank = [one for one in changes if one.figure.source is Source.BANK]
    of_sales = [one for one in changes if one.figure.source is not Source.BANK]
    causes = _causes_of_bank(of_bank, was, became, words) if of_bank else {}
    if of_sales:
        causes |= _causes_of_sales(of_sales, was, became, words, daily=schedules.daily)
    Restatement.objects.bulk_create(
        [
            Restatement(
                tenant_id=scope.required(),
                at=now,
                month=one.month,
                metric=one.figure.metric,
                currency="" if one.figure.counts else body["currency"],
                before_minor=one.was,
                after_minor=one.became,
                causes=causes[one],
            )
            for one in changes
        ]
    )
    return len(changes)


_PLACES = {figure: place for place, figure in enumerate(FIGURES)}


Tables = Mapping[str, Any]
"""Lists of months by their name, as a body has them."""


def _changes(before: Tables, after: Tables) -> Iterator[Change]:
    """Every figure that differs in a month closed before.

    Months before the first one of whole books are zero, not unknown; of cash they are unknown, as
    is a month that no statement covers any more.
    """
    for figure in FIGURES:
        cash = figure.source is Source.BANK
        old, new = _rows(before, figure), _rows(after, figure)
        shown = [month for month, row in old.items() if row["complete"]]
        if not shown:
            continue
        last = max(shown)
        for month in {*old, *new}:
            # Nearly every month is as it was, with all of its figures.
            if month > last or (a := old.get(month)) == (b := new.get(month)):
                continue
            was = _value(a, figure) if a and a["complete"] else None
            became = _value(b, figure) if b and (b["complete"] or cash) else None
            if cash and None in (was, became):
                continue
            if was is None and became is None:
                continue
            was, became = was or 0, became or 0
            if was != became:
                yield Change(month_number(month), figure, was, became)


def _rows(tables: Tables, figure: Figure) -> dict[str, Mapping[str, Any]]:
    """The rows that have the figure, by the names of their months."""
    wanted = set(figure.fields)
    return {row["month"]: row for row in tables[figure.table] if row.keys() >= wanted}


def _value(row: Mapping[str, Any], figure: Figure) -> int:
    return sum(row[field] for field in figure.fields)


Causes = dict[Change, list[dict[str, Any]]]


def _causes_of_sales(
    changes: Sequence[Change], was: Published, became: Published, words: Words, *, daily: bool
) -> Causes:
    closed = range(changes[0].month, changes[-1].month + 1)
    traced = trace(was, became, closed=closed, words=words)
    amounts = dict(by_metric(traced.effects, traced.before, traced.after))
    spread = [one for one in changes if one.figure.source is Source.SCHEDULE]
    found = {one: _shares(traced, amounts, one) for one in changes if one not in spread}
    if spread:
        recognised = trace_recognised(traced, closed=closed, daily=daily, words=words)
        for one in spread:
            found[one] = recognised.shares(one.figure.metric, one.month, one.by, limit=NAMED)
    invoices = _invoices([share for parts in found.values() for share in parts])
    return {
        change: [_cause(share, invoices.get(share.document, {}), words) for share in parts]
        for change, parts in found.items()
    }


def _shares(traced: Traced, amounts: Mapping[str, Ints], change: Change) -> list[Share]:
    figure, of_invoices = change.figure, change.figure.source is Source.INVOICES
    if of_invoices:
        here = traced.invoices.month == change.month
        keys, parts = traced.invoices.keys[here], traced.invoices.parts(figure.metric)[here]
    else:
        keys = traced.effects.keys
        parts = amounts[figure.metric][:, change.month - traced.first]
    return shares(
        keys,
        parts,
        change.by,
        exact=figure.exact,
        # Every invoice is known that is still here to be named.
        deleted=of_invoices or traced.deleted,
        limit=NAMED,
    )


def _causes_of_bank(
    changes: Sequence[Change], was: Published, became: Published, words: Words
) -> Causes:
    cash = trace_cash(was, became, last=changes[-1].month, words=words)
    found = {one: cash.shares(one.figure.metric, one.month, one.by, limit=NAMED) for one in changes}
    named = bank_documents([share for parts in found.values() for share in parts])
    return {
        change: [
            _cause(share, named.get((share.cause, share.document), {}), words) for share in parts
        ]
        for change, parts in found.items()
    }


def _invoices(found: Sequence[Share]) -> dict[int, dict[str, str]]:
    """How the documents are found again and called, by their internal id."""
    ids = {share.document for share in found if share.document >= 0}
    rows = Invoice.objects.filter(pk__in=ids).values_list(
        "pk", "public_id", "number", "external_id"
    )
    return {
        pk: {"invoice": str(public), "number": number or external}
        for pk, public, number, external in rows
    }


def _cause(share: Share, document: Mapping[str, str], words: Words) -> dict[str, Any]:
    """A cause as it is stored: codes, public ids, numbers, days and amounts, no names."""
    params: dict[str, Any] = dict(document)
    if share.said >= 0:
        params |= words.told[share.said]
    if share.rows > 1:
        params["count"] = share.rows
    return {"code": share.cause.name.lower(), "params": params, "amount_minor": share.amount}


_KEEP = """
    INSERT INTO reporting_reportversion (tenant_id, day, published_at, body)
    SELECT tenant_id, as_of, published_at, body || %(unnamed)s::jsonb || jsonb_build_object(
        'parts', (
            SELECT coalesce(jsonb_object_agg(name, body::jsonb), '{}'::jsonb)
            FROM reporting_reportpart
            WHERE tenant_id = %(tenant)s
        )
    )
    FROM reporting_report WHERE tenant_id = %(tenant)s
    ON CONFLICT (tenant_id, day) DO UPDATE
    SET published_at = excluded.published_at, body = excluded.body
"""


def version_keep(*, body: Body) -> None:
    """Keep the published report, with its parts, as what was known at the end of its day.

    Called before the first publication of another day, whose own version begins without a body:
    today's figures are the report itself, and keeping them at every change would cost more than
    following the change.

    Customers stand in it by their public ids: who is erased later is named nowhere.
    """
    unnamed = {
        name: [{key: value for key, value in row.items() if key != "name"} for row in rows]
        for name, rows in (
            ("top_customers", body["top_customers"]),
            ("adjustments", body["adjustments"]),
        )
    }
    with database.cursor() as cursor:
        cursor.execute(_KEEP, {"tenant": scope.required(), "unnamed": json.dumps(unnamed)})


def version_begin(*, day: date, now: datetime) -> None:
    """Say that there are figures of this day, which are the published ones until it ends."""
    ReportVersion.objects.update_or_create(
        day=day,
        defaults={"published_at": now},
        create_defaults={"tenant_id": scope.required(), "published_at": now},
    )


@transaction.atomic
def versions_thin(*, today: date) -> int:
    """Delete versions that nobody asks for any more; returns how many.

    Every day's stays for `DAYS` days; of older months the last day's, for good.
    """
    old = ReportVersion.objects.filter(day__lt=today - timedelta(days=DAYS))
    ends = old.values("day__year", "day__month").annotate(last=Max("day")).values("last")
    return old.exclude(day__in=ends).delete()[0]
