"""Invoices and credit notes: what they sum to, what is paid and open; and one with its rows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from django.db.models import BigIntegerField, CharField, F, Q, QuerySet, Value
from django.db.models.functions import Coalesce
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from calqsync.tenancy import formats
from calqsync.tenancy.models import Tenant
from integrations.models import Invoice, InvoiceLine
from reporting.domain import rounding
from reporting.models import LineFigure
from reporting.selectors import frame, listing, narrowing, reasons
from reporting.selectors.frame import Words
from reporting.selectors.listing import Listing
from reporting.selectors.payments import number_of, payments_table

_OPEN = ~Q(age="")
_COLUMNS = (
    *("number", "external_id", "customer_name", "date", "due_date", "currency", "status"),
    *("issued", "is_credit", "net_acc_minor", "total_acc_minor"),
    *("figured", "age", "paid_minor", "open_minor", "written_off_minor"),
)


def _states() -> list[tuple[str, str]]:
    return [
        ("", _("All issued")),
        ("open", _("Open, all")),
        ("overdue", _("Overdue")),
        ("part_paid", _("Part paid")),
        ("paid", _("Paid")),
        ("credit", _("Credit notes")),
        ("draft", _("Not issued")),
    ]


_WHERE = {
    "": Q(issued=True),
    "open": Q(issued=True) & _OPEN,
    "overdue": Q(issued=True, is_credit=False) & _OPEN & ~Q(age="not_due"),
    "part_paid": Q(issued=True, is_credit=False, age="not_due", paid_minor__gt=0),
    "paid": Q(issued=True, is_credit=False, age="", figures__isnull=False),
    "credit": Q(issued=True, is_credit=True),
    "draft": Q(issued=False),
}


def state_of(invoice: Any, *, today: date) -> tuple[str, str]:
    """The badge of an invoice with its figures beside it: a code of `parts.STATUSES`, a word."""
    if not invoice.issued:
        if invoice.status in Invoice.VOID:
            return "cancelled", _("Invalidated")
        return "draft", _("Not issued")
    if invoice.is_credit:
        return "credited", _("Credit note")
    if invoice.figured is None:
        return _state_in_the_books(invoice, today)
    if not invoice.age:
        if invoice.written_off_minor:
            return "cancelled", _("Written off")
        return "paid", _("Paid")
    if invoice.age != "not_due":
        return "overdue", _("Overdue")
    return ("part_paid", _("Part paid")) if invoice.paid_minor > 0 else ("open", _("Open"))


def _state_in_the_books(invoice: Any, today: date) -> tuple[str, str]:
    """For an invoice that the figures leave out, or have not reached yet."""
    if invoice.status in Invoice.SETTLED:
        return "paid", _("Paid")
    if invoice.due_date and invoice.due_date < today:
        return "overdue", _("Overdue")
    if invoice.status == Invoice.PART_PAID:
        return "part_paid", _("Part paid")
    return "open", _("Open")


def invoice_rows() -> QuerySet[Any]:
    """Invoices that are still in the books, with their figures beside them."""
    return with_figures().filter(removed_at=None)


def with_figures() -> QuerySet[Any]:
    """All invoices, those gone from the books too, with their figures beside them."""
    zero = Value(0)
    rows: QuerySet[Any] = Invoice.objects.select_related("customer", "connection").annotate(
        figured=F("figures__id"),
        age=Coalesce(F("figures__age"), Value(""), output_field=CharField()),
        paid_minor=Coalesce(F("figures__paid_minor"), zero, output_field=BigIntegerField()),
        open_minor=Coalesce(F("figures__open_minor"), zero, output_field=BigIntegerField()),
        written_off_minor=Coalesce(
            F("figures__written_off_minor"), zero, output_field=BigIntegerField()
        ),
    )
    return rows


def customer_of(invoice: Any) -> str:
    """The customer's name, as its own record has it where there is one."""
    return str(invoice.customer.name if invoice.customer else invoice.customer_name)


def customer_link(tenant: Tenant, customer: Any, name: str) -> Any:
    if customer is None:
        return name
    return {"text": name, "url": reverse("customer", args=[tenant.slug, customer.public_id])}


def invoices_list(*, tenant: Tenant, query: Mapping[str, str], today: date) -> Listing:
    """The invoices that the address asks for."""
    words = frame.words_for(tenant)
    accounts = narrowing.accounts(query, words)
    state = narrowing.choice(query, "status", _("Status"), _states())
    period = narrowing.span(query, Invoice, words)
    customer, product = narrowing.one_customer(query), narrowing.one_product(query)
    rows = invoice_rows().filter(accounts.where, _WHERE[state.value], period.where("date"))
    if customer.pk is not None:
        rows = rows.filter(customer=customer.pk)
    if product.pk is not None:
        rows = rows.filter(pk__in=product.invoiced("invoice"))
    if word := narrowing.searched(query):
        rows = rows.filter(
            Q(number__icontains=word)
            | Q(customer_name__icontains=word)
            | Q(customer__name__icontains=word)
        )
    return Listing(
        caption=_("Invoices"),
        rows=rows,
        columns=_columns(tenant, words, accounts, today),
        default_sort="-date",
        query=query,
        words=words,
        counted=lambda n: ngettext("%d invoice", "%d invoices", n) % n,
        url=lambda row: reverse("invoice", args=[tenant.slug, row.public_id]),
        nothing=narrowing.nothing(tenant, _("No invoices yet"), "invoices"),
        search_label=_("Search by number or customer"),
        filters=narrowing.given(
            state.control, period.control, accounts.control, customer.control, product.control
        ),
        sum_of=narrowing.own_currency(accounts, words),
        file_fields=[*_COLUMNS, "customer__name", "connection__name", "connection__currency"],
    )


def _columns(
    tenant: Tenant, words: Words, accounts: narrowing.Accounts, today: date
) -> list[listing.Column]:
    def badge(row: Any) -> dict[str, str]:
        code, word = state_of(row, today=today)
        return {"text": word, "badge": code}

    return [
        listing.text("number", _("Invoice"), number_of, order="number"),
        listing.text(
            "customer",
            _("Customer"),
            customer_of,
            order="customer__sort_key",
            cell=narrowing.under(
                accounts, lambda row: customer_link(tenant, row.customer, customer_of(row))
            ),
        ),
        listing.day("date", _("Date"), words, lambda row: row.date, order="date"),
        listing.day("due", _("Due"), words, lambda row: row.due_date, order="due_date"),
        listing.text("status", _("Status"), lambda row: state_of(row, today=today)[1], cell=badge),
        *narrowing.account_column(accounts),
        listing.money("net", _("Net"), words, lambda row: row.net_acc_minor, order="net_acc_minor"),
        listing.money(
            "total",
            _("Total"),
            words,
            lambda row: row.total_acc_minor,
            order="total_acc_minor",
            hint=_("VAT included"),
        ),
        listing.money("paid", _("Paid"), words, lambda row: row.paid_minor, order="paid_minor"),
        listing.money("open", _("Open"), words, lambda row: row.open_minor, order="open_minor"),
        listing.text(
            "currency",
            _("Currency"),
            lambda row: row.currency,
            order="currency",
            hint=_("What the document is written in; amounts are converted at its own rate."),
        ),
    ]


@dataclass(frozen=True, slots=True)
class InvoicePage:
    """Everything that the page of one invoice shows."""

    title: str
    status: tuple[str, str]
    removed: bool
    facts: list[dict[str, Any]]
    lines: dict[str, Any] | None
    payments: dict[str, Any] | None
    books: list[dict[str, Any]]


def invoice_page(
    *, tenant: Tenant, invoice: Any, today: date, may_change: bool = False
) -> InvoicePage:
    """One invoice of the tenant in scope; `invoice` comes from `invoice_rows`.

    For whoever may change what a row is, each row of an issued one leads to that.
    """
    words = frame.words_for(tenant, invoice.connection.currency)
    title = _("Credit note %(number)s") if invoice.is_credit else _("Invoice %(number)s")
    return InvoicePage(
        title=title % {"number": number_of(invoice)},
        status=state_of(invoice, today=today),
        removed=invoice.removed_at is not None,
        facts=_facts(tenant, invoice, words),
        lines=_lines(tenant, invoice, words, say=may_change and invoice.issued),
        payments=payments_table(tenant=tenant, invoice=invoice, words=words),
        books=[
            {"term": _("Id in Procountor"), "text": invoice.external_id},
            narrowing.account_fact(tenant, invoice.connection),
            {
                "term": _("Status in Procountor"),
                "text": invoice.status.replace("_", " ").capitalize(),
            },
            {"term": _("Company"), "text": invoice.connection.company_name},
            {
                "term": _("Last changed in Procountor"),
                "text": _version(invoice.version, words),
            },
        ],
    )


def _version(text: str, words: Words) -> str:
    """When Procountor last changed it, as Procountor's clock had it; what it sent where unread."""
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        return text
    return words.moment(at if at.tzinfo else at.replace(tzinfo=words.zone))


def _facts(tenant: Tenant, invoice: Any, words: Words) -> list[dict[str, Any]]:
    def own(minor: int) -> str:
        """The document's own amount, where it is written in another currency."""
        if invoice.currency == words.currency:
            return ""
        return formats.money(minor, invoice.currency, language=words.language)

    customer = customer_link(tenant, invoice.customer, customer_of(invoice))
    facts: list[dict[str, Any]] = [
        {"term": _("Customer")} | (customer if isinstance(customer, dict) else {"text": customer}),
        {"term": _("Date"), "text": words.day(invoice.date)},
        {"term": _("Due"), "text": words.day(invoice.due_date)},
        *(
            {"term": term, "text": words.money(minor, cents=True), "hint": own(native), "num": True}
            for term, minor, native in (
                (_("Net"), invoice.net_acc_minor, invoice.net_minor),
                (_("VAT"), invoice.vat_acc_minor, invoice.vat_minor),
                (_("Total"), invoice.total_acc_minor, invoice.total_minor),
            )
        ),
    ]
    if invoice.figured is not None:
        facts += [
            {"term": _("Paid"), "text": words.money(invoice.paid_minor, cents=True), "num": True},
            {"term": _("Open"), "text": words.money(invoice.open_minor, cents=True), "num": True},
        ]
        if invoice.written_off_minor:
            written_off = words.money(invoice.written_off_minor, cents=True)
            facts.append({"term": _("Written off"), "text": written_off, "num": True})
    if invoice.delivery_start:
        span = reasons.span(words, invoice.delivery_start, invoice.delivery_end)
        facts.append({"term": _("Delivery"), "text": span})
    return facts


def _lines(tenant: Tenant, invoice: Any, words: Words, *, say: bool) -> dict[str, Any] | None:
    lines = list(
        InvoiceLine.objects.filter(invoice=invoice).select_related("product").order_by("position")
    )
    if not lines:
        return None
    figures = {
        figure.line_id: figure
        for figure in LineFigure.objects.filter(line__invoice=invoice).select_related(
            "subscription"
        )
    }
    head: list[Any] = [
        _("Row"),
        {"label": _("Type"), "words": True},
        {"label": _("Covers"), "words": True},
        {"label": _("Where the period is from"), "words": True},
        _("Net"),
        {"label": _("MRR"), "hint": _("The row's share of a month")},
    ]
    rows = [_line(tenant, line, figures.get(line.pk), words) for line in lines]
    if say:
        head.append({"label": _("Your word"), "words": True})
        for row, line in zip(rows, lines, strict=True):
            row["cells"].append(_say(tenant, invoice, line, figures.get(line.pk)))
    return {
        "id": "lines",
        "caption": _("Rows"),
        "currency": words.currency,
        "head": head,
        "rows": rows,
    }


def _say(tenant: Tenant, invoice: Any, line: Any, figure: Any) -> dict[str, Any]:
    """The way to what a person may say about a row."""
    url = reverse("invoice_line", args=[tenant.slug, invoice.public_id, line.position])
    found = figure is not None and figure.subscription is not None
    text = _("Say what it is") if found else _("Make this a subscription")
    return {"text": text, "url": url, "words": True}


def _line(tenant: Tenant, line: Any, figure: Any, words: Words) -> dict[str, Any]:
    url = reverse("product", args=[tenant.slug, line.product.public_id]) if line.product else ""
    net = words.amount(line.net_acc_minor)
    if figure is None:
        blank = {"text": "–", "words": True}
        return {"label": line.name, "url": url, "cells": [blank, blank, blank, net, "–"]}
    kind: dict[str, Any] = {"text": reasons.line_type(figure.type), "words": True}
    if figure.subscription:
        found = figure.subscription.public_id
        kind["url"] = reverse("subscription", args=[tenant.slug, found])
    kind["sub"] = reasons.sentence(figure.reason, figure.reason_params)
    covers = reasons.span(words, figure.start, figure.end)
    return {
        "label": line.name,
        "url": url,
        "cells": [
            kind,
            {"text": covers, "words": True},
            {"text": reasons.source(figure.source) if figure.start else "–", "words": True},
            net,
            words.amount(rounding.minor(figure.mrr_e4)) if figure.counted else "–",
        ],
    }


def invoices_table(
    *, tenant: Tenant, words: Words, customer: Any, today: date, limit: int
) -> dict[str, Any] | None:
    """The newest issued invoices of a customer; None where there are none."""
    found = list(
        invoice_rows().filter(issued=True, customer=customer).order_by("-date", "-pk")[:limit]
    )
    if not found:
        return None
    money = frame.words_for(tenant, customer.connection.currency)
    rows = []
    for row in found:
        code, word = state_of(row, today=today)
        rows.append(
            {
                "label": number_of(row),
                "url": reverse("invoice", args=[tenant.slug, row.public_id]),
                "cells": [
                    {"text": words.day(row.date), "words": True},
                    {"text": words.day(row.due_date), "words": True},
                    {"text": word, "badge": code, "words": True},
                    money.amount(row.net_acc_minor),
                    money.amount(row.total_acc_minor),
                    money.amount(row.open_minor),
                ],
            }
        )
    return {
        "id": "invoices",
        "caption": _("Invoices"),
        "currency": money.currency,
        "head": [
            _("Invoice"),
            *({"label": label, "words": True} for label in (_("Date"), _("Due"), _("Status"))),
            _("Net"),
            _("Total"),
            _("Open"),
        ],
        "rows": rows,
    }
