"""From the books to the published report: of everybody, or following a change of some customers.

Both ways measure shards (`measuring`), write rows of figures (`storing`), keep sums (`keeping`) and
compose the report of them (`composing`, `parting`), in one transaction.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import date, datetime

import numpy as np
import structlog
from django.db import transaction

from calqsync.tenancy.bulk import Written, check_keys
from calqsync.tenancy.models import Tenant
from reporting import feed
from reporting.body import Body
from reporting.domain.growth import Calendar
from reporting.domain.periods import day_number, month_of
from reporting.domain.report import Report as Measured
from reporting.domain.runway import cashflow
from reporting.feed.reading import give_back, plan_for_few_rows, plan_for_whole_tables
from reporting.models import Report
from reporting.services import keeping
from reporting.services.abreast import made_abreast
from reporting.services.banking import Money, money, money_as_published
from reporting.services.composing import Made, compose
from reporting.services.keeping import Change, Kept
from reporting.services.measuring import (
    Otherwise,
    Shards,
    Shared,
    Sums,
    Whole,
    books_of,
    followed,
    guessed,
    replaced,
    seen_in,
    shard_measured,
    shards_of,
    sums_of,
    surveyed,
)
from reporting.services.parting import parts
from reporting.services.storing import Rows, publish, store_cash

log = structlog.get_logger(__name__)
TRIES = 4
# So many lines are looked up one by one; each then looks through all of them.
FEW = 1_000
# Notes on the books that narrowed books do not hold.
_NOTES = {"invoices_without_customer", "account_other_currency"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Publication:
    """When a computation began, for when it is, and what its worker has to ask before it ends.

    The fence comes last: it locks the job's row, and whoever says something about figures
    meanwhile waits for that lock to ask for the next computation. A worker that lost its lease
    fails there, and nothing of its work is committed.
    """

    fence: Callable[[], None]
    now: datetime
    began: float
    """By the monotonic clock."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Everything:
    """The whole books, and what is known from the last publication."""

    books: feed.Books
    known: Shared | None
    change: Change


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """The books of the shards in which some customers changed, and what was published of them."""

    books: feed.Books
    customers: Sequence[int]
    state: Kept
    shards: dict[int, Sums]
    body: Body
    change: Change


def read_everything(*, tenant: Tenant, day: date, change: Change) -> Everything:
    """What a publication of everybody is made of; one state of the books."""
    state = keeping.kept()
    return Everything(
        books=feed.books(tenant=tenant, as_of=day),
        known=state.shared if state else None,
        change=change,
    )


def step_of(*, tenant: Tenant, day: date, change: Change) -> Step | None:
    """What a publication that follows the change is made of; None where everybody is concerned.

    That is when it is not known who changed, when most shards did, and when the day, the settings,
    a mark on a product or the program is another one.
    """
    report = Report.objects.only("body").first()
    state = keeping.kept() if change.customers is not None and report is not None else None
    if report is None or state is None or change.customers is None:
        return None
    # A merged customer's own rows and sums go, and its target's grow.
    customers = sorted(change.customers | feed.counted_for(change.customers))
    numbers = sorted({customer % state.shared.shards for customer in customers})
    if 2 * len(numbers) > state.shared.shards:
        return None
    books = feed.books(
        tenant=tenant,
        as_of=day,
        customer_ids=feed.customers_in(numbers, of=state.shared.shards),
        bank=change.bank,
    )
    shards = keeping.shards_kept(numbers)
    if keeping.made_under(books) != state.made_under or set(shards) != set(numbers):
        return None
    body: Body = report.body
    known = {note["code"] for note in books.notes} if change.bank else set()
    missing = [n for n in body["notes"] if n["code"] in _NOTES - known]
    return Step(
        books=replace(books, notes=[*books.notes, *missing]),
        customers=customers,
        state=state,
        shards=shards,
        body=body,
        change=change,
    )


def publish_everything(whole: Everything, publication: Publication) -> Written:
    """Measure everybody and publish; returns the rows that differed.

    Assumes that the company is as it was known, and begins again where it is not.
    """
    books = whole.books
    shared = guessed(books, whole.known)
    if whole.known is None:
        shared = surveyed(books, shared)
    for _attempt in range(TRIES):
        try:
            with transaction.atomic():
                return _everything(whole, shared, publication)
        except Otherwise as other:
            log.info("report.assumed_wrongly", since=other.shared.since)
            shared = other.shared
    raise AssertionError("what the customers share never settled")


def _everything(whole: Everything, shared: Shared, publication: Publication) -> Written:
    plan_for_whole_tables()
    books, rows, sums, packed = whole.books, Rows(), Whole(shared), {}
    dealt = Shards(books, shared.shards)
    give_back()

    def measured(number: int) -> tuple[int, Measured, Sums, bytes]:
        part = dealt.of(number)
        report = shard_measured(part, shared)
        own = sums_of(part, report)
        return number, report, own, keeping.packed(own)

    with closing(made_abreast(measured, dealt.numbers)) as shards:
        for number, report, own, packed_sums in shards:
            if sums.fits(seen_in(report)):
                rows.add(dealt.of(number), report)
                sums.add(own)
                packed[number] = packed_sums
                if len(packed) == keeping.SENT:
                    keeping.keep_shards(packed)
                    packed.clear()
    state = Kept(made_under=keeping.made_under(books), shared=shared, sums=sums.sums())
    flow = cashflow(books.bank, books.settings)
    written = rows.write() + store_cash(books, flow)
    keeping.keep(state, packed, only=dealt.numbers)
    bank = money(books, flow)
    return written + _publish(books, state, bank, whole.change, publication)


def follow(step: Step, publication: Publication) -> Written | None:
    """Measure the shards that changed and publish; None where everybody turns out concerned."""
    try:
        with transaction.atomic():
            return _follow(step, publication)
    except Otherwise:
        log.info("report.everybody_concerned")
        return None


def _follow(step: Step, publication: Publication) -> Written:
    books, shared = step.books, step.state.shared
    became = {
        number: followed(part, shared)
        for number, part in shards_of(books, shared.shards, list(step.shards))
    }
    sums = replaced(step.state.sums, step.shards, became, shared)
    state = replace(step.state, sums=sums)
    written, bank = Written(), money_as_published(step.body)
    # The bank's rows are written whole, and so before anything is planned for few.
    if step.change.bank:
        flow = cashflow(books.bank, books.settings)
        written, bank = store_cash(books, flow), money(books, flow)
    part = books_of(books, step.customers)
    if max(len(part.lines), len(part.receivables)) <= FEW:
        plan_for_few_rows()
    rows = Rows(step.customers)
    rows.add(part, shard_measured(part, shared))
    written += rows.write()
    packed = {number: keeping.packed(own) for number, own in became.items()}
    keeping.keep(state, packed)
    return written + _publish(books, state, bank, step.change, publication)


def _publish(
    books: feed.Books, state: Kept, bank: Money, change: Change, publication: Publication
) -> Written:
    check_keys()
    publication.fence()
    keeping.changes_published(change)
    made = Made(
        calendar=calendar_of(books, state.shared),
        totals=state.sums.totals,
        listed=state.sums.listed,
    )
    body, named = compose(books, made, bank), parts(books, made)
    return publish(
        books,
        body,
        named,
        now=publication.now,
        began=publication.began,
        anew=bool(change.rows),
    )


def first_month(books: feed.Books, shared: Shared) -> int:
    """The first month of the report; that of its day where no line says one."""
    last = int(month_of(day_number(books.settings.as_of)))
    return last if shared.since < 0 else min(shared.since, last)


def calendar_of(books: feed.Books, shared: Shared) -> Calendar:
    """The months of the report."""
    day = day_number(books.settings.as_of)
    months = np.arange(first_month(books, shared), int(month_of(day)) + 1, dtype=np.int64)
    return Calendar(months=months, as_of_day=day)
