"""A tenant's books measured some customers at a time.

Customers are dealt to shards by their id. A shard is measured by itself, which bounds memory, and
its sums are kept, so that a change is measured in its shard alone: the total less what the shard
was, plus what it is, is what measuring everything would give. What customers take from all of the
company (`Shared`) is assumed to be as it was, and looked at again afterwards.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from reporting.domain.arrays import Ints, as_int64, rows_by
from reporting.domain.periods import month_of
from reporting.domain.receivables import delay_counts, median_delay
from reporting.domain.report import Report, measure
from reporting.domain.runway import NO_BANK
from reporting.domain.totals import Listed, Totals, joined, listed_of, totals_of
from reporting.domain.votes import Vote, votes
from reporting.feed import Books
from reporting.services.abreast import made_abreast

# A change has the lines of its shard measured anew; a shard also costs a little by itself.
LINES, MOST = 1_000, 1_000
# So many lines are measured at once where nothing is kept of them: what is said of each of them
# then still fits a processor's cache.
AT_ONCE = 8_000
# Invoices without a customer are in the shard of nobody, which only a full measurement reads.
NOBODY = -1


@dataclass(frozen=True, slots=True, kw_only=True)
class Shared:
    """What the figures of one customer take from all of the company's."""

    shards: int
    since: int
    """The first month of the report; -1 where no line says one."""
    delay: int
    """The company's usual delay of payment in days."""
    votes: dict[str, Vote]
    """On products; counts are rounded, so that one customer seldom changes them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sums:
    """What is kept of a shard's customers, or of all."""

    totals: Totals
    listed: Listed
    tallies: dict[str, Ints]


class Otherwise(Exception):
    """The company is not what was assumed of it: measure everything, assuming `shared`."""

    def __init__(self, shared: Shared) -> None:
        super().__init__("what the customers share has changed")
        self.shared = shared


def guessed(books: Books, known: Shared | None) -> Shared:
    """What to assume before everything is measured: what held before, or what invoices say."""
    lines = len(books.lines)
    first = int(month_of(books.lines.invoice_day.min())) if lines else -1
    return Shared(
        shards=max(1, min(MOST, round(lines / LINES))),
        since=known.since if known else first,
        delay=median_delay(delay_counts(books.receivables)),
        votes=known.votes if known else {},
    )


def shard_of(customers: Ints, shards: int) -> Ints:
    """The shard of each customer; NOBODY for -1, which is no customer."""
    return np.where(customers < 0, NOBODY, customers % shards)


class Shards:
    """Books dealt to so many shards by their customers."""

    def __init__(self, books: Books, shards: int) -> None:
        self._books = books
        self._lines = Dealt(shard_of(books.lines.customer_id, shards))
        self._invoices = Dealt(shard_of(books.receivables.customer_id, shards))

    @property
    def numbers(self) -> list[int]:
        """The shards that have any books; one of empty books where there are none."""
        return sorted({*self._lines.numbers, *self._invoices.numbers} or {0})

    def of(self, number: int) -> Books:
        """The books of one, without the bank."""
        return _part(self._books, self._lines.rows(number), self._invoices.rows(number))


def shards_of(
    books: Books, shards: int, numbers: Collection[int] | None = None
) -> Iterator[tuple[int, Books]]:
    """The books of each of these shards, or of every one that has any; without the bank."""
    dealt = Shards(books, shards)
    for number in sorted(dealt.numbers if numbers is None else numbers):
        yield number, dealt.of(number)


def books_of(books: Books, customers: Collection[int]) -> Books:
    """The books of these customers, without the bank."""
    ids = list(customers)
    return _part(
        books,
        np.flatnonzero(np.isin(books.lines.customer_id, ids)),
        np.flatnonzero(np.isin(books.receivables.customer_id, ids)),
    )


def _part(books: Books, rows: Ints, invoices: Ints) -> Books:
    names, name_of_line = books.line_names
    return replace(
        books,
        lines=books.lines.part(rows),
        line_names=(names, name_of_line[rows]),
        receivables=books.receivables.take(invoices),
        paid=books.paid.take(invoices),
        bank=NO_BANK,
        accounts=(),
    )


class Dealt:
    """Rows by their shard, in their own order."""

    def __init__(self, shard: Ints) -> None:
        code = shard - NOBODY
        self._order = rows_by(code).astype(np.int32)
        self._stops = np.cumsum(np.bincount(code))
        self.numbers = (np.flatnonzero(np.diff(self._stops, prepend=0)) + NOBODY).tolist()

    def rows(self, number: int) -> Ints:
        place = number - NOBODY
        if not place < len(self._stops):
            return as_int64(self._order[:0])
        begin = self._stops[place - 1] if place else 0
        return as_int64(self._order[begin : self._stops[place]])


def shard_measured(books: Books, shared: Shared) -> Report:
    """The report of one shard's customers."""
    since = None if shared.since < 0 else shared.since
    return measure(
        books.lines,
        books.bank,
        books.receivables,
        books.words,
        books.settings,
        since=since,
        votes=shared.votes,
        company_delay=shared.delay,
    )


def sums_of(books: Books, report: Report) -> Sums:
    """What is kept of a shard."""
    return Sums(
        totals=totals_of(report, books.receivables, books.belonging),
        listed=listed_of(report),
        tallies=dict(report.tallies),
    )


class Seen(NamedTuple):
    """What a report says of the company."""

    first: int
    """Its first month."""
    lines: int
    tallies: Mapping[str, Ints]


def seen_in(report: Report) -> Seen:
    return Seen(int(report.months[0]), len(report.lines), report.tallies)


class Whole:
    """The sums of all shards, brought one after the other."""

    def __init__(self, shared: Shared) -> None:
        self._shared = shared
        self._since = shared.since
        self._listed: list[Listed] = []
        self._totals: Totals | None = None
        self._tallies: dict[str, Ints] = {}

    def fits(self, seen: Seen) -> bool:
        """Look at a shard's report; whether its months are those assumed."""
        if seen.lines and (self._since < 0 or seen.first < self._since):
            self._since = seen.first
        self._tallies = tallies_with(self._tallies, seen.tallies, 1)
        return self._shared.since < 0 or seen.first == self._shared.since

    def found(self) -> Shared:
        """What the shards looked at say that they share."""
        return replace(self._shared, since=self._since, votes=votes_in_force(self._tallies))

    def add(self, sums: Sums) -> None:
        self._listed.append(sums.listed)
        self._totals = sums.totals if self._totals is None else self._totals + sums.totals

    def sums(self) -> Sums:
        """Of everybody; raises `Otherwise` where the assumptions do not hold."""
        if self.found() != self._shared or self._totals is None:
            raise Otherwise(self.found())
        check_first_month(self._totals, self._shared)
        return Sums(totals=self._totals, listed=joined(self._listed), tallies=self._tallies)


def surveyed(books: Books, shared: Shared) -> Shared:
    """What all customers share, found by measuring each until it is what was assumed."""
    dealt = Shards(books, many_at_once(len(books.lines)))
    while True:
        whole, assumed = Whole(shared), shared

        def look(number: int) -> Seen:
            return seen_in(shard_measured(dealt.of(number), assumed))  # noqa: B023

        with closing(made_abreast(look, dealt.numbers)) as looked:
            for seen in looked:
                whole.fits(seen)
        if whole.found() == shared:
            return shared
        shared = whole.found()


def many_at_once(lines: int) -> int:
    """Into how many shards to deal lines of which nothing is kept."""
    return max(1, round(lines / AT_ONCE))


def followed(books: Books, shared: Shared) -> Sums:
    """What is to be kept of a shard after a change; raises `Otherwise` where its months are not
    those of the others."""
    report = shard_measured(books, shared)
    first = int(report.months[0])
    if len(report.lines) and (shared.since < 0 or first < shared.since):
        raise Otherwise(replace(shared, since=first))
    return sums_of(books, report)


def replaced(
    total: Sums, was: Mapping[int, Sums], became: Mapping[int, Sums], shared: Shared
) -> Sums:
    """The total after some shards changed; raises `Otherwise` where everybody is concerned."""
    totals, tallies = total.totals, total.tallies
    for number, sums in became.items():
        totals = totals - was[number].totals + sums.totals
        tallies = tallies_with(tallies_with(tallies, was[number].tallies, -1), sums.tallies, 1)
    found = replace(shared, delay=median_delay(totals.delays), votes=votes_in_force(tallies))
    if found != shared:
        raise Otherwise(found)
    check_first_month(totals, shared)
    kept = total.listed.without(lambda ids: np.isin(shard_of(ids, shared.shards), list(became)))
    listed = joined([kept, *(sums.listed for sums in became.values())])
    return Sums(totals=totals, listed=listed, tallies=tallies)


def check_first_month(totals: Totals, shared: Shared) -> None:
    """Raise `Otherwise` where the first months hold nothing any more."""
    if totals.first_used and shared.since >= 0:
        raise Otherwise(replace(shared, since=shared.since + totals.first_used))


def tallies_with(
    tallies: Mapping[str, Ints], others: Mapping[str, Ints], sign: int
) -> dict[str, Ints]:
    """Votes added up, or taken off; products on which nobody votes are left out."""
    result = dict(tallies)
    for product, row in others.items():
        result[product] = result[product] + sign * row if product in result else sign * row
    return {product: row for product, row in result.items() if row.any()}


def votes_in_force(tallies: Mapping[str, Ints]) -> dict[str, Vote]:
    """The votes that carry, with rounded counts that carry as well.

    Customers are rounded down to one digit, and those who call a product recurring to whole tenths
    of them: a figure that shows them changes no line while nothing else does.
    """
    found = {}
    for product, vote in votes(tallies).items():
        if vote.carried:
            digit = 10 ** (len(str(vote.customers)) - 1)
            customers = vote.customers // digit * digit
            tenths = 10 * vote.recurring // vote.customers
            found[product] = Vote(-(-customers * tenths // 10), customers, vote.period)
    return dict(sorted(found.items()))
