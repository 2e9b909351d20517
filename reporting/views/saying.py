"""From a form to a saved change: what it does to MRR is seen first, and undone with one button."""

from __future__ import annotations

from functools import partial
from typing import Any
from uuid import UUID

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import HttpResponse, HttpResponseRedirect
from django.urls import Resolver404, resolve, reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST

from calqsync.tenancy.access import TenantRequest, tenant_page, tenant_view
from calqsync.tenancy.models import Role
from calqsync.tenancy.web import limits
from reporting import services
from reporting.models import Edit
from reporting.selectors.edits import edits_list, of_admins
from reporting.selectors.previews import preview_page
from reporting.selectors.subscriptions import recomputing
from reporting.views.answering import answer, answer_list, back, came_from, may_change, one_of

# Pages that an act may have begun on: where undoing it leads back to.
_BACK_TO = {
    *("subscriptions", "subscriptions_review", "subscription", "products", "product"),
    *("invoice", "invoice_line", "edits", "financial", "growth", "settings_figures"),
    *("customer", "quality"),
}


def asked(
    request: TenantRequest, change: services.Change, *, what: str, done: str, to: str
) -> HttpResponse:
    """Save the change once the person has seen what it does to MRR; until then show that.

    A change that moves no month is saved at once: there is nothing to see. `what` heads the
    page that shows it, `done` says that it is saved. Who had many customers measured lately is
    told to wait or to save without seeing (429). Raises ValidationError for values that no row
    may hold.
    """
    if request.POST.get("seen") != "yes":
        turn = partial(_take_turn, request)
        try:
            preview = services.change_preview(
                tenant=request.tenant, change=change, before_many=turn
            )
        except limits.LimitReached as limit:
            shown = _shown(request, what=what, to=to, wait=limit.retry_after)
            shown.status_code, shown.headers["Retry-After"] = 429, str(limit.retry_after)
            return shown
        if preview is not None and preview.changes_nothing:
            done = _("%(what)s No month of MRR changes.") % {"what": done}
        elif preview is not None:
            page = preview_page(tenant=request.tenant, preview=preview)
            return _shown(request, what=what, to=to, page=page)
    edit = services.change_save(change=change, by=request.user)
    if edit is None:
        messages.info(request, _("Nothing was changed: it was said already."))
    else:
        said = _("%(what)s Figures are being recomputed.") % {"what": done}
        undo = reverse("edit_undo", args=[request.tenant.slug, edit.public_id])
        messages.success(request, said, extra_tags=undo)
    return back(request, to)


def _take_turn(request: TenantRequest) -> None:
    """Count a costly preview, the company's only one at this moment; raises LimitReached."""
    limits.one_at_a_time("preview", tenant_id=request.tenant.pk)
    limits.consume("preview", user_id=request.user.pk, tenant_id=request.tenant.pk)


def _shown(request: TenantRequest, *, what: str, **more: Any) -> HttpResponse:
    """What the change does, or how long to wait for that; the form's fields go along."""
    typed = [(name, value) for name, values in request.POST.lists() for value in values]
    own = {"csrfmiddlewaretoken", "came", "seen"}
    return answer(
        request,
        "reporting/subscriptions/preview.html",
        what=what,
        fields=[(name, value) for name, value in typed if name not in own],
        came=came_from(request),
        **more,
    )


@tenant_page()
def edits(request: TenantRequest) -> HttpResponse:
    """What people said about the figures, newest first, each with a way back."""
    may = may_change(request)
    admin = request.membership.may(Role.ADMIN)
    listing = edits_list(tenant=request.tenant, query=request.GET, buttons=may, admin=admin)
    return answer_list(
        request,
        listing,
        "reporting/subscriptions/edits.html",
        may_change=may,
        recomputing=recomputing(),
    )


@tenant_view(Role.MEMBER)
@require_POST
def edit_undo(request: TenantRequest, public_id: UUID) -> HttpResponse:
    """Take an edit back; where that cannot be, say what to do instead."""
    edit: Any = one_of(Edit.objects, public_id)
    if of_admins(edit) and not request.membership.may(Role.ADMIN):
        raise PermissionDenied
    try:
        services.edit_undo(edit=edit, by=request.user)
    except services.NotUndoable as reason:
        messages.warning(request, str(reason.advice))
    else:
        messages.success(request, _("Undone. Figures are being recomputed."))
    return HttpResponseRedirect(_began(request))


def _began(request: TenantRequest) -> str:
    """The page on which the button stood, or the list of edits."""
    came = came_from(request)
    try:
        if came and resolve(came.partition("?")[0]).url_name in _BACK_TO:
            return came
    except Resolver404:
        pass
    return reverse("edits", args=[request.tenant.slug])
