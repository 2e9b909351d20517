"""Subscriptions found in the books: what each brings in a month, and why it is one."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import Any

from django.db.models import Count, Q
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from calqsync.jobs.models import JobState
from calqsync.jobs.services import live_job
from calqsync.tenancy.models import Tenant
from integrations.models import Product
from reporting.domain import rounding
from reporting.models import REFRESH, Report, Subscription, SubscriptionDecision
from reporting.selectors import frame, listing, narrowing, reasons
from reporting.selectors.frame import Words
from reporting.selectors.listing import Column, Listing

RUNNING = ("active", "late")
_SOON = timedelta(minutes=5)
_TABS: dict[str, tuple[str, ...]] = {
    "": RUNNING,
    "active": ("active",),
    "late": ("late",),
    "detected": ("detected",),
    "future": ("future",),
    "paused": ("paused",),
    "churned": ("churned",),
    "rejected": ("rejected",),
}
# Badges of parts.STATUSES where ours differ in name.
_BADGES = {"future": "queued", "detected": "review"}


def state_words() -> dict[str, str]:
    """A word for each status, and for the tab of all that run now."""
    return {
        "": _("Running"),
        "active": _("Active"),
        "late": _("Late"),
        "detected": _("To review"),
        "future": _("Not started"),
        "paused": _("Paused"),
        "churned": _("Ended"),
        "rejected": _("Rejected"),
    }


def badge(subscription: Any) -> dict[str, str]:
    status = subscription.status
    return {"text": state_words().get(status, status), "badge": _BADGES.get(status, status)}


def recomputing() -> bool:
    """Whether figures are being computed now, so that a page may say that they will change."""
    job = live_job(kind=REFRESH)
    # The same row waits for the next midnight once the figures are made.
    return job is not None and (
        job.state == JobState.LEASED or job.run_after <= timezone.now() + _SOON
    )


@dataclass(frozen=True, slots=True)
class SubscriptionsList:
    """The list with its tabs; `recomputing` while figures that will change it are made."""

    listing: Listing
    tabs: list[dict[str, Any]]
    recomputing: bool
    unreviewed: int


def subscriptions_list(
    *,
    tenant: Tenant,
    query: Mapping[str, str],
    buttons: Callable[[Any], Any] | None = None,
) -> SubscriptionsList:
    """The subscriptions that the address asks for; `buttons` draws what a member may say."""
    words = frame.words_for(tenant)
    accounts = narrowing.accounts(query, words, "customer__connection")
    said = narrowing.choice(
        query,
        "found",
        _("Found"),
        [("", _("All")), ("detected", _("Detected")), ("confirmed", _("Confirmed"))],
    )
    customer, product = narrowing.one_customer(query), _products(query)
    rows = Subscription.objects.select_related("customer__connection", "product").filter(
        accounts.where
    )
    if said.value:
        rows = rows.filter(confirmed=said.value == "confirmed")
    if customer.pk is not None:
        rows = rows.filter(customer=customer.pk)
    if product.value:
        rows = rows.filter(product__public_id=product.value)
    if word := narrowing.searched(query):
        rows = rows.filter(Q(customer__name__icontains=word) | Q(product_name__icontains=word))
    running = recomputing()
    tab = query.get("status", "")
    tab = tab if tab in _TABS else ""
    reviewing = tab == "detected" or said.value == "detected"
    tabs = _tabs(rows, tab, query, words)
    made = Listing(
        caption=_("Subscriptions"),
        rows=rows.filter(status__in=_TABS[tab]),
        columns=_columns(words, accounts, buttons if reviewing else None),
        default_sort="-mrr",
        query=query,
        words=words,
        counted=lambda n: ngettext("%d subscription", "%d subscriptions", n) % n,
        url=lambda row: reverse("subscription", args=[tenant.slug, row.public_id]),
        nothing=_nothing_here(tenant, tabs),
        search_label=_("Search by customer or product"),
        filters=narrowing.given(product.control, said.control, accounts.control, customer.control),
        keep=[("status", tab)] if tab else [],
        prepare=partial(_mark_changed, recomputing=running),
    )
    unreviewed = Subscription.objects.filter(Subscription.open_to_review()).count()
    return SubscriptionsList(made, tabs, running, unreviewed)


def _nothing_here(tenant: Tenant, tabs: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """What the tab of running ones says when it is empty, but another one is not."""
    other = next((tab for tab in tabs if tab["number"]), None)
    if other is None:
        return narrowing.nothing(tenant, _("No subscriptions yet"), "subscriptions")
    return {
        "icon": "subscriptions",
        "title": _("None runs now"),
        "text": _("See “%(tab)s”.") % {"tab": other["label"]},
        "url": other["url"],
        "action": other["label"],
    }


def _products(query: Mapping[str, str]) -> narrowing.Choice:
    """The products that have subscriptions, as a filter."""
    found = (
        Product.objects.filter(pk__in=Subscription.objects.values("product"))
        .order_by("sort_key", "pk")
        .values_list("public_id", "name")[:200]
    )
    options = [("", _("All")), *((str(public_id), name) for public_id, name in found)]
    return narrowing.thing(query, "product", _("Product"), options)


def product_column() -> Column:
    return listing.text("product", _("Product"), lambda row: row.product_name, order="product_name")


def status_column(cell: Callable[[Any], Any]) -> Column:
    return listing.text(
        "status", _("Status"), lambda row: badge(row)["text"], order="status", cell=cell
    )


def period_column() -> Column:
    return listing.text(
        "period", _("Billed"), lambda row: reasons.period(row.period_months), order="period_months"
    )


def covered_column(words: Words) -> Column:
    return listing.day(
        "end",
        _("Covered to"),
        words,
        lambda row: row.last_end - timedelta(days=1),
        order="last_end",
        hint=_("The last day that has been invoiced"),
    )


def _columns(
    words: Words,
    accounts: narrowing.Accounts,
    buttons: Callable[[Any], Any] | None,
) -> list[listing.Column]:
    def status(row: Any) -> dict[str, Any]:
        return {**badge(row), "sub": _("being counted") if row.changed else ""}

    def why(row: Any) -> str:
        return reasons.sentence(row.reason, row.reason_params)

    def sure(row: Any) -> str:
        return _("Confirmed") if row.confirmed else reasons.confidence(row.confidence)

    columns = [
        listing.text(
            "customer",
            _("Customer"),
            lambda row: row.customer.name,
            order="customer__sort_key",
            cell=narrowing.under(accounts, lambda row: row.customer.name),
        ),
        product_column(),
        *narrowing.account_column(accounts),
        status_column(status),
        period_column(),
        listing.day("start", _("Start"), words, lambda row: row.first_start, order="first_start"),
        covered_column(words),
        listing.share("mrr", _("MRR"), words, "mrr_e4"),
        listing.text(
            "confidence",
            _("Why"),
            lambda row: f"{sure(row)}. {why(row)}",
            order="confidence",
            cell=lambda row: {"text": sure(row), "sub": why(row)},
        ),
    ]
    if buttons is not None:
        columns.append(
            Column(
                key="say",
                label=_("Your word"),
                value=lambda row: "",
                cell=lambda row: "" if row.confirmed or row.status == "rejected" else buttons(row),
                in_file=False,
            )
        )
    return columns


def _mark_changed(rows: Sequence[Any], *, recomputing: bool) -> None:
    """Say of each row whether a person decided on it after the figures were published."""
    changed: set[str] = set()
    if rows and recomputing:
        published = Report.objects.values("published_at")[:1]
        keys = [row.key for row in rows]
        said = SubscriptionDecision.objects.filter(key__in=keys, at__gt=published)
        changed = set(said.values_list("key", flat=True))
    for row in rows:
        row.changed = row.key in changed


def _tabs(rows: Any, chosen: str, query: Mapping[str, str], words: Words) -> list[dict[str, Any]]:
    counts = dict(
        rows.order_by().values("status").annotate(n=Count("pk")).values_list("status", "n")
    )
    names = state_words()
    keep = narrowing.address(query, without=("status", "page", "format"))
    tabs = []
    for tab, states in _TABS.items():
        number = sum(counts.get(state, 0) for state in states)
        if number or tab in ("", "active", "detected", chosen):
            tabs.append(
                {
                    "label": names[tab],
                    "url": "?" + narrowing.address(keep, status=tab).urlencode(),
                    "active": tab == chosen,
                    "count": words.count(number),
                    "number": number,
                }
            )
    return tabs


def subscriptions_table(*, tenant: Tenant, customer: Any, words: Words) -> dict[str, Any] | None:
    """The subscriptions of one customer, those that run now first; None where there are none."""
    found = sorted(
        Subscription.objects.filter(customer=customer),
        key=lambda row: (row.status not in RUNNING, -row.mrr_e4, row.product_name),
    )
    if not found:
        return None
    return {
        "id": "subscriptions",
        "caption": _("Subscriptions"),
        "currency": words.currency,
        "head": [
            _("Product"),
            *(
                {"label": label, "words": True}
                for label in (_("Status"), _("Billed"), _("Start"), _("Covered to"))
            ),
            _("MRR"),
        ],
        "rows": [
            {
                "label": row.product_name,
                "url": reverse("subscription", args=[tenant.slug, row.public_id]),
                "cells": [
                    {**badge(row), "words": True},
                    {"text": reasons.period(row.period_months), "words": True},
                    {"text": words.day(row.first_start), "words": True},
                    {"text": words.day(row.last_end - timedelta(days=1)), "words": True},
                    words.amount(rounding.minor(row.mrr_e4)),
                ],
            }
            for row in found
        ],
    }
