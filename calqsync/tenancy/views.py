"""Pages about the company and its team, and the way from sign-in to a company."""

from __future__ import annotations

from typing import Any, cast

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.exceptions import ValidationError
from django.core.paginator import Paginator
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from calqsync.tenancy import scope, services
from calqsync.tenancy.access import TenantRequest, tenant_view
from calqsync.tenancy.forms import CompanyForm, InvitationForm
from calqsync.tenancy.models import AuditEvent, Invitation, Membership, Role, Tenant, User


@require_safe
def home(request: HttpRequest) -> HttpResponse:
    """Signed out: what this is. Signed in: the company, or a choice among several.

    `?choose` shows the choice even to a person with one company, who may add another there.
    """
    if not request.user.is_authenticated:
        return render(request, "tenancy/landing.html")
    if request.session.get("invitation"):
        return redirect("invitation", request.session["invitation"])
    with scope.user(request.user.pk):
        tenants = list(Tenant.objects.order_by("name"))
    if len(tenants) == 1 and "choose" not in request.GET:
        return redirect("financial", tenants[0].slug)
    return render(request, "tenancy/choose.html", {"tenants": tenants})


@require_safe
def terms(request: HttpRequest) -> HttpResponse:
    return render(request, "tenancy/terms.html", {"version": services.TERMS_VERSION})


@login_required
@require_POST
def company_create(request: HttpRequest) -> HttpResponse:
    """Found another company, for a person who already has an account."""
    name = request.POST.get("name", "").strip()
    if not 1 <= len(name) <= 120 or "\0" in name:
        messages.error(request, _("Give the company a name of up to 120 characters."))
        return redirect("home")
    with scope.user(request.user.pk):
        tenant = services.tenant_create(name=name, owner=cast(User, request.user))
    return redirect("financial", tenant.slug)


@tenant_view(Role.ADMIN)
@require_http_methods(["GET", "HEAD", "POST"])
def company(request: TenantRequest) -> HttpResponse:
    form = CompanyForm(request.POST or None, instance=request.tenant)
    if request.method == "POST" and form.is_valid():
        fresh = Tenant.objects.get(pk=request.tenant.pk)
        services.tenant_update(tenant=fresh, by=request.user, **form.cleaned_data)
        messages.success(request, _("Company settings saved."))
        return redirect("settings_company", fresh.slug)
    return render(request, "tenancy/company.html", {"form": form})


@tenant_view()
@require_safe
def team(request: TenantRequest) -> HttpResponse:
    return render(request, "tenancy/team.html", _team_page(request, InvitationForm()))


def _team_page(request: TenantRequest, form: InvitationForm) -> dict[str, Any]:
    return {
        "form": form,
        "members": list(Membership.objects.select_related("user").order_by("user__email")),
        "invitations": list(Invitation.objects.filter(accepted_at=None).order_by("email")),
        "roles": Role.choices,
        "may_edit": request.membership.may(Role.ADMIN),
        "now": timezone.now(),
    }


@tenant_view(Role.ADMIN)
@require_POST
def invite(request: TenantRequest) -> HttpResponse:
    form = InvitationForm(request.POST)
    if form.is_valid():
        role = form.cleaned_data["role"]
        try:
            if not request.membership.may(role):
                raise ValidationError(_("You can invite people up to your own role."))
            services.invitation_create(
                tenant=request.tenant,
                email=form.cleaned_data["email"],
                role=role,
                by=request.user,
                now=timezone.now(),
            )
        except ValidationError as error:
            form.add_error("email", error)
        else:
            messages.success(
                request, _("Invitation sent to %(email)s.") % {"email": form.cleaned_data["email"]}
            )
            return redirect("settings_team", request.tenant.slug)
    return render(request, "tenancy/team.html", _team_page(request, form), status=422)


@tenant_view(Role.ADMIN)
@require_POST
def invitation_revoke(request: TenantRequest, public_id: Any) -> HttpResponse:
    found = Invitation.objects.filter(public_id=public_id, accepted_at=None).first()
    if found is None:
        raise Http404
    services.invitation_revoke(invitation=found, by=request.user)
    messages.success(request, _("Invitation withdrawn."))
    return redirect("settings_team", request.tenant.slug)


@tenant_view(Role.ADMIN)
@require_POST
def member_edit(request: TenantRequest, public_id: Any) -> HttpResponse:
    """Change a member's role, or remove them with `remove` set."""
    found = Membership.objects.select_related("user").filter(public_id=public_id).first()
    if found is None:
        raise Http404
    try:
        if not request.membership.may(Role(found.role)):
            raise ValidationError(_("Only an owner can change an owner."))
        if "remove" in request.POST:
            services.member_remove(membership=found, by=request.user)
        else:
            role = Role(request.POST.get("role", found.role))
            if not request.membership.may(role):
                raise ValidationError(_("You can give roles up to your own."))
            services.member_change_role(membership=found, role=role, by=request.user)
    except ValueError:
        messages.error(request, _("Choose one of the roles in the list."))
    except ValidationError as error:
        messages.error(request, " ".join(error.messages))
    return redirect("settings_team", request.tenant.slug)


@require_http_methods(["GET", "HEAD", "POST"])
def invitation(request: HttpRequest, token: str) -> HttpResponse:
    """Show an invitation; accept it once signed in with the invited address."""
    now = timezone.now()
    found = services.invitation_open(token=token, now=now)
    company_name = None
    if found is not None:
        with scope.tenant(found.tenant_id):
            company_name = Tenant.objects.values_list("name", flat=True).get(pk=found.tenant_id)
    context: dict[str, Any] = {"invitation": found, "company": company_name, "token": token}
    if found is not None and not request.user.is_authenticated:
        # Kept in the session so that signing up leads back here.
        request.session["invitation"] = token
    if request.user.is_authenticated:
        request.session.pop("invitation", None)
    if request.method == "POST" and request.user.is_authenticated:
        try:
            tenant = services.invitation_accept(token=token, user=request.user, now=now)
        except ValidationError as error:
            context["error"] = " ".join(error.messages)
            return render(request, "tenancy/invitation.html", context, status=422)
        return redirect("financial", tenant.slug)
    return render(request, "tenancy/invitation.html", context, status=200 if found else 404)


@tenant_view()
@require_safe
def security(request: TenantRequest) -> HttpResponse:
    return render(request, "tenancy/security.html")


@tenant_view(Role.ADMIN)
@require_safe
def audit_log(request: TenantRequest) -> HttpResponse:
    events = AuditEvent.objects.order_by("-at", "-pk")
    page = Paginator(events, 50).get_page(request.GET.get("page"))
    return render(request, "tenancy/audit.html", {"page": page})
