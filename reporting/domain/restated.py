"""The published figures of closed months that are restated when they change.

What else is shown by month follows from these or is no statement about a closed month;
`tests/reporting/test_restated_figures.py` holds the list of it with the reasons.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from reporting.parts import RECOGNITION


class Source(Enum):
    """What a figure is made from, and so what its causes are looked for in."""

    CUSTOMERS = "customers"
    """MRR of customers by month."""
    INVOICES = "invoices"
    SCHEDULE = "schedule"
    """Invoice lines spread over their months, by the method that the tenant chose."""
    BANK = "bank"


@dataclass(frozen=True, slots=True)
class Figure:
    """A figure by month: the sum of some fields of a list of `Report.body`, or of a part."""

    metric: str
    """Its code in `Restatement.metric`, under which `behind` opens its documents as well."""
    table: str
    fields: tuple[str, ...]
    source: Source
    counts: bool = False
    """A number of customers, and no money."""

    @property
    def exact(self) -> bool:
        """Whether its parts are whole units, and no fractions that are shared out."""
        return self.counts or self.source is not Source.CUSTOMERS


def _of_customers(metric: str) -> Figure:
    return Figure(metric, "months", (f"{metric}_minor",), Source.CUSTOMERS)


def _of_schedule(metric: str) -> Figure:
    return Figure(metric, RECOGNITION, (f"{metric}_minor",), Source.SCHEDULE)


def _of_bank(metric: str, field: str = "") -> Figure:
    return Figure(metric, "cash", (f"{field or metric}_minor",), Source.BANK)


# The first of a table is what it is about; lists of restatements keep this order.
FIGURES = (
    *map(_of_customers, ("mrr", "new", "expansion", "contraction", "churn", "reactivation")),
    *map(_of_customers, ("paused", "fx", "tolerated")),
    Figure("customers", "months", ("customers",), Source.CUSTOMERS, counts=True),
    Figure("revenue", "revenue", ("recurring_minor", "non_recurring_minor"), Source.INVOICES),
    Figure("recurring", "revenue", ("recurring_minor",), Source.INVOICES),
    Figure("non_recurring", "revenue", ("non_recurring_minor",), Source.INVOICES),
    *map(_of_schedule, ("recognised", "deferred", "accrued")),
    _of_bank("balance", "closing"),
    *map(_of_bank, ("money_in", "money_out", "financing", "own_transfers", "unexplained")),
    _of_bank("burn", "net_burn"),
)
BY_METRIC = {figure.metric: figure for figure in FIGURES}
