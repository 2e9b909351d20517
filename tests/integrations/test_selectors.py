"""A status is derived from facts, the newest run and its job, never stored."""

import itertools
from collections import Counter
from datetime import timedelta

import pytest
from django.utils import timezone

from billing.gate import Entitlement, Standing
from billing.services import entitlement_now
from calqsync.jobs.models import Job
from calqsync.tenancy import scope
from calqsync.tenancy.models import Tenant
from integrations import selectors
from integrations.models import Connection, SyncRun, SyncStream
from integrations.models.connections import Trouble
from integrations.models.runs import OPEN_STATES, RunState

NOW = timezone.now()
PLANS = {True: Entitlement(Standing.PAID), False: Entitlement(Standing.ENDED)}


@pytest.fixture
def inside(cast):
    with scope.tenant(cast.tenant.pk):
        yield cast


def connection(**facts):
    values = {"name": "EU account", "company_id": "1", "company_name": "Kuusi Oy"}
    values |= {"data_as_of": NOW, **facts}
    return Connection(tenant_id=1, **values)


def run(state, **facts):
    return SyncRun(tenant_id=1, state=state, started_at=NOW, window_to=NOW, **facts)


def leased(seconds):
    return Job(state="leased", lease_until=NOW + timedelta(seconds=seconds))


CASES = [
    ({}, None, None, True, "active", ""),
    ({}, "complete", None, True, "active", ""),
    ({}, "cancelled", None, True, "active", ""),
    ({}, "queued", None, True, "syncing", ""),
    ({}, "running", leased(60), True, "syncing", ""),
    ({}, "running", leased(-1), True, "waiting", "interrupted"),
    ({}, "running", None, True, "waiting", "interrupted"),
    ({}, "running", Job(state="queued", run_after=NOW), True, "syncing", ""),
    (
        {"trouble": "waiting", "trouble_kind": "try_later"},
        "waiting",
        None,
        True,
        "waiting",
        "try_later",
    ),
    ({}, "waiting", None, True, "waiting", ""),
    (
        {"trouble": "needs_you", "trouble_kind": "key_revoked"},
        "needs_you",
        None,
        True,
        "needs_you",
        "key_revoked",
    ),
    ({"trouble": "our_fault"}, "our_fault", None, True, "waiting", "our_fault"),
    ({}, "complete", None, False, "paused", "no_plan"),
    ({"paused_at": NOW}, "complete", None, True, "paused", ""),
    ({"disconnected_at": NOW}, "complete", None, True, "disconnected", ""),
    (
        {"disconnected_at": NOW, "trouble": "needs_you"},
        "running",
        leased(9),
        False,
        "disconnected",
        "",
    ),
    # Reconnecting takes the trouble away; until then no run that was asked for hides it.
    (
        {"trouble": "needs_you", "trouble_kind": "key_revoked"},
        "queued",
        None,
        True,
        "needs_you",
        "key_revoked",
    ),
    ({"data_as_of": NOW - timedelta(hours=11)}, "complete", None, True, "active", ""),
    ({"data_as_of": NOW - timedelta(hours=13)}, "complete", None, True, "waiting", "late"),
    (
        {"data_as_of": NOW - timedelta(hours=3), "sync_every_hours": 1},
        "complete",
        None,
        True,
        "waiting",
        "late",
    ),
    ({"data_as_of": None}, "cancelled", None, True, "waiting", "late"),
]


@pytest.mark.parametrize(("facts", "state", "job", "may_import", "code", "reason"), CASES)
def test_status_is_derived(facts, state, job, may_import, code, reason):
    status = selectors.connection_status(
        connection(**facts), run(state) if state else None, job, now=NOW, plan=PLANS[may_import]
    )
    assert (status.code, status.reason, str(status)) == (code, reason, code)


@pytest.mark.parametrize(
    ("facts", "state", "code"),
    [
        ({}, "complete", "paused"),
        ({"trouble": "needs_you", "trouble_kind": "key_revoked"}, "needs_you", "paused"),
        ({"disconnected_at": NOW}, "complete", "disconnected"),
    ],
)
def test_while_its_company_waits_for_deletion_a_connection_is_paused(facts, state, code):
    status = selectors.connection_status(
        connection(**facts), run(state), None, now=NOW, plan=PLANS[True], leaving=True
    )
    assert status.code == code


def test_the_wait_for_a_deletion_is_looked_up_where_nobody_says_it(inside):
    one = made("EU account", data_as_of=NOW)
    Tenant.objects.update(deletes_at=NOW)
    assert selectors.status_of(one, now=NOW).reason == "leaving"
    Tenant.objects.update(deletes_at=None)
    assert selectors.status_of(one, now=NOW).code is selectors.Code.ACTIVE


def test_a_run_between_two_slices_is_not_interrupted_until_its_job_is_late(settings):
    settings.JOB_LEASE_SECONDS = 90
    due = Job(state="queued", run_after=NOW - timedelta(seconds=60))
    assert selectors.run_state(run("running"), due, now=NOW) == "running"
    late = Job(state="queued", run_after=NOW - timedelta(seconds=120))
    assert selectors.run_state(run("running"), late, now=NOW) == "interrupted"


AGES = {"never": None, "fresh": timedelta(hours=1), "stale": timedelta(hours=13)}
JOBS = {
    "none": None,
    "working": leased(60),
    "died": leased(-1),
    "queued": Job(state="queued", run_after=NOW + timedelta(hours=1)),
    "overdue": Job(state="queued", run_after=NOW - timedelta(hours=1)),
}
RUNS = [None, *RunState]
REASONS = {"", "interrupted", "no_plan", "our_fault", "deleting", "leaving", "by_support", "late"}


def every_fact():
    """Every combination of what a status is derived from."""
    of_rows = itertools.product(
        [
            {},
            {"disconnected_at": NOW},
            {"disconnected_at": NOW, "deleting_at": NOW},
        ],
        [{}, {"paused_at": NOW}, {"paused_at": NOW, "paused_by_support": True}],
        [{"trouble": word, "trouble_kind": word and f"a {word}"} for word in Trouble.values],
        AGES.values(),
        RUNS,
        JOBS.values(),
        [True, False],
        [True, False],
    )
    for off, paused, trouble, age, state, job, may_import, leaving in of_rows:
        facts = off | paused | trouble | {"data_as_of": age if age is None else NOW - age}
        yield connection(**facts), state, job, may_import, leaving


def test_s27b_no_combination_of_facts_makes_a_status_lie():
    seen = Counter()
    for one, state, job, may_import, leaving in every_fact():
        newest = run(state) if state is not None else None
        plan = PLANS[may_import]
        status = selectors.connection_status(one, newest, job, now=NOW, plan=plan, leaving=leaving)
        seen[status.code] += 1
        said = (status.code, one.trouble, state, job, one.data_as_of, one.paused_at, status.reason)
        assert status.code in selectors.Code, said
        assert status.reason in REASONS | {one.trouble_kind}, said
        gone, work = one.disconnected_at is not None, state in (RunState.QUEUED, RunState.RUNNING)
        assert (status.code == "disconnected") == gone, said
        # What needs somebody is never hidden, but by the end of connection or company.
        if one.trouble == Trouble.NEEDS_YOU and not gone and not leaving:
            assert status.code == "needs_you", said
        if status.code == "syncing":
            alive = job is not None and (job.lease_until or job.run_after) > NOW
            assert work, said
            assert alive or state == RunState.QUEUED, said
        if status.code == "active":
            assert one.data_as_of is not None, said
            assert NOW - one.data_as_of <= timedelta(hours=12), said
            assert not any([one.trouble, one.paused_at, leaving, state in OPEN_STATES]), said
            assert may_import, said
    assert set(seen) == set(selectors.Code), "each word is reached"
    assert seen.total() > 20_000


def made(name, **facts):
    return Connection.objects.create(name=name, company_id=name, company_name=f"{name} Oy", **facts)


def test_freshness_is_stale_after_twice_the_schedule(inside, settings):
    settings.SYNC_EVERY_HOURS = 6
    made("b fresh", data_as_of=NOW - timedelta(hours=11))
    made("a stale", data_as_of=NOW - timedelta(hours=13))
    made("c never")
    made("d gone", data_as_of=NOW, disconnected_at=NOW)
    found = [(f.name, f.stale) for f in selectors.freshness(now=NOW)]
    assert found == [("a stale", True), ("b fresh", False), ("c never", True)]


def test_lists_cost_the_same_number_of_queries_however_many_connections(
    inside, django_assert_max_num_queries
):
    for number in range(5):
        one = made(f"account {number}")
        SyncRun.objects.create(
            connection=one, mode="first", trigger="person", started_at=NOW, window_to=NOW
        )
    entitlement_now(now=NOW)  # the first look at an account creates it
    with django_assert_max_num_queries(6):
        rows = selectors.connections_page(now=NOW)
    assert [row.status.code for row in rows] == ["syncing"] * 5
    assert rows[0].counts["invoices"] == 0


def test_progress_costs_at_most_four_queries(inside, django_assert_max_num_queries):
    one = made("EU account")
    SyncRun.objects.create(
        connection=one, mode="first", trigger="person", started_at=NOW, window_to=NOW
    )
    with django_assert_max_num_queries(4):
        selectors.connection_progress(one, now=NOW)


def view(started_ago, *streams):
    of = run("running")
    of.started_at = NOW - timedelta(seconds=started_ago)
    rows = [SyncStream(stream="invoices", expected=e, fetched=f) for e, f in streams]
    return selectors.RunView(run=of, state="running", streams=rows)


def test_time_left_follows_the_share_that_is_done():
    assert selectors.seconds_left(view(60, (1000, 250), (None, 7)), now=NOW) == 180


@pytest.mark.parametrize("early", [view(60, (1000, 10)), view(60), view(60, (None, 400))])
def test_time_left_is_not_guessed_too_early(early):
    assert selectors.seconds_left(early, now=NOW) is None
