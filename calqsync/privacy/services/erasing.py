"""Erasing one tenant: its key first, then its rows in small steps, last the tenant itself.

Every step is a transaction of its own and may be repeated. The app's role does all of it, bound
by row-level security: rows of another tenant are out of reach whatever goes wrong here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime
from graphlib import TopologicalSorter
from typing import Any
from uuid import UUID

import structlog
from django.apps import apps
from django.contrib.admin.models import LogEntry
from django.contrib.contenttypes.models import ContentType
from django.db import connection, models, transaction
from psycopg2 import sql

from calqsync.jobs.models import Job
from calqsync.privacy.models import Erased
from calqsync.privacy.services.ledger import erasure_record
from calqsync.tenancy import scope
from calqsync.tenancy.models import Invitation, Membership, SupportGrant, Tenant
from calqsync.tenancy.owned import TenantOwned

log = structlog.get_logger(__name__)
BATCH = 5_000


def no_fence() -> None:
    """Where nobody else can hold the work."""


def tenant_tables() -> list[type[TenantOwned]]:
    """Every model whose rows belong to a tenant, children before their parents."""
    found = [model for model in apps.get_models() if issubclass(model, TenantOwned)]
    order: TopologicalSorter[type[TenantOwned]] = TopologicalSorter()
    for model in found:
        order.add(model)
        for field in model._meta.concrete_fields:
            parent = field.related_model
            if parent in found and parent is not model:
                order.add(parent, model)
    return list(order.static_order())


def tenant_erase(
    *,
    tenant_id: int,
    asked_by: UUID | None,
    due: datetime | None = None,
    fence: Callable[[], None] = no_fence,
    job_id: int | None = None,
) -> int:
    """Erase the tenant from every store; returns the number of rows deleted one by one.

    With `due` nothing happens unless the tenant's deletion was due by then. `fence` opens each
    transaction; `job_id` is the job that does this, which goes last. A tenant that is gone
    already is no fault: nothing is left to do.
    """
    with scope.tenant(tenant_id):
        with transaction.atomic():
            fence()
            tenant = Tenant.objects.select_for_update().filter(pk=tenant_id).first()
            if tenant is None:
                return 0
            if due is not None and (tenant.deletes_at is None or tenant.deletes_at > due):
                return 0  # taken back in the last moment
            _close(tenant, asked_by, job_id)
        deleted = sum(_emptied(fence, job_id))
        with transaction.atomic():
            fence()
            deleted += _finish(tenant_id)
    log.info("tenant.erased", rows=deleted)
    return deleted


def _close(tenant: Tenant, asked_by: UUID | None, job_id: int | None) -> None:
    """What makes it irrevocable: the ledger's line, the key, the members, the work under way."""
    erasure_record(
        kind=Erased.TENANT,
        subject=tenant.public_id,
        tenant_number=tenant.pk,
        asked_by=asked_by,
    )
    Tenant.objects.filter(pk=tenant.pk).update(
        data_key_wrapped=b"",
        key_encryption_key_id="",
        name="",
        business_id="",
        slug=f"erased-{tenant.public_id}",
    )
    for model in (Membership, Invitation, SupportGrant):
        model.objects.all().delete()
    # A worker that runs one of these finds its job gone at its next write, and stops.
    Job.objects.exclude(pk=job_id)._raw_delete("default")
    _forget_console_entries(tenant)


def _forget_console_entries(tenant: Tenant) -> None:
    """What support staff did to this tenant's rows names them in Django's own log."""
    LogEntry.objects.filter(
        content_type=ContentType.objects.get_for_model(Tenant), object_id=str(tenant.pk)
    ).delete()
    for model in tenant_tables():
        entries = LogEntry.objects.filter(content_type=ContentType.objects.get_for_model(model))
        named = [int(one) for one in entries.values_list("object_id", flat=True) if one]
        if named:
            mine = model.objects.filter(pk__in=named).values_list("pk", flat=True)
            entries.filter(object_id__in=[str(pk) for pk in mine]).delete()


def _emptied(fence: Callable[[], None], job_id: int | None) -> Iterator[int]:
    """Delete all rows but the job's own and those that go with the tenant; counts, step by step."""
    for model in tenant_tables():
        if not _may_delete(model):
            continue
        keep = job_id if model is Job else None
        while True:
            with transaction.atomic():
                fence()
                deleted = _delete_some(model, BATCH, keep=keep)
            yield deleted
            if deleted < BATCH:
                break


def _finish(tenant_id: int) -> int:
    """The rest, in one transaction: rows that came meanwhile, the job's own row, the tenant.

    Audit rows go by the database's own cascade from the tenant's row, since the app's role may
    not delete them. Any other row that were left would refuse the commit.
    """
    deleted = sum(_delete_some(m, None, keep=None) for m in tenant_tables() if _may_delete(m))
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM tenancy_tenant WHERE id = %s", [tenant_id])
        if cursor.rowcount != 1:
            raise RuntimeError("the tenant's row was not deleted")
    return deleted


def _may_delete(model: type[models.Model]) -> bool:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT has_table_privilege(current_user, %s, 'DELETE')", [model._meta.db_table]
        )
        return bool(cursor.fetchone()[0])


def _delete_some(model: type[models.Model], limit: int | None, *, keep: int | None) -> int:
    """Delete up to `limit` rows of the tenant in scope; how many there were."""
    values: list[Any] = [scope.required(), keep or 0]
    some = sql.SQL("SELECT ctid FROM {} WHERE tenant_id = %s AND id <> %s").format(
        sql.Identifier(model._meta.db_table)
    )
    if limit is not None:
        some, values = sql.SQL("{} LIMIT %s").format(some), [*values, limit]
    with connection.cursor() as cursor:
        cursor.execute(
            sql.SQL("DELETE FROM {} WHERE ctid = ANY(ARRAY({})) AND tenant_id = %s").format(
                sql.Identifier(model._meta.db_table), some
            ),
            [*values, scope.required()],
        )
        return int(cursor.rowcount)
