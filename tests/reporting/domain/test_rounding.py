"""Lists add up to their figure, and every figure is rounded once."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from reporting.domain.rounding import (
    divide_half_away,
    list_minor,
    minor,
    minors,
    share_out,
    share_rows,
)

PARTS = st.lists(st.integers(-(10**14), 10**14), max_size=30)


@given(parts=PARTS)
def test_a_list_adds_up_to_its_rounded_figure(parts):
    assert list_minor(parts).sum() == (minor(sum(parts)) if parts else 0)


@given(parts=PARTS)
def test_no_part_of_a_list_moves_by_more_than_one_unit(parts):
    moved = np.abs(list_minor(parts) * 10_000 - np.array(parts, dtype=np.int64))
    assert (moved <= 10_000).all()


@given(parts=PARTS.filter(bool), total=st.integers(-(10**9), 10**9))
def test_any_total_is_shared_out_whole(parts, total):
    assert share_out(parts, total).sum() == total


def test_the_largest_remainders_get_the_missing_units():
    assert list_minor([33_333, 33_333, 33_334]).tolist() == [3, 3, 4]


def test_in_a_table_what_is_nothing_gets_no_missing_unit():
    parts = np.array([[0, 14_000, 0], [15_000, -5_000, 0]])
    assert share_rows(parts, np.array([3, 3])).tolist() == [[0, 3, 0], [3, 0, 0]]


def test_halves_round_away_from_zero():
    assert [minor(5_000), minor(-5_000), minor(4_999), minor(-4_999)] == [1, -1, 0, 0]
    assert minors(np.array([15_000, -15_000])).tolist() == [2, -2]
    assert divide_half_away(np.array([5, -5, 7]), np.array([2, 2, 2])).tolist() == [3, -3, 4]
