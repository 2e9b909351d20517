"""How one kind of figure is taken apart: its rows, their amounts, their columns."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from django.urls import reverse
from django.utils.translation import gettext as _

from calqsync.tenancy.models import Tenant
from integrations.models import Customer, Invoice
from reporting.body import Body
from reporting.domain import rounding
from reporting.models import CustomerFigure, LineFigure
from reporting.selectors import frame
from reporting.selectors.frame import Words

Rows = Callable[["Sequence[Part]"], Iterable[tuple[Any, list[Any], str]]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """Which figure of which month is to be taken apart, of what was published, and for whom."""

    tenant: Tenant
    figure: str
    month: str
    body: Body
    words: Words
    query: Mapping[str, str] = field(default_factory=dict)
    """The rest of the address: the segment, and the view of quarters or years."""

    @property
    def index(self) -> int:
        """The month's number."""
        return frame.month_index(self.month)

    @property
    def month_name(self) -> str:
        return self.words.month(self.month, long=True)

    @property
    def said(self) -> dict[str, str]:
        """The month as titles take it."""
        return {"month": self.month_name}


@dataclass(frozen=True, slots=True)
class Part:
    """One row behind a figure: what it is a row of, and its share in minor units."""

    key: Any
    minor: int


def shared(found: Sequence[tuple[Any, int]], total: int) -> list[Part]:
    """A part for each (key, exact amount), which add up to `total`."""
    shares = rounding.share_out([exact for _key, exact in found], total)
    return [Part(key, int(share)) for (key, _exact), share in zip(found, shares, strict=True)]


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


def covered(line: LineFigure, words: Words) -> str:
    """The days that an invoice line covers, the last one included."""
    return _("%(start)s – %(end)s") % {
        "start": words.day(line.start),
        "end": words.day(line.end - timedelta(days=1) if line.end else None),
    }


def customer_columns() -> list[dict[str, Any]]:
    return [column("customer", _("Customer")), column("business_id", _("Business id"))]


def customer_rows(asked: Question) -> Rows:
    """Rows of parts whose keys are ids of `CustomerFigure`: name and business id."""

    def rows(shown: Sequence[Part]) -> Iterable[tuple[Any, list[Any], str]]:
        found = CustomerFigure.objects.select_related("customer").in_bulk(
            [part.key for part in shown]
        )
        for part in shown:
            customer = found[part.key].customer
            url = customer_url(asked.tenant, customer.public_id)
            yield customer.name, [customer.business_id], url

    return rows


def customer_rows_by_id(asked: Question) -> Rows:
    """As `customer_rows`, of parts whose keys are ids of customers."""

    def rows(shown: Sequence[Part]) -> Iterable[tuple[Any, list[Any], str]]:
        found = Customer.objects.in_bulk([part.key for part in shown])
        for part in shown:
            customer = found[part.key]
            url = customer_url(asked.tenant, customer.public_id)
            yield customer.name, [customer.business_id], url

    return rows


def invoice_columns() -> list[dict[str, Any]]:
    return [
        column("invoice", _("Invoice")),
        column("customer", _("Customer")),
        column("date", _("Date")),
        column("due", _("Due")),
    ]


def invoice_rows(asked: Question) -> Rows:
    """Rows of parts whose keys are ids of invoices."""

    def rows(shown: Sequence[Part]) -> Iterable[tuple[Any, list[Any], str]]:
        found = Invoice.objects.select_related("customer").in_bulk([part.key for part in shown])
        for part in shown:
            invoice = found[part.key]
            customer: Any = invoice.customer_name
            if invoice.customer:
                url = customer_url(asked.tenant, invoice.customer.public_id)
                customer = {"text": invoice.customer.name, "url": url}
            dates = [asked.words.day(day) for day in (invoice.date, invoice.due_date)]
            yield str(invoice), [customer, *dates], invoice_url(asked.tenant, invoice.public_id)

    return rows
