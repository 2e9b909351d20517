"""Celery beat as the dispatcher: each tick hands out what the job table calls due."""

from __future__ import annotations

import os
import socket
from typing import Any

import structlog
from celery.beat import Scheduler
from django.conf import settings
from django.db import DatabaseError, connections

from calqsync.jobs import dispatch

log = structlog.get_logger(__name__)


class DispatchScheduler(Scheduler):
    """A scheduler without entries of its own: the schedule is in the job rows."""

    def setup_schedule(self) -> None:
        self.data: dict[str, Any] = {}
        self.pulse_name = f"{socket.gethostname()}:{os.getpid()}"

    def tick(self, *args: Any, **kwargs: Any) -> float:
        try:
            dispatch.dispatch_due(name=self.pulse_name)
        except DatabaseError:
            log.exception("dispatch.failed")
            connections["dispatcher"].close()
        return float(settings.DISPATCH_SECONDS)

    @property
    def info(self) -> str:
        return f"dispatching due jobs every {settings.DISPATCH_SECONDS:g} s"
