"""What is open on every issued invoice."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from integrations.models import Payment
from reporting.domain.arrays import NO_DAY, Flags, Ints, as_int64
from reporting.domain.receivables import Receivables
from reporting.domain.rounding import in_proportion
from reporting.feed.invoices import Invoices
from reporting.feed.reading import read_columns


@dataclass(frozen=True, slots=True, kw_only=True)
class Paid:
    """One row per issued invoice beside `Receivables`, in minor units of the tenant's currency."""

    paid: Ints
    written_off: Ints

    def take(self, rows: Ints) -> Paid:
        """The chosen rows in the given order."""
        return Paid(paid=self.paid[rows], written_off=self.written_off[rows])


_PAYMENTS = """
    SELECT y.invoice_id, y.paid_minor, y.amount_acc_minor, y.date - DATE '1970-01-01',
        (y.kind = %(lost)s)::int, y.is_cash::int, y.paid_currency
    FROM integrations_payment y
    WHERE y.tenant_id = %(tenant)s AND y.removed_at IS NULL AND y.invoice_id IS NOT NULL
        AND (%(invoices)s::bigint[] IS NULL OR y.invoice_id = ANY(%(invoices)s))
"""
_TYPES: dict[str, type[np.generic]] = {
    **dict.fromkeys(("invoice_id", "paid", "paid_acc"), np.int64),
    "day": np.int32,
    **dict.fromkeys(("lost", "is_cash"), np.bool_),
}


def read_receivables(invoices: Invoices) -> tuple[Receivables, Paid]:
    """Every one of these invoices with what is open on it, in the tenant's currency, VAT included.

    Open is measured in the invoice's own currency, so that a move of exchange rates between
    invoice and payment leaves nothing behind. A settled status closes an invoice whatever the
    events say; what was paid too much is a debt and no receivable.
    """
    paid, paid_acc, written_off, last_cash, own_currency = _paid(invoices)
    total, total_acc = invoices.total, invoices.total_acc
    native = own_currency & (total != 0)
    left = np.where(native, total - paid, total_acc - paid_acc)
    whole = np.where(native, total, total_acc)
    open_rows = ~invoices.settled & (np.sign(left) == np.sign(whole)) & (left != 0)
    open_gross = np.where(open_rows, left, 0)
    for row in np.flatnonzero(open_rows & native & (total != total_acc)).tolist():
        open_gross[row] = in_proportion(int(left[row]), int(total_acc[row]), int(total[row]))
    by_money = ~open_rows & (written_off == 0) & (total_acc > 0)
    receivables = Receivables(
        invoice_id=invoices.id,
        customer_id=invoices.customer,
        invoice_day=as_int64(invoices.day),
        due_day=as_int64(invoices.due),
        total_gross=total_acc,
        open_gross=open_gross,
        paid_day=np.where(by_money, last_cash, NO_DAY),
    )
    return receivables, Paid(paid=paid_acc - written_off, written_off=written_off)


def _paid(invoices: Invoices) -> tuple[Ints, Ints, Ints, Ints, Flags]:
    """Of each invoice: paid in its own currency and in the tenant's, the part of the latter that
    was written off, the last day with money, and whether all was paid in its own currency."""
    params = {"invoices": invoices.asked, "lost": Payment.CREDIT_LOSS}
    read, texts = read_columns(_PAYMENTS, params, _TYPES, ("currency",))
    known, row = invoices.found(read["invoice_id"])
    read = {name: values[known] for name, values in read.items()}
    paid, paid_acc, written_off = np.zeros((3, len(invoices.id)), dtype=np.int64)
    last_cash = np.full(len(invoices.id), NO_DAY, dtype=np.int64)
    own_currency = np.ones(len(invoices.id), dtype=np.bool_)
    np.add.at(paid, row, read["paid"])
    np.add.at(paid_acc, row, read["paid_acc"])
    lost, cash = read["lost"], read["is_cash"]
    np.add.at(written_off, row[lost], read["paid_acc"][lost])
    np.maximum.at(last_cash, row[cash], as_int64(read["day"][cash]))
    place = {name: code for code, name in enumerate(invoices.currency.names)}
    currency = as_int64([place.get(name, -1) for name in texts["currency"].names])
    other = currency[texts["currency"].codes[known]] != invoices.currency.codes[row]
    own_currency[row[other]] = False
    return paid, paid_acc, written_off, last_cash, own_currency
