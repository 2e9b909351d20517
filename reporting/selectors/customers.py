"""Customers: what each brings in a month, was invoiced and still owes; and one of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any
from uuid import UUID

from django.db.models import BigIntegerField, F, Q, QuerySet, Value
from django.db.models.functions import Coalesce
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from calqsync.tenancy import formats
from calqsync.tenancy.models import Tenant
from integrations.models import Customer
from reporting.domain import rounding
from reporting.domain.movements import Movement
from reporting.models import CustomerFigure, CustomerMerge
from reporting.selectors import frame, listing, narrowing
from reporting.selectors.frame import Words
from reporting.selectors.invoices import invoices_table
from reporting.selectors.listing import Listing
from reporting.selectors.movements import movement_names
from reporting.selectors.payments import payments_table
from reporting.selectors.subscriptions import subscriptions_table

FEW = 10
NEAR = 25


def _states() -> list[tuple[str, str]]:
    return [
        ("", _("All")),
        ("paying", _("Paying now")),
        ("left", _("Paid before")),
        ("never", _("Never subscribed")),
        ("open", _("With open invoices")),
        ("overdue", _("With overdue invoices")),
    ]


_WHERE = {
    "": Q(),
    "paying": Q(mrr_e4__gt=0),
    "left": Q(mrr_e4=0, figures__mrr_e4__len__gt=0),
    "never": Q(figures=None) | Q(figures__mrr_e4__len=0),
    "open": ~Q(open_minor=0),
    "overdue": ~Q(overdue_minor=0),
}


def _zero(path: str) -> Coalesce:
    return Coalesce(F(path), Value(0), output_field=BigIntegerField())


def customer_rows() -> QuerySet[Any]:
    """Customers that are in the books or have figures, with these beside them."""
    rows: QuerySet[Any] = (
        Customer.objects.filter(Q(removed_at=None) | Q(figures__isnull=False))
        .select_related("connection")
        .annotate(
            mrr_e4=_zero("figures__mrr_now_e4"),
            invoiced_minor=_zero("figures__invoiced_minor"),
            open_minor=_zero("figures__open_minor"),
            overdue_minor=_zero("figures__overdue_minor"),
            subscriptions=_zero("figures__subscriptions"),
        )
    )
    return rows


def customers_list(*, tenant: Tenant, query: Mapping[str, str]) -> Listing:
    """The customers that the address asks for."""
    words = frame.words_for(tenant)
    accounts = narrowing.accounts(query, words)
    state = narrowing.choice(query, "status", _("Status"), _states())
    product = narrowing.one_product(query)
    rows = customer_rows().filter(accounts.where, _WHERE[state.value])
    if word := narrowing.searched(query):
        rows = rows.filter(
            Q(name__icontains=word)
            | Q(business_id__icontains=word)
            | Q(customer_number__icontains=word)
        )
    if product.pk is not None:
        rows = rows.filter(pk__in=product.invoiced("invoice__customer"))
    columns = [
        listing.text(
            "name",
            _("Customer"),
            lambda row: row.name,
            order="sort_key",
            cell=narrowing.under(
                accounts,
                lambda row: {"text": row.name, "sub": row.business_id or row.customer_number},
            ),
        ),
        *narrowing.account_column(accounts),
        listing.share("mrr", _("MRR"), words, "mrr_e4"),
        listing.count("subscriptions", _("Subscriptions"), words, "subscriptions"),
        listing.money(
            "invoiced", _("Invoiced"), words, lambda row: row.invoiced_minor, order="invoiced_minor"
        ),
        listing.money("open", _("Open"), words, lambda row: row.open_minor, order="open_minor"),
        listing.money(
            "overdue", _("Overdue"), words, lambda row: row.overdue_minor, order="overdue_minor"
        ),
    ]
    return Listing(
        caption=_("Customers"),
        rows=rows,
        columns=columns,
        default_sort="-mrr",
        query=query,
        words=words,
        counted=lambda n: ngettext("%d customer", "%d customers", n) % n,
        url=lambda row: reverse("customer", args=[tenant.slug, row.public_id]),
        nothing=narrowing.nothing(tenant, _("No customers yet"), "customers"),
        search_label=_("Search by name, business id or number"),
        filters=narrowing.given(state.control, accounts.control, product.control),
    )


@dataclass(frozen=True, slots=True)
class CustomerPage:
    """Everything that the page of one customer shows."""

    public_id: UUID
    title: str
    tiles: list[dict[str, Any]]
    facts: list[dict[str, Any]]
    mrr: dict[str, Any] | None
    subscriptions: dict[str, Any] | None
    invoices: dict[str, Any] | None
    payments: dict[str, Any] | None
    invoices_url: str
    payments_url: str
    counts_as: dict[str, str] | None
    """The customer that it was merged into: name, url."""
    together_with: list[dict[str, str]]
    """The customers that count as this one."""
    others: list[str]
    """Names to choose from when it is merged into another."""


def customer_page(*, tenant: Tenant, customer: Any, today: date) -> CustomerPage:
    """One customer of the tenant in scope."""
    words = frame.words_for(tenant)
    figure = CustomerFigure.objects.filter(customer=customer).first()
    found = frame.published()
    at = f"?customer={customer.public_id}"
    invoices_url = reverse("invoices", args=[tenant.slug]) + at
    return CustomerPage(
        public_id=customer.public_id,
        title=customer.name,
        tiles=_tiles(tenant, customer, figure, words, invoices_url),
        facts=_facts(tenant, customer, figure, words),
        mrr=_history(figure, words, found.body["months"] if found else []),
        subscriptions=subscriptions_table(tenant=tenant, customer=customer, words=words),
        invoices=invoices_table(
            tenant=tenant, customer=customer, words=words, today=today, limit=FEW
        ),
        payments=payments_table(tenant=tenant, customer=customer, words=words, limit=FEW),
        invoices_url=invoices_url,
        payments_url=reverse("payments", args=[tenant.slug]) + at,
        **_merges(tenant, customer),
    )


def _merges(tenant: Tenant, customer: Any) -> dict[str, Any]:
    """What it counts as, what counts as it, and names that it may be merged into."""
    rows = CustomerMerge.objects.filter(Q(customer=customer) | Q(into=customer))
    found = list(rows.select_related("customer", "into").order_by("customer__sort_key", "pk"))

    def link(one: Any) -> dict[str, str]:
        return {"name": one.name, "url": reverse("customer", args=[tenant.slug, one.public_id])}

    # The nearest in the order of names: those that were doubled or renamed stand close together.
    near = Customer.objects.filter(removed_at=None).exclude(pk=customer.pk)
    after = near.filter(sort_key__gte=customer.sort_key).order_by("sort_key", "pk")
    before = near.filter(sort_key__lt=customer.sort_key).order_by("-sort_key", "-pk")
    nearest = before.values_list("sort_key", "name")[:NEAR].union(
        after.values_list("sort_key", "name")[:NEAR]
    )
    names = [name for _sort_key, name in sorted(nearest)]
    return {
        "counts_as": next((link(row.into) for row in found if row.into_id != customer.pk), None),
        "together_with": [link(row.customer) for row in found if row.into_id == customer.pk],
        "others": list(dict.fromkeys(names)),
    }


def _tiles(
    tenant: Tenant, customer: Any, figure: Any, words: Words, invoices_url: str
) -> list[dict[str, Any]]:
    reason = _("Not in the figures yet.")
    if customer.connection.currency != words.currency:
        reason = _("This account keeps its books in %(currency)s, so it is left out.") % {
            "currency": customer.connection.currency
        }

    def tile(name: str, label: str, minor: int | None, url: str = "") -> dict[str, Any]:
        return {
            "id": name,
            "name": label,
            "value": words.money(minor, cents=True),
            "url": url if minor is not None else "",
            "reason": "" if minor is not None else reason,
        }

    subscriptions = reverse("subscriptions", args=[tenant.slug])
    return [
        tile(
            "mrr",
            _("MRR"),
            rounding.minor(figure.mrr_now_e4) if figure else None,
            f"{subscriptions}?customer={customer.public_id}",
        ),
        tile("invoiced", _("Invoiced, net"), figure and figure.invoiced_minor, invoices_url),
        tile("open", _("Open"), figure and figure.open_minor, f"{invoices_url}&status=open"),
        tile(
            "overdue",
            _("Overdue"),
            figure and figure.overdue_minor,
            f"{invoices_url}&status=overdue",
        ),
    ]


def _facts(tenant: Tenant, customer: Any, figure: Any, words: Words) -> list[dict[str, Any]]:
    facts = [
        (_("Business id"), customer.business_id),
        (_("Customer number"), customer.customer_number),
        (_("Email"), customer.email),
        (_("City"), customer.city),
        (_("Country"), formats.country(customer.country, language=words.language)),
        (_("Group"), customer.group),
        (_("First invoice"), words.day(figure.first_invoice) if figure else ""),
        (_("Last invoice"), words.day(figure.last_invoice) if figure else ""),
    ]
    return [
        *({"term": term, "text": text} for term, text in facts if text),
        narrowing.account_fact(tenant, customer.connection),
    ]


def _history(figure: Any, words: Words, months: list[Any]) -> dict[str, Any] | None:
    """MRR by month as a chart with its table, from the first month with any."""
    if figure is None or not any(figure.mrr_e4):
        return None
    complete = {row["month"]: row["complete"] for row in months}
    names = [frame.month_text(figure.first_month + place) for place in range(len(figure.mrr_e4))]
    values = [rounding.minor(exact) for exact in figure.mrr_e4]
    running = [place for place, name in enumerate(names) if not complete.get(name, True)]
    rows = [
        {
            "label": words.month(name),
            "cells": [
                words.amount(value - before, signed=True),
                {"text": _move(figure, place), "words": True},
                words.amount(value),
            ],
            "incomplete": place in running,
        }
        for place, (name, before, value) in enumerate(
            zip(names, [0, *values], values, strict=False)
        )
    ]
    first, last = words.month(names[0], long=True), words.month(names[-1], long=True)
    return {
        "id": "mrr-by-month",
        "type": "bars",
        "title": _("MRR by month"),
        "summary": _("From %(start)s in %(first)s to %(end)s in %(last)s.")
        % {
            "start": words.money(values[0], cents=True),
            "end": words.money(values[-1], cents=True),
            "first": first,
            "last": last,
        },
        "height": "s",
        "data": {
            "labels": [words.month(name) for name in names],
            "series": [{"kind": "mrr", "label": _("MRR"), "values": values}],
            "incomplete": running,
            "incomplete_word": _("so far"),
            "format": {"style": "money", "currency": words.currency},
            "from_zero": True,
        },
        "table": {
            "id": "mrr-by-month-table",
            "caption": _("MRR by month"),
            "currency": words.currency,
            "head": [
                _("Month"),
                _("Change"),
                {"label": _("What it is called"), "words": True},
                _("MRR"),
            ],
            "rows": rows[::-1],
        },
    }


def _move(figure: Any, place: int) -> str:
    names = movement_names()
    found = []
    move = figure.moves[place] if place < len(figure.moves) else 0
    key = "paused" if move == Movement.PAUSE else Movement(move).name.lower()
    if key == "paused" and figure.mrr_e4[place] > 0:
        found.append(_("Resumed"))
    elif key in names:
        found.append(names[key])
    if place < len(figure.fx_e4) and figure.fx_e4[place]:
        found.append(names["fx"])
    return ", ".join(found)
