"""The confirm page of a support action: reason, ticket and a fresh sign-in, then one service."""

from __future__ import annotations

import copy
from typing import Any, cast
from uuid import UUID

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import ValidationError
from django.db import transaction
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_http_methods, require_POST

from calqsync.tenancy import scope
from calqsync.tenancy.accounts import sign_in
from calqsync.tenancy.audit import acting
from calqsync.tenancy.models import Membership, SupportGrant, Tenant, User
from calqsync.tenancy.services import audit
from calqsync.tenancy.support import console, grants
from calqsync.tenancy.support.console import Action, Deed


class WhyForm(forms.Form):
    """Why staff acts: for the company's audit log."""

    reason = forms.CharField(
        label=_("Reason"),
        max_length=300,
        help_text=_("The company reads this in its audit log."),
        widget=forms.TextInput(attrs={"size": 60}),
    )
    ticket = forms.CharField(label=_("Ticket"), max_length=60)
    person = forms.ModelChoiceField(
        Membership.unscoped.none(),
        label=_("On behalf of"),
        help_text=_("The member of the company who asked."),
    )

    def __init__(self, action: Action, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        person = cast(forms.ModelChoiceField, self.fields["person"])
        person.queryset = (
            Membership.objects.select_related("user")
            .filter(user__is_active=True, user__is_staff=False)
            .order_by("user__email")
        )
        person.label_from_instance = _person  # type: ignore[assignment, method-assign]
        person.required = action.needs_person
        person.empty_label = (
            "---------" if action.needs_person else str(_("Nobody: support saw it themselves"))
        )
        self.fields.update(copy.deepcopy(action.fields))
        self.order_fields([*action.fields, "person", "reason", "ticket"])


def _person(membership: Any) -> str:
    user, role = membership.user, membership.get_role_display()
    return f"{user.name} <{user.email}>, {role}" if user.name else f"{user.email}, {role}"


@require_http_methods(["GET", "HEAD", "POST"])
def act(request: HttpRequest, tenant_id: int, name: str, target: str) -> HttpResponse:
    """Say what would happen, ask why, and do it."""
    if not sign_in.recently_authenticated(request):
        return sign_in.ask_again(request)
    action = console.actions.get(name)
    tenant = (
        Tenant.objects.using(scope.SUPPORT)
        .only(*grants.TENANT_COLUMNS)
        .filter(pk=tenant_id)
        .first()
    )
    if action is None or tenant is None:
        raise Http404
    staff = cast(User, request.user)
    with scope.user(staff.pk), scope.tenant(tenant_id), transaction.atomic():
        says = action.says(target)
        if says is None:
            raise Http404
        form = WhyForm(action, request.POST or None)
        if request.method == "POST" and form.is_valid():
            try:
                messages.success(request, _done(action, tenant, target, staff, form))
            except ValidationError as error:
                form.add_error(None, error)
            else:
                return redirect(console.tenant_url(tenant_id))
        context = {
            **admin.site.each_context(request),
            "title": action.label,
            "tenant": tenant,
            "tenant_url": console.tenant_url(tenant_id),
            "says": says,
            "form": form,
        }
        status = 422 if form.errors else 200
        return render(request, "admin/act.html", context, status=status)


@transaction.atomic
def _done(action: Action, tenant: Tenant, target: str, staff: User, form: WhyForm) -> str:
    if Membership.objects.filter(user=staff).exists():
        raise ValidationError(_("You are a member of this company: ask a colleague of support."))
    values = dict(form.cleaned_data)
    person, reason, ticket = (values.pop(key) for key in ("person", "reason", "ticket"))
    deed = Deed(
        tenant=tenant,
        target=target,
        by=staff,
        person=person,
        reason=reason,
        ticket=ticket,
        values=values,
        now=timezone.now(),
    )
    with acting.on_behalf_of(person.user if person else None):
        audit(
            act="support.acted",
            by=staff,
            target=ticket,
            after={"action": action.name, "reason": reason},
        )
        return action.perform(deed)


@require_POST
def own_grant_end(request: HttpRequest, public_id: UUID) -> HttpResponse:
    """Stop looking in: one click, from the banner."""
    own = SupportGrant.unscoped.using(scope.SUPPORT).filter(staff=request.user.pk)
    found = own.filter(public_id=public_id).values_list("pk", "tenant_id").first()
    if found is None:
        raise Http404
    pk, tenant_id = found
    with scope.tenant(tenant_id), transaction.atomic():
        grant = SupportGrant.objects.get(pk=pk)
        grants.grant_end(grant=grant, by=cast(User, request.user), now=timezone.now())
    messages.success(request, _("You no longer look in."))
    return redirect(console.tenant_url(tenant_id))


def set_up() -> None:
    """Put both pages into the console."""
    console.page(
        "tenancy/tenant/<int:tenant_id>/act/<slug:name>/<str:target>/", act, name="support_act"
    )
    console.page("tenancy/supportgrant/<uuid:public_id>/end/", own_grant_end, name="support_end")
