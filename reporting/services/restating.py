"""What a publication changes in closed months, with the documents behind it, and what was known.

Runs in the publishing transaction, after the figures' rows are written. What each row was comes
from `former_table`: whoever writes `LineFigure`, `CustomerFigure` and `InvoiceFigure` does so with
`replace_rows(keep_former=True)` once a report exists.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import date, datetime, timedelta
from typing import Any

from django.db import connection as database
from django.db import transaction
from django.db.models import Max

from calqsync.tenancy import scope
from integrations.models import Invoice
from reporting.body import Body, Freshness
from reporting.domain.periods import month_number
from reporting.domain.restatements import Share, by_metric, shares
from reporting.models import Report, ReportVersion, Restatement
from reporting.services.tracing import Published, Traced, trace

# Causes that a restatement names one by one; more of a kind are counted.
NAMED = 20
# Days of which every one keeps its version: a year, and time to close the books of the last one.
DAYS = 400
# Metrics in money: their parts are exact, and are rounded when they are shared out.
_E4 = ("mrr", "new", "expansion", "contraction", "churn", "reactivation", "paused", "fx")


_METRICS = (*_E4, "customers", "recurring")


def restated(*, old: Report, body: Body, freshness: Sequence[Freshness], now: datetime) -> int:
    """Write a `Restatement` for each closed month's figure that differs; returns how many.

    `old` is the report as it was before this publication. Months that were not complete in it,
    or not shown, restate nothing, and neither do figures that stood under "still importing".
    """
    before: Body = old.body
    loading = before["complete_back_to"] or body["complete_back_to"]
    if loading or before["currency"] != body["currency"]:
        return 0
    # Written so that the newest month's MRR has the highest number: lists begin with it.
    changes = sorted(_changes(before, body), key=lambda one: (one[0], -_METRICS.index(one[1])))
    if not changes:
        return 0
    months = [month for month, *_rest in changes]
    traced = trace(
        Published(body=before, freshness=old.freshness),
        Published(body=body, freshness=freshness),
        closed=range(min(months), max(months) + 1),
        since=old.published_at,
    )
    amounts = dict(by_metric(traced.effects, traced.before, traced.after))
    found = [(change, _shares(traced, amounts, *change)) for change in changes]
    invoices = _invoices([share for _change, parts in found for share in parts])
    Restatement.objects.bulk_create(
        [
            Restatement(
                tenant_id=scope.required(),
                at=now,
                month=month,
                metric=metric,
                before_minor=was,
                after_minor=became,
                causes=[_cause(share, invoices, traced) for share in parts],
            )
            for (month, metric, was, became), parts in found
        ]
    )
    return len(found)


def _shares(
    traced: Traced, amounts: Mapping[str, Any], month: int, metric: str, was: int, became: int
) -> list[Share]:
    if metric == "recurring":
        here = traced.invoices.month == month
        keys, parts = traced.invoices.keys[here], traced.invoices.recurring[here]
    else:
        keys, parts = traced.effects.keys, amounts[metric][:, month - traced.first]
    return shares(
        keys,
        parts,
        became - was,
        exact=metric not in _E4,
        deleted=traced.deleted,
        limit=NAMED,
    )


def _changes(before: Body, after: Body) -> Iterator[tuple[int, str, int, int]]:
    """(month, metric, before, after) of every figure that differs in a month closed before.

    Months before the first one of whole books are zero, not unknown.
    """
    for metric, old, new in _series(before, after):
        for month in sorted({*old, *new}):
            was, became = old.get(month, 0), new.get(month, 0)
            if was != became and old and month <= max(old):
                yield month, metric, was, became


def _series(before: Body, after: Body) -> Iterator[tuple[str, dict[int, int], dict[int, int]]]:
    for metric in (*_E4, "customers"):
        field = f"{metric}_minor" if metric in _E4 else metric
        yield metric, _closed(before["months"], field), _closed(after["months"], field)
    field = "recurring_minor"
    yield "recurring", _closed(before["revenue"], field), _closed(after["revenue"], field)


def _closed(rows: Sequence[Any], field: str) -> dict[int, int]:
    return {month_number(row["month"]): row.get(field, 0) for row in rows if row["complete"]}


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


def _cause(share: Share, invoices: Mapping[int, dict[str, str]], traced: Traced) -> dict[str, Any]:
    """A cause as it is stored: codes, public ids, numbers and amounts, no names."""
    params: dict[str, Any] = dict(invoices.get(share.document, {}))
    if share.said >= 0:
        params |= traced.words[share.said]
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
