"""Reads for pages: connections with their derived status, runs, progress and freshness."""

from integrations.selectors.connections import (
    ConnectionPage,
    ConnectionRow,
    connection_page,
    connections_page,
    deleted_lately,
    was_deleted,
)
from integrations.selectors.quarantine import rejections_of
from integrations.selectors.runs import RunView, connection_progress, runs_of, seconds_left
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
    "RunView",
    "Status",
    "connection_page",
    "connection_progress",
    "connection_status",
    "connections_page",
    "deleted_lately",
    "freshness",
    "rejections_of",
    "run_state",
    "runs_of",
    "seconds_left",
    "status_of",
    "was_deleted",
]
