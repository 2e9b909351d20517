"""Lines of issued invoices as the engine's columns."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from reporting.domain.arrays import NO_DAY, Ints, as_int64
from reporting.domain.lines import DTYPES, Lines, build_lines
from reporting.domain.units import unit_code
from reporting.feed.reading import IntegerColumns, chunks

_LINES = """
    SELECT l.id, l.invoice_id, coalesce(m.into_id, i.customer_id), coalesce(l.product_id, -1),
        i.date - DATE '1970-01-01', l.net_minor, l.net_acc_minor,
        round(l.quantity * 10000)::bigint,
        coalesce(l.start - DATE '1970-01-01', %(absent)s),
        coalesce(l."end" - DATE '1970-01-01', %(absent)s),
        coalesce(i.delivery_start - DATE '1970-01-01', %(absent)s),
        coalesce(i.delivery_end - DATE '1970-01-01', %(absent)s),
        l.connection_id, i.is_credit::int,
        l.unit, i.currency, l.name, l.text
    FROM integrations_invoiceline l
    JOIN integrations_invoice i ON i.tenant_id = l.tenant_id AND i.id = l.invoice_id
    LEFT JOIN reporting_customermerge m
        ON m.tenant_id = i.tenant_id AND m.customer_id = i.customer_id
    WHERE l.tenant_id = %(tenant)s AND i.tenant_id = %(tenant)s
        AND i.connection_id = ANY(%(connections)s) AND i.issued AND i.removed_at IS NULL
        AND i.customer_id IS NOT NULL
        AND (%(customers)s::bigint[] IS NULL OR i.customer_id = ANY(%(customers)s))
    ORDER BY l.id
"""
_TYPES = {
    name: DTYPES[name]
    for name in (
        "line_id",
        "invoice_id",
        "customer_id",
        "product_id",
        "invoice_day",
        "net",
        "net_acc",
        "quantity_e4",
        "start_day",
        "end_day",
        "delivery_start_day",
        "delivery_end_day",
        "connection_id",
        "is_credit",
    )
}


def read_lines(
    connection_ids: list[int], customer_ids: list[int] | None
) -> tuple[Lines, tuple[Sequence[str], Ints]]:
    """Lines of issued invoices, and their names as printed (distinct names, index per line).

    Only those of the given customers, or of all; a merged customer's are those of its target.
    """
    width = len(_TYPES)
    numbers = IntegerColumns(_TYPES)
    units, currencies, names, texts = (_Codes() for _ in range(4))
    params = {"connections": connection_ids, "customers": customer_ids, "absent": NO_DAY}
    for rows in chunks(_LINES, params):
        numbers.add(rows)
        units.add(row[width] for row in rows)
        currencies.add(row[width + 1] for row in rows)
        names.add(row[width + 2] for row in rows)
        texts.add(f"{row[width + 2]}\n{row[width + 3]}" for row in rows)
    columns: dict[str, Any] = numbers.whole()
    columns["unit"] = units.mapped([unit_code(unit) for unit in units.names])
    lines = build_lines(
        columns=columns,
        products=names.spelt(names.names),
        currencies=currencies.spelt(currencies.names),
        texts=texts.spelt(texts.names),
    )
    return lines, (names.names, names.codes)


class _Codes:
    """Repeated strings as codes, so that each distinct one is held and looked at once."""

    def __init__(self) -> None:
        self._code: dict[str, int] = {}
        self._parts: list[Ints] = []

    def add(self, values: Iterator[str]) -> None:
        code = self._code
        self._parts.append(
            np.fromiter((code.setdefault(value, len(code)) for value in values), dtype=np.int64)
        )

    @property
    def names(self) -> list[str]:
        return list(self._code)

    @property
    def codes(self) -> Ints:
        return np.concatenate(self._parts) if self._parts else np.zeros(0, dtype=np.int64)

    def mapped(self, values: list[int]) -> Ints:
        """`values[code]` for every row."""
        return as_int64(values)[self.codes] if values else self.codes

    def spelt(self, values: list[str]) -> Any:
        """As `mapped`, for strings; the strings are shared, not copied."""
        return np.array(values, dtype=object)[self.codes]
