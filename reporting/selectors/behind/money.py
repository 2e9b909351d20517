"""Revenue, open invoices and cash: invoices and bank events behind them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from django.db.models import F
from django.http import Http404
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from calqsync.tenancy.models import Tenant
from integrations.models import BankEvent, Invoice
from reporting.body import Body
from reporting.models import CashFigure, InvoiceFigure
from reporting.selectors import frame
from reporting.selectors.behind.kinds import Kind, Part, column, customer_url, invoice_url
from reporting.selectors.financial import age_names
from reporting.selectors.frame import Words


def revenue_kind(tenant: Tenant, figure: str, month_name: str, month: str, words: Words) -> Kind:
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
    return Kind(
        titles[figure] % {"month": month_name},
        _("Invoices and credit notes dated in the month, without VAT."),
        [Part(pk, minor) for pk, minor in found],
        _invoice_columns(),
        _invoice_rows(tenant, words),
        lambda n: ngettext("%d invoice", "%d invoices", n) % n,
    )


def _invoice_columns() -> list[dict[str, Any]]:
    return [
        column("invoice", _("Invoice")),
        column("customer", _("Customer")),
        column("date", _("Date")),
        column("due", _("Due")),
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
                url = customer_url(tenant, invoice.customer.public_id)
                customer = {"text": invoice.customer.name, "url": url}
            dates = [words.day(invoice.date), words.day(invoice.due_date)]
            yield str(invoice), [customer, *dates], invoice_url(tenant, invoice.public_id)

    return rows


def open_kind(tenant: Tenant, figure: str, body: Body, words: Words) -> Kind:
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
    return Kind(
        title,
        _("What is still to be paid, VAT included."),
        [Part(pk, minor) for pk, minor in parts],
        _invoice_columns(),
        _invoice_rows(tenant, words),
        lambda n: ngettext("%d invoice", "%d invoices", n) % n,
    )


def cash_kind(figure: str, month_name: str, index: int, words: Words) -> Kind:
    found = CashFigure.objects.filter(month=index)
    if figure in {"money_in", "money_out", "burn"}:
        found = found.filter(kind="operating")
        if figure == "money_in":
            found = found.filter(amount_minor__gt=0)
        elif figure == "money_out":
            found = found.filter(amount_minor__lt=0)
    else:
        found = found.filter(kind={"own_transfers": "own_transfer"}.get(figure, figure))
    # Burn is money out less money in: the same events with their signs turned.
    sign = -1 if figure == "burn" else 1
    parts = found.order_by("-amount_minor", "pk").values_list("event_id", "amount_minor")
    titles = {
        "money_in": _("Money in, %(month)s"),
        "money_out": _("Money out, %(month)s"),
        "burn": _("Net burn of %(month)s"),
        "financing": _("Financing, %(month)s"),
        "own_transfers": _("Own transfers, %(month)s"),
    }

    def rows(shown: Sequence[Part]) -> Iterable[tuple[Any, list[Any], str]]:
        events = BankEvent.objects.in_bulk([part.key for part in shown])
        for part in shown:
            event = events[part.key]
            who = event.counterparty or _("Unnamed")
            yield who, [event.message, words.day(event.date), event.iban], ""

    return Kind(
        titles[figure] % {"month": month_name},
        _("Operating bank events of the month: money out less money in.")
        if figure == "burn"
        else _("Bank events of the month; deposits positive, withdrawals negative."),
        [Part(pk, minor * sign) for pk, minor in parts],
        [
            column("who", _("Counterparty")),
            column("message", _("Message")),
            column("date", _("Date")),
            column("account", _("Account")),
        ],
        rows,
        lambda n: ngettext("%d bank event", "%d bank events", n) % n,
    )
