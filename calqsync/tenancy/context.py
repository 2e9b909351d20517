"""What the page frame needs on every page: company, navigation, trial notice."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from django.http import HttpRequest
from django.urls import NoReverseMatch, reverse
from django.utils.translation import gettext_lazy as _

from calqsync.tenancy import scope
from calqsync.tenancy.models import Tenant


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
]
# Rooms above this one register what the frame shows about them (the trial notice).
notices: list[Callable[[HttpRequest], Any]] = []


def shell(request: HttpRequest) -> dict[str, Any]:
    """Template context: `shell` with tenant, tenants, navigation, trial notice and user."""
    tenant = getattr(request, "tenant", None)
    user = getattr(request, "user", None)
    if user is None or not user.is_authenticated:
        return {"shell": Shell(None, [], [], None, None)}
    with scope.user(user.pk):
        tenants = list(Tenant.objects.only("id", "name", "slug").order_by("name")) if tenant else []
    nav = []
    if tenant:
        here = request.path
        nav = [
            NavGroup("", _items(_MAIN, tenant.slug, here)),
            NavGroup(str(_("Settings")), _items(_SETTINGS, tenant.slug, here)),
        ]
    notice = next((n for make in notices if tenant and (n := make(request))), None)
    return {"shell": Shell(tenant, tenants, nav, notice, user)}


def _items(entries: list[Any], slug: str, here: str) -> list[NavItem]:
    items = []
    for label, name, icon in entries:
        try:
            url = reverse(name, args=[slug])
        except NoReverseMatch:
            continue
        # The dashboard's address begins every other one.
        active = here == url if name == "financial" else here.startswith(url)
        items.append(NavItem(label, url, active, icon))
    return items
