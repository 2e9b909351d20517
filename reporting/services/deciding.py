"""What people say about figures: kept beside them, obeyed by every later computation.

Each act is audited and has the figures recomputed. All need the tenant's scope and a
transaction, and take effect when the refreshed report is published.
"""

from __future__ import annotations

from datetime import date
from typing import Any

from django.core.exceptions import ValidationError
from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from calqsync.tenancy.models import User
from calqsync.tenancy.services import audit
from integrations.models import BankEvent, Product
from reporting.models import (
    CashMark,
    ProductMark,
    ReportSettings,
    Subscription,
    SubscriptionDecision,
)
from reporting.services.refreshing import refresh_enqueue

PERIODS = (-2, -1, 1, 2, 3, 6, 12)
SETTINGS = (
    "threshold",
    "default_period_months",
    "burn_months",
    "burn_average",
    "tolerance_bp",
    "reactivation_months",
)
_EDITS = ("verdict", "period_months", "start", "end", "paused")


@transaction.atomic
def product_mark(
    *, product: Product, mark: str | None, by: User, period_months: int | None = None
) -> None:
    """Say what a product is: recurring, one_off, usage or ignore; None takes the word back."""
    row = ProductMark.objects.filter(product=product).first()
    before = {"mark": row.mark, "period_months": row.period_months} if row else {}
    after: dict[str, Any] = {}
    if mark is not None:
        after = {"mark": mark, "period_months": _period(period_months)}
        row = row or ProductMark(tenant_id=product.tenant_id, product=product)
        row.mark, row.period_months, row.by = mark, period_months, by
        row.full_clean(exclude=["tenant", "product", "by"])
        row.save()
    elif row is not None:
        row.delete()
    if before == after:
        return
    audit(act="product.marked", by=by, target=product.name, before=before, after=after)
    refresh_enqueue()


def subscription_confirm(*, subscription: Subscription, by: User) -> None:
    """Say that it is a subscription; it then counts whatever its confidence."""
    _decide(subscription, by, "subscription.confirmed", verdict="confirmed")


def subscription_reject(*, subscription: Subscription, by: User) -> None:
    """Say that it is none; it never counts and is not proposed again."""
    _decide(subscription, by, "subscription.rejected", verdict="rejected")


def subscription_edit(
    *,
    subscription: Subscription,
    by: User,
    period_months: int | None = None,
    start: date | None = None,
    end: date | None = None,
    paused: bool = False,
) -> None:
    """Set its period, first day and first day without service, or pause it; None asks the books.

    Editing confirms it.
    """
    if start is not None and end is not None and end <= start:
        raise ValidationError({"end": _("The end must lie after the start.")})
    _decide(
        subscription,
        by,
        "subscription.edited",
        verdict="confirmed",
        period_months=_period(period_months),
        start=start,
        end=end,
        paused=paused,
    )


@transaction.atomic
def subscription_clear(*, subscription: Subscription, by: User) -> None:
    """Forget what was said about it; detection decides again."""
    decision = SubscriptionDecision.objects.filter(key=subscription.key).first()
    if decision is None:
        return
    before = _said(decision)
    decision.delete()
    audit(act="subscription.cleared", by=by, target=subscription.product_name, before=before)
    refresh_enqueue()


@transaction.atomic
def subscriptions_confirm_certain(*, by: User) -> int:
    """Confirm every detected subscription of high confidence; returns how many."""
    rows = Subscription.objects.filter(confirmed=False, confidence="high").exclude(
        status="rejected"
    )
    keys = list(rows.values_list("key", flat=True))
    known = {row.key: row for row in SubscriptionDecision.objects.filter(key__in=keys)}
    at = timezone.now()
    for row in known.values():
        row.verdict, row.by, row.at = "confirmed", by, at
    SubscriptionDecision.objects.bulk_update(known.values(), ["verdict", "by", "at"])
    SubscriptionDecision.objects.bulk_create(
        SubscriptionDecision(tenant_id=row.tenant_id, key=row.key, verdict="confirmed", by=by)
        for row in rows
        if row.key not in known
    )
    if keys:
        audit(act="subscriptions.confirmed", by=by, after={"count": len(keys)})
        refresh_enqueue()
    return len(keys)


@transaction.atomic
def settings_change(*, by: User, **values: Any) -> ReportSettings:
    """Change how figures are made: only the settings given."""
    unknown = set(values) - set(SETTINGS)
    if unknown:
        raise TypeError(f"unknown settings: {sorted(unknown)}")
    row = ReportSettings.objects.select_for_update().first() or ReportSettings.objects.create()
    before = {name: getattr(row, name) for name in values}
    for name, value in values.items():
        setattr(row, name, value)
    given = {name for name, value in values.items() if value is not None}
    row.clean_fields(exclude={field.name for field in row._meta.fields} - given)
    row.save()
    audit(act="report.settings_changed", by=by, before=before, after=values)
    refresh_enqueue()
    return row


@transaction.atomic
def cash_mark(*, event: BankEvent, financing: bool | None, by: User) -> None:
    """Say whether a bank event is financing; None takes the word back."""
    before = CashMark.objects.filter(event=event).first()
    if financing is None:
        if before is None:
            return
        before.delete()
    elif before is None:
        CashMark.objects.create(event=event, financing=financing, by=by)
    else:
        before.financing, before.by = financing, by
        before.save()
    audit(
        act="cash.marked",
        by=by,
        target=event.counterparty or event.message,
        after={"financing": financing},
    )
    refresh_enqueue()


def _period(months: int | None) -> int | None:
    if months is not None and months not in PERIODS:
        raise ValidationError({"period_months": _("Choose one of the periods in the list.")})
    return months


@transaction.atomic
def _decide(subscription: Subscription, by: User, act: str, **values: Any) -> None:
    row = SubscriptionDecision.objects.select_for_update().filter(key=subscription.key).first()
    before = _said(row) if row else {}
    row = row or SubscriptionDecision(tenant_id=subscription.tenant_id, key=subscription.key)
    for name, value in values.items():
        setattr(row, name, value)
    row.by = by
    row.save()
    audit(act=act, by=by, target=subscription.product_name, before=before, after=_said(row))
    refresh_enqueue()


def _said(row: SubscriptionDecision) -> dict[str, Any]:
    values = {name: getattr(row, name) for name in _EDITS}
    return {
        name: value.isoformat() if isinstance(value, date) else value
        for name, value in values.items()
        if value not in (None, "", False)
    }
