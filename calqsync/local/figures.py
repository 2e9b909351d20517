"""What the demo reports: connections with their counts, and the published figures."""

from __future__ import annotations

from typing import Any

from django.db import transaction
from django.utils import timezone

from calqsync.tenancy import scope
from calqsync.tenancy.models import Tenant
from integrations import selectors
from integrations.models import InvoiceLine
from integrations.selectors import ConnectionRow
from reporting.models import Report

MOVEMENTS = ("new", "expansion", "contraction", "churn", "reactivation", "fx")


def of_tenant(tenant: Tenant) -> dict[str, Any]:
    """One tenant's figures: complete months, amounts in minor units of its currency.

    Movements are positive magnitudes, `fx` is signed.
    """
    with scope.tenant(tenant.pk), transaction.atomic():
        connections = [_connection(row) for row in selectors.connections_page(now=timezone.now())]
        report = Report.objects.first()
        body: dict[str, Any] = report.body if report else {}
    months = [month for month in body.get("months", []) if month["complete"]]
    return {
        "slug": tenant.slug,
        "currency": body.get("currency", tenant.currency),
        "connections": connections,
        "subscriptions": (body.get("now") or {}).get("subscriptions", 0),
        "mrr": [{"month": m["month"], "amount_minor": m["mrr_minor"]} for m in months],
        "movements": [
            {"month": m["month"], **{name: m[f"{name}_minor"] for name in MOVEMENTS}}
            for m in months
        ],
        "runway": _runway(body.get("runway")),
    }


def _connection(row: ConnectionRow) -> dict[str, Any]:
    lines = InvoiceLine.objects.filter(
        invoice__connection=row.connection, invoice__removed_at=None
    ).count()
    seconds = None
    if row.run and row.run.finished_at:
        seconds = round((row.run.finished_at - row.run.started_at).total_seconds(), 1)
    return {
        "name": row.connection.name,
        "company": row.connection.company_name,
        "status": str(row.status),
        "customers": row.counts["customers"],
        "products": row.counts["products"],
        "invoices": row.counts["invoices"],
        "invoice_lines": lines,
        "payments": row.counts["payments"],
        "seconds": seconds,
        "requests": row.run.requests if row.run else 0,
    }


def _runway(runway: dict[str, Any] | None) -> dict[str, Any]:
    found = runway or {"state": "no_cash_data"}
    months = found.get("months")
    return {
        "state": found["state"],
        "cash_minor": found.get("cash_minor"),
        "net_burn_minor": found.get("net_burn_minor"),
        "months": float(months) if months is not None else None,
    }
