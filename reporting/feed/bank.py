"""Bank statements and events of the accounts in the tenant's currency."""

from __future__ import annotations

import numpy as np

from integrations.models import BankAccount
from reporting.body import Note
from reporting.domain.runway import Bank, Financing
from reporting.feed.reading import chunks, table


def read_accounts(connection_ids: list[int], currency: str) -> tuple[list[BankAccount], list[Note]]:
    """Bank accounts in the tenant's currency, and a note for each in another one."""
    found = BankAccount.objects.filter(
        connection_id__in=connection_ids, removed_at=None
    ).select_related("connection")
    own: list[BankAccount] = []
    notes: list[Note] = []
    for account in found.order_by("pk"):
        if account.currency == currency:
            own.append(account)
        else:
            params: dict[str, str | int] = {"iban": account.iban, "currency": account.currency}
            notes.append({"code": "account_other_currency", "params": params})
    return own, notes


_STATEMENTS = """
    SELECT s.connection_id, s.iban, s.start - DATE '1970-01-01', s."end" - DATE '1970-01-01',
        s.start_minor
    FROM integrations_bankstatement s
    WHERE s.tenant_id = %(tenant)s AND s.connection_id = ANY(%(connections)s)
        AND s.removed_at IS NULL
    ORDER BY s.start, s.id
"""
_EVENTS = """
    SELECT e.connection_id, e.iban, e.id, e.date - DATE '1970-01-01', e.amount_minor,
        coalesce(i.id, -1),
        CASE WHEN m.financing THEN %(yes)s WHEN NOT m.financing THEN %(no)s ELSE %(unmarked)s END,
        e.counterparty_iban
    FROM integrations_bankevent e
    LEFT JOIN integrations_invoice i ON i.tenant_id = e.tenant_id
        AND i.connection_id = e.connection_id AND i.external_id = e.invoice_external_id
        AND e.invoice_external_id <> ''
    LEFT JOIN reporting_cashmark m ON m.tenant_id = e.tenant_id AND m.event_id = e.id
    WHERE e.tenant_id = %(tenant)s AND e.connection_id = ANY(%(connections)s)
        AND e.removed_at IS NULL
    ORDER BY e.date, e.id
"""


def read_bank(accounts: list[BankAccount]) -> Bank:
    """Statements and events of the given accounts, with what people said about the events."""
    place = {(one.connection_id, one.iban): row for row, one in enumerate(accounts)}
    connection_ids = sorted({one.connection_id for one in accounts})
    statements = [
        (place[row[:2]], *row[2:])
        for rows in chunks(_STATEMENTS, {"connections": connection_ids})
        for row in rows
        if row[:2] in place
    ]
    marks = {"yes": Financing.YES, "no": Financing.NO, "unmarked": Financing.UNMARKED}
    others: dict[str, int] = {}
    events = [
        (place[row[:2]], *row[2:7], others.setdefault(row[7], len(others)) if row[7] else -1)
        for rows in chunks(_EVENTS, {"connections": connection_ids} | marks)
        for row in rows
        if row[:2] in place
    ]
    stated = table([np.array(statements, dtype=np.int64)] if statements else [], 4).T
    moved = table([np.array(events, dtype=np.int64)] if events else [], 7).T
    return Bank(
        account_ids=tuple(one.pk for one in accounts),
        ibans=tuple(one.iban for one in accounts),
        active=tuple(one.active for one in accounts),
        statement_account=stated[0].astype(np.int32),
        statement_start=stated[1],
        statement_end=stated[2],
        statement_opening=stated[3],
        event_account=moved[0].astype(np.int32),
        event_id=moved[1],
        event_day=moved[2],
        event_amount=moved[3],
        event_invoice=moved[4],
        financing=moved[5].astype(np.int8),
        event_iban=moved[6].astype(np.int32),
        counterparties=tuple(others),
    )
