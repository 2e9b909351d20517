"""One row in every tenant table, made from the models' fields: what a walk of all tables needs."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.utils import timezone

from calqsync.tenancy import scope
from calqsync.tenancy.isolation.catalog import tenant_models

FUTURE = datetime(2090, 1, 1, 12, tzinfo=UTC)


def soon() -> datetime:
    """Within the half hour that a grant may last."""
    return timezone.now() + timedelta(minutes=20)


# Where the column's kind says too little.
OWN = {
    ("tenancy_supportgrant", "expires_at"): soon,
    ("tenancy_apitoken", "expires_at"): soon,
}


class CannotFill(AssertionError):
    """A table has a field of a kind that this module knows no value for: teach it one."""


@dataclass
class Filled:
    """A tenant with a row in every table, and the person whom its rows name."""

    tenant: Any
    user: Any
    rows: dict[str, Any] = field(default_factory=dict)  # by table


def fill(tenant: Any, user: Any) -> Filled:
    """Make one row of every tenant model that the tenant has none of yet."""
    filled = Filled(tenant, user)
    with scope.tenant(tenant.pk):
        waiting = tenant_models()
        while waiting:
            ready = [model for model in waiting if _parents(model) <= set(filled.rows)]
            if not ready:
                raise CannotFill(f"these tables refer to each other in a ring: {waiting}")
            for model in ready:
                found = model._base_manager.filter(tenant=tenant).first()
                filled.rows[model._meta.db_table] = found or _make(model, filled)
            waiting = [model for model in waiting if model not in ready]
    return filled


def _parents(model: Any) -> set[str]:
    return {
        f.related_model._meta.db_table
        for f in model._meta.local_fields
        if f.is_relation and f.related_model in tenant_models() and f.related_model is not model
    }


def _make(model: Any, filled: Filled) -> Any:
    values = {
        f.attname: _value(f, filled)
        for f in model._meta.local_fields
        if not f.primary_key and (f.db_default is models.NOT_PROVIDED or f.name == "run_after")
    }
    made = model._base_manager.create(**values)
    made.refresh_from_db()
    return made


def _value(f: Any, filled: Filled) -> Any:
    if own := OWN.get((f.model._meta.db_table, f.name)):
        return own()
    if f.is_relation:
        return _related(f, filled)
    if f.choices:
        return f.flatchoices[0][0]
    marker = f"{filled.tenant.slug}-{f.name}"
    for kind, value in {
        models.EmailField: f"{f.name}@{filled.tenant.slug}.example",
        models.GenericIPAddressField: "192.0.2.1",
        models.CharField: marker[: f.max_length],
        models.TextField: marker,
        models.BooleanField: False,
        models.IntegerField: 1,
        models.DecimalField: Decimal(1),
        models.FloatField: 1.0,
        models.DateTimeField: FUTURE,  # so that no grant or lease has run out
        models.DateField: date(2026, 1, 1),
        models.DurationField: None,
        models.JSONField: {"marker": marker},
        models.BinaryField: marker.encode(),
        models.UUIDField: uuid.uuid4(),
        ArrayField: [],
    }.items():
        if isinstance(f, kind):
            if f.null and f.name in {"ended_at", "refused_at", "finished_at"}:
                return None
            return value
    raise CannotFill(f"{f.model.__name__}.{f.name} is a {type(f).__name__}")


def _related(f: Any, filled: Filled) -> Any:
    table = f.related_model._meta.db_table
    if table == "tenancy_tenant":
        return filled.tenant.pk
    if table == "tenancy_user":
        return filled.user.pk
    if table in filled.rows:
        return filled.rows[table].pk
    if f.null:
        return None
    raise CannotFill(f"{f.model.__name__}.{f.name} refers to {table}, of which there is no row")
