"""The first days: what is still to do until the figures can be trusted."""

from __future__ import annotations

from typing import Any

from django.db import connection
from django.urls import reverse
from django.utils.translation import gettext as _

from calqsync.tenancy.models import Tenant, User

# Whether the list is put away, and which of the steps are done: (connected, imported, reviewed,
# shared), in one query.
_DONE = """
    SELECT s.checklist_done_at IS NOT NULL,
        EXISTS (
            SELECT FROM integrations_connection c
            WHERE c.tenant_id = %(tenant)s AND c.disconnected_at IS NULL
        ),
        EXISTS (SELECT FROM reporting_report r WHERE r.tenant_id = %(tenant)s),
        s.subscriptions_reviewed_at IS NOT NULL OR EXISTS (
            SELECT FROM reporting_subscriptiondecision d WHERE d.tenant_id = %(tenant)s
        ),
        EXISTS (
            SELECT FROM tenancy_membership m
            WHERE m.tenant_id = %(tenant)s AND m.user_id <> %(reader)s
        ) OR EXISTS (SELECT FROM tenancy_invitation i WHERE i.tenant_id = %(tenant)s)
    FROM (SELECT) one LEFT JOIN reporting_reportsettings s ON s.tenant_id = %(tenant)s
"""


def checklist(*, tenant: Tenant, by: User) -> dict[str, Any] | None:
    """The four first steps with what is done; None once all are, or once put away.

    `by` is the member who reads: a company of one person has invited nobody. The tenant must be in
    scope, and not be looked into by support, to which nothing would seem done.
    """
    with connection.cursor() as cursor:
        cursor.execute(_DONE, {"tenant": tenant.pk, "reader": by.pk})
        put_away, connected, imported, reviewed, shared = cursor.fetchone()
    if put_away:
        return None
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
            shared,
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
