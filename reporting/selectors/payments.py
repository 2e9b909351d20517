"""Payments and write-offs against invoices."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.db.models import Q
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from calqsync.tenancy.models import Tenant
from integrations.models import Payment
from reporting.selectors import frame, listing, narrowing
from reporting.selectors.frame import Words
from reporting.selectors.listing import Column, Listing


def _kinds() -> list[tuple[str, str]]:
    return [("", _("All")), ("cash", _("Payment")), ("write_off", _("Write-off"))]


_WHERE = {"": Q(), "cash": Q(is_cash=True), "write_off": Q(is_cash=False)}


def kind_word(payment: Any) -> str:
    """Whether money came, or the claim was given up."""
    return _("Payment") if payment.is_cash else _("Write-off")


def number_of(invoice: Any) -> str:
    """What people call an invoice: its number, or its id before it has one."""
    return str(invoice.number or invoice.external_id)


def _rows() -> Any:
    return Payment.objects.filter(removed_at=None).select_related("invoice__customer", "connection")


def _customer_name(payment: Any) -> str:
    invoice = payment.invoice
    if invoice is None:
        return _("Unknown")
    return str(invoice.customer.name if invoice.customer else invoice.customer_name)


def _customer_cell(tenant: Tenant, payment: Any) -> Any:
    name = _customer_name(payment)
    if payment.invoice is None or payment.invoice.customer is None:
        return name
    customer = payment.invoice.customer
    return {"text": name, "url": reverse("customer", args=[tenant.slug, customer.public_id])}


def invoice_cell(tenant: Tenant, payment: Any) -> Any:
    """The invoice that a payment is for, as a link where we hold it."""
    if payment.invoice is None:
        return "–"
    url = reverse("invoice", args=[tenant.slug, payment.invoice.public_id])
    return {"text": number_of(payment.invoice), "url": url}


def payments_list(*, tenant: Tenant, query: Mapping[str, str]) -> Listing:
    """The payments that the address asks for."""
    words = frame.words_for(tenant)
    accounts = narrowing.accounts(query, words)
    kind = narrowing.choice(query, "kind", _("Kind"), _kinds())
    period = narrowing.span(query, Payment, words)
    customer = narrowing.one_customer(query)
    rows = _rows().filter(accounts.where, _WHERE[kind.value], period.where("date"))
    if customer.pk is not None:
        rows = rows.filter(invoice__customer=customer.pk)
    if word := narrowing.searched(query):
        rows = rows.filter(narrowing.of_invoice(word))
    return Listing(
        caption=_("Payments"),
        rows=rows,
        columns=_columns(tenant, words, accounts),
        default_sort="-date",
        query=query,
        words=words,
        counted=lambda n: ngettext("%d payment", "%d payments", n) % n,
        url=lambda row: "",
        nothing=narrowing.nothing(tenant, _("No payments yet"), "payments"),
        search_label=_("Search by customer or invoice number"),
        filters=narrowing.given(kind.control, period.control, accounts.control, customer.control),
        sum_of=narrowing.own_currency(accounts, words),
        file_fields=[
            "date",
            "amount_acc_minor",
            "is_cash",
            "invoice__number",
            "invoice__external_id",
            "invoice__customer_name",
            "invoice__customer__name",
            "connection__name",
            "connection__currency",
        ],
    )


def _columns(tenant: Tenant, words: Words, accounts: narrowing.Accounts) -> list[Column]:
    return [
        listing.day("date", _("Date"), words, lambda row: row.date, order="date"),
        listing.text(
            "customer",
            _("Customer"),
            _customer_name,
            order="invoice__customer__sort_key",
            cell=narrowing.under(accounts, lambda row: _customer_cell(tenant, row)),
        ),
        listing.text(
            "invoice",
            _("Invoice"),
            lambda row: number_of(row.invoice) if row.invoice else "",
            order="invoice__number",
            cell=lambda row: invoice_cell(tenant, row),
        ),
        *narrowing.account_column(accounts),
        listing.text("kind", _("Kind"), kind_word, order="is_cash"),
        listing.money(
            "amount", _("Amount"), words, lambda row: row.amount_acc_minor, order="amount_acc_minor"
        ),
    ]


def payments_table(
    *,
    tenant: Tenant,
    words: Words,
    customer: Any = None,
    invoice: Any = None,
    limit: int | None = None,
) -> dict[str, Any] | None:
    """The newest payments of a customer or an invoice; None where there are none."""
    rows = _rows().order_by("-date", "-pk")
    rows = rows.filter(invoice__customer=customer) if customer else rows.filter(invoice=invoice)
    found = list(rows[:limit])
    if not found:
        return None
    own = listing.currency_of(found[0], words)
    money = frame.words_for(tenant, own)
    body = [
        {
            "label": words.day(row.date),
            "cells": [
                *([{**_as_cell(invoice_cell(tenant, row)), "words": True}] if customer else []),
                {"text": kind_word(row), "words": True},
                money.amount(row.amount_acc_minor),
            ],
        }
        for row in found
    ]
    head: list[Any] = [_("Date")]
    if customer:
        head.append({"label": _("Invoice"), "words": True})
    return {
        "id": "payments",
        "caption": _("Payments"),
        "currency": own,
        "head": [*head, {"label": _("Kind"), "words": True}, _("Amount")],
        "rows": body,
    }


def _as_cell(cell: Any) -> dict[str, Any]:
    return cell if isinstance(cell, dict) else {"text": cell}
