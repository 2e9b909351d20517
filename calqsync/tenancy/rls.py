"""Migration operations that give tenant tables their policies, keys and grants.

A table with a ``tenant`` foreign key gets: forced row-level security, a policy for the app
role, a policy for the support role, ``UNIQUE (tenant_id, id)``, and for each foreign key to
another tenant table a composite one, because a plain foreign key ignores row-level security.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django.db.backends.base.schema import BaseDatabaseSchemaEditor
from django.db.migrations.operations.base import Operation
from django.db.models import CASCADE, SET_NULL, ForeignKey

from calqsync.tenancy.roles import APP, SUPPORT

# The sub-select is evaluated once a statement; nullif because a setting that was local to an
# earlier transaction reads as '' afterwards.
TENANT = "(SELECT nullif(current_setting('app.tenant', true), '')::bigint)"
USER = "(SELECT nullif(current_setting('app.user', true), '')::bigint)"
TOKEN = "(SELECT nullif(current_setting('app.token', true), ''))"  # noqa: S105 - a setting's name

_GRANTED = (
    f"tenant_id = {TENANT} AND EXISTS (SELECT 1 FROM tenancy_supportgrant g WHERE"
    f" g.tenant_id = {TENANT} AND g.staff_id = {USER} AND g.expires_at > now()"
    " AND g.ended_at IS NULL)"
)


def policy(table: str, name: str, *, role: str, using: str, command: str = "ALL") -> str:
    """SQL that replaces one policy of a table."""
    return (
        f'DROP POLICY IF EXISTS {name} ON "{table}";'
        f' CREATE POLICY {name} ON "{table}" FOR {command} TO {role} USING ({using});'
    )


class SecureTables(Operation):
    """Secure every tenant table of the app as it stands after this migration; repeatable.

    `directory` names models whose rows support staff may read across tenants (who is who, what
    ran when); `hidden` names models that support staff never read; all others open under a
    grant. `also_visible` adds a condition under which the app role sees a row before a tenant
    is known. `append_only` models can be read and inserted, never changed.
    """

    reversible = True
    reduces_to_sql = True

    def __init__(
        self,
        *,
        directory: Iterable[str] = (),
        hidden: Iterable[str] = (),
        append_only: Iterable[str] = (),
        also_visible: dict[str, str] | None = None,
    ) -> None:
        self.directory = list(directory)
        self.hidden = list(hidden)
        self.append_only = list(append_only)
        self.also_visible = also_visible or {}

    def deconstruct(self) -> tuple[str, list[Any], dict[str, Any]]:
        return (
            type(self).__qualname__,
            [],
            {
                "directory": self.directory,
                "hidden": self.hidden,
                "append_only": self.append_only,
                "also_visible": self.also_visible,
            },
        )

    def state_forwards(self, app_label: str, state: Any) -> None:
        """Policies and keys are no part of Django's model state."""

    def database_forwards(
        self,
        app_label: str,
        schema_editor: BaseDatabaseSchemaEditor,
        from_state: Any,
        to_state: Any,
    ) -> None:
        models = [m for m in to_state.apps.get_app_config(app_label).get_models() if _owned(m)]
        for model in models:
            schema_editor.execute(self._policies(model))
        for model in models:
            for statement in _composite_keys(model):
                schema_editor.execute(statement)

    def database_backwards(self, *args: Any) -> None:
        """Dropping the tables drops what this added."""

    def describe(self) -> str:
        return "Row-level security, composite keys and grants"

    def _policies(self, model: Any) -> str:
        table, name = model._meta.db_table, model._meta.model_name
        visible = f"tenant_id = {TENANT}"
        parts = [
            f'ALTER TABLE "{table}" ENABLE ROW LEVEL SECURITY;'
            f' ALTER TABLE "{table}" FORCE ROW LEVEL SECURITY;',
            policy(table, "tenant_rows", role=APP, using=visible),
            _unique(table),
        ]
        if name in self.also_visible:
            parts.append(
                policy(table, "own_rows", role=APP, using=self.also_visible[name], command="SELECT")
            )
        if name not in self.hidden:
            seen = "true" if name in self.directory else _GRANTED
            parts.append(policy(table, "support_rows", role=SUPPORT, using=seen, command="SELECT"))
            parts.append(f'GRANT SELECT ON "{table}" TO {SUPPORT};')
        if name in self.append_only:
            parts.append(f'REVOKE UPDATE, DELETE ON "{table}" FROM {APP};')
        return " ".join(parts)


def _owned(model: Any) -> bool:
    return any(field.name == "tenant" for field in model._meta.local_fields)


def _unique(table: str) -> str:
    name = f"{table}_tenant_id_key"[:63]
    return (
        f"DO $$ BEGIN IF NOT EXISTS (SELECT 1 FROM pg_constraint WHERE conname = '{name}') THEN"
        f' ALTER TABLE "{table}" ADD CONSTRAINT "{name}" UNIQUE (tenant_id, id); END IF; END $$;'
    )


def _composite_keys(model: Any) -> Iterable[str]:
    table = model._meta.db_table
    for field in model._meta.local_fields:
        if not isinstance(field, ForeignKey) or field.name == "tenant":
            continue
        if not _owned(field.related_model):
            continue
        name = f"{table}_{field.column}_tenant_fk"[:63]
        yield (
            f"DO $$ BEGIN IF NOT EXISTS (SELECT 1 FROM pg_constraint WHERE conname = '{name}')"
            f' THEN ALTER TABLE "{table}" ADD CONSTRAINT "{name}"'
            f" FOREIGN KEY (tenant_id, {field.column})"
            f' REFERENCES "{field.related_model._meta.db_table}" (tenant_id, id)'
            f"{_on_delete(field)} DEFERRABLE INITIALLY DEFERRED; END IF; END $$;"
        )


def _on_delete(field: Any) -> str:
    """What the model says about deletion, so that a bulk DELETE in SQL obeys it too.

    A room below may so delete rows that a room above refers to without knowing it.
    """
    if field.remote_field.on_delete is CASCADE:
        return " ON DELETE CASCADE"
    if field.remote_field.on_delete is SET_NULL:
        return f' ON DELETE SET NULL ("{field.column}")'
    return ""
