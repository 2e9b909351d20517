"""What this room does when the books change."""

from __future__ import annotations

from typing import Any

from django.dispatch import receiver

from calqsync.tenancy import scope
from integrations.signals import books_changed
from reporting import services


@receiver(books_changed, dispatch_uid="reporting.refresh")
def recompute(*, tenant_id: int, **_: Any) -> None:
    """Enqueue in the import's own transaction, so that figures follow whenever books commit."""
    with scope.tenant(tenant_id):
        services.refresh_enqueue(patient=True)
        services.sweep_ensure()
