"""The causes of a balance and of what no event explains add up to what they changed by."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from reporting.domain.restated_cash import DELETED, Key, Moved, State, parts_by_month
from reporting.domain.restatements import Cause

AMOUNT = st.integers(-500, 500)
STATES = st.lists(st.tuples(AMOUNT, AMOUNT), min_size=1, max_size=5)
MOVED = st.lists(
    st.builds(
        Moved,
        month=st.integers(0, 6),
        key=st.tuples(st.just(Cause.EVENT_ADDED), st.integers(1, 3), st.just(-1)),
        kind=st.sampled_from(["operating", "financing", "own_transfer"]),
        amount=AMOUNT,
        sign=st.sampled_from([-1, 1]),
    ),
    max_size=8,
)


def stated(month: int) -> Key:
    return Cause.BALANCE_STATED, month, -1


def states(first: int, rows: list[tuple[int, int]]) -> dict[int, State]:
    return {first + place: State(*row) for place, row in enumerate(rows)}


@given(MOVED, st.integers(0, 2), STATES, st.integers(0, 2), STATES)
def test_the_causes_of_every_balance_add_up_to_its_change(moved, first, was, begins, became):
    before, after = states(first, was), states(begins, became)
    last = min(max(before), max(after))
    found = parts_by_month(moved, before, after, last=last, stated=stated)
    for month in before.keys() & after.keys():
        change = after[month].closing - before[month].closing
        assert sum(found["balance", month].values()) == change


def test_a_bank_that_opens_as_before_takes_back_what_came_late():
    key = (Cause.EVENT_ADDED, 7, -1)
    before = {1: State(10, 110), 2: State(0, 110)}
    after = {1: State(15, 115), 2: State(0, 110)}
    moved = [Moved(1, key, "operating", 5, 1)]
    found = parts_by_month(moved, before, after, last=2, stated=stated)
    assert found["balance", 1] == {key: 5}
    assert found["unexplained", 2] == {key: -5}
    assert found["balance", 2] == {}


def test_a_bank_that_opens_as_before_keeps_what_came_late_after_that():
    key, other = (Cause.EVENT_ADDED, 7, -1), (Cause.EVENT_ADDED, 8, -1)
    before = {1: State(10, 110), 2: State(0, 110)}
    after = {1: State(15, 115), 2: State(3, 113)}
    moved = [Moved(1, key, "operating", 5, 1), Moved(2, other, "operating", 3, 1)]
    found = parts_by_month(moved, before, after, last=2, stated=stated)
    assert found["unexplained", 2] == {key: -5}
    assert found["balance", 2] == {other: 3}


def test_a_bank_that_closes_as_before_takes_back_what_came_late_in_the_month_itself():
    key = (Cause.EVENT_ADDED, 7, -1)
    before, after = {1: State(10, 110)}, {1: State(15, 110)}
    found = parts_by_month([Moved(1, key, "operating", 5, 1)], before, after, last=1, stated=stated)
    assert found["unexplained", 1] == {key: -5}


def test_what_moved_and_is_not_here_to_be_named_was_deleted():
    before, after = {1: State(-30, 70)}, {1: State(0, 100)}
    found = parts_by_month([], before, after, last=1, stated=stated)
    assert found["balance", 1] == {DELETED: 30}
