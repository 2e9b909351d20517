"""From sums over customers to the published body: integers, codes and names."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property

import numpy as np

from reporting.body import (
    BODY_VERSION,
    Adjustment,
    AgeCode,
    Body,
    Expected,
    Month,
    Note,
    Now,
    Receivables,
    Revenue,
    TopCustomer,
)
from reporting.body import Age as AgeRow
from reporting.domain.arrays import Ints
from reporting.domain.growth import Calendar, Period, periods
from reporting.domain.metrics import arr, ppm, rounded
from reporting.domain.periods import day_date, day_number, month_of, month_text
from reporting.domain.receivables import Age
from reporting.domain.rounding import minor
from reporting.domain.totals import Listed, OwedSums, Totals, expected_starts
from reporting.feed import Books, CustomerName, customer_names
from reporting.services.banking import Money

_AGES: dict[Age, AgeCode] = {
    Age.NOT_DUE: "not_due",
    Age.UP_TO_30: "up_to_30",
    Age.UP_TO_60: "up_to_60",
    Age.UP_TO_90: "up_to_90",
    Age.OVER_90: "over_90",
}
# MRR of a month needs every invoice that may reach into it: a yearly one begins a year before.
KNOWN_AFTER_MONTHS = 12


@dataclass(frozen=True, kw_only=True)
class Made:
    """What a report is composed of: sums over all customers, and the few that it names."""

    calendar: Calendar
    totals: Totals
    listed: Listed

    @property
    def used(self) -> bool:
        """Whether there is any invoice line."""
        return bool(self.totals.states.lines[0])

    @cached_property
    def months(self) -> tuple[Period, ...]:
        """Growth by month, the running one last."""
        return periods(self.totals.monthly, self.totals.trailing, self.calendar)


def compose(books: Books, made: Made, bank: Money) -> Body:
    """The body of the tenant's report; reads only the names of a few customers."""
    back_to = complete_back_to(books)
    months = _months(made, known_from(books))
    totals, listed = made.totals, made.listed.in_order()
    named = np.unique(np.concatenate((listed.top[:, 0], listed.adjustments[:, 0])))
    names = customer_names(named.tolist())
    states = totals.states
    return {
        "version": BODY_VERSION,
        "currency": books.settings.currency,
        "as_of": books.settings.as_of.isoformat(),
        "complete_back_to": None if back_to is None else month_text(back_to),
        "unsure_new_until": _unsure_until(made),
        "now": _now(totals, months),
        "months": months,
        "adjustments": _adjustments(listed, names),
        "revenue": _revenue(made, back_to or 0),
        "top_customers": _top_customers(made, listed, names),
        "receivables": _receivables(books, totals.owed),
        "cash": bank.cash,
        "accounts": bank.accounts,
        "runway": bank.runway,
        "to_review": {
            "subscriptions": int(states.detected[0]),
            "deposits": bank.deposits,
            "credits": int(states.unmatched[0]),
        },
        "notes": books.notes + _notes(int(states.unmatched[0]), len(listed.adjustments)),
    }


def _unsure_until(made: Made) -> str | None:
    """The last month in which a customer from before the books may look new; None without any."""
    if not made.used or not made.totals.unsure_columns:
        return None
    first = int(made.calendar.months[0]) + made.totals.first_used
    return month_text(first + made.totals.unsure_columns - 1)


def known_from(books: Books) -> int:
    """The first month whose MRR is known; 0 unless the first import is still loading."""
    back_to = complete_back_to(books)
    return 0 if back_to is None else back_to + KNOWN_AFTER_MONTHS


def complete_back_to(books: Books) -> int | None:
    """The first month of which every day has been imported, while the first import loads."""
    day = books.settings.complete_from
    if day is None:
        return None
    month = int(month_of(day_number(day)))
    return month if day.day == 1 else month + 1


def _months(made: Made, known_from: int) -> list[Month]:
    if not made.used:
        return []
    return [
        month_row(period, made.totals, column)
        for column, period in enumerate(made.months)
        if period.last_month >= known_from
    ]


def month_row(period: Period, totals: Totals, column: int) -> Month:
    """A period as a row; `column` is that of its last month."""
    step, rates = period.step, period.rates
    signed = minor(int(totals.contracted.signed[column]))
    ending = minor(int(totals.contracted.ending[column]))
    return {
        "month": month_text(period.last_month),
        "complete": period.complete,
        "start_minor": step.start,
        "new_minor": step.new,
        "expansion_minor": step.expansion,
        "reactivation_minor": step.reactivation,
        "contraction_minor": step.contraction,
        "churn_minor": step.churn,
        "paused_minor": step.paused,
        "churn_paused_minor": period.churn_paused,
        "fx_minor": step.fx,
        "tolerated_minor": step.tolerated,
        "mrr_minor": step.end,
        "mrr_e4": period.mrr_e4,
        "arr_minor": minor(arr(period.mrr_e4)),
        "detected_minor": minor(int(totals.detected_e4[column])),
        "contracted_minor": signed,
        "ending_minor": ending,
        "contracted_mrr_minor": step.end + signed - ending,
        "customers_start": period.customers_start,
        "customers": period.customers,
        "new_customers": period.new_customers,
        "reactivated_customers": period.reactivated_customers,
        "churned_customers": period.churned_customers,
        "expanded_customers": period.expanded_customers,
        "contracted_customers": period.contracted_customers,
        "paused_customers": period.paused_customers,
        "arpa_minor": None if rates.arpa_minor is None else rounded(rates.arpa_minor),
        "gross_churn_ppm": ppm(rates.gross_churn),
        "net_churn_ppm": ppm(rates.net_churn),
        "customer_churn_ppm": ppm(rates.customer_churn),
        "quick_ratio_ppm": ppm(rates.quick_ratio),
        "nrr_ppm": ppm(rates.nrr),
        "grr_ppm": ppm(rates.grr),
        "nrr_12_ppm": ppm(period.trailing_nrr),
        "grr_12_ppm": ppm(period.trailing_grr),
    }


def _now(totals: Totals, months: list[Month]) -> Now | None:
    if not months:
        return None
    last = months[-1]
    rated = next((row for row in reversed(months) if row["complete"]), None)
    return {
        "month": last["month"],
        "mrr_minor": last["mrr_minor"],
        "arr_minor": last["arr_minor"],
        "customers": last["customers"],
        "subscriptions": int(totals.states.running[0]),
        "arpa_minor": last["arpa_minor"],
        "detected_minor": last["detected_minor"],
        "late_minor": minor(int(totals.states.late_e4[0])),
        "rates_month": rated["month"] if rated else None,
        "customer_churn_ppm": rated["customer_churn_ppm"] if rated else None,
        "gross_churn_ppm": rated["gross_churn_ppm"] if rated else None,
        "net_churn_ppm": rated["net_churn_ppm"] if rated else None,
        "nrr_12_ppm": rated["nrr_12_ppm"] if rated else None,
        "grr_12_ppm": rated["grr_12_ppm"] if rated else None,
        "nrr_ppm": rated["nrr_ppm"] if rated else None,
        "grr_ppm": rated["grr_ppm"] if rated else None,
        "quick_ratio_ppm": rated["quick_ratio_ppm"] if rated else None,
    }


def _adjustments(listed: Listed, names: Mapping[int, CustomerName]) -> list[Adjustment]:
    return [
        {
            "month": month_text(month),
            "customer": names[customer].public_id,
            "name": names[customer].name,
            "amount_e4": amount,
        }
        for customer, month, amount in listed.adjustments.tolist()
    ]


def _top_customers(
    made: Made, listed: Listed, names: Mapping[int, CustomerName]
) -> list[TopCustomer]:
    whole = int(made.totals.revenue[:, -12:].sum())
    return [
        {
            "customer": names[customer].public_id,
            "name": names[customer].name,
            "connection": names[customer].connection,
            "invoiced_minor": invoiced,
            "share_ppm": ppm(Fraction(invoiced, whole)) if whole > 0 else None,
            "mrr_minor": minor(mrr_e4),
        }
        for customer, invoiced, mrr_e4 in listed.top.tolist()
        if invoiced > 0
    ]


def _revenue(made: Made, known_from: int) -> list[Revenue]:
    if not made.used:
        return []
    recurring, total = made.totals.revenue[0], made.totals.revenue.sum(axis=0)
    complete = made.calendar.complete
    return [
        {
            "month": month_text(month),
            "complete": bool(complete[column]),
            "recurring_minor": int(recurring[column]),
            "non_recurring_minor": int(total[column] - recurring[column]),
            "invoices": int(made.totals.invoices[column]),
        }
        for column, month in enumerate(made.calendar.months.tolist())
        if month >= known_from
    ]


def _receivables(books: Books, owed: OwedSums) -> Receivables:
    minors, counts = owed.ages
    weeks, months = expected_starts(day_number(books.settings.as_of))
    ages = [
        AgeRow(age=_AGES[age], minor=int(minors[age]), invoices=int(counts[age])) for age in Age
    ]
    return {
        "total_minor": int(minors.sum()),
        "overdue_minor": int(minors.sum() - minors[Age.NOT_DUE]),
        "invoices": int(counts.sum()),
        "ages": ages,
        "weeks": _expected(owed.weeks, weeks),
        "months": _expected(owed.months, months),
    }


def _expected(sums: Ints, starts: Ints) -> list[Expected]:
    """Sums from each start to the next; rows after the last day with money are left out."""
    minors, counts = sums
    used = np.flatnonzero(counts)
    return [
        {
            "start": day_date(int(starts[row])).isoformat(),
            "minor": int(minors[row]),
            "invoices": int(counts[row]),
        }
        for row in range(int(used[-1]) + 1 if len(used) else 0)
    ]


def _notes(credits: int, floored: int) -> list[Note]:
    notes: list[Note] = []
    if credits:
        notes.append({"code": "credits_unmatched", "params": {"count": credits}})
    if floored:
        notes.append({"code": "negative_customers", "params": {"count": floored}})
    return notes
