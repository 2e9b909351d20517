"""Pages of one's own account, reachable without any company, and a company's rule for sign-in."""

from __future__ import annotations

from typing import Any, cast

from allauth.account.decorators import reauthentication_required
from allauth.usersessions.internal.flows.sessions import end_sessions
from allauth.usersessions.models import UserSession
from django import forms
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.exceptions import ValidationError
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import path
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_POST

from calqsync.tenancy import scope, services
from calqsync.tenancy.access import TenantRequest, tenant_view
from calqsync.tenancy.accounts import sign_in
from calqsync.tenancy.models import Membership, Role, Tenant, User


class NameForm(forms.ModelForm):
    class Meta:
        model = User
        fields = ["name"]
        help_texts = {"name": _("Colleagues see it on the team page and in the audit log.")}

    def clean_name(self) -> str:
        return " ".join(str(self.cleaned_data["name"]).split())


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def account(request: HttpRequest) -> HttpResponse:
    """Name, ways to sign in, sessions and companies of the person who is signed in."""
    user = cast(User, request.user)
    form = NameForm(request.POST or None, instance=user)
    if request.method == "POST" and form.is_valid():
        form.save()
        messages.success(request, _("Name saved."))
        return redirect("account")
    with scope.user(user.pk):
        found = Membership.unscoped.select_related("tenant").filter(user=user)
        memberships = list(found.order_by("tenant__name"))
    context = {
        "form": form,
        "email": user.email,
        "memberships": memberships,
        "second_step": sign_in.has_second_step(user),
        "sessions": len(UserSession.objects.purge_and_list(user)),
    }
    return render(request, "tenancy/account.html", context)


@reauthentication_required(app="allauth.account")
@require_http_methods(["GET", "HEAD", "POST"])
def company_leave(request: HttpRequest, public_id: Any) -> HttpResponse:
    """Leave a company, after a page that says what that means; its last owner stays."""
    user = cast(User, request.user)
    with scope.user(user.pk):
        own = Membership.unscoped.select_related("tenant").filter(user=user, public_id=public_id)
        membership = own.first()
    if membership is None:
        raise Http404
    if request.method != "POST":
        with scope.tenant(membership.tenant_id):
            stays = services.is_last_owner(membership)
        return render(request, "tenancy/leave.html", {"membership": membership, "stays": stays})
    with scope.tenant(membership.tenant_id):
        try:
            services.member_remove(membership=membership, by=user)
        except ValidationError as error:
            messages.error(request, " ".join(error.messages))
        else:
            left = _("You have left %(company)s.") % {"company": membership.tenant.name}
            messages.success(request, left)
    return redirect("account")


@login_required
@require_POST
def session_end(request: HttpRequest, pk: int) -> HttpResponse:
    """Sign out one of one's own sessions."""
    found = UserSession.objects.filter(user_id=request.user.pk, pk=pk).first()
    if found is None:
        raise Http404
    end_sessions(request, [found])
    messages.success(request, _("That session is signed out."))
    return redirect("usersessions_list")


@tenant_view(Role.ADMIN, fresh=True)
@require_POST
def two_step_rule(request: TenantRequest) -> HttpResponse:
    """Have every member of the company sign in with a second step, or no longer."""
    required = request.POST.get("required") == "on"
    if required and not sign_in.has_second_step(request.user):
        messages.error(request, _("Turn on two-step sign-in for yourself first."))
    else:
        tenant = Tenant.objects.get(pk=request.tenant.pk)
        services.tenant_update(tenant=tenant, by=request.user, mfa_required=required)
        done = _("Every member now needs two-step sign-in.")
        messages.success(request, done if required else _("Two-step sign-in is now optional."))
    return redirect("settings_security", request.tenant.slug)


urlpatterns = [
    path("account/", account, name="account"),
    path("account/companies/<uuid:public_id>/leave/", company_leave, name="company_leave"),
    path("account/sessions/<int:pk>/end/", session_end, name="session_end"),
    path("t/<slug:slug>/settings/security/two-step/", two_step_rule, name="two_step_rule"),
]
