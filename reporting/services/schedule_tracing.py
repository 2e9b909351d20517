"""What changed the revenue recognised, deferred and accrued of closed months, line by line."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from calqsync.tenancy.bulk import former_table
from reporting.domain.arrays import NO_DAY, Flags, Ints, as_int64
from reporting.domain.periods import first_day, last_day, month_of
from reporting.domain.recognition import Schedule, planned
from reporting.domain.restatements import Cause, Share, shares
from reporting.domain.rounding import in_proportion
from reporting.models import LineFigure
from reporting.services.causing import MANY, Document, Words, read
from reporting.services.tracing import Traced

Key = tuple[int, int, int]
"""(cause, document, word)."""
_METRICS = ("recognised", "deferred", "accrued")
# How many months of lines are looked at at once, in some 30 MB.
CELLS = 1 << 18


@dataclass(frozen=True, slots=True, kw_only=True)
class Recognised:
    """What each cause changed in each figure: rows of `keys` × months from `first` on.

    A lone cause changed all that differs, and its parts are not needed.
    """

    first: int
    keys: Ints
    parts: Mapping[str, Ints]

    def shares(self, metric: str, month: int, total: int, *, limit: int) -> list[Share]:
        """What each cause did to one figure, largest first; they add up to `total`."""
        if len(self.keys) == 1:
            # Nothing else changed, whatever is not known of the former lines.
            amounts = as_int64([total])
        else:
            amounts = self.parts[metric][:, month - self.first]
        # Former lines of edited invoices are known by their sum: what they miss is with the rest.
        known = bool(amounts.any())
        return shares(self.keys, amounts, total, exact=True, deleted=not known, limit=limit)


def trace_recognised(traced: Traced, *, closed: range, daily: bool, words: Words) -> Recognised:
    """The causes of every change in the `closed` months, by the method that the tenant chose."""
    rows = read(
        _LINES.format(former=former_table(LineFigure)),
        invoices=list(traced.documents),
        absent=NO_DAY,
        most=MANY + 1,
    )
    if len(rows) > MANY:
        return Recognised(first=closed[0], keys=as_int64([_everywhere(traced, words)]), parts={})
    lines = _Lines(*as_int64(rows).reshape(-1, len(_Lines._fields)).T)
    lines = lines.part(lines.net != 0)
    keys = as_int64([_key(traced, *one, words) for one in lines.names()]).reshape(-1, 3)
    named, place = np.unique(keys, axis=0, return_inverse=True)
    parts = {metric: np.zeros((len(named), len(closed)), np.int64) for metric in _METRICS}
    every, size = np.arange(len(keys)), CELLS // (len(closed) + 1)
    for some in np.split(every, every[size::size]):
        chosen = lines.part(some)
        now = _by_month(chosen.now(daily), closed)
        was = _by_month(chosen.former(traced.documents, daily), closed)
        for metric, amounts in parts.items():
            np.add.at(amounts, place.reshape(-1)[some], now[metric] - was[metric])
    return Recognised(first=closed[0], keys=named, parts=parts)


class _Lines(NamedTuple):
    """Lines that count in another way, or whose documents differ; days as in the engine."""

    line: Ints
    invoice: Ints
    product: Ints
    customer: Ints
    net: Ints
    delivered: Ints
    invoiced: Ints
    was_there: Ints
    was_served: Ints
    was_start: Ints
    was_end: Ints
    is_there: Ints
    is_served: Ints
    start: Ints
    end: Ints

    def part(self, rows: Ints | Flags) -> _Lines:
        """The chosen ones."""
        return _Lines(*(column[rows] for column in self))

    def names(self) -> list[tuple[int, int, int, int]]:
        """(line, invoice, product, customer) of each."""
        columns = (one.tolist() for one in self[:4])
        return list(zip(*columns, strict=True))

    def now(self, daily: bool) -> Schedule:
        return planned(
            row=self.line,
            net=self.net * self.is_there,
            served=self.is_served > 0,
            start=self.start,
            end=self.end,
            day=as_int64(np.where(self.delivered != NO_DAY, self.delivered, self.invoiced)),
            invoiced=month_of(self.invoiced),
            daily=daily,
        )

    def former(self, documents: Mapping[int, Document], daily: bool) -> Schedule:
        """As they were published; those of an edited invoice in proportion to its former sum."""
        net, month = self.net * self.was_there, month_of(self.invoiced)
        for row, invoice in enumerate(self.invoice.tolist()):
            document = documents.get(invoice)
            if document is not None and document.edited and document.cause is None:
                month[row] = document.was_month
                if document.now_net:
                    net[row] = in_proportion(int(net[row]), document.was_net, document.now_net)
        moved = np.where(month == month_of(self.invoiced), self.invoiced, first_day(month))
        return planned(
            row=self.line,
            net=net,
            served=self.was_served > 0,
            start=self.was_start,
            end=self.was_end,
            day=as_int64(np.where(self.delivered != NO_DAY, self.delivered, moved)),
            invoiced=month,
            daily=daily,
        )


_LINES = """
    WITH concerned AS (
        SELECT line_id AS id FROM {former}
        UNION
        SELECT id FROM integrations_invoiceline
        WHERE tenant_id = %(tenant)s AND invoice_id = ANY(%(invoices)s)
        LIMIT %(most)s
    )
    SELECT l.id, l.invoice_id, coalesce(l.product_id, -1),
        coalesce(n.customer_id, w.customer_id, -1), l.net_acc_minor,
        coalesce(coalesce(l.start, i.delivery_start) - DATE '1970-01-01', %(absent)s),
        i.date - DATE '1970-01-01',
        (w.id IS NOT NULL)::int, coalesce(w.counted AND w."end" > w.start, false)::int,
        coalesce(w.start - DATE '1970-01-01', 0), coalesce(w."end" - DATE '1970-01-01', 0),
        (n.id IS NOT NULL)::int, coalesce(n.counted AND n."end" > n.start, false)::int,
        coalesce(n.start - DATE '1970-01-01', 0), coalesce(n."end" - DATE '1970-01-01', 0)
    FROM concerned c
    JOIN integrations_invoiceline l ON l.tenant_id = %(tenant)s AND l.id = c.id
    JOIN integrations_invoice i ON i.tenant_id = %(tenant)s AND i.id = l.invoice_id
    LEFT JOIN reporting_linefigure n ON n.tenant_id = %(tenant)s AND n.line_id = c.id
    LEFT JOIN {former} f ON f.line_id = c.id
    CROSS JOIN LATERAL (
        SELECT f.id, f.customer_id, f.counted, f.start, f."end" WHERE f.line_id IS NOT NULL
        UNION ALL
        SELECT n.id, n.customer_id, n.counted, n.start, n."end" WHERE f.line_id IS NULL
    ) w
    ORDER BY l.id
"""


def _by_month(plan: Schedule, closed: range) -> dict[str, Ints]:
    """Each figure of each line, lines × months."""
    months = np.arange(closed[0] - 1, closed[-1] + 1, dtype=np.int64)
    line = np.repeat(np.arange(len(plan.row)), len(months))
    month = np.tile(months, len(plan.row))
    shape = (len(plan.row), len(months))
    done = plan.recognised_by(line, month, last_day(month)).reshape(shape)
    ahead, behind = (one.reshape(shape) for one in plan.open_on(line, month, last_day(month)))
    return {
        "recognised": as_int64(np.diff(done, axis=1)),
        "deferred": as_int64(ahead[:, 1:]),
        "accrued": as_int64(behind[:, 1:]),
    }


def _key(traced: Traced, line: int, invoice: int, product: int, customer: int, words: Words) -> Key:
    document = traced.documents.get(invoice)
    if document is not None and document.account in traced.accounts:
        return traced.accounts[document.account], -1, -1
    if document is not None and document.cause is not None:
        return document.cause, invoice, -1
    if (known := traced.of_line.get(line)) is not None:
        return known
    if document is not None and document.edited:
        return Cause.INVOICE_EDITED, invoice, -1
    if (said := words.about(line, product, (customer,))) >= 0:
        return Cause.WORD, invoice, said
    if words.settings >= 0:
        return Cause.SETTINGS, -1, words.settings
    return Cause.REREAD, invoice, -1


def _everywhere(traced: Traced, words: Words) -> Key:
    """The one cause that is told where so many lines differ that nobody reads them."""
    if traced.accounts:
        return next(iter(traced.accounts.values())), -1, -1
    if words.settings >= 0:
        return Cause.SETTINGS, -1, words.settings
    weight: Counter[int] = Counter()
    for document in traced.documents.values():
        cause = Cause.INVOICE_EDITED if document.cause is None else document.cause
        weight[cause] += abs(document.now_net - document.was_net)
    if weight.total():
        return weight.most_common(1)[0][0], -1, -1
    return (Cause.WORD, -1, len(words.told) - 1) if words.told else (Cause.REREAD, -1, -1)
