"""What the demo reports: connections with their counts, and the published figures."""

from __future__ import annotations

from typing import Any

from django.db import transaction

from calqsync.tenancy import scope
from calqsync.tenancy.models import Tenant
from integrations.models import (
    Connection,
    Customer,
    Invoice,
    InvoiceLine,
    Payment,
    Product,
    SyncRun,
)
from reporting.models import Report

MOVEMENTS = ("new", "expansion", "contraction", "churn", "reactivation", "fx")


def of_tenant(tenant: Tenant) -> dict[str, Any]:
    """One tenant's figures: complete months, amounts in minor units of its currency.

    Movements are positive magnitudes, `fx` is signed.
    """
    with scope.tenant(tenant.pk), transaction.atomic():
        connections = [_connection(row) for row in Connection.objects.order_by("name")]
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


def _connection(connection: Connection) -> dict[str, Any]:
    imported = {"connection": connection, "removed_at": None}
    run = SyncRun.objects.filter(connection=connection).order_by("-started_at").first()
    seconds = None
    if run and run.finished_at:
        seconds = round((run.finished_at - run.started_at).total_seconds(), 1)
    return {
        "name": connection.name,
        "company": connection.company_name,
        "status": status(connection, run),
        "customers": Customer.objects.filter(**imported).count(),
        "products": Product.objects.filter(**imported).count(),
        "invoices": Invoice.objects.filter(**imported).count(),
        "invoice_lines": InvoiceLine.objects.filter(invoice__connection=connection).count(),
        "payments": Payment.objects.filter(**imported).count(),
        "seconds": seconds,
        "requests": run.requests if run else 0,
    }


def status(connection: Connection, run: SyncRun | None) -> str:
    """The connection's status as its page shows it, in lower case."""
    from integrations import selectors

    return str(selectors.connection_status(connection)).lower()


def _runway(runway: dict[str, Any] | None) -> dict[str, Any]:
    found = runway or {"state": "no_cash_data"}
    months = found.get("months")
    return {
        "state": found["state"],
        "cash_minor": found.get("cash_minor"),
        "net_burn_minor": found.get("net_burn_minor"),
        "months": float(months) if months is not None else None,
    }
