"""Why one customer's MRR changed in a month: the invoice lines that came, and those that ended."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

from django.http import Http404
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from integrations.models import Customer
from reporting.domain import rounding
from reporting.models import CustomerFigure, LineFigure
from reporting.selectors import narrowing
from reporting.selectors.behind import growth
from reporting.selectors.behind.kinds import (
    Kind,
    Part,
    Question,
    Rows,
    column,
    covered,
    customer_url,
    invoice_url,
    shared,
)
from reporting.selectors.behind.steps import stretch

CHANGE = "change-"
# Rows that are no invoice line.
_LIFTED, _RATES = -1, -2


def _others() -> dict[int, str]:
    return {
        _LIFTED: _("Credits exceed invoices: counted as 0"),
        _RATES: _("Exchange rates, which stand in the FX row"),
    }


def change_kind(asked: Question) -> Kind:
    """Lines of one snapshot that do not stand in the other, adding up to the customer's change.

    What stands at both month ends cancels out and is left out, and so does what lifts a customer
    to 0 unless it changed.
    """
    figure, place = _place_of(asked)
    customer = figure.customer
    before, after = [0, *figure.mrr_e4][place : place + 2]
    rates = figure.fx_e4[place] if place < len(figure.fx_e4) else 0
    exact = _came_and_ended(customer, asked.index)
    # Credits that exceed invoices count as 0; what exchange rates did stands in the FX row.
    others = {_LIFTED: after - before - sum(e4 for _pk, e4 in exact), _RATES: -rates}
    exact += [(key, e4) for key, e4 in others.items() if e4]
    exact.sort(key=lambda pair: (-pair[1], pair[0]))
    total = _listed(asked, figure)
    if total is None:
        total = rounding.minor(after - before - rates)
    return Kind(
        _("%(customer)s in %(month)s") % {"customer": customer.name, **asked.said},
        _("MRR went from %(before)s to %(after)s: invoice lines that came, less those that ended.")
        % {
            "before": asked.words.money(rounding.minor(before), cents=True),
            "after": asked.words.money(rounding.minor(after), cents=True),
        },
        shared(exact, total),
        [
            column("line", _("Line")),
            column("what", _("What happened")),
            column("invoice", _("Invoice")),
            column("period", _("Covers")),
        ],
        _rows(asked),
        lambda n: ngettext("%d invoice line", "%d invoice lines", n) % n,
        links=((_("Open the customer"), customer_url(asked.tenant, customer.public_id)),),
    )


def _place_of(asked: Question) -> tuple[CustomerFigure, int]:
    """The customer's figures and the month's place in them; raises Http404 for none."""
    public_id = narrowing.readable_id(asked.figure.removeprefix(CHANGE))
    figures = CustomerFigure.objects.filter(customer__public_id=public_id)
    found = figures.select_related("customer").first() if public_id else None
    if found is None or not 0 <= asked.index - found.first_month < len(found.mrr_e4):
        raise Http404
    return found, asked.index - found.first_month


def _came_and_ended(customer: Customer, index: int) -> list[tuple[int, int]]:
    """The lines that begin to stand in the month, and less those that stood last before it."""
    lines = LineFigure.objects.filter(customer=customer, counted=True).exclude(mrr_e4=0)
    came = lines.filter(from_month=index, to_month__gt=index).values_list("pk", "mrr_e4")
    ended = lines.filter(from_month__lt=index, to_month=index).values_list("pk", "mrr_e4")
    return [*came, *((pk, -e4) for pk, e4 in ended)]


def _rows(asked: Question) -> Rows:
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
            word = _("Came") if made.from_month == asked.index else _("Ended")
            number = {"text": str(invoice), "url": invoice_url(asked.tenant, invoice.public_id)}
            yield made.line.name, [word, number, covered(made, asked.words)], ""

    return rows


def _listed(asked: Question, figure: CustomerFigure) -> int | None:
    """What the customer is listed with under the month's movement; None where it made none."""
    names: dict[int, str] = {number: name for name, number in growth.MOVEMENTS.items()}
    place = asked.index - figure.first_month
    name = names.get(figure.moves[place]) if place < len(figure.moves) else None
    if name is None:
        return None
    # Of the month itself, whatever the page before this one showed.
    own = replace(asked, query={})
    parts = growth.movement(own, name, stretch(own)).parts
    return next((part.minor for part in parts if part.key.pk == figure.pk), None)
