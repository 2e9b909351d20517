"""A sandbox company's invoice lines beside the truth about them, as its books came or stripped."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from typing import Any

import msgspec
import numpy as np

from integrations.procountor import records
from integrations.sandbox import Company, RowTruth
from integrations.sandbox.traps import trap_names
from integrations.sync import mapping
from reporting.domain.lines import Lines, build_lines
from reporting.domain.periods import add_months_date, day_number, months_between_dates
from reporting.domain.units import METERED, PIECE, WORK, unit_code

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


def muted(books: Labelled) -> Labelled:
    """The same lines with names that say nothing, sold by the piece but for work and use."""
    lines = books.lines
    names = tuple(f"tuote {'x' * place}" for place in range(len(lines.product_names)))
    speaks = ~(WORK | METERED)[lines.unit]
    unit = np.where(speaks, PIECE, lines.unit).astype(lines.unit.dtype)
    told = replace(lines, product_names=names, texts=names, text=lines.product_key, unit=unit)
    return replace(books, lines=told)


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
    undated = {key: _Undated(mine, bare) for key, mine in by_key.items()}
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

    def __init__(self, rows: Sequence[_Row], bare: bool) -> None:
        ordered = sorted(rows, key=lambda row: (row.day, int(row.invoice.invoice.external_id)))
        sums: dict[Span, int] = defaultdict(int)
        self._charges: dict[Span, list[_Row]] = defaultdict(list)
        for row in ordered:
            sums[_true(row)] += row.line.net_minor
            if row.line.net_minor > 0:
                self._charges[_true(row)].append(row)
        # A period that was taken back and not billed again has no invoice.
        self._billed = {
            span: found[-1].day for span, found in self._charges.items() if sums[span] > 0
        }
        self._stated = {
            span for span, found in self._charges.items() if not bare and found[-1].stated
        }

    def period(self, row: _Row) -> Span:
        """The period of a charge, of what takes it back, or of a credit for the rest of one."""
        start, end = span = _true(row)
        charges = self._charges.get(span)
        if charges is None:
            return row.day, max(row.day + timedelta(days=1), self._end(end))
        amount = abs(row.line.net_minor)
        own = [one for one in charges if one.line.net_minor == amount and one.day <= row.day]
        begins = (own or charges)[-1].day
        # What is billed for months gone by, too, begins with the first of them.
        gone_by = begins < end and add_months_date(start, 1) <= begins
        return start if gone_by else begins, self._stop(begins, span)

    def _end(self, end: date) -> date:
        """Where the charge whose period truly ends on `end` has its end."""
        for span, charges in self._charges.items():
            if span[1] == end:
                day = self._billed.get(span, charges[-1].day)
                return end if span in self._stated else self._stop(day, span)
        return end

    def _stop(self, begins: date, span: Span) -> date:
        start, end = span
        whole = months_between_dates(start, end)
        nominal = begins + (end - start)
        if whole.denominator == 1:
            nominal = add_months_date(begins, int(whole))
        later = [day for other, day in self._billed.items() if other[0] >= end]
        latest = begins + 3 * (nominal - begins) / 2
        return min(later) if later and min(later) <= latest else nominal


def _true(row: _Row) -> Span:
    if row.truth.start is None or row.truth.end is None:
        raise ValueError(f"row {row.truth.row_id} of a subscription has no period")
    return row.truth.start, row.truth.end
