"""Why one customer's MRR changed in a month: the invoice lines that came, and those that ended."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import timedelta
from typing import Any

from django.http import Http404
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from calqsync.tenancy.models import Tenant
from integrations.models import Customer
from reporting.body import Body
from reporting.domain import rounding
from reporting.models import CustomerFigure, LineFigure
from reporting.selectors import narrowing
from reporting.selectors.behind import growth
from reporting.selectors.behind.kinds import Kind, Part, column, customer_url, invoice_url
from reporting.selectors.behind.steps import stretch
from reporting.selectors.frame import Words

CHANGE = "change-"
# Rows that are no invoice line.
_LIFTED, _RATES = -1, -2


def _others() -> dict[int, str]:
    return {
        _LIFTED: _("Credits exceed invoices: counted as 0"),
        _RATES: _("Exchange rates, which stand in the FX row"),
    }


def change_kind(
    tenant: Tenant, public_id: str, month: str, index: int, body: Body, words: Words
) -> Kind:
    """Lines of one snapshot that do not stand in the other, adding up to the customer's change.

    What stands at both month ends cancels out and is left out, and so does what lifts a customer
    to 0 unless it changed.
    """
    asked = narrowing.readable_id(public_id)
    customer = Customer.objects.filter(public_id=asked).first() if asked else None
    figure = CustomerFigure.objects.filter(customer=customer).first() if customer else None
    if customer is None or figure is None or index < figure.first_month:
        raise Http404
    place = index - figure.first_month
    if place >= len(figure.mrr_e4):
        raise Http404
    series = [0, *figure.mrr_e4]
    before, after = series[place], series[place + 1]
    lines = LineFigure.objects.filter(customer=customer, counted=True).exclude(mrr_e4=0)
    came = lines.filter(from_month=index, to_month__gt=index)
    ended = lines.filter(from_month__lt=index, to_month=index)
    exact = [(pk, e4) for pk, e4 in came.order_by("pk").values_list("pk", "mrr_e4")]
    exact += [(pk, -e4) for pk, e4 in ended.order_by("pk").values_list("pk", "mrr_e4")]
    rates = figure.fx_e4[place] if place < len(figure.fx_e4) else 0
    # Credits that exceed invoices count as 0; what exchange rates did stands in the FX row.
    others = {_LIFTED: after - before - sum(e4 for _pk, e4 in exact), _RATES: -rates}
    keys = [*exact, *((key, e4) for key, e4 in others.items() if e4)]
    keys.sort(key=lambda pair: (-pair[1], pair[0]))
    total = _listed(tenant, figure, month, index, body, words)
    if total is None:
        total = rounding.minor(after - before - rates)
    shares = rounding.share_out([e4 for _pk, e4 in keys], total)

    def rows(shown: Sequence[Part]) -> Iterable[tuple[Any, list[Any], str]]:
        found = LineFigure.objects.select_related("line__invoice").in_bulk(
            [part.key for part in shown if part.key > 0]
        )
        for part in shown:
            if part.key < 0:
                yield _others()[part.key], ["", "", ""], ""
                continue
            made = found[part.key]
            invoice = made.line.invoice
            span = _("%(start)s – %(end)s") % {
                "start": words.day(made.start),
                "end": words.day(made.end - timedelta(days=1) if made.end else None),
            }
            word = _("Came") if made.from_month == index else _("Ended")
            url = invoice_url(tenant, invoice.public_id)
            yield made.line.name, [word, {"text": str(invoice), "url": url}, span], ""

    return Kind(
        _("%(customer)s in %(month)s")
        % {"customer": customer.name, "month": words.month(month, long=True)},
        _("MRR went from %(before)s to %(after)s: invoice lines that came, less those that ended.")
        % {
            "before": words.money(rounding.minor(before), cents=True),
            "after": words.money(rounding.minor(after), cents=True),
        },
        [Part(pk, int(share)) for (pk, _e4), share in zip(keys, shares, strict=True)],
        [
            column("line", _("Line")),
            column("what", _("What happened")),
            column("invoice", _("Invoice")),
            column("period", _("Covers")),
        ],
        rows,
        lambda n: ngettext("%d invoice line", "%d invoice lines", n) % n,
        links=((_("Open the customer"), customer_url(tenant, customer.public_id)),),
    )


def _listed(
    tenant: Tenant, figure: Any, month: str, index: int, body: Body, words: Words
) -> int | None:
    """What the customer is listed with under the month's movement; None where it made none."""
    names = {number: name for name, number in growth.MOVEMENTS.items()}
    place = index - figure.first_month
    name = names.get(figure.moves[place]) if place < len(figure.moves) else None
    if name is None:
        return None
    found = stretch(month, index, body, words)
    parts = growth.movement(tenant, name, found, words).parts
    return next((part.minor for part in parts if part.key.pk == figure.pk), None)
