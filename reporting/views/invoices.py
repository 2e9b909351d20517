"""Invoices: the list, one with its rows, and what a member says about a row."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import UUID

from django import forms
from django.core.exceptions import ValidationError
from django.http import Http404, HttpResponse
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from calqsync.tenancy.access import TenantRequest, tenant_page, tenant_view
from calqsync.tenancy.models import Role
from integrations.models import InvoiceLine
from reporting import services
from reporting.models import LineDecision, LineFigure
from reporting.selectors.invoices import invoice_page, invoices_list, with_figures
from reporting.selectors.rows import row_page
from reporting.selectors.subscriptions import recomputing
from reporting.views.answering import answer, answer_list, may_change, one_of, today
from reporting.views.periods import DayField, period_field
from reporting.views.saying import asked

ALL_LIKE, ALONE = "all", "alone"


@tenant_page()
def invoices(request: TenantRequest) -> HttpResponse:
    listing = invoices_list(tenant=request.tenant, query=request.GET, today=today(request))
    return answer_list(request, listing)


@tenant_page()
def invoice(request: TenantRequest, public_id: UUID) -> HttpResponse:
    found = one_of(with_figures(), public_id)
    may = may_change(request)
    page = invoice_page(tenant=request.tenant, invoice=found, today=today(request), may_change=may)
    return answer(
        request, "reporting/invoices/detail.html", page=page, recomputing=may and recomputing()
    )


class RowForm(forms.Form):
    """What a row is, and for when; an empty period is read from the books."""

    what = forms.ChoiceField(
        label=gettext_lazy("What it is"), required=False, widget=forms.RadioSelect
    )
    start = DayField(label=gettext_lazy("First day"))
    last = DayField(label=gettext_lazy("Last day"))

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["period_months"] = period_field()
        field = self.fields["what"]
        assert isinstance(field, forms.ChoiceField)
        field.choices = [
            (ALL_LIKE, _("Recurring: every row of this product for this customer, also in future")),
            (ALONE, _("Recurring: this row alone, a subscription of its own")),
            ("one_off", _("One-off")),
            ("usage", _("Usage")),
            ("ignore", _("Leave out")),
            ("", _("As detected")),
        ]

    def change(self, line: Any) -> services.Change:
        """What the person asks for; raises ValidationError for dates the wrong way round."""
        last = self.cleaned_data["last"]
        days = {
            "start": self.cleaned_data["start"],
            "end": last + timedelta(days=1) if last else None,
        }
        what, months = self.cleaned_data["what"], self.cleaned_data["period_months"]
        if what == ALL_LIKE:
            return services.acts.made_of_all_like(line=line, period_months=months, **days)
        if what == ALONE:
            return services.acts.made(line=line, period_months=months, **days)
        return services.acts.line_said(line=line, type=what, **days)


@tenant_view(Role.MEMBER)
def invoice_line(request: TenantRequest, public_id: UUID, position: int) -> HttpResponse:
    """One row: what detection made of it, and the form to say otherwise."""
    if request.method not in {"GET", "HEAD", "POST"}:
        return HttpResponse(status=405, headers={"Allow": "GET, HEAD, POST"})
    document = one_of(with_figures(), public_id)
    rows = InvoiceLine.objects.select_related("invoice", "product")
    # A place beyond what the column holds is none.
    line = rows.filter(invoice=document, position=min(position, 2**31 - 1)).first()
    if line is None:
        raise Http404
    form = RowForm(request.POST) if request.method == "POST" else RowForm(initial=_said(line))
    if request.method == "POST" and form.is_valid():
        try:
            return asked(
                request,
                form.change(line),
                what=_("Say what “%(row)s” is") % {"row": line.name},
                done=_("Saved."),
                to=reverse("invoice", args=[request.tenant.slug, document.public_id]),
            )
        except ValidationError as mistake:
            form.add_error(None, mistake.messages)
    response = answer(
        request,
        "reporting/invoices/row.html",
        page=row_page(tenant=request.tenant, invoice=document, line=line),
        form=form,
    )
    response.status_code = 422 if form.errors else 200
    return response


def _said(line: Any) -> dict[str, Any]:
    """What somebody said about the row, as the form writes it; else what fits best."""
    said = LineDecision.objects.filter(line=line).first()
    if said is not None:
        what = ALONE if said.subscription_key else said.type
        last = said.end - timedelta(days=1) if said.end else None
        return {"what": what, "start": said.start, "last": last}
    recurring = LineFigure.objects.filter(line=line, subscription__isnull=False).exists()
    return {"what": "" if recurring else ALL_LIKE}
