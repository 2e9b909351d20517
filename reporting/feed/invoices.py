"""Issued invoices: what their lines, their payments and what is open on them have in common."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from integrations.models import Invoice
from reporting.domain.arrays import NO_DAY, Codes, Days, Flags, Ints
from reporting.domain.lines import Coded
from reporting.feed.reading import read_columns


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
    return Invoices(
        **{name: values[order] for name, values in numbers.items()},
        currency=Coded(names, codes[order]),
        some=customer_ids is not None,
    )
