"""Pages of what the law gives people: a copy of their data, deletion, being forgotten."""

from __future__ import annotations

from typing import Any, cast
from uuid import UUID
from zoneinfo import ZoneInfo

from allauth.core.exceptions import ReauthenticationRequired
from django.contrib import messages
from django.contrib.auth import logout
from django.contrib.auth.decorators import login_required
from django.core.exceptions import PermissionDenied, ValidationError
from django.http import Http404, HttpRequest, HttpResponse, StreamingHttpResponse
from django.shortcuts import redirect, render
from django.template.defaultfilters import filesizeformat
from django.urls import reverse
from django.utils import timezone
from django.utils.http import content_disposition_header
from django.utils.translation import get_language, ngettext
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from calqsync.privacy.forms import CompanyNameForm, EmailForm
from calqsync.privacy.models import Export, ExportState
from calqsync.privacy.services import accounts, companies, contacts, exports
from calqsync.tenancy import formats
from calqsync.tenancy.access import TenantRequest, tenant_view
from calqsync.tenancy.accounts import sign_in
from calqsync.tenancy.models import Role, User
from integrations.models import Customer
from integrations.services.contacts import contact_is_erased

_LISTED = 10
_BADGES = {
    ExportState.QUEUED: "queued",
    ExportState.RUNNING: "running",
    ExportState.READY: "complete",
    ExportState.FAILED: "our_fault",
    ExportState.CANCELLED: "cancelled",
    ExportState.EXPIRED: "disconnected",
}


@tenant_view(Role.INVESTOR)
@require_safe
def data(request: TenantRequest) -> HttpResponse:
    """What may be done with the company's data; copies and deletion are the owners'."""
    _members_only(request)
    owner = request.membership.may(Role.OWNER)
    context: dict[str, Any] = {"owner": owner, "deletes_on": _day(request)}
    if owner:
        running = exports.export_open()
        listed = Export.objects.order_by("-requested_at", "-pk")[:_LISTED]
        context |= {
            "exports": [_listed(request, export) for export in listed],
            "progress": _progress(request, running) if running else None,
            "kept_days": exports.KEPT.days,
        }
    return render(request, "privacy/data.html", context)


def _members_only(request: TenantRequest) -> None:
    """Support looks at figures, never at what people do with their rights."""
    if request.support_grant is not None:
        raise PermissionDenied


def _listed(request: TenantRequest, export: Export) -> dict[str, Any]:
    zone = ZoneInfo(request.tenant.time_zone)
    language = get_language()
    return {
        "export": export,
        "asked": formats.moment(export.requested_at, zone=zone, language=language),
        "by": str(export.requested_by) if export.requested_by else "",
        "badge": _BADGES[ExportState(export.state)],
        "word": ExportState(export.state).label,
        "ready": export.state == ExportState.READY,
        "until": formats.moment(export.expires_at, zone=zone, language=language)
        if export.expires_at
        else "",
        "rows": formats.count(export.rows, language=language),
        "size": filesizeformat(export.bytes),
        "failed": export.state == ExportState.FAILED,
    }


def _progress(request: TenantRequest, export: Export) -> dict[str, Any]:
    running = export.state == ExportState.RUNNING
    count = formats.count(export.rows, language=get_language())
    return {
        "title": _("Your copy is being written"),
        "status": _BADGES[ExportState(export.state)],
        "status_text": "",
        "summary": _("You may leave this page. A mail tells you when it is ready."),
        "streams": [
            {
                "label": _("Rows written"),
                "state": "running" if running else "queued",
                "text": count if running else _("waiting"),
                "done": export.rows,
                "total": export.expected or None,
            }
        ],
        "finished": False,
        "poll_url": reverse("export_progress", args=[request.tenant.slug]),
    }


def _day(request: TenantRequest) -> str:
    at = request.tenant.deletes_at
    if at is None:
        return ""
    day = at.astimezone(ZoneInfo(request.tenant.time_zone)).date()
    return formats.day(day, language=get_language())


@tenant_view(Role.OWNER, fresh=True)
@require_POST
def export_create(request: TenantRequest) -> HttpResponse:
    try:
        exports.export_request(by=request.user, now=timezone.now())
    except ValidationError as error:
        messages.error(request, " ".join(error.messages))
    return redirect("settings_data", request.tenant.slug)


@tenant_view(Role.OWNER)
@require_safe
def export_progress(request: TenantRequest) -> HttpResponse:
    """The copy being written, alone; when there is none any more, the whole page again."""
    running = exports.export_open()
    if running is None:
        answer = HttpResponse(status=204)
        answer["HX-Refresh"] = "true"
        return answer
    return render(request, "parts/progress.html", {"progress": _progress(request, running)})


@tenant_view(Role.OWNER, fresh=True)
@require_POST
def export_download(request: TenantRequest, public_id: UUID) -> HttpResponse:
    """The file, in pieces; a form's answer, so that an old session is asked who it is first."""
    export = _export(public_id, state=ExportState.READY)
    if export.expires_at is None or export.expires_at <= timezone.now():
        raise Http404
    exports.export_downloaded(export=export, by=request.user)
    answer = StreamingHttpResponse(
        exports.export_stream(export=export, user=request.user), content_type="application/zip"
    )
    name = f"calqsync-{request.tenant.slug}-{export.requested_at:%Y-%m-%d}.zip"
    answer["Content-Disposition"] = str(content_disposition_header(True, name))
    answer["Content-Length"] = str(export.bytes)
    return cast(HttpResponse, answer)


@tenant_view(Role.OWNER)
@require_POST
def export_delete(request: TenantRequest, public_id: UUID) -> HttpResponse:
    exports.export_delete(export=_export(public_id), by=request.user)
    messages.success(request, _("The copy was deleted."))
    return redirect("settings_data", request.tenant.slug)


def _export(public_id: UUID, **conditions: Any) -> Export:
    found: Export | None = Export.objects.filter(public_id=public_id, **conditions).first()
    if found is None:
        raise Http404
    return found


@tenant_view(Role.OWNER, fresh=True)
@require_http_methods(["GET", "HEAD", "POST"])
def company_delete(request: TenantRequest) -> HttpResponse:
    form = CompanyNameForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        try:
            companies.deletion_request(
                tenant=request.tenant,
                typed_name=form.cleaned_data["name"],
                by=request.user,
                now=timezone.now(),
            )
        except ValidationError as error:
            form.add_error("name", error)
        else:
            messages.success(request, _("The company will be deleted. Until then you can keep it."))
            return redirect("settings_data", request.tenant.slug)
    confirm = {
        "title": _("Delete %(company)s and everything in it?") % {"company": request.tenant.name},
        "text": _(
            "Imports stop at once. After 30 days everything is erased for good, first the key"
            " that the documents are encrypted with."
        ),
        "goes": [
            _("Every connection with its key to Procountor, and everything imported"),
            _("Subscriptions, decisions and figures"),
            _("The team, invitations and the audit log"),
            _("Copies of the data that were not downloaded"),
        ],
        "stays": [
            _("Everything in Procountor, untouched"),
            _("Your own account and your other companies"),
            _("A line that says that it was erased and when, without a name"),
        ],
        "undo": _("For 30 days any owner can keep the company, with everything as it is now."),
        "url": reverse("company_delete", args=[request.tenant.slug]),
        "action": _("Delete in 30 days"),
        "cancel_url": reverse("settings_data", args=[request.tenant.slug]),
    }
    context = {"form": form, "confirm": confirm}
    return render(
        request, "privacy/company_delete.html", context, status=422 if form.errors else 200
    )


@tenant_view(Role.OWNER)
@require_POST
def company_keep(request: TenantRequest) -> HttpResponse:
    companies.deletion_undo(tenant=request.tenant, by=request.user)
    messages.success(request, _("The company stays. Imports go on."))
    return redirect("settings_data", request.tenant.slug)


@tenant_view(Role.ADMIN, fresh=True)
@require_http_methods(["GET", "HEAD", "POST"])
def contact_erase(request: TenantRequest, public_id: UUID) -> HttpResponse:
    """Ask, then take a contact's personal data out of the books."""
    _members_only(request)
    customer = Customer.objects.filter(public_id=public_id).first()
    if customer is None:
        raise Http404
    back = reverse("customer", args=[request.tenant.slug, public_id])
    if request.method == "POST":
        left = contacts.contact_erase(
            tenant=request.tenant, customer=customer, by=request.user, now=timezone.now()
        )
        messages.success(request, _("The personal data of this contact were erased."))
        if left:
            said = ngettext(
                "%(n)s entry of the audit log still names it. The log cannot be changed; it is"
                " erased with the company.",
                "%(n)s entries of the audit log still name it. The log cannot be changed; it is"
                " erased with the company.",
                left,
            )
            messages.warning(request, said % {"n": left})
        return redirect(back)
    confirm = {
        "title": _("Erase the personal data of %(name)s?") % {"name": customer.name},
        "text": _(
            "For a person who asks to be forgotten. Imports will leave the contact nameless too."
        ),
        "goes": [
            _("Name, email address, postal address and numbers, also in the stored documents"),
            _("The name in texts of this contact's invoices and in bank events"),
            _("Copies of the data that were taken out and still lie here"),
        ],
        "stays": [
            _("Amounts, dates and products, under a neutral name, so that figures stay the same"),
            _("The bookkeeping itself, which is kept in Procountor as the law asks"),
        ],
        "undo": _("This cannot be undone."),
        "url": request.path,
        "action": _("Erase"),
        "cancel_url": back,
    }
    context = {"confirm": confirm, "customer": customer, "back": back}
    context["erased"] = contact_is_erased(customer)
    return render(request, "privacy/contact_erase.html", context)


@login_required
@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def account_delete(request: HttpRequest) -> HttpResponse:
    """Delete one's own account, once no company depends on it alone."""
    user = cast(User, request.user)
    form = EmailForm(request.POST or None)
    if request.method == "POST":
        if not sign_in.recently_authenticated(request):
            raise ReauthenticationRequired
        if form.is_valid():
            try:
                accounts.account_delete(user=user, typed_email=form.cleaned_data["email"])
            except ValidationError as error:
                form.add_error("email", error)
            else:
                logout(request)
                messages.success(request, _("Your account was deleted."))
                return redirect("home")
    context = {
        "form": form,
        "email": user.email,
        "owned": accounts.companies_without_another_owner(user),
    }
    return render(
        request, "privacy/account_delete.html", context, status=422 if form.errors else 200
    )
