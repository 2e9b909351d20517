"""The history of a connection's imports, and how far the open one is."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db.models import Sum

from calqsync.jobs.models import Job
from integrations.models import Connection, SyncRun, SyncStream
from integrations.models.runs import OPEN_STATES, Stream
from integrations.selectors.status import jobs_of, run_state


@dataclass(frozen=True, slots=True, kw_only=True)
class RunView:
    """A run with its streams in the order of import; `state` may be "interrupted"."""

    run: SyncRun
    state: str
    streams: list[SyncStream]

    @property
    def open(self) -> bool:
        return self.run.state in OPEN_STATES

    def share(self) -> tuple[int, int]:
        """Documents fetched, and documents expected, of the streams whose size is known."""
        known = [(s.fetched, s.expected) for s in self.streams if s.expected]
        return sum(min(pair) for pair in known), sum(expected for _done, expected in known)

    def total(self, column: str) -> int:
        return sum(getattr(stream, column) for stream in self.streams)


def connection_progress(connection: Connection, *, now: datetime) -> RunView | None:
    """The newest run with its streams: what a page asks for again and again."""
    newest = SyncRun.objects.filter(connection=connection).order_by("-started_at", "-pk").first()
    if newest is None:
        return None
    return run_view(newest, jobs_of([connection]).get(connection.pk), now=now)


def runs_of(connection: Connection) -> Any:
    """The runs of a connection, newest first, with the sums of their streams."""
    return (
        SyncRun.objects.filter(connection=connection)
        .annotate(
            added=Sum("streams__added", default=0),
            changed=Sum("streams__changed", default=0),
            unchanged=Sum("streams__unchanged", default=0),
            removed=Sum("streams__removed", default=0),
            rejected=Sum("streams__rejected", default=0),
        )
        .order_by("-started_at", "-pk")
    )


def seconds_left(view: RunView, *, now: datetime) -> int | None:
    """About how long the rest of a run takes; None while that cannot be told."""
    done, expected = view.share()
    elapsed = (now - view.run.started_at).total_seconds()
    if not expected or done < expected / 20 or elapsed < 2:
        return None
    return round(elapsed * (expected - done) / done)


def run_view(run: SyncRun, job: Job | None, *, now: datetime) -> RunView:
    order = list(Stream.values)
    streams = sorted(SyncStream.objects.filter(run=run), key=lambda s: order.index(s.stream))
    return RunView(run=run, state=run_state(run, job, now=now), streams=streams)
