"""Forms of sign-up, company settings and the team."""

from __future__ import annotations

import zoneinfo
from typing import Any

from allauth.core import context as allauth_context
from django import forms
from django.http import HttpRequest
from django.utils import timezone
from django.utils.dates import MONTHS
from django.utils.translation import gettext_lazy as _

from calqsync.tenancy import services
from calqsync.tenancy.models import Invitation, Membership, Role, Tenant, User

CURRENCIES = ["EUR", "SEK", "DKK", "NOK", "USD", "GBP"]


# Where the session keeps the hash of the invitation that was opened.
INVITED = "invitation"


class CompanySignup(forms.Form):
    """What sign-up asks beyond email and password; makes the company with its trial.

    An invited person joins the inviting company instead of founding an empty one.
    """

    company_name = forms.CharField(label=_("Company name"), max_length=120)
    accept_terms = forms.BooleanField(label=_("I accept the terms of service"))

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        held = allauth_context.request.session.get(INVITED)
        found = services.invitation_open(held=held, now=timezone.now()) if held else None
        self.invited = found is not None
        if found is not None:
            del self.fields["company_name"]
            self.initial.setdefault("email", found.email)

    def signup(self, request: HttpRequest, user: User) -> None:
        user.terms_version = services.TERMS_VERSION
        user.terms_accepted_at = timezone.now()
        user.save(update_fields=["terms_version", "terms_accepted_at"])
        if self.invited:
            return
        services.tenant_create(name=self.cleaned_data["company_name"], owner=user)


class CompanyForm(forms.ModelForm):
    currency = forms.ChoiceField(
        label=_("Reporting currency"), choices=[(code, code) for code in CURRENCIES]
    )
    time_zone = forms.ChoiceField(label=_("Time zone"))
    fiscal_year_start = forms.TypedChoiceField(
        label=_("Fiscal year starts in"), coerce=int, choices=list(MONTHS.items())
    )

    class Meta:
        model = Tenant
        fields = ["name", "business_id", "currency", "time_zone", "fiscal_year_start"]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        zones = sorted(z for z in zoneinfo.available_timezones() if "/" in z)
        field = self.fields["time_zone"]
        assert isinstance(field, forms.ChoiceField)
        field.choices = [(zone, zone) for zone in zones]


class InvitationForm(forms.ModelForm):
    class Meta:
        model = Invitation
        fields = ["email", "role"]

    def __init__(self, *args: Any, by: Membership, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        field = self.fields["role"]
        assert isinstance(field, forms.TypedChoiceField)
        field.choices = [(role.value, role.label) for role in Role if by.may(role)]

    def clean_role(self) -> Role:
        return Role(self.cleaned_data["role"])
