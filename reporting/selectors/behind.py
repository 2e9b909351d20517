"""The documents behind one figure: their amounts add up to it, to the cent."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.core.paginator import Paginator
from django.db.models import F
from django.http import Http404
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from calqsync.tenancy.models import Tenant
from integrations.models import BankEvent, Invoice
from reporting.body import Body
from reporting.domain import rounding
from reporting.domain.movements import Movement
from reporting.models import CashFigure, CustomerFigure, InvoiceFigure, LineFigure
from reporting.selectors import frame
from reporting.selectors.financial import age_names
from reporting.selectors.frame import Words
from reporting.selectors.growth import movement_names

PAGE = 50


@dataclass(frozen=True, slots=True)
class Part:
    """One row behind a figure: what it is a row of, and its share in minor units."""

    key: Any
    minor: int


@dataclass(frozen=True, slots=True)
class BehindPage:
    title: str
    figure: str
    lead: str
    listing: dict[str, Any]


@dataclass(frozen=True, slots=True)
class _Kind:
    """How one kind of figure is taken apart and how its rows are drawn."""

    title: str
    lead: str
    parts: list[Part]
    columns: list[dict[str, Any]]
    rows: Callable[[Sequence[Part]], Iterable[tuple[Any, list[Any], str]]]
    unit: Callable[[int], str]


def behind_page(*, tenant: Tenant, figure: str, month: str, page: str | None) -> BehindPage:
    """What makes up `figure` in `month`; raises Http404 for a figure or month there is not."""
    found = frame.published()
    if found is None:
        raise Http404
    try:
        index = frame.month_index(month)
    except ValueError:
        raise Http404 from None
    words = frame.words_for(tenant, found.body["currency"])
    kind = _kind(tenant, figure, month, index, found.body, words)
    shown = Paginator(kind.parts, PAGE).get_page(page)
    total = sum(part.minor for part in kind.parts)
    rows = [
        {"url": url, "cells": [first, *cells, words.amount(part.minor)]}
        for part, (first, cells, url) in zip(
            shown.object_list, kind.rows(list(shown.object_list)), strict=True
        )
    ]
    blanks = [""] * (len(kind.columns) - 1)
    listing = {
        "caption": kind.title,
        "currency": words.currency,
        "columns": [
            *kind.columns,
            {"key": "amount", "label": _("Amount"), "numeric": True},
        ],
        "rows": rows,
        "total": {"label": _("Sum"), "cells": [*blanks, words.amount(total)]},
        "count_text": kind.unit(len(kind.parts)),
        "page": shown,
        "empty": {"title": _("Nothing behind this figure"), "text": _("It is zero.")},
    }
    return BehindPage(kind.title, words.money(total, cents=True), kind.lead, listing)


def _kind(tenant: Tenant, figure: str, month: str, index: int, body: Body, words: Words) -> _Kind:
    month_name = words.month(month, long=True)
    if figure == "mrr":
        return _mrr(tenant, month_name, month, index, body, words)
    if figure in {"new", "reactivation", "expansion", "contraction", "churn", "fx"}:
        return _movement(tenant, figure, month_name, month, index, body, words)
    if figure in {"revenue", "recurring", "non_recurring"}:
        return _revenue(tenant, figure, month_name, month, words)
    if figure == "open" or figure.startswith(("open-", "expected-")):
        return _open(tenant, figure, body, words)
    if figure in {"money_in", "money_out", "operating", "financing", "own_transfers"}:
        return _cash(figure, month_name, index, words)
    raise Http404


def _column(key: str, label: str) -> dict[str, Any]:
    return {"key": key, "label": label}


def _invoice_url(tenant: Tenant, public_id: Any) -> str:
    return reverse("invoice", args=[tenant.slug, public_id])


def _customer_url(tenant: Tenant, public_id: Any) -> str:
    return reverse("customer", args=[tenant.slug, public_id])


def _month_row(body: Body, month: str) -> Any:
    row = next((row for row in body["months"] if row["month"] == month), None)
    if row is None:
        raise Http404
    return row


def _mrr(
    tenant: Tenant, month_name: str, month: str, index: int, body: Body, words: Words
) -> _Kind:
    figure = _month_row(body, month)["mrr_minor"]
    lines = list(
        LineFigure.objects.filter(counted=True, from_month__lte=index, to_month__gt=index)
        .exclude(mrr_e4=0)
        .order_by("-mrr_e4", "pk")
        .values_list("pk", "mrr_e4")
    )
    extra = [row for row in body["adjustments"] if row["month"] == month]
    keys: list[Any] = [pk for pk, _e4 in lines] + extra
    exact = [e4 for _pk, e4 in lines] + [row["amount_e4"] for row in extra]
    shares = rounding.share_out(exact, figure)
    parts = [Part(key, int(share)) for key, share in zip(keys, shares, strict=True)]

    def rows(shown: Sequence[Part]) -> Iterable[tuple[Any, list[Any], str]]:
        found = LineFigure.objects.select_related("line__invoice", "customer").in_bulk(
            [part.key for part in shown if isinstance(part.key, int)]
        )
        for part in shown:
            if not isinstance(part.key, int):
                text = _("Credits exceed invoices: counted as 0")
                yield part.key["name"], [text, "", ""], ""
                continue
            made = found[part.key]
            invoice = made.line.invoice
            span = _("%(start)s – %(end)s") % {
                "start": words.day(made.start),
                "end": words.day(made.end - timedelta(days=1) if made.end else None),
            }
            number = {"text": str(invoice), "url": _invoice_url(tenant, invoice.public_id)}
            yield (
                made.customer.name,
                [made.line.name, number, span],
                _customer_url(tenant, made.customer.public_id),
            )

    return _Kind(
        _("MRR of %(month)s") % {"month": month_name},
        _("Every invoice line that covers the snapshot day, with its share of a month."),
        parts,
        [
            _column("customer", _("Customer")),
            _column("line", _("Line")),
            _column("invoice", _("Invoice")),
            _column("period", _("Covers")),
        ],
        rows,
        lambda n: ngettext("%d invoice line", "%d invoice lines", n) % n,
    )


_MOVEMENTS = {
    "new": Movement.NEW,
    "reactivation": Movement.REACTIVATION,
    "expansion": Movement.EXPANSION,
    "contraction": Movement.CONTRACTION,
    "churn": Movement.CHURN,
}


def _movement(
    tenant: Tenant,
    figure: str,
    month_name: str,
    month: str,
    index: int,
    body: Body,
    words: Words,
) -> _Kind:
    total = _month_row(body, month)[f"{figure}_minor"]
    sign = -1 if figure in {"contraction", "churn"} else 1
    changes = []
    for pk, first, mrr, fx, moves in CustomerFigure.objects.filter(
        first_month__lte=index
    ).values_list("pk", "first_month", "mrr_e4", "fx_e4", "moves"):
        i = index - first
        if i >= len(mrr):
            continue
        if figure == "fx":
            change = fx[i] if i < len(fx) else 0
        elif i < len(moves) and moves[i] == _MOVEMENTS[figure]:
            change = (mrr[i] - (mrr[i - 1] if i else 0) - (fx[i] if i < len(fx) else 0)) * sign
        else:
            continue
        if change:
            changes.append((pk, change, mrr[i - 1] if i else 0, mrr[i]))
    changes.sort(key=lambda row: (-abs(row[1]), row[0]))
    shares = rounding.share_out([row[1] for row in changes], total)
    parts = [
        Part((pk, before, after), int(share) * sign)
        for (pk, _change, before, after), share in zip(changes, shares, strict=True)
    ]

    def rows(shown: Sequence[Part]) -> Iterable[tuple[Any, list[Any], str]]:
        found = CustomerFigure.objects.select_related("customer").in_bulk(
            [part.key[0] for part in shown]
        )
        for part in shown:
            pk, before, after = part.key
            customer = found[pk].customer
            amounts = [words.amount(rounding.minor(value)) for value in (before, after)]
            yield customer.name, amounts, _customer_url(tenant, customer.public_id)

    names = movement_names()
    return _Kind(
        _("%(movement)s of %(month)s") % {"movement": names[figure], "month": month_name},
        _("Customers whose recurring revenue changed between the two month ends."),
        parts,
        [
            _column("customer", _("Customer")),
            {"key": "before", "label": _("MRR before"), "numeric": True},
            {"key": "after", "label": _("MRR after"), "numeric": True},
        ],
        rows,
        lambda n: ngettext("%d customer", "%d customers", n) % n,
    )


def _revenue(tenant: Tenant, figure: str, month_name: str, month: str, words: Words) -> _Kind:
    first = frame.month_start(month)
    after = frame.month_start(frame.month_text(frame.month_index(month) + 1))
    amounts = {
        "revenue": F("invoice__net_acc_minor"),
        "recurring": F("recurring_minor"),
        "non_recurring": F("invoice__net_acc_minor") - F("recurring_minor"),
    }
    found = (
        InvoiceFigure.objects.filter(invoice__date__gte=first, invoice__date__lt=after)
        .annotate(part=amounts[figure])
        .exclude(part=0)
        .order_by("-part", "pk")
        .values_list("invoice_id", "part")
    )
    titles = {
        "revenue": _("Invoiced in %(month)s, net"),
        "recurring": _("Recurring revenue invoiced in %(month)s"),
        "non_recurring": _("One-off and usage revenue invoiced in %(month)s"),
    }
    return _Kind(
        titles[figure] % {"month": month_name},
        _("Invoices and credit notes dated in the month, without VAT."),
        [Part(pk, minor) for pk, minor in found],
        _invoice_columns(),
        _invoice_rows(tenant, words),
        lambda n: ngettext("%d invoice", "%d invoices", n) % n,
    )


def _invoice_columns() -> list[dict[str, Any]]:
    return [
        _column("invoice", _("Invoice")),
        _column("customer", _("Customer")),
        _column("date", _("Date")),
        _column("due", _("Due")),
    ]


def _invoice_rows(
    tenant: Tenant, words: Words
) -> Callable[[Sequence[Part]], Iterable[tuple[Any, list[Any], str]]]:
    def rows(shown: Sequence[Part]) -> Iterable[tuple[Any, list[Any], str]]:
        found = Invoice.objects.select_related("customer").in_bulk([part.key for part in shown])
        for part in shown:
            invoice = found[part.key]
            customer: Any = invoice.customer_name
            if invoice.customer:
                url = _customer_url(tenant, invoice.customer.public_id)
                customer = {"text": invoice.customer.name, "url": url}
            dates = [words.day(invoice.date), words.day(invoice.due_date)]
            yield str(invoice), [customer, *dates], _invoice_url(tenant, invoice.public_id)

    return rows


def _open(tenant: Tenant, figure: str, body: Body, words: Words) -> _Kind:
    found = InvoiceFigure.objects.exclude(age="")
    title = _("Open invoices")
    if figure.startswith("open-"):
        age = figure.removeprefix("open-")
        if age not in age_names():
            raise Http404
        found = found.filter(age=age)
        title = _("Open invoices: %(age)s") % {"age": age_names()[age].lower()}
    elif figure.startswith("expected-"):
        starts = [week["start"] for week in body["receivables"]["weeks"]]
        start = figure.removeprefix("expected-")
        if start not in starts:
            raise Http404
        place = starts.index(start)
        # The first row also holds what was expected earlier, the last one all that comes later.
        if place > 0:
            found = found.filter(expected__gte=start)
        if place + 1 < len(starts):
            found = found.filter(expected__lt=starts[place + 1])
        title = _("Money expected in the week from %(day)s") % {"day": words.day(start)}
    parts = found.order_by("-open_minor", "pk").values_list("invoice_id", "open_minor")
    return _Kind(
        title,
        _("What is still to be paid, VAT included."),
        [Part(pk, minor) for pk, minor in parts],
        _invoice_columns(),
        _invoice_rows(tenant, words),
        lambda n: ngettext("%d invoice", "%d invoices", n) % n,
    )


def _cash(figure: str, month_name: str, index: int, words: Words) -> _Kind:
    found = CashFigure.objects.filter(month=index)
    if figure in {"money_in", "money_out", "operating"}:
        found = found.filter(kind="operating")
        if figure == "money_in":
            found = found.filter(amount_minor__gt=0)
        elif figure == "money_out":
            found = found.filter(amount_minor__lt=0)
    else:
        found = found.filter(kind={"own_transfers": "own_transfer"}.get(figure, figure))
    parts = found.order_by("-amount_minor", "pk").values_list("event_id", "amount_minor")
    titles = {
        "money_in": _("Money in, %(month)s"),
        "money_out": _("Money out, %(month)s"),
        "operating": _("Money in and out, %(month)s"),
        "financing": _("Financing, %(month)s"),
        "own_transfers": _("Own transfers, %(month)s"),
    }

    def rows(shown: Sequence[Part]) -> Iterable[tuple[Any, list[Any], str]]:
        events = BankEvent.objects.in_bulk([part.key for part in shown])
        for part in shown:
            event = events[part.key]
            who = event.counterparty or _("Unnamed")
            yield who, [event.message, words.day(event.date), event.iban], ""

    return _Kind(
        titles[figure] % {"month": month_name},
        _("Bank events of the month; deposits positive, withdrawals negative."),
        [Part(pk, minor) for pk, minor in parts],
        [
            _column("who", _("Counterparty")),
            _column("message", _("Message")),
            _column("date", _("Date")),
            _column("account", _("Account")),
        ],
        rows,
        lambda n: ngettext("%d bank event", "%d bank events", n) % n,
    )
