"""Names of figures that can be taken apart: what `behind` opens, and what pages therefore link.

A figure that is not named here is shown without a link, so that no page links to nothing. A name
that ends in "-" stands for all that begin with it.
"""

from __future__ import annotations

# State on a day: a period of any length ends in it.
SNAPSHOTS = frozenset({"mrr", "arr", "customers", "arpa", "signed", "ending", "contracted"})
MOVEMENTS = frozenset({"new", "reactivation", "expansion", "contraction", "churn", "paused", "fx"})
COUNTS = frozenset(f"{name}-customers" for name in MOVEMENTS)
REVENUE = frozenset({"revenue", "recurring", "non_recurring"})
CASH = frozenset({"money_in", "money_out", "burn", "financing", "own_transfers"})
BALANCES = frozenset({"balance", "opening", "unexplained", "account-"})
OPEN = frozenset({"open", "open-", "expected-"})
# Rates by the customers that they divide, and changes below the tolerance.
RATES = frozenset(
    {"customer_churn", "gross_churn", "net_churn", "quick_ratio", "tolerated"}
    | {"nrr", "grr", "nrr_12", "grr_12"}
)
# One customer: the lines that changed its MRR in the month, and its last twelve months' invoices.
CUSTOMER = frozenset({"change-", "bought-"})

# Cells of cohorts, "cohort-2025-03" and "cohort-2025-03-customers", of the month that they show.
COHORTS = frozenset({"cohort-"})
# Figures of one segment: the address has `?by=` a dimension and `key=` of `parts.Segment`.
SEGMENTED = frozenset({"mrr", "customers", *MOVEMENTS})
# Of recognition, by the tenant's method: invoiced, recognised, deferred, accrued.
RECOGNITION = frozenset({"invoiced", "recognised", "deferred", "accrued"})
# Credit notes and billing of a month, and what is overdue of its billing; gross.
REFUNDS = frozenset({"billed", "credited", "overdue"})
# The first invoices of a month's new customers.
ECONOMICS = frozenset({"asp", "new_arpa"})
# Formulas over several figures, and what people enter: they open what they are made of.
INPUTS = frozenset(
    {"cost", "cac", "payback", "ltv_cac", "churn_6", "ltv_ours", "ltv_chartmogul", "ltv_calqulate"}
)
# What changed between a period's ends: of quarters and years the address says which they are.
BETWEEN = frozenset().union(MOVEMENTS, COUNTS, RATES)

OF_A_MONTH = frozenset().union(
    *(MOVEMENTS, COUNTS, REVENUE, CASH, BALANCES, OPEN, RATES, CUSTOMER),
    *(COHORTS, RECOGNITION, REFUNDS, ECONOMICS, INPUTS),
)


def opens(figure: str, *, months: int = 1, narrowed: bool = False) -> bool:
    """Whether there are documents to show for the figure of a period of that many months."""
    if narrowed:
        return figure in SEGMENTED and months == 1
    known = SNAPSHOTS | (BETWEEN if months > 1 else OF_A_MONTH)
    return figure in known or any(name.endswith("-") and figure.startswith(name) for name in known)
