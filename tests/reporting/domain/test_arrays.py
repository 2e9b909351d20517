"""Short ways to sort, to count and to add up give what the long ones give."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from reporting.domain.arrays import codes, rows_by, standing_sums

# Ids lie anywhere, kinds and currencies close together.
VALUE = st.one_of(st.integers(-3, 3), st.integers(-(2**62), 2**62))
ROWS = st.lists(st.tuples(VALUE, VALUE, VALUE), min_size=1, max_size=40)


@given(ROWS)
def test_every_combination_has_one_code_and_the_first_of_its_rows(rows):
    code, first = codes(*np.array(rows, dtype=np.int64).T)
    _, opening, expected = np.unique(
        np.array(rows, dtype=np.int64), axis=0, return_index=True, return_inverse=True
    )
    assert code.tolist() == expected.reshape(-1).tolist()
    assert first.tolist() == opening.tolist()


@given(st.lists(st.one_of(st.integers(0, 3), st.integers(0, 2**31 - 1)), max_size=40))
def test_rows_stand_by_their_code_and_those_of_one_in_their_own_order(code):
    values = np.array(code, dtype=np.int64)
    assert rows_by(values).tolist() == np.argsort(values, kind="stable").tolist()


SPANS = st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6), st.integers(-9, 9)), max_size=9)


@given(SPANS)
def test_what_stands_in_a_column_is_what_has_begun_and_not_ended(spans):
    spans = [(min(one[:2]), max(one[:2]), one[2]) for one in spans]
    first, after, amounts = np.array(spans, dtype=np.int64).reshape(-1, 3).T
    assert standing_sums(first, after, amounts, 6).tolist() == [
        sum(amount for begins, ends, amount in spans if begins <= column < ends)
        for column in range(6)
    ]
