"""Migration operations that give tenant tables their policies, keys and grants.

A table with a ``tenant`` foreign key gets: forced row-level security, a policy for the app
role, a policy for the support role, ``UNIQUE (tenant_id, id)``, and for each foreign key to
another tenant table a composite one, because a plain foreign key ignores row-level security.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from django.db.backends.base.schema import BaseDatabaseSchemaEditor
from django.db.migrations.operations.base import Operation
from django.db.models import CASCADE, SET_NULL, ForeignKey

from calqsync.tenancy.isolation.roles import APP, SUPPORT

# The sub-select is evaluated once a statement; nullif because a setting that was local to an
# earlier transaction reads as '' afterwards.
TENANT = "(SELECT nullif(current_setting('app.tenant', true), '')::bigint)"
USER = "(SELECT nullif(current_setting('app.user', true), '')::bigint)"
TOKEN = "(SELECT nullif(current_setting('app.token', true), ''))"  # noqa: S105 - a setting's name

# A member of staff with a live grant for the tenant in scope; judged by the database itself.
GRANTED = (
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
        models = [m for m in to_state.apps.get_app_config(app_label).get_models() if owned(m)]
        for model in models:
            schema_editor.execute(self.policies(model))
        for model in models:
            for key in composite_keys(model):
                schema_editor.execute(key.sql())

    def database_backwards(self, *args: Any) -> None:
        """Dropping the tables drops what this added."""

    def describe(self) -> str:
        return "Row-level security, composite keys and grants"

    def policies(self, model: Any) -> str:
        """SQL that binds one table: row-level security, its policies and its grants."""
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
            seen = "true" if name in self.directory else GRANTED
            parts.append(policy(table, "support_rows", role=SUPPORT, using=seen, command="SELECT"))
            parts.append(f'GRANT SELECT ON "{table}" TO {SUPPORT};')
        if name in self.append_only:
            parts.append(f'REVOKE UPDATE, DELETE ON "{table}" FROM {APP};')
        return " ".join(parts)


def owned(model: Any) -> bool:
    """Whether the model's rows belong to a tenant."""
    return any(field.name == "tenant" for field in model._meta.local_fields)


def _unique(table: str) -> str:
    name = f"{table}_tenant_id_key"[:63]
    return (
        f"DO $$ BEGIN IF NOT EXISTS (SELECT 1 FROM pg_constraint WHERE conname = '{name}') THEN"
        f' ALTER TABLE "{table}" ADD CONSTRAINT "{name}" UNIQUE (tenant_id, id); END IF; END $$;'
    )


@dataclass(frozen=True, slots=True)
class CompositeKey:
    """The foreign key (tenant_id, column) that keeps a row and its parent in one tenant."""

    table: str
    column: str
    target: str
    on_delete: str  # as pg_constraint.confdeltype has it: a (nothing), c (cascade), n (set null)

    @property
    def name(self) -> str:
        return f"{self.table}_{self.column}_tenant_fk"[:63]

    def sql(self) -> str:
        on_null = f' ON DELETE SET NULL ("{self.column}")'
        deletes = {"a": "", "c": " ON DELETE CASCADE", "n": on_null}
        return (
            f"DO $$ BEGIN IF NOT EXISTS (SELECT 1 FROM pg_constraint WHERE conname = '{self.name}')"
            f' THEN ALTER TABLE "{self.table}" ADD CONSTRAINT "{self.name}"'
            f' FOREIGN KEY (tenant_id, {self.column}) REFERENCES "{self.target}" (tenant_id, id)'
            f"{deletes[self.on_delete]} DEFERRABLE INITIALLY DEFERRED; END IF; END $$;"
        )


def composite_keys(model: Any) -> list[CompositeKey]:
    """One key for each foreign key of the model to another tenant table.

    It does on deletion what the model says, so that a bulk DELETE in SQL obeys it too: a room
    below may so delete rows that a room above refers to without knowing it.
    """
    deletes: dict[Any, str] = {CASCADE: "c", SET_NULL: "n"}
    return [
        CompositeKey(
            model._meta.db_table,
            field.column,
            field.related_model._meta.db_table,
            deletes.get(field.remote_field.on_delete, "a"),
        )
        for field in model._meta.local_fields
        if isinstance(field, ForeignKey) and field.name != "tenant" and owned(field.related_model)
    ]
