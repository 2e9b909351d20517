"""Filters that write figures in the language of the page; see calqsync.tenancy.formats.

Rows of a long table are formatted once, in the view or when they are stored. These filters
are for the single figures of a page.
"""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal

from django import template
from django.utils import timezone
from django.utils.translation import get_language

from calqsync.tenancy import formats

register = template.Library()


@register.filter
def money(minor: int | None, currency: str) -> str:
    """{{ minor|money:"EUR" }} with cents."""
    return formats.money(minor, currency, language=get_language())


@register.filter
def amount(minor: int | None, currency: str) -> str:
    """{{ minor|amount:"EUR" }} without the currency, for tables that name it once."""
    return formats.amount(minor, currency, language=get_language())


@register.filter
def rate(ratio: Decimal | float | None) -> str:
    """{{ 0.125|rate }} is 12.5%."""
    return formats.rate(ratio, language=get_language())


@register.filter
def decimal(value: Decimal | float | None, digits: int = 1) -> str:
    """{{ months|decimal }} with one decimal, {{ months|decimal:2 }} with two."""
    return formats.decimal(value, language=get_language(), digits=digits)


@register.filter
def count(value: int | None) -> str:
    """{{ 12345|count }} is 12,345."""
    return formats.count(value, language=get_language())


@register.filter
def day(value: date | None) -> str:
    """{{ invoice.issued_on|day }} is 21 Nov 2026."""
    return formats.day(value, language=get_language())


@register.filter
def month(value: date | None) -> str:
    """{{ figure.month|month }} is Nov 2026."""
    return formats.month(value, language=get_language())


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
def ago(value: datetime | None) -> str:
    """{{ run.finished_at|ago }} is 2 hours ago."""
    return formats.ago(value, now=timezone.now(), language=get_language())


@register.filter
def said(value: object) -> object:
    """A moment in the reader's words, "–" for nothing, anything else as it is."""
    if isinstance(value, datetime):
        return moment(value)
    return "–" if value is None or value == "" else value
