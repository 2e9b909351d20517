"""MRR, its movements and the customers who pay: lines and customers behind them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import timedelta
from typing import Any

from django.db.models import QuerySet
from django.http import Http404
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from calqsync.tenancy.models import Tenant
from reporting.body import Body
from reporting.domain import rounding
from reporting.domain.movements import Movement
from reporting.models import CustomerFigure, LineFigure
from reporting.selectors import frame
from reporting.selectors.behind.kinds import (
    Kind,
    Part,
    Rows,
    column,
    customer_url,
    invoice_url,
)
from reporting.selectors.behind.steps import Stretch
from reporting.selectors.frame import Words
from reporting.selectors.movements import movement_names


def month_row(body: Body, month: str) -> Any:
    row = next((row for row in body["months"] if row["month"] == month), None)
    if row is None:
        raise Http404
    return row


def mrr(tenant: Tenant, month_name: str, month: str, index: int, body: Body, words: Words) -> Kind:
    """The lines that cover the snapshot day, each with its share of a month."""
    return _covering(
        tenant,
        month,
        index,
        body,
        words,
        times=1,
        total=month_row(body, month)["mrr_minor"],
        title=_("MRR of %(month)s") % {"month": month_name},
        lead=_("Every invoice line that covers the snapshot day, with its share of a month."),
    )


def arr(tenant: Tenant, month_name: str, month: str, index: int, body: Body, words: Words) -> Kind:
    """The same lines over a year."""
    return _covering(
        tenant,
        month,
        index,
        body,
        words,
        times=12,
        total=month_row(body, month)["arr_minor"],
        title=_("Annual run rate of %(month)s") % {"month": month_name},
        lead=_("Every invoice line that covers the snapshot day: its share of a month × 12."),
    )


def _covering(
    tenant: Tenant,
    month: str,
    index: int,
    body: Body,
    words: Words,
    *,
    times: int,
    total: int,
    title: str,
    lead: str,
) -> Kind:
    found = covering(month, index, body)
    shares = rounding.share_out([e4 * times for _key, e4 in found], total)
    parts = [Part(key, int(share)) for (key, _e4), share in zip(found, shares, strict=True)]
    return line_kind(tenant, title, lead, parts, words)


def covering(month: str, index: int, body: Body) -> list[tuple[Any, int]]:
    """The lines that stand in a month's snapshot, and what lifts customers to 0, with their MRR."""
    lines = (
        LineFigure.objects.filter(counted=True, from_month__lte=index, to_month__gt=index)
        .exclude(mrr_e4=0)
        .order_by("-mrr_e4", "pk")
        .values_list("pk", "mrr_e4")
    )
    extra = [(row, row["amount_e4"]) for row in body["adjustments"] if row["month"] == month]
    return [*lines, *extra]


def mrr_lines(
    tenant: Tenant, lines: QuerySet[LineFigure], total: int, title: str, words: Words
) -> Kind:
    """These lines, each with its share of a month, adding up to `total`."""
    found = list(lines.order_by("-mrr_e4", "pk").values_list("pk", "mrr_e4"))
    shares = rounding.share_out([e4 for _pk, e4 in found], total)
    parts = [Part(pk, int(share)) for (pk, _e4), share in zip(found, shares, strict=True)]
    lead = _("Every invoice line that covers the snapshot day, with its share of a month.")
    return line_kind(tenant, title, lead, parts, words)


def line_kind(tenant: Tenant, title: str, lead: str, parts: list[Part], words: Words) -> Kind:
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
            number = {"text": str(invoice), "url": invoice_url(tenant, invoice.public_id)}
            yield (
                made.customer.name,
                [made.line.name, number, span],
                customer_url(tenant, made.customer.public_id),
            )

    return Kind(
        title,
        lead,
        parts,
        [
            column("customer", _("Customer")),
            column("line", _("Line")),
            column("invoice", _("Invoice")),
            column("period", _("Covers")),
        ],
        rows,
        lambda n: ngettext("%d invoice line", "%d invoice lines", n) % n,
    )


def customers(
    tenant: Tenant, month_name: str, month: str, index: int, body: Body, words: Words
) -> Kind:
    """The customers who pay on the snapshot day, with what each brings a month."""
    paying = []
    for pk, first, series in CustomerFigure.objects.filter(first_month__lte=index).values_list(
        "pk", "first_month", "mrr_e4"
    ):
        place = index - first
        if place < len(series) and series[place] > 0:
            paying.append((pk, series[place]))
    paying.sort(key=lambda row: (-row[1], row[0]))
    shares = rounding.share_out([e4 for _pk, e4 in paying], month_row(body, month)["mrr_minor"])

    def rows(shown: Sequence[Part]) -> Iterable[tuple[Any, list[Any], str]]:
        found = CustomerFigure.objects.select_related("customer").in_bulk(
            [part.key for part in shown]
        )
        for part in shown:
            customer = found[part.key].customer
            yield customer.name, [customer.business_id], customer_url(tenant, customer.public_id)

    return Kind(
        _("Customers of %(month)s") % {"month": month_name},
        _("Customers with recurring revenue on the snapshot day, and their MRR."),
        [Part(pk, int(share)) for (pk, _e4), share in zip(paying, shares, strict=True)],
        [column("customer", _("Customer")), column("business_id", _("Business id"))],
        rows,
        lambda n: ngettext("%d customer", "%d customers", n) % n,
        counts_rows=True,
    )


MOVEMENTS = {
    "new": Movement.NEW,
    "reactivation": Movement.REACTIVATION,
    "expansion": Movement.EXPANSION,
    "contraction": Movement.CONTRACTION,
    "churn": Movement.CHURN,
    "paused": Movement.PAUSE,
}


def movement(tenant: Tenant, figure: str, found: Stretch, words: Words) -> Kind:
    """The customers behind one movement of a month, quarter or year, or behind exchange rates."""
    sign = -1 if figure in {"contraction", "churn", "paused"} else 1
    moved = [
        (one, one.fx if figure == "fx" else one.change * sign)
        for one in found.steps(words.currency)
        if (one.fx if figure == "fx" else one.kind == MOVEMENTS[figure])
    ]
    moved.sort(key=lambda pair: (-abs(pair[1]), pair[0].pk, pair[0].index))
    shares = rounding.share_out([exact for _one, exact in moved], found.row[f"{figure}_minor"])
    return Kind(
        _("%(movement)s of %(month)s")
        % {"movement": movement_names()[figure], "month": found.name},
        _moved_between(figure, found),
        [Part(one, int(share) * sign) for (one, _exact), share in zip(moved, shares, strict=True)],
        [
            column("customer", _("Customer")),
            *([column("month", _("Month"))] if found.summed else []),
            {"key": "before", "label": _("MRR before"), "numeric": True},
            {"key": "after", "label": _("MRR after"), "numeric": True},
        ],
        _step_rows(tenant, found, words),
        lambda n: ngettext("%d customer", "%d customers", n) % n,
    )


def _moved_between(figure: str, found: Stretch) -> str:
    if figure == "fx":
        if found.length > 1 and not found.summed:
            return _("What exchange rates alone changed between the period's two ends.")
        return _("What exchange rates alone changed between the two month ends.")
    if found.summed:
        return _("Customers whose recurring revenue changed in a month of the period, by month.")
    if found.length > 1:
        return _(
            "Customers whose recurring revenue differs between the period's two ends. What"
            " exchange rates alone changed stands in the FX row and is left out here."
        )
    return _(
        "Customers whose recurring revenue changed between the two month ends. What exchange"
        " rates alone changed stands in the FX row and is left out here."
    )


def _step_rows(tenant: Tenant, found: Stretch, words: Words) -> Rows:
    """Customers with what they paid at both ends; one of a month opens the lines of its change."""

    def rows(shown: Sequence[Part]) -> Iterable[tuple[Any, list[Any], str]]:
        known = CustomerFigure.objects.select_related("customer").in_bulk(
            [part.key.pk for part in shown]
        )
        for part in shown:
            one, customer = part.key, known[part.key.pk].customer
            month = frame.month_text(one.index)
            amounts = [words.amount(rounding.minor(value)) for value in (one.before, one.after)]
            if found.length > 1 and not found.summed:
                yield customer.name, amounts, customer_url(tenant, customer.public_id)
                continue
            url = frame.behind(tenant, f"change-{customer.public_id}", month)
            yield customer.name, [words.month(month), *amounts] if found.summed else amounts, url

    return rows
