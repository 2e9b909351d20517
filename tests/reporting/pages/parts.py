"""Parts of a report as pages read them: small, consistent with its body, and made by hand."""

from __future__ import annotations

from typing import Any

from reporting import parts
from reporting.models import Report, ReportPart

_MOVES = ("new", "expansion", "contraction", "churn", "reactivation", "fx")


def parts_make(**changes: Any) -> dict[str, Any]:
    """Publishes every part beside the report of the tenant in scope; answers them by name.

    A change names a part without its dot ("segments_country") and replaces its body.
    """
    report = Report.objects.get()
    months = report.body["months"]
    made = {
        parts.QUARTERS: _view(months, 3),
        parts.YEARS: _view(months, 12),
        parts.COHORTS: cohorts(months),
        parts.RECOGNITION: {
            "monthly": [_recognised(row, 0) for row in months],
            "daily": [_recognised(row, 1) for row in months],
        },
        parts.ECONOMICS: {
            "months": [_economics(row) for row in months],
            "gross_margin_bp": 8000,
        },
        parts.REFUNDS: {"months": [_refunds(row) for row in months]},
    }
    for dimension in parts.DIMENSIONS:
        made[parts.segments_by(dimension)] = segments(months, dimension)
    made |= {name.replace("segments_", "segments."): body for name, body in changes.items()}
    ReportPart.objects.all().delete()
    for name, body in made.items():
        ReportPart.objects.create(name=name, body=body)
    return made


def _view(months: list[Any], length: int) -> dict[str, Any]:
    """Every period that begins in the months, called by its last month."""
    ends = [row for row in months if int(row["month"][5:]) % length == 0] or months[-1:]
    return {"reclassified": ends, "summed": [{**row, "new_minor": 12345} for row in ends]}


def cohorts(months: list[Any]) -> dict[str, Any]:
    """Each month a cohort of ten that loses one customer a month; the last month is running."""
    width = len(months)
    rows = [
        {
            "month": row["month"],
            "customers": [max(0, 10 - offset) for offset in range(width - place)],
            "mrr_minor": [100_000 + 1_000 * offset for offset in range(width - place)],
        }
        for place, row in enumerate(months)
    ]
    return {
        "incomplete_month": months[-1]["month"],
        "cohorts": rows,
        "customers_ppm": [1_000_000 - 100_000 * offset for offset in range(width - 1)] + [None],
        "mrr_ppm": [1_000_000 + 10_000 * offset for offset in range(width - 1)] + [None],
    }


def segments(months: list[Any], dimension: str, count: int = 2) -> dict[str, Any]:
    """All of MRR in `count` values; the last one of them is what the books do not name."""
    keys = [f"{dimension}-{n}" for n in range(count - 1)] + [""]
    if dimension == "country":
        keys[0] = "FI"
    if dimension == "currency":
        keys[0] = "EUR"
    return {
        "dimension": dimension,
        "months": [row["month"] for row in months],
        "segments": [
            {
                "key": key,
                "name": key and f"Zq7xv2k {key}",
                "months": [_share(row, place, count) for row in months],
            }
            for place, key in enumerate(keys)
        ],
    }


def _share(row: Any, place: int, count: int) -> dict[str, int]:
    """The part of a month that falls to one of `count` segments; the parts add up."""
    names = ["mrr_minor", *(f"{name}_minor" for name in _MOVES)]
    shared = {name: row[name] * (place + 1) // count - row[name] * place // count for name in names}
    return {**shared, "customers": row["customers"]}


def _recognised(row: Any, more: int) -> dict[str, Any]:
    """A third of each month's 300.00 is earned later, so that it all stays deferred."""
    index = int(row["month"][:4]) * 12 + int(row["month"][5:])
    return {
        "month": row["month"],
        "complete": row["complete"],
        "invoiced_minor": 30_000,
        "recognised_minor": 20_000 + more,
        "deferred_minor": (10_000 - more) * (index - 24_000),
        "accrued_minor": 0,
    }


def _economics(row: Any) -> dict[str, Any]:
    return {
        "month": row["month"],
        "complete": row["complete"],
        "arpa_minor": row["arpa_minor"],
        "asp_minor": 9_999,
        "new_arpa_minor": None,
        "customer_churn_6_ppm": 50_000,
        "ltv_ours_minor": 160_000,
        "ltv_chartmogul_minor": 200_000,
        "ltv_calqulate_minor": None,
        "cost_minor": 3_000_000,
        "cac_minor": 300_000,
        "payback_months_tenths": 375,
        "ltv_cac_ppm": 533_333,
    }


def _refunds(row: Any) -> dict[str, Any]:
    return {
        "month": row["month"],
        "complete": row["complete"],
        "credit_notes": 2,
        "credited_minor": 5_000,
        "billed_minor": 50_000,
        "overdue_minor": 12_500,
        "overdue_invoices": 1,
    }
