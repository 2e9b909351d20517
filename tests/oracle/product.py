"""The product's own way from the same documents to the engine's input, without a database."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Any

import msgspec
import numpy as np

from integrations.procountor import records
from integrations.sandbox.company import Company
from integrations.sync import mapping
from integrations.sync.rows import BankEventRow, BankStatementRow
from reporting.domain.arrays import NO_DAY
from reporting.domain.choices import Settings, UserWords
from reporting.domain.lines import Lines, build_lines
from reporting.domain.receivables import Receivables
from reporting.domain.report import Report, measure
from reporting.domain.runway import Bank
from reporting.domain.units import unit_code

EPOCH = date(1970, 1, 1)
HOME = "EUR"


def days(day: date | None) -> int | None:
    return None if day is None else (day - EPOCH).days


def report_of(company: Company, as_of: date, financing: frozenset[int] = frozenset()) -> Report:
    """The engine's report on all documents, with the given bank events marked as financing."""
    decoder = msgspec.json.Decoder(records.Invoice)
    found = [decoder.decode(company.invoices.details[one]) for one in company.invoices.details]
    mapped = [mapping.invoice(one, home=HOME) for one in found if one.type == "SALES_INVOICE"]
    issued = [one for one in mapped if one.invoice.issued]
    customers: dict[str, int] = {}
    for one in issued:
        customers.setdefault(one.customer.identity, len(customers) + 1)
    return measure(
        _lines(issued, customers),
        _bank(company, financing),
        _receivables(company, issued, customers),
        UserWords(),
        Settings(as_of=as_of, currency=HOME),
    )


def _lines(issued: list[Any], customers: dict[str, int]) -> Lines:
    pairs = [(one.invoice, line, one.customer) for one in issued for line in one.lines]
    columns: dict[str, Any] = {
        "line_id": [place for place, _ in enumerate(pairs)],
        "invoice_id": [int(invoice.external_id) for invoice, _, _ in pairs],
        "customer_id": [customers[payer.identity] for _, _, payer in pairs],
        "product_id": [int(line.product_external_id or -1) for _, line, _ in pairs],
        "invoice_day": [days(invoice.date) for invoice, _, _ in pairs],
        "net": [line.net_minor for _, line, _ in pairs],
        "net_acc": [line.net_acc_minor for _, line, _ in pairs],
        "quantity_e4": [round(line.quantity * 10_000) for _, line, _ in pairs],
        "start_day": [days(line.start) for _, line, _ in pairs],
        "end_day": [days(line.end) for _, line, _ in pairs],
        "delivery_start_day": [days(invoice.delivery_start) for invoice, _, _ in pairs],
        "delivery_end_day": [days(invoice.delivery_end) for invoice, _, _ in pairs],
        "connection_id": [1 for _ in pairs],
        "is_credit": [invoice.is_credit for invoice, _, _ in pairs],
        "unit": [unit_code(line.unit) for _, line, _ in pairs],
    }
    return build_lines(
        columns=columns,
        products=[line.name for _, line, _ in pairs],
        currencies=[invoice.currency for invoice, _, _ in pairs],
        texts=[f"{line.name}\n{line.text}" for _, line, _ in pairs],
    )


def _receivables(company: Company, issued: list[Any], customers: dict[str, int]) -> Receivables:
    decoder = msgspec.json.Decoder(records.PaymentEvent)
    columns: list[tuple[int, ...]] = []
    for one in issued:
        invoice = one.invoice
        payments = [
            mapping.payment(decoder.decode(event.event), home=HOME)
            for event in company.events.get(int(invoice.external_id), ())
        ]
        left = invoice.total_minor - sum(each.paid_minor for each in payments)
        settled = invoice.status in ("PAID", "MARKED_PAID") or left * invoice.total_minor <= 0
        owed = Decimal(left * invoice.total_acc_minor) / (invoice.total_minor or 1)
        cash = [each.date for each in payments if each.is_cash]
        lost = any(each.kind == "CREDITLOSS" for each in payments)
        by_money = settled and cash and not lost and invoice.total_acc_minor > 0
        columns.append(
            (
                int(invoice.external_id),
                customers[one.customer.identity],
                days(invoice.date) or 0,
                days(invoice.due_date or invoice.date) or 0,
                invoice.total_acc_minor,
                0 if settled else int(owed.quantize(Decimal(1), rounding="ROUND_HALF_UP")),
                (days(max(cash)) or 0) if by_money else NO_DAY,
            )
        )
    invoice_id, customer_id, day, due, total, open_gross, paid = np.array(columns, np.int64).T
    return Receivables(
        invoice_id=invoice_id,
        customer_id=customer_id,
        invoice_day=day,
        due_day=due,
        total_gross=total,
        open_gross=open_gross,
        paid_day=paid,
    )


def _bank(company: Company, financing: frozenset[int]) -> Bank:
    accounts = [
        mapping.bank_account(msgspec.json.decode(raw, type=records.BankAccount))
        for raw in company.accounts.details.values()
    ]
    place = {one.iban: number for number, one in enumerate(accounts)}
    decoder = msgspec.json.Decoder(records.BankStatement)
    read = [
        mapping.bank_statement(decoder.decode(raw)) for raw in company.statements.items.values()
    ]
    statements: list[BankStatementRow] = sorted((one for one, _ in read), key=lambda one: one.start)
    events: list[BankEventRow] = sorted(
        (event for _, found in read for event in found), key=lambda one: one.date
    )
    others: dict[str, int] = {}

    def column(values: list[Any], dtype: Any = np.int64) -> Any:
        return np.array(values, dtype=dtype)

    return Bank(
        account_ids=tuple(range(1, len(accounts) + 1)),
        ibans=tuple(place),
        active=tuple(one.active for one in accounts),
        statement_account=column([place[one.iban] for one in statements], np.int32),
        statement_start=column([days(one.start) for one in statements]),
        statement_end=column([days(one.end) for one in statements]),
        statement_opening=column([one.start_minor for one in statements]),
        event_id=column([int(one.external_id) for one in events]),
        event_account=column([place[one.iban] for one in events], np.int32),
        event_day=column([days(one.date) for one in events]),
        event_amount=column([one.amount_minor for one in events]),
        event_iban=column(
            [
                others.setdefault(one.counterparty_iban, len(others))
                if one.counterparty_iban
                else -1
                for one in events
            ],
            np.int32,
        ),
        event_invoice=column([int(one.invoice_external_id or -1) for one in events]),
        financing=column([int(int(one.external_id) in financing) for one in events], np.int8),
        counterparties=tuple(others),
    )
