"""The first days: what is still to do until the figures can be trusted."""

from __future__ import annotations

from typing import Any

from django.db.models import Exists
from django.urls import reverse
from django.utils.translation import gettext as _

from calqsync.tenancy.models import Invitation, Membership, Tenant, User
from integrations.models import Connection
from reporting.models import Report, ReportSettings, SubscriptionDecision


def checklist(*, tenant: Tenant, by: User) -> dict[str, Any] | None:
    """The four first steps with what is done; None once all are, or once put away.

    `by` is the member who reads: a company of one person has invited nobody.
    """
    settings = ReportSettings.objects.first()
    if settings and settings.checklist_done_at:
        return None
    connected, imported, decided, shared, invited = Tenant.objects.values_list(
        Exists(Connection.objects.filter(disconnected_at=None)),
        Exists(Report.objects.all()),
        Exists(SubscriptionDecision.objects.all()),
        Exists(Membership.objects.exclude(user=by)),
        Exists(Invitation.objects.all()),
    ).get(pk=tenant.pk)
    reviewed = decided or bool(settings and settings.subscriptions_reviewed_at)
    steps = [
        (
            _("Connect Procountor"),
            connected,
            reverse("integrations", args=[tenant.slug]),
            _("Log in at Procountor, choose the company, give the connection a name."),
        ),
        (
            _("Look at the import"),
            imported,
            reverse("integrations", args=[tenant.slug]),
            _("Counts should match what you see in Procountor."),
        ),
        (
            _("Review subscriptions"),
            reviewed,
            reverse("subscriptions_review", args=[tenant.slug]),
            _("Confirm what recurs, reject what does not."),
        ),
        (
            _("Invite a colleague"),
            shared or invited,
            reverse("settings_team", args=[tenant.slug]),
            _("Your accountant or co-founder sees the same figures."),
        ),
    ]
    done = sum(step[1] for step in steps)
    if done == len(steps):
        return None
    current = next(i for i, step in enumerate(steps) if not step[1])
    return {
        "title": _("First steps"),
        "progress": _("%(done)s of %(all)s done") % {"done": done, "all": len(steps)},
        "items": [
            {"label": label, "done": is_done, "url": url, "hint": hint, "current": i == current}
            for i, (label, is_done, url, hint) in enumerate(steps)
        ],
    }
