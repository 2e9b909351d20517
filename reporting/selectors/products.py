"""Products: what people said each is, how often it is sold, and to whom."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import ROUND_HALF_UP
from typing import Any

from django.db.models import (
    BigIntegerField,
    Count,
    F,
    Func,
    JSONField,
    Max,
    Q,
    QuerySet,
    Sum,
    TextField,
    Value,
)
from django.db.models.functions import Cast, Coalesce
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from calqsync.tenancy import formats
from calqsync.tenancy.models import Tenant
from integrations.models import InvoiceLine, Product
from reporting.domain import rounding
from reporting.domain.votes import CUSTOMERS, Vote
from reporting.models import LineFigure, ProductMark, Subscription
from reporting.selectors import frame, listing, narrowing, reasons
from reporting.selectors.frame import Words
from reporting.selectors.listing import Column, Listing

MOST_BUYERS = 200
SUGGESTED = 5
_ISSUED = Q(invoice__issued=True, invoice__removed_at=None)


def mark_options() -> list[tuple[str, str]]:
    """What a person may say of a product: mark and, for recurring ones, its period."""
    recurring = _("Recurring, %(period)s")
    return [
        ("", _("As detected")),
        ("recurring", _("Recurring")),
        *(
            (f"recurring-{months}", recurring % {"period": reasons.period(months).lower()})
            for months in (1, 3, 6, 12)
        ),
        ("one_off", _("One-off")),
        ("usage", _("Usage")),
        ("ignore", _("Leave out")),
    ]


def mark_code(mark: str | None, period_months: int | None) -> str:
    """The option that a stored mark is."""
    if not mark:
        return ""
    return f"{mark}-{period_months}" if mark == "recurring" and period_months else mark


def mark_parts(code: str) -> tuple[str | None, int | None]:
    """The mark and period that an option stands for."""
    mark, _dash, months = code.partition("-")
    return mark or None, int(months) if months else None


def mark_word(row: Any) -> str:
    code = mark_code(row.mark, row.mark_period)
    known = dict(mark_options())
    if code not in known and row.mark == "recurring":
        period = reasons.period(row.mark_period).lower()
        return _("Recurring, %(period)s") % {"period": period}
    return known.get(code, row.mark or "")


def product_rows() -> QuerySet[Any]:
    """Products in the books or on invoices, with their mark and sales.

    Sales are summed once and handed to the rows as a map: a join would sum them anew for the
    count, the sum and the page.
    """
    sold = {
        row["product"]: row
        for row in InvoiceLine.objects.filter(_ISSUED, product__isnull=False)
        .values("product")
        .annotate(rows=Count("pk"), net=Sum("net_acc_minor"))
    }
    rows: QuerySet[Any] = (
        Product.objects.filter(Q(removed_at=None) | Q(pk__in=list(sold)))
        .select_related("connection")
        .annotate(
            mark=F("marks__mark"),
            mark_period=F("marks__period_months"),
            line_count=_looked_up({pk: row["rows"] for pk, row in sold.items()}),
            invoiced_minor=_looked_up({pk: int(row["net"]) for pk, row in sold.items()}),
        )
    )
    return rows


def _looked_up(values: Mapping[int, int]) -> Coalesce:
    """Each row's entry in `values` by its primary key, 0 where it has none."""
    found = Func(
        Value({str(pk): value for pk, value in values.items()}, output_field=JSONField()),
        Cast("pk", TextField()),
        function="jsonb_extract_path_text",
        output_field=TextField(),
    )
    return Coalesce(Cast(found, BigIntegerField()), Value(0), output_field=BigIntegerField())


def products_list(
    *,
    tenant: Tenant,
    query: Mapping[str, str],
    control: Callable[[Any], Any] | None = None,
) -> Listing:
    """The products that the address asks for; `control` draws what a member may change."""
    words = frame.words_for(tenant)
    accounts = narrowing.accounts(query, words)
    state = narrowing.choice(query, "mark", _("Mark"), _states())
    rows = product_rows().filter(accounts.where)
    if state.value in ("marked", "unmarked"):
        rows = rows.filter(marks__isnull=state.value == "unmarked")
    elif state.value:
        rows = rows.filter(marks__mark=state.value)
    if word := narrowing.searched(query):
        rows = rows.filter(Q(name__icontains=word) | Q(code__icontains=word))
    return Listing(
        caption=_("Products"),
        rows=rows,
        columns=_columns(words, accounts, control or mark_word),
        default_sort="-invoiced",
        query=query,
        words=words,
        counted=lambda n: ngettext("%d product", "%d products", n) % n,
        url=lambda row: reverse("product", args=[tenant.slug, row.public_id]),
        nothing=narrowing.nothing(tenant, _("No products yet"), "products"),
        search_label=_("Search by name or code"),
        filters=narrowing.given(state.control, accounts.control),
        sum_of=narrowing.own_currency(accounts, words),
    )


def _states() -> list[tuple[str, str]]:
    return [
        ("", _("All")),
        ("marked", _("Marked")),
        ("unmarked", _("Not marked")),
        ("recurring", _("Recurring")),
        ("one_off", _("One-off")),
        ("usage", _("Usage")),
        ("ignore", _("Leave out")),
    ]


def _columns(
    words: Words, accounts: narrowing.Accounts, control: Callable[[Any], Any]
) -> list[Column]:
    return [
        listing.text(
            "name",
            _("Product"),
            lambda row: row.name,
            order="sort_key",
            cell=narrowing.under(accounts, lambda row: row.name),
        ),
        listing.text("code", _("Code"), lambda row: row.code, order="code"),
        *narrowing.account_column(accounts),
        Column(
            key="mark",
            label=_("Mark"),
            value=mark_word,
            cell=control,
            order="mark",
            hint=_("Your word on it, which detection then obeys"),
        ),
        listing.count("lines", _("Rows"), words, "line_count"),
        listing.money(
            "invoiced",
            _("Invoiced"),
            words,
            lambda row: row.invoiced_minor,
            order="invoiced_minor",
            hint=_("Without VAT"),
        ),
    ]


def products_suggested(*, tenant: Tenant, votes: Mapping[int, Vote]) -> list[dict[str, Any]]:
    """Products without a mark whose customers agree what they are, the most MRR first.

    At most SUGGESTED at once; the next ones follow when these are marked. Recurring is what most
    of its customers are billed for regularly. One-off is what none of several is and what nobody's
    MRR counts: dated periods of changing amounts keep no rhythm and are subscriptions all the same.
    """
    words = frame.words_for(tenant)
    agreed = {pk: code for pk, vote in votes.items() if (code := _agreed(vote))}
    unsaid = Q(confirmed=False)
    rows = (
        Subscription.objects.filter(product__in=list(agreed), product__removed_at=None)
        .filter(product__marks=None)
        .exclude(status="rejected")
        .values("product", "product__public_id", "product__name")
        .annotate(
            mrr=Sum("mrr_e4", filter=unsaid),
            unsaid=Count("pk", filter=unsaid),
            sure=Count("pk", filter=Q(counted=True)),
        )
        .filter(unsaid__gt=0)
        .order_by("-mrr", "product__name", "product")
    )
    shown = [row for row in rows if agreed[row["product"]] == "recurring" or not row["sure"]]
    return [
        {
            "name": row["product__name"],
            "url": reverse("product", args=[tenant.slug, row["product__public_id"]]),
            "public_id": row["product__public_id"],
            "code": agreed[row["product"]],
            "why": _why(votes[row["product"]], words),
            "action": {
                "recurring": _("Mark as recurring"),
                "one_off": _("Mark as one-off"),
            }[agreed[row["product"]]],
            "amount": words.money(rounding.minor(int(row["mrr"])), cents=True),
        }
        for row in shown[:SUGGESTED]
    ]


def _agreed(vote: Vote) -> str:
    """The mark that the customers' vote suggests; "" where they do not agree."""
    if vote.carried:
        return "recurring"
    return "one_off" if vote.customers >= CUSTOMERS and not vote.recurring else ""


def _why(vote: Vote, words: Words) -> str:
    facts = {"some": words.count(vote.recurring), "all": words.count(vote.customers)}
    if vote.recurring:
        return (
            _("%(some)s of %(all)s repeat customers are billed for it at regular intervals") % facts
        )
    return _("None of %(all)s repeat customers is billed for it at regular intervals") % facts


@dataclass(frozen=True, slots=True)
class ProductPage:
    """Everything that the page of one product shows."""

    title: str
    facts: list[dict[str, Any]]
    mark: str
    found: dict[str, Any] | None
    buyers: dict[str, Any] | None
    invoices_url: str
    subscriptions_url: str


def product_page(*, tenant: Tenant, product: Any) -> ProductPage:
    """One product of the tenant in scope."""
    words = frame.words_for(tenant, product.connection.currency)
    marks = ProductMark.objects.filter(product=product).select_related("by")
    mark = marks.defer("by__password").first()
    at = f"?product={product.public_id}"
    return ProductPage(
        title=product.name,
        facts=_facts(tenant, product, mark, words),
        mark=mark_code(mark.mark, mark.period_months) if mark else "",
        found=_found(product, words),
        buyers=_buyers(tenant, product, words),
        invoices_url=reverse("invoices", args=[tenant.slug]) + at,
        subscriptions_url=reverse("subscriptions", args=[tenant.slug]) + at,
    )


def _facts(tenant: Tenant, product: Any, mark: Any, words: Words) -> list[dict[str, Any]]:
    price = ""
    if product.price is not None:
        currency = product.currency or words.currency
        units = product.price.scaleb(formats.decimals_of(currency))
        minor = int(units.to_integral_value(ROUND_HALF_UP))
        price = formats.money(minor, currency, language=words.language)
    facts = [
        (_("Code"), product.code),
        (_("Unit"), product.unit.replace("_", " ").lower()),
        (_("List price"), price),
        (_("Group"), product.group),
    ]
    shown = [{"term": term, "text": text} for term, text in facts if text]
    if mark is not None and mark.by is not None:
        shown.append({"term": _("Marked by"), "text": str(mark.by)})
    return [*shown, narrowing.account_fact(tenant, product.connection)]


def _found(product: Any, words: Words) -> dict[str, Any] | None:
    """What detection made of the product's rows."""
    found = list(
        LineFigure.objects.filter(line__product=product)
        .values("type")
        .annotate(rows=Count("pk"), net=Sum("line__net_acc_minor"))
        .order_by("-net")
    )
    if not found:
        return None
    return {
        "id": "found",
        "caption": _("What its rows count as"),
        "currency": words.currency,
        "head": [_("Type"), _("Rows"), _("Invoiced")],
        "rows": [
            {
                "label": reasons.line_type(row["type"]),
                "cells": [words.count(row["rows"]), words.amount(row["net"])],
            }
            for row in found
        ],
    }


def _buyers(tenant: Tenant, product: Any, words: Words) -> dict[str, Any] | None:
    """Rows by customer, those invoiced most first, with the sum of all."""
    found = list(
        InvoiceLine.objects.filter(_ISSUED, product=product)
        .values("invoice__customer__public_id", "invoice__customer__name")
        .annotate(rows=Count("pk"), net=Sum("net_acc_minor"), last=Max("invoice__date"))
        .order_by("-net", "invoice__customer__name")
    )
    if not found:
        return None
    shown, rest = found[:MOST_BUYERS], found[MOST_BUYERS:]
    rows = [_buyer(tenant, row, words) for row in shown]
    if rest:
        label = ngettext("%d more customer", "%d more customers", len(rest)) % len(rest)
        rows.append(_sums(label, rest, words))
    rows.append(_sums(_("Sum"), found, words) | {"total": True})
    return {
        "id": "buyers",
        "caption": _("By customer"),
        "currency": words.currency,
        "head": [
            _("Customer"),
            {"label": _("Last invoice"), "words": True},
            _("Rows"),
            _("Invoiced"),
        ],
        "rows": rows,
    }


def _buyer(tenant: Tenant, row: Mapping[str, Any], words: Words) -> dict[str, Any]:
    public_id = row["invoice__customer__public_id"]
    return {
        "label": row["invoice__customer__name"] or _("No customer"),
        "url": reverse("customer", args=[tenant.slug, public_id]) if public_id else "",
        "cells": [
            {"text": words.day(row["last"]), "words": True},
            words.count(row["rows"]),
            words.amount(row["net"]),
        ],
    }


def _sums(label: str, rows: list[Any], words: Words) -> dict[str, Any]:
    return {
        "label": label,
        "cells": [
            {"text": "", "words": True},
            words.count(sum(row["rows"] for row in rows)),
            words.amount(sum(row["net"] for row in rows)),
        ],
    }
