"""Revenue and receivables: the invoices behind them."""

from __future__ import annotations

from typing import Any

from django.db.models import F, Q, Sum
from django.http import Http404
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from integrations.models import Customer
from reporting.models import InvoiceFigure, LineFigure
from reporting.selectors import frame, narrowing
from reporting.selectors.behind.kinds import (
    Kind,
    Part,
    Question,
    customer_url,
    invoice_columns,
    invoice_rows,
)
from reporting.selectors.financial import age_names

BOUGHT = "bought-"
REVENUE = frozenset({"revenue", "recurring", "non_recurring"})
REFUNDS = frozenset({"billed", "credited", "overdue"})


def _dated(first: str, last: str = "", of: str = "invoice") -> Q:
    """Invoices of the months from `first` to `last`, or of the first alone, by their date."""
    after = frame.month_text(frame.month_index(last or first) + 1)
    days = {"gte": frame.month_start(first), "lt": frame.month_start(after)}
    return Q(**{f"{of}__date__{bound}": day for bound, day in days.items()})


def _of_invoices(
    asked: Question,
    title: str,
    lead: str,
    parts: list[Part],
    links: tuple[tuple[str, str], ...] = (),
) -> Kind:
    return Kind(
        title,
        lead,
        parts,
        invoice_columns(),
        invoice_rows(asked),
        lambda n: ngettext("%d invoice", "%d invoices", n) % n,
        links=links,
    )


def revenue_kind(asked: Question) -> Kind:
    """What was invoiced in a month, without VAT."""
    amounts = {
        "revenue": F("invoice__net_acc_minor"),
        "recurring": F("recurring_minor"),
        "non_recurring": F("invoice__net_acc_minor") - F("recurring_minor"),
    }
    found = (
        InvoiceFigure.objects.filter(_dated(asked.month))
        .annotate(part=amounts[asked.figure])
        .exclude(part=0)
        .order_by("-part", "pk")
        .values_list("invoice_id", "part")
    )
    titles = {
        "revenue": _("Invoiced in %(month)s, net"),
        "recurring": _("Recurring revenue invoiced in %(month)s"),
        "non_recurring": _("One-off and usage revenue invoiced in %(month)s"),
    }
    return _of_invoices(
        asked,
        titles[asked.figure] % asked.said,
        _("Invoices and credit notes dated in the month, without VAT."),
        [Part(pk, minor) for pk, minor in found],
    )


def refund_kind(asked: Question) -> Kind:
    """Invoices or credit notes of a month, VAT included, or what of them is still overdue."""
    found = InvoiceFigure.objects.filter(_dated(asked.month))
    if asked.figure == "overdue":
        found = found.exclude(open_minor=0).filter(due__lt=asked.body["as_of"])
        amount: Any = F("open_minor")
    else:
        sign = 1 if asked.figure == "billed" else -1
        amount = F("invoice__total_acc_minor") * sign
        found = found.annotate(asked=amount).filter(asked__gt=0)
    titles = {
        "billed": _("Invoiced in %(month)s, VAT included"),
        "credited": _("Credit notes of %(month)s"),
        "overdue": _("Invoices of %(month)s that are overdue"),
    }
    parts = found.annotate(part=amount).order_by("-part", "pk").values_list("invoice_id", "part")
    return _of_invoices(
        asked,
        titles[asked.figure] % asked.said,
        _("By the date of the invoice, VAT included."),
        [Part(pk, minor) for pk, minor in parts],
    )


def open_kind(asked: Question) -> Kind:
    """What is still to be paid: all of it, of an age, or expected in a week."""
    found, figure = InvoiceFigure.objects.exclude(age=""), asked.figure
    title = _("Open invoices")
    if figure == "open-overdue":
        found = found.exclude(age="not_due")
        title = _("Overdue invoices")
    elif figure.startswith("open-"):
        age = figure.removeprefix("open-")
        if age not in age_names():
            raise Http404
        found = found.filter(age=age)
        title = _("Open invoices: %(age)s") % {"age": age_names()[age].lower()}
    elif figure.startswith("expected-"):
        starts = [week["start"] for week in asked.body["receivables"]["weeks"]]
        start = figure.removeprefix("expected-")
        if start not in starts:
            raise Http404
        place = starts.index(start)
        # The first row also holds what was expected earlier, the last one all that comes later.
        if place > 0:
            found = found.filter(expected__gte=start)
        if place + 1 < len(starts):
            found = found.filter(expected__lt=starts[place + 1])
        title = _("Money expected in the week from %(day)s") % {"day": asked.words.day(start)}
    parts = found.order_by("-open_minor", "pk").values_list("invoice_id", "open_minor")
    return _of_invoices(
        asked,
        title,
        _("What is still to be paid, VAT included."),
        [Part(pk, minor) for pk, minor in parts],
    )


def bought_kind(asked: Question) -> Kind:
    """What a customer was invoiced in the twelve months to the report's own, by invoice."""
    public_id = narrowing.readable_id(asked.figure.removeprefix(BOUGHT))
    customer = Customer.objects.filter(public_id=public_id).first() if public_id else None
    if customer is None:
        raise Http404
    newest = asked.body["as_of"][:7]
    oldest = frame.month_text(frame.month_index(newest) - 11)
    parts = (
        LineFigure.objects.filter(_dated(oldest, newest, of="line__invoice"), customer=customer)
        .values("line__invoice_id")
        .annotate(part=Sum("line__net_acc_minor"))
        .order_by("-part", "line__invoice_id")
        .values_list("line__invoice_id", "part")
    )
    return _of_invoices(
        asked,
        _("%(customer)s, %(first)s to %(last)s")
        % {
            "customer": customer.name,
            "first": asked.words.month(oldest, long=True),
            "last": asked.words.month(newest, long=True),
        },
        _("Invoices and credit notes of the last twelve months, without VAT."),
        [Part(pk, minor) for pk, minor in parts if minor],
        links=((_("Open the customer"), customer_url(asked.tenant, customer.public_id)),),
    )
