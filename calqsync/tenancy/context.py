"""What the page frame needs on every page: company, navigation, the notice above the page."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache, lru_cache
from typing import Any, NamedTuple, cast

from django.http import HttpRequest
from django.urls import NoReverseMatch, resolve, reverse
from django.utils.translation import gettext_lazy as _

from calqsync.tenancy.models import Membership, Role, Tenant


@dataclass(frozen=True, slots=True)
class NavItem:
    label: str
    url: str
    active: bool
    icon: str


@dataclass(frozen=True, slots=True)
class NavGroup:
    label: str
    items: list[NavItem]


@dataclass(frozen=True, slots=True)
class Notice:
    """A line above every page: text, where it leads under which words, whether it warns."""

    text: str
    url: str = ""
    action: str = ""
    warning: bool = True

    def __str__(self) -> str:
        return self.text


class Company(NamedTuple):
    """A company that the reader can go to."""

    name: str
    slug: str


@dataclass(frozen=True, slots=True)
class Shell:
    tenant: Tenant | None
    tenants: list[Company]
    nav: list[NavGroup]
    notice: Notice | None
    user: Any
    # The roles whose rights the reader has: `{% if "admin" in shell.may %}`.
    may: frozenset[str] = frozenset()


_FIGURES = [
    (_("Financial reporting"), "financial", "chart"),
    (_("Cashflow"), "cashflow", "cash"),
    (_("Growth"), "growth", "growth"),
    (_("Board report"), "board", "audit"),
]
_RECURRING = [
    (_("Retention"), "retention", "retention"),
    (_("Segments"), "segments", "segments"),
    (_("Unit economics"), "economics", "economics"),
]
_REVENUE = [
    (_("Revenue recognition"), "recognition", "recognition"),
    (_("Refunds and overdue"), "overdue", "clock"),
]
_BOOKS = [
    (_("Customers"), "customers", "customers"),
    (_("Products"), "products", "products"),
    (_("Subscriptions"), "subscriptions", "subscriptions"),
    (_("Invoices"), "invoices", "invoices"),
    (_("Payments"), "payments", "payments"),
    (_("Data quality"), "quality", "check"),
]
_SETTINGS = [
    (_("Company"), "settings_company", "company"),
    (_("Team"), "settings_team", "team"),
    (_("Integrations"), "integrations", "integrations"),
    (_("Figures"), "settings_figures", "chart"),
    (_("Subscription"), "plan", "plan"),
    (_("Security"), "settings_security", "security"),
    (_("API tokens"), "settings_tokens", "api"),
    (_("Audit log"), "settings_audit", "audit"),
    (_("Your data"), "settings_data", "export"),
]
# What people do with their company's data is nothing for support.
_MEMBERS_ONLY = {"settings_data", "settings_tokens"}
# Rooms above this one register what the frame says about them; the first that has a line is shown.
notices: list[Callable[[HttpRequest], Notice | None]] = []


@dataclass(frozen=True, slots=True)
class Around:
    """What the frame of a company's page shows beside company, address, role and language."""

    tenants: list[Company]
    notice: Notice | None
    email: str
    # "dark" or "light" where the browser does not follow the system.
    theme: str

    @property
    def facts(self) -> tuple[object, ...]:
        """Equal for equal frames."""
        return (self.tenants, self.notice, self.email, self.theme)


def around(request: HttpRequest) -> Around:
    """Read once a request, whoever asks first."""
    found: Around | None = getattr(request, "around", None)
    if found is None:
        theme = request.COOKIES.get("theme", "")
        found = Around(
            tenants=request.tenants,  # type: ignore[attr-defined]
            notice=next((n for make in notices if (n := make(request))), None),
            email=request.user.email,  # type: ignore[union-attr]
            theme=theme if theme in {"dark", "light"} else "",
        )
        request.around = found  # type: ignore[attr-defined]
    return found


def kept_frame(request: HttpRequest) -> dict[str, Any]:
    """What a frame that is kept knows of a request: its address, and what `around` says."""
    known = around(request)
    frame: Shell = shell(request)["shell"]
    return {
        "shell": replace(frame, user={"email": known.email}),
        "request": {"path": request.path, "COOKIES": {"theme": known.theme}},
    }


def shell(request: HttpRequest) -> dict[str, Any]:
    """Template context: `shell` with tenant, tenants, navigation, notice and user."""
    tenant = getattr(request, "tenant", None)
    user = getattr(request, "user", None)
    if user is None or not user.is_authenticated:
        return {"shell": Shell(None, [], [], None, None)}
    membership: Membership | None = getattr(request, "membership", None)
    nav: list[NavGroup] = []
    if tenant and membership:
        here = request.path
        looks_in = getattr(request, "support_grant", None) is not None
        settings = [entry for entry in _SETTINGS if not (looks_in and entry[1] in _MEMBERS_ONLY)]
        groups = [
            # The first three stand in the bar of phones, so their group has no more.
            ("", _FIGURES),
            (_("Recurring revenue"), _RECURRING),
            (_("Revenue and billing"), _REVENUE),
            (_("Books"), _BOOKS),
            (_("Settings"), settings),
        ]
        nav = [
            NavGroup(str(label), _items(entries, tenant.slug, here, membership))
            for label, entries in groups
        ]
        nav = [group for group in nav if group.items]
    beside = around(request) if tenant else Around([], None, "", "")
    may = roles_of(membership) if membership else frozenset()
    return {"shell": Shell(tenant, beside.tenants, nav, beside.notice, user, may)}


def page_name(name: str) -> str:
    """The navigation's words for the page of this route; "" for one that it has not."""
    entries = (*_FIGURES, *_RECURRING, *_REVENUE, *_BOOKS, *_SETTINGS)
    return next((str(label) for label, route, _icon in entries if route == name), "")


def roles_of(membership: Membership) -> frozenset[str]:
    """The roles whose rights the member has."""
    return frozenset(role.value for role in Role if membership.may(role))


@cache
def _needed(name: str) -> Role | None:
    """The role that a page asks for; None when there is no such page."""
    try:
        view = resolve(reverse(name, args=["x"])).func
    except NoReverseMatch:
        return None
    return cast(Role, view.min_role)  # type: ignore[attr-defined]


@lru_cache(maxsize=4096)
def _address(name: str, slug: str) -> str:
    return reverse(name, args=[slug])


def _items(entries: list[Any], slug: str, here: str, membership: Membership) -> list[NavItem]:
    items = []
    for label, name, icon in entries:
        needed = _needed(name)
        if needed is None or not membership.may(needed):
            continue
        url = _address(name, slug)
        # The dashboard's address begins every other one.
        active = here == url if name == "financial" else here.startswith(url)
        items.append(NavItem(label, url, active, icon))
    return items
