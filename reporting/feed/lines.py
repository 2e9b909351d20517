"""Lines of issued invoices as the engine's columns."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from reporting.domain.arrays import NO_DAY, Ints, as_int64
from reporting.domain.lines import DTYPES, Coded, Lines, build_lines
from reporting.domain.units import unit_code
from reporting.feed.reading import IntegerColumns, as_numpy, read_tables

if TYPE_CHECKING:
    import pyarrow as pa

_LINES = """
    SELECT l.id, l.invoice_id, coalesce(m.into_id, i.customer_id), coalesce(l.product_id, -1),
        i.date - DATE '1970-01-01', l.net_minor, l.net_acc_minor,
        round(l.quantity * 10000)::bigint,
        coalesce(l.start - DATE '1970-01-01', %(absent)s),
        coalesce(l."end" - DATE '1970-01-01', %(absent)s),
        coalesce(i.delivery_start - DATE '1970-01-01', %(absent)s),
        coalesce(i.delivery_end - DATE '1970-01-01', %(absent)s),
        l.connection_id, i.is_credit::int,
        l.unit, i.currency, l.name, l.name || E'\n' || l.text
    FROM integrations_invoiceline l
    JOIN integrations_invoice i ON i.tenant_id = l.tenant_id AND i.id = l.invoice_id
    LEFT JOIN reporting_customermerge m
        ON m.tenant_id = i.tenant_id AND m.customer_id = i.customer_id
    WHERE l.tenant_id = %(tenant)s AND i.tenant_id = %(tenant)s
        AND i.connection_id = ANY(%(connections)s) AND i.issued AND i.removed_at IS NULL
        AND i.customer_id IS NOT NULL
        AND (%(customers)s::bigint[] IS NULL OR i.customer_id = ANY(%(customers)s))
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
    # Only who reads the books' lines pays for it: a process that shows stored figures does not.
    import pyarrow as pa

    numbers = IntegerColumns(_TYPES)
    texts = {name: _Codes() for name in ("unit", "currency", "name", "text")}

    def take(table: pa.Table) -> None:
        numbers.take(table)
        for name, codes in texts.items():
            codes.take(table[name].combine_chunks())

    params = {"connections": connection_ids, "customers": customer_ids, "absent": NO_DAY}
    text = pa.dictionary(pa.int32(), pa.string())
    columns = dict.fromkeys(_TYPES, pa.int64()) | dict.fromkeys(texts, text)
    read_tables(_LINES, params, columns, take)
    read: dict[str, Any] = numbers.whole()
    order = np.argsort(read["line_id"], kind="stable")
    for name in read:
        read[name] = read[name][order]
    units, currencies, names, said = (Coded(one.names, one.codes[order]) for one in texts.values())
    codes = as_int64([unit_code(unit) for unit in units.names])
    read["unit"] = codes[units.codes] if len(codes) else units.codes
    lines = build_lines(columns=read, products=names, currencies=currencies, texts=said)
    return lines, (names.names, names.codes)


class _Codes:
    """Repeated strings as codes, so that each distinct one is held and looked at once."""

    def __init__(self) -> None:
        self._code: dict[str, int] = {}
        self._parts: list[Ints] = []

    def take(self, values: pa.DictionaryArray) -> None:
        code = self._code
        known = [code.setdefault(value, len(code)) for value in values.dictionary.to_pylist()]
        self._parts.append(as_int64(known)[as_numpy(values.indices)])

    @property
    def names(self) -> list[str]:
        return list(self._code)

    @property
    def codes(self) -> Ints:
        return np.concatenate(self._parts) if self._parts else np.zeros(0, dtype=np.int64)
