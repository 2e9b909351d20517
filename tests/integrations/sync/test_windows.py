"""The walk over billing dates covers every day once and ends."""

from dataclasses import replace
from datetime import date, timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from integrations.sync.windows import Window

TODAY = date(2026, 11, 21)


def filled(window, count):
    return replace(window, after=count or None, count=count)


def test_the_walk_begins_with_the_running_month_and_all_that_is_dated_later():
    first = Window.newest(TODAY)
    assert (first.start, first.end) == (date(2026, 11, 1), None)
    assert first.complete_back_to is None
    older = filled(first, 500).older()
    assert (older.start, older.end) == (date(2026, 10, 1), date(2026, 10, 31))
    assert older.complete_back_to == date(2026, 11, 1)


def test_each_id_that_is_stored_is_counted():
    window = Window.newest(TODAY).stored_to(7).stored_to(9)
    assert (window.after, window.count) == (9, 2)


def test_few_documents_make_longer_windows_and_many_shorter_ones():
    window = filled(Window(start=date(2026, 5, 1), end=date(2026, 5, 31), months=4), 10)
    assert window.older().months == 8
    window = filled(Window(start=date(2026, 5, 1), end=date(2026, 5, 31), months=4), 1001)
    assert window.older().months == 2


def test_after_three_empty_windows_the_rest_is_read_in_one_go():
    window = Window.newest(TODAY)
    for _ in range(3):
        window = window.older()
    assert window.start is None
    assert window.older() is None


@settings(deadline=None, max_examples=40)
@given(st.lists(st.sampled_from([0, 1, 99, 100, 700, 1001]), min_size=250, max_size=250))
def test_windows_join_without_gap_or_overlap_and_survive_storage(counts):
    window, steps = Window.newest(TODAY), iter(counts)
    while (following := filled(window, next(steps)).older()) is not None:
        assert following.end == window.start - timedelta(days=1)
        assert following.start is None or following.start.day == 1
        assert Window.from_json(following.as_json()) == following
        window = following
        if window.start is not None and window.start.year < 2010:
            break
