"""What the page frame needs on every page: company, navigation, trial notice."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any, cast

from django.http import HttpRequest
from django.urls import NoReverseMatch, resolve, reverse
from django.utils.translation import gettext_lazy as _

from calqsync.tenancy import scope
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
class Shell:
    tenant: Tenant | None
    tenants: list[Tenant]
    nav: list[NavGroup]
    trial: Any
    user: Any
    # The roles whose rights the reader has: `{% if "admin" in shell.may %}`.
    may: frozenset[str] = frozenset()


_MAIN = [
    (_("Financial reporting"), "financial", "chart"),
    (_("Cashflow"), "cashflow", "cash"),
    (_("Growth"), "growth", "growth"),
    (_("Customers"), "customers", "customers"),
    (_("Products"), "products", "products"),
    (_("Subscriptions"), "subscriptions", "subscriptions"),
    (_("Invoices"), "invoices", "invoices"),
    (_("Payments"), "payments", "payments"),
]
_SETTINGS = [
    (_("Company"), "settings_company", "company"),
    (_("Team"), "settings_team", "team"),
    (_("Integrations"), "integrations", "integrations"),
    (_("Subscription"), "plan", "plan"),
    (_("Security"), "settings_security", "security"),
    (_("Audit log"), "settings_audit", "audit"),
    (_("Your data"), "settings_data", "export"),
]
# Rooms above this one register what the frame shows about them (the trial notice).
notices: list[Callable[[HttpRequest], Any]] = []


def shell(request: HttpRequest) -> dict[str, Any]:
    """Template context: `shell` with tenant, tenants, navigation, trial notice and user."""
    tenant = getattr(request, "tenant", None)
    user = getattr(request, "user", None)
    if user is None or not user.is_authenticated:
        return {"shell": Shell(None, [], [], None, None)}
    looked_into = getattr(request, "support_grant", None)
    with scope.user(user.pk):
        # Support sees the one company that it looks into; its own are a click on "/" away.
        tenants = (
            [tenant]
            if looked_into
            else list(Tenant.objects.only("id", "name", "slug").order_by("name"))
            if tenant
            else []
        )
    nav = []
    membership = getattr(request, "membership", None)
    if tenant:
        here = request.path
        nav = [
            NavGroup("", _items(_MAIN, tenant.slug, here, membership)),
            NavGroup(str(_("Settings")), _items(_SETTINGS, tenant.slug, here, membership)),
        ]
        nav = [group for group in nav if group.items]
    notice = next((n for make in notices if tenant and (n := make(request))), None)
    may = frozenset(role.value for role in Role if membership and membership.may(role))
    return {"shell": Shell(tenant, tenants, nav, notice, user, may)}


@cache
def _needed(name: str) -> Role | None:
    """The role that a page asks for; None when there is no such page."""
    try:
        view = resolve(reverse(name, args=["x"])).func
    except NoReverseMatch:
        return None
    return cast(Role, view.min_role)  # type: ignore[attr-defined]


def _items(entries: list[Any], slug: str, here: str, membership: Membership) -> list[NavItem]:
    items = []
    for label, name, icon in entries:
        needed = _needed(name)
        if needed is None or not membership.may(needed):
            continue
        url = reverse(name, args=[slug])
        # The dashboard's address begins every other one.
        active = here == url if name == "financial" else here.startswith(url)
        items.append(NavItem(label, url, active, icon))
    return items
