"""A sandbox company's invoice lines beside the truth about them, as its books came or stripped."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

import msgspec

from integrations.procountor import records
from integrations.sandbox import Company, RowTruth
from integrations.sandbox.traps import trap_names
from integrations.sync import mapping
from reporting.domain.lines import Lines, build_lines
from reporting.domain.periods import add_months_date, day_number, months_between_dates
from reporting.domain.units import unit_code

LIFE = "life"
"""The name of customers that are no trap: their lives are drawn at random."""
Span = tuple[date, date]


@dataclass(frozen=True, slots=True)
class Label:
    """The truth about one line; `service` is the half-open period that a right reading gives.

    Where the line states no period (`stated`), the reading is that of an undated period: it begins
    on the invoice's day and runs to the next invoice of the subscription where that lies within
    one and a half periods, and its months are those that it was sold for. One that is billed for
    months gone by as well begins with the first of them.
    """

    kind: str
    key: str | None
    trap: str
    cadence: int
    stated: bool
    service: Span | None
    true: Span | None

    def months(self, span: Span) -> float:
        """Months that the amount pays for."""
        whole = self.cadence and self.true and months_between_dates(*self.true) == self.cadence
        return float(self.cadence if whole else months_between_dates(*span))


@dataclass(frozen=True, slots=True)
class Labelled:
    """Lines of issued invoices with one label each, and the company's whole months."""

    lines: Lines
    labels: tuple[Label, ...]
    opens: date
    anchor: date


def labelled(company: Company, *, bare: bool) -> Labelled:
    """The company's lines; `bare` has neither service dates nor product ids."""
    truth: dict[int, list[RowTruth]] = defaultdict(list)
    for row in company.truth():
        truth[row.invoice_id].append(row)
    decoder = msgspec.json.Decoder(records.Invoice)
    rows: list[_Row] = []
    for raw in company.invoices.details.values():
        record = decoder.decode(raw)
        if record.type != "SALES_INVOICE":
            continue
        mapped = mapping.invoice(record, home=company.currency)
        if mapped.invoice.issued:
            rows += [
                _Row(mapped, line, record.invoice_rows[place], truth[record.id][place])
                for place, line in enumerate(mapped.lines)
            ]
    return Labelled(_lines(rows, bare), _labels(company, rows, bare), company.opens, company.anchor)


@dataclass(frozen=True, slots=True)
class _Row:
    invoice: Any
    line: Any
    record: Any
    truth: RowTruth

    @property
    def day(self) -> date:
        return self.invoice.invoice.date

    @property
    def stated(self) -> bool:
        return bool(self.line.start or self.invoice.invoice.delivery_start or self.record.comment)


def _lines(rows: Sequence[_Row], bare: bool) -> Lines:
    customers: dict[str, int] = {}
    numbers = [
        customers.setdefault(row.invoice.customer.identity, len(customers) + 1) for row in rows
    ]

    def days(values: list[date | None]) -> list[int | None]:
        return [None if value is None or bare else day_number(value) for value in values]

    invoices = [row.invoice.invoice for row in rows]
    columns: dict[str, Any] = {
        "line_id": list(range(len(rows))),
        "invoice_id": [int(one.external_id) for one in invoices],
        "customer_id": numbers,
        "product_id": [-1 if bare else int(row.line.product_external_id or -1) for row in rows],
        "invoice_day": [day_number(one.date) for one in invoices],
        "net": [row.line.net_minor for row in rows],
        "net_acc": [row.line.net_acc_minor for row in rows],
        "quantity_e4": [round(row.line.quantity * 10_000) for row in rows],
        "start_day": days([row.line.start for row in rows]),
        "end_day": days([row.line.end for row in rows]),
        "delivery_start_day": days([one.delivery_start for one in invoices]),
        "delivery_end_day": days([one.delivery_end for one in invoices]),
        "connection_id": [1 for _ in rows],
        "is_credit": [one.is_credit for one in invoices],
        "unit": [unit_code(row.line.unit) for row in rows],
    }
    return build_lines(
        columns=columns,
        products=[row.line.name for row in rows],
        currencies=[one.currency for one in invoices],
        texts=[
            f"{row.line.name}\n{(row.record.header_text or '') if bare else row.line.text}"
            for row in rows
        ],
    )


def _labels(company: Company, rows: Sequence[_Row], bare: bool) -> tuple[Label, ...]:
    traps = trap_names(company.profile)
    by_key: dict[str, list[_Row]] = defaultdict(list)
    for row in rows:
        if row.truth.key:
            by_key[row.truth.key].append(row)
    undated = {key: _Undated(mine) for key, mine in by_key.items()}
    labels = []
    for row in rows:
        found = row.truth
        partner = found.partner_id or int((found.key or "0").split("/")[0])
        stated = row.stated and not bare
        true = (found.start, found.end) if found.start and found.end else None
        service = true
        if true and found.key and not stated:
            service = undated[found.key].period(row)
        labels.append(
            Label(
                kind=found.kind,
                key=found.key,
                trap=traps.get(partner, LIFE),
                cadence=found.cadence_months or 0,
                stated=stated,
                service=service,
                true=true,
            )
        )
    return tuple(labels)


class _Undated:
    """One subscription's periods as invoices without dates tell them."""

    def __init__(self, rows: Sequence[_Row]) -> None:
        sums: dict[date, int] = defaultdict(int)
        billed: dict[date, date] = {}
        ends: dict[date, date] = {}
        for row in sorted(rows, key=lambda row: (row.day, int(row.invoice.invoice.external_id))):
            start, end = row.truth.start, row.truth.end
            assert start
            assert end
            sums[start] += row.line.net_minor
            if row.line.net_minor > 0:
                billed[start], ends[start] = row.day, end
        # A period that was taken back and not billed again has no invoice.
        self._billed = {start: day for start, day in billed.items() if sums[start] > 0}
        self._ends = ends
        self._any = billed

    def period(self, row: _Row) -> Span:
        start, end = row.truth.start, row.truth.end
        assert start
        assert end
        if start in self._any:
            begins = self._billed.get(start, self._any[start])
            # What is billed for months gone by, too, begins with the first of them.
            gone_by = begins < end and add_months_date(start, 1) <= begins
            return start if gone_by else begins, self._stop(begins, start, end)
        return row.day, max(row.day + timedelta(days=1), self._end_of(end))

    def _end_of(self, end: date) -> date:
        """Where the period that truly ends on `end` ends without dates."""
        for start, other in self._ends.items():
            if other == end and start in self._any:
                return self._stop(self._billed.get(start, self._any[start]), start, end)
        return end

    def _stop(self, begins: date, start: date, end: date) -> date:
        nominal = begins + (end - start)
        whole = months_between_dates(start, end)
        if whole.denominator == 1:
            nominal = add_months_date(begins, int(whole))
        later = [day for other, day in self._billed.items() if other >= end]
        latest = begins + 3 * (nominal - begins) / 2
        return min(later) if later and min(later) <= latest else nominal
