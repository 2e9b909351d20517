"""Names of figures that can be taken apart: what `behind` opens, and what pages therefore link.

A figure that is not named here is shown without a link, so that no page links to nothing. A name
that ends in "-" stands for all that begin with it.
"""

from __future__ import annotations

# State on a day: a period of any length ends in it.
SNAPSHOTS = frozenset({"mrr", "arr", "customers"})
MOVEMENTS = frozenset({"new", "reactivation", "expansion", "contraction", "churn", "fx"})
COUNTS = frozenset(f"{name}-customers" for name in MOVEMENTS)
REVENUE = frozenset({"revenue", "recurring", "non_recurring"})
CASH = frozenset({"money_in", "money_out", "burn", "financing", "own_transfers"})
OPEN = frozenset({"open", "open-", "expected-"})

# Cells of cohorts, "cohort-2025-03" and "cohort-2025-03-customers", of the month that they show.
COHORTS: frozenset[str] = frozenset()
# Figures of one segment: the address has `?by=` a dimension and `key=` of `parts.Segment`.
SEGMENTED: frozenset[str] = frozenset()
# Of recognition, by the tenant's method: invoiced, recognised, deferred, accrued.
RECOGNITION: frozenset[str] = frozenset()
# Credit notes and billing of a month, and what is overdue of its billing; gross.
REFUNDS: frozenset[str] = frozenset()
# The first invoices of a month's new customers, and the parts of its rates.
ECONOMICS: frozenset[str] = frozenset()

OF_A_MONTH = (
    MOVEMENTS | COUNTS | REVENUE | CASH | OPEN | COHORTS | RECOGNITION | REFUNDS | ECONOMICS
)


def opens(figure: str, *, months: int = 1, narrowed: bool = False) -> bool:
    """Whether there are documents to show for the figure of a period of that many months."""
    if narrowed:
        return figure in SEGMENTED and months == 1
    known = SNAPSHOTS if months > 1 else SNAPSHOTS | OF_A_MONTH
    return figure in known or any(name.endswith("-") and figure.startswith(name) for name in known)
