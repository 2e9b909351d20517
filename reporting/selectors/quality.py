"""What in the books deserves a look: each kind with the MRR at stake, and where it is mended."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from operator import attrgetter
from typing import Any

from django.db.models import Count, Q, QuerySet, Sum, Value, Window
from django.db.models.functions import Abs
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from calqsync.tenancy.models import Tenant
from integrations.models import Product, Rejection
from reporting.domain import rounding
from reporting.models import LineFigure, Subscription
from reporting.selectors import doubles, frame, listing, narrowing
from reporting.selectors.frame import Words
from reporting.selectors.listing import Listing
from reporting.selectors.payments import number_of
from reporting.selectors.subscriptions import (
    badge,
    covered_column,
    period_column,
    product_column,
    recomputing,
    status_column,
)

FEW = 5
FLAWS = {"gaps": Q(gaps__gt=0), "overlaps": Q(overlaps__gt=0), "guessed": Q(guessed__gt=0)}
_ANY_FLAW = FLAWS["gaps"] | FLAWS["overlaps"] | FLAWS["guessed"]
_LONE_CREDIT = Q(reason="credit_unmatched")


@dataclass(frozen=True, slots=True)
class Section:
    """One kind: how many there are, what they move, the first few, and all of them."""

    code: str
    title: str
    text: str
    count: str
    stake: str
    """MRR now of what is listed; "" where it cannot be told."""
    rows: list[dict[str, Any]]
    url: str
    all_of_them: str


@dataclass(frozen=True, slots=True)
class QualityPage:
    sections: list[Section]
    """Those with something in them, the most at stake first."""
    doubles: list[dict[str, Any]]
    clean: list[str]
    """Titles of the kinds with nothing in them."""
    computed: str
    recomputing: bool


def quality_page(*, tenant: Tenant, published_at: datetime | None) -> QualityPage:
    """Every kind of the tenant in scope; `published_at` is when its figures were, if ever."""
    words = frame.words_for(tenant)
    found = [*_flawed(tenant, words), _unmarked(tenant, words), _credits(tenant, words)]
    found.append(_set_aside(tenant, words))
    pairs = [_double(tenant, words, one) for one in doubles.doubles()]
    kept = sorted((pair for pair in found if pair[1].count), key=lambda pair: -pair[0])
    return QualityPage(
        sections=[section for _stake, section in kept],
        doubles=pairs,
        clean=[section.title for _stake, section in found if not section.count]
        + ([] if pairs else [_("Customers that look like one")]),
        computed=words.moment(published_at) if published_at else "",
        recomputing=recomputing(),
    )


def _flawed(tenant: Tenant, words: Words) -> list[tuple[int, Section]]:
    some = Subscription.objects.exclude(status="rejected")
    first, *more = (_few(some.filter(where), name) for name, where in FLAWS.items())
    few = list(first.union(*more, all=True))
    sums = {row["kind"]: (row["number"], int(row["stake"])) for row in few}
    titles = {
        "gaps": (
            _("Gaps in subscriptions"),
            _(
                "Stretches of up to three periods that no invoice covers. Was an invoice"
                " forgotten, or credited and not sent again? Or does one subscription go on as"
                " another?"
            ),
        ),
        "overlaps": (
            _("Days invoiced twice"),
            _("Two rows of about the same amount for the same days of one subscription."),
        ),
        "guessed": (
            _("Guessed periods"),
            _("Neither dates, words, units nor a rhythm say what these rows cover."),
        ),
    }
    made = []
    for name, (title, text) in titles.items():
        number, stake = sums.get(name, (0, 0))
        made.append(
            (
                stake,
                Section(
                    code=name,
                    title=title,
                    text=text,
                    count=words.count(number) if number else "",
                    stake=words.money(rounding.minor(stake), cents=True),
                    rows=[_subscription(tenant, words, row) for row in few if row["kind"] == name],
                    url=reverse("quality_subscriptions", args=[tenant.slug]) + f"?flaw={name}",
                    all_of_them=ngettext("See it", "See all %(n)s", number)
                    % {"n": words.count(number)},
                ),
            )
        )
    return made


def _few(rows: QuerySet[Any], kind: str) -> QuerySet[Any]:
    """The first of these rows, each with the number and the MRR of them all."""
    names = ("customer__name", "product_name", "mrr_e4", "public_id")
    made = rows.annotate(
        kind=Value(kind), number=Window(Count("pk")), stake=Window(Sum("mrr_e4"))
    ).order_by("-mrr_e4", "pk")
    few: QuerySet[Any] = made.values(*names, "kind", "number", "stake")[:FEW]
    return few


def _subscription(tenant: Tenant, words: Words, row: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "name": row["customer__name"],
        "sub": row["product_name"],
        "amount": words.money(rounding.minor(row["mrr_e4"]), cents=True),
        "url": reverse("subscription", args=[tenant.slug, row["public_id"]]),
        "fix": _("Set it right"),
    }


def _unmarked(tenant: Tenant, words: Words) -> tuple[int, Section]:
    """Products that have subscriptions and no person's word."""
    found = Product.objects.filter(marks=None, removed_at=None)
    open_ones = Subscription.objects.filter(product__in=found, confirmed=False)
    open_ones = open_ones.exclude(status="rejected")
    by_product = (
        open_ones.values("product__public_id", "product__name")
        .annotate(mrr=Sum("mrr_e4"), number=Count("pk"))
        .order_by("-mrr", "product__name")
    )
    rows = list(by_product)
    stake = sum(int(row["mrr"]) for row in rows)
    section = Section(
        code="unmarked",
        title=_("Products without a mark"),
        text=_("Detection alone decides whether these recur. A mark settles it for every row."),
        count=words.count(len(rows)) if rows else "",
        stake=words.money(rounding.minor(stake), cents=True),
        rows=[
            {
                "name": row["product__name"],
                "sub": ngettext("%(n)s subscription", "%(n)s subscriptions", row["number"])
                % {"n": words.count(row["number"])},
                "amount": words.money(rounding.minor(int(row["mrr"])), cents=True),
                "url": reverse("product", args=[tenant.slug, row["product__public_id"]]),
                "fix": _("Mark it"),
            }
            for row in rows[:FEW]
        ],
        url=reverse("products", args=[tenant.slug]) + "?mark=unmarked",
        all_of_them=_("See all products without a mark"),
    )
    return stake, section


def lone_credits() -> QuerySet[Any]:
    """Rows of credit notes that no invoice row was found for."""
    rows: QuerySet[Any] = LineFigure.objects.filter(_LONE_CREDIT)
    return rows.select_related("line__invoice__customer")


def _credits(tenant: Tenant, words: Words) -> tuple[int, Section]:
    counted = lone_credits().annotate(number=Window(Count("pk")), stake=Window(Sum(Abs("mrr_e4"))))
    rows = list(counted.order_by("mrr_e4", "pk")[:FEW])
    number, stake = (rows[0].number, int(rows[0].stake)) if rows else (0, 0)
    section = Section(
        code="credits",
        title=_("Credit notes without an invoice"),
        text=_("Each lowers one month from its date. Say which days a row takes back."),
        count=words.count(number) if number else "",
        stake=words.money(rounding.minor(stake), cents=True),
        rows=[
            {
                "name": row.line.invoice.customer_name,
                "sub": _("Credit note %(number)s of %(day)s")
                % {
                    "number": number_of(row.line.invoice),
                    "day": words.day(row.line.invoice.date),
                },
                "amount": words.money(row.line.net_acc_minor, cents=True),
                "url": _row_url(tenant, row),
                "fix": _("Say what it takes back"),
            }
            for row in rows
        ],
        url=reverse("quality_credits", args=[tenant.slug]),
        all_of_them=ngettext("See it", "See all %(n)s", number) % {"n": words.count(number)},
    )
    return stake, section


def _row_url(tenant: Tenant, row: Any) -> str:
    invoice = row.line.invoice
    return reverse("invoice_line", args=[tenant.slug, invoice.public_id, row.line.position])


def _set_aside(tenant: Tenant, words: Words) -> tuple[int, Section]:
    """Documents that imports could not read; what is in them nobody knows."""
    rows = list(
        Rejection.objects.filter(ignored_at=None)
        .values("connection__name", "connection__public_id")
        .annotate(number=Count("pk"))
        .order_by("connection__name")
    )
    number = sum(row["number"] for row in rows)
    section = Section(
        code="set-aside",
        title=_("Documents set aside"),
        text=_("Imports could not read these, so they stand in no figure."),
        count=words.count(number) if number else "",
        stake="",
        rows=[
            {
                "name": row["connection__name"],
                "sub": ngettext("%(n)s document", "%(n)s documents", row["number"])
                % {"n": words.count(row["number"])},
                "amount": "",
                "url": reverse("connection_rejected", args=[tenant.slug, account]),
                "fix": _("Retry or ignore"),
            }
            for row in rows[:FEW]
            for account in [row["connection__public_id"]]
        ],
        url=reverse("integrations", args=[tenant.slug]),
        all_of_them=_("Open integrations"),
    )
    return 0, section


def _double(tenant: Tenant, words: Words, found: doubles.Double) -> dict[str, Any]:
    why = {
        "business_id": _("The same business id"),
        "name": _("The same name"),
        "continues": _("The second begins where the first ended, at the same price"),
    }
    pair = [_customer(tenant, one) for one in (found.customer, found.into)]
    return {
        "pair": pair,
        "why": why[found.why],
        "stake": words.money(rounding.minor(found.mrr_e4), cents=True),
        "merge_url": reverse("customer_merge", args=[tenant.slug, found.customer.public_id]),
        "into": found.into.public_id,
    }


def _customer(tenant: Tenant, customer: Any) -> dict[str, Any]:
    sub = customer.business_id or customer.customer_number
    return {
        "name": customer.name,
        "sub": ", ".join(part for part in (sub, customer.connection.name) if part),
        "url": reverse("customer", args=[tenant.slug, customer.public_id]),
    }


def flawed_list(*, tenant: Tenant, query: Mapping[str, str]) -> Listing:
    """Subscriptions with gaps, double billing or guessed periods."""
    words = frame.words_for(tenant)
    options = [
        ("", _("All")),
        ("gaps", _("Gaps")),
        ("overlaps", _("Days invoiced twice")),
        ("guessed", _("Guessed periods")),
    ]
    flaw = narrowing.choice(query, "flaw", _("Kind"), options)
    rows = Subscription.objects.filter(FLAWS.get(flaw.value, _ANY_FLAW)).exclude(status="rejected")
    if word := narrowing.searched(query):
        rows = rows.filter(Q(customer__name__icontains=word) | Q(product_name__icontains=word))
    return Listing(
        caption=_("Subscriptions to look at"),
        rows=rows.select_related("customer"),
        columns=[
            listing.text(
                "customer",
                _("Customer"),
                lambda row: row.customer.name,
                order="customer__sort_key",
            ),
            product_column(),
            status_column(badge),
            period_column(),
            covered_column(words),
            listing.count("gaps", _("Gaps"), words, "gaps"),
            listing.count("overlaps", _("Invoiced twice"), words, "overlaps"),
            listing.count("guessed", _("Guessed"), words, "guessed"),
            listing.share("mrr", _("MRR"), words, "mrr_e4"),
        ],
        default_sort="-mrr",
        query=query,
        words=words,
        counted=lambda n: ngettext("%d subscription", "%d subscriptions", n) % n,
        url=lambda row: reverse("subscription", args=[tenant.slug, row.public_id]),
        nothing=_nothing(tenant),
        search_label=_("Search by customer or product"),
        filters=narrowing.given(flaw.control),
    )


def credits_list(*, tenant: Tenant, query: Mapping[str, str]) -> Listing:
    """Rows of credit notes that take back nobody knows what."""
    words = frame.words_for(tenant)
    rows = lone_credits()
    if word := narrowing.searched(query):
        rows = rows.filter(
            Q(line__invoice__customer_name__icontains=word)
            | Q(line__invoice__number__icontains=word)
        )
    invoice = attrgetter("line.invoice")
    return Listing(
        caption=_("Credit notes without an invoice"),
        rows=rows,
        columns=[
            listing.text(
                "number",
                _("Credit note"),
                lambda row: number_of(invoice(row)),
                order="line__invoice__number",
            ),
            listing.text(
                "customer",
                _("Customer"),
                lambda row: invoice(row).customer_name,
                order="line__invoice__customer_name",
            ),
            listing.day(
                "date", _("Date"), words, lambda row: invoice(row).date, order="line__invoice__date"
            ),
            listing.text("row", _("Row"), lambda row: row.line.name, order="line__name"),
            listing.money(
                "net",
                _("Net"),
                words,
                lambda row: row.line.net_acc_minor,
                order="line__net_acc_minor",
            ),
            listing.share("mrr", _("MRR"), words, "mrr_e4"),
        ],
        default_sort="-date",
        query=query,
        words=words,
        counted=lambda n: ngettext("%d row", "%d rows", n) % n,
        url=lambda row: _row_url(tenant, row),
        nothing=_nothing(tenant),
        search_label=_("Search by customer or number"),
        filters=[],
    )


def _nothing(tenant: Tenant) -> dict[str, Any]:
    return {
        "icon": "check",
        "title": _("Nothing to mend"),
        "text": _("What a later import brings is looked at with it."),
        "url": reverse("quality", args=[tenant.slug]),
        "action": _("Data quality"),
    }
