"""Writes of this room: people's words about figures, and the figures themselves."""

from reporting.services.deciding import (
    LINE_TYPES,
    PERIODS,
    SETTINGS,
    Change,
    NotUndoable,
    Preview,
    ThingsGone,
    TouchedSince,
    UndoneAlready,
    acts,
    cash_mark,
    change_preview,
    change_save,
    edit_undo,
    settings_change,
)
from reporting.services.forgetting import rows_renamed
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
from reporting.services.restating import versions_thin
from reporting.services.suggesting import product_votes

__all__ = [
    "KIND",
    "LINE_TYPES",
    "PERIODS",
    "SETTINGS",
    "SWEEP",
    "Change",
    "NotUndoable",
    "Preview",
    "ThingsGone",
    "TouchedSince",
    "UndoneAlready",
    "acts",
    "business_day",
    "cash_mark",
    "change_preview",
    "change_save",
    "edit_undo",
    "product_votes",
    "refresh_enqueue",
    "report_refresh",
    "rest",
    "rows_renamed",
    "settings_change",
    "stale_refresh",
    "sweep_ensure",
    "until_midnight",
    "versions_thin",
]
