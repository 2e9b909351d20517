"""The support console: Django's admin site for staff, with a front page and one page a company.

Rooms add what they know: `counters` and `troubles` for the front page, `panels` for a company's
page, `finders` for the search, and `Action`s, which are the only writes. All reading goes through
the support role: its rights, not this code, decide what can be shown.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from allauth.account.decorators import secure_admin_login
from django import forms
from django.contrib import admin, messages
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from calqsync.tenancy import scope
from calqsync.tenancy.accounts import sign_in
from calqsync.tenancy.models import Tenant, User

Text = str | Promise


@dataclass(frozen=True, slots=True, kw_only=True)
class Counter:
    """A number of the front page; `bad` when a number above zero wants work."""

    label: Text
    number: int
    url: str
    hint: Text = ""
    bad: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """One cell of a panel: text, and where it leads, how it is meant, what stands below it."""

    text: Any
    url: str = ""
    tone: str = ""
    below: Any = ""
    # Links to the confirm pages of what can be done about this row.
    acts: list[tuple[Text, str]] = field(default_factory=list)


@dataclass(frozen=True, slots=True, kw_only=True)
class Panel:
    """A table of the front page or of a company's page; `acts` are links to confirm pages."""

    title: Text
    head: list[Text]
    rows: list[list[Cell]]
    empty: Text = ""
    note: Text = ""
    acts: list[tuple[Text, str]] = field(default_factory=list)
    more: tuple[Text, str] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Action:
    """Something that staff may do for a company, after a confirm page with reason and ticket.

    `says` writes what will happen to this target, or None when there is no such target (any
    more); it runs as `perform` does, with the tenant in scope and in a transaction. `perform`
    returns what to tell the member of staff, or raises ValidationError.
    """

    name: str
    label: Text
    says: Callable[[str], str | None]
    perform: Callable[[Deed], str]
    fields: dict[str, forms.Field] = field(default_factory=dict)
    # Without it, the person who asked may be left out: staff acts on what they saw themselves.
    needs_person: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Deed:
    """A confirmed action: by whom, because who asked, on what, with which values."""

    tenant: Tenant
    target: str
    by: User
    person: Any
    reason: str
    ticket: str
    values: dict[str, Any]
    now: datetime


counters: list[tuple[int, Callable[[datetime], Iterable[Counter]]]] = []
troubles: list[Callable[[datetime], Panel]] = []
panels: list[tuple[int, Callable[[Tenant, datetime], Panel]]] = []
# Ids of the tenants that a search term means to a room.
finders: list[Callable[[str], Iterable[int]]] = []
actions: dict[str, Action] = {}
_pages: list[tuple[str, Callable[..., HttpResponse], str]] = []


def counter(count: Callable[[datetime], Iterable[Counter]], *, place: int) -> None:
    """Show these numbers on the front page; a lower place stands first."""
    counters.append((place, count))


def panel(make: Callable[[Tenant, datetime], Panel], *, place: int) -> None:
    """Show this on a company's page; a lower place stands higher."""
    panels.append((place, make))


def register(action: Action) -> None:
    """Offer an action at its confirm page."""
    actions[action.name] = action


def page(route: str, view: Callable[..., HttpResponse], *, name: str) -> None:
    """Serve this view within the console, to staff with a second step alone."""
    _pages.append((route, view, name))


def act_url(name: str, tenant_id: int, target: Any = "-") -> str:
    """The confirm page of an action on one target of a tenant."""
    return reverse("admin:support_act", args=[tenant_id, name, str(target)])


def tenant_url(tenant_id: int) -> str:
    """The page of a company in the console."""
    return reverse("admin:tenancy_tenant_change", args=[tenant_id])


def panels_of(tenant: Tenant, now: datetime) -> list[Panel]:
    """Every panel of a company's page; call it inside `reading`."""
    return [make(tenant, now) for _place, make in _placed(panels)]


def _placed(entries: list[Any]) -> list[Any]:
    return sorted(entries, key=lambda entry: entry[0])


@contextmanager
def reading(tenant_id: int) -> Iterator[None]:
    """Read one tenant's directory by the support role; never its books, whatever grant there is.

    A grant belongs to a person, and here none is named: books are looked at on the tenant's own
    pages alone, where each look is on the record.
    """
    with (
        scope.nothing(),
        scope.looking_in(tenant_id),
        transaction.atomic(using=scope.SUPPORT),
    ):
        yield


class SupportSite(admin.AdminSite):
    """Staff with a second step may come in, through the product's own sign-in."""

    site_header = site_title = gettext_lazy("CalqSync support")
    index_title = gettext_lazy("What needs support")
    index_template = "admin/console.html"
    site_url = None
    enable_nav_sidebar = True

    def has_permission(self, request: HttpRequest) -> bool:
        user = request.user
        staff = user.is_active and getattr(user, "is_staff", False)
        return bool(staff and sign_in.has_second_step(user))

    def login(self, request: HttpRequest, extra_context: Any = None) -> HttpResponse:
        return secure_admin_login(self._to_second_step)(request)

    def _to_second_step(self, request: HttpRequest) -> HttpResponse:
        if sign_in.has_second_step(request.user):
            return redirect("admin:index")
        messages.warning(request, _("Support needs a second step. Turn it on to go on."))
        # The page for second steps leads back here once there is one.
        request.session["wanted"] = reverse("admin:index")
        return redirect("mfa_index")

    def index(self, request: HttpRequest, extra_context: Any = None) -> TemplateResponse:
        now = timezone.now()
        context = {
            "counters": [one for _place, count in _placed(counters) for one in count(now)],
            "panels": [trouble(now) for trouble in troubles],
        }
        return super().index(request, context | (extra_context or {}))

    def password_change(self, request: HttpRequest, extra_context: Any = None) -> Any:
        # The product's own page keeps the rate limits and the fresh sign-in.
        return redirect("account_change_password")

    def get_urls(self) -> list[Any]:
        ours: list[URLPattern] = [
            path(route, self.admin_view(view), name=name) for route, view, name in _pages
        ]
        return [*ours, *super().get_urls()]
