"""What the audit log calls each act and field; an act without words fails a test."""

from __future__ import annotations

from datetime import tzinfo
from typing import Any

from django.utils.dateparse import parse_date, parse_datetime
from django.utils.translation import get_language, gettext_lazy
from django.utils.translation import gettext as _

from calqsync.tenancy import formats
from calqsync.tenancy.models import Role

# The first part of an act: what the filter offers.
AREAS = {
    "tenant": gettext_lazy("Company"),
    "member": gettext_lazy("Members"),
    "invitation": gettext_lazy("Invitations"),
    "connection": gettext_lazy("Connections"),
    "sync": gettext_lazy("Imports"),
    "subscription": gettext_lazy("Subscriptions"),
    "product": gettext_lazy("Products"),
    "cash": gettext_lazy("Cash"),
    "report": gettext_lazy("Figures"),
    "plan": gettext_lazy("Plan and trial"),
    "export": gettext_lazy("Exports"),
    "contact": gettext_lazy("Personal data"),
    "support": gettext_lazy("Support"),
    "token": gettext_lazy("API tokens"),
}
# Other first parts of the same area.
ALSO = {
    "subscription": ["subscriptions", "line", "customers"],
    "plan": ["trial"],
    "export": ["audit", "list"],
    "sync": ["rejection", "removal"],
}
ACTS = {
    "audit.exported": gettext_lazy("Downloaded the audit log"),
    "cash.marked": gettext_lazy("Said whether a deposit is financing"),
    "connection.created": gettext_lazy("Connected an account"),
    "connection.deleted": gettext_lazy("Disconnected an account and deleted its data"),
    "connection.discarded": gettext_lazy("Turned a login down on the confirm page"),
    "connection.disconnected": gettext_lazy("Disconnected an account and kept its data"),
    "connection.paused": gettext_lazy("Paused imports"),
    "connection.reconnected": gettext_lazy("Connected an account again"),
    "connection.renamed": gettext_lazy("Renamed a connection"),
    "connection.resumed": gettext_lazy("Let imports go on"),
    "connection.scheduled": gettext_lazy("Chose how often to import"),
    "contact.erased": gettext_lazy("Erased a contact's personal data"),
    "customers.kept_apart": gettext_lazy("Kept two customers apart"),
    "customers.merged": gettext_lazy("Merged two customers"),
    "customers.parted": gettext_lazy("Took merged customers apart"),
    "export.deleted": gettext_lazy("Deleted an export of all data"),
    "export.downloaded": gettext_lazy("Downloaded an export of all data"),
    "export.ready": gettext_lazy("Finished an export of all data"),
    "export.requested": gettext_lazy("Asked for an export of all data"),
    "invitation.accepted": gettext_lazy("Accepted an invitation"),
    "invitation.resent": gettext_lazy("Sent an invitation again"),
    "invitation.revoked": gettext_lazy("Withdrew an invitation"),
    "invitation.sent": gettext_lazy("Invited somebody"),
    "line.said": gettext_lazy("Said what an invoice row is"),
    "list.exported": gettext_lazy("Downloaded a list"),
    "member.account_deleted": gettext_lazy("Deleted their account"),
    "member.left": gettext_lazy("Left the team"),
    "member.removed": gettext_lazy("Removed a member"),
    "member.role_changed": gettext_lazy("Changed a role"),
    "plan.chosen": gettext_lazy("Chose a plan"),
    "product.marked": gettext_lazy("Said what a product is"),
    "rejection.ignored": gettext_lazy("Ignored rejected documents"),
    "rejection.opened": gettext_lazy("Looked at a rejected document"),
    "rejection.retried": gettext_lazy("Retried rejected documents"),
    "rejection.unignored": gettext_lazy("Counted ignored documents again"),
    "removal.checked": gettext_lazy("Had vanished documents looked for again"),
    "removal.confirmed": gettext_lazy("Said that vanished documents were deleted"),
    "report.costs_entered": gettext_lazy("Entered acquisition costs"),
    "report.edit_undone": gettext_lazy("Undid an edit"),
    "report.settings_changed": gettext_lazy("Changed how figures are computed"),
    "subscription.cleared": gettext_lazy("Took a decision on a subscription back"),
    "subscription.confirmed": gettext_lazy("Confirmed a subscription"),
    "subscription.edited": gettext_lazy("Edited a subscription"),
    "subscription.made": gettext_lazy("Made a subscription by hand"),
    "subscription.merged": gettext_lazy("Merged two subscriptions"),
    "subscription.rejected": gettext_lazy("Rejected a subscription"),
    "subscription.rows_moved": gettext_lazy("Moved rows to another subscription"),
    "subscription.split": gettext_lazy("Split rows off a subscription"),
    "subscription.taken_apart": gettext_lazy("Took merged subscriptions apart"),
    "subscriptions.confirmed": gettext_lazy("Confirmed subscriptions"),
    "support.acted": gettext_lazy("Acted as support"),
    "support.approved": gettext_lazy("Let support look in"),
    "support.ended": gettext_lazy("Ended support's look"),
    "support.refused": gettext_lazy("Kept support out"),
    "support.requested": gettext_lazy("Asked to look in as support"),
    "support.started": gettext_lazy("Began to look in as support"),
    "support.viewed": gettext_lazy("Opened a page as support"),
    "sync.cancelled": gettext_lazy("Stopped an import"),
    "sync.requested": gettext_lazy("Started an import"),
    "tenant.created": gettext_lazy("Created the company"),
    "tenant.deletion_requested": gettext_lazy("Asked for the company's deletion"),
    "tenant.deletion_undone": gettext_lazy("Took the company's deletion back"),
    "tenant.updated": gettext_lazy("Changed company settings"),
    "token.created": gettext_lazy("Made an API token"),
    "token.ended": gettext_lazy("Ended an API token by a new password"),
    "token.revoked": gettext_lazy("Revoked an API token"),
    "trial.changed": gettext_lazy("Moved the end of the trial"),
}
_FIELDS = {
    "action": gettext_lazy("Action"),
    "business_id": gettext_lazy("Business id"),
    "company": gettext_lazy("Company in Procountor"),
    "count": gettext_lazy("Number"),
    "currency": gettext_lazy("Reporting currency"),
    "end": gettext_lazy("Ends"),
    "ends": gettext_lazy("Ends"),
    "erased_at": gettext_lazy("Erased on"),
    "filters": gettext_lazy("Filters"),
    "financing": gettext_lazy("Financing"),
    "fiscal_year_start": gettext_lazy("Fiscal year starts in month"),
    "format": gettext_lazy("File"),
    "mark": gettext_lazy("Kind"),
    "method": gettext_lazy("Method"),
    "mfa_required": gettext_lazy("Two-step sign-in required"),
    "missing": gettext_lazy("Vanished"),
    "minutes": gettext_lazy("Minutes"),
    "name": gettext_lazy("Name"),
    "paused": gettext_lazy("Paused"),
    "period_months": gettext_lazy("Months billed at once"),
    "plan": gettext_lazy("Plan"),
    "reason": gettext_lazy("Reason"),
    "renewal_percent": gettext_lazy("Renewed with a probability of, %"),
    "role": gettext_lazy("Role"),
    "rows": gettext_lazy("Rows"),
    "staff": gettext_lazy("Support"),
    "start": gettext_lazy("Starts"),
    "stored": gettext_lazy("Stored"),
    "stream": gettext_lazy("Kind"),
    "support_consent_required": gettext_lazy("Support must ask first"),
    "ticket": gettext_lazy("Ticket"),
    "time_zone": gettext_lazy("Time zone"),
    "verdict": gettext_lazy("Decision"),
}
# Ids that lead to rows: for exports, not for reading.
_UNREAD = {"run", "grant", "export", "connection", "documents", "merged_into", "subscription_key"}


def act_words(act: str) -> str:
    """What was done, in words; an unknown act by its own name."""
    return str(ACTS.get(act, act))


def area_acts(area: str) -> list[str]:
    """The first parts of the acts of an area."""
    return [area, *ALSO.get(area, [])]


def changes(before: dict[str, Any], after: dict[str, Any], *, zone: tzinfo) -> list[dict[str, Any]]:
    """Field by field what was and what became; only what differs, in the order of `after`."""
    fields = [*after, *(name for name in before if name not in after)]
    return [
        {
            "field": str(_FIELDS.get(name, name.replace("_", " ").capitalize())),
            "before": _value(name, before[name], zone) if name in before else "",
            "after": _value(name, after[name], zone) if name in after else "",
        }
        for name in fields
        if name not in _UNREAD and before.get(name) != after.get(name)
    ]


def _value(name: str, value: Any, zone: tzinfo) -> str:
    if value is None or value == "":
        return "–"
    if isinstance(value, bool):
        return _("Yes") if value else _("No")
    if isinstance(value, dict):
        return ", ".join(f"{key}: {_value(key, item, zone)}" for key, item in value.items())
    if isinstance(value, list):
        return ", ".join(_value(name, item, zone) for item in value)
    text = str(value)
    if name == "role" and text in Role.values:
        return str(Role(text).label)
    return _time(text, zone) or text


def _time(text: str, zone: tzinfo) -> str:
    """An instant or a day written for people; "" for any other text."""
    try:
        if len(text) == len("2026-01-31"):
            day = parse_date(text)
            return formats.day(day, language=get_language()) if day else ""
        instant = parse_datetime(text)
    except ValueError:
        return ""
    if instant is None or instant.tzinfo is None:
        return ""
    return formats.moment(instant, zone=zone, language=get_language())
