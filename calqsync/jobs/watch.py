"""A worker's watch over itself: one that hears nothing while jobs wait ends, to be replaced.

A broken connection to the broker can leave a worker alive and deaf: it answers, and takes
nothing. The dispatcher notes since when the oldest called job of each lane waits; a worker with
a free place that has heard nothing for as long is not doing its work.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from typing import Any

import structlog
from celery.signals import task_received, task_unknown
from celery.worker import state
from django.conf import settings
from django.db import DatabaseError, connection, connections

log = structlog.get_logger(__name__)
# Of a dispatcher that itself has died the notes say nothing any more.
_STALE_PERIODS = 12
# For what still runs; then the process ends at once. Leases and fences make both safe.
_GRACE_SECONDS = 60


def waiting_lanes(lanes: list[str]) -> list[str]:
    """Those lanes in which a called job has waited longer than JOB_DEAF_SECONDS for a worker."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT substr(name, 6) FROM jobs_dispatcherpulse WHERE name = ANY(%s)"
            " AND at < statement_timestamp() - make_interval(secs => %s)"
            " AND EXISTS (SELECT 1 FROM jobs_dispatcherpulse WHERE name NOT LIKE 'lane:%%'"
            "   AND at > statement_timestamp() - make_interval(secs => %s))",
            [
                [f"lane:{lane}" for lane in lanes],
                settings.JOB_DEAF_SECONDS,
                _STALE_PERIODS * settings.DISPATCH_SECONDS,
            ],
        )
        return sorted(row[0] for row in cursor.fetchall())


def begin(consumer: Any) -> None:
    """Watch this worker from a thread of its main process, for as long as it lives."""
    watch = _Watch(consumer)
    for heard in (task_received, task_unknown):  # a kind of a newer release is heard too
        heard.connect(watch.hears, weak=False)
    threading.Thread(target=watch.keep, daemon=True, name="watch").start()


class _Watch:
    def __init__(self, consumer: Any) -> None:
        self.lanes = list(consumer.app.amqp.queues.consume_from)
        self.places = consumer.pool.num_processes
        self.heard = time.monotonic()

    def hears(self, **_: Any) -> None:
        self.heard = time.monotonic()

    def keep(self) -> None:
        while True:
            time.sleep(settings.JOB_DEAF_SECONDS / 5)
            if self.deaf():
                break
        log.error("worker.deaf", lanes=self.lanes, heard_ago=round(time.monotonic() - self.heard))
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(_GRACE_SECONDS)
        os._exit(1)

    def deaf(self) -> bool:
        """Whether jobs wait that this worker has a free place for and does not hear of."""
        busy = len(state.active_requests) >= self.places
        if busy or time.monotonic() - self.heard < settings.JOB_DEAF_SECONDS:
            return False
        try:
            return bool(waiting_lanes(self.lanes))
        except DatabaseError as error:
            log.warning("worker.watch_is_blind", error=str(error))
            return False
        finally:
            # Children are forked from this process: they must not inherit a connection.
            connections.close_all()
