"""Customers, products, subscriptions, documents and restatements, row by row."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.db.models import F, Q, QuerySet

from calqsync.tenancy.tokens.scopes import CUSTOMERS, DOCUMENTS, FIGURES, PRODUCTS, SUBSCRIPTIONS
from integrations import models as books
from reporting import models as figures
from reporting.api import shapes
from reporting.api.base import CURSOR, LIMIT, Asked, Listed, One, Records
from reporting.domain import rounding
from reporting.domain.movements import Movement
from reporting.domain.restated import BY_METRIC
from reporting.selectors import frame
from reporting.selectors.invoices import invoice_rows

_CUSTOMER = Asked(name="customer", kind="id", about="Of this customer alone: its id.")
_FROM = Asked(name="from", kind="day", about="Dated on this day or later: YYYY-MM-DD.")
_TO = Asked(name="to", kind="day", about="Dated on this day or earlier: YYYY-MM-DD.")


def _between(values: dict[str, Any]) -> Q:
    where = Q()
    if "from" in values:
        where &= Q(date__gte=values["from"])
    if "to" in values:
        where &= Q(date__lte=values["to"])
    return where


class _Customers(Records):
    scope = CUSTOMERS

    def rows(self, values: dict[str, Any]) -> QuerySet[Any]:
        found: QuerySet[Any] = books.Customer.objects.filter(
            Q(removed_at=None) | Q(figures__isnull=False)
        ).select_related("connection")
        return found

    def written(self, rows: Sequence[Any]) -> list[Any]:
        known = _figures_of(rows)
        return [_customer(row, known.get(row.pk) or figures.CustomerFigure()) for row in rows]


def _figures_of(rows: Sequence[Any]) -> dict[int, Any]:
    found = figures.CustomerFigure.objects.filter(customer__in=[row.pk for row in rows])
    return {figure.customer_id: figure for figure in found}


def _customer(row: Any, figure: Any) -> shapes.Customer:
    return {
        "id": row.public_id,
        "name": row.name,
        "business_id": row.business_id,
        "customer_number": row.customer_number,
        "country": row.country,
        "city": row.city,
        "group": row.group,
        "connection": row.connection.public_id,
        "active": row.active,
        "currency": row.connection.currency,
        "mrr_minor": rounding.minor(figure.mrr_now_e4),
        "mrr_e4": figure.mrr_now_e4,
        "subscriptions": figure.subscriptions,
        "invoiced_minor": figure.invoiced_minor,
        "open_minor": figure.open_minor,
        "overdue_minor": figure.overdue_minor,
        "deferred_minor": figure.deferred_minor,
        "first_invoice": figure.first_invoice,
        "last_invoice": figure.last_invoice,
    }


class Customers(_Customers, Listed):
    """Customers with what they bring in a month, were invoiced and still owe."""

    answers, asks = shapes.Customers, (LIMIT, CURSOR)


class Customer(_Customers, One):
    """One customer, with its MRR by month."""

    answers = shapes.CustomerWithMonths

    def written(self, rows: Sequence[Any]) -> list[Any]:
        known = _figures_of(rows)
        made = []
        for row in rows:
            figure = known.get(row.pk) or figures.CustomerFigure(first_month=0)
            made.append({**_customer(row, figure), "months": _months(figure)})
        return made


def _months(figure: Any) -> list[shapes.CustomerMonth]:
    rows = zip(figure.mrr_e4, figure.fx_e4, figure.moves, strict=True)
    return [
        {
            "month": frame.month_text(figure.first_month + place),
            "mrr_e4": mrr,
            "fx_e4": fx,
            "movement": Movement(move).name.lower() if move else "",
        }
        for place, (mrr, fx, move) in enumerate(rows)
    ]


class _Subscriptions(Records):
    scope = SUBSCRIPTIONS

    def rows(self, values: dict[str, Any]) -> QuerySet[Any]:
        found: QuerySet[Any] = figures.Subscription.objects.select_related("customer", "product")
        if "status" in values:
            found = found.filter(status=values["status"])
        if "customer" in values:
            found = found.filter(customer__public_id=values["customer"])
        return found

    def written(self, rows: Sequence[Any]) -> list[Any]:
        return [_subscription(row, self.bearer.tenant.currency) for row in rows]


def _subscription(row: Any, of_figures: str) -> shapes.Subscription:
    return {
        "id": row.public_id,
        "customer": row.customer.public_id,
        "product": row.product.public_id if row.product else None,
        "product_name": row.product_name,
        "status": row.status,
        "counted": row.counted,
        "confirmed": row.confirmed,
        "confidence": row.confidence,
        "score": row.score,
        "period_months": row.period_months,
        "start": row.first_start,
        "end": row.last_end,
        "currency": row.currency,
        "mrr_currency": of_figures,
        "mrr_minor": rounding.minor(row.mrr_e4),
        "mrr_e4": row.mrr_e4,
        "renewal_percent": row.renewal_percent,
    }


_STATUS = Asked(
    name="status",
    kind="choice",
    about="In this state alone.",
    choices=("active", "late", "churned", "future", "paused", "detected", "rejected"),
)


class Subscriptions(_Subscriptions, Listed):
    """Subscriptions found in the books or made by hand."""

    answers, asks = shapes.Subscriptions, (_STATUS, _CUSTOMER, LIMIT, CURSOR)


class Subscription(_Subscriptions, One):
    """One subscription."""

    answers = shapes.Subscription


class _Products(Records):
    scope = PRODUCTS

    def rows(self, values: dict[str, Any]) -> QuerySet[Any]:
        found: QuerySet[Any] = (
            books.Product.objects.filter(removed_at=None)
            .select_related("connection")
            .annotate(mark=F("marks__mark"), mark_period=F("marks__period_months"))
        )
        return found

    def written(self, rows: Sequence[Any]) -> list[Any]:
        return [_product(row) for row in rows]


def _product(row: Any) -> shapes.Product:
    return {
        "id": row.public_id,
        "name": row.name,
        "code": row.code,
        "group": row.group,
        "unit": row.unit,
        "connection": row.connection.public_id,
        "active": row.active,
        "price": row.price,
        "currency": row.currency,
        "mark": row.mark or "",
        "mark_period_months": row.mark_period,
    }


class Products(_Products, Listed):
    """Products that are in the books, with what a person said each is."""

    answers, asks = shapes.Products, (LIMIT, CURSOR)


class Product(_Products, One):
    """One product."""

    answers = shapes.Product


class _Invoices(Records):
    scope = DOCUMENTS

    def rows(self, values: dict[str, Any]) -> QuerySet[Any]:
        rows = invoice_rows().annotate(
            deferred_minor=F("figures__deferred_minor"), expected=F("figures__expected")
        )
        if "customer" in values:
            rows = rows.filter(customer__public_id=values["customer"])
        return rows.filter(_between(values))

    def written(self, rows: Sequence[Any]) -> list[Any]:
        lines = _lines_of([row.pk for row in rows])
        return [_invoice(row, lines.get(row.pk, [])) for row in rows]


def _lines_of(invoices: Sequence[int]) -> dict[int, list[shapes.InvoiceLine]]:
    """The rows of these invoices, each with what the figures make of it."""
    rows = books.InvoiceLine.objects.filter(invoice__in=invoices).select_related("product")
    read = figures.LineFigure.objects.filter(line__invoice__in=invoices)
    known = {figure.line_id: figure for figure in read.select_related("subscription")}
    found: dict[int, list[shapes.InvoiceLine]] = {}
    for row in rows.order_by("invoice_id", "position"):
        found.setdefault(row.invoice_id, []).append(_line(row, known.get(row.pk)))
    return found


def _line(row: Any, figure: Any) -> shapes.InvoiceLine:
    subscription = figure.subscription if figure else None
    return {
        "position": row.position,
        "product": row.product.public_id if row.product else None,
        "name": row.name,
        "text": row.text,
        "quantity": row.quantity,
        "unit": row.unit,
        "unit_price": row.unit_price,
        "discount_percent": row.discount_percent,
        "vat_percent": row.vat_percent,
        "net_minor": row.net_minor,
        "net_acc_minor": row.net_acc_minor,
        "subscription": subscription.public_id if subscription else None,
        "type": figure.type if figure else None,
        "start": figure.start if figure else row.start,
        "end": figure.end if figure else row.end,
        "counted": bool(figure and figure.counted),
        "confidence": figure.confidence if figure else None,
        "mrr_e4": figure.mrr_e4 if figure else 0,
    }


def _invoice(row: Any, lines: list[shapes.InvoiceLine]) -> shapes.Invoice:
    return {
        "id": row.public_id,
        "number": row.number,
        "customer": row.customer.public_id if row.customer else None,
        "customer_name": row.customer.name if row.customer else row.customer_name,
        "connection": row.connection.public_id,
        "status": row.status,
        "issued": row.issued,
        "is_credit": row.is_credit,
        "date": row.date,
        "due_date": row.due_date,
        "currency": row.currency,
        "accounting_currency": row.connection.currency,
        "net_minor": row.net_minor,
        "vat_minor": row.vat_minor,
        "total_minor": row.total_minor,
        "net_acc_minor": row.net_acc_minor,
        "vat_acc_minor": row.vat_acc_minor,
        "total_acc_minor": row.total_acc_minor,
        "paid_minor": row.paid_minor,
        "open_minor": row.open_minor,
        "written_off_minor": row.written_off_minor,
        "deferred_minor": row.deferred_minor or 0,
        "age": row.age,
        "expected": row.expected,
        "lines": lines,
    }


class Invoices(_Invoices, Listed):
    """Sales invoices and credit notes with their rows."""

    answers, asks = shapes.Invoices, (_CUSTOMER, _FROM, _TO, LIMIT, CURSOR)


class Invoice(_Invoices, One):
    """One invoice with its rows."""

    answers = shapes.Invoice


class Payments(Listed):
    """Payments and write-offs against invoices."""

    scope = DOCUMENTS
    answers, asks = shapes.Payments, (_CUSTOMER, _FROM, _TO, LIMIT, CURSOR)

    def rows(self, values: dict[str, Any]) -> QuerySet[Any]:
        found: QuerySet[Any] = books.Payment.objects.filter(_between(values), removed_at=None)
        if "customer" in values:
            found = found.filter(invoice__customer__public_id=values["customer"])
        return found.select_related("invoice", "connection")

    def written(self, rows: Sequence[Any]) -> list[shapes.Payment]:
        return [
            {
                "id": row.public_id,
                "invoice": row.invoice.public_id if row.invoice else None,
                "connection": row.connection.public_id,
                "date": row.date,
                "is_cash": row.is_cash,
                "amount_acc_minor": row.amount_acc_minor,
                "accounting_currency": row.connection.currency,
                "paid_minor": row.paid_minor,
                "paid_currency": row.paid_currency,
            }
            for row in rows
        ]


class Restatements(Listed):
    """What later computations changed in closed months, with the documents behind it."""

    scope = FIGURES
    answers = shapes.Restatements
    asks = (
        Asked(name="month", kind="month", about="Of this month alone: YYYY-MM."),
        Asked(name="metric", kind="choice", about="Of this figure alone.", choices=list(BY_METRIC)),
        LIMIT,
        CURSOR,
    )

    def rows(self, values: dict[str, Any]) -> QuerySet[Any]:
        asked = {name: values[name] for name in ("month", "metric") if name in values}
        return figures.Restatement.objects.filter(**asked)

    def written(self, rows: Sequence[Any]) -> list[shapes.Restatement]:
        # A cause names documents and customers.
        named = self.bearer.may(DOCUMENTS) and self.bearer.may(CUSTOMERS)
        return [
            {
                "id": row.public_id,
                "at": row.at,
                "month": frame.month_text(row.month),
                "metric": row.metric,
                "unit": "customers" if BY_METRIC[row.metric].counts else "minor",
                "currency": row.currency or None,
                "before": row.before_minor,
                "after": row.after_minor,
                "causes": [_cause(cause) for cause in row.causes] if named else [],
            }
            for row in rows
        ]


def _cause(cause: dict[str, Any]) -> shapes.Cause:
    params = cause.get("params") or {}
    return {"code": cause["code"], "params": params, "amount": cause.get("amount_minor")}
