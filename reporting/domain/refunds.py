"""Refunds and overdue receivables by the month of the invoice, VAT included.

Accounting data know no failed card payments: what is still unpaid after its due day takes their
place.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from reporting.domain.arrays import Flags, Ints
from reporting.domain.growth import Calendar
from reporting.domain.periods import month_of, month_text
from reporting.domain.receivables import Receivables
from reporting.domain.sums import Additive
from reporting.parts import RefundMonth


@dataclass(frozen=True, slots=True, kw_only=True)
class RefundSums(Additive):
    """One value a month: numbers of documents, and gross amounts in minor units.

    `credited` is what credit notes give back, `billed` what invoices ask for; `overdue` is what
    of the month's invoices is open on as_of and was due before it. An open credit note takes off
    it, as it does in receivables by age: the months add up to what is overdue in all.
    """

    credit_notes: Ints
    credited: Ints
    billed: Ints
    overdue: Ints
    overdue_invoices: Ints


def refund_sums(receivables: Receivables, calendar: Calendar) -> RefundSums:
    """The sums of all invoices dated in the calendar's months."""
    width = len(calendar.months)
    column = month_of(receivables.invoice_day) - (int(calendar.months[0]) if width else 0)
    inside = (column >= 0) & (column < width)
    total, open_gross = receivables.total_gross, receivables.open_gross
    late = (open_gross != 0) & (receivables.due_day < calendar.as_of_day)

    def by_month(rows: Flags, amounts: Ints) -> Ints:
        chosen = inside & rows
        sums = np.zeros(width, dtype=np.int64)
        np.add.at(sums, column[chosen], amounts[chosen])
        return sums

    one = np.ones(len(receivables), dtype=np.int64)
    return RefundSums(
        credit_notes=by_month(total < 0, one),
        credited=by_month(total < 0, -total),
        billed=by_month(total > 0, total),
        overdue=by_month(late, open_gross),
        overdue_invoices=by_month(late, one),
    )


def refund_months(sums: RefundSums, calendar: Calendar, known_from: int = 0) -> list[RefundMonth]:
    """The months from `known_from` on, as the page shows them."""
    return [
        {
            "month": month_text(month),
            "complete": bool(calendar.complete[column]),
            "credit_notes": int(sums.credit_notes[column]),
            "credited_minor": int(sums.credited[column]),
            "billed_minor": int(sums.billed[column]),
            "overdue_minor": int(sums.overdue[column]),
            "overdue_invoices": int(sums.overdue_invoices[column]),
        }
        for column, month in enumerate(calendar.months.tolist())
        if month >= known_from
    ]
