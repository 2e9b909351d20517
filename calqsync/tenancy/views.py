"""Pages about the company and its team, and the way from sign-in to a company."""

from __future__ import annotations

from datetime import datetime
from typing import Any, cast
from uuid import UUID

from django.contrib import messages
from django.contrib.auth import logout
from django.contrib.auth.decorators import login_required
from django.core.exceptions import ValidationError
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseNotAllowed
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from calqsync.tenancy import scope, services, sheets
from calqsync.tenancy.access import TenantRequest, before_file, tenant_view
from calqsync.tenancy.audit import trail
from calqsync.tenancy.forms import INVITED, CompanyForm, InvitationForm
from calqsync.tenancy.logs import remember_secret
from calqsync.tenancy.models import Invitation, Membership, Role, Tenant, User
from calqsync.tenancy.support import consent


@require_safe
def home(request: HttpRequest) -> HttpResponse:
    """Signed out: what this is. Signed in: the company, or a choice among several.

    `?choose` shows the choice even to a person with one company, who may add another there.
    """
    if not request.user.is_authenticated:
        return render(request, "tenancy/landing.html")
    if request.session.get(INVITED) and "choose" not in request.GET:
        return redirect("invitation_held")
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
    try:
        tenant = services.company_found(name=name, by=cast(User, request.user), now=timezone.now())
    except ValidationError as error:
        messages.error(request, " ".join(error.messages))
        return redirect("home")
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
    form = InvitationForm(by=request.membership)
    return render(request, "tenancy/team.html", _team_page(request, form))


def _team_page(request: TenantRequest, form: InvitationForm) -> dict[str, Any]:
    # No password hash and no token: support sees this page too, and its role may not read them.
    members = Membership.objects.select_related("user").defer("user__password")
    waiting = Invitation.objects.filter(accepted_at=None).defer("token_hash")
    may, now = request.membership.may, timezone.now()
    admin = may(Role.ADMIN)
    return {
        "form": form,
        "members": [
            {"member": member, "may_change": admin and may(Role(member.role))}
            for member in members.order_by("user__email")
        ],
        "invitations": [
            {"invitation": row, "state": _delivery(row, now), "may_resend": may(Role(row.role))}
            for row in waiting.order_by("email")
        ],
        "roles": [(role.value, role.label) for role in Role if may(role)],
        "may_edit": admin,
    }


def _delivery(row: Invitation, now: datetime) -> tuple[str, str]:
    """A code of the status part, and the words for it."""
    if row.expires_at <= now:
        return "late", _("Expired")
    states = {
        Invitation.Delivery.WAITING: ("queued", _("Being sent")),
        Invitation.Delivery.LATER: ("waiting", _("Trying again")),
        Invitation.Delivery.SENT: ("complete", _("Sent")),
        Invitation.Delivery.REFUSED: ("our_fault", _("Could not be sent")),
    }
    return states[Invitation.Delivery(row.delivery)]


@tenant_view(Role.ADMIN, fresh=True)
@require_POST
def invite(request: TenantRequest) -> HttpResponse:
    form = InvitationForm(request.POST, by=request.membership)
    if form.is_valid():
        try:
            services.invitation_create(
                tenant=request.tenant,
                email=form.cleaned_data["email"],
                role=form.cleaned_data["role"],
                by=request.user,
                now=timezone.now(),
            )
        except ValidationError as error:
            form.add_error("email", error)
        else:
            messages.success(
                request,
                _("The invitation to %(email)s is on its way.")
                % {"email": form.cleaned_data["email"]},
            )
            return redirect("settings_team", request.tenant.slug)
    return render(request, "tenancy/team.html", _team_page(request, form), status=422)


def _waiting(public_id: UUID) -> Invitation:
    found = Invitation.objects.filter(public_id=public_id, accepted_at=None).first()
    if found is None:
        raise Http404
    return found


@tenant_view(Role.ADMIN, fresh=True)
@require_POST
def invitation_resend(request: TenantRequest, public_id: UUID) -> HttpResponse:
    """Send the invitation again; its old link stops working."""
    found = _waiting(public_id)
    try:
        if not request.membership.may(Role(found.role)):
            raise ValidationError(_("You can invite people up to your own role."))
        services.invitation_resend(invitation=found, by=request.user, now=timezone.now())
    except ValidationError as error:
        messages.error(request, " ".join(error.messages))
    else:
        messages.success(
            request,
            _("A new link is on its way to %(email)s. The old one stopped working.")
            % {"email": found.email},
        )
    return redirect("settings_team", request.tenant.slug)


@tenant_view(Role.ADMIN)
@require_POST
def invitation_revoke(request: TenantRequest, public_id: UUID) -> HttpResponse:
    found = _waiting(public_id)
    services.invitation_revoke(invitation=found, by=request.user)
    messages.success(
        request, _("The invitation to %(email)s is withdrawn.") % {"email": found.email}
    )
    return redirect("settings_team", request.tenant.slug)


@tenant_view(Role.ADMIN, fresh=True)
@require_http_methods(["GET", "HEAD", "POST"])
def member_edit(request: TenantRequest, public_id: UUID) -> HttpResponse:
    """Change a member's role, or remove them with `remove` set; asked first by `?remove`."""
    found = Membership.objects.select_related("user").filter(public_id=public_id).first()
    if found is None:
        raise Http404
    if request.method != "POST":
        if "remove" not in request.GET or not request.membership.may(Role(found.role)):
            return HttpResponseNotAllowed(["POST"])
        if found.user == request.user:
            return redirect("company_leave", public_id)
        return render(request, "tenancy/member_remove.html", _leaving(request, found))
    try:
        if not request.membership.may(Role(found.role)):
            raise ValidationError(_("Only an owner can change an owner."))
        if "remove" in request.POST:
            services.member_remove(membership=found, by=request.user)
            done = _("%(person)s is off the team. An invitation brings them back.")
        else:
            role = Role(request.POST.get("role", found.role))
            if not request.membership.may(role):
                raise ValidationError(_("You can give roles up to your own."))
            services.member_change_role(membership=found, role=role, by=request.user)
            done = _("%(person)s now has the role %(role)s.")
    except ValueError:
        messages.error(request, _("Choose one of the roles in the list."))
    except ValidationError as error:
        messages.error(request, " ".join(error.messages))
    else:
        names = {"person": str(found.user), "role": found.get_role_display()}
        messages.success(request, done % names)
        if found.pk is None and found.user == request.user:
            return redirect("account")
    return redirect("settings_team", request.tenant.slug)


def _leaving(request: TenantRequest, member: Membership) -> dict[str, Any]:
    """What removing this member does, and the way to do it."""
    who = {"person": member.user.email, "company": request.tenant.name}
    confirm = {
        "title": _("Remove %(person)s from the team?") % who,
        "goes": [_("Their access to %(company)s, at once and on every device") % who],
        "stays": [
            _("Their account, and other companies that they belong to"),
            _("What they did: connections, decisions and the audit log"),
        ],
        "undo": _("To bring them back, invite them again; their role is chosen anew."),
        "url": request.path,
        "name": "remove",
        "value": "1",
        "action": _("Remove from the team"),
        "cancel_url": reverse("settings_team", args=[request.tenant.slug]),
    }
    return {"confirm": confirm}


@require_safe
def invitation(request: HttpRequest, token: str) -> HttpResponse:
    """Where the link in the mail leads: keeps what it opens, and the token out of the address."""
    remember_secret(token)
    held = services.token_hash(token)
    if services.invitation_open(held=held, now=timezone.now()) is None:
        return render(request, "tenancy/invitation.html", status=404)
    # Signing in or up keeps the session's content, so that it leads back to the invitation.
    request.session[INVITED] = held
    return redirect("invitation_held")


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def invitation_held(request: HttpRequest) -> HttpResponse:
    """Show the invitation that was opened; accept it once signed in with the invited address."""
    now = timezone.now()
    held = request.session.get(INVITED, "")
    found = services.invitation_open(held=held, now=now) if held else None
    if found is None:
        request.session.pop(INVITED, None)
        return render(request, "tenancy/invitation.html", status=404)
    if not request.user.is_authenticated:
        return _invitation_page(request, found)
    if request.method == "POST" and "switch" in request.POST:
        logout(request)
        request.session[INVITED] = held
        return redirect("account_login")
    if request.method == "POST":
        try:
            tenant = services.invitation_accept(held=held, user=request.user, now=now)
        except ValidationError as error:
            return _invitation_page(request, found, error=" ".join(error.messages), status=422)
        del request.session[INVITED]
        return redirect("financial", tenant.slug)
    return _invitation_page(request, found)


def _invitation_page(
    request: HttpRequest, found: Invitation, *, error: str = "", status: int = 200
) -> HttpResponse:
    with scope.tenant(found.tenant_id):
        company = Tenant.objects.values_list("name", flat=True).get(pk=found.tenant_id)
    context = {
        "invitation": found,
        "company": company,
        "error": error,
        "other_address": request.user.is_authenticated
        and request.user.email.lower() != found.email,
    }
    return render(request, "tenancy/invitation.html", context, status=status)


@tenant_view()
@require_safe
def security(request: TenantRequest) -> HttpResponse:
    may_edit = request.membership.may(Role.ADMIN)
    context = {"support": consent.panel(request), "may_edit": may_edit}
    return render(request, "tenancy/security.html", context)


@tenant_view(Role.ADMIN)
@require_safe
def audit_log(request: TenantRequest) -> HttpResponse:
    """Who did what; with `format` as a file, which is an act itself."""
    kind = request.GET.get("format", "")
    if kind != "json" and not sheets.kind_asked(kind):
        page = trail.trail(tenant=request.tenant, query=request.GET)
        return render(request, "tenancy/audit.html", {"page": page})
    if asking := before_file(request):
        return asking
    wanted = trail.asked(request.GET)
    services.audit(
        act="audit.exported",
        by=request.user,
        # Names alone: who is searched for must not outlast an erasure in a log that only grows.
        after={"format": kind, "filters": list(wanted.parameters())},
    )
    name = (_("Audit log"), request.tenant.slug, f"{timezone.now():%Y-%m-%d}")
    if kind == "json":
        return HttpResponse(
            trail.file_json(wanted, tenant=request.tenant),
            content_type="application/json",
            headers={"Content-Disposition": sheets.attachment(name, "json")},
        )
    rows = trail.file_rows(wanted, tenant=request.tenant)
    return sheets.file_answer(kind, name, trail.HEAD, rows)
