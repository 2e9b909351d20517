"""The engine's figures as rows, written where they differ from what is published."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from datetime import datetime
from enum import IntEnum
from hashlib import blake2b
from typing import Any

import msgspec
import numpy as np
from django.db import connection
from numpy.typing import NDArray

from calqsync.tenancy import scope
from calqsync.tenancy.bulk import Columns, Incoming, Written, replace_rows
from integrations.models import Invoice
from reporting.body import Body
from reporting.domain.arrays import NO_DAY, Ints, as_int64
from reporting.domain.findings import LineType, Reason, Source, Status, Sure
from reporting.domain.flaws import find_flaws
from reporting.domain.periods import month_of
from reporting.domain.receivables import Age
from reporting.domain.recognition import deferred_by_line
from reporting.domain.report import Report as Measured
from reporting.domain.runway import Cashflow, EventKind
from reporting.feed import Books, with_merged
from reporting.models import (
    CashFigure,
    CustomerFigure,
    InvoiceFigure,
    LineFigure,
    Report,
    ReportPart,
    Subscription,
)
from reporting.parts import RECOGNITION
from reporting.services.banking import counted_events
from reporting.services.restating import Schedules, restated, version_begin, version_keep

KINDS = {
    EventKind.OPERATIONS: "operating",
    EventKind.OWN_TRANSFER: "own_transfer",
    EventKind.FINANCING: "financing",
}


class Rows:
    """Rows of figures on their way into their tables, brought some customers at a time.

    With `customers` only theirs are replaced, and nobody else's are touched.
    """

    def __init__(self, customers: Sequence[int] | None = None) -> None:
        self._customers = customers
        self._ids = dict(self._stored().values_list("key", "pk"))
        self._incoming = {
            model: Incoming(model, key=[key])
            for model, key in (
                (Subscription, "key"),
                (LineFigure, "line_id"),
                (CustomerFigure, "customer_id"),
                (InvoiceFigure, "invoice_id"),
            )
        }
        # What the rows were tells why closed months change; the first report changes none.
        self._keep_former = Report.objects.exists()

    def _stored(self) -> Any:
        every = Subscription.objects.all()
        chosen = self._customers
        return every if chosen is None else every.filter(customer_id__in=chosen)

    def add(self, books: Books, measured: Measured) -> None:
        """Bring the figures of the report's customers."""
        keys = [str(measured.subscriptions.key(row)) for row in range(len(measured.subscriptions))]
        self._ids |= _new_ids([key for key in keys if key not in self._ids])
        ids = [self._ids[key] for key in keys]
        deferred = deferred_by_line(measured.schedule(), len(measured.lines), measured.calendar)
        for model, columns in (
            (Subscription, {"id": ids, "key": keys, **_subscriptions(books, measured)}),
            (LineFigure, _lines(measured, [*ids, None])),
            (CustomerFigure, _customers(measured, deferred)),
            (InvoiceFigure, _invoices(books, measured, deferred)),
        ):
            self._incoming[model].add(columns)

    def write(self) -> Written:
        """Replace the rows that differ."""
        total = Written()
        for model, incoming in self._incoming.items():
            kept = self._keep_former and model is not Subscription
            total += incoming.replace(keep_former=kept, within=self._within(model))
        return total

    def _within(self, model: type[Any]) -> tuple[str, list[int]] | None:
        if self._customers is None:
            return None
        if model is not InvoiceFigure:
            return "customer_id", list(self._customers)
        theirs = Invoice.objects.filter(customer__in=with_merged(self._customers))
        return "invoice_id", list(theirs.values_list("pk", flat=True))


def _new_ids(keys: Sequence[str]) -> dict[str, int]:
    """Ids for subscriptions that are not stored yet, so that their lines can name them."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT nextval(pg_get_serial_sequence('reporting_subscription', 'id'))"
            " FROM generate_series(1, %s)",
            [len(keys)],
        )
        return dict(zip(keys, (row[0] for row in cursor.fetchall()), strict=True))


def store_cash(books: Books, cash: Cashflow) -> Written:
    """Replace the bank events' rows that differ; of a published report, keep what they were."""
    return replace_rows(
        CashFigure,
        key=["event_id"],
        columns=_cash(books, cash),
        keep_former=Report.objects.exists(),
    )


def publish(
    books: Books,
    body: Body,
    parts: Mapping[str, Any],
    *,
    now: datetime,
    began: float,
    anew: bool = False,
) -> Written:
    """Replace the report and its parts by these where they differ, and say what they restate.

    `began` is when the computation did, by the monotonic clock. After a change (`anew`) the version
    rises even where no figure differs: pages name customers beside figures, and are kept by it.
    """
    new: dict[str, Any] = {
        "as_of": books.settings.as_of,
        "currency": books.settings.currency,
        "freshness": books.freshness,
        "body": body,
    }
    old = Report.objects.select_for_update().first()
    if old is not None and old.as_of != books.settings.as_of:
        version_keep(body=old.body)
    written, former = _store_parts(parts)
    compute_ms = round(1000 * (time.monotonic() - began))
    if old is None:
        Report.objects.create(published_at=now, compute_ms=compute_ms, **new)
        version_begin(day=books.settings.as_of, now=now)
        return written + Written(added=1)
    if not written.total and all(getattr(old, name) == value for name, value in new.items()):
        if anew:
            Report.objects.filter(pk=old.pk).update(version=old.version + 1)
        return written
    Report.objects.filter(pk=old.pk).update(
        version=old.version + 1, published_at=now, compute_ms=compute_ms, **new
    )
    restated(
        old=old,
        body=body,
        schedules=Schedules.of(
            former, parts.get(RECOGNITION), daily=books.settings.daily_recognition
        ),
        freshness=books.freshness,
        now=now,
    )
    version_begin(day=books.settings.as_of, now=now)
    return written + Written(changed=1)


_PARTS = """
    INSERT INTO reporting_reportpart (tenant_id, name, digest, body) VALUES {}
    ON CONFLICT (tenant_id, name) DO UPDATE SET digest = excluded.digest, body = excluded.body
    RETURNING CASE WHEN new.name = %s THEN old.body END
"""


def _store_parts(parts: Mapping[str, Any]) -> tuple[Written, Any]:
    """Replace the parts that differ; the database is not given the others to compare.

    Returns also what revenue recognition was, where it differs; None where there was none.
    """
    stored = dict(ReportPart.objects.values_list("name", "digest"))
    bodies = {name: msgspec.json.encode(body) for name, body in parts.items()}
    digests = {name: blake2b(body, digest_size=16).hexdigest() for name, body in bodies.items()}
    different = [name for name, digest in digests.items() if stored.get(name) != digest]
    gone, former = stored.keys() - parts.keys(), None
    if gone:
        rows = ReportPart.objects.filter(name__in=gone)
        former = rows.filter(name=RECOGNITION).values_list("body", flat=True).first()
        rows.delete()
    if different:
        tenant = scope.required()
        values: list[Any] = []
        for name in different:
            values += (tenant, name, digests[name], bodies[name].decode())
        with connection.cursor() as cursor:
            rows = ", ".join(["(%s, %s, %s, %s)"] * len(different))
            cursor.execute(_PARTS.format(rows), [*values, RECOGNITION])
            was = (msgspec.json.decode(body) for (body,) in cursor.fetchall() if body is not None)
            former = next(was, former)
    changed = sum(name in stored for name in different)
    return Written(added=len(different) - changed, changed=changed, removed=len(gone)), former


def _days(days: Ints) -> NDArray[np.datetime64]:
    """Day numbers as dates, absent ones as NaT."""
    dates = as_int64(days).astype("datetime64[D]")
    dates[as_int64(days) == NO_DAY] = np.datetime64("NaT")
    return dates


def _words(codes: NDArray[Any], names: type[IntEnum]) -> Sequence[str]:
    """Enum numbers as lower-case names."""
    table = {member.value: member.name.lower() for member in names}
    return [table[code] for code in codes.tolist()]


def _subscriptions(books: Books, measured: Measured) -> Columns:
    found = measured.subscriptions
    names, name_of_line = books.line_names
    naming = _naming(books, measured)
    products = measured.lines.product_id[naming]
    reasons = [measured.findings.reason(int(line)) for line in found.best_line]
    flaws = find_flaws(measured.lines, found)
    return {
        "customer_id": found.customer_id,
        "product_id": [None if product < 0 else product for product in products.tolist()],
        "product_name": [names[code] for code in name_of_line[naming].tolist()],
        "currency": [found.currencies[code] for code in found.currency.tolist()],
        "period_months": found.period,
        "first_start": _days(found.first_start),
        "last_end": _days(found.last_end),
        "mrr_e4": found.mrr_e4,
        "status": _words(found.status, Status),
        "counted": found.counted,
        "confirmed": found.confirmed,
        "confidence": _words(found.confidence, Sure),
        "reason": [reason.code for reason in reasons],
        "reason_params": [reason.params for reason in reasons],
        "line_count": np.diff(found.line_from),
        "score": measured.signs.score,
        "evidence": [
            _evidence(reason, measured.signs.evidence(row)) for row, reason in enumerate(reasons)
        ],
        "renewal_percent": measured.signs.renewal_percent,
        "gaps": flaws.gaps,
        "overlaps": flaws.overlaps,
        "guessed": flaws.guessed,
    }


def _naming(books: Books, measured: Measured) -> NDArray[np.intp]:
    """The line whose product names each subscription: the charge that begins last.

    Of several the one invoiced last, then the dearest: not the newest id, which follows the order
    in which rows were read and changed.
    """
    lines, found = measured.lines, measured.subscriptions
    names, name_of_line = books.line_names
    rows = found.line_order
    used = sorted(set(name_of_line[rows].tolist()), key=names.__getitem__)
    rank = np.zeros(len(names), dtype=np.int64)
    rank[used] = np.arange(len(used))
    owner = np.repeat(np.arange(len(found)), np.diff(found.line_from))
    start, net = measured.findings.start[rows], lines.net[rows]
    keys = (rank[name_of_line[rows]], net, lines.invoice_day[rows], start, net > 0, owner)
    return rows[np.lexsort(keys)[found.line_from[1:] - 1]]


def _evidence(reason: Reason, signs: list[Reason]) -> list[dict[str, Any]]:
    """Every sign of a subscription; a person's word, or a reason that has no sign, stands first."""
    spoken = reason.code.startswith("user_") or not signs
    return [one._asdict() for one in ([reason] if spoken else []) + signs]


def _lines(measured: Measured, ids: Sequence[int | None]) -> Columns:
    """`ids` are those of the report's subscriptions, and None in the last place."""
    found, lines = measured.findings, measured.lines
    combined = np.stack((found.why.astype(np.int64), found.why_a, found.why_b), axis=1)
    _, first, code = np.unique(combined, axis=0, return_index=True, return_inverse=True)
    reasons = [found.reason(int(row)) for row in first]
    counted = found.counted.tolist()

    def where_counted(months: Ints) -> list[int | None]:
        pairs = zip(months.tolist(), counted, strict=True)
        return [month if counts else None for month, counts in pairs]

    return {
        "line_id": lines.line_id,
        "customer_id": lines.customer_id,
        "subscription_id": [ids[row] for row in found.subscription.tolist()],
        "type": _words(found.type, LineType),
        "start": _days(found.start),
        "end": _days(found.end),
        "source": _words(found.source, Source),
        "confidence": _words(found.confidence, Sure),
        "reason": [reasons[row].code for row in code.tolist()],
        "reason_params": [reasons[row].params for row in code.tolist()],
        "counted": found.counted,
        "late": found.late,
        "from_month": where_counted(found.from_month),
        "to_month": where_counted(found.to_month),
        "mrr_e4": measured.mrr_e4,
    }


def _customers(measured: Measured, deferred: Ints) -> Columns:
    table, owed, subscriptions = measured.table, measured.receivables, measured.subscriptions
    size = len(table.customers)
    place = np.searchsorted(table.customers, measured.lines.customer_id)
    day = as_int64(measured.lines.invoice_day)
    earliest, latest = np.full(size, np.iinfo(np.int64).max), np.full(size, NO_DAY, dtype=np.int64)
    np.minimum.at(earliest, place, day)
    np.maximum.at(latest, place, day)
    running = subscriptions.counted & np.isin(subscriptions.status, (Status.ACTIVE, Status.LATE))

    def sums(customers: Ints, amounts: Ints) -> Ints:
        known = np.isin(customers, table.customers)
        total = np.zeros(size, dtype=np.int64)
        np.add.at(total, np.searchsorted(table.customers, customers[known]), amounts[known])
        return total

    overdue = np.where(owed.age != Age.NOT_DUE, owed.open_gross, 0)
    return {
        "customer_id": table.customers,
        **_histories(measured),
        "mrr_now_e4": table.mrr[:, -1],
        "invoiced_minor": sums(measured.lines.customer_id, measured.lines.net_acc),
        "open_minor": sums(owed.customer_id, owed.open_gross),
        "overdue_minor": sums(owed.customer_id, overdue),
        "deferred_minor": sums(measured.lines.customer_id, deferred),
        "subscriptions": sums(subscriptions.customer_id, running.astype(np.int64)),
        "first_invoice": _days(earliest),
        "last_invoice": _days(latest),
    }


def _histories(measured: Measured) -> Columns:
    """MRR, fx and movements of each customer from its first month with any."""
    table, monthly = measured.table, measured.monthly
    alive = (table.mrr != 0) | (monthly.fx != 0) | (monthly.kind != 0)
    width = len(table.months)
    first = np.where(alive.any(axis=1), alive.argmax(axis=1), width).tolist()
    last = int(table.months[-1]) + 1

    def from_first(values: NDArray[Any]) -> list[list[int]]:
        return [row[start:] for row, start in zip(values.tolist(), first, strict=True)]

    return {
        "first_month": [last - width + start for start in first],
        "mrr_e4": from_first(table.mrr),
        "fx_e4": from_first(monthly.fx),
        "moves": from_first(monthly.kind),
    }


def _invoices(books: Books, measured: Measured, deferred: Ints) -> Columns:
    owed, every = measured.receivables, books.receivables
    age = np.full(len(every), "", dtype=object)
    age[owed.row] = [Age(code).name.lower() for code in owed.age.tolist()]
    expected = np.full(len(every), NO_DAY, dtype=np.int64)
    expected[owed.row] = owed.expected_day
    counted = measured.findings.counted
    # Invoices are read in the order of their ids.
    place = np.searchsorted(every.invoice_id, measured.lines.invoice_id)
    recurring, waiting, net = np.zeros((3, len(every)), dtype=np.int64)
    np.add.at(recurring, place[counted], measured.lines.net_acc[counted])
    np.add.at(waiting, place, deferred)
    np.add.at(net, place, measured.lines.net_acc)
    return {
        "invoice_id": every.invoice_id,
        "paid_minor": books.paid.paid,
        "written_off_minor": books.paid.written_off,
        "open_minor": every.open_gross,
        "due": _days(every.due_day),
        "expected": _days(expected),
        "age": age,
        "recurring_minor": recurring,
        "deferred_minor": waiting,
        "month": month_of(every.invoice_day),
        "net_minor": net,
    }


def _cash(books: Books, cash: Cashflow) -> Columns:
    bank = books.bank
    rows = np.flatnonzero(counted_events(books, cash))
    return {
        "event_id": bank.event_id[rows],
        "kind": [KINDS[EventKind(kind)] for kind in cash.event_kind[rows].tolist()],
        "amount_minor": bank.event_amount[rows],
        "month": month_of(bank.event_day[rows]),
        "proposed": np.isin(rows, cash.proposed_financing),
    }
