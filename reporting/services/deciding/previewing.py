"""What a change would do to MRR, before anybody says it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from django.db import transaction

from calqsync.tenancy.models import Tenant
from reporting import feed
from reporting.domain.arrays import Ints
from reporting.domain.mrr import CustomerMonths
from reporting.models import CustomerFigure, Report
from reporting.services.deciding.changes import Change, customers_of, rows_write
from reporting.services.keeping import kept
from reporting.services.measuring import Shared, guessed, shard_measured

MOST = 200
"""Customers that one preview measures; a change that concerns more is previewed on these."""
MANY = 20
"""A preview of more customers than this takes seconds of a process, twenty together one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Preview:
    """MRR of the customers that a change concerns, without it and with it, month by month.

    In 1/10 000 of a minor unit of the reporting currency. Only months in which some customer
    changes are listed, oldest first; the last snapshot is always `now`.
    """

    now: tuple[int, int]
    """At the report's last snapshot: without, with."""
    months: Sequence[tuple[int, int, int]]
    """Month index, without, with: of all the customers measured."""
    customers: Sequence[tuple[int, int, int]]
    """Customer id and the MRR now without and with, of those who change in any month; the
    largest difference of any month first."""
    concerned: int
    """Customers whose figures it may change; more than `MOST` are not all measured."""

    @property
    def worst(self) -> tuple[int, int, int] | None:
        """The month that changes most; None where none does."""
        return max(self.months, key=lambda one: abs(one[2] - one[1]), default=None)

    @property
    def whole(self) -> bool:
        """Every customer that it concerns was measured."""
        return self.concerned <= MOST

    @property
    def changes_nothing(self) -> bool:
        return self.whole and not self.customers


def change_preview(
    *, tenant: Tenant, change: Change, before_many: Callable[[], None] | None = None
) -> Preview | None:
    """What `change` would do on the day of the published figures; None where there are none.

    The change is written, the books are read as the engine will read them, and it is taken back:
    what is shown is what saving will do, as far as the books stay as they are. `before_many` is
    asked before more than MANY customers are measured; what it raises leaves all as it was.
    """
    report = Report.objects.only("as_of").first()
    if report is None:
        return None
    found = customers_of(change.rows)
    if found is None:
        found = set(CustomerFigure.objects.values_list("customer", flat=True))
    if before_many is not None and len(found) > MANY:
        before_many()
    ids = sorted(found) if len(found) <= MOST else _largest(found)
    state = kept()
    shared = state.shared if state else None
    before = _measured(tenant, report, ids, shared)
    with transaction.atomic():
        rows_write(change.rows, by=None)
        after = _measured(tenant, report, ids, shared)
        transaction.set_rollback(True)
    return _compared(before, after, len(found))


def _measured(
    tenant: Tenant, report: Report, ids: list[int], shared: Shared | None
) -> CustomerMonths:
    """MRR of these customers, with what the published figures took from all of them."""
    books = feed.books(tenant=tenant, as_of=report.as_of, customer_ids=ids)
    return shard_measured(books, shared or guessed(books, None)).table


def _compared(before: CustomerMonths, after: CustomerMonths, concerned: int) -> Preview:
    customers = np.union1d(before.customers, after.customers)
    months = np.union1d(before.months, after.months)
    was, becomes = (_laid_out(table, customers, months) for table in (before, after))
    change = becomes - was
    who = np.flatnonzero(change.any(axis=1))
    who = who[np.argsort(-np.abs(change[who]).max(axis=1, initial=0), kind="stable")]
    when = np.flatnonzero(change.any(axis=0))
    sums = was.sum(axis=0), becomes.sum(axis=0)
    return Preview(
        now=(int(sums[0][-1]), int(sums[1][-1])) if len(months) else (0, 0),
        months=[(int(months[at]), int(sums[0][at]), int(sums[1][at])) for at in when],
        customers=[(int(customers[row]), int(was[row, -1]), int(becomes[row, -1])) for row in who],
        concerned=concerned,
    )


def _laid_out(table: CustomerMonths, customers: Ints, months: Ints) -> Ints:
    """The table's MRR over these customers and months, 0 where it has none."""
    found = np.zeros((len(customers), len(months)), dtype=np.int64)
    rows, columns = (
        np.searchsorted(customers, table.customers),
        np.searchsorted(months, table.months),
    )
    if table.mrr.size:
        found[np.ix_(rows, columns)] = table.mrr
    return found


def _largest(ids: set[int]) -> list[int]:
    """Of these customers the ones with the most MRR now."""
    found = CustomerFigure.objects.filter(customer__in=ids).order_by("-mrr_now_e4", "pk")
    return list(found.values_list("customer", flat=True)[:MOST])
