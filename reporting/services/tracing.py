"""From rows that a publication wrote to the causes of what they changed in closed months."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

import numpy as np
from django.db import connection as database
from django.db.models import Q

from calqsync.tenancy import scope
from calqsync.tenancy.bulk import former_table
from integrations.models import Connection
from reporting.body import Body, Freshness
from reporting.domain.arrays import Ints, as_int64
from reporting.domain.choices import SubscriptionKey
from reporting.domain.mrr import grid
from reporting.domain.restatements import Cause, Effects, History, followed, whole
from reporting.models import CustomerFigure, Edit, InvoiceFigure, LineFigure, ReportSettings

# Lines beyond which documents are not told apart: everything was read anew.
MANY = 20_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Invoices:
    """What invoices dated in closed months changed in recurring revenue, in minor units."""

    month: Ints
    keys: Ints
    """Rows of (cause, document, word)."""
    recurring: Ints


@dataclass(frozen=True, slots=True, kw_only=True)
class Traced:
    first: int
    """The month of the first column."""
    before: History
    after: History
    effects: Effects
    invoices: Invoices
    words: list[dict[str, Any]]
    """What a cause's `said` stands for."""
    deleted: bool
    """Customers are gone, and their figures with them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Published:
    """One of the two publications that are compared."""

    body: Body
    freshness: Sequence[Freshness]

    def included(self) -> set[str]:
        return {row["connection"] for row in self.freshness if row["included"]}

    def exact(self, months: range) -> Ints:
        """MRR of each month in e4 units, 0 where it is not known."""
        known = {month_number(row["month"]): row["mrr_e4"] for row in self.body["months"]}
        return as_int64([known.get(month, 0) for month in months])

    def floored(self, places: Mapping[str, int], months: range) -> Ints:
        """What lifts customers to 0, by their place and the month."""
        table = np.zeros((len(places), len(months)), dtype=np.int64)
        for row in self.body["adjustments"]:
            month = month_number(row["month"])
            if row["customer"] in places and month in months:
                table[places[row["customer"]], months.index(month)] += row["amount_e4"]
        return table


def month_number(text: str) -> int:
    """The engine's index of "YYYY-MM"."""
    return int(text[:4]) * 12 + int(text[5:]) - 1


def trace(before: Published, after: Published, *, closed: range, since: datetime) -> Traced:
    """The causes of every change in the `closed` months; reads what differs and nothing else."""
    last = closed[-1]
    people = _people(last)
    first = min([closed[0], *(row.starts for row in people)])
    documents = {row.invoice: row for row in _documents()}
    accounts = _accounts(before, after)
    words = _Words.since(since)
    months = range(first, last + 1)
    was = _history([row.was for row in people], months)
    became = _history([row.now for row in people], months)
    places = {row.customer: place for place, row in enumerate(people)}
    of_documents = (row.customer for row in documents.values())
    lines = _lines(sorted({*places, *(one for one in of_documents if one is not None)}))
    keys = _keys(lines, documents, words)
    effects = _by_account(_effects(lines, keys, places, months), people, accounts, was, became)
    public = {row.public_id: place for place, row in enumerate(people)}
    floored = after.floored(public, months) - before.floored(public, months)
    whole_of = [row.account in accounts for row in people]
    floored[np.array(whole_of, dtype=np.bool_)] = 0
    known = (became.mrr - was.mrr).sum(axis=0)
    return Traced(
        first=first,
        before=was,
        after=became,
        effects=whole(effects, was, became, floored, _shortened(documents, places)),
        invoices=_invoices(documents, lines, keys, accounts),
        words=words.told,
        deleted=bool((after.exact(months) - before.exact(months) != known).any()),
    )


def _read(sql: str, **values: Any) -> list[tuple[Any, ...]]:
    with database.cursor() as cursor:
        cursor.execute(sql, {"tenant": scope.required(), **values})
        return list(cursor.fetchall())


def _accounts(before: Published, after: Published) -> dict[int, Cause]:
    """Connections whose documents came into the figures, or left them, all at once."""
    was, became = before.included(), after.included()
    rows = Connection.objects.filter(public_id__in=was ^ became).values_list("pk", "public_id")
    return {
        pk: Cause.ACCOUNT_ADDED if str(public) in became else Cause.ACCOUNT_LEFT_OUT
        for pk, public in rows
    }


class _Series(NamedTuple):
    first: int
    mrr: Sequence[int]
    fx: Sequence[int]
    kind: Sequence[int]


class _Person(NamedTuple):
    customer: int
    public_id: str
    account: int
    was: _Series
    now: _Series

    @property
    def starts(self) -> int:
        return min(one.first for one in (self.was, self.now) if one.mrr)


_PEOPLE = """
    SELECT f.customer_id, c.public_id, c.connection_id,
        coalesce(f.first_month, 0), coalesce(f.mrr_e4, '{{}}'), coalesce(f.fx_e4, '{{}}'),
        coalesce(f.moves, '{{}}'),
        coalesce(n.first_month, 0), coalesce(n.mrr_e4, '{{}}'), coalesce(n.fx_e4, '{{}}'),
        coalesce(n.moves, '{{}}')
    FROM {former} f
    JOIN integrations_customer c ON c.tenant_id = %(tenant)s AND c.id = f.customer_id
    LEFT JOIN reporting_customerfigure n
        ON n.tenant_id = %(tenant)s AND n.customer_id = f.customer_id
    WHERE (coalesce(f.first_month, n.first_month) <= %(last)s OR n.first_month <= %(last)s)
        AND (f.first_month, f.mrr_e4[:%(last)s - f.first_month + 1],
            f.fx_e4[:%(last)s - f.first_month + 1], f.moves[:%(last)s - f.first_month + 1])
        IS DISTINCT FROM (n.first_month, n.mrr_e4[:%(last)s - n.first_month + 1],
            n.fx_e4[:%(last)s - n.first_month + 1], n.moves[:%(last)s - n.first_month + 1])
    ORDER BY f.customer_id
"""


def _people(last: int) -> list[_Person]:
    """Customers whose figures differ in a month up to `last`."""
    rows = _read(_PEOPLE.format(former=former_table(CustomerFigure)), last=last)
    found = [
        _Person(customer, str(public_id), account, _Series(*rest[:4]), _Series(*rest[4:]))
        for customer, public_id, account, *rest in rows
    ]
    return [one for one in found if one.was.mrr or one.now.mrr]


def _history(series: Sequence[_Series], months: range) -> History:
    shape = (len(series), len(months))
    tables = [np.zeros(shape, dtype=np.int64) for _ in range(3)]
    for place, one in enumerate(series):
        start = one.first - months[0]
        for table, values in zip(tables, one[1:], strict=True):
            shown = values[: max(0, shape[1] - start)]
            if shown:
                table[place, start : start + len(shown)] = shown
    mrr, fx, kind = tables
    return History(mrr=mrr, fx=fx, kind=kind.astype(np.int8))


class _Document(NamedTuple):
    invoice: int
    customer: int | None
    account: int
    month: int
    is_credit: bool
    added: bool
    removed: bool
    recurring: int
    """Its change of recurring revenue."""

    @property
    def cause(self) -> Cause | None:
        if self.removed:
            return Cause.INVOICE_REMOVED
        if self.added:
            return Cause.CREDIT_NOTE if self.is_credit else Cause.LATE_INVOICE
        return None


_DOCUMENTS = """
    SELECT f.invoice_id, i.customer_id, i.connection_id,
        (extract(year FROM i.date) * 12 + extract(month FROM i.date) - 1)::int,
        i.is_credit OR i.net_acc_minor < 0, f.id IS NULL, n.id IS NULL,
        coalesce(n.recurring_minor, 0) - coalesce(f.recurring_minor, 0)
    FROM {former} f
    JOIN integrations_invoice i ON i.tenant_id = %(tenant)s AND i.id = f.invoice_id
    LEFT JOIN reporting_invoicefigure n
        ON n.tenant_id = %(tenant)s AND n.invoice_id = f.invoice_id
    WHERE f.id IS NULL OR n.id IS NULL OR f.recurring_minor <> n.recurring_minor
"""


def _documents() -> list[_Document]:
    """Invoices that were added, taken out, or count differently in recurring revenue."""
    return [_Document(*row) for row in _read(_DOCUMENTS.format(former=former_table(InvoiceFigure)))]


class _Lines(NamedTuple):
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
        coalesce(f.counted AND NOT n.counted
            AND o.age IN ('up_to_30', 'up_to_60', 'up_to_90', 'over_90'), false)::int
    FROM {former} f
    JOIN integrations_invoiceline l ON l.tenant_id = %(tenant)s AND l.id = f.line_id
    LEFT JOIN reporting_linefigure n ON n.tenant_id = %(tenant)s AND n.line_id = f.line_id
    LEFT JOIN reporting_invoicefigure o
        ON o.tenant_id = %(tenant)s AND o.invoice_id = l.invoice_id
    WHERE (coalesce(f.counted, false) OR coalesce(n.counted, false))
        AND (f.customer_id = ANY(%(customers)s) OR n.customer_id = ANY(%(customers)s))
    ORDER BY f.line_id
"""


def _lines(customers: list[int]) -> _Lines:
    rows = _read(_LINES.format(former=former_table(LineFigure)), customers=customers)
    return _Lines(*np.array(rows, dtype=np.int64).reshape(-1, len(_Lines._fields)).T)


class _Words:
    """What people said, or took back, since the last publication began."""

    def __init__(self, edits: Sequence[Edit], overdue: bool) -> None:
        self.told = [{"edit": str(edit.public_id), "act": edit.act} for edit in edits]
        self.overdue = overdue
        self.settings = -1
        self.lines: dict[int, int] = {}
        self.products: dict[int, int] = {}
        self.customers: dict[int, int] = {}
        for place, edit in enumerate(edits):
            for table, rows in edit.after.items():
                self._hear(place, table, rows, edit)

    @classmethod
    def since(cls, moment: datetime) -> _Words:
        edits = Edit.objects.filter(Q(at__gt=moment) | Q(undone_at__gt=moment)).order_by("pk")
        overdue = ReportSettings.objects.exclude(overdue_days=None).exists()
        return cls(list(edits), overdue)

    def _hear(self, place: int, table: str, rows: Mapping[str, Any], edit: Edit) -> None:
        if table == "settings":
            self.settings = place
        elif table == "lines":
            self.lines |= {int(key): place for key in rows}
        elif table == "products":
            self.products |= {int(key): place for key in rows}
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


def _keys(lines: _Lines, documents: Mapping[int, _Document], words: _Words) -> Ints:
    """(cause, document, word) of each line."""
    if len(lines.line) > MANY:
        return _keys_of_many(lines, documents, words)
    keys = np.full((len(lines.line), 3), -1, dtype=np.int64)
    for row, made in enumerate(zip(*(column.tolist() for column in lines), strict=True)):
        line = _Lines(*made)
        keys[row] = _key(line, documents.get(int(line.invoice)), words)
    customer = np.where(lines.now_customer >= 0, lines.now_customer, lines.was_customer)
    pair = np.stack((customer, lines.group), axis=1)
    group = np.unique(pair, axis=0, return_inverse=True)[1].reshape(-1)
    weight = np.abs(lines.now_mrr - lines.was_mrr)
    cause, document, said = followed(
        keys[:, 0].astype(np.int8), keys[:, 1], keys[:, 2], customer, group, weight
    )
    return np.stack((cause.astype(np.int64), document, said), axis=1)


def _key(line: Any, document: _Document | None, words: _Words) -> tuple[int, int, int]:
    if document is not None and document.cause is not None:
        return document.cause, line.invoice, -1
    said = words.about(line.line, line.product, (line.was_customer, line.now_customer))
    if said >= 0:
        return Cause.WORD, line.invoice, said
    if words.settings >= 0:
        return Cause.SETTINGS, -1, words.settings
    return _own_cause(line, words), line.invoice, -1


def _own_cause(line: Any, words: _Words) -> Cause:
    """Why a line of a document that was there before, and still is, counts in another way."""
    counted = line.was_to > 0 and line.now_to > 0
    amount = counted and line.same_days and line.was_mrr != line.now_mrr
    if not line.was_there or not line.is_there or amount:
        return Cause.INVOICE_EDITED
    if line.dated and not line.same_days:
        return Cause.INVOICE_EDITED
    if words.overdue and line.overdue:
        return Cause.OVERDUE
    if line.was_late and not line.is_late:
        return Cause.GRACE_ENDED
    return Cause.REREAD


def _keys_of_many(lines: _Lines, documents: Mapping[int, _Document], words: _Words) -> Ints:
    """The same by the kind of cause alone: nobody reads thousands of documents."""
    rest = Cause.SETTINGS if words.settings >= 0 else Cause.WORD if words.told else Cause.REREAD
    keys = np.full((len(lines.line), 3), -1, dtype=np.int64)
    keys[:, 0] = rest
    keys[:, 2] = words.settings if rest is Cause.SETTINGS else len(words.told) - 1
    for cause in (Cause.CREDIT_NOTE, Cause.LATE_INVOICE, Cause.INVOICE_REMOVED):
        ids = [row.invoice for row in documents.values() if row.cause is cause]
        keys[np.isin(lines.invoice, ids)] = (cause, -1, -1)
    return keys


def _effects(lines: _Lines, keys: Ints, places: Mapping[int, int], months: range) -> Effects:
    """What each line's cause did to its customer: what it brings now, less what it brought."""
    halves = (
        (lines.now_customer, lines.now_from, lines.now_to, lines.now_mrr),
        (lines.was_customer, lines.was_from, lines.was_to, -lines.was_mrr),
    )
    customer, begins, stops, mrr = (np.concatenate(parts) for parts in zip(*halves, strict=True))
    keys = np.concatenate((keys, keys))
    place = np.array([places.get(one, -1) for one in customer.tolist()], dtype=np.int64)
    here = np.flatnonzero(place >= 0)
    named, row = np.unique(np.column_stack((place[here], keys[here])), axis=0, return_inverse=True)
    by_month = grid(
        row.reshape(-1).astype(np.int64),
        begins[here] - months[0],
        stops[here] - months[0],
        mrr[here],
        (len(named), len(months)),
    )
    return Effects(
        customer=named[:, 0],
        cause=named[:, 1].astype(np.int8),
        document=named[:, 2],
        said=named[:, 3],
        by_month=by_month,
    )


def _by_account(
    effects: Effects,
    people: Sequence[_Person],
    accounts: Mapping[int, Cause],
    was: History,
    became: History,
) -> Effects:
    """The effects, with one for each customer whose whole account came or went."""
    rows = [place for place, row in enumerate(people) if row.account in accounts]
    if not rows:
        return effects
    others = ~np.isin(effects.customer, rows)
    causes = [accounts[people[place].account] for place in rows]
    nobody = np.full(len(rows), -1, dtype=np.int64)
    return Effects(
        customer=np.concatenate((effects.customer[others], rows)),
        cause=np.concatenate((effects.cause[others], np.array(causes, dtype=np.int8))),
        document=np.concatenate((effects.document[others], nobody)),
        said=np.concatenate((effects.said[others], nobody)),
        by_month=np.concatenate((effects.by_month[others], (became.mrr - was.mrr)[rows])),
    )


def _shortened(documents: Mapping[int, _Document], places: Mapping[int, int]) -> Ints:
    """The invoice of each customer that stays but counts differently most; -1 for none."""
    found = np.full(len(places), -1, dtype=np.int64)
    for row in sorted(documents.values(), key=lambda row: abs(row.recurring)):
        if row.cause is None and row.customer is not None and row.customer in places:
            found[places[row.customer]] = row.invoice
    return found


def _invoices(
    documents: Mapping[int, _Document], lines: _Lines, keys: Ints, accounts: Mapping[int, Cause]
) -> Invoices:
    """What each invoice changed in the recurring revenue of its month."""
    changed = [row for row in documents.values() if row.recurring]
    of_lines = dict(zip(lines.invoice.tolist(), keys.tolist(), strict=True))
    found = []
    for row in changed:
        key = of_lines.get(row.invoice, [Cause.INVOICE_EDITED, row.invoice, -1])
        if row.account in accounts:
            key = [accounts[row.account], -1, -1]
        elif row.cause is not None:
            key = [row.cause, row.invoice, -1]
        found.append(key)
    return Invoices(
        month=as_int64([row.month for row in changed]),
        keys=as_int64(found).reshape(-1, 3),
        recurring=as_int64([row.recurring for row in changed]),
    )
