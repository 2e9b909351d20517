"""The dispatcher: rings for due jobs of every tenant, turn by turn, with the dispatcher's role."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import structlog
from celery import current_app
from django.conf import settings
from django.db import connections, transaction
from kombu.exceptions import ChannelError
from kombu.exceptions import OperationalError as BrokerDown
from redis.exceptions import RedisError

from calqsync.jobs import lanes, services
from calqsync.jobs.services import DUE

log = structlog.get_logger(__name__)
# A lane's messages in the broker: enough to keep workers busy, few enough that a new tenant's
# first job is soon heard.
AHEAD = 100
# A wake-up that waits in a lane which workers are still emptying is not lost.
_PATIENCE = timedelta(minutes=10)
# First each tenant's first job, then each one's second. A tenant's places are taken by what runs
# and by what has been called already; what holds a place keeps it.
_CHOOSE = f"""
WITH due AS (
    SELECT id, tenant_id, queue, priority, run_after, nudged_at, row_number() OVER (
        PARTITION BY tenant_id, queue
        ORDER BY state = 'queued' AND admitted_at IS NULL, priority, run_after, id) AS place
    FROM jobs_job WHERE {DUE}),
running AS (
    SELECT tenant_id, queue, count(*) AS places FROM jobs_job
    WHERE state = 'leased' AND lease_until >= statement_timestamp() GROUP BY 1, 2),
lane AS (
    SELECT * FROM unnest(%(lanes)s::text[], %(caps)s::int[], %(rooms)s::int[],
        %(waits)s::interval[]) AS lane(queue, cap, room, again_after)),
called AS (
    SELECT d.id, d.queue, row_number() OVER (
        PARTITION BY d.queue ORDER BY d.place + coalesce(r.places, 0), d.priority, d.run_after, d.id
        ) AS turn
    FROM due d JOIN lane l USING (queue) LEFT JOIN running r USING (tenant_id, queue)
    WHERE d.place + coalesce(r.places, 0) <= l.cap
    AND (d.nudged_at IS NULL OR d.nudged_at < statement_timestamp() - l.again_after)),
chosen AS MATERIALIZED (
    SELECT j.id, c.turn FROM jobs_job j JOIN called c USING (id) JOIN lane l ON l.queue = c.queue
    WHERE c.turn <= l.room FOR NO KEY UPDATE OF j SKIP LOCKED)
UPDATE jobs_job j SET nudged_at = statement_timestamp(),
    admitted_at = coalesce(admitted_at, statement_timestamp())
FROM chosen WHERE j.id = chosen.id
RETURNING j.tenant_id, j.id, j.kind, j.queue, chosen.turn
"""
# Since when the oldest job of each lane that was called waits to be taken.
_WAITING = """
INSERT INTO jobs_dispatcherpulse (name, at)
SELECT 'lane:' || lane, coalesce((
    SELECT min(CASE state WHEN 'queued' THEN greatest(admitted_at, run_after) ELSE lease_until END)
    FROM jobs_job WHERE queue = lane AND (
        (state = 'queued' AND admitted_at IS NOT NULL AND run_after <= statement_timestamp())
        OR (state = 'leased' AND lease_until < statement_timestamp()))), statement_timestamp())
FROM unnest(%(lanes)s::text[]) AS lane
ON CONFLICT (name) DO UPDATE SET at = excluded.at
"""


def dispatch_due(*, name: str = "") -> int:
    """Ring for due and abandoned jobs, as far as caps and lanes have room; returns how many.

    Any number of dispatchers may run: one works at a time, and the lock ends with its
    transaction. With the broker away nothing is rung, and everything stays due.
    """
    waiting = _messages_waiting()
    with transaction.atomic(using="dispatcher"), connections["dispatcher"].cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_xact_lock(7261002)")
        if not cursor.fetchone()[0]:
            return 0
        known = _known_lanes(cursor)
        _note(cursor, known, name)
        if waiting is None:
            return 0
        cursor.execute(_CHOOSE, _rules(known, waiting))
        called = sorted(cursor.fetchall(), key=lambda row: row[4])
    unheard = []
    for place, (tenant_id, job_id, kind, queue, _turn) in enumerate(called):
        if not services.nudge(tenant_id, job_id, kind, queue):
            unheard = [row[1] for row in called[place:]]
            break
    if unheard:
        _take_back(unheard)
    return len(called) - len(unheard)


def _rules(known: list[str], waiting: dict[str, int]) -> dict[str, Any]:
    """Each lane's cap, its room for messages, and after how long a wake-up counts as lost."""
    soon = timedelta(seconds=6 * settings.DISPATCH_SECONDS)
    return {
        "lanes": known,
        "caps": [lanes.cap(lane) for lane in known],
        "rooms": [max(0, AHEAD - waiting.get(lane, 0)) for lane in known],
        "waits": [_PATIENCE if waiting.get(lane) else soon for lane in known],
    }


def _known_lanes(cursor: Any) -> list[str]:
    """Ours, and those that rows of a newer release name."""
    cursor.execute(f"SELECT DISTINCT queue FROM jobs_job WHERE {DUE}")
    return sorted({*lanes.LANES, *(row[0] for row in cursor.fetchall())})


def _messages_waiting() -> dict[str, int] | None:
    """How many messages of each lane no worker has taken yet; None when the broker is away."""
    counts = {}
    try:
        with current_app.connection_for_write() as broker:
            broker.ensure_connection(max_retries=1, timeout=3)
            channel: Any = broker.default_channel
            for lane in lanes.LANES:
                try:
                    found = channel.queue_declare(lane, passive=True)
                    counts[lane] = int(found.message_count)
                except ChannelError:  # no message of it yet
                    counts[lane] = 0
    except (BrokerDown, RedisError, OSError) as error:
        log.error("dispatch.broker_away", error=str(error))
        return None
    return counts


def _note(cursor: Any, known: list[str], name: str) -> None:
    cursor.execute(_WAITING, {"lanes": known})
    if name:
        cursor.execute(
            "INSERT INTO jobs_dispatcherpulse (name, at) VALUES (%s, statement_timestamp())"
            " ON CONFLICT (name) DO UPDATE SET at = excluded.at",
            [name],
        )


def _take_back(unheard: list[int]) -> None:
    """Wake-ups that the broker refused are rung again at the next look."""
    log.error("dispatch.broker_refused", jobs=len(unheard))
    with transaction.atomic(using="dispatcher"), connections["dispatcher"].cursor() as cursor:
        cursor.execute("UPDATE jobs_job SET nudged_at = NULL WHERE id = ANY(%s)", [unheard])


def oldest_due_seconds() -> float:
    """Age in seconds of the oldest job that should be running and is not; 0 when none is."""
    with connections["dispatcher"].cursor() as cursor:
        cursor.execute(
            "SELECT coalesce(extract(epoch FROM statement_timestamp() - min(greatest(run_after,"
            f" coalesce(lease_until, run_after)))), 0) FROM jobs_job WHERE {DUE}"
        )
        return float(cursor.fetchone()[0])
