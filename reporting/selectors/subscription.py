"""The page of one subscription: its facts, why it was found, and the invoices behind it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.urls import reverse
from django.utils.html import format_html
from django.utils.translation import gettext as _

from calqsync.tenancy.models import Tenant
from reporting.domain import rounding
from reporting.models import LineFigure, Report, Subscription, SubscriptionDecision
from reporting.selectors import frame, listing, narrowing, reasons, timelines
from reporting.selectors.frame import Words
from reporting.selectors.payments import number_of
from reporting.selectors.subscriptions import badge


@dataclass(frozen=True, slots=True)
class SubscriptionPage:
    """Everything that the page of one subscription shows."""

    title: str
    badge: dict[str, str]
    reasons: list[str]
    said: str
    facts: list[dict[str, Any]]
    picture: dict[str, Any] | None
    timeline: dict[str, Any]
    others: list[tuple[str, str]]
    """Other subscriptions of the customer in its currency: public id and name."""
    parts: int
    """How many were merged into it."""
    decision: Any
    changed: bool


def subscription_page(
    *, tenant: Tenant, subscription: Any, may_change: bool = False
) -> SubscriptionPage:
    """One subscription of the tenant in scope, with the invoices behind it.

    For whoever may change it, rows can be ticked and other subscriptions are named.
    """
    words = frame.words_for(tenant)
    figures = list(
        LineFigure.objects.filter(subscription=subscription)
        .select_related("line__invoice")
        .order_by("-start", "-pk")
    )
    decisions = SubscriptionDecision.objects.filter(key=subscription.key).select_related("by")
    decision = decisions.defer("by__password").first()
    published = Report.objects.values_list("published_at", flat=True).first()
    return SubscriptionPage(
        title=_("%(customer)s: %(product)s")
        % {"customer": subscription.customer.name, "product": subscription.product_name},
        badge=badge(subscription),
        reasons=reasons.evidence(subscription),
        said=_said(decision, words),
        facts=_facts(tenant, subscription, decision, words),
        picture=_picture(subscription, figures, words),
        timeline=_timeline(tenant, subscription, figures, words, pick=may_change),
        others=_others(subscription) if may_change else [],
        parts=SubscriptionDecision.objects.filter(merged_into=subscription.key).count(),
        decision=decision,
        changed=decision is not None and (published is None or decision.at > published),
    )


def _said(decision: Any, words: Words) -> str:
    if decision is None:
        return ""
    values = {
        "who": str(decision.by) if decision.by else _("Someone"),
        "when": words.day(decision.at.astimezone(words.zone).date()),
    }
    if decision.verdict == "rejected":
        return _("%(who)s rejected it on %(when)s.") % values
    return _("%(who)s confirmed it on %(when)s.") % values


def _facts(tenant: Tenant, subscription: Any, decision: Any, words: Words) -> list[dict[str, Any]]:
    customer, product = subscription.customer, subscription.product
    facts: list[dict[str, Any]] = [
        {
            "term": _("Customer"),
            "text": customer.name,
            "url": reverse("customer", args=[tenant.slug, customer.public_id]),
        },
        {
            "term": _("Product"),
            "text": subscription.product_name,
            "url": reverse("product", args=[tenant.slug, product.public_id]) if product else "",
        },
        {
            "term": _("MRR"),
            "text": words.money(rounding.minor(subscription.mrr_e4), cents=True),
            "hint": "" if subscription.counted else _("Not counted until you confirm it"),
            "num": True,
        },
        {"term": _("Billed"), "text": reasons.period(subscription.period_months)},
        {"term": _("Start"), "text": words.day(subscription.first_start)},
        {
            "term": _("Covered to"),
            "text": words.day(subscription.last_end - timedelta(days=1)),
        },
        {
            "term": _("Confidence"),
            "text": _("Confirmed") if subscription.confirmed else reasons.sureness(subscription),
        },
        {
            "term": _("Renewal probability"),
            "text": words.rate(subscription.renewal_percent * 10_000),
            "hint": _("You said so")
            if decision and decision.renewal_percent is not None
            else _("From how it was renewed so far"),
            "num": True,
        },
    ]
    if subscription.currency != words.currency:
        facts.append({"term": _("Invoiced in"), "text": subscription.currency})
    facts.append(narrowing.account_fact(tenant, customer.connection))
    return facts


def _others(subscription: Any) -> list[tuple[str, str]]:
    """What it may be merged with, and its rows be moved to."""
    found = (
        Subscription.objects.filter(
            customer=subscription.customer_id, currency=subscription.currency
        )
        .exclude(pk=subscription.pk)
        .order_by("product_name", "first_start")
    )
    return [(str(one.public_id), _named(one)) for one in found[:100]]


def _named(subscription: Any) -> str:
    return _("%(product)s, %(period)s, from %(start)s") % {
        "product": subscription.product_name,
        "period": reasons.period(subscription.period_months).lower(),
        "start": subscription.first_start.isoformat(),
    }


def _picture(subscription: Any, figures: Sequence[Any], words: Words) -> dict[str, Any] | None:
    as_of = Report.objects.values_list("as_of", flat=True).first()
    steps = [
        timelines.Step(
            subscription.pk,
            figure.line.invoice.date,
            figure.line.net_acc_minor,
            figure.start,
            figure.end,
        )
        for figure in figures
    ]
    steps.sort(key=lambda step: step.day)
    return timelines.timeline(
        steps=steps,
        last_end=subscription.last_end,
        as_of=as_of or subscription.last_end,
        words=words,
        ident="picture",
    )


def _timeline(
    tenant: Tenant, subscription: Any, figures: Sequence[Any], words: Words, *, pick: bool
) -> dict[str, Any]:
    head: list[Any] = [
        _("Invoice"),
        *({"label": label, "words": True} for label in (_("Date"), _("Row"), _("Covers"))),
        _("Net"),
        {"label": _("MRR"), "hint": _("The row's share of a month while it runs")},
    ]
    rows = [_step(tenant, subscription, figure, words) for figure in figures]
    if pick:
        head.append({"label": _("Tick"), "words": True})
        for row, figure in zip(rows, figures, strict=True):
            row["cells"].append({"text": _tick(figure.line), "words": True})
    return {
        "id": "timeline",
        "caption": _("Invoices behind it"),
        "currency": words.currency,
        "note": _("Newest first"),
        "head": head,
        "rows": rows,
    }


def _tick(line: Any) -> Any:
    """A box of the form that splits rows off or moves them."""
    return format_html(
        '<input type="checkbox" form="rows" name="row" value="{}:{}" aria-label="{}">',
        line.invoice.public_id,
        line.position,
        _("Tick the row of invoice %(number)s") % {"number": number_of(line.invoice)},
    )


def _step(tenant: Tenant, subscription: Any, figure: Any, words: Words) -> dict[str, Any]:
    invoice = figure.line.invoice
    row = {"text": figure.line.name, "words": True}
    if figure.reason != subscription.reason:
        row["sub"] = reasons.sentence(figure.reason, figure.reason_params)
    covers = {"text": reasons.span(words, figure.start, figure.end), "words": True}
    covers["sub"] = reasons.source(figure.source)
    if figure.late:
        covers["sub"] = _("Counts on: its next invoice is awaited")
    return {
        "label": number_of(invoice),
        "url": reverse("invoice", args=[tenant.slug, invoice.public_id]),
        "cells": [
            {"text": listing.whole(words.day(invoice.date)), "words": True},
            row,
            covers,
            words.amount(figure.line.net_acc_minor),
            words.amount(rounding.minor(figure.mrr_e4)),
        ],
    }
