"""Sends the reads of support staff through the support role, and none of their writes anywhere.

What staff see while they look into a company is so decided by PostgreSQL: the role has no right
to a secret, and its policies show books only under a live grant.
"""

from __future__ import annotations

from typing import Any

from django.core.exceptions import PermissionDenied
from django.utils.translation import gettext_lazy as _

from calqsync.tenancy import scope


class SupportReadsOnly(PermissionDenied):
    """Something would have been written while support looks in."""

    advice = _("Support can look, and change nothing. Ask a member of the company to do this.")


class SupportReads:
    """Database router: while support looks in, our tables are read by the support role."""

    def db_for_read(self, model: Any, **hints: Any) -> str | None:
        return scope.SUPPORT if scope.is_looking_in() and _is_ours(model) else None

    def db_for_write(self, model: Any, **hints: Any) -> str | None:
        if scope.is_looking_in() and _is_ours(model):
            raise SupportReadsOnly(f"{model.__name__} is not written while support looks in")
        return None

    def allow_relation(self, one: Any, other: Any, **hints: Any) -> bool | None:
        """Rows read by the two roles are rows of one database."""
        aliases = {one._state.db or "default", other._state.db or "default"}
        return True if aliases <= {"default", scope.SUPPORT} else None


def _is_ours(model: Any) -> bool:
    """Everything but what packages keep about the signed-in person: sessions, second steps."""
    return not model.__module__.startswith(("django.", "allauth."))
