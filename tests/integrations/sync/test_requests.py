"""What one run asks of Procountor: when it waits, how often it repeats, how far it reads ahead."""

from __future__ import annotations

import re
import threading
from datetime import date, timedelta
from functools import partial

import pytest

from integrations.procountor.documents import Page
from integrations.procountor.errors import RateLimited, TryLater
from integrations.procountor.limits import NoLimit
from integrations.sync import access, reading
from integrations.sync.reading import (
    AHEAD,
    BATCH,
    LISTED,
    READERS,
    Batch,
    Fetched,
    billed_batches,
    read_ahead,
)
from integrations.sync.settling import Events
from integrations.sync.windows import Window

pytestmark = pytest.mark.django_db(transaction=True)
# The threads of a reading; a sandbox that other tests started has one of its own.
READING = re.compile(r"procountor-(list|read|single)")


class Told(NoLimit):
    """No rate; writes down how long everybody was asked to be quiet."""

    pauses: list[float]

    def penalise(self, seconds: float) -> None:
        self.pauses.append(seconds)


def waits(books) -> tuple[str, str, timedelta]:
    run = books.run()
    return run.state, books.connection.trouble, books.connection.retry_at - books.now()


def test_s21b_a_run_that_is_told_to_wait_two_minutes_comes_back_after_them(
    books, sandbox, monkeypatch
):
    Told.pauses = []
    monkeypatch.setattr(access, "limiter", Told)
    sandbox.fault("status", status=429, retry_after="120", path="^/invoices")
    books.sync()
    state, trouble, wait = waits(books)
    assert (state, trouble) == ("waiting", "waiting")
    assert timedelta(seconds=118) < wait < timedelta(seconds=150)
    assert 120 in Told.pauses, "every other caller was told too"
    before = len(sandbox.requests)
    books.late += wait + timedelta(seconds=5)
    books.slice()
    assert books.run().state.startswith("complete")
    assert len(sandbox.requests) > before
    assert "failed" not in {run.state for run in books.all(type(books.run()))}


@pytest.mark.parametrize("status", [429, 503])
def test_s22_trouble_without_a_time_is_met_with_growing_waits_and_few_attempts(
    books, sandbox, monkeypatch, status
):
    Told.pauses = []
    monkeypatch.setattr(access, "limiter", Told)
    fault = sandbox.fault("status", status=status, times=None, path="^/invoices")
    seen = []
    for _ in range(6):
        hits = fault.hits
        books.slice() if seen else books.sync()
        state, trouble, wait = waits(books)
        assert (state, trouble) == ("waiting", "waiting")
        # A 429 is never repeated by the request itself, a 503 three times; threads read together.
        assert fault.hits - hits <= (READERS + 1) * (1 if status == 429 else 4)
        seen.append(wait)
        books.late += wait + timedelta(seconds=1)
    assert all(late > early * 0.75 for early, late in zip(seen, seen[1:], strict=False))
    assert seen[0] < timedelta(minutes=1)
    assert timedelta(minutes=2) < seen[-1] <= timedelta(hours=1.2)
    if status == 429:
        assert set(Told.pauses) == {2.0}
    sandbox.clear_faults()
    books.slice()
    assert books.run().state.startswith("complete")


def test_s22b_the_waits_of_many_do_not_end_together(books, sandbox):
    sandbox.fault("status", status=503, times=None, path="^/sessioninfo")
    seen = set()
    for _ in range(5):
        books.sync()
        seen.add(round(waits(books)[2].total_seconds(), 3))
    assert len(seen) == 5


def test_s24_a_token_that_dies_during_a_wait_is_renewed_before_the_retry(
    books, sandbox, monkeypatch
):
    """Tokens live five seconds, Procountor asks for thirty: time passes in the waits alone."""
    began = books.now()
    passed = [0.0]

    def now():
        return began + books.late + timedelta(seconds=passed[0])

    class Waits(NoLimit):
        held = 0.0

        def acquire(self) -> float:
            waited, Waits.held = Waits.held, 0.0
            passed[0] += waited
            return waited

        def penalise(self, seconds: float) -> None:
            Waits.held = seconds

    monkeypatch.setattr(access, "limiter", Waits)
    monkeypatch.setattr(access, "StoredTokens", partial(access.StoredTokens, now=now))
    sandbox.app.mint.access_seconds = 5
    sandbox.app.mint.clock = lambda: now().timestamp()
    sandbox.fault("status", status=429, retry_after="30", path="^/invoices", after=1)
    sandbox.fault("status", status=429, retry_after="30", path="^/paymentevents|^/payments")
    books.sync()
    for _ in range(4):
        if books.run().state != "waiting":
            break
        books.late += timedelta(minutes=2)
        books.slice()
    assert books.run().state.startswith("complete")
    assert 401 not in {line.status for line in sandbox.requests}
    asked = sum(line.path.endswith("/oauth/token") for line in sandbox.requests)
    waited = sum(line.status == 429 for line in sandbox.requests)
    assert waited >= 2
    assert 1 + waited <= asked <= 2 + 3 * waited, "once for each wait, and not for each request"


class Slow:
    """A client whose answers come when the test lets them, or at once."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.now = self.most = self.done = 0
        self.let = threading.Event()

    def invoice_details(self, ids):
        with self.lock:
            self.now += 1
            self.most = max(self.most, self.now)
        assert self.let.wait(10)
        with self.lock:
            self.now -= 1
            self.done += 1
        return Page(())

    def payment_events(self, ids):
        return iter(())


def batches(count, listed):
    for number in range(count):
        listed.append(number)
        yield Batch(ids=[number])


@pytest.fixture
def plain(monkeypatch):
    """Nothing but the order of reading."""

    def fetch(client, batch, kinds, each, prepare):
        return Fetched(batch, client.invoice_details([]), Events([]))

    monkeypatch.setattr(reading, "fetch", fetch)


@pytest.mark.usefixtures("plain")
def test_batches_are_read_together_and_handed_on_in_order():
    client, listed = Slow(), []
    read = read_ahead(client, batches(40, listed), lambda ids: {})
    found = []
    starter = threading.Timer(0.2, client.let.set)
    starter.start()
    found = [fetched.batch.ids[0] for fetched in read]
    assert found == list(range(40))
    assert client.most == READERS


@pytest.mark.usefixtures("plain")
def test_no_more_is_held_than_a_few_batches_however_slow_the_writing_is():
    client, listed = Slow(), []
    client.let.set()
    read = read_ahead(client, batches(200, listed), lambda ids: {})
    for handed_on, _ in enumerate(read, 1):
        assert client.done <= handed_on + AHEAD
        assert len(listed) <= handed_on + AHEAD + LISTED + 1
    assert handed_on == 200


@pytest.mark.usefixtures("plain")
def test_a_failure_of_the_list_comes_after_what_was_listed_before_it():
    client = Slow()
    client.let.set()

    def failing():
        yield Batch(ids=[1])
        yield Batch(ids=[2])
        raise TryLater("gone")

    read = read_ahead(client, failing(), lambda ids: {})
    assert [next(read).batch.ids, next(read).batch.ids] == [[1], [2]]
    with pytest.raises(TryLater, match="gone"):
        next(read)


def test_a_failure_of_one_reader_ends_the_reading(monkeypatch):
    def fetch(client, batch, kinds, each, prepare):
        if batch.ids == [3]:
            raise RateLimited("stop")
        return Fetched(batch, Page(()), Events([]))

    monkeypatch.setattr(reading, "fetch", fetch)
    read = read_ahead(Slow(), batches(10, []), lambda ids: {})
    found: list[int] = []
    with pytest.raises(RateLimited):
        found.extend(fetched.batch.ids[0] for fetched in read)
    assert [t for t in threading.enumerate() if READING.match(t.name)] == []


class Books:
    """Lists of 1 200 invoices in twelve months.

    With `total` the first list does not end before a second one was asked for.
    """

    def __init__(self, *, total=True):
        self.total, self.asked, self.second = total, [], threading.Event()
        self.days = {n: date(2026, 12 - n // 100, 1 + n % 28) for n in range(1200)}

    def invoice_list(self, window, *, previous_id=None, behind=None):
        self.asked.append(window)
        first = len(self.asked) == 1
        if not first:
            self.second.set()
        start, end = window.start or date.min, window.end or date.max
        found = [n for n, day in self.days.items() if start <= day <= end]
        found = [n for n in found if previous_id is None or n > previous_id]
        for at in range(0, len(found), 40):
            if at and first and self.total and previous_id is None:
                assert self.second.wait(10)
            yield Listing(tuple(found[at : at + 40]), len(found) if self.total else None)


class Listing:
    """A page as `billed_batches` sees it."""

    rejected = ()

    def __init__(self, ids, total):
        self.ids, self.total = ids, total
        self.documents = ()


@pytest.mark.parametrize("total", [True, False])
def test_windows_are_listed_at_the_same_time_and_handed_on_newest_first(total):
    books = Books(total=total)
    found = list(billed_batches(books, Window.newest(date(2026, 12, 20))))
    ids = [number for batch in found for number in batch.ids]
    assert sorted(ids) == list(range(1200))
    months = [books.days[number].month for number in ids]
    assert months == sorted(months, reverse=True)
    sizes = {len(batch.ids) for batch in found[:-1]}
    assert sizes == {BATCH}, "batches are full, whatever window their documents are from"
    starts = [window.start for window in books.asked]
    assert len(set(starts)) == len(starts), "no window is listed twice"


def test_an_import_goes_on_from_any_place_that_a_batch_names():
    whole = [n for b in billed_batches(Books(), Window.newest(date(2026, 12, 20))) for n in b.ids]
    first = billed_batches(Books(), Window.newest(date(2026, 12, 20)))
    done, left = [], None
    for _ in range(3):
        batch = next(first)
        done, left = done + batch.ids, batch.window
    first.close()
    rest = [number for batch in billed_batches(Books(), left) for number in batch.ids]
    assert done + rest == whole


def test_a_list_that_fails_ahead_fails_where_it_stands():
    class Failing(Books):
        def invoice_list(self, window, **options):
            if len(self.asked) == 2:
                raise TryLater("gone")
            yield from super().invoice_list(window, **options)

    batches = billed_batches(Failing(), Window.newest(date(2026, 12, 20)))
    assert next(batches).ids[0] == 0
    with pytest.raises(TryLater, match="gone"):
        list(batches)
    assert [t for t in threading.enumerate() if READING.match(t.name)] == []
