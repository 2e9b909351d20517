"""Reads for pages: connections with their derived status, runs, progress and freshness."""

from integrations.selectors.connections import (
    ConnectionPage,
    ConnectionRow,
    connection_page,
    connections_page,
    deleted_lately,
    was_deleted,
)
from integrations.selectors.quarantine import (
    Retried,
    SetAside,
    newest_of,
    rejection_groups,
    rejection_of,
    rejections_of,
    retried_lately,
    set_aside,
)
from integrations.selectors.removals import removal_held
from integrations.selectors.runs import (
    RunView,
    connection_progress,
    run_page,
    run_views,
    runs_of,
    seconds_left,
)
from integrations.selectors.status import (
    Code,
    Freshness,
    Status,
    connection_status,
    freshness,
    run_state,
    status_of,
)

__all__ = [
    "Code",
    "ConnectionPage",
    "ConnectionRow",
    "Freshness",
    "Retried",
    "RunView",
    "SetAside",
    "Status",
    "connection_page",
    "connection_progress",
    "connection_status",
    "connections_page",
    "deleted_lately",
    "freshness",
    "newest_of",
    "rejection_groups",
    "rejection_of",
    "rejections_of",
    "removal_held",
    "retried_lately",
    "run_page",
    "run_state",
    "run_views",
    "runs_of",
    "seconds_left",
    "set_aside",
    "status_of",
    "was_deleted",
]
