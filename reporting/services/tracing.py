"""From rows that a publication wrote to the causes of what they changed in closed months."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from calqsync.tenancy.bulk import former_table
from integrations.models import Connection
from reporting.body import Body, Freshness
from reporting.domain.arrays import Ints, as_int64
from reporting.domain.mrr import grid
from reporting.domain.periods import month_number
from reporting.domain.restatements import Cause, Effects, History, whole
from reporting.models import CustomerFigure
from reporting.services.causing import (
    Document,
    Lines,
    Words,
    documents,
    keys_of,
    lines_of,
    read,
    rest_key,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Invoices:
    """What invoices changed in the revenue of a month, in minor units.

    One that moved to another month has a row for each of both.
    """

    month: Ints
    keys: Ints
    """Rows of (cause, document, word)."""
    recurring: Ints
    net: Ints

    def parts(self, metric: str) -> Ints:
        """What each row changed in the figure of that name."""
        if metric == "non_recurring":
            return as_int64(self.net - self.recurring)
        return self.recurring if metric == "recurring" else self.net


@dataclass(frozen=True, slots=True, kw_only=True)
class Traced:
    first: int
    """The month of the first column."""
    before: History
    after: History
    effects: Effects
    invoices: Invoices
    documents: Mapping[int, Document]
    """Invoices that differ, by their id."""
    accounts: Mapping[int, Cause]
    """Connections that came, or went, as a whole."""
    of_line: Mapping[int, tuple[int, int, int]]
    """(cause, document, word) of the lines that count, or counted, in another way."""
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


def trace(before: Published, after: Published, *, closed: range, words: Words) -> Traced:
    """The causes of every change in the `closed` months; reads what differs and nothing else."""
    last = closed[-1]
    people = _people(last)
    first = min([closed[0], *(row.starts for row in people)])
    changed = {row.invoice: row for row in documents()}
    accounts = _accounts(before, after)
    months = range(first, last + 1)
    was = _history([row.was for row in people], months)
    became = _history([row.now for row in people], months)
    places = {row.customer: place for place, row in enumerate(people)}
    of_documents = (row.customer for row in changed.values())
    lines = lines_of(
        sorted({*places, *(one for one in of_documents if one is not None)}),
        as_of=after.body["as_of"],
        patience=words.patience,
    )
    keys = keys_of(lines, changed, words)
    effects = _by_account(_effects(lines, keys, places, months), people, accounts, was, became)
    effects = _unmoved(effects, len(people), rest_key(words))
    public = {row.public_id: place for place, row in enumerate(people)}
    floored = after.floored(public, months) - before.floored(public, months)
    whole_of = [row.account in accounts for row in people]
    floored[np.array(whole_of, dtype=np.bool_)] = 0
    known = (became.mrr - was.mrr).sum(axis=0)
    return Traced(
        first=first,
        before=was,
        after=became,
        effects=whole(effects, was, became, floored, _shortened(changed, places)),
        invoices=_invoices(changed, lines, keys, accounts),
        documents=changed,
        accounts=accounts,
        of_line=dict(zip(lines.line.tolist(), map(tuple, keys.tolist()), strict=True)),
        deleted=bool((after.exact(months) - before.exact(months) != known).any()),
    )


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
    rows = read(_PEOPLE.format(former=former_table(CustomerFigure)), last=last)
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


def _effects(lines: Lines, keys: Ints, places: Mapping[int, int], months: range) -> Effects:
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


def _unmoved(effects: Effects, customers: int, key: tuple[int, int, int]) -> Effects:
    """The effects, with one for each customer who has none and whose movements still differ, as
    they do by another window for reactivations: it changes no MRR.
    """
    rows = np.setdiff1d(np.arange(customers), effects.customer)
    cause, document, said = (np.full(len(rows), each) for each in key)
    none = np.zeros((len(rows), effects.by_month.shape[1]), dtype=np.int64)
    return Effects(
        customer=np.concatenate((effects.customer, rows)),
        cause=np.concatenate((effects.cause, cause.astype(np.int8))),
        document=np.concatenate((effects.document, document)),
        said=np.concatenate((effects.said, said)),
        by_month=np.concatenate((effects.by_month, none)),
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


def _shortened(documents: Mapping[int, Document], places: Mapping[int, int]) -> Ints:
    """The invoice of each customer that stays but counts differently most; -1 for none."""
    found = np.full(len(places), -1, dtype=np.int64)
    rows = [row for row in documents.values() if row.recurring and row.cause is None]
    for row in sorted(rows, key=lambda row: abs(row.recurring)):
        if row.customer is not None and row.customer in places:
            found[places[row.customer]] = row.invoice
    return found


def _invoices(
    documents: Mapping[int, Document], lines: Lines, keys: Ints, accounts: Mapping[int, Cause]
) -> Invoices:
    """What each invoice changed in the revenue of its month."""
    of_lines = dict(zip(lines.invoice.tolist(), keys.tolist(), strict=True))
    found: list[tuple[int, list[int], int, int]] = []
    for row in documents.values():
        key = [Cause.INVOICE_EDITED, row.invoice, -1]
        if row.account in accounts:
            key = [accounts[row.account], -1, -1]
        elif row.cause is not None:
            key = [row.cause, row.invoice, -1]
        elif not row.edited:
            key = of_lines.get(row.invoice, key)
        if row.was_month == row.now_month:
            found.append((row.now_month, key, row.recurring, row.now_net - row.was_net))
        else:
            found.append((row.was_month, key, -row.was_recurring, -row.was_net))
            found.append((row.now_month, key, row.now_recurring, row.now_net))
    return Invoices(
        month=as_int64([row[0] for row in found]),
        keys=as_int64([row[1] for row in found]).reshape(-1, 3),
        recurring=as_int64([row[2] for row in found]),
        net=as_int64([row[3] for row in found]),
    )
