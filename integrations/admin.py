"""Support's view of connections and imports: never a credential, never a document."""

from __future__ import annotations

from django.contrib import admin

from calqsync.tenancy.admin import DirectoryAdmin, DirectoryInline
from integrations.models import Connection, SyncRun, SyncStream


@admin.register(Connection)
class ConnectionAdmin(DirectoryAdmin):
    columns = [
        *("public_id", "name", "provider", "company_name", "business_id", "country", "currency"),
        *("created_at", "disconnected_at", "paused_at", "trouble", "trouble_kind"),
        *("trouble_detail", "trouble_since", "retry_at", "first_import_at", "data_as_of"),
        *("complete_back_to", "rights", "rights_read_at"),
    ]
    list_display = [
        *("name", "tenant_name", "company_name", "business_id", "trouble", "data_as_of"),
        "disconnected_at",
    ]
    list_filter = ["trouble", "provider"]
    search_fields = ["name", "company_name", "business_id", "=public_id"]


class StreamInline(DirectoryInline):
    model = SyncStream
    columns = [
        *("stream", "started_at", "finished_at", "complete", "expected", "fetched", "added"),
        *("changed", "unchanged", "rejected", "removed"),
    ]


@admin.register(SyncRun)
class SyncRunAdmin(DirectoryAdmin):
    columns = [
        *("public_id", "connection", "mode", "trigger", "state", "started_at", "finished_at"),
        *("window_to", "requests", "waited_ms", "busy_ms", "slices", "error_kind", "error"),
    ]
    list_display = [
        *("started_at", "tenant_name", "connection", "mode", "trigger", "state", "requests"),
        *("error_kind", "error"),
    ]
    list_filter = ["state", "mode", "error_kind"]
    search_fields = ["=public_id", "error_kind", "error", "connection__name"]
    related = ["connection"]
    inlines = [StreamInline]
    ordering = ["-started_at"]
