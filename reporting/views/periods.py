"""Fields of forms that ask for periods and days."""

from __future__ import annotations

from datetime import date
from typing import Any

from django import forms
from django.core.validators import MaxValueValidator, MinValueValidator
from django.utils.translation import gettext as _

from reporting import services
from reporting.selectors import reasons

# A slip in the year would otherwise stretch the figures over centuries, or end the calendar.
_SENSIBLE = [MinValueValidator(date(1990, 1, 1)), MaxValueValidator(date(2099, 12, 31))]


class DayField(forms.DateField):
    """A day, or nothing."""

    def __init__(self, **kwargs: Any) -> None:
        day = forms.DateInput(attrs={"type": "date"}, format="%Y-%m-%d")
        super().__init__(required=False, widget=day, validators=_SENSIBLE, **kwargs)


def period_field() -> forms.TypedChoiceField:
    """How often something is billed, or nothing."""
    return forms.TypedChoiceField(
        label=_("Billed"),
        coerce=int,
        empty_value=None,
        required=False,
        choices=[
            ("", _("As the invoices say")),
            *((months, reasons.period(months)) for months in services.PERIODS),
        ],
    )
