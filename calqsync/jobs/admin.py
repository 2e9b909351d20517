"""Support's view of background work."""

from __future__ import annotations

from django.contrib import admin

from calqsync.jobs.models import Job
from calqsync.tenancy.admin import DirectoryAdmin


@admin.register(Job)
class JobAdmin(DirectoryAdmin):
    columns = [
        *("kind", "key", "queue", "state", "run_after", "lease_until", "heartbeat_at"),
        *("epoch", "attempts", "deliveries", "cancel_requested", "error_class", "error"),
        *("created_at", "finished_at"),
    ]
    list_display = [
        *("id", "kind", "key", "tenant_name", "state", "run_after", "attempts", "error_class"),
    ]
    list_filter = ["state", "kind"]
    search_fields = ["kind", "=key", "error_class", "error"]
    ordering = ["-id"]
