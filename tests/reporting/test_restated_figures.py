"""Everything that is published by month either restates, or is listed here with the reason."""

from __future__ import annotations

import types
from collections.abc import Iterator
from typing import Any, get_args, get_origin, get_type_hints, is_typeddict

from reporting import body, parts
from reporting.domain.restated import FIGURES

_QUOTIENT = "a quotient of figures that restate"
_COUNT = "counts the customers of the movement of that name, which restates with its documents"
_TODAY = "as of the report's own day, and of no closed month"
_GROSS = "what is billed, VAT included: its documents restate revenue, which is without it"
_SAME = "the same snapshots seen over a longer time; the months between which they lie restate"
_SPLIT = "how a month's figures divide by what things are called today; the figures restate"
_OUTLOOK = "what was to come, as far as it is known today: a word on the future changes it"


def _each(table: str, reason: str, *names: str) -> dict[str, str]:
    return {f"{table}.{name}": reason for name in names}


# By path; one that ends in a dot stands for all that begin with it.
EXEMPT = {
    "version": "says which program made the figures",
    "currency": "the unit",
    "as_of": _TODAY,
    "complete_back_to": "while a first import loads nothing restates",
    "unsure_new_until": "a note on the figures",
    "now.": _TODAY,
    "adjustments.": "parts of MRR, which restates",
    "top_customers.": _TODAY,
    "receivables.": _TODAY,
    "accounts.": _TODAY,
    "runway.": _TODAY,
    "to_review.": _TODAY,
    "notes.": "notes on the figures",
    "months.month": "the month itself",
    "months.complete": "whether it is closed",
    "months.start_minor": "the MRR of the month before, which restates",
    "months.churn_paused_minor": "a part of churn, which restates",
    "months.mrr_e4": "MRR unrounded; what is shown restates",
    "months.arr_minor": "twelve times MRR, which restates",
    "months.detected_minor": "which part of MRR people have confirmed by today",
    "months.contracted_minor": _OUTLOOK,
    "months.ending_minor": _OUTLOOK,
    "months.contracted_mrr_minor": _OUTLOOK,
    "months.customers_start": "the customers of the month before, which restate",
    "months.new_customers": _COUNT,
    "months.reactivated_customers": _COUNT,
    "months.churned_customers": _COUNT,
    "months.expanded_customers": _COUNT,
    "months.contracted_customers": _COUNT,
    "months.paused_customers": _COUNT,
    "months.arpa_minor": _QUOTIENT,
    "months.gross_churn_ppm": _QUOTIENT,
    "months.net_churn_ppm": _QUOTIENT,
    "months.customer_churn_ppm": _QUOTIENT,
    "months.quick_ratio_ppm": _QUOTIENT,
    "months.nrr_ppm": _QUOTIENT,
    "months.grr_ppm": _QUOTIENT,
    "months.nrr_12_ppm": _QUOTIENT,
    "months.grr_12_ppm": _QUOTIENT,
    "revenue.month": "the month itself",
    "revenue.complete": "whether it is closed",
    "revenue.invoices": "counts the documents that restate revenue",
    "cash.month": "the month itself",
    "cash.complete": "whether statements cover it",
    "cash.opening_minor": "the closing balance of the month before, which restates",
    # Rows of `Month`, whose fields stand above.
    "quarters.": _SAME,
    "years.": _SAME,
    **_each("recognition.monthly", "the month itself", "month", "complete"),
    **_each("recognition.daily", "the month itself", "month", "complete"),
    "recognition.monthly.invoiced_minor": "revenue by the date of the invoice, which restates",
    "recognition.daily.invoiced_minor": "revenue by the date of the invoice, which restates",
    **_each("cohorts", _SPLIT, "incomplete_month", "customers_ppm", "mrr_ppm"),
    **_each("cohorts.cohorts", _SPLIT, "month", "customers", "mrr_minor"),
    **_each("segments", _SPLIT, "dimension", "months", "segments.key", "segments.name"),
    **_each("segments.segments.months", _SPLIT, "customers", "mrr_minor", "fx_minor"),
    **_each("segments.segments.months", _SPLIT, "new_minor", "expansion_minor", "churn_minor"),
    **_each("segments.segments.months", _SPLIT, "contraction_minor", "reactivation_minor"),
    **_each("segments.segments.months", _SPLIT, "tolerated_minor", "paused_minor"),
    **_each("economics.months", "the month itself", "month", "complete"),
    **_each("economics.months", _QUOTIENT, "arpa_minor", "asp_minor", "new_arpa_minor"),
    **_each("economics.months", _QUOTIENT, "customer_churn_6_ppm", "ltv_ours_minor"),
    **_each("economics.months", _QUOTIENT, "ltv_chartmogul_minor", "ltv_calqulate_minor"),
    **_each("economics.months", _QUOTIENT, "cac_minor", "payback_months_tenths", "ltv_cac_ppm"),
    "economics.months.cost_minor": "what a person enters: edits are listed with their authors",
    "economics.gross_margin_bp": "a setting",
    **_each("refunds.months", "the month itself", "month", "complete"),
    **_each("refunds.months", _GROSS, "credit_notes", "credited_minor", "billed_minor"),
    **_each("refunds.months", _TODAY, "overdue_minor", "overdue_invoices"),
}
PARTS: dict[str, Any] = {
    parts.QUARTERS: parts.View,
    parts.YEARS: parts.View,
    parts.COHORTS: parts.Cohorts,
    parts.SEGMENTS: parts.Segments,
    parts.RECOGNITION: parts.Recognition,
    parts.ECONOMICS: parts.Economics,
    parts.REFUNDS: parts.Refunds,
}
# Of recognition, by the method that the tenant chose.
METHODS = {parts.RECOGNITION: ("recognition.monthly", "recognition.daily")}
RESTATED = {
    f"{table}.{field}"
    for figure in FIGURES
    for table in METHODS.get(figure.table, (figure.table,))
    for field in figure.fields
}


def published() -> list[str]:
    """The path of every value in the body and its parts."""
    return [*_leaves(body.Body, ""), *(p for n, kind in PARTS.items() for p in _leaves(kind, n))]


def _leaves(kind: Any, path: str) -> Iterator[str]:
    if get_origin(kind) in (list, types.UnionType):
        for inner in get_args(kind):
            if inner is not type(None):
                yield from _leaves(inner, path)
    elif is_typeddict(kind):
        for name, inner in get_type_hints(kind).items():
            yield from _leaves(inner, f"{path}.{name}" if path else name)
    else:
        yield path


def _exempt(path: str) -> bool:
    return any(path == one or (one[-1] == "." and path.startswith(one)) for one in EXEMPT)


def test_a_figure_restates_or_says_why_not() -> None:
    """Name it in domain/restated.py, so that closed months say what changed them, or in EXEMPT."""
    unclear = [path for path in set(published()) if (path in RESTATED) == _exempt(path)]
    assert unclear == []


def test_the_lists_name_nothing_that_is_not_published() -> None:
    known = published()
    assert [one for one in RESTATED if one not in known] == []
    assert [one for one in EXEMPT if not any(path.startswith(one) for path in known)] == []


def test_every_part_is_looked_at() -> None:
    """A part that is published beside these must be listed, too."""
    own = {"parts", "View", "Cohorts", "Segments", "Recognition", "Economics", "Refunds"}
    whole = {
        name
        for name, kind in vars(parts).items()
        if is_typeddict(kind) and kind.__module__ == parts.__name__
    }
    inner = {_name(one) for kind in whole for one in get_type_hints(getattr(parts, kind)).values()}
    assert whole - inner == own - {"parts"}


def _name(kind: Any) -> str:
    while get_args(kind):
        kind = get_args(kind)[0]
    return getattr(kind, "__name__", "")
