"""How one kind of figure is taken apart: its rows, their amounts, their columns."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from django.urls import reverse
from django.utils.translation import gettext as _

from calqsync.tenancy.models import Tenant
from integrations.models import Customer, Invoice
from reporting.models import CustomerFigure
from reporting.selectors.frame import Words

Rows = Callable[["Sequence[Part]"], Iterable[tuple[Any, list[Any], str]]]


@dataclass(frozen=True, slots=True)
class Part:
    """One row behind a figure: what it is a row of, and its share in minor units."""

    key: Any
    minor: int


@dataclass(frozen=True, slots=True)
class Kind:
    """How one kind of figure is taken apart and how its rows are drawn."""

    title: str
    lead: str
    parts: list[Part]
    columns: list[dict[str, Any]]
    rows: Rows
    unit: Callable[[int], str]
    # A count stands in the heading in place of the amounts' sum.
    counts_rows: bool = False
    headline: str = ""
    """What stands in the heading in place of the sum, such as a rate."""
    adds_up: bool = True
    """Its rows have amounts with a sum; else they are figures that a formula puts together."""
    links: tuple[tuple[str, str], ...] = ()
    """Where else to go from here: label and address."""


def column(key: str, label: str) -> dict[str, Any]:
    return {"key": key, "label": label}


def invoice_url(tenant: Tenant, public_id: Any) -> str:
    return reverse("invoice", args=[tenant.slug, public_id])


def customer_url(tenant: Tenant, public_id: Any) -> str:
    return reverse("customer", args=[tenant.slug, public_id])


def customer_rows(tenant: Tenant) -> Rows:
    """Rows of parts whose keys are ids of `CustomerFigure`: name and business id."""

    def rows(shown: Sequence[Part]) -> Iterable[tuple[Any, list[Any], str]]:
        found = CustomerFigure.objects.select_related("customer").in_bulk(
            [part.key for part in shown]
        )
        for part in shown:
            customer = found[part.key].customer
            yield customer.name, [customer.business_id], customer_url(tenant, customer.public_id)

    return rows


def customer_rows_by_id(tenant: Tenant) -> Rows:
    """As `customer_rows`, of parts whose keys are ids of customers."""

    def rows(shown: Sequence[Part]) -> Iterable[tuple[Any, list[Any], str]]:
        found = Customer.objects.in_bulk([part.key for part in shown])
        for part in shown:
            customer = found[part.key]
            yield customer.name, [customer.business_id], customer_url(tenant, customer.public_id)

    return rows


def invoice_columns() -> list[dict[str, Any]]:
    return [
        column("invoice", _("Invoice")),
        column("customer", _("Customer")),
        column("date", _("Date")),
        column("due", _("Due")),
    ]


def invoice_rows(tenant: Tenant, words: Words) -> Rows:
    """Rows of parts whose keys are ids of invoices."""

    def rows(shown: Sequence[Part]) -> Iterable[tuple[Any, list[Any], str]]:
        found = Invoice.objects.select_related("customer").in_bulk([part.key for part in shown])
        for part in shown:
            invoice = found[part.key]
            customer: Any = invoice.customer_name
            if invoice.customer:
                url = customer_url(tenant, invoice.customer.public_id)
                customer = {"text": invoice.customer.name, "url": url}
            dates = [words.day(invoice.date), words.day(invoice.due_date)]
            yield str(invoice), [customer, *dates], invoice_url(tenant, invoice.public_id)

    return rows
