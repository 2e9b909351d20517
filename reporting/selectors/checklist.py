"""The first days: what is still to do until the figures can be trusted."""

from __future__ import annotations

from typing import Any

from django.urls import reverse
from django.utils.translation import gettext as _

from calqsync.tenancy.models import Tenant, User

# What is done of the first steps, in one query.
_DONE = """
    SELECT t.id, s.checklist_done_at IS NOT NULL AS put_away,
        EXISTS (
            SELECT FROM integrations_connection c
            WHERE c.tenant_id = t.id AND c.disconnected_at IS NULL
        ) AS connected,
        EXISTS (SELECT FROM reporting_report r WHERE r.tenant_id = t.id) AS imported,
        s.subscriptions_reviewed_at IS NOT NULL OR EXISTS (
            SELECT FROM reporting_subscriptiondecision d WHERE d.tenant_id = t.id
        ) AS reviewed,
        EXISTS (
            SELECT FROM tenancy_membership m WHERE m.tenant_id = t.id AND m.user_id <> %(reader)s
        ) OR EXISTS (SELECT FROM tenancy_invitation i WHERE i.tenant_id = t.id) AS shared
    FROM tenancy_tenant t LEFT JOIN reporting_reportsettings s ON s.tenant_id = t.id
    WHERE t.id = %(tenant)s
"""


def checklist(*, tenant: Tenant, by: User) -> dict[str, Any] | None:
    """The four first steps with what is done; None once all are, or once put away.

    `by` is the member who reads: a company of one person has invited nobody.
    """
    found: Any = Tenant.objects.raw(_DONE, {"tenant": tenant.pk, "reader": by.pk})[0]
    if found.put_away:
        return None
    steps = [
        (
            _("Connect Procountor"),
            found.connected,
            reverse("integrations", args=[tenant.slug]),
            _("Log in at Procountor, choose the company, give the connection a name."),
        ),
        (
            _("Look at the import"),
            found.imported,
            reverse("integrations", args=[tenant.slug]),
            _("Counts should match what you see in Procountor."),
        ),
        (
            _("Review subscriptions"),
            found.reviewed,
            reverse("subscriptions_review", args=[tenant.slug]),
            _("Confirm what recurs, reject what does not."),
        ),
        (
            _("Invite a colleague"),
            found.shared,
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
