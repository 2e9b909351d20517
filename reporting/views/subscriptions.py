"""Subscriptions: the list, one of them, and the form that sets it right."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import UUID

from django import forms
from django.core.exceptions import ValidationError
from django.http import HttpResponse
from django.template.loader import get_template
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_POST

from calqsync.tenancy.access import TenantRequest, tenant_page, tenant_view
from calqsync.tenancy.models import Role
from reporting import services
from reporting.models import Subscription
from reporting.selectors.subscription import subscription_page
from reporting.selectors.subscriptions import recomputing, subscriptions_list
from reporting.views.answering import answer, answer_list, may_change
from reporting.views.periods import DayField, period_field
from reporting.views.reviewing import name_of, subscription_of
from reporting.views.saying import asked


class EditForm(forms.Form):
    """What a person may set; an empty field leaves it to the invoices."""

    start = DayField(label=gettext_lazy("First day"))
    last = DayField(
        label=gettext_lazy("Last day"),
        help_text=gettext_lazy("Set it when you know that the customer leaves."),
    )
    renewal_percent = forms.IntegerField(
        label=gettext_lazy("Renewal probability, %"),
        required=False,
        min_value=0,
        max_value=100,
        help_text=gettext_lazy("How likely it goes on after the period that is invoiced."),
    )
    paused = forms.BooleanField(
        label=gettext_lazy("Paused: the next invoice is not awaited"), required=False
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["period_months"] = period_field()

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or {}
        start, last = cleaned.get("start"), cleaned.get("last")
        if start and last and last < start:
            self.add_error("last", _("The last day must not lie before the first day."))
        return cleaned

    def change(self, subscription: Subscription) -> services.Change:
        last = self.cleaned_data["last"]
        return services.acts.edited(
            subscription=subscription,
            period_months=self.cleaned_data["period_months"],
            start=self.cleaned_data["start"],
            end=last + timedelta(days=1) if last else None,
            paused=self.cleaned_data["paused"],
            renewal_percent=self.cleaned_data["renewal_percent"],
        )


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
        unreviewed=found.unreviewed,
    )


def _buttons() -> Any:
    template = get_template("reporting/subscriptions/_say.html")

    def draw(row: Any) -> str:
        return template.render({"row": row})

    return draw


@tenant_page()
def subscription(request: TenantRequest, public_id: UUID) -> HttpResponse:
    return _page(request, subscription_of(public_id), None)


def _page(
    request: TenantRequest, found: Subscription, form: EditForm | None, status: int = 200
) -> HttpResponse:
    may = may_change(request)
    page = subscription_page(tenant=request.tenant, subscription=found, may_change=may)
    if may and form is None:
        said = page.decision
        form = EditForm(
            initial={
                "period_months": said.period_months,
                "start": said.start,
                "last": said.end - timedelta(days=1) if said.end else None,
                "paused": said.paused,
                "renewal_percent": said.renewal_percent,
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
    found = subscription_of(public_id)
    form = EditForm(request.POST)
    if form.is_valid():
        try:
            return asked(
                request,
                form.change(found),
                what=_("Edit %(name)s") % {"name": name_of(found)},
                done=_("Saved and confirmed."),
                to=reverse("subscription", args=[request.tenant.slug, public_id]),
            )
        except ValidationError as mistake:
            form.add_error(None, mistake.messages)
    return _page(request, found, form, status=422)
