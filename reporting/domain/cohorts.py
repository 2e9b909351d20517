"""Cohorts: what is left, month by month, of the customers who began together.

A cohort is the customers whose first MRR is in one month, as ChartMogul has it (help 203359411).
Retention of customers is those who are customers now ÷ the cohort's size; of MRR, the cohort's
MRR now, returns included, ÷ its MRR in its first month. Offset 0 is 100 % by definition.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from reporting.domain.arrays import Flags, Ints
from reporting.domain.growth import Calendar
from reporting.domain.metrics import ppm
from reporting.domain.mrr import CustomerMonths
from reporting.domain.periods import month_text
from reporting.domain.rounding import minors
from reporting.domain.sums import Additive
from reporting.parts import Cohort, Cohorts


@dataclass(frozen=True, slots=True, kw_only=True)
class CohortSums(Additive):
    """Rows are cohorts by their first month, columns months; both run over the report's months."""

    customers: Ints
    mrr: Ints
    """In 1/10 000 minor units."""


def cohort_sums(table: CustomerMonths) -> CohortSums:
    """The sums of all customers of a table."""
    width = len(table.months)
    customers = np.zeros((width, width), dtype=np.int64)
    mrr = np.zeros_like(customers)
    paying = table.mrr > 0
    began = np.flatnonzero(paying.any(axis=1))
    born = paying[began].argmax(axis=1)
    np.add.at(customers, born, table.customer[began])
    np.add.at(mrr, born, table.mrr[began])
    return CohortSums(customers=customers, mrr=mrr)


def cohorts(sums: CohortSums, calendar: Calendar, known_from: int = 0) -> Cohorts:
    """The retention table from the month `known_from` on; cells after the last month are absent.

    Averages weigh each cohort by its size (or first MRR) and look at cells of complete months
    only; None where there is no such cell.
    """
    months, complete = calendar.months, calendar.complete
    rows: list[Cohort] = []
    for place, month in enumerate(months.tolist()):
        if sums.customers[place, place] == 0 or month < known_from:
            continue
        rows.append(
            {
                "month": month_text(month),
                "customers": sums.customers[place, place:].tolist(),
                "mrr_minor": minors(sums.mrr[place, place:]).tolist(),
            }
        )
    shown = (np.diagonal(sums.customers) > 0) & (months >= known_from)
    longest = int(len(months) - shown.argmax()) if shown.any() else 0
    running = None if complete.all() else month_text(int(months[-1]))
    return {
        "incomplete_month": running,
        "cohorts": rows,
        "customers_ppm": _averages(sums.customers, shown, int(complete.sum()), longest),
        "mrr_ppm": _averages(sums.mrr, shown, int(complete.sum()), longest),
    }


def _averages(cells: Ints, shown: Flags, complete: int, longest: int) -> list[int | None]:
    """At each offset: the sum of complete cells ÷ that of the same cohorts' first cells."""
    result: list[int | None] = []
    for offset in range(longest):
        reach = np.flatnonzero(shown[: max(complete - offset, 0)])
        first = sum(cells[reach, reach].tolist())
        later = sum(cells[reach, reach + offset].tolist())
        result.append(ppm(Fraction(later, first)) if first else None)
    return result
