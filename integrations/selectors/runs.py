"""The history of a connection's imports, and how far the open one is."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from calqsync.jobs.models import Job
from integrations.models import Connection, SyncRun, SyncStream
from integrations.models.runs import OPEN_STATES, RunState, Stream
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

    @property
    def at_work(self) -> bool:
        """Whether a worker has it or will have it at once, so that nobody need ask for it."""
        return self.state in (RunState.QUEUED, RunState.RUNNING)

    @property
    def waited(self) -> timedelta:
        """How long its requests were held back to keep to Procountor's limit."""
        return timedelta(milliseconds=self.run.waited_ms)

    @property
    def busy(self) -> timedelta:
        """How long workers were at it."""
        return timedelta(milliseconds=self.run.busy_ms)

    def length(self, *, now: datetime) -> timedelta:
        """From its start to its end, or to now."""
        return max((self.run.finished_at or now) - self.run.started_at, timedelta(0))

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
    """The runs of a connection, newest first; take a page, then `run_views`."""
    return SyncRun.objects.filter(connection=connection).order_by("-started_at", "-pk")


def run_views(connection: Connection, runs: Iterable[SyncRun], *, now: datetime) -> list[RunView]:
    """These runs of the connection with their streams: at most two queries for all."""
    shown = list(runs)
    # Only of a running one the job says more than the run.
    running = any(run.state == RunState.RUNNING for run in shown)
    job = jobs_of([connection]).get(connection.pk) if running else None
    streams: dict[int, list[SyncStream]] = defaultdict(list)
    for stream in SyncStream.objects.filter(run__in=shown):
        streams[stream.run_id].append(stream)
    return [_viewed(run, streams[run.pk], job, now=now) for run in shown]


def run_page(connection: Connection, public_id: UUID, *, now: datetime) -> RunView | None:
    """One run of the connection; None where it has no such run."""
    run = SyncRun.objects.filter(connection=connection, public_id=public_id).first()
    return run_views(connection, [run], now=now)[0] if run is not None else None


def seconds_left(view: RunView, *, now: datetime) -> int | None:
    """About how long the rest of a run takes; None while that cannot be told."""
    done, expected = view.share()
    elapsed = (now - view.run.started_at).total_seconds()
    if not expected or done < expected / 20 or elapsed < 2:
        return None
    return round(elapsed * (expected - done) / done)


def run_view(run: SyncRun, job: Job | None, *, now: datetime) -> RunView:
    return _viewed(run, SyncStream.objects.filter(run=run), job, now=now)


def _viewed(
    run: SyncRun, streams: Iterable[SyncStream], job: Job | None, *, now: datetime
) -> RunView:
    order = list(Stream.values)
    return RunView(
        run=run,
        state=run_state(run, job, now=now),
        streams=sorted(streams, key=lambda stream: order.index(stream.stream)),
    )
