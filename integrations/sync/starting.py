"""Which run a slice works on: the open one, or a new one when the schedule says so."""

from __future__ import annotations

from datetime import datetime, timedelta

from billing.gate import PlanNeeded
from billing.services import require_import
from integrations.models import Connection, RemovalHold, SyncRun, SyncStream
from integrations.models.runs import OPEN_STATES, RunState, Stream
from integrations.sync.schedule import due_at, next_slot

# What a first import that is gone on with takes over, so that its counts still add up.
_GONE_ON_WITH = (
    *("position", "complete", "started_at", "finished_at", "expected"),
    *("fetched", "added", "changed", "unchanged", "rejected", "removed"),
)
FULL_EVERY = timedelta(days=7)


def run_to_work_on(connection: Connection, *, now: datetime) -> tuple[SyncRun | None, timedelta]:
    """The open run, or a new one when the schedule says so; else how long until it does."""
    runs = SyncRun.objects.filter(connection=connection).order_by("-started_at", "-pk")
    # Locked against a person who cancels it in the same moment: an ended run is not taken up.
    newest = runs.select_for_update(no_key=True).first()
    if newest is not None and newest.state not in OPEN_STATES:
        due = due_at(connection, newest.finished_at or newest.started_at)
        paused = newest.state == RunState.PAUSED_NO_PLAN and _may_import(now)
        if not paused and now < due - timedelta(seconds=1):
            return None, due - now
    run = (
        newest
        if newest is not None and newest.state in OPEN_STATES
        else run_create(connection, trigger="schedule", now=now)
    )
    if run.state == RunState.QUEUED:
        if not _may_import(now):
            SyncRun.objects.filter(pk=run.pk).update(state=RunState.PAUSED_NO_PLAN, finished_at=now)
            return None, next_slot(connection, now) - now
        if not run.slices and run.mode != "first":
            run.window_to = now
    run.state, run.slices = RunState.RUNNING, run.slices + 1
    run.error = run.error_kind = ""
    run.save(update_fields=["state", "slices", "window_to", "error", "error_kind"])
    return run, timedelta(0)


def _may_import(now: datetime) -> bool:
    try:
        require_import(now=now)
    except PlanNeeded:
        return False
    return True


def run_create(
    connection: Connection, *, trigger: str, now: datetime, full: bool = False
) -> SyncRun:
    """A queued run with its streams; needs a running transaction. `full` reads everything anew.

    A first import that stopped half way is gone on with, under its old upper bound.
    """
    newest = SyncRun.objects.filter(connection=connection).order_by("-started_at", "-pk").first()
    mode = _mode(connection, now, full=full)
    broken = newest if mode == "first" and newest is not None and newest.mode == "first" else None
    run = SyncRun.objects.create(
        tenant_id=connection.tenant_id,
        connection=connection,
        mode=mode,
        trigger=trigger,
        started_at=now,
        window_to=broken.window_to if broken else now,
    )
    left = {s.stream: s for s in SyncStream.objects.filter(run=broken)} if broken else {}
    for stream in Stream:
        old = left.get(stream)
        SyncStream.objects.create(
            tenant_id=connection.tenant_id,
            run=run,
            stream=stream,
            **({name: getattr(old, name) for name in _GONE_ON_WITH} if old else {}),
        )
    return run


def _mode(connection: Connection, now: datetime, *, full: bool) -> str:
    if connection.first_import_at is None:
        return "first"
    # What someone said about vanished documents waits for a full run, also where one was asked
    # for while another kind of run was open.
    said = RemovalHold.objects.filter(connection=connection, ended_at=None)
    if full or said.exclude(confirmed_at=None).exists():
        return "full"
    whole = SyncStream.objects.filter(
        run__connection=connection,
        run__mode__in=["first", "full"],
        stream=Stream.INVOICES,
        complete=True,
        finished_at__gt=now - FULL_EVERY,
    )
    return "incremental" if whole.exists() else "full"
