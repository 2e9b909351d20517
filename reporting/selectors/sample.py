"""Made-up figures for a company that has imported nothing yet, always marked as such."""

from __future__ import annotations

from datetime import date
from typing import cast

from calqsync.tenancy.models import Tenant
from reporting.body import BODY_VERSION, AgeCode, Body, Month, Receivables, Runway
from reporting.models import Report
from reporting.selectors.frame import Published, month_index, month_text

_MONTHS = 18


def published(tenant: Tenant, *, today: date) -> Published:
    """A year and a half of a small growing company, ending in the running month."""
    last = month_index(f"{today:%Y-%m}")
    names = [month_text(index) for index in range(last - _MONTHS + 1, last + 1)]
    months: list[Month] = []
    mrr, customers = 820_000, 41
    for number, name in enumerate(names):
        new, expansion = 62_000 + 7_000 * (number % 5), 24_000 + 3_000 * (number % 4)
        contraction, churn = 9_000 + 2_000 * (number % 3), 21_000 + 6_000 * (number % 4)
        months.append(
            _month(name, mrr, new, expansion, contraction, churn, customers, number, today)
        )
        mrr = months[-1]["mrr_minor"]
        customers = months[-1]["customers"]
    body = _body(tenant, names, months, today)
    report = Report(as_of=today, currency=tenant.currency, freshness=[], body=body)
    return Published(report, body, [])


def _month(
    name: str,
    start: int,
    new: int,
    expansion: int,
    contraction: int,
    churn: int,
    customers: int,
    number: int,
    today: date,
) -> Month:
    end = start + new + expansion - contraction - churn
    lost = contraction + churn
    row = {
        "month": name,
        "complete": name != f"{today:%Y-%m}",
        "start_minor": start,
        "new_minor": new,
        "expansion_minor": expansion,
        "reactivation_minor": 0,
        "contraction_minor": contraction,
        "churn_minor": churn,
        "paused_minor": 0,
        "churn_paused_minor": 0,
        "fx_minor": 0,
        "tolerated_minor": 0,
        "mrr_minor": end,
        "mrr_e4": end * 10_000,
        "arr_minor": end * 12,
        "detected_minor": 0,
        "late_minor": 0,
        "contracted_minor": 0,
        "ending_minor": 0,
        "contracted_mrr_minor": end,
        "customers_start": customers,
        "customers": customers + 2,
        "new_customers": 3,
        "reactivated_customers": 0,
        "churned_customers": 1,
        "expanded_customers": 2,
        "contracted_customers": 1,
        "paused_customers": 0,
        "arpa_minor": end // (customers + 2),
        "gross_churn_ppm": lost * 1_000_000 // start,
        "net_churn_ppm": (lost - expansion) * 1_000_000 // start,
        "customer_churn_ppm": 1_000_000 // customers,
        "quick_ratio_ppm": (new + expansion) * 1_000_000 // lost,
        "nrr_ppm": (start + expansion - lost) * 1_000_000 // start,
        "grr_ppm": (start - lost) * 1_000_000 // start,
        "nrr_12_ppm": 1_048_000 + 3_000 * (number % 5) if number >= 12 else None,
        "grr_12_ppm": 890_000 + 2_000 * (number % 5) if number >= 12 else None,
    }
    return cast(Month, row)


def _body(tenant: Tenant, names: list[str], months: list[Month], today: date) -> Body:
    now = months[-1]
    last = months[-2]
    body = {
        "version": BODY_VERSION,
        "currency": tenant.currency,
        "as_of": today.isoformat(),
        "complete_back_to": None,
        "unsure_new_until": None,
        "now": {**now, "subscriptions": 58, "rates_month": last["month"]}
        | {key: last[key] for key in _RATES},  # type: ignore[literal-required]
        "months": months,
        "adjustments": [],
        "revenue": [
            {
                "month": row["month"],
                "complete": row["complete"],
                "recurring_minor": row["mrr_minor"] * (9 + i % 3) // 10,
                "non_recurring_minor": 110_000 + 45_000 * (i % 4),
                "invoices": 60,
            }
            for i, row in enumerate(months)
        ],
        "top_customers": [
            {
                "customer": "00000000-0000-0000-0000-000000000000",
                "name": name,
                "connection": "",
                "invoiced_minor": minor,
                "share_ppm": minor * 1_000_000 // 17_000_000,
                "mrr_minor": minor // 12,
            }
            for name, minor in _CUSTOMERS
        ],
        "receivables": _receivables(),
        "cash": [],
        "accounts": [],
        "runway": _runway(names, today),
        "to_review": {"subscriptions": 0, "deposits": 0, "credits": 0},
        "notes": [],
    }
    return cast(Body, body)


def _receivables() -> Receivables:
    return {
        "total_minor": sum(_OPEN.values()),
        "overdue_minor": sum(_OPEN.values()) - _OPEN["not_due"],
        "invoices": 23,
        "ages": [{"age": age, "minor": minor, "invoices": 5} for age, minor in _OPEN.items()],
        "weeks": [],
        "months": [],
    }


def _runway(names: list[str], today: date) -> Runway:
    zero = month_text(month_index(names[-1]) + 14)
    return {
        "state": "ok",
        "cash_minor": 18_200_000,
        "balance_date": today.isoformat(),
        "net_burn_minor": 1_281_000,
        "gross_burn_minor": 2_900_000,
        "months": "14.2",
        "over_36": False,
        "zero_date": f"{zero}-15",
        "months_used": names[-4:-1],
        "months_wanted": 3,
        "average": "mean",
    }


_OPEN: dict[AgeCode, int] = {
    "not_due": 420_000,
    "up_to_30": 130_000,
    "up_to_60": 52_000,
    "up_to_90": 0,
    "over_90": 24_000,
}
_RATES = (
    "customer_churn_ppm",
    "gross_churn_ppm",
    "net_churn_ppm",
    "nrr_12_ppm",
    "grr_12_ppm",
    "nrr_ppm",
    "grr_ppm",
    "quick_ratio_ppm",
)
_CUSTOMERS = (
    ("Esimerkki Oy", 2_400_000),
    ("Exempel Ab", 1_900_000),
    ("Example Ltd", 1_250_000),
    ("Malli Oyj", 980_000),
    ("Sample Inc", 610_000),
)
