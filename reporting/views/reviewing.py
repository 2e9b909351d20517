"""The review of what detection found, and what a member says about one or many of them."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.contrib import messages
from django.core.exceptions import ValidationError
from django.http import Http404, HttpResponse
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_POST

from calqsync.tenancy.access import TenantRequest, tenant_page, tenant_view
from calqsync.tenancy.models import Role
from integrations.models import InvoiceLine
from reporting import services
from reporting.models import Subscription
from reporting.selectors.products import mark_options
from reporting.selectors.reviewing import review_page
from reporting.views.answering import answer, back, may_change, one_of
from reporting.views.saying import asked


@tenant_page()
def subscriptions_review(request: TenantRequest) -> HttpResponse:
    """Candidates with their evidence, ten at a time; members decide."""
    review = review_page(tenant=request.tenant, query=request.GET, periods=services.PERIODS)
    return answer(
        request,
        "reporting/subscriptions/review.html",
        review=review,
        may_change=may_change(request),
        mark_options=mark_options(),
    )


def subscription_of(public_id: UUID) -> Any:
    return one_of(Subscription.objects.select_related("customer__connection", "product"), public_id)


def _named(text: str) -> Any:
    """The subscription whose public id the text writes."""
    try:
        return subscription_of(UUID(text))
    except ValueError:
        raise Http404 from None


@tenant_view(Role.MEMBER)
@require_POST
def subscriptions_say(request: TenantRequest) -> HttpResponse:
    """Confirm, reject or clear one ("confirm:<id>"), or something about all of them."""
    act, _colon, public_id = request.POST.get("say", "").partition(":")
    if act == "confirm-certain":
        return _confirm_certain(request)
    if act == "default-period":
        return _default_period(request)
    words = {
        "confirm": (services.acts.confirmed, _("Confirm %(name)s"), _("Confirmed.")),
        "reject": (services.acts.rejected, _("Reject %(name)s"), _("Rejected.")),
        "clear": (
            services.acts.cleared,
            _("Forget what was said about %(name)s"),
            _("Cleared; detection decides again."),
        ),
    }
    if act not in words:
        raise Http404
    found = _named(public_id)
    makes, what, done = words[act]
    to = _page_of(request)
    if request.POST.get("from") == "subscription":
        to = reverse("subscription", args=[request.tenant.slug, found.public_id])
    change = makes(subscription=found)
    return asked(request, change, what=what % {"name": name_of(found)}, done=done, to=to)


def name_of(subscription: Any) -> str:
    return _("%(customer)s: %(product)s") % {
        "customer": subscription.customer.name,
        "product": subscription.product_name,
    }


def _page_of(request: TenantRequest) -> str:
    review = request.POST.get("from") == "review"
    name = "subscriptions_review" if review else "subscriptions"
    return reverse(name, args=[request.tenant.slug])


def _confirm_certain(request: TenantRequest) -> HttpResponse:
    change = services.acts.certain()
    count = change.counted["count"]
    done = ngettext("%(n)d subscription confirmed.", "%(n)d subscriptions confirmed.", count)
    what = _("Confirm all that are certain")
    return asked(request, change, what=what, done=done % {"n": count}, to=_page_of(request))


def _default_period(request: TenantRequest) -> HttpResponse:
    typed = request.POST.get("period", "")
    months = int(typed) if typed.isascii() and typed.isdecimal() and len(typed) < 3 else 0
    if months not in services.PERIODS or months < 1:
        raise Http404
    change = services.acts.settings_changed(default_period_months=months)
    return asked(
        request,
        change,
        what=_("Change the default billing period"),
        done=_("The default billing period is changed."),
        to=_page_of(request),
    )


@tenant_view(Role.MEMBER)
@require_POST
def subscription_merge(request: TenantRequest, public_id: UUID) -> HttpResponse:
    """Make it a part of another one, or take apart what was merged into it."""
    found = subscription_of(public_id)
    here = reverse("subscription", args=[request.tenant.slug, found.public_id])
    if request.POST.get("into") == "apart":
        change = services.acts.taken_apart(subscription=found)
        what = _("Take apart %(name)s") % {"name": name_of(found)}
        return asked(request, change, what=what, done=_("Taken apart."), to=here)
    into = _named(request.POST.get("into", ""))
    try:
        change = services.acts.merged(subscription=found, into=into)
    except ValidationError as mistake:
        messages.warning(request, " ".join(mistake.messages))
        return back(request, here)
    what = _("Merge %(name)s into %(other)s") % {
        "name": found.product_name,
        "other": name_of(into),
    }
    to = reverse("subscription", args=[request.tenant.slug, into.public_id])
    return asked(request, change, what=what, done=_("Merged."), to=to)


@tenant_view(Role.MEMBER)
@require_POST
def subscription_rows(request: TenantRequest, public_id: UUID) -> HttpResponse:
    """Split the ticked rows off, move them to another subscription, or leave them as found."""
    found = subscription_of(public_id)
    here = reverse("subscription", args=[request.tenant.slug, found.public_id])
    lines = [_row(text) for text in request.POST.getlist("row")[:500]]
    if not lines:
        messages.warning(request, _("Tick the rows first."))
        return back(request, here)
    to = request.POST.get("to", "")
    try:
        if to == "own":
            change = services.acts.split(lines=lines, subscription=found)
            what = _("Split rows off %(name)s")
        elif to == "found":
            change = services.acts.moved(lines=lines, into=None)
            what = _("Leave rows of %(name)s as they were found")
        else:
            change = services.acts.moved(lines=lines, into=_named(to))
            what = _("Move rows of %(name)s")
    except ValidationError as mistake:
        messages.warning(request, " ".join(mistake.messages))
        return back(request, here)
    done = ngettext("%(n)d row moved.", "%(n)d rows moved.", len(lines)) % {"n": len(lines)}
    return asked(request, change, what=what % {"name": name_of(found)}, done=done, to=here)


def _row(text: str) -> Any:
    """The invoice row that the text names: its invoice's public id and its place there."""
    invoice, _colon, position = text.partition(":")
    try:
        rows = InvoiceLine.objects.filter(invoice__public_id=UUID(invoice), position=int(position))
        found = rows.select_related("invoice").first()
    except (ValueError, OverflowError):
        raise Http404 from None
    if found is None:
        raise Http404
    return found
