"""What this room does when a company is founded."""

from __future__ import annotations

from typing import Any

from django.db.models.signals import post_save
from django.dispatch import receiver

from calqsync.privacy.services.retention import sweep_ensure
from calqsync.tenancy.models import Tenant


@receiver(post_save, sender=Tenant, dispatch_uid="privacy.sweep")
def look_after(created: bool, **_: Any) -> None:
    """Every company is swept from its first day; its tenant is in scope when it is founded."""
    if created:
        sweep_ensure()
