"""Forms of the integration pages; what a name may be is the services' word."""

from __future__ import annotations

from django import forms
from django.utils.translation import gettext_lazy as _


class NameForm(forms.Form):
    """The name of a connection."""

    name = forms.CharField(
        label=_("Name"),
        max_length=60,
        help_text=_("Short and yours, such as EU account. It appears beside the figures."),
    )


class KeyForm(forms.Form):
    """A key that was made in Procountor; it is never shown again."""

    key = forms.CharField(
        label=_("API key"),
        max_length=4000,
        widget=forms.PasswordInput(
            attrs={"autocomplete": "off", "spellcheck": "false"}, render_value=False
        ),
    )


class DisconnectForm(forms.Form):
    """Whether the imported books stay."""

    books = forms.ChoiceField(
        label=_("The imported data"),
        choices=[
            ("keep", _("Keep it: the figures stay as they are today")),
            ("delete", _("Delete it for good")),
        ],
        initial="keep",
        widget=forms.RadioSelect,
    )
