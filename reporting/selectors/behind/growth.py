"""MRR, its movements and the customers who pay: lines and customers behind them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date, timedelta
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
from reporting.selectors.behind.kinds import Kind, Part, column, customer_url, invoice_url
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
    lines = list(
        LineFigure.objects.filter(counted=True, from_month__lte=index, to_month__gt=index)
        .exclude(mrr_e4=0)
        .order_by("-mrr_e4", "pk")
        .values_list("pk", "mrr_e4")
    )
    extra = [row for row in body["adjustments"] if row["month"] == month]
    keys: list[Any] = [pk for pk, _e4 in lines] + extra
    exact = [e4 for _pk, e4 in lines] + [row["amount_e4"] for row in extra]
    shares = rounding.share_out([e4 * times for e4 in exact], total)
    parts = [Part(key, int(share)) for key, share in zip(keys, shares, strict=True)]

    return _line_kind(tenant, title, lead, parts, words)


def signed(tenant: Tenant, month: str, index: int, body: Body, words: Words) -> Kind:
    """The lines that were invoiced by the snapshot for service that begins after it."""
    row = month_row(body, month)
    after = frame.month_start(frame.month_text(index + 1))
    day = min(after - timedelta(days=1), date.fromisoformat(body["as_of"]))
    lines = LineFigure.objects.filter(counted=True, line__invoice__date__lte=day, start__gt=day)
    title = _("Invoiced, not yet begun: %(month)s") % {"month": words.month(month, long=True)}
    return mrr_lines(tenant, lines.exclude(mrr_e4=0), row["contracted_minor"], title, words)


def mrr_lines(
    tenant: Tenant, lines: QuerySet[LineFigure], total: int, title: str, words: Words
) -> Kind:
    """These lines, each with its share of a month, adding up to `total`."""
    found = list(lines.order_by("-mrr_e4", "pk").values_list("pk", "mrr_e4"))
    shares = rounding.share_out([e4 for _pk, e4 in found], total)
    parts = [Part(pk, int(share)) for (pk, _e4), share in zip(found, shares, strict=True)]
    lead = _("Every invoice line that covers the snapshot day, with its share of a month.")
    return _line_kind(tenant, title, lead, parts, words)


def _line_kind(tenant: Tenant, title: str, lead: str, parts: list[Part], words: Words) -> Kind:
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


def movement(
    tenant: Tenant,
    figure: str,
    month_name: str,
    month: str,
    index: int,
    body: Body,
    words: Words,
) -> Kind:
    total = month_row(body, month)[f"{figure}_minor"]
    sign = -1 if figure in {"contraction", "churn", "paused"} else 1
    changes = []
    for pk, first, mrr, fx, moves in CustomerFigure.objects.filter(
        first_month__lte=index
    ).values_list("pk", "first_month", "mrr_e4", "fx_e4", "moves"):
        i = index - first
        if i >= len(mrr):
            continue
        if figure == "fx":
            change = fx[i] if i < len(fx) else 0
        elif i < len(moves) and moves[i] == MOVEMENTS[figure]:
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
            url = frame.behind(tenant, f"change-{customer.public_id}", month)
            yield customer.name, amounts, url

    names = movement_names()
    return Kind(
        _("%(movement)s of %(month)s") % {"movement": names[figure], "month": month_name},
        _(
            "Customers whose recurring revenue changed between the two month ends. What exchange"
            " rates alone changed stands in the FX row and is left out here."
        )
        if figure != "fx"
        else _("What exchange rates alone changed between the two month ends."),
        parts,
        [
            column("customer", _("Customer")),
            {"key": "before", "label": _("MRR before"), "numeric": True},
            {"key": "after", "label": _("MRR after"), "numeric": True},
        ],
        rows,
        lambda n: ngettext("%d customer", "%d customers", n) % n,
    )
