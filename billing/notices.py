"""The trial notice in the page frame."""

from __future__ import annotations

from django.http import HttpRequest
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from billing import services
from billing.gate import Standing
from calqsync.tenancy import scope
from calqsync.tenancy.context import Notice
from calqsync.tenancy.models import Role


def trial_notice(request: HttpRequest) -> Notice | None:
    """How long the trial lasts, or that imports have stopped; nothing on a paid plan."""
    if scope.current() is None:
        return None
    tenant, member = request.tenant, request.membership  # type: ignore[attr-defined]
    if not member.may(Role.VIEWER):
        return None
    state = services.entitlement_of(request)
    # Owners choose the plan: nobody else is sent to the page by a link that says so.
    url = reverse("plan", args=[tenant.slug]) if member.may(Role.OWNER) else ""
    if state.standing is Standing.TRIAL:
        days = state.days_left or 0
        text = ngettext("%d day left of your trial", "%d days left of your trial", days) % days
        return Notice(text, url, _("Choose a plan"), warning=days <= 3)
    if state.standing is Standing.ENDED:
        text = (
            _("Your trial has ended. Choose a plan to import again.")
            if url
            else _("Your trial has ended. Imports run again when an owner chooses a plan.")
        )
        return Notice(text, url, _("Choose a plan"))
    return None
