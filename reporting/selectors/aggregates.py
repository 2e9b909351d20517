"""What is left of figures for a reader who sees aggregates only, such as an investor.

A list of what may be shown, not of what may not: a field that is added to the body is hidden
from such a reader until it is named here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import fields, replace
from typing import Any, TypeVar, cast

from django.urls import reverse

from calqsync.tenancy.models import Tenant
from reporting import parts
from reporting.body import Body, Note

Page = TypeVar("Page")

# Sums and rates of the whole company.
SHOWN = (
    "version",
    "currency",
    "as_of",
    "complete_back_to",
    "unsure_new_until",
    "now",
    "months",
    "revenue",
    "receivables",
    "cash",
    "runway",
)
# Rows that name customers, accounts or work to do; they read as if there were none.
EMPTIED: dict[str, Any] = {
    "adjustments": [],
    "top_customers": [],
    "accounts": [],
    "to_review": {"subscriptions": 0, "deposits": 0, "credits": 0},
}
# Parts without names; segments by product, group and connection name them.
PARTS = frozenset(
    {
        parts.QUARTERS,
        parts.YEARS,
        parts.COHORTS,
        parts.RECOGNITION,
        parts.ECONOMICS,
        parts.REFUNDS,
        parts.segments_by("country"),
        parts.segments_by("currency"),
    }
)
_NOTE_PARAMS = {"count", "currency"}
_DASHBOARDS = (
    *("financial", "growth", "cashflow", "retention", "segments"),
    *("economics", "recognition", "overdue", "restatements"),
)


def body_of(full: Body) -> Body:
    """The body without anything that names a customer, a document, an account or a person."""
    shown = {key: value for key, value in full.items() if key in SHOWN}
    return cast(Body, shown | EMPTIED | {"notes": [_unnamed(note) for note in full["notes"]]})


def _unnamed(note: Note) -> Note:
    params = {key: value for key, value in note["params"].items() if key in _NOTE_PARAMS}
    return {"code": note["code"], "params": params}


def freshness_of(rows: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """How recent the books are, without saying whose books they are."""
    return [{"as_of": row.get("as_of"), "included": row.get("included")} for row in rows]


def linked_to_aggregates(page: Page, tenant: Tenant) -> Page:
    """The page whose links lead to its own parts and to the dashboards, and nowhere else."""
    open_to_all = {reverse(name, args=[tenant.slug]) for name in _DASHBOARDS}
    return with_links(page, lambda url: url.startswith(("#", "?")) or url in open_to_all)


def without_links(page: Page) -> Page:
    """The page with no link from its figures: there are no documents behind them."""
    return with_links(page, lambda url: False)


def with_links(page: Page, keep: Callable[[str], bool]) -> Page:
    """The page with those links of its figures that `keep` allows."""
    untouched = {"freshness", "period", "tabs", "crumbs"}
    values = {
        field.name: _linked(getattr(page, field.name), keep)
        for field in fields(page)  # type: ignore[arg-type]
        if field.name not in untouched
    }
    return replace(page, **values)  # type: ignore[type-var]


def _linked(value: Any, keep: Callable[[str], bool]) -> Any:
    if isinstance(value, dict):
        left_out = {
            key for key in ("url", "note_url", "value_url") if key in value and not keep(value[key])
        }
        if "url" in left_out:
            left_out.add("url_text")
        return {key: _linked(item, keep) for key, item in value.items() if key not in left_out}
    if isinstance(value, list):
        return [_linked(item, keep) for item in value]
    return value
