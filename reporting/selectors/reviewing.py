"""The review: what was found and nobody decided on, surest first, with what speaks for it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from django.core.paginator import Page
from django.db.models import Count, Q, QuerySet, Sum
from django.urls import reverse
from django.utils.translation import gettext as _

from calqsync.tenancy.models import Tenant
from integrations.models import Connection
from reporting.domain import rounding
from reporting.models import Report, ReportSettings, Subscription
from reporting.selectors import edits, frame, listing, narrowing, reasons, timelines
from reporting.selectors.frame import Words
from reporting.selectors.subscriptions import badge, recomputing

PAGE = 10
PRODUCTS = 12
EDITS = 5
_TABS = {"": Q(), "waiting": Q(status="detected"), "counted": ~Q(status="detected")}


@dataclass(frozen=True, slots=True)
class ReviewPage:
    """Everything that the review shows."""

    reviewed: int
    total: int
    progress: str
    certain: int
    waiting: str
    """What would count if all that waits were confirmed; "" when nothing waits."""
    tabs: list[dict[str, Any]]
    cards: list[dict[str, Any]]
    page: Page[Any]
    empty: dict[str, Any] | None
    products: list[dict[str, Any]]
    default_period: int
    periods: list[tuple[int, str]]
    edits: list[dict[str, Any]]
    recomputing: bool


def review_page(*, tenant: Tenant, query: Mapping[str, str], periods: Any) -> ReviewPage:
    """The candidates that the address asks for; `periods` are those a person may choose."""
    words = frame.words_for(tenant)
    is_open = Subscription.open_to_review()
    waits = is_open & Q(status="detected")
    counts = Subscription.objects.aggregate(
        total=Count("pk"),
        all=Count("pk", filter=is_open),
        certain=Count("pk", filter=is_open & Q(confidence="high")),
        waiting=Count("pk", filter=waits),
        waiting_e4=Sum("mrr_e4", filter=waits, default=0),
    )
    counts["counted"] = counts["all"] - counts["waiting"]
    tab = query.get("show", "") if query.get("show") in _TABS else ""
    open_ones = Subscription.objects.filter(is_open)
    rows = open_ones.filter(_TABS[tab]).select_related("customer", "product")
    ordered = rows.order_by("-score", "-mrr_e4", "pk")
    page = listing.Counted(ordered, PAGE, counts[tab or "all"]).get_page(query.get("page"))
    total = counts["total"]
    settings = ReportSettings.objects.only("default_period_months").first() or ReportSettings()
    done = total - counts["all"]
    return ReviewPage(
        reviewed=done,
        total=total,
        progress=_("%(done)s of %(all)s reviewed")
        % {"done": words.count(done), "all": words.count(total)},
        certain=counts["certain"],
        waiting=words.money(rounding.minor(int(counts["waiting_e4"])), cents=True)
        if counts["waiting"]
        else "",
        tabs=_tabs(query, tab, counts, words),
        cards=_cards(tenant, list(page), words),
        page=page,
        empty=None if counts["all"] and page.object_list else _empty(tenant, total, counts["all"]),
        products=_products(tenant, open_ones, words),
        default_period=settings.default_period_months,
        periods=[(months, reasons.period(months)) for months in periods if months > 0],
        edits=edits.latest(tenant, words, EDITS),
        recomputing=recomputing(),
    )


def _tabs(
    query: Mapping[str, str], tab: str, counts: Mapping[str, int], words: Words
) -> list[dict[str, Any]]:
    names = [
        ("", _("All to review"), counts["all"]),
        ("waiting", _("Not counted yet"), counts["waiting"]),
        ("counted", _("Counted already"), counts["counted"]),
    ]
    return [
        {
            "label": label,
            "url": "?" + narrowing.address(query, without=("page",), show=name).urlencode()
            if name
            else "?",
            "active": name == tab,
            "count": words.count(number),
        }
        for name, label, number in names
    ]


def _empty(tenant: Tenant, total: int, left: int) -> dict[str, Any]:
    if total and left:
        return {
            "icon": "check",
            "title": _("None of this kind"),
            "text": _("What is left to review stands under another tab."),
            "url": "?",
            "action": _("Show all to review"),
        }
    if total:
        return {
            "icon": "check",
            "title": _("Everything is reviewed"),
            "text": _("New candidates appear here after an import; what you rejected does not."),
            "url": reverse("subscriptions", args=[tenant.slug]),
            "action": _("Open subscriptions"),
        }
    if Connection.objects.exists():
        return {
            "icon": "subscriptions",
            "title": _("Nothing was found yet"),
            "text": _(
                "Candidates appear once invoices are imported. An invoice row can also be"
                " made a subscription on the invoice's page."
            ),
            "url": reverse("invoices", args=[tenant.slug]),
            "action": _("Open invoices"),
        }
    return narrowing.nothing(tenant, _("Nothing to review yet"), "subscriptions")


def _cards(tenant: Tenant, found: list[Any], words: Words) -> list[dict[str, Any]]:
    if not found:
        return []
    steps = timelines.steps_of([row.pk for row in found])
    as_of = Report.objects.values_list("as_of", flat=True).first()
    return [_card(tenant, row, steps.get(row.pk, []), as_of, words) for row in found]


def _card(
    tenant: Tenant, row: Any, steps: list[timelines.Step], as_of: date | None, words: Words
) -> dict[str, Any]:
    url = reverse("subscription", args=[tenant.slug, row.public_id])
    return {
        "public_id": row.public_id,
        "customer": row.customer.name,
        "product": row.product_name,
        "url": url,
        "badge": badge(row),
        "sure": reasons.sureness(row),
        "stake": stake(row, words),
        "billed": reasons.period(row.period_months),
        "covers": _("%(first)s – %(last)s")
        % {
            "first": words.day(row.first_start),
            "last": words.day(row.last_end - timedelta(days=1)),
        },
        "reasons": reasons.evidence(row),
        "timeline": timelines.timeline(
            steps=steps,
            last_end=row.last_end,
            as_of=as_of or row.last_end,
            words=words,
            ident=f"t-{row.public_id}",
        ),
    }


def stake(subscription: Any, words: Words) -> str:
    """What a decision on it moves today."""
    amount = words.money(rounding.minor(subscription.mrr_e4), cents=True)
    if subscription.status == "detected":
        return _("%(amount)s of MRR waits until you confirm it") % {"amount": amount}
    if subscription.mrr_e4 > 0:
        return _("%(amount)s of MRR counts now, and goes if you reject it") % {"amount": amount}
    if subscription.status == "future":
        return _("Counts from its first day on")
    return _("Counts in past months only")


def _products(tenant: Tenant, open_ones: QuerySet[Any], words: Words) -> list[dict[str, Any]]:
    """Products of what is left to review, those with the most MRR first."""
    found = (
        open_ones.filter(product__isnull=False)
        .values("product__public_id", "product__name")
        .annotate(number=Count("pk"), mrr=Sum("mrr_e4"))
        .order_by("-mrr", "product__name")[:PRODUCTS]
    )
    return [
        {
            "public_id": row["product__public_id"],
            "name": row["product__name"],
            "url": reverse("product", args=[tenant.slug, row["product__public_id"]]),
            "number": words.count(row["number"]),
            "mrr": words.money(rounding.minor(int(row["mrr"]))),
        }
        for row in found
    ]
