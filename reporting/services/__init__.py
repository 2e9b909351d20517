"""Writes of this room: people's words about figures, and the figures themselves."""

from reporting.services.deciding import (
    PERIODS,
    cash_mark,
    product_mark,
    settings_change,
    subscription_clear,
    subscription_confirm,
    subscription_edit,
    subscription_reject,
    subscriptions_confirm_certain,
)
from reporting.services.refreshing import (
    KIND,
    SWEEP,
    business_day,
    refresh_enqueue,
    report_refresh,
    rest,
    stale_refresh,
    sweep_ensure,
    until_midnight,
)

__all__ = [
    "KIND",
    "PERIODS",
    "SWEEP",
    "business_day",
    "cash_mark",
    "product_mark",
    "refresh_enqueue",
    "report_refresh",
    "rest",
    "settings_change",
    "stale_refresh",
    "subscription_clear",
    "subscription_confirm",
    "subscription_edit",
    "subscription_reject",
    "subscriptions_confirm_certain",
    "sweep_ensure",
    "until_midnight",
]
