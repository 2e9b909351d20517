"""Periods and types of negative rows: credit notes and discounts follow what they reduce."""

from __future__ import annotations

import numpy as np

from reporting.domain.arrays import Flags, Ints, codes
from reporting.domain.chains import Chains
from reporting.domain.credits import FullCredits, covering_lines, discounted_lines
from reporting.domain.draft import Draft
from reporting.domain.evidence import RECURRING, Evidence
from reporting.domain.findings import LineType, Source, Why
from reporting.domain.lines import Lines
from reporting.domain.periods import add_months, months_between


def settle_negatives(
    lines: Lines, evidence: Evidence, credits: FullCredits, chains: Chains, draft: Draft
) -> None:
    """In this order: full credits, own dates, discounts, part credits, and what is left."""
    negative = lines.net < 0
    if not negative.any():
        return
    full = np.flatnonzero(credits.original >= 0)
    dated = evidence.date_source[full] != Source.NONE
    draft.copy_line(full[~dated], credits.original[full[~dated]])
    # Own dates stand: an equal amount may have been billed for another period.
    for column in (draft.type, draft.sure, draft.chain):
        column[full[dated]] = column[credits.original[full[dated]]]
    draft.explain(full, Why.CREDIT_FULL, _ids(lines, credits.original))

    open_rows = negative & (credits.original < 0)
    open_rows &= np.where(evidence.mark == 0, evidence.not_service < 0, evidence.mark == RECURRING)
    dated = open_rows & (evidence.date_source != Source.NONE)
    service = (lines.net > 0) & (draft.type == LineType.SUBSCRIPTION) & ~credits.cancelled
    _follow_dated(lines, np.flatnonzero(dated), chains, service, draft)

    discounts = np.flatnonzero(open_rows & ~dated & ~lines.is_credit)
    parents = discounted_lines(lines, discounts, service)
    _follow_discounted(lines, discounts[parents >= 0], parents[parents >= 0], draft)
    rest = np.concatenate(
        (np.flatnonzero(open_rows & ~dated & lines.is_credit), discounts[parents < 0])
    )
    left = _follow_running(lines, rest, chains, credits.cancelled, draft)
    _leave_unmatched(lines, left, chains, evidence, service, draft)


def _ids(lines: Lines, rows: Ints) -> Ints:
    """Line ids of the given rows; a row of -1 gives -1."""
    return np.where(rows >= 0, lines.line_id[np.maximum(rows, 0)], -1)


def _follow_dated(lines: Lines, rows: Ints, chains: Chains, service: Flags, draft: Draft) -> None:
    """Own dates stand; type, confidence and chain come from the line that runs at their start."""
    if rows.size == 0:
        return
    group = chains.group_of_line
    day = draft.start[rows]
    parents = covering_lines(lines, rows, day, group, draft.start, draft.end, service)
    customer, _ = codes(lines.customer_id, lines.currency)
    others = covering_lines(lines, rows, day, customer, draft.start, draft.end, service)
    # With no line of its own product, only a row that reads as a service follows another.
    own = draft.type[rows] == LineType.SUBSCRIPTION
    parents = np.where((parents < 0) & own, others, parents)
    _weigh(rows[parents < 0], group, _customers(lines), service, draft)
    found, parents = rows[parents >= 0], parents[parents >= 0]
    for column in (draft.type, draft.sure, draft.chain, draft.nominal):
        column[found] = column[parents]
    months = draft.num // np.maximum(draft.den, 1)
    draft.explain(found, Why.CREDIT_DATES, draft.end - draft.start, months)


def _follow_discounted(lines: Lines, rows: Ints, parents: Ints, draft: Draft) -> None:
    draft.copy_line(rows, parents)
    draft.explain(rows, Why.DISCOUNT_ROW)
    draft.a[rows] = lines.line_id[parents]


def _follow_running(
    lines: Lines, rows: Ints, chains: Chains, cancelled: Flags, draft: Draft
) -> Ints:
    """Credit the rest of a running line's period; returns the rows that found none."""
    if rows.size == 0:
        return rows
    group = chains.group_of_line
    among = (lines.net > 0) & ~cancelled
    day = lines.invoice_day[rows].astype(np.int64)
    parents = covering_lines(lines, rows, day, group, draft.start, draft.end, among)
    found, parents = rows[parents >= 0], parents[parents >= 0]
    draft.copy_line(found, parents)
    draft.start[found] = np.maximum(draft.start[parents], lines.invoice_day[found])
    draft.num[found], draft.den[found] = months_between(draft.start[found], draft.end[found])
    draft.explain(found, Why.CREDIT_PART)
    draft.a[found] = lines.line_id[parents]
    return np.setdiff1d(rows, found)


def _leave_unmatched(
    lines: Lines, rows: Ints, chains: Chains, evidence: Evidence, service: Flags, draft: Draft
) -> None:
    """One month from the credit's own date, and a reason that puts it before a person.

    It reduces MRR where its product, or with an unknown product its customer, has a
    subscription, and is as sure as that; a credit for work or goods does not.
    """
    if rows.size == 0:
        return
    group = chains.group_of_line
    against = evidence.work_unit[rows] | (evidence.counter[rows] >= 0)
    known = np.isin(group[rows], group[lines.net > 0])
    draft.type[rows[~against]] = LineType.SUBSCRIPTION
    _weigh(rows[known], group, group, service, draft)
    _weigh(rows[~known], group, _customers(lines), service, draft)
    draft.start[rows] = lines.invoice_day[rows]
    draft.end[rows] = add_months(draft.start[rows], 1)
    draft.num[rows] = draft.den[rows] = 1
    draft.nominal[rows] = 1
    draft.source[rows] = Source.FALLBACK
    draft.explain(rows, Why.CREDIT_UNMATCHED)


def _weigh(rows: Ints, group: Ints, customer: Ints, service: Flags, draft: Draft) -> None:
    """A credit that reads as a service is as sure as its product's, or customer's, surest one.

    Where neither has a subscription there is nothing to reduce.
    """
    if rows.size == 0:
        return
    by_group = _surest(group, service, draft)[group[rows]]
    by_customer = _surest(customer, service, draft)[customer[rows]]
    sure = np.where(by_group >= 0, by_group, by_customer)
    reads = (draft.type[rows] == LineType.SUBSCRIPTION) & (sure >= 0)
    service_rows, others = rows[reads], rows[~reads]
    draft.sure[service_rows] = sure[reads]
    keeps = draft.type[others] == LineType.SUBSCRIPTION
    draft.type[others[keeps]] = LineType.ONE_OFF


def _customers(lines: Lines) -> Ints:
    return codes(lines.customer_id)[0]


def _surest(owner: Ints, service: Flags, draft: Draft) -> Ints:
    """The confidence of each owner's surest subscription line, -1 where it has none."""
    surest = np.full(int(owner.max()) + 1, -1, dtype=np.int64)
    np.maximum.at(surest, owner[service], draft.sure[service])
    return surest
