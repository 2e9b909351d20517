"""What is open on every issued invoice."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from reporting.domain.arrays import NO_DAY, Ints
from reporting.domain.receivables import Receivables
from reporting.feed.reading import IntegerColumns, chunks

SETTLED = ["MARKED_PAID", "PAID"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Paid:
    """One row per issued invoice beside `Receivables`, in minor units of the tenant's currency."""

    paid: Ints
    written_off: Ints

    def take(self, rows: Ints) -> Paid:
        """The chosen rows in the given order."""
        return Paid(paid=self.paid[rows], written_off=self.written_off[rows])


_RECEIVABLES = """
    SELECT i.id, coalesce(m.into_id, i.customer_id, -1), i.date - DATE '1970-01-01',
        coalesce(i.due_date, i.date) - DATE '1970-01-01',
        i.total_minor, i.total_acc_minor, i.status = ANY(%(settled)s),
        coalesce(p.paid, 0), coalesce(p.paid_acc, 0), coalesce(p.own_currency, true),
        coalesce(p.written_off, 0), coalesce(p.last_cash - DATE '1970-01-01', %(absent)s)
    FROM integrations_invoice i
    LEFT JOIN (
        SELECT y.invoice_id, sum(y.paid_minor) AS paid, sum(y.amount_acc_minor) AS paid_acc,
            bool_and(y.paid_currency = v.currency) AS own_currency,
            sum(y.amount_acc_minor) FILTER (WHERE y.kind = ANY(%(lost)s)) AS written_off,
            max(y.date) FILTER (WHERE y.is_cash) AS last_cash
        FROM integrations_payment y
        JOIN integrations_invoice v ON v.tenant_id = y.tenant_id AND v.id = y.invoice_id
        WHERE y.tenant_id = %(tenant)s AND v.tenant_id = %(tenant)s AND y.removed_at IS NULL
            AND (%(customers)s::bigint[] IS NULL OR v.customer_id = ANY(%(customers)s))
        GROUP BY y.invoice_id
    ) p ON p.invoice_id = i.id
    LEFT JOIN reporting_customermerge m
        ON m.tenant_id = i.tenant_id AND m.customer_id = i.customer_id
    WHERE i.tenant_id = %(tenant)s AND i.connection_id = ANY(%(connections)s)
        AND i.issued AND i.removed_at IS NULL
        AND (%(customers)s::bigint[] IS NULL OR i.customer_id = ANY(%(customers)s))
    ORDER BY i.id
"""
CREDIT_LOSS = ["CREDITLOSS", "CREDIT_LOSS", "credit_loss"]
_TYPES: dict[str, type[np.generic]] = {
    **dict.fromkeys(("invoice", "customer", "day", "due", "total", "total_acc"), np.int64),
    "settled": np.bool_,
    **dict.fromkeys(("paid", "paid_acc"), np.int64),
    "own_currency": np.bool_,
    **dict.fromkeys(("written_off", "last_cash"), np.int64),
}


def read_receivables(
    connection_ids: list[int], customer_ids: list[int] | None
) -> tuple[Receivables, Paid]:
    """Every issued invoice with what is open on it, in the tenant's currency, VAT included.

    Open is measured in the invoice's own currency, so that a move of exchange rates between
    invoice and payment leaves nothing behind. A settled status closes an invoice whatever the
    events say; what was paid too much is a debt and no receivable.
    """
    params = {
        "connections": connection_ids,
        "customers": customer_ids,
        "absent": NO_DAY,
        "settled": sorted(SETTLED),
        "lost": CREDIT_LOSS,
    }
    read = IntegerColumns(_TYPES)
    for rows in chunks(_RECEIVABLES, params):
        read.add(rows)
    invoice, customer, day, due, total, total_acc, *of_payments = read.whole().values()
    settled, paid, paid_acc, own_currency, written_off, last_cash = of_payments
    native = own_currency & (total != 0)
    left = np.where(native, total - paid, total_acc - paid_acc)
    whole = np.where(native, total, total_acc)
    open_rows = ~settled & (np.sign(left) == np.sign(whole)) & (left != 0)
    open_gross = np.where(open_rows, left, 0)
    # Products of two amounts can leave 64 bits, so Python's integers do these few.
    for row in np.flatnonzero(open_rows & native & (total != total_acc)).tolist():
        open_gross[row] = _in_proportion(int(left[row]), int(total_acc[row]), int(total[row]))
    by_money = ~open_rows & (written_off == 0) & (total_acc > 0)
    receivables = Receivables(
        invoice_id=invoice,
        customer_id=customer,
        invoice_day=day,
        due_day=due,
        total_gross=total_acc,
        open_gross=open_gross,
        paid_day=np.where(by_money, last_cash, NO_DAY),
    )
    return receivables, Paid(paid=paid_acc - written_off, written_off=written_off)


def _in_proportion(part: int, whole_to: int, whole: int) -> int:
    """part × whole_to ÷ whole, half away from zero."""
    numerator, denominator = abs(part * whole_to), abs(whole)
    size = (2 * numerator + denominator) // (2 * denominator)
    return size if (part > 0) == (whole_to * whole > 0) else -size
