"""The line in the page frame of a company that is about to be erased."""

from __future__ import annotations

from zoneinfo import ZoneInfo

from django.http import HttpRequest
from django.urls import reverse
from django.utils.translation import get_language
from django.utils.translation import gettext as _

from calqsync.tenancy.context import Notice
from calqsync.tenancy.formats import day
from calqsync.tenancy.models import Role


def deletion_notice(request: HttpRequest) -> Notice | None:
    """On which day the company is erased; with the way to keep it, for its owners."""
    tenant = getattr(request, "tenant", None)
    membership = getattr(request, "membership", None)
    if tenant is None or tenant.deletes_at is None:
        return None
    on = day(
        tenant.deletes_at.astimezone(ZoneInfo(tenant.time_zone)).date(), language=get_language()
    )
    text = _("%(company)s is erased on %(day)s. Imports have stopped.") % {
        "company": tenant.name,
        "day": on,
    }
    if membership is not None and membership.may(Role.OWNER):
        return Notice(text, reverse("settings_data", args=[tenant.slug]), _("Keep it"))
    return Notice(text + " " + _("An owner can still keep it."))
