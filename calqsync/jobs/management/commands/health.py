"""`manage.py health worker|beat`: exits 0 when that process does its work."""

from __future__ import annotations

import socket
from typing import Any

from celery import current_app
from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import connections


class Command(BaseCommand):
    help = "Check that a worker on this host answers, or that a dispatcher looked for work lately."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("process", choices=["worker", "beat"])

    def handle(self, *args: Any, process: str, **options: Any) -> None:
        if process == "worker":
            replies = current_app.control.ping(timeout=5) or []
            host = socket.gethostname()
            if not any(name.endswith(f"@{host}") for reply in replies for name in reply):
                raise CommandError(f"No worker on {host} answers.")
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
