"""The service period of every line: as stated, or as its unit, words and rhythm imply."""

from __future__ import annotations

import numpy as np

from reporting.domain.arrays import Flags, Ints, as_int64, codes
from reporting.domain.cadence import DAY_SPAN, Cadence, next_hit
from reporting.domain.chains import Chains
from reporting.domain.choices import Settings
from reporting.domain.credits import covering_lines
from reporting.domain.draft import Draft
from reporting.domain.evidence import Evidence
from reporting.domain.findings import LineType, Source
from reporting.domain.lines import Lines
from reporting.domain.periods import (
    TWO_WEEKS,
    WEEK,
    add_months,
    months_between,
    nearest_nominal,
    nominal_end,
    nominal_months,
)
from reporting.domain.said import Said

WHOLE = 10_000
NAMED = (TWO_WEEKS, WEEK, 1, 2, 3, 6, 12)
# Days between invoices that are n months apart: n times as many.
_MONTH_DAYS = (27, 32)
_MONTHLY = (26, 35)
_MOST_MONTHS = 60


def give_periods(
    lines: Lines,
    hits: Flags,
    evidence: Evidence,
    chains: Chains,
    cadence: Cadence,
    by_vote: Ints,
    said: Said,
    settings: Settings,
    draft: Draft,
) -> None:
    """A service period for every line, whatever its type: a person may yet confirm it."""
    spoken, behind = _spoken_period(lines, hits, evidence, cadence, draft.chain)
    rhythm = np.where(chains.years_worth & (cadence.nominal == 0), 12, cadence.nominal)
    draft.nominal[:] = settings.default_period_months
    draft.source[:] = Source.FALLBACK
    for source, period in (
        (Source.PRODUCT_VOTE, by_vote),
        (Source.PRODUCT_DEFAULT, evidence.mark_period),
        (Source.CADENCE, rhythm[draft.chain]),
        (Source.UNIT_WORDS, spoken),
    ):
        draft.nominal[period != 0] = period[period != 0]
        draft.source[period != 0] = source
    dated = evidence.date_source != Source.NONE
    by_user = said.period[draft.chain] != 0
    draft.nominal[by_user] = said.period[draft.chain][by_user]
    draft.source[by_user] = Source.USER

    draft.start[:] = np.where(dated, evidence.start, lines.invoice_day)
    stated = dated & ~by_user
    inferred = np.flatnonzero(~stated)
    behind = np.where(by_user | dated, 0, behind)[inferred]
    begin, nominal = draft.start[inferred], draft.nominal[inferred]
    ahead = np.where(behind > 0, nominal - behind, nominal)
    stop = nominal_end(begin, ahead)
    draft.end[:], draft.num[:], draft.den[:] = evidence.end, evidence.num, evidence.den
    draft.end[inferred] = next_hit(cadence, draft.chain[inferred], begin, stop)
    draft.start[inferred] = np.where(behind > 0, add_months(begin, -behind), begin)
    num, den = nominal_months(nominal)
    draft.num[inferred], draft.den[inferred] = num, den
    odd = ~np.isin(nominal, NAMED)
    draft.nominal[inferred[odd]] = nearest_nominal(num[odd], den[odd])
    draft.source[stated] = evidence.date_source[stated]
    draft.nominal[stated] = evidence.nominal[stated]
    _follow_difference(lines, evidence, ~stated & ~by_user, draft)


def _spoken_period(
    lines: Lines, hits: Flags, evidence: Evidence, cadence: Cadence, chain: Ints
) -> tuple[Ints, Ints]:
    """The months that unit and words state, 0 where they state none; and how many are gone by.

    Twelve of the unit MONTH are a year's worth, or twelve users for a month: the distance
    between the chain's invoices tells which.
    """
    period = np.where(evidence.unit_period != 0, evidence.unit_period, evidence.word_period)
    many = lines.quantity_e4 // WHOLE
    whole = (evidence.unit_period == 1) & (lines.quantity_e4 % WHOLE == 0)
    gap = cadence.mean_gap[chain]
    alone = gap == 0
    for months in (2, 3, 6, 12):
        apart = 4 * gap >= 3 * months * 30
        bundled = whole & (many == months) & ((alone & (months > 2)) | (~alone & apart))
        period = np.where(bundled, months, period)
    several = whole & hits & (many > 1) & (many <= _MOST_MONTHS)
    behind = np.zeros(len(lines), dtype=np.int64)
    if several.any():
        concerned = np.zeros(int(chain.max()) + 1, dtype=np.bool_)
        concerned[chain[several]] = True
        rows = np.flatnonzero(whole & hits & concerned[chain])
        bundle, late = _months_sold(chain[rows], as_int64(lines.invoice_day[rows]), many[rows])
        period[rows[bundle > 1]] = bundle[bundle > 1]
        behind[rows] = late
    return period, behind


def _months_sold(chain: Ints, day: Ints, many: Ints) -> tuple[Ints, Ints]:
    """How many months each row of the unit MONTH pays for where its neighbours tell, else 0.

    In a chain where three of four invoices come as many months before the next one as they bill,
    each bills its quantity. Elsewhere an invoice for a multiple of what its neighbours bill, after
    as many months without one, makes up for those: they are the second result.
    """
    keys, at = np.unique(chain * DAY_SPAN + day, return_inverse=True)
    owner, on = np.divmod(keys, DAY_SPAN)
    sold = np.bincount(at, many, len(keys)).astype(np.int64)
    linked = np.append(owner[1:] == owner[:-1], False)
    after = np.where(linked, np.append(on[1:], 0) - on, 0)
    before = np.append(0, after[:-1])
    chains = int(owner.max()) + 1
    fits = linked & _apart(after, sold)
    judged = np.bincount(owner[linked], minlength=chains)
    fitting = np.bincount(owner[fits], minlength=chains)
    several = np.bincount(owner[fits & (sold > 1)], minlength=chains)
    bundles = (judged >= 2) & (4 * fitting >= 3 * judged) & (several > 0)

    earlier, later = np.append(0, sold[:-1]), np.append(sold[1:], 0)
    times = sold // np.maximum(earlier, 1)
    low, high = _MONTHLY
    makes_up = (before > 0) & linked & (earlier == later) & (sold == times * earlier) & (times > 1)
    makes_up &= _apart(before, times) & (after >= low) & (after <= high) & ~bundles[owner]
    months = np.where(bundles[owner], sold, np.where(makes_up, times, 0))
    return months[at], np.where(makes_up, times - 1, 0)[at]


def _apart(gap: Ints, months: Ints) -> Flags:
    """Whether a gap in days is so many months."""
    low, high = _MONTH_DAYS
    within: Flags = (gap >= low * months) & (gap <= high * months)
    return within


def _follow_difference(lines: Lines, evidence: Evidence, undated: Flags, draft: Draft) -> None:
    """A row that bills a difference runs as long as what it tops up: the customer's longest."""
    rows = np.flatnonzero((evidence.difference >= 0) & undated & (lines.net > 0))
    if not rows.size:
        return
    service = (draft.type == LineType.SUBSCRIPTION) & (lines.net > 0)
    service[rows] = False
    customer, _ = codes(lines.customer_id, lines.currency)
    day = as_int64(lines.invoice_day[rows])
    # Ordered by their ends, so that the one that runs longest is the latest.
    parents = covering_lines(lines, rows, day, customer, draft.end, draft.end, service)
    found, parents = rows[parents >= 0], parents[parents >= 0]
    draft.start[found], draft.end[found] = lines.invoice_day[found], draft.end[parents]
    draft.num[found], draft.den[found] = months_between(draft.start[found], draft.end[found])
    draft.nominal[found] = nearest_nominal(draft.num[found], draft.den[found])
    draft.source[found] = Source.UNIT_WORDS
