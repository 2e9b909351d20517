"""Filters of lists: what the address asks for, as a condition and as the control that shows it.

Anything unreadable falls back to "all": a shared address must never break. An id that names
nothing of this tenant finds nothing.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from operator import attrgetter
from typing import Any
from uuid import UUID

from django.db.models import Max, Min, Model, Q
from django.http import QueryDict
from django.urls import reverse
from django.utils.translation import gettext as _

from calqsync.tenancy.models import Tenant
from integrations.models import Connection, Customer, InvoiceLine, Product
from reporting.domain.periods import month_index
from reporting.selectors import frame, listing
from reporting.selectors.frame import Words


@dataclass(frozen=True, slots=True)
class Choice:
    """The chosen value ("" for all) and the control of it."""

    value: str
    control: dict[str, Any]


def choice(
    query: Mapping[str, str], name: str, label: str, options: Sequence[tuple[str, str]]
) -> Choice:
    """One of `options`; the first one stands where the address names none of them."""
    asked = query.get(name, "")
    chosen = asked if asked in dict(options) else options[0][0]
    return Choice(
        chosen,
        {
            "name": name,
            "label": label,
            "options": [
                {"value": value, "label": word, "selected": value == chosen}
                for value, word in options
            ],
        },
    )


def thing(
    query: Mapping[str, str], name: str, label: str, options: Sequence[tuple[str, str]]
) -> Choice:
    """As `choice`, where values are public ids: one that is not among them is kept, and finds
    nothing unless it is this tenant's."""
    asked = readable_id(query.get(name, ""))
    if asked and asked not in dict(options):
        options = [*options, (asked, _("Not found"))]
    return choice({name: asked}, name, label, options)


def readable_id(text: str) -> str:
    """The public id that the text writes, or "" if it writes none."""
    try:
        return str(UUID(text))
    except ValueError:
        return ""


def of_invoice(word: str) -> Q:
    """Where the invoice of a row has `word` in its number or in its customer's name."""
    return (
        Q(invoice__number__icontains=word)
        | Q(invoice__customer_name__icontains=word)
        | Q(invoice__customer__name__icontains=word)
    )


def searched(query: Mapping[str, str]) -> str:
    """What to search for, without what no text in the database holds, and composed as they are."""
    typed = unicodedata.normalize("NFC", query.get("q", "")[:800])
    return typed.replace("\0", "").strip()[:200]


@dataclass(frozen=True, slots=True)
class Accounts:
    """The tenant's connections, for the filter that stands on pages once there are several."""

    all: list[Connection]
    control: dict[str, Any] | None
    where: Q
    foreign: bool
    """Some keep their books in another currency than the figures."""
    path: str
    """How a row of the list leads to its connection."""

    @property
    def several(self) -> bool:
        return len(self.all) > 1


def accounts(query: Mapping[str, str], words: Words, path: str = "connection") -> Accounts:
    found = sorted(
        Connection.objects.only("public_id", "name", "currency"),
        key=lambda connection: connection.name.casefold(),
    )
    foreign = any(one.currency != words.currency for one in found)
    options = [("", _("All")), *((str(one.public_id), one.name) for one in found)]
    chosen = thing(query, "account", _("Account"), options)
    where = Q(**{f"{path}__public_id": chosen.value}) if chosen.value else Q()
    control = chosen.control if len(found) > 1 or chosen.value else None
    return Accounts(found, control, where, foreign, path)


def account_column(of: Accounts) -> list[listing.Column]:
    """Which account a row is from, for files; pages say it under the row's name."""
    if not of.several:
        return []
    return [listing.text("account", _("Account"), _account_name(of), on_page=False)]


def under(of: Accounts, cell: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """The same cell with the row's account beneath it, once there are several."""
    if not of.several:
        return cell
    name = _account_name(of)

    def with_account(row: Any) -> dict[str, Any]:
        made = cell(row)
        made = dict(made) if isinstance(made, dict) else {"text": made}
        made["sub"] = " · ".join(word for word in (name(row), made.get("sub")) if word)
        return made

    return with_account


def _account_name(of: Accounts) -> Callable[[Any], str]:
    return attrgetter(of.path.replace("__", ".") + ".name")


def account_fact(tenant: Tenant, connection: Any) -> dict[str, Any]:
    url = reverse("connection", args=[tenant.slug, connection.public_id])
    return {"term": _("Account"), "text": connection.name, "url": url}


def own_currency(of: Accounts, words: Words) -> Q | None:
    """Which rows may be summed: None where all of them may."""
    return Q(**{f"{of.path}__currency": words.currency}) if of.foreign else None


@dataclass(frozen=True, slots=True)
class Span:
    """A month, a year or all time."""

    control: dict[str, Any]
    first: date | None
    after: date | None

    def where(self, field: str) -> Q:
        if self.first is None:
            return Q()
        return Q(**{f"{field}__gte": self.first, f"{field}__lt": self.after})


def span(query: Mapping[str, str], model: type[Model], words: Words) -> Span:
    """The months and years that the model's rows are dated in, newest first."""
    ends = model.objects.aggregate(first=Min("date"), last=Max("date"))  # type: ignore[attr-defined]
    options = [("", _("All time"))]
    if ends["first"]:
        newest, oldest = month_index(ends["last"]), month_index(ends["first"])
        for year in range(newest // 12, oldest // 12 - 1, -1):
            options.append((f"{year:04d}", f"{year:04d}"))
            months = range(min(newest, year * 12 + 11), max(oldest, year * 12) - 1, -1)
            options += [(name, words.month(name)) for name in map(frame.month_text, months)]
    chosen = choice(query, "period", _("Period"), options)
    if not chosen.value:
        return Span(chosen.control, None, None)
    if len(chosen.value) == 4:
        year = int(chosen.value)
        return Span(chosen.control, date(year, 1, 1), date(year + 1, 1, 1))
    month = frame.month_index(chosen.value)
    return Span(
        chosen.control,
        frame.month_start(chosen.value),
        frame.month_start(frame.month_text(month + 1)),
    )


@dataclass(frozen=True, slots=True)
class One:
    """One customer or product that the list is narrowed to by its address."""

    pk: int | None
    """0 for one that is not this tenant's."""
    control: dict[str, Any] | None

    def invoiced(self, field: str) -> Any:
        """The ids under `field` ("invoice" or "invoice__customer") of lines of this product."""
        return InvoiceLine.objects.filter(product=self.pk).values(field)


def one_customer(query: Mapping[str, str]) -> One:
    return _one(query, "customer", Customer, _("Customer"))


def one_product(query: Mapping[str, str]) -> One:
    return _one(query, "product", Product, _("Product"))


def _one(query: Mapping[str, str], name: str, model: type[Model], label: str) -> One:
    asked = readable_id(query.get(name, ""))
    if not asked:
        return One(None, None)
    found = model.objects.filter(public_id=asked).only("name").first()  # type: ignore[attr-defined]
    options = [("", _("All"))] + ([(asked, found.name)] if found else [])
    return One(found.pk if found else 0, thing({name: asked}, name, label, options).control)


def address(query: Mapping[str, str], *, without: Sequence[str] = (), **values: str) -> QueryDict:
    """The address's state without some names and with others; empty values are left out."""
    made = QueryDict(mutable=True)
    for name, value in {**dict(query.items()), **values}.items():
        if value and name not in without:
            made[name] = value
    return made


def given(*controls: dict[str, Any] | None) -> list[dict[str, Any]]:
    return [control for control in controls if control]


def nothing(tenant: Tenant, title: str, icon: str) -> dict[str, Any]:
    """What an empty list says before anything was imported."""
    return {
        "icon": icon,
        "title": title,
        "text": _("This list fills once an account is connected and its import has reached it."),
        "url": reverse("integrations", args=[tenant.slug]),
        "action": _("Open integrations"),
    }
