"""Issued invoices: what their lines, their payments and what is open on them have in common."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from integrations.models import Invoice
from reporting.domain.arrays import NO_DAY, Codes, Days, Flags, Ints, as_int64
from reporting.domain.cadence import DAY_SPAN
from reporting.domain.lines import Coded
from reporting.feed.reading import chunks, read_columns


@dataclass(frozen=True, slots=True, kw_only=True)
class Invoices:
    """One row per issued invoice, by ascending id; days count from 1970-01-01."""

    id: Ints
    customer: Ints
    """The customer it counts for, the target of one that is merged; -1 without any."""
    day: Days
    due: Days
    delivery_start: Days
    delivery_end: Days
    connection: Codes
    total: Ints
    """Minor units of its own currency, VAT included."""
    total_acc: Ints
    """Minor units of the reporting currency, VAT included."""
    is_credit: Flags
    settled: Flags
    """Closed by its status, whatever was paid."""
    currency: Coded
    turn: Ints
    """Its place among its customer's invoices of the day, as the accounting system numbers them."""
    some: bool
    """Only those of some customers."""

    @property
    def asked(self) -> list[int] | None:
        """The ids by which to ask for what belongs to them; None where all of a tenant's do."""
        return self.id.tolist() if self.some else None

    def found(self, ids: Ints) -> tuple[Codes, Codes]:
        """(places of the ids that are here; the row of each)."""
        row = np.searchsorted(self.id, ids)
        inside = np.flatnonzero(row < len(self.id))
        places = inside[self.id[row[inside]] == ids[inside]]
        # Half as wide, for there are many.
        return places.astype(np.int32), row[places].astype(np.int32)


_INVOICES = """
    SELECT i.id, coalesce(m.into_id, i.customer_id, -1), i.date - DATE '1970-01-01',
        coalesce(i.due_date, i.date) - DATE '1970-01-01',
        coalesce(i.delivery_start - DATE '1970-01-01', %(absent)s),
        coalesce(i.delivery_end - DATE '1970-01-01', %(absent)s),
        i.connection_id, i.total_minor, i.total_acc_minor, i.is_credit::int,
        (i.status = ANY(%(settled)s))::int, i.currency
    FROM integrations_invoice i
    LEFT JOIN reporting_customermerge m
        ON m.tenant_id = i.tenant_id AND m.customer_id = i.customer_id
    WHERE i.tenant_id = %(tenant)s AND i.connection_id = ANY(%(connections)s)
        AND i.issued AND i.removed_at IS NULL
        AND (%(customers)s::bigint[] IS NULL OR i.customer_id = ANY(%(customers)s))
"""
_TYPES: dict[str, type[np.generic]] = {
    "id": np.int64,
    "customer": np.int64,
    **dict.fromkeys(("day", "due", "delivery_start", "delivery_end", "connection"), np.int32),
    **dict.fromkeys(("total", "total_acc"), np.int64),
    **dict.fromkeys(("is_credit", "settled"), np.bool_),
}


def read_invoices(connection_ids: list[int], customer_ids: list[int] | None) -> Invoices:
    """Issued invoices of these connections, of the given customers or of all."""
    params = {
        "connections": connection_ids,
        "customers": customer_ids,
        "absent": NO_DAY,
        "settled": list(Invoice.SETTLED),
    }
    numbers, texts = read_columns(_INVOICES, params, _TYPES, ("currency",))
    order = np.argsort(numbers["id"], kind="stable")
    names, codes = texts["currency"]
    columns = {name: values[order] for name, values in numbers.items()}
    return Invoices(
        **columns,
        turn=_turns(columns),
        currency=Coded(names, codes[order]),
        some=customer_ids is not None,
    )


_NUMBERS = """
    SELECT id, external_id FROM integrations_invoice
    WHERE tenant_id = %(tenant)s AND id = ANY(%(ids)s)
"""


def _turns(columns: dict[str, NDArray[Any]]) -> Ints:
    """`Invoices.turn`; only the numbers of invoices that share their day are read."""
    turn = np.zeros(len(columns["id"]), dtype=np.int64)
    days = columns["customer"] * DAY_SPAN + columns["day"]
    ordered = np.sort(days[columns["customer"] >= 0])
    twice = ordered[1:][ordered[1:] == ordered[:-1]]
    if not twice.size:
        return turn
    rows = np.flatnonzero(np.isin(days, twice))
    number: dict[int, str] = {}
    for chunk in chunks(_NUMBERS, {"ids": columns["id"][rows].tolist()}):
        number.update(chunk)
    told = [number[one] for one in columns["id"][rows].tolist()]
    # Numbers are digits as a rule, and the longer ones larger.
    keys = list(zip(map(len, told), told, columns["connection"][rows].tolist(), strict=True))
    rank = {key: place for place, key in enumerate(sorted(keys))}
    rows = rows[np.lexsort((as_int64([rank[key] for key in keys]), days[rows]))]
    first = np.append(True, days[rows][1:] != days[rows][:-1])
    place = np.arange(len(rows))
    turn[rows] = place - np.maximum.accumulate(np.where(first, place, 0))
    return turn
