"""The tables of the books as targets of a bulk load: rows as mapped, references in front."""

from __future__ import annotations

from integrations.models.runs import GIVES_UP_AFTER
from integrations.sync import rows
from integrations.sync.bulk import Target

CUSTOMERS = Target(
    table="integrations_customer",
    columns=rows.CustomerRow._fields,
    key=("identity",),
    revives=True,
)
PRODUCTS = Target(table="integrations_product", columns=rows.ProductRow._fields, revives=True)
INVOICES = Target(
    table="integrations_invoice",
    columns=("customer_id", *rows.InvoiceRow._fields),
    revives=True,
    vast=True,
)
LINES = Target(
    table="integrations_invoiceline",
    columns=("invoice_id", "product_id", *rows.LineRow._fields[1:]),
    key=("invoice_id", "position"),
)
PAYMENTS = Target(
    table="integrations_payment",
    columns=("invoice_id", *rows.PaymentRow._fields),
    # The bulk read does not know the type, so it never takes away what another read told.
    keep=(
        ("kind", "CASE WHEN excluded.kind = '' THEN t.kind ELSE excluded.kind END"),
        ("is_cash", "CASE WHEN excluded.kind = '' THEN t.is_cash ELSE excluded.is_cash END"),
    ),
    revives=True,
)
BANK_ACCOUNTS = Target(
    table="integrations_bankaccount", columns=rows.BankAccountRow._fields, revives=True
)
STATEMENTS = Target(
    table="integrations_bankstatement", columns=rows.BankStatementRow._fields, revives=True
)
BANK_EVENTS = Target(
    table="integrations_bankevent",
    columns=("statement_id", *rows.BankEventRow._fields),
    revives=True,
)
RAW = Target(
    table="integrations_rawdocument",
    columns=("stream", "external_id", "sha256", "body"),
    key=("stream", "external_id"),
    vast=True,
)
REJECTIONS = Target(
    table="integrations_rejection",
    columns=(
        *("stream", "external_id", "reason", "raw"),
        *("first_seen_at", "last_seen_at", "attempts"),
    ),
    key=("stream", "external_id"),
    # Another reason is another matter: the document changed, or we read it otherwise.
    keep=(
        ("first_seen_at", "t.first_seen_at"),
        (
            "attempts",
            "CASE WHEN t.reason = excluded.reason"
            f" THEN least(t.attempts + 1, {GIVES_UP_AFTER}) ELSE 1 END",
        ),
    ),
)
