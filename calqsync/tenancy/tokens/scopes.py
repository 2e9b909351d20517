"""What a token may be made for, and which role that takes."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from django.utils.translation import gettext_lazy as _

from calqsync.tenancy.models import Membership, Role


@dataclass(frozen=True, slots=True)
class Scope:
    """The lowest role that may give it away, and its words."""

    min_role: Role
    words: Any


FIGURES, CUSTOMERS, SUBSCRIPTIONS = "figures:read", "customers:read", "subscriptions:read"
PRODUCTS, DOCUMENTS = "products:read", "documents:read"
SCOPES = {
    FIGURES: Scope(Role.INVESTOR, _("Figures: sums and rates of the whole company")),
    CUSTOMERS: Scope(Role.VIEWER, _("Customers by name, also where figures name them")),
    SUBSCRIPTIONS: Scope(Role.VIEWER, _("Subscriptions")),
    PRODUCTS: Scope(Role.VIEWER, _("Products")),
    DOCUMENTS: Scope(Role.VIEWER, _("Invoices with their rows and customers’ names, and payments")),
}


def within(scopes: Iterable[str], membership: Membership) -> list[str]:
    """Those of the scopes that the member's role allows today, in a fixed order."""
    asked = set(scopes)
    return [
        name for name, scope in SCOPES.items() if name in asked and membership.may(scope.min_role)
    ]
