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

OF_A_MONTH = MOVEMENTS | COUNTS | REVENUE | CASH | OPEN


def opens(figure: str, *, months: int = 1) -> bool:
    """Whether there are documents to show for the figure of a period of that many months."""
    known = SNAPSHOTS if months > 1 else SNAPSHOTS | OF_A_MONTH
    return figure in known or any(name.endswith("-") and figure.startswith(name) for name in known)
