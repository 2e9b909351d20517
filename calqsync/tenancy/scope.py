"""Which tenant (and which person) the running code acts for.

The scope lives in a context variable, and is copied to the database as transaction-local settings
(`calqsync/tenancy/backend`), where row-level security reads it. Nothing falls back to a "last
used" tenant: code that reads tenant rows with no tenant in scope fails.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, replace
from typing import Any

from django.db import connections


class NoTenant(RuntimeError):
    """Tenant rows were asked for with no tenant in scope."""


class NoTransaction(RuntimeError):
    """Tenant rows were asked for outside a transaction, where row-level security hides them."""


class NoSupportRole(RuntimeError):
    """Support would read with the app's rights, which no grant binds."""

    advice = "Point DATABASE_SUPPORT_URL at the calqsync_support role."


@dataclass(frozen=True, slots=True)
class Scope:
    tenant_id: int | None = None
    user_id: int | None = None
    token_hash: str | None = None
    looking_in: bool = False

    def settings(self, alias: str) -> tuple[str, str, str]:
        # While support looks in, the app's own connection is told no tenant: a read that does
        # not go through the support role finds nothing.
        tenant_id = None if self.looking_in and alias != SUPPORT else self.tenant_id
        return (str(tenant_id or ""), str(self.user_id or ""), self.token_hash or "")


# The connection of the support role.
SUPPORT = "support"
NOBODY = Scope()
_scope: ContextVar[Scope] = ContextVar("calqsync_scope", default=NOBODY)
_one_state: ContextVar[bool] = ContextVar("calqsync_one_state", default=False)


def current() -> int | None:
    """The tenant's id, or None outside any tenant."""
    return _scope.get().tenant_id


def required() -> int:
    """The tenant's id; raises NoTenant when there is none."""
    tenant_id = current()
    if tenant_id is None:
        raise NoTenant("no tenant is in scope")
    return tenant_id


def current_settings(alias: str) -> tuple[str, str, str]:
    """What transactions of this connection are told: tenant, person and token, "" for none."""
    return _scope.get().settings(alias)


def tenant(tenant_id: int) -> Any:
    """Act for this tenant inside the with-block; scopes nest and are restored."""
    return _pushed(replace(_scope.get(), tenant_id=tenant_id))


def user(user_id: int | None) -> Any:
    """Let this person see their own memberships and tenants before a tenant is known."""
    return _pushed(replace(_scope.get(), user_id=user_id))


def token(token_hash: str) -> Any:
    """Let the holder of a token see the one row that the token opens."""
    return _pushed(replace(_scope.get(), token_hash=token_hash))


def looking_in(tenant_id: int) -> Any:
    """Read this tenant's rows as support may: by the support role alone, and never write.

    The role's policies show the directory, and the books only to a person (`user`) with a live
    grant. Open a transaction of the `support` connection inside.
    """
    if connections[SUPPORT].settings_dict["USER"] == connections["default"].settings_dict["USER"]:
        raise NoSupportRole(NoSupportRole.advice)
    return _pushed(replace(_scope.get(), tenant_id=tenant_id, looking_in=True))


def is_looking_in() -> bool:
    """Whether the running code may see only what support may see."""
    return _scope.get().looking_in


def nothing() -> Any:
    """Act for nobody: what a worker does between two jobs."""
    return _pushed(NOBODY)


@contextmanager
def one_state() -> Iterator[None]:
    """Transactions that begin inside see the rows of one moment, however many queries they take.

    For readers: one that changes or locks a row which another transaction changed since fails.
    """
    before = _one_state.set(True)
    try:
        yield
    finally:
        _one_state.reset(before)


def is_one_state() -> bool:
    """Whether a transaction that begins now shall see the rows of one moment."""
    return _one_state.get()


@contextmanager
def _pushed(scope: Scope) -> Iterator[None]:
    before = _scope.set(scope)
    try:
        yield
    finally:
        _scope.reset(before)
