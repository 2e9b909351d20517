"""What changed the cash of closed months: bank events, statements, accounts, people's words."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from django.db.models import Count

from calqsync.tenancy.bulk import former_table
from integrations.models import BankEvent, BankStatement
from reporting.body import CashMonth
from reporting.domain.arrays import as_int64
from reporting.domain.periods import month_index, month_number, month_start
from reporting.domain.restated_cash import Key, Moved, Parts, State, parts_by_month
from reporting.domain.restatements import Cause, Share, shares
from reporting.models import CashFigure
from reporting.services.causing import Words, read
from reporting.services.tracing import Published

_OF_STATEMENTS = {Cause.STATEMENT_ADDED, Cause.STATEMENT_REMOVED, Cause.BALANCE_STATED}


@dataclass(frozen=True, slots=True, kw_only=True)
class Cash:
    """The causes of every figure of cash, by metric and month."""

    parts: Mapping[tuple[str, int], Parts]

    def shares(self, metric: str, month: int, total: int, *, limit: int) -> list[Share]:
        """What each cause did to one figure, largest first; they add up to `total`."""
        found = self.parts.get((metric, month), {})
        if metric == "unexplained" and sum(found.values()) != total:
            found = {(Cause.BALANCE_STATED, -1, -1): total}
        return shares(
            as_int64(list(found)).reshape(-1, 3),
            as_int64(list(found.values())),
            total,
            exact=True,
            deleted=True,
            limit=limit,
        )


def trace_cash(before: Published, after: Published, *, last: int, words: Words) -> Cash:
    """The causes of every change up to the month `last`; reads the events that differ."""
    accounts = _accounts(before, after)
    events = [
        _Event(*row) for row in read(_EVENTS.format(former=former_table(CashFigure)), last=last)
    ]
    whole = _whole_statements(events)
    moved = [one for event in events for one in _moved(event, _key(event, whole, accounts, words))]
    everywhere = next(iter(accounts.values()), None)
    starts = _statements_by_month(last) if everywhere is None else {}

    def stated(month: int) -> Key:
        if everywhere is not None:
            return everywhere, -1, -1
        return Cause.BALANCE_STATED, starts.get(month, -1), -1

    was, now = _states(before.body["cash"]), _states(after.body["cash"])
    return Cash(parts=parts_by_month(moved, was, now, last=last, stated=stated))


def bank_documents(found: Sequence[Share]) -> dict[tuple[Cause, int], dict[str, str]]:
    """How the bank's documents are found again and called, by cause and internal id."""
    named = [one for one in found if one.document >= 0]
    statements = _statements([one.document for one in named if one.cause in _OF_STATEMENTS])
    events = _events([one.document for one in named if one.cause not in _OF_STATEMENTS])
    return {
        (one.cause, one.document): (statements if one.cause in _OF_STATEMENTS else events).get(
            one.document, {}
        )
        for one in named
    }


def _statements(ids: Sequence[int]) -> dict[int, dict[str, str]]:
    return {
        row.pk: {
            "statement": str(row.public_id),
            "account": row.iban,
            "start": row.start.isoformat(),
            "end": row.end.isoformat(),
        }
        for row in (BankStatement.objects.filter(pk__in=ids) if ids else ())
    }


def _events(ids: Sequence[int]) -> dict[int, dict[str, str]]:
    rows = BankEvent.objects.filter(pk__in=ids).values_list("pk", "public_id", "date")
    return {
        pk: {"event": str(public), "day": day.isoformat()}
        for pk, public, day in (rows if ids else ())
    }


class _Event(NamedTuple):
    event: int
    statement: int
    connection: str
    iban: str
    was_month: int | None
    was_kind: str
    was_amount: int
    now_month: int | None
    now_kind: str
    now_amount: int


_EVENTS = """
    SELECT f.event_id, e.statement_id, c.public_id::text, e.iban,
        f.month, f.kind, f.amount_minor, n.month, n.kind, n.amount_minor
    FROM {former} f
    JOIN integrations_bankevent e ON e.tenant_id = %(tenant)s AND e.id = f.event_id
    JOIN integrations_connection c ON c.tenant_id = %(tenant)s AND c.id = e.connection_id
    LEFT JOIN reporting_cashfigure n ON n.tenant_id = %(tenant)s AND n.event_id = f.event_id
    WHERE (f.month <= %(last)s OR n.month <= %(last)s)
        AND (f.month, f.kind, f.amount_minor) IS DISTINCT FROM (n.month, n.kind, n.amount_minor)
    ORDER BY f.event_id
"""


def _moved(event: _Event, key: Key) -> Iterator[Moved]:
    if event.was_month is not None:
        yield Moved(event.was_month, key, event.was_kind, event.was_amount, -1)
    if event.now_month is not None:
        yield Moved(event.now_month, key, event.now_kind, event.now_amount, 1)


def _key(
    event: _Event, whole: set[int], accounts: Mapping[tuple[str, str], Cause], words: Words
) -> Key:
    if account := accounts.get((event.connection, event.iban)):
        return account, -1, -1
    if (said := words.events.get(event.event, -1)) >= 0:
        return Cause.WORD, event.event, said
    if event.was_month is None:
        if event.statement in whole:
            return Cause.STATEMENT_ADDED, event.statement, -1
        return Cause.EVENT_ADDED, event.event, -1
    if event.now_month is None:
        if event.statement in whole:
            return Cause.STATEMENT_REMOVED, event.statement, -1
        return Cause.EVENT_REMOVED, event.event, -1
    if (event.was_month, event.was_amount) != (event.now_month, event.now_amount):
        return Cause.EVENT_EDITED, event.event, -1
    # Another account, or another event, makes it a transfer between own ones, or no longer one.
    return next(iter(accounts.values()), Cause.REREAD), -1 if accounts else event.event, -1


def _whole_statements(events: Sequence[_Event]) -> set[int]:
    """Statements that came, or went, with all of their events, where they have several."""
    added = Counter(one.statement for one in events if one.was_month is None)
    removed = Counter(one.statement for one in events if one.now_month is None)
    asked = {statement for statement, n in (added + removed).items() if n > 1}
    if not asked:
        return set()
    rows = CashFigure.objects.filter(event__statement__in=asked)
    left = dict(rows.values_list("event__statement").annotate(n=Count("pk")).order_by())
    return {one for one in asked if left.get(one, 0) == added[one]}


def _accounts(before: Published, after: Published) -> dict[tuple[str, str], Cause]:
    """Bank accounts, by connection and IBAN, that came into use or are left out now."""
    was, now = (
        {(row.get("connection", ""), row["iban"]) for row in one.body["accounts"] if row["active"]}
        for one in (before, after)
    )
    added = dict.fromkeys(now - was, Cause.ACCOUNT_ADDED)
    return added | dict.fromkeys(was - now, Cause.ACCOUNT_LEFT_OUT)


def _statements_by_month(last: int) -> dict[int, int]:
    """The statement that begins in each month up to `last`, where there is one alone."""
    rows = BankStatement.objects.filter(removed_at=None, start__lt=month_start(last + 1))
    months: dict[int, list[int]] = {}
    for pk, start in rows.values_list("pk", "start"):
        months.setdefault(month_index(start), []).append(pk)
    return {month: ids[0] for month, ids in months.items() if len(ids) == 1}


def _states(rows: Sequence[CashMonth]) -> dict[int, State]:
    return {
        month_number(row["month"]): State(
            flow=row["money_in_minor"]
            - row["money_out_minor"]
            + row["financing_minor"]
            + row["own_transfers_minor"],
            closing=row["closing_minor"],
        )
        for row in rows
    }
