"""Schedules: spread evenly, kept by one job row, as often as chosen and as the plan allows."""

from __future__ import annotations

import heapq
from collections import Counter, deque
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from django.conf import settings as configured
from django.core.exceptions import ValidationError
from hypothesis import given
from hypothesis import strategies as st

from billing.models import Account
from calqsync.jobs import services as jobs
from calqsync.jobs.models import Job
from calqsync.tenancy import scope
from calqsync.tenancy.models import AuditEvent
from integrations import selectors
from integrations.models import Connection, SyncRun
from integrations.models.runs import RunState
from integrations.services import runs
from integrations.services.schedules import schedule_choose
from integrations.sync.engine import KIND
from integrations.sync.limiter import WINDOW_SECONDS
from integrations.sync.schedule import CHOICES, due_at, hours_between, next_slot, slot_after
from integrations.sync.starting import run_to_work_on

NOW = datetime(2026, 11, 21, 8, 0, tzinfo=UTC)
HOUR = timedelta(hours=1)


@pytest.fixture
def inside(cast):
    with scope.tenant(cast.tenant.pk):
        Account.objects.create(trial_ends_at=NOW + timedelta(days=400))
        yield cast


def made(number: int = 1, **facts):
    values = {"name": f"Account {number}", "company_id": str(number), "company_name": "Yksi Oy"}
    return Connection.objects.create(**values | facts)


def ended(connection, at, state=RunState.COMPLETE):
    return SyncRun.objects.create(
        connection=connection,
        mode="incremental",
        trigger="schedule",
        state=state,
        started_at=at,
        finished_at=at,
        window_to=at,
    )


class Rate:
    """Turns as the limiter gives them: as many in any window as the installation may ask."""

    def __init__(self) -> None:
        self.turns: list[float] = []

    def turn(self, at: float) -> float:
        newest = int(configured.PROCOUNTOR_MAX_RPS)
        if len(self.turns) >= newest:
            at = max(at, self.turns[-1], self.turns[-newest] + WINDOW_SECONDS)
        self.turns.append(at)
        return at


# An update over unchanged books takes at most so many requests; each answer takes so long.
REQUESTS, ANSWER = 15, 0.5


def an_hour(slots, *, workers, next_due):
    """The delays of the first requests, the starts of each connection, its next slot, all turns.

    `slots` are the connections' due times, in seconds of an hour that nobody waits for;
    `next_due` says when a connection whose run ended then is due again.
    """
    events = [(slot, pk, 0) for pk, slot in slots.items()]
    heapq.heapify(events)
    waiting: deque[int] = deque()
    rate, busy = Rate(), 0
    due, starts, delays = dict(slots), Counter(), []
    while events and events[0][0] < 3600:
        clock, pk, request = heapq.heappop(events)
        if request == 0 and busy == workers:
            waiting.append(pk)
            continue
        turn = rate.turn(clock)
        if request == 0:
            busy += 1
            starts[pk] += 1
            delays.append(turn - due[pk])
        if request + 1 < REQUESTS:
            heapq.heappush(events, (turn + ANSWER, pk, request + 1))
            continue
        busy -= 1
        due[pk] = next_due(pk, turn + ANSWER)
        heapq.heappush(events, (due[pk], pk, 0))
        if waiting:
            heapq.heappush(events, (turn + ANSWER, waiting.popleft(), 0))
    return delays, starts, due, rate.turns


def test_s23_five_hundred_hourly_schedules_are_spread_over_their_hour(inside):
    """Two workers, by the schedule as it is computed and the rate as it is limited."""
    connections = Connection.objects.bulk_create(
        Connection(
            tenant_id=inside.tenant.pk,
            name=f"Account {number}",
            company_id=str(number),
            company_name="Oy",
            sync_every_hours=1,
        )
        for number in range(500)
    )
    by_pk = {connection.pk: connection for connection in connections}

    def next_due(pk, ended):
        return (due_at(by_pk[pk], NOW + timedelta(seconds=ended)) - NOW).total_seconds()

    slots = {pk: (slot_after(pk, HOUR, NOW - HOUR / 4) - NOW).total_seconds() for pk in by_pk}
    delays, starts, due, turns = an_hour(slots, workers=2, next_due=next_due)
    assert len(starts) >= 498, "only a slot at the end of the hour may begin after it"
    assert set(starts.values()) == {1}, "one was doubled"
    again = [due[pk] for pk in starts if due[pk] != slots[pk]]
    assert len(again) >= 497
    assert all(3600 <= slot < 7200 for slot in again), "one was lost"
    later = turns[int(configured.PROCOUNTOR_MAX_RPS) :]
    assert all(b - a >= 1 for a, b in zip(turns, later, strict=False))
    assert sorted(delays)[int(len(delays) * 0.95)] < 600
    # Spread: no twelfth of the hour has more than twice its share.
    parts = Counter(int(slot // 300) for slot in slots.values())
    assert max(parts.values()) < 2 * 500 / 12


@given(
    pk=st.integers(1, 10**9),
    hours=st.sampled_from(CHOICES),
    after=st.datetimes(datetime(2025, 1, 1), datetime(2030, 1, 1), timezones=st.just(UTC)),
)
def test_s23b_slots_are_a_period_apart_and_never_soon_after_an_end(pk, hours, after):
    length = timedelta(hours=hours)
    slots = [slot_after(pk, length, after)]
    for _ in range(3):
        slots.append(slot_after(pk, length, slots[-1]))
    assert length / 4 < slots[0] - after <= length * 5 / 4 + timedelta(milliseconds=1)
    for one, other in pairwise(slots):
        assert abs(other - one - length) < timedelta(milliseconds=1)


@pytest.mark.parametrize(
    ("plan", "chosen", "hours"),
    [
        ("", None, 6),  # the trial
        ("", 1, 1),
        ("growth", None, 6),
        ("growth", 1, 1),
        ("growth", 24, 24),
        ("starter", None, 6),
        ("starter", 1, 6),
        ("starter", 12, 12),
    ],
)
def test_the_longer_of_choice_and_plan_holds(inside, settings, plan, chosen, hours):
    settings.SYNC_EVERY_HOURS = 6.0
    Account.objects.update(plan=plan)
    connection = made(sync_every_hours=chosen)
    slots = [next_slot(connection, NOW)]
    slots.append(next_slot(connection, slots[0]))
    assert (slots[1] - slots[0]).total_seconds() == pytest.approx(hours * 3600)


def test_a_change_of_plan_breaks_no_choice(inside):
    Account.objects.update(plan="growth")
    connection = made()
    schedule_choose(connection=connection, hours=1, by=inside.ann, now=NOW)
    Account.objects.update(plan="starter")
    connection.refresh_from_db()
    assert connection.sync_every_hours == 1
    assert hours_between(connection, allowed=6) == 6
    # The same choice again is no change; a new one must be allowed.
    schedule_choose(connection=connection, hours=1, by=inside.ann, now=NOW)
    with pytest.raises(ValidationError):
        schedule_choose(connection=connection, hours=3, by=inside.ann, now=NOW)
    Account.objects.update(plan="growth")
    assert hours_between(connection, allowed=1) == 1


@pytest.mark.parametrize("hours", [0, 5, 48, -1])
def test_other_times_cannot_be_chosen(inside, hours):
    with pytest.raises(ValidationError):
        schedule_choose(connection=made(), hours=hours, by=inside.ann, now=NOW)


class TestTheJobMoves:
    """One row carries the schedule, before and after a change."""

    @pytest.fixture
    def connection(self, inside):
        connection = made(sync_every_hours=24, first_import_at=NOW, data_as_of=NOW)
        ended(connection, NOW - timedelta(hours=2))
        jobs.enqueue(kind=KIND, key=str(connection.pk), run_after=NOW + timedelta(days=3650))
        return connection

    def choose(self, cast, connection, hours):
        return schedule_choose(connection=connection, hours=hours, by=cast.ann, now=NOW)

    def job(self, connection):
        return Job.objects.get(kind=KIND, key=str(connection.pk))

    def test_a_shorter_schedule_is_looked_at_at_once(self, inside, connection):
        before = self.job(connection).run_after
        self.choose(inside, connection, 1)
        assert self.job(connection).run_after < before
        run, _wait = run_to_work_on(connection, now=NOW)
        assert run is not None, "two hours after the last one an hourly run is due"

    def test_a_longer_schedule_starts_nothing_early(self, inside, connection):
        Connection.objects.update(sync_every_hours=1)
        self.choose(inside, connection, 24)
        run, wait = run_to_work_on(connection, now=NOW)
        assert run is None
        assert NOW + wait == next_slot(connection, NOW - timedelta(hours=2))

    def test_while_its_run_ends_the_job_is_run_once_more(self, inside, connection):
        Job.objects.update(state="leased", lease_until=NOW + timedelta(days=1))
        self.choose(inside, connection, 1)
        assert self.job(connection).wanted_again

    def test_an_open_run_reads_the_new_schedule_at_its_end(self, inside, connection):
        run = ended(connection, NOW, state=RunState.RUNNING)
        before = self.job(connection).run_after
        held_by_the_slice = Connection.objects.get(pk=connection.pk)
        self.choose(inside, connection, 1)
        assert self.job(connection).run_after == before
        SyncRun.objects.filter(pk=run.pk).update(state=RunState.COMPLETE)
        assert next_slot(held_by_the_slice, NOW) - NOW <= 5 * HOUR / 4

    def test_a_probe_of_what_needs_somebody_stays_daily(self, inside, connection):
        Connection.objects.update(trouble="needs_you", retry_at=NOW + timedelta(hours=22))
        connection.refresh_from_db()
        self.choose(inside, connection, 1)
        run, wait = run_to_work_on(connection, now=NOW)
        assert (run, wait) == (None, timedelta(hours=22))

    def test_it_is_on_record(self, inside, connection):
        self.choose(inside, connection, None)
        event = AuditEvent.objects.get(act="connection.scheduled")
        assert (event.actor, event.before["hours"], event.after["hours"]) == (inside.ann, 24, None)

    def test_a_disconnected_one_is_not_woken(self, inside, connection):
        Connection.objects.update(disconnected_at=NOW)
        before = self.job(connection).run_after
        self.choose(inside, connection, 1)
        assert self.job(connection).run_after == before


def test_what_was_paused_for_no_plan_resumes_with_a_plan(inside):
    connection = made(first_import_at=NOW, data_as_of=NOW)
    Account.objects.update(trial_ends_at=NOW - HOUR)
    ended(connection, NOW - timedelta(minutes=5), state=RunState.PAUSED_NO_PLAN)
    assert run_to_work_on(connection, now=NOW)[0] is None
    assert selectors.status_of(connection, now=NOW).reason == "no_plan"
    Account.objects.update(plan="starter")
    runs.wake_syncs(sender=Account, tenant_id=inside.tenant.pk)
    assert Job.objects.filter(kind=KIND, key=str(connection.pk), state="queued").count() == 1
    assert run_to_work_on(connection, now=NOW)[0] is not None
