"""Causes add up to what they explain, for every customer, month and metric."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from reporting.domain.arrays import as_int64
from reporting.domain.movements import classify
from reporting.domain.restatements import (
    Cause,
    Effects,
    History,
    by_metric,
    followed,
    shares,
    whole,
)
from reporting.domain.rounding import E4, minor

MONTHS = 4
MRR = st.lists(st.integers(0, 5), min_size=3 * MONTHS, max_size=3 * MONTHS).map(
    lambda cells: as_int64(cells).reshape(3, MONTHS) * 2_500_001
)
# Effects: of which customer, and what in each month; found or not, right or not.
EFFECT = st.tuples(
    st.integers(0, 2),
    st.sampled_from([Cause.CREDIT_NOTE, Cause.LATE_INVOICE, Cause.REREAD]),
    st.integers(1, 3),
    st.lists(st.integers(-9_999_999, 9_999_999), min_size=MONTHS, max_size=MONTHS),
)


def history(mrr: np.ndarray) -> History:
    padded = np.concatenate((np.zeros((3, 1), np.int64), mrr), axis=1)
    known = np.maximum.accumulate(padded > 0, axis=1)[:, :-1]
    kind = classify(padded[:, :-1], mrr, known)
    return History(mrr=mrr, fx=np.zeros_like(mrr), kind=kind)


@given(MRR, MRR, st.lists(EFFECT, max_size=5))
def test_the_causes_of_every_figure_add_up_to_its_change(was, became, found):
    before, after = history(was), history(became)
    effects = whole(
        Effects(
            customer=as_int64([row[0] for row in found]),
            cause=np.array([row[1] for row in found], dtype=np.int8),
            document=as_int64([row[2] for row in found]),
            said=np.full(len(found), -1),
            by_month=as_int64([row[3] for row in found]).reshape(-1, MONTHS),
        ),
        before,
        after,
        floored=np.zeros((3, MONTHS), np.int64),
        shortened=as_int64([7, -1, -1]),
    )
    seen = dict(by_metric(effects, before, after))
    assert set(seen) >= {"mrr", "new", "churn", "customers"}
    for metric, amounts in seen.items():
        exact = metric == "customers"
        changed = (after.metrics()[metric] - before.metrics()[metric]).sum(axis=0)
        assert amounts.sum(axis=0).tolist() == changed.tolist()
        for month in range(MONTHS):
            total = int(changed[month]) if exact else minor(int(changed[month]))
            if total:
                parts = shares(
                    effects.keys, amounts[:, month], total, exact=exact, deleted=False, limit=2
                )
                assert sum(part.amount for part in parts) == total
                assert Cause.ROUNDING not in {part.cause for part in parts}


def test_the_small_causes_of_a_kind_are_counted_together():
    keys = as_int64([[Cause.CREDIT_NOTE, document, -1] for document in range(5)])
    amounts = as_int64([50, 40, 30, 20, 10]) * E4
    found = shares(keys, amounts, 150, exact=False, deleted=False, limit=2)
    assert [(one.document, one.amount, one.rows) for one in found] == [
        (0, 50, 1),
        (1, 40, 1),
        (-1, 60, 3),
    ]


def test_what_went_with_its_customers_is_said_to_be_deleted():
    found = shares(
        as_int64([]).reshape(-1, 3), as_int64([]), -700, exact=False, deleted=True, limit=2
    )
    assert [(one.cause, one.amount) for one in found] == [(Cause.DOCUMENTS_DELETED, -700)]


def test_a_line_that_is_no_longer_awaited_follows_the_invoice_that_came():
    cause, document, _said = followed(
        np.array([Cause.GRACE_ENDED, Cause.LATE_INVOICE, Cause.GRACE_ENDED], dtype=np.int8),
        as_int64([1, 2, 3]),
        as_int64([-1, -1, -1]),
        customer=as_int64([5, 5, 5]),
        group=as_int64([8, 8, 9]),
        weight=as_int64([10, 20, 30]),
    )
    assert cause.tolist() == [Cause.LATE_INVOICE, Cause.LATE_INVOICE, Cause.GRACE_ENDED]
    assert document.tolist() == [2, 2, 3]
