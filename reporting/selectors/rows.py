"""One invoice row: what it says, and what detection made of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.urls import reverse
from django.utils.translation import gettext as _

from calqsync.tenancy.models import Tenant
from reporting.domain import rounding
from reporting.models import LineFigure
from reporting.selectors import frame, reasons
from reporting.selectors.payments import number_of


@dataclass(frozen=True, slots=True)
class RowPage:
    """Everything that the page of one row shows beside its form."""

    title: str
    reason: str
    crumb: str
    crumb_url: str
    facts: list[dict[str, Any]]


def row_page(*, tenant: Tenant, invoice: Any, line: Any) -> RowPage:
    """A row of an invoice of the tenant in scope."""
    words = frame.words_for(tenant, invoice.connection.currency)
    figure = LineFigure.objects.filter(line=line).select_related("subscription").first()
    facts: list[dict[str, Any]] = [
        {"term": _("Customer"), "text": invoice.customer_name},
        {"term": _("Net"), "text": words.money(line.net_acc_minor, cents=True), "num": True},
    ]
    if figure is not None:
        facts.append({"term": _("Type"), "text": reasons.line_type(figure.type)})
        if figure.start:
            span = reasons.span(words, figure.start, figure.end)
            facts.append({"term": _("Covers"), "text": span, "hint": reasons.source(figure.source)})
        if figure.counted:
            mrr = words.money(rounding.minor(figure.mrr_e4), cents=True)
            facts.append({"term": _("MRR"), "text": mrr, "num": True})
        if figure.subscription:
            url = reverse("subscription", args=[tenant.slug, figure.subscription.public_id])
            name = figure.subscription.product_name
            facts.append({"term": _("Part of"), "text": name, "url": url})
    return RowPage(
        title=line.name,
        reason=reasons.sentence(figure.reason, figure.reason_params) if figure else "",
        crumb=_("Invoice %(number)s") % {"number": number_of(invoice)},
        crumb_url=reverse("invoice", args=[tenant.slug, invoice.public_id]),
        facts=facts,
    )
