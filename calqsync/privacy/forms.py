"""Forms that ask for a name before something is gone for good."""

from __future__ import annotations

from django import forms
from django.utils.translation import gettext_lazy as _


class CompanyNameForm(forms.Form):
    name = forms.CharField(
        label=_("Type the company's name to confirm"),
        max_length=120,
        widget=forms.TextInput(attrs={"autocomplete": "off"}),
    )


class EmailForm(forms.Form):
    email = forms.EmailField(
        label=_("Type your email address to confirm"),
        widget=forms.EmailInput(attrs={"autocomplete": "off"}),
    )
