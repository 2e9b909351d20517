"""Changing the key-encryption key while everything runs, and proof that nothing needs the old one.

The data keys stay: they are wrapped anew, one row a tenant, each in a transaction of its own, so
that a rotation can stop anywhere and be started again. A tenant's rows are read in the tenant's
scope; which tenants there are is known from the support directory. Nothing sees past row-level
security.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

from allauth.mfa.models import Authenticator
from django.db import connections, transaction
from django.utils import timezone

from calqsync.tenancy import scope, secrets
from calqsync.tenancy.models import KeyEncryptionKey, Tenant
from calqsync.tenancy.secrets import SealedColumn, SecretUnreadable

SAMPLE = 25


class StillNeeded(Exception):
    """Rows are sealed with a key that was to be given up."""

    def __init__(self, name: str, rows: int) -> None:
        super().__init__(
            f"{rows} row{'' if rows == 1 else 's'} still need{'s' if rows == 1 else ''} the key"
            f" {name}. Run manage.py secrets rotate, then try again. The key stays in use."
        )
        self.rows = rows


@dataclass(slots=True)
class Report:
    """What a rotation or a check found: rows by key id, and what could not be read."""

    by_key: Counter[str] = field(default_factory=Counter)
    rewrapped: int = 0
    opened: int = 0
    unreadable: list[str] = field(default_factory=list)


def tenant_ids() -> list[int]:
    """Every company's id, also of one that is being erased."""
    with connections["support"].cursor() as cursor:
        cursor.execute("SELECT id FROM tenancy_tenant ORDER BY id")
        return [row[0] for row in cursor.fetchall()]


def rotate() -> Report:
    """Wrap every data key and personal secret with the current key; repeatable."""
    report = Report()
    for tenant_id in tenant_ids():
        try:
            report.rewrapped += _rewrap_tenant(tenant_id)
        except SecretUnreadable as problem:
            report.unreadable.append(f"tenant {tenant_id}: {problem}")
    for pk in list(Authenticator.objects.order_by("pk").values_list("pk", flat=True)):
        try:
            report.rewrapped += _reseal_person(pk)
        except SecretUnreadable as problem:
            report.unreadable.append(f"sign-in method {pk}: {problem}")
    report.by_key = needed()
    return report


@transaction.atomic
def _rewrap_tenant(tenant_id: int) -> bool:
    with scope.tenant(tenant_id):
        tenant = _keys_of(tenant_id, lock=True)
        if tenant is None or tenant.key_encryption_key_id == secrets.current_key_id():
            return False
        wrapped, name = secrets.rewrap(
            key_id=tenant.data_key_id,
            wrapped=bytes(tenant.data_key_wrapped),
            wrapped_by=tenant.key_encryption_key_id,
        )
        Tenant.objects.filter(pk=tenant_id).update(
            data_key_wrapped=wrapped, key_encryption_key_id=name
        )
    return True


def _keys_of(tenant_id: int, *, lock: bool = False) -> Tenant | None:
    """The tenant with its keys; None when it is gone or its key was destroyed."""
    rows = Tenant.objects.select_for_update(no_key=True) if lock else Tenant.objects.all()
    found = rows.only("data_key_id", "data_key_wrapped", "key_encryption_key_id").filter(
        pk=tenant_id
    )
    tenant = found.first()
    return tenant if tenant is not None and tenant.data_key_wrapped else None


@transaction.atomic
def _reseal_person(pk: int) -> bool:
    held = Authenticator.objects.select_for_update().filter(pk=pk).first()
    if held is None:
        return False
    changed = False
    for name, sealed in held.data.items():
        key = secrets.wrapped_for_person_by(sealed) if isinstance(sealed, str) else ""
        if key and key != secrets.current_key_id():
            held.data[name] = secrets.seal_for_person(secrets.open_for_person(sealed))
            changed = True
    if changed:
        held.save(update_fields=["data"])
    return changed


def needed() -> Counter[str]:
    """How many rows need each key: one a tenant, one a personal secret."""
    count: Counter[str] = Counter()
    for tenant_id in tenant_ids():
        with transaction.atomic(), scope.tenant(tenant_id):
            tenant = _keys_of(tenant_id)
        if tenant is not None:
            count[tenant.key_encryption_key_id] += 1
    for sealed in _personal():
        count[secrets.wrapped_for_person_by(sealed)] += 1
    return count


def _personal() -> Iterator[str]:
    for data in Authenticator.objects.values_list("data", flat=True).iterator():
        for value in data.values():
            if isinstance(value, str) and secrets.wrapped_for_person_by(value):
                yield value


@transaction.atomic
def retire(name: str) -> None:
    """Give a key up for good, or raise StillNeeded with the number of rows that need it.

    Whoever seals with this key at the moment is waited for, and nobody does afterwards.
    """
    row = KeyEncryptionKey.objects.select_for_update().get(name=name)
    rows = needed()[name]
    if rows:
        raise StillNeeded(name, rows)
    row.retired_at = row.retired_at or timezone.now()
    row.save(update_fields=["retired_at"])


def check(*, everything: bool = False) -> Report:
    """Open every data key, every sealed value and every personal secret.

    Of bulky columns (raw documents) the newest of each tenant are opened, or all.
    """
    report = Report()
    for tenant_id in tenant_ids():
        with transaction.atomic(), scope.tenant(tenant_id):
            tenant = _keys_of(tenant_id)
            if tenant is None:
                continue
            report.by_key[tenant.key_encryption_key_id] += 1
            try:
                seal = secrets.sealer()
            except SecretUnreadable as problem:
                report.unreadable.append(f"tenant {tenant_id}: {problem}")
                continue
            report.opened += 1
            for column in secrets.sealed_columns():
                _check_column(report, tenant_id, seal, column, everything=everything)
    for sealed in _personal():
        report.by_key[secrets.wrapped_for_person_by(sealed)] += 1
        try:
            secrets.open_for_person(sealed)
            report.opened += 1
        except SecretUnreadable as problem:
            report.unreadable.append(f"a sign-in method: {problem}")
    return report


def _check_column(
    report: Report,
    tenant_id: int,
    seal: secrets.Sealer,
    column: SealedColumn,
    *,
    everything: bool,
) -> None:
    rows = column.model.objects.exclude(**{column.column: None}).order_by("-pk")
    rows = rows.only(column.column, *column.needs)
    sample = rows[:SAMPLE] if column.bulky and not everything else rows
    bad = 0
    for row in sample.iterator(chunk_size=200):
        try:
            seal.open(
                getattr(row, column.column),
                connection_id=column.connection_id(row),
                field=column.field(row),
            )
            report.opened += 1
        except SecretUnreadable:
            bad += 1
    if bad:
        table = column.model._meta.db_table
        report.unreadable.append(f"tenant {tenant_id}: {bad} of {table}.{column.column}")
