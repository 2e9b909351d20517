"""Filters that write days and moments in the language of the page; see calqsync.tenancy.formats.

Figures are written before they reach a template: a table's rows once, in its selector.
"""

from __future__ import annotations

from datetime import date, datetime

from django import template
from django.utils import timezone
from django.utils.translation import get_language

from calqsync.tenancy import formats

register = template.Library()


@register.filter
def day(value: date | None) -> str:
    """{{ invoice.issued_on|day }} is 21 Nov 2026."""
    return formats.day(value, language=get_language())


@register.filter
def moment(value: datetime | None) -> str:
    """{{ run.finished_at|moment }} in the active time zone is 21 Nov 2026, 07:40."""
    zone = timezone.get_current_timezone()
    return formats.moment(value, zone=zone, language=get_language())


@register.filter
def clock(value: datetime | None) -> str:
    """{{ run.finished_at|clock }} in the active time zone is 07:40."""
    zone = timezone.get_current_timezone()
    return formats.clock(value, zone=zone, language=get_language())


@register.filter
def said(value: object) -> object:
    """A moment in the reader's words, "–" for nothing, anything else as it is."""
    if isinstance(value, datetime):
        return moment(value)
    return "–" if value is None or value == "" else value
