"""What every tenant table has in common: its tenant, its public id, its fail-closed manager."""

from __future__ import annotations

from typing import Any, ClassVar

from django.db import connections, models
from django.db.models.query import RawQuerySet

from calqsync.tenancy import scope


class PublicId(models.Func):
    """A fresh UUID from the database: version 7 where the server has it."""

    function = "new_public_id"
    arity = 0
    output_field = models.UUIDField()


def public_id_field() -> models.UUIDField[Any, Any]:
    """The id that addresses and the API show; sequential numbers stay inside."""
    return models.UUIDField(db_default=PublicId(), editable=False)


class TenantManager(models.Manager[Any]):
    """Rows of the tenant in scope; refuses without one, and outside a transaction."""

    def get_queryset(self) -> models.QuerySet[Any]:
        tenant_id = self._tenant_id()
        return super().get_queryset().filter(tenant_id=tenant_id)

    def raw(self, raw_query: str, params: Any = (), *args: Any, **kwargs: Any) -> RawQuerySet[Any]:
        """Rows of a query that names the tenant itself; refused as all others are."""
        self._tenant_id()
        return super().get_queryset().raw(raw_query, params, *args, **kwargs)

    def _tenant_id(self) -> int:
        """The tenant in scope, in whose transaction the reader is."""
        tenant_id = scope.current()
        if tenant_id is None:
            raise scope.NoTenant(f"{self.model.__name__} was read with no tenant in scope")
        if not connections[self.db].in_atomic_block:
            raise scope.NoTransaction(f"{self.model.__name__} was read outside a transaction")
        return tenant_id

    def create(self, **values: Any) -> Any:
        return super().create(**{"tenant_id": scope.required(), **values})


class TenantOwned(models.Model):
    """A row that belongs to one tenant.

    `objects` is the one way in. `unscoped` serves the admin and related look-ups; row-level
    security still binds it.
    """

    # No index of its own: UNIQUE (tenant_id, id) begins with it in every table.
    tenant = models.ForeignKey("tenancy.Tenant", models.CASCADE, related_name="+", db_index=False)

    objects: ClassVar[Any] = TenantManager()
    unscoped: ClassVar[Any] = models.Manager()

    class Meta:
        abstract = True
        default_manager_name = "unscoped"
        base_manager_name = "unscoped"
