"""The books as the engine's input; the only reader of the books' tables.

Invoices, lines and payments are read as whole columns, without a join, and matched here; the rest
comes through server-side cursors in chunks. Memory holds one chunk as text or as Python objects
and the finished columns. Dates leave the database as days since 1970-01-01.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import date

from django.db import connection

from calqsync.tenancy import scope
from calqsync.tenancy.models import Tenant
from integrations.models import BankAccount, Connection
from reporting.body import Freshness, Note
from reporting.domain.arrays import Codes
from reporting.domain.choices import (
    DEFAULT_GRACE,
    Average,
    Confidence,
    Ltv,
    Settings,
    UserWords,
)
from reporting.domain.lines import Lines
from reporting.domain.receivables import Receivables
from reporting.domain.runway import Bank
from reporting.domain.segments import Belonging
from reporting.feed.bank import read_accounts, read_bank
from reporting.feed.customers import (
    CustomerName,
    counted_for,
    customer_names,
    customers_in,
    read_belonging,
)
from reporting.feed.invoices import read_invoices
from reporting.feed.lines import read_lines
from reporting.feed.reading import give_back, plan_for_whole_tables
from reporting.feed.receivables import Paid, read_receivables
from reporting.feed.words import read_words, with_merged
from reporting.models import ReportSettings

__all__ = [
    "Books",
    "CustomerName",
    "books",
    "counted_for",
    "customer_names",
    "customers_in",
    "freshness",
    "loading",
    "with_merged",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Books:
    """Everything that one computation of figures reads, from the connections it may count."""

    settings: Settings
    words: UserWords
    lines: Lines
    line_names: tuple[Sequence[str], Codes]
    """Distinct row names as printed, and each line's index into them."""
    receivables: Receivables
    paid: Paid
    bank: Bank
    accounts: tuple[BankAccount, ...]
    """In the order of `bank`, each with its connection."""
    connections: tuple[Connection, ...]
    belonging: Belonging
    """Groups and countries of the products and of these customers."""
    freshness: list[Freshness]
    notes: list[Note]


def books(
    *,
    tenant: Tenant,
    as_of: date,
    customer_ids: Collection[int] | None = None,
    bank: bool = False,
) -> Books:
    """The tenant's books on `as_of`, a day of the company's own calendar.

    Needs the tenant's scope and a transaction. Connections in another currency than the
    tenant's, and a further connection whose first import is still running, are left out and
    noted. With `customer_ids` they are narrowed to those customers and whoever is merged into
    them: without what people said about others, and without the bank unless it is asked for.
    """
    chosen = None if customer_ids is None else with_merged(customer_ids)
    if chosen is None:
        plan_for_whole_tables()
    all_connections = list(Connection.objects.order_by("pk"))
    included, notes = _choose(all_connections, tenant.currency)
    ids = [one.pk for one in included]
    accounts, account_notes = read_accounts(ids if chosen is None or bank else [], tenant.currency)
    invoices = read_invoices(ids, chosen)
    lines, names = read_lines(invoices)
    receivables, paid = read_receivables(invoices)
    without_customer = _count_without_customer(ids) if chosen is None else 0
    if chosen is None:
        give_back()
    if without_customer:
        notes.append({"code": "invoices_without_customer", "params": {"count": without_customer}})
    return Books(
        settings=_settings(tenant, as_of, included),
        words=read_words(chosen),
        lines=lines,
        line_names=names,
        receivables=receivables,
        paid=paid,
        bank=read_bank(accounts),
        accounts=tuple(accounts),
        connections=tuple(included),
        belonging=read_belonging(ids, chosen),
        freshness=_freshness(all_connections, included),
        notes=notes + account_notes,
    )


def freshness(currency: str) -> list[Freshness]:
    """How recent the books of each connection are, as `books` would say now."""
    every = list(Connection.objects.order_by("pk"))
    return _freshness(every, _choose(every, currency)[0])


def loading() -> bool:
    """Whether the first import of all is under way: each of its figures is soon outdated."""
    return not Connection.objects.exclude(first_import_at=None).exists()


def _freshness(every: list[Connection], included: list[Connection]) -> list[Freshness]:
    return [
        {
            "connection": str(one.public_id),
            "name": one.name,
            "as_of": one.data_as_of.isoformat() if one.data_as_of else None,
            "included": one in included,
        }
        for one in every
    ]


def _choose(connections: list[Connection], currency: str) -> tuple[list[Connection], list[Note]]:
    """The connections that count, and a note for each that does not."""
    notes: list[Note] = []
    own: list[Connection] = []
    for one in connections:
        if one.currency == currency:
            own.append(one)
            continue
        params: dict[str, str | int] = {
            "connection": str(one.public_id),
            "name": one.name,
            "currency": one.currency,
        }
        notes.append({"code": "connection_other_currency", "params": params})
    whole = [one for one in own if one.first_import_at is not None]
    if not whole:
        # The first import of all: its complete months are shown while it loads.
        return [one for one in own if one.complete_back_to is not None], notes
    for one in own:
        if one.first_import_at is None:
            # A second company that loads must not hide the months of the first one.
            params = {"connection": str(one.public_id), "name": one.name}
            notes.append({"code": "connection_loading", "params": params})
    return whole, notes


def _settings(tenant: Tenant, as_of: date, included: list[Connection]) -> Settings:
    chosen = ReportSettings.objects.first() or ReportSettings()
    loading = [one.complete_back_to for one in included if one.first_import_at is None]
    return Settings(
        as_of=as_of,
        currency=tenant.currency,
        tolerance_bp=chosen.tolerance_bp,
        threshold=Confidence(chosen.threshold),
        default_period_months=chosen.default_period_months,
        burn_months=chosen.burn_months,
        burn_average=Average(chosen.burn_average),
        reactivation_months=chosen.reactivation_months,
        grace_days={**DEFAULT_GRACE, **{int(key): n for key, n in chosen.grace_days.items()}},
        pauses_churn=chosen.pause_handling == "churn",
        keep_free=chosen.free_plans == "kept",
        overdue_days=chosen.overdue_days,
        daily_recognition=chosen.recognition == "daily",
        ltv=Ltv(chosen.ltv),
        gross_margin_bp=chosen.gross_margin_bp,
        cac_lag_months=chosen.cac_lag_months,
        complete_from=max((day for day in loading if day is not None), default=None),
    )


_WITHOUT_CUSTOMER = """
    SELECT count(*) FROM integrations_invoice
    WHERE tenant_id = %s AND connection_id = ANY(%s) AND issued AND removed_at IS NULL
        AND customer_id IS NULL
"""


def _count_without_customer(connection_ids: list[int]) -> int:
    with connection.cursor() as cursor:
        cursor.execute(_WITHOUT_CUSTOMER, [scope.required(), connection_ids])
        return int(cursor.fetchone()[0])
