"""Detection against the sandbox's labels, with service dates and product ids and without them."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import pytest

from benchmarks._labelled import labelled, muted
from benchmarks.detection import ANCHOR, MRR_PERCENT, PRECISION, RECALL, Found, Judged, judge
from integrations.sandbox import PROFILES, build_company
from integrations.sandbox.profiles import SMALL
from integrations.sandbox.traps import trap_names

SEEDS = (42, 900)
TRAPS = sorted(set(trap_names(PROFILES["kuusi"]).values()))


# What only names, units or dates can tell.
TOLD_BY_WORDS = {
    "odd_periods",
    "reminded",
    "rounding_row",
    "two_months_in_one",
    "upgraded_in_mid_year",
    "usage_only",
}


@cache
def judged(slug: str, seed: int, way: str) -> Judged:
    books = labelled(build_company(slug, seed=seed, anchor=ANCHOR), bare=way != "dated")
    return judge(muted(books) if way == "mute" else books)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("slug", SMALL)
def test_stripped_of_dates_and_ids_nearly_everything_is_found(slug: str, seed: int) -> None:
    found = judged(slug, seed, "bare")
    assert found.total.true > 10
    assert found.precision >= PRECISION
    assert found.recall >= RECALL
    assert found.errors.max() <= MRR_PERCENT


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("slug", SMALL)
def test_with_dates_and_ids_everything_is_found_to_the_cent(slug: str, seed: int) -> None:
    found = judged(slug, seed, "dated")
    assert (found.precision, found.recall) == (1, 1)
    assert found.errors.max() == 0


@pytest.mark.parametrize(
    ("trap", "way"),
    [
        (trap, way)
        for trap in TRAPS
        for way in ("dated", "bare", "mute")
        if way != "mute" or trap not in TOLD_BY_WORDS
    ],
)
def test_no_trap_is_fallen_into(trap: str, way: str) -> None:
    total = Found()
    for seed in SEEDS:
        total.add(judged("kuusi", seed, way).traps[trap])
    assert (total.recalled, total.right) == (total.true, total.found)
    assert total.wrong_mrr == 0


def test_a_detection_that_takes_work_for_a_subscription_would_be_seen() -> None:
    books = labelled(build_company("koivu", seed=SEEDS[0], anchor=ANCHOR), bare=False)
    swapped = [replace(one, kind="one_off", key=None, service=None) for one in books.labels]
    found = judge(replace(books, labels=tuple(swapped)))
    assert found.precision == 0
    assert found.errors.max() == 100


def test_periods_read_wrong_would_be_seen() -> None:
    books = labelled(build_company("koivu", seed=SEEDS[0], anchor=ANCHOR), bare=False)
    twice = [
        replace(
            one,
            service=(one.service[0], one.service[1] + (one.service[1] - one.service[0])),
            true=None,
        )
        if one.service
        else one
        for one in books.labels
    ]
    assert judge(replace(books, labels=tuple(twice))).recall == 0
