"""What people say about figures: kept beside them, obeyed by every later computation.

`acts` makes each act a `Change`; `change_preview` shows what it would do, `change_save` says it,
`edit_undo` takes it back. All need the tenant's scope and a transaction, and take effect when the
refreshed report is published.
"""

from __future__ import annotations

from typing import Any

from calqsync.tenancy.models import User
from integrations.models import BankEvent
from reporting.models import Edit
from reporting.services.deciding import acts
from reporting.services.deciding.acts import LINE_TYPES, PERIODS
from reporting.services.deciding.changes import (
    SETTINGS,
    Change,
    NotUndoable,
    ThingsGone,
    TouchedSince,
    UndoneAlready,
    change_save,
    edit_undo,
)
from reporting.services.deciding.previewing import MOST, Preview, change_preview

__all__ = [
    "LINE_TYPES",
    "MOST",
    "PERIODS",
    "SETTINGS",
    "Change",
    "NotUndoable",
    "Preview",
    "ThingsGone",
    "TouchedSince",
    "UndoneAlready",
    "acts",
    "cash_mark",
    "change_preview",
    "change_save",
    "edit_undo",
    "settings_change",
]


def settings_change(*, by: User, **values: Any) -> Edit | None:
    """Change how figures are made: only the settings given (`acts.settings_changed`)."""
    return change_save(change=acts.settings_changed(**values), by=by)


def cash_mark(*, event: BankEvent, financing: bool | None, by: User) -> Edit | None:
    """Say whether a bank event is financing (`acts.cash_marked`)."""
    return change_save(change=acts.cash_marked(event=event, financing=financing), by=by)
