"""The tables of the books as targets of a bulk load."""

from __future__ import annotations

from integrations.sync import rows
from integrations.sync.bulk import Target


def _id_of(table: str, condition: str) -> str:
    """The id of the connection's row `o` of a table that the incoming row `n` names."""
    return (
        f"(SELECT o.id FROM {table} o WHERE o.tenant_id = %(tenant)s"  # noqa: S608 - our names
        f" AND o.connection_id = %(owner)s AND {condition})"
    )


CUSTOMERS = Target(
    table="integrations_customer",
    columns=rows.CustomerRow._fields,
    key=("identity",),
    revives=True,
)
PRODUCTS = Target(table="integrations_product", columns=rows.ProductRow._fields, revives=True)
INVOICES = Target(
    table="integrations_invoice",
    columns=rows.InvoiceRow._fields,
    lookups=(
        (
            "customer_id",
            _id_of("integrations_customer", "o.identity = n.customer_identity"),
        ),
    ),
    revives=True,
)
LINES = Target(
    table="integrations_invoiceline",
    columns=("invoice_id", *rows.LineRow._fields[1:]),
    key=("invoice_id", "position"),
    lookups=(
        (
            "product_id",
            _id_of(
                "integrations_product",
                "o.external_id = n.product_external_id AND n.product_external_id <> ''",
            ),
        ),
    ),
)
PAYMENTS = Target(
    table="integrations_payment",
    columns=rows.PaymentRow._fields,
    lookups=(
        (
            "invoice_id",
            _id_of("integrations_invoice", "o.external_id = n.invoice_external_id"),
        ),
    ),
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
    columns=rows.BankEventRow._fields,
    lookups=(
        (
            "statement_id",
            _id_of("integrations_bankstatement", "o.external_id = n.statement_external_id"),
        ),
    ),
    revives=True,
)
RAW = Target(
    table="integrations_rawdocument",
    columns=("stream", "external_id", "sha256", "body"),
    key=("stream", "external_id"),
)
REJECTIONS = Target(
    table="integrations_rejection",
    columns=("stream", "external_id", "reason", "raw", "first_seen_at", "last_seen_at"),
    key=("stream", "external_id"),
    keep=(("first_seen_at", "t.first_seen_at"),),
)
