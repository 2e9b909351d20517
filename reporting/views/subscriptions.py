"""Subscriptions: the list, one of them, and what a member says about them."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any
from uuid import UUID

from django import forms
from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator
from django.http import Http404, HttpResponse
from django.template.loader import get_template
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext
from django.views.decorators.http import require_POST

from calqsync.tenancy.access import TenantRequest, tenant_page, tenant_view
from calqsync.tenancy.models import Role
from reporting import services
from reporting.models import Subscription
from reporting.selectors import reasons
from reporting.selectors.subscriptions import (
    recomputing,
    subscription_page,
    subscriptions_list,
)
from reporting.views.answering import answer, answer_list, back, changed, may_change, one_of

_DAY = forms.DateInput(attrs={"type": "date"}, format="%Y-%m-%d")
# A slip in the year would otherwise stretch the figures over centuries, or end the calendar.
_SENSIBLE = [MinValueValidator(date(1990, 1, 1)), MaxValueValidator(date(2099, 12, 31))]


class EditForm(forms.Form):
    """What a person may set; an empty field leaves it to the invoices."""

    period_months = forms.TypedChoiceField(
        label=gettext_lazy("Billed"),
        coerce=int,
        empty_value=None,
        required=False,
    )
    start = forms.DateField(
        label=gettext_lazy("First day"), required=False, widget=_DAY, validators=_SENSIBLE
    )
    last = forms.DateField(
        label=gettext_lazy("Last day"),
        required=False,
        widget=_DAY,
        validators=_SENSIBLE,
        help_text=gettext_lazy("Set it when you know that the customer leaves."),
    )
    paused = forms.BooleanField(
        label=gettext_lazy("Paused: the next invoice is not awaited"), required=False
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        field = self.fields["period_months"]
        assert isinstance(field, forms.TypedChoiceField)
        field.choices = [
            ("", _("As the invoices say")),
            *((months, reasons.period(months)) for months in services.PERIODS),
        ]

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or {}
        start, last = cleaned.get("start"), cleaned.get("last")
        if start and last and last < start:
            self.add_error("last", _("The last day must not lie before the first day."))
        return cleaned


@tenant_page()
def subscriptions(request: TenantRequest) -> HttpResponse:
    """The list by status; members confirm or reject what was detected."""
    may = may_change(request)
    found = subscriptions_list(
        tenant=request.tenant, query=request.GET, buttons=_buttons() if may else None
    )
    return answer_list(
        request,
        found.listing,
        "reporting/subscriptions/list.html",
        tabs=found.tabs,
        may_change=may,
        recomputing=found.recomputing,
    )


def _buttons() -> Any:
    template = get_template("reporting/subscriptions/_say.html")

    def draw(row: Any) -> str:
        return template.render({"row": row})

    return draw


def _found(public_id: UUID) -> Any:
    return one_of(Subscription.objects.select_related("customer__connection", "product"), public_id)


@tenant_page()
def subscription(request: TenantRequest, public_id: UUID) -> HttpResponse:
    return _page(request, _found(public_id), None)


def _page(
    request: TenantRequest, found: Subscription, form: EditForm | None, status: int = 200
) -> HttpResponse:
    page = subscription_page(tenant=request.tenant, subscription=found)
    may = may_change(request)
    if may and form is None:
        said = page.decision
        form = EditForm(
            initial={
                "period_months": said.period_months,
                "start": said.start,
                "last": said.end - timedelta(days=1) if said.end else None,
                "paused": said.paused,
            }
            if said
            else {}
        )
    response = answer(
        request,
        "reporting/subscriptions/detail.html",
        page=page,
        subscription=found,
        form=form,
        may_change=may,
        recomputing=recomputing(),
    )
    response.status_code = status
    return response


@tenant_view(Role.MEMBER)
@require_POST
def subscription_edit(request: TenantRequest, public_id: UUID) -> HttpResponse:
    """Keep what a person set; a form with a mistake comes back as it was typed."""
    found = _found(public_id)
    form = EditForm(request.POST)
    if not form.is_valid():
        return _page(request, found, form, status=422)
    last = form.cleaned_data["last"]
    try:
        change = services.acts.edited(
            subscription=found,
            period_months=form.cleaned_data["period_months"],
            start=form.cleaned_data["start"],
            end=last + timedelta(days=1) if last else None,
            paused=form.cleaned_data["paused"],
        )
        services.change_save(change=change, by=request.user)
    except ValidationError as mistake:
        form.add_error(None, mistake.messages)
        return _page(request, found, form, status=422)
    changed(request, _("Saved and confirmed."))
    return back(request, reverse("subscription", args=[request.tenant.slug, public_id]))


@tenant_view(Role.MEMBER)
@require_POST
def subscriptions_say(request: TenantRequest) -> HttpResponse:
    """Confirm, reject or clear one ("confirm:<id>"), or confirm all that are certain."""
    act, _colon, public_id = request.POST.get("say", "").partition(":")
    to = reverse("subscriptions", args=[request.tenant.slug])
    if act == "confirm-certain":
        change = services.acts.certain()
        count = change.counted["count"]
        services.change_save(change=change, by=request.user)
        done = ngettext("%(n)d subscription confirmed.", "%(n)d subscriptions confirmed.", count)
        changed(request, done % {"n": count})
        return back(request, to)
    acts = {
        "confirm": (services.acts.confirmed, _("Confirmed.")),
        "reject": (services.acts.rejected, _("Rejected.")),
        "clear": (services.acts.cleared, _("Cleared; detection decides again.")),
    }
    if act not in acts:
        raise Http404
    try:
        found = _found(UUID(public_id))
    except ValueError:
        raise Http404 from None
    does, says = acts[act]
    services.change_save(change=does(subscription=found), by=request.user)
    changed(request, says)
    if request.POST.get("from") == "subscription":
        to = reverse("subscription", args=[request.tenant.slug, found.public_id])
    return back(request, to)
