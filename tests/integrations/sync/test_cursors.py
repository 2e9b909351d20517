"""What changed is read with the next run, whatever the clocks, zones and stamps say."""

from __future__ import annotations

import logging
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qs
from zoneinfo import ZoneInfo

import pytest
from django.utils import timezone

from calqsync.tenancy.models import Tenant
from integrations.models import Invoice, StreamCursor, SyncStream
from integrations.models.runs import RunState
from integrations.sandbox import edits
from tests.integrations.sync.edges import at, full, imported, in_tenant, later, numbers, wrong
from tests.model.bookkeeping import pihla

pytestmark = pytest.mark.django_db(transaction=True)
HELSINKI = ZoneInfo("Europe/Helsinki")
BOOKS = (
    *("customer", "product", "invoice", "invoiceline", "payment"),
    *("bankaccount", "bankstatement", "bankevent", "rawdocument", "streamcursor"),
)


@pytest.fixture
def koivu():
    """A company of a hundred invoices, in place of the larger one."""
    return pihla()


def stamped(moment, zone=HELSINKI):
    return moment.astimezone(zone).strftime("%Y-%m-%dT%H:%M:%S")


def cursor_of(books, stream="invoices"):
    return books.one(StreamCursor, stream=stream).changed_to


def test_s1_a_document_that_joins_the_second_where_the_last_run_stopped(books, koivu, truth):
    imported(books)
    [like] = numbers(books)[:1]
    second = koivu.now()
    for _ in range(3):
        edits.create_invoice(koivu, like=like, day="2026-11-02", version=second)
    books.sync()
    at_the_second = datetime.fromisoformat(second).replace(tzinfo=HELSINKI)
    in_tenant(books, lambda: StreamCursor.objects.update(changed_to=at_the_second))
    edits.create_invoice(koivu, like=like, day="2026-11-02", version=second)
    books.sync()
    assert books.streams()["invoices"].added == 1
    assert wrong(books, truth) == []


def test_s1b_a_document_edited_twice_within_the_second_of_a_run(books, koivu, truth):
    imported(books)
    [number] = numbers(books)[:1]
    second = koivu.now()
    edits.edit_invoice(koivu, number, row_fields={"unitPrice": "11.00"}, version=second)
    books.sync()
    edits.edit_invoice(koivu, number, row_fields={"unitPrice": "12.00"}, version=second)
    books.sync()
    assert wrong(books, truth) == []


def test_s2_a_document_made_while_a_run_reads(books, sandbox, koivu, truth):
    imported(books)
    some = numbers(books)[:25]
    edits.edit_invoices(koivu, some, fields={"notes": "changed"})
    sandbox.fault("small_pages", path="^/invoices$", times=None, size=10)
    made = []
    started = koivu.now()

    def make():
        # One that the walk has passed, and one that it may still meet.
        fields = {"id": 9}
        made.append(edits.create_invoice(koivu, like=some[0], day="2026-11-02", version=started))
        made.append(
            edits.create_invoice(
                koivu, like=some[1], day="2026-11-02", version=started, fields=fields
            )
        )

    sandbox.fault("then", path="^/invoices$", after=1, do=make)
    run = books.sync()
    assert run.state == RunState.COMPLETE
    assert len(made) == 2
    assert cursor_of(books) <= run.window_to
    books.sync()
    assert wrong(books, truth) == []


def test_s3_a_document_that_shows_late_with_an_old_stamp(books, koivu, truth):
    imported(books)
    [like] = numbers(books)[:1]
    now = timezone.now()
    edits.create_invoice(
        koivu, like=like, day="2026-11-02", version=stamped(now - timedelta(minutes=5))
    )
    books.sync()
    assert wrong(books, truth) == []
    late = edits.create_invoice(
        koivu, like=like, day="2026-11-02", version=stamped(now - timedelta(days=3))
    )
    books.sync()
    assert late["id"] not in numbers(books)
    full(books, truth)
    assert wrong(books, truth) == []


def versions_of_rows(truth):
    """Every row of the books with the transaction that wrote it last."""
    found = {}
    for table in BOOKS:
        truth.execute(f"SELECT id, xmin::text, ctid::text FROM integrations_{table} ORDER BY id")
        found[table] = truth.fetchall()
    truth.execute(
        "SELECT position, (SELECT count(*) FROM integrations_stagedpage)"
        " FROM integrations_syncstream ORDER BY id DESC LIMIT 5"
    )
    return found, sorted(len(str(position)) + held for position, held in truth.fetchall())


@pytest.mark.parametrize("runs", [4, pytest.param(50, marks=pytest.mark.nightly)])
def test_s4_runs_over_unchanged_books_write_nothing(books, truth, runs):
    imported(books)
    later(books, days=2)
    books.sync()
    before, states = versions_of_rows(truth)
    for _ in range(runs):
        later(books, minutes=20)
        assert books.sync().state == RunState.COMPLETE
        for stream in books.streams().values():
            assert (stream.added, stream.changed, stream.removed, stream.rejected) == (0, 0, 0, 0)
        now, sizes = versions_of_rows(truth)
        assert sizes == states
        del now["streamcursor"], before["streamcursor"]
        assert now == before
        before, states = versions_of_rows(truth)


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        ("Europe/Helsinki", "Europe/Helsinki"),
        ("Europe/Helsinki", "America/New_York"),
        ("Europe/Helsinki", "Asia/Tokyo"),
        ("UTC", "Europe/Helsinki"),
        ("Europe/Stockholm", "America/New_York"),
    ],
)
def test_s15_an_edit_just_after_midnight_in_any_zone(books, koivu, truth, theirs, ours):
    imported(books)
    in_tenant(books, lambda: Tenant.objects.update(time_zone=ours))
    zone = ZoneInfo(theirs)
    tomorrow = timezone.now() + timedelta(days=1)
    at(books, tomorrow.replace(hour=23, minute=30))
    books.sync()
    after_run = [books.now() + timedelta(minutes=40)]
    midnight = datetime(*tomorrow.timetuple()[:3], 0, 10, tzinfo=HELSINKI) + timedelta(days=2)
    for number, moment in zip(numbers(books), [*after_run, midnight], strict=False):
        version = stamped(moment, zone)
        edits.edit_invoice(koivu, number, row_fields={"unitPrice": "5.50"}, version=version)
        at(books, moment + timedelta(minutes=75))
        books.sync()
        assert wrong(books, truth) == []


def changes_of_clock(year):
    """The instants at which Helsinki's clocks go forward, and back."""
    hours = [datetime(year, 1, 1, tzinfo=UTC) + timedelta(hours=n) for n in range(365 * 24)]
    offset = {hour: hour.astimezone(HELSINKI).utcoffset() for hour in hours}
    moves = [hour for hour in hours[1:] if offset[hour] != offset[hour - timedelta(hours=1)]]
    assert len(moves) == 2
    return moves


def test_s16_two_edits_in_the_hour_that_comes_twice(books, koivu, truth):
    _, autumn = changes_of_clock(timezone.now().year + 1)
    at(books, autumn - timedelta(hours=2))
    imported(books)
    first, second, both = numbers(books)[:3]
    at(books, autumn - timedelta(minutes=30))
    half_past = stamped(books.now())
    edits.edit_invoice(koivu, first, row_fields={"unitPrice": "1.00"}, version=half_past)
    edits.edit_invoice(koivu, both, row_fields={"unitPrice": "1.00"}, version=half_past)
    later(books, minutes=15)
    books.sync()
    at(books, autumn + timedelta(minutes=30))
    assert stamped(books.now()) == half_past
    edits.edit_invoice(koivu, second, row_fields={"unitPrice": "2.00"}, version=half_past)
    edits.edit_invoice(koivu, both, row_fields={"unitPrice": "2.00"}, version=half_past)
    later(books, minutes=15)
    books.sync()
    assert books.run().mode == "incremental"
    assert wrong(books, truth) == []


def test_s17b_a_window_across_the_hour_that_spring_leaves_out(books, koivu, sandbox, truth):
    spring, _ = changes_of_clock(timezone.now().year + 1)
    at(books, spring - timedelta(hours=3))
    imported(books)
    for minutes, number in zip((-20, 20, 80), numbers(books), strict=False):
        at(books, spring + timedelta(minutes=minutes))
        edits.edit_invoice(koivu, number, row_fields={"unitPrice": "3.00"})
        books.sync()
    # A day later the windows begin where the clocks went forward.
    sandbox.app.log.clear()
    for hours in (24, 24.5, 25):
        at(books, spring + timedelta(hours=hours))
        number = numbers(books)[-1]
        edits.edit_invoice(koivu, number, row_fields={"unitPrice": f"{hours:.2f}"})
        assert books.sync().mode == "incremental"
    asked = [
        parse_qs(line.query)["versionStartDate"][0]
        for line in sandbox.requests
        if "versionStartDate" in line.query
    ]
    assert len(asked) >= 6
    for text in asked:
        wall = datetime.fromisoformat(text).replace(tzinfo=HELSINKI)
        assert wall.astimezone(UTC).astimezone(HELSINKI) == wall
    later(books, hours=2)
    books.sync()
    assert wrong(books, truth) == []


@pytest.mark.parametrize("runs", [5, pytest.param(20, marks=pytest.mark.nightly)])
@pytest.mark.parametrize("minutes", [-10, 10])
def test_s18_a_clock_ten_minutes_off_loses_nothing(books, koivu, truth, runs, minutes):
    koivu.clock_ahead = timedelta(minutes=minutes)
    imported(books)
    some = numbers(books)
    for turn in range(runs):
        number, stamp = some[turn], koivu.now()
        edits.edit_invoice(koivu, number, row_fields={"unitPrice": f"{turn}.10"}, version=stamp)
        books.sync()
        # The same second once more, after the run has read it.
        edits.edit_invoice(koivu, number, row_fields={"unitPrice": f"{turn}.20"}, version=stamp)
        edits.create_invoice(koivu, like=number, day="2026-11-02")
        later(books, minutes=3)
        books.sync()
    later(books, minutes=11)
    books.sync()
    assert wrong(books, truth) == []


def test_s19_a_cursor_in_the_future_is_brought_back_and_reported(books, koivu, truth, caplog):
    imported(books)
    [number] = numbers(books)[:1]
    later(books, days=1)
    edits.edit_invoice(koivu, number, row_fields={"unitPrice": "8.00"})
    later(books, days=4)
    ahead = books.now() + timedelta(days=30)
    in_tenant(books, lambda: StreamCursor.objects.update(changed_to=ahead))
    with caplog.at_level(logging.WARNING):
        run = books.sync()
    assert (run.mode, run.state) == ("incremental", RunState.COMPLETE)
    assert "sync.cursor_in_future" in caplog.text
    assert wrong(books, truth) == []
    assert cursor_of(books) == run.window_to
    caplog.clear()
    books.sync()
    assert "sync.cursor_in_future" not in caplog.text


def test_s19b_without_any_whole_run_before_it_everything_is_read(books, koivu, truth, caplog):
    imported(books)
    [number] = numbers(books)[:1]
    old = stamped(timezone.now() - timedelta(days=300))
    edits.edit_invoice(koivu, number, row_fields={"unitPrice": "8.00"}, version=old)
    ahead = books.now() + timedelta(days=30)
    in_tenant(books, lambda: StreamCursor.objects.update(changed_to=ahead))
    in_tenant(books, lambda: type(books.run()).objects.update(window_to=ahead))
    books.sync()
    assert "sync.cursor_in_future" in caplog.text
    assert wrong(books, truth) == []


def test_s19c_an_update_that_was_shown_nothing_moves_no_cursor(books, koivu, sandbox, truth):
    """An empty list may also be a fault, and then hides what changed."""
    imported(books)
    later(books, days=2)
    books.sync()
    stood = cursor_of(books)
    [number] = numbers(books)[:1]
    edits.edit_invoice(koivu, number, row_fields={"unitPrice": "8.00"})
    later(books, hours=1)
    nothing = '{"results":[],"meta":{"pageNumber":0,"pageSize":200,"resultCount":0,"totalCount":0}}'
    sandbox.fault("body", path="^/invoices$", times=None, body=nothing)
    assert books.sync().state == RunState.COMPLETE
    assert cursor_of(books) == stood
    sandbox.clear_faults()
    later(books, days=3)
    books.sync()
    assert wrong(books, truth) == []
    assert cursor_of(books) > stood


OTHER_POSITIONS = [
    {"window": 3},
    {"start": "2026-10-01"},
    {"start": "then", "end": None, "after": "x"},
    [1, 2],
    "page 7",
    {"all": {"id": 3}, "void": "x", "after": "x", "end": 7, "active": "?", "place": [None]},
]


def place_open_streams(books, position):
    def place():
        return SyncStream.objects.filter(complete=False).update(position=position)

    return in_tenant(books, place)


@pytest.mark.parametrize("mode", ["first", "incremental"])
def test_s20_a_position_of_another_form_is_read_anew(books, koivu, truth, settings, mode):
    if mode == "incremental":
        imported(books)
        some = numbers(books)[:30]
        edits.edit_invoices(koivu, some, fields={"discountPercent": 7})
    settings.JOB_SLICE_SECONDS = 0
    in_tenant(books, books.request)
    for position in OTHER_POSITIONS:
        books.slice()
        assert (books.run().mode, books.run().state) == (mode, RunState.RUNNING), position
        assert place_open_streams(books, position) >= 1
    settings.JOB_SLICE_SECONDS = 100
    books.slice()
    assert books.run().state == RunState.COMPLETE
    assert wrong(books, truth) == []


def test_s20b_positions_of_the_release_before_are_gone_on_from(books, koivu, truth, sandbox):
    sandbox.fault("status", status=503, times=None, path="^/invoices/", after=0)
    in_tenant(books, books.request)
    books.slice()
    whole = {"start": None, "end": None, "after": max(koivu.invoices.heads), "count": 0}
    in_tenant(books, lambda: SyncStream.objects.filter(stream="invoices").update(position=whole))
    sandbox.clear_faults()
    books.slice()
    assert books.run().state == RunState.COMPLETE
    # A window that says less than is true costs a second walk, and loses nothing.
    assert wrong(books, truth) == []
    assert len(books.all(Invoice)) > 100
