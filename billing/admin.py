"""Support's view of trials and plans."""

from __future__ import annotations

from django.contrib import admin

from billing.models import Account
from calqsync.tenancy.admin import DirectoryAdmin


@admin.register(Account)
class AccountAdmin(DirectoryAdmin):
    columns = ["trial_ends_at", "plan", "paid_until", "provider"]
    list_display = ["tenant_name", "trial_ends_at", "plan", "paid_until", "provider"]
    list_filter = ["plan"]
    search_fields = ["plan", "provider"]
