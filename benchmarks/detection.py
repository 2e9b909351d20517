"""What detection finds of the sandbox's labelled subscriptions, with dates and ids and without.

Judged is what is found at all: what counts at once, and the likely ones that wait for review. A
subscription is found when most of its charges are in found subscriptions for the right period, and
a found one is right when most of its charges are of true subscriptions for the right period. MRR
is held against the labels' at every month's end, in the company's currency: rows that state no
period count as the definitions read them. `misdated` holds it against the days on which services
truly began, which undated rows do not tell (decision 0028).
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date, timedelta

import numpy as np
from numpy.typing import NDArray

from benchmarks import Result
from benchmarks._labelled import LIFE, Labelled, labelled, muted
from integrations.sandbox import build_company
from integrations.sandbox.profiles import SMALL
from reporting.domain.arrays import Ints
from reporting.domain.choices import Confidence, Settings, UserWords
from reporting.domain.detection import Detected, detect
from reporting.domain.periods import day_date, last_day, month_index

ANCHOR = date(2026, 11, 1)
SEEDS = (7, 42, 101, 2024, 31337)
# By then nothing waits for its next invoice any more.
AFTERWARDS = timedelta(days=200)
PRECISION, RECALL, MRR_PERCENT = 0.98, 0.97, 1.0


@dataclass
class Found:
    """Of the true subscriptions and of the found ones, by the trap that their customer is."""

    true: int = 0
    recalled: int = 0
    found: int = 0
    right: int = 0
    wrong_mrr: float = 0.0
    """The worst month's error of the trap's customers, in percent of their MRR then."""

    def add(self, other: Found) -> None:
        self.true += other.true
        self.recalled += other.recalled
        self.found += other.found
        self.right += other.right
        self.wrong_mrr = max(self.wrong_mrr, other.wrong_mrr)


@dataclass
class Judged:
    """One company's detection against its labels."""

    traps: dict[str, Found] = field(default_factory=lambda: defaultdict(Found))
    errors: NDArray[np.float64] = field(default_factory=lambda: np.zeros(0))
    """Percent of true MRR by month."""
    misdated: NDArray[np.float64] = field(default_factory=lambda: np.zeros(0))
    """The same against the days on which services truly began, which undated lines do not tell."""

    @property
    def total(self) -> Found:
        total = Found()
        for one in self.traps.values():
            total.add(one)
        return total

    @property
    def precision(self) -> float:
        return self.total.right / max(self.total.found, 1)

    @property
    def recall(self) -> float:
        return self.total.recalled / max(self.total.true, 1)


def judge(books: Labelled) -> Judged:
    """Detect on the lines as anybody's, and hold the outcome against the labels."""
    settings = Settings(as_of=books.anchor + AFTERWARDS, threshold=Confidence.MEDIUM)
    detected = detect(books.lines, UserWords(), settings)
    judged = Judged()
    charges = np.flatnonzero(books.lines.net > 0)
    right = _right(books, detected)
    _count_true(books, detected, right, charges, judged)
    _count_found(books, detected, right, judged)
    _measure(books, detected, judged)
    return judged


def _right(books: Labelled, detected: Detected) -> NDArray[np.bool_]:
    """Lines that count for as many months as their label says."""
    found = detected.findings
    months = found.months_num / found.months_den
    true = [one.months(one.service) if one.service else 0 for one in books.labels]
    return found.counted & (np.abs(months - true) < 0.01)


def _count_true(
    books: Labelled, detected: Detected, right: NDArray[np.bool_], charges: Ints, judged: Judged
) -> None:
    rows: dict[str, list[int]] = defaultdict(list)
    for row in charges.tolist():
        label = books.labels[row]
        if label.kind == "subscription" and label.key:
            rows[label.key].append(row)
    for mine in rows.values():
        trap = judged.traps[books.labels[mine[0]].trap]
        trap.true += 1
        trap.recalled += 2 * int(right[mine].sum()) > len(mine)


def _count_found(
    books: Labelled, detected: Detected, right: NDArray[np.bool_], judged: Judged
) -> None:
    found = detected.subscriptions
    for place in range(len(found)):
        mine = found.lines(place)
        mine = mine[(books.lines.net[mine] > 0) & detected.findings.counted[mine]]
        if not mine.size:
            continue
        trap = judged.traps[books.labels[mine[0]].trap]
        service = np.array([books.labels[row].kind == "subscription" for row in mine.tolist()])
        trap.found += 1
        trap.right += 2 * int((right[mine] & service).sum()) > len(mine)


def _measure(books: Labelled, detected: Detected, judged: Judged) -> None:
    first, after = month_index(books.opens), month_index(books.anchor)
    days = [day_date(last_day(month)) for month in range(first, after)]
    kinds = sorted({one.trap for one in books.labels})
    place = {kind: row for row, kind in enumerate(kinds)}
    shape = (len(kinds), len(days))
    ours, defined, true = np.zeros(shape), np.zeros(shape), np.zeros(shape)
    found = detected.findings
    for row, label in enumerate(books.labels):
        kind, net = place[label.trap], int(books.lines.net_acc[row])
        if found.counted[row]:
            since, until = int(found.from_month[row]) - first, int(found.to_month[row]) - first
            worth = net * int(found.months_den[row]) / int(found.months_num[row])
            ours[kind, max(since, 0) : max(until, 0)] += worth
        if label.kind == "subscription" and label.service and label.true:
            for table, (start, end) in ((defined, label.service), (true, label.true)):
                inside = [start <= day < end for day in days]
                table[kind, inside] += net / label.months((start, end))
    judged.errors = _percent(ours.sum(axis=0), defined.sum(axis=0))
    judged.misdated = _percent(ours.sum(axis=0), true.sum(axis=0))
    for kind, row in place.items():
        errors = _percent(ours[row], defined[row])
        judged.traps[kind].wrong_mrr = float(errors.max(initial=0))


def _percent(ours: NDArray[np.float64], true: NDArray[np.float64]) -> NDArray[np.float64]:
    scale = np.where(true > 0, true, np.where(np.abs(ours) > 0.5, ours, 1))
    return np.round(100 * np.abs(ours - true) / np.abs(scale), 6)


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--seeds", type=int, nargs="+", default=list(SEEDS), help="makes of the small companies"
    )
    parser.add_argument("--companies", nargs="+", default=[*SMALL, "medium"], help="which ones")


def run(seeds: Iterable[int] = SEEDS, companies: Iterable[str] = (*SMALL, "medium")) -> Result:
    """Precision, recall and the worst month's MRR error of each way, and every trap by itself.

    `dated` is the lines as they are imported, `bare` without service dates and product ids, and
    `mute` besides with names and units that say nothing: what rhythm alone finds, without a bar.
    """
    seeds, result = list(seeds), Result()
    ways: dict[str, list[Judged]] = {"dated": [], "bare": [], "mute": []}
    for slug in companies:
        for seed in seeds if slug in SMALL else seeds[:1]:
            company = build_company(slug, seed=seed, anchor=ANCHOR)
            bare = labelled(company, bare=True)
            ways["dated"].append(judge(labelled(company, bare=False)))
            ways["bare"].append(judge(bare))
            ways["mute"].append(judge(muted(bare)))
    for way, judged in ways.items():
        _tell(result, way, judged)
    for way, precision, recall, percent in (
        ("dated", 1.0, 1.0, 0.0),
        ("bare", PRECISION, RECALL, MRR_PERCENT),
    ):
        result.at_least(f"{way}_precision", precision)
        result.at_least(f"{way}_recall", recall)
        result.at_most(f"{way}_worst_mrr_error_percent", percent)
    traps = {trap for judged in ways["bare"] for trap in judged.traps}
    for trap in sorted(traps, key=lambda name: (name == LIFE, name)):
        result.figures[trap] = "; ".join(
            f"{way} {_told(_sum(judged, trap))}" for way, judged in ways.items()
        )
    return result


def _tell(result: Result, way: str, judged: list[Judged]) -> None:
    total = Found()
    for one in judged:
        total.add(one.total)
    errors, misdated = (
        np.concatenate([getattr(one, name) for one in judged]) for name in ("errors", "misdated")
    )
    result.figures |= {
        f"{way}_subscriptions": total.true,
        f"{way}_precision": round(total.right / max(total.found, 1), 4),
        f"{way}_recall": round(total.recalled / max(total.true, 1), 4),
        f"{way}_lowest_precision": round(min(one.precision for one in judged), 4),
        f"{way}_lowest_recall": round(min(one.recall for one in judged), 4),
        f"{way}_worst_mrr_error_percent": round(float(errors.max()), 4),
        f"{way}_mean_mrr_error_percent": round(float(errors.mean()), 4),
        f"{way}_worst_misdated_percent": round(float(misdated.max()), 4),
        f"{way}_mean_misdated_percent": round(float(misdated.mean()), 4),
    }


def _sum(judged: list[Judged], trap: str) -> Found:
    total = Found()
    for one in judged:
        if trap in one.traps:
            total.add(one.traps[trap])
    return total


def _told(found: Found) -> str:
    return (
        f"{found.recalled}/{found.true} found, {found.found - found.right} wrong,"
        f" MRR {found.wrong_mrr:.2f} %"
    )
