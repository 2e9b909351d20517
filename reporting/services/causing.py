"""What made each invoice line count in another way than was published: document, word, time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

import numpy as np
from django.db import connection as database
from django.db.models import Q

from calqsync.tenancy import scope
from calqsync.tenancy.bulk import former_table
from reporting.domain.arrays import Ints
from reporting.domain.choices import SubscriptionKey
from reporting.domain.restatements import Cause, followed
from reporting.models import Edit, InvoiceFigure, LineFigure, ReportSettings

# Lines beyond which documents are not told apart: everything was read anew.
MANY = 20_000


def read(sql: str, **values: Any) -> list[tuple[Any, ...]]:
    """The rows of a statement that names the tenant in scope as `tenant`."""
    with database.cursor() as cursor:
        cursor.execute(sql, {"tenant": scope.required(), **values})
        return list(cursor.fetchall())


class Document(NamedTuple):
    """An invoice whose figures differ, and how: 0 where it did not count, or no longer does."""

    invoice: int
    customer: int | None
    account: int
    is_credit: bool
    added: bool
    removed: bool
    was_month: int
    was_recurring: int
    was_net: int
    now_month: int
    now_recurring: int
    now_net: int

    @property
    def cause(self) -> Cause | None:
        if self.removed:
            return Cause.INVOICE_REMOVED
        if self.added:
            return Cause.CREDIT_NOTE if self.is_credit else Cause.LATE_INVOICE
        return None

    @property
    def recurring(self) -> int:
        """Its change of recurring revenue."""
        return self.now_recurring - self.was_recurring

    @property
    def edited(self) -> bool:
        """Whether it says another sum or month than before."""
        return (self.was_month, self.was_net) != (self.now_month, self.now_net)


# What was published without its month and net, by an earlier program, was as it is now.
_DOCUMENTS = """
    SELECT f.invoice_id, i.customer_id, i.connection_id,
        i.is_credit OR i.net_acc_minor < 0, f.id IS NULL, n.id IS NULL,
        coalesce(f.month, n.month, d.month), coalesce(f.recurring_minor, 0),
        CASE WHEN f.id IS NULL THEN 0
            ELSE coalesce(f.net_minor, n.net_minor, i.net_acc_minor) END,
        coalesce(n.month, f.month, d.month), coalesce(n.recurring_minor, 0),
        coalesce(n.net_minor, 0)
    FROM {former} f
    JOIN integrations_invoice i ON i.tenant_id = %(tenant)s AND i.id = f.invoice_id
    CROSS JOIN LATERAL (
        SELECT (extract(year FROM i.date) * 12 + extract(month FROM i.date) - 1)::int AS month
    ) d
    LEFT JOIN reporting_invoicefigure n
        ON n.tenant_id = %(tenant)s AND n.invoice_id = f.invoice_id
    WHERE f.id IS NULL OR n.id IS NULL OR f.recurring_minor <> n.recurring_minor
        OR f.net_minor <> n.net_minor OR f.month <> n.month
"""


def documents() -> list[Document]:
    """Invoices that were added, taken out, or count differently in revenue."""
    return [Document(*row) for row in read(_DOCUMENTS.format(former=former_table(InvoiceFigure)))]


class Lines(NamedTuple):
    """Lines that count, or counted, in another way; windows are 0 to 0 where they did not."""

    line: Ints
    invoice: Ints
    group: Ints
    product: Ints
    was_customer: Ints
    now_customer: Ints
    was_from: Ints
    was_to: Ints
    was_mrr: Ints
    now_from: Ints
    now_to: Ints
    now_mrr: Ints
    was_there: Ints
    is_there: Ints
    was_late: Ints
    is_late: Ints
    same_days: Ints
    dated: Ints
    overdue: Ints
    paid: Ints


_LINES = """
    SELECT f.line_id, l.invoice_id,
        coalesce(n.subscription_id, f.subscription_id, -coalesce(l.product_id, 0)),
        coalesce(l.product_id, -1), coalesce(f.customer_id, -1), coalesce(n.customer_id, -1),
        CASE WHEN f.counted THEN f.from_month ELSE 0 END,
        CASE WHEN f.counted THEN f.to_month ELSE 0 END,
        CASE WHEN f.counted THEN f.mrr_e4 ELSE 0 END,
        CASE WHEN n.counted THEN n.from_month ELSE 0 END,
        CASE WHEN n.counted THEN n.to_month ELSE 0 END,
        CASE WHEN n.counted THEN n.mrr_e4 ELSE 0 END,
        (f.id IS NOT NULL)::int, (n.id IS NOT NULL)::int,
        coalesce(f.late, false)::int, coalesce(n.late, false)::int,
        ((f.start, f."end") IS NOT DISTINCT FROM (n.start, n."end"))::int,
        coalesce(f.source IN ('row_dates', 'delivery', 'text')
            AND n.source IN ('row_dates', 'delivery', 'text'), false)::int,
        coalesce(f.counted AND (NOT n.counted OR n.to_month < f.to_month)
            AND o.open_minor > 0 AND o.due + %(patience)s::int < %(as_of)s::date, false)::int,
        coalesce(n.counted AND NOT n.late AND n.to_month > f.to_month
            AND o.open_minor <= 0 AND o.due + %(patience)s::int < %(as_of)s::date, false)::int
    FROM {former} f
    JOIN integrations_invoiceline l ON l.tenant_id = %(tenant)s AND l.id = f.line_id
    LEFT JOIN reporting_linefigure n ON n.tenant_id = %(tenant)s AND n.line_id = f.line_id
    LEFT JOIN reporting_invoicefigure o
        ON o.tenant_id = %(tenant)s AND o.invoice_id = l.invoice_id
    WHERE (coalesce(f.counted, false) OR coalesce(n.counted, false))
        AND (f.customer_id = ANY(%(customers)s) OR n.customer_id = ANY(%(customers)s))
    ORDER BY f.line_id
"""


def lines_of(customers: list[int], *, as_of: str, patience: int | None) -> Lines:
    """The lines of these customers that differ; `patience` is as in `Words`, on the day `as_of`."""
    rows = read(
        _LINES.format(former=former_table(LineFigure)),
        customers=customers,
        as_of=as_of,
        patience=patience,
    )
    return Lines(*np.array(rows, dtype=np.int64).reshape(-1, len(Lines._fields)).T)


class Words:
    """What people said, or took back, since the last publication began."""

    def __init__(self, edits: Sequence[Edit], patience: int | None) -> None:
        self.told = [{"edit": str(edit.public_id), "act": edit.act} for edit in edits]
        self.patience = patience
        """So many days after it fell due an unpaid invoice still counts; None without a limit."""
        self.settings = -1
        self.lines: dict[int, int] = {}
        self.products: dict[int, int] = {}
        self.customers: dict[int, int] = {}
        self.events: dict[int, int] = {}
        for place, edit in enumerate(edits):
            for table, rows in edit.after.items():
                self._hear(place, table, rows, edit)

    @classmethod
    def since(cls, moment: datetime) -> Words:
        edits = Edit.objects.filter(Q(at__gt=moment) | Q(undone_at__gt=moment)).order_by("pk")
        return cls(
            list(edits), ReportSettings.objects.values_list("overdue_days", flat=True).first()
        )

    def _hear(self, place: int, table: str, rows: Mapping[str, Any], edit: Edit) -> None:
        if table == "settings":
            self.settings = place
        elif table == "lines":
            self.lines |= {int(key): place for key in rows}
        elif table == "products":
            self.products |= {int(key): place for key in rows}
        elif table == "cash":
            self.events |= {int(key): place for key in rows}
        elif table == "customers":
            said = [*rows.values(), *edit.before.get(table, {}).values()]
            into = [values["into_id"] for values in said if values]
            self.customers |= dict.fromkeys([*map(int, rows), *map(int, into)], place)
        elif table == "subscriptions":
            keys = (SubscriptionKey.parse(key) for key in rows)
            self.customers |= {key.customer_id: place for key in keys}

    def about(self, line: int, product: int, customers: Sequence[int]) -> int:
        """The word that the line is under; -1 for none."""
        heard = [self.lines.get(line), self.products.get(product)]
        heard += [self.customers.get(customer) for customer in customers]
        return next((place for place in heard if place is not None), -1)


def keys_of(lines: Lines, documents: Mapping[int, Document], words: Words) -> Ints:
    """(cause, document, word) of each line."""
    if len(lines.line) > MANY:
        return _keys_of_many(lines, documents, words)
    keys = np.full((len(lines.line), 3), -1, dtype=np.int64)
    for row, made in enumerate(zip(*(column.tolist() for column in lines), strict=True)):
        line = Lines(*made)
        keys[row] = _key(line, documents.get(int(line.invoice)), words)
    customer = np.where(lines.now_customer >= 0, lines.now_customer, lines.was_customer)
    pair = np.stack((customer, lines.group), axis=1)
    group = np.unique(pair, axis=0, return_inverse=True)[1].reshape(-1)
    weight = np.abs(lines.now_mrr - lines.was_mrr)
    cause, document, said = followed(
        keys[:, 0].astype(np.int8), keys[:, 1], keys[:, 2], customer, group, weight
    )
    return np.stack((cause.astype(np.int64), document, said), axis=1)


def _key(line: Any, document: Document | None, words: Words) -> tuple[int, int, int]:
    if document is not None and document.cause is not None:
        return document.cause, line.invoice, -1
    said = words.about(line.line, line.product, (line.was_customer, line.now_customer))
    if said >= 0:
        return Cause.WORD, line.invoice, said
    if words.settings >= 0:
        return Cause.SETTINGS, -1, words.settings
    return _own_cause(line), line.invoice, -1


def _own_cause(line: Any) -> Cause:
    """Why a line of a document that was there before, and still is, counts in another way."""
    counted = line.was_to > 0 and line.now_to > 0
    amount = counted and line.same_days and line.was_mrr != line.now_mrr
    if not line.was_there or not line.is_there or amount:
        return Cause.INVOICE_EDITED
    if line.dated and not line.same_days:
        return Cause.INVOICE_EDITED
    if line.overdue:
        return Cause.OVERDUE
    if line.paid and line.same_days:
        return Cause.PAID
    if line.was_late and not line.is_late:
        return Cause.GRACE_ENDED
    return Cause.REREAD


def rest_key(words: Words) -> tuple[int, int, int]:
    """Cause, document and word of what no document of its own explains."""
    if words.settings >= 0:
        return Cause.SETTINGS, -1, words.settings
    if words.told:
        return Cause.WORD, -1, len(words.told) - 1
    return Cause.REREAD, -1, -1


def _keys_of_many(lines: Lines, documents: Mapping[int, Document], words: Words) -> Ints:
    """The same by the kind of cause alone: nobody reads thousands of documents."""
    keys = np.full((len(lines.line), 3), rest_key(words), dtype=np.int64)
    for cause in (Cause.CREDIT_NOTE, Cause.LATE_INVOICE, Cause.INVOICE_REMOVED):
        ids = [row.invoice for row in documents.values() if row.cause is cause]
        keys[np.isin(lines.invoice, ids)] = (cause, -1, -1)
    return keys
