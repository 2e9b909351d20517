"""Lines of issued invoices as the engine's columns."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

import numpy as np

from reporting.domain.arrays import NO_DAY, Codes, as_int64
from reporting.domain.lines import DTYPES, Coded, Lines, build_lines
from reporting.domain.units import unit_code
from reporting.feed.invoices import Invoices
from reporting.feed.reading import read_columns

# What a line shares with its invoice is not read again: a join costs the database more than both.
_LINES = """
    SELECT l.id, l.invoice_id, coalesce(l.product_id, -1), l.net_minor, l.net_acc_minor,
        coalesce(l.start - DATE '1970-01-01', %(absent)s),
        coalesce(l."end" - DATE '1970-01-01', %(absent)s),
        l.quantity, l.unit, l.name, l.text
    FROM integrations_invoiceline l
    WHERE l.tenant_id = %(tenant)s
        AND (%(invoices)s::bigint[] IS NULL OR l.invoice_id = ANY(%(invoices)s))
"""
_TYPES = {
    name: DTYPES[name]
    for name in ("line_id", "invoice_id", "product_id", "net", "net_acc", "start_day", "end_day")
}
_TEXTS = ("quantity", "unit", "name", "text")
# Bits for the id of a line below the turn of its invoice.
_ROOM = 44


def read_lines(invoices: Invoices) -> tuple[Lines, tuple[Sequence[str], Codes]]:
    """Lines of these invoices, and their names as printed (distinct names, index per line).

    Those of invoices without a customer are left out.
    """
    params = {"invoices": invoices.asked, "absent": NO_DAY}
    numbers, texts = read_columns(_LINES, params, _TYPES, _TEXTS)
    rows, of = invoices.found(numbers["invoice_id"])
    someones = invoices.customer[of] >= 0
    rows, of = rows[someones], of[someones]
    del someones
    order = np.argsort(numbers["line_id"][rows], kind="stable")
    rows, of = rows[order], of[order]
    del order
    read: dict[str, Any] = {name: numbers.pop(name)[rows] for name in _TYPES}
    # An invoice's rows have ids in their order; what invoices of a day have is chance.
    if invoices.turn.any():
        read["place"] = read["line_id"] + (invoices.turn[of] << _ROOM)
    quantities, units, names, said = (
        Coded(texts[name].names, texts.pop(name).codes[rows]) for name in _TEXTS
    )
    read |= {
        "customer_id": invoices.customer[of],
        "invoice_day": invoices.day[of],
        "delivery_start_day": invoices.delivery_start[of],
        "delivery_end_day": invoices.delivery_end[of],
        "connection_id": invoices.connection[of],
        "is_credit": invoices.is_credit[of],
        "quantity_e4": as_int64([_e4(one) for one in quantities.names])[quantities.codes],
        "unit": as_int64([unit_code(one) for one in units.names])[units.codes],
    }
    currencies, currency = invoices.currency
    lines = build_lines(
        columns=read,
        products=names,
        currencies=Coded(currencies, currency[of]),
        texts=_joined(names, said),
    )
    return lines, (names.names, names.codes.astype(np.int32, copy=False))


def _e4(quantity: str) -> int:
    """A quantity in 1/10 000, half away from zero."""
    return int((Decimal(quantity) * 10_000).to_integral_value(ROUND_HALF_UP))


def _joined(names: Coded, texts: Coded) -> Coded:
    """Each name and text as one, on two lines."""
    width = max(len(texts.names), 1)
    pairs, code = np.unique(as_int64(names.codes) * width + texts.codes, return_inverse=True)
    known = [
        f"{names.names[pair // width]}\n{texts.names[pair % width]}" for pair in pairs.tolist()
    ]
    return Coded(known, code)
