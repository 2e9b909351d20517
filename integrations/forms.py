"""Forms of the integration pages; what a name may be is the services' word."""

from __future__ import annotations

from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from integrations.sync.schedule import CHOICES


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


class ScheduleForm(forms.Form):
    """How often imports run; which times may be chosen is the services' word."""

    USUAL = "usual"
    every = forms.ChoiceField(label=_("How often"))

    def __init__(self, *args: Any, choices: list[tuple[str, str]] | None = None, **kw: Any) -> None:
        super().__init__(*args, **kw)
        every: Any = self.fields["every"]
        every.choices = choices or [(key, key) for key in (self.USUAL, *map(str, CHOICES))]

    @property
    def hours(self) -> int | None:
        """The hours chosen; None for the usual ones. Needs a valid form."""
        every = self.cleaned_data["every"]
        return None if every == self.USUAL else int(every)


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


class ChosenForm(forms.Form):
    """One rejected document, or all that share a reason."""

    document = forms.UUIDField(required=False)
    reason = forms.RegexField(r"^[0-9a-f]{32}$", required=False)

    def clean(self) -> None:
        if bool(self.cleaned_data.get("document")) == bool(self.cleaned_data.get("reason")):
            raise forms.ValidationError(_("Choose one document or one reason."))


class IgnoreForm(forms.Form):
    """Why rejected documents are left out."""

    why = forms.CharField(
        label=_("Why they do not matter"),
        max_length=200,
        help_text=_("It stands beside them and in the audit log."),
    )
