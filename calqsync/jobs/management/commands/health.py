"""`manage.py health worker|beat`: exits 0 when that process does its work.

A worker that answers, is free, and takes nothing of what waits for it is not well.
"""

from __future__ import annotations

import socket
from typing import Any

from celery import current_app
from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import connections

from calqsync.jobs import lanes, watch


class Command(BaseCommand):
    help = "Check that a worker on this host answers, or that a dispatcher looked for work lately."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("process", choices=["worker", "beat"])

    def handle(self, *args: Any, process: str, **options: Any) -> None:
        if process == "worker":
            self._worker(socket.gethostname())
            return
        limit = max(30.0, 6 * settings.DISPATCH_SECONDS)
        with connections["dispatcher"].cursor() as cursor:
            cursor.execute(
                "SELECT max(at) > now() - make_interval(secs => %s) FROM jobs_dispatcherpulse"
                " WHERE name LIKE %s",
                [limit, f"{socket.gethostname()}:%"],
            )
            if not cursor.fetchone()[0]:
                raise CommandError(f"No dispatcher looked for work in the last {limit:g} s.")

    def _worker(self, host: str) -> None:
        replies = current_app.control.ping(timeout=5) or []
        nodes = [name for reply in replies for name in reply if name.endswith(f"@{host}")]
        if not nodes:
            raise CommandError(f"No worker on {host} answers.")
        asked: Any = current_app.control.inspect(destination=nodes, timeout=5)
        stats, active, queues = (
            replies or {} for replies in (asked.stats(), asked.active(), asked.active_queues())
        )
        # One that answered a moment ago and now does not is looked at the next time.
        for node in stats.keys() & active.keys() & queues.keys():
            free = stats[node]["pool"]["max-concurrency"] - len(active[node])
            heard = [queue["name"] for queue in queues[node]] or list(lanes.LANES)
            if free > 0 and (waiting := watch.waiting_lanes(heard)):
                raise CommandError(f"{node} is free and takes nothing of: {', '.join(waiting)}.")
