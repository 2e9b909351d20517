"""What this room does when the books change."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from django.dispatch import receiver

from calqsync.tenancy import scope
from integrations.signals import books_changed
from reporting import services


@receiver(books_changed, dispatch_uid="reporting.refresh")
def recompute(
    *, tenant_id: int, customer_ids: Collection[int] | None = None, bank: bool = True, **_: Any
) -> None:
    """Enqueue in the import's own transaction, so that figures follow whenever books commit."""
    with scope.tenant(tenant_id):
        services.refresh_enqueue(patient=True, customers=customer_ids, bank=bank)
        services.sweep_ensure()
