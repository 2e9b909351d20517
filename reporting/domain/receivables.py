"""Open sales invoices: age, and the day on which the money may be expected."""

from __future__ import annotations

from dataclasses import dataclass, fields
from enum import IntEnum

import numpy as np

from reporting.domain.arrays import NEVER, NO_DAY, Flags, Ints, Small, as_int64


@dataclass(frozen=True, slots=True, kw_only=True)
class Receivables:
    """One row per issued sales invoice, open or paid, in minor units of the reporting currency."""

    invoice_id: Ints
    customer_id: Ints
    invoice_day: Ints
    due_day: Ints
    """newDueDate where there is one, else dueDate."""
    total_gross: Ints
    """The whole invoice, VAT included; negative for a credit note."""
    open_gross: Ints
    """What is still to be paid, VAT included; 0 when settled. Negative for an open credit note."""
    paid_day: Ints
    """Day of the payment that settled it; NO_DAY while open or settled by a credit loss."""

    def __len__(self) -> int:
        return len(self.invoice_id)

    def take(self, rows: Ints) -> Receivables:
        """The chosen rows in the given order."""
        return Receivables(**{one.name: getattr(self, one.name)[rows] for one in fields(self)})


class Age(IntEnum):
    NOT_DUE = 0
    UP_TO_30 = 1
    UP_TO_60 = 2
    UP_TO_90 = 3
    OVER_90 = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenReceivables:
    """The open invoices only, oldest due day first."""

    row: Ints
    """Row in `Receivables`."""
    invoice_id: Ints
    customer_id: Ints
    open_gross: Ints
    due_day: Ints
    overdue_days: Ints
    """0 while not yet due."""
    age: Small
    """`Age`"""
    expected_day: Ints
    """max(today, due day + the payer's usual delay)."""
    by_age: dict[Age, int]
    total: int
    delays: Ints
    """Paid invoices, open ones aside, by days after the due day: see `delay_counts`."""


def unpaid_until(
    receivables: Receivables, invoice_id: Ints, as_of_day: int, days: int | None
) -> Ints:
    """For each of the given invoices the first day on which it no longer counts: `days` after
    it fell due and still unpaid. NEVER for the others, and where the tenant sets no limit.

    A payment that comes later lets the invoice count again from its start, as SaaSync does.
    """
    never = np.full(len(invoice_id), NEVER, dtype=np.int64)
    if days is None or not len(receivables):
        return never
    cut = as_int64(receivables.due_day) + days + 1
    late = np.flatnonzero((receivables.open_gross > 0) & (cut <= as_of_day))
    late = late[np.argsort(receivables.invoice_id[late], kind="stable")]
    if not late.size:
        return never
    known = receivables.invoice_id[late]
    at = np.minimum(np.searchsorted(known, invoice_id), len(known) - 1)
    return np.where(known[at] == invoice_id, cut[late[at]], never)


PAID_FOR_OWN_DELAY = 3
LAST_PAID = 12
# Nobody's usual delay is longer; a longer one of a single invoice counts as this one.
LONGEST_DELAY = 1000


def open_receivables(
    receivables: Receivables, as_of_day: int, company_delay: int | None = None
) -> OpenReceivables:
    """Age and expected day of everything still open on `as_of_day`.

    `company_delay` is the company's median where `receivables` are only some customers'.
    """
    counts = delay_counts(receivables)
    if company_delay is None:
        company_delay = median_delay(counts)
    rows = np.flatnonzero(receivables.open_gross != 0)
    rows = rows[np.lexsort((receivables.invoice_id[rows], receivables.due_day[rows]))]
    due = as_int64(receivables.due_day[rows])
    overdue = np.maximum(as_of_day - due, 0)
    age = np.searchsorted(np.array([1, 31, 61, 91]), overdue, side="right").astype(np.int8)
    delay = usual_delays(receivables, receivables.customer_id[rows], company_delay)
    amounts = receivables.open_gross[rows]
    return OpenReceivables(
        row=rows,
        invoice_id=receivables.invoice_id[rows],
        customer_id=receivables.customer_id[rows],
        open_gross=amounts,
        due_day=due,
        overdue_days=overdue,
        age=age,
        expected_day=np.maximum(as_of_day, due + delay),
        by_age={bucket: int(amounts[age == bucket].sum()) for bucket in Age},
        total=int(amounts.sum()),
        delays=counts,
    )


def delay_counts(receivables: Receivables) -> Ints:
    """How many paid invoices were paid how late: from `LONGEST_DELAY` days early to as many late.

    Counts of different customers add up, and the company's median is read from their sum.
    """
    paid: Flags = receivables.paid_day != NO_DAY
    late = as_int64(receivables.paid_day[paid]) - as_int64(receivables.due_day[paid])
    place = np.clip(late, -LONGEST_DELAY, LONGEST_DELAY) + LONGEST_DELAY
    return np.bincount(place, minlength=2 * LONGEST_DELAY + 1).astype(np.int64)


def median_delay(counts: Ints) -> int:
    """The median of `delay_counts` in days, rounded up; 0 where nothing was paid."""
    size = int(counts.sum())
    if not size:
        return 0
    low, high = np.searchsorted(np.cumsum(counts), [(size + 1) // 2, size // 2 + 1])
    return -int(-(low + high) // 2) - LONGEST_DELAY


def usual_delays(receivables: Receivables, customers: Ints, company: int) -> Ints:
    """Days by which each customer usually pays after the due day.

    The median of the customer's last 12 paid invoices where there are three, else that of the
    `company`. Medians between two days are rounded up: money comes later.
    """
    paid: Flags = receivables.paid_day != NO_DAY
    if not paid.any():
        return np.full(len(customers), company, dtype=np.int64)
    who, when = receivables.customer_id[paid], receivables.paid_day[paid]
    late = as_int64(when) - as_int64(receivables.due_day[paid])
    order = np.lexsort((late, when, who))
    who, late = who[order], late[order]
    known, first = np.unique(who, return_index=True)
    last = np.append(first[1:], len(who))
    delays = np.full(len(known), company, dtype=np.int64)
    for place in np.flatnonzero(np.isin(known, customers)):
        if last[place] - first[place] >= PAID_FOR_OWN_DELAY:
            begin = max(first[place], last[place] - LAST_PAID)
            delays[place] = _median_up(late[begin : last[place]])
    at = np.minimum(np.searchsorted(known, customers), len(known) - 1)
    return np.where(known[at] == customers, delays[at], company)


def _median_up(values: Ints) -> int:
    ordered = np.sort(values)
    middle = len(ordered) // 2
    if len(ordered) % 2:
        return int(ordered[middle])
    return -int(-(ordered[middle - 1] + ordered[middle]) // 2)
