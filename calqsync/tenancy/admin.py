"""The support console's directory: who is who and who may look in, read-only.

It reads through the `support` database role, which sees no credential and no books, so that a
mistake here cannot show any. `console` is the site around it, `desk` what stands on a company's
page.
"""

from __future__ import annotations

from typing import Any, ClassVar, cast

from django.contrib import admin
from django.db.models import Model, QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.translation import gettext_lazy as _

from calqsync.tenancy.models import Membership, SupportGrant, Tenant, User
from calqsync.tenancy.scope import SUPPORT
from calqsync.tenancy.support import actions, console, desk, grants

actions.set_up()
desk.set_up()
# What other packages offer here (groups, email addresses, second factors) is not support's.
for _model in list(admin.site._registry):
    admin.site.unregister(_model)


# What an address may ask about a company or a person that a row refers to.
_OF_JOINED = {"id", "pk", "exact", "in", "isnull", *grants.TENANT_COLUMNS, *grants.USER_COLUMNS}


class ReadOnly:
    """Staff may look; nobody may add, change or delete."""

    def has_module_permission(self, request: HttpRequest) -> bool:
        return admin.site.has_permission(request)

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return self.has_module_permission(request)

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


class Columns:
    """Only the named columns are ever read; the role could not read the others anyway."""

    model: type[Model]
    columns: ClassVar[list[str]] = []
    # Foreign keys whose names are shown; their tables are read by name and id alone.
    related: ClassVar[list[str]] = []

    def support_rows(self, rows: QuerySet[Any]) -> QuerySet[Any]:
        named = [f"{field}__name" for field in self.related]
        if self.model is not Tenant and any(f.name == "tenant" for f in self.model._meta.fields):
            named += ["tenant__name", "tenant__business_id"]
        only = [c for c in self.columns if c not in self.related]
        joined = [name.split("__")[0] for name in named]
        return rows.using(SUPPORT).select_related(*joined).only("pk", *joined, *only, *named)


class DirectoryInline(ReadOnly, Columns, admin.TabularInline):
    """Rows below another one."""

    extra = 0
    can_delete = False

    def get_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        return self.columns

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        return self.columns

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        return self.support_rows(super().get_queryset(request))


class DirectoryAdmin(ReadOnly, Columns, admin.ModelAdmin):
    """One table of the directory, found by tenant name, business id or a member's email."""

    list_per_page = 50
    show_full_result_count = False
    actions = None
    # How this model's rows name their tenant.
    tenant_field = "tenant_id"

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        return self.support_rows(super().get_queryset(request))

    def get_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        return ["tenant_name", *self.columns] if self.related or self._owned() else self.columns

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        return self.get_fields(request, obj)

    def lookup_allowed(self, lookup: str, value: Any, request: HttpRequest) -> bool:
        # The role cannot read the other columns: asking for one is a wrong request.
        ours = {getattr(each, "parameter_name", "") for each in self.list_filter}
        known = {"id", "pk", "tenant", *self.columns, *self.related, *ours}
        field, *further = lookup.split("__")
        joined = field in {"tenant", *self.related}
        return field in known and not (joined and further and further[0] not in _OF_JOINED)

    def _owned(self) -> bool:
        return self.tenant_field == "tenant_id"

    @admin.display(description=_("company"), ordering="tenant__name")
    def tenant_name(self, row: Any) -> str:
        return format_html(
            '<a href="{}">{}</a>', console.tenant_url(row.tenant_id), row.tenant.name
        )

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        found, distinct = super().get_search_results(request, queryset, search_term)
        term = search_term.strip()
        if term:
            found = found | queryset.filter(**{f"{self.tenant_field}__in": _tenants(term)})
        return found, distinct


def _tenants(term: str) -> list[int]:
    """Ids of the tenants that a search term means."""
    tenants = Tenant.objects.using(SUPPORT)
    members = Membership.unscoped.using(SUPPORT).filter(user__email__icontains=term)
    return [
        *tenants.filter(name__icontains=term).values_list("pk", flat=True)[:200],
        *tenants.filter(business_id__iexact=term).values_list("pk", flat=True)[:200],
        *members.values_list("tenant_id", flat=True)[:200],
        *(pk for find in console.finders for pk in find(term)),
    ]


@admin.register(Tenant)
class TenantAdmin(DirectoryAdmin):
    columns = [
        *("public_id", "name", "slug", "business_id", "currency", "time_zone"),
        *("fiscal_year_start", "mfa_required", "support_consent_required", "deletes_at"),
        "created_at",
    ]
    list_display = ["name", "slug", "business_id", "currency", "created_at"]
    search_fields = ["name", "slug", "business_id", "=public_id"]
    ordering = ["name"]
    search_help_text = _("Company, business id, a member's email address, or a connection")
    tenant_field = "pk"
    change_form_template = "admin/tenant.html"

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        """The place of work: everything support may know of one company, and do about it."""
        context = dict(extra_context or {})
        tenant = self.get_object(request, object_id)
        if tenant is not None:
            context |= desk.page(tenant, cast(User, request.user), timezone.now())
        return super().change_view(request, object_id, form_url, context)


@admin.register(Membership)
class MembershipAdmin(DirectoryAdmin):
    columns = ["public_id", "email", "role", "created_at"]
    list_display = ["email", "person", "tenant_name", "role", "created_at"]
    list_filter = ["role"]
    search_fields = ["user__email", "user__name"]

    def support_rows(self, rows: QuerySet[Any]) -> QuerySet[Any]:
        return (
            rows.using(SUPPORT)
            .select_related("user", "tenant")
            .only("public_id", "role", "created_at", "user__email", "user__name", "tenant__name")
        )

    @admin.display(description=_("email address"), ordering="user__email")
    def email(self, row: Membership) -> str:
        return row.user.email

    @admin.display(description=_("name"), ordering="user__name")
    def person(self, row: Membership) -> str:
        return row.user.name


@admin.register(User)
class UserAdmin(DirectoryAdmin):
    columns = ["public_id", "email", "name", "is_active", "is_staff", "last_login", "date_joined"]
    list_display = ["email", "name", "is_active", "is_staff", "last_login", "date_joined"]
    list_filter = ["is_staff", "is_active"]
    search_fields = ["email", "name"]
    ordering = ["email"]
    tenant_field = ""

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        return admin.ModelAdmin.get_search_results(self, request, queryset, search_term)


@admin.register(SupportGrant)
class SupportGrantAdmin(DirectoryAdmin):
    columns = [
        *("staff", "on_behalf_of", "approved_by", "reason", "ticket", "created_at"),
        *("expires_at", "refused_at", "ended_at"),
    ]
    list_display = ["ticket", "tenant_name", "staff", "on_behalf_of", "reason", "expires_at"]
    list_filter = [desk.OpenGrants]
    search_fields = ["ticket", "reason", "staff__email"]
    related = ["staff", "on_behalf_of", "approved_by"]
    ordering = ["-id"]

    def support_rows(self, rows: QuerySet[Any]) -> QuerySet[Any]:
        emails = [f"{person}__email" for person in self.related]
        found = super().support_rows(rows)
        return found.only(*found.query.deferred_loading[0], *emails)
