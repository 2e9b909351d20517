"""What the books do hold, read past row-level security and put beside what they must hold."""

from __future__ import annotations

from typing import Any

from tests.model.ledger import NO_MONEY, Row, Tables, exact

# Each gives the key and then the columns; `gone` says that a complete run no longer saw it.
_READS = {
    "customers": (
        "SELECT identity, removed_at, name, business_id, customer_number, country, city, email,"
        " active FROM integrations_customer WHERE connection_id = %s",
        ("name", "business_id", "number", "country", "city", "email", "active"),
    ),
    "products": (
        "SELECT external_id, removed_at, code, name, unit, price, currency, vat_percent, active"
        " FROM integrations_product WHERE connection_id = %s",
        ("code", "name", "unit", "price", "currency", "vat", "active"),
    ),
    "accounts": (
        "SELECT external_id, removed_at, iban, bank_name, currency, active"
        " FROM integrations_bankaccount WHERE connection_id = %s",
        ("iban", "bank", "currency", "active"),
    ),
    "invoices": (
        "SELECT i.external_id, i.removed_at, c.identity, i.customer_name, i.number, i.status,"
        " i.issued, i.is_credit, i.date::text, i.due_date::text, i.currency, i.rate, i.net_minor,"
        " i.vat_minor, i.total_minor, i.net_acc_minor, i.vat_acc_minor, i.total_acc_minor,"
        " array[i.delivery_start::text, i.delivery_end::text], i.version"
        " FROM integrations_invoice i LEFT JOIN integrations_customer c ON c.id = i.customer_id"
        " WHERE i.connection_id = %s",
        (
            *("customer", "customer_name", "number", "status", "issued", "is_credit", "date"),
            *("due_date", "currency", "rate", "net", "vat", "total", "net_home", "vat_home"),
            *("total_home", "delivery", "version"),
        ),
    ),
    "lines": (
        "SELECT array[i.external_id, l.position::text], i.removed_at, l.product_external_id,"
        " p.removed_at IS NULL AND p.external_id IS NOT DISTINCT FROM l.product_external_id,"
        " l.product_code, l.name, l.text, l.quantity, l.unit, l.unit_price, l.discount_percent,"
        " l.vat_percent, l.net_minor, l.net_acc_minor, array[l.start::text, l.end::text]"
        " FROM integrations_invoiceline l JOIN integrations_invoice i ON i.id = l.invoice_id"
        " LEFT JOIN integrations_product p ON p.id = l.product_id WHERE l.connection_id = %s",
        (
            *("product", "linked", "code", "name", "text", "quantity", "unit", "unit_price"),
            *("discount", "vat", "net", "net_home", "span"),
        ),
    ),
    # The payments of an invoice that was deleted went with it.
    "payments": (
        "SELECT y.external_id, coalesce(y.removed_at, i.removed_at), i.external_id, y.date::text,"
        " y.amount_acc_minor, y.paid_minor, y.paid_currency, y.status, y.kind, y.is_cash"
        " FROM integrations_payment y LEFT JOIN integrations_invoice i ON i.id = y.invoice_id"
        " WHERE y.connection_id = %s",
        ("invoice", "date", "amount_home", "paid", "currency", "status", "kind", "is_cash"),
    ),
    "statements": (
        'SELECT external_id, removed_at, iban, start::text, "end"::text, start_minor, end_minor'
        " FROM integrations_bankstatement WHERE connection_id = %s",
        ("iban", "start", "end", "opening", "closing"),
    ),
    "events": (
        "SELECT e.external_id, e.removed_at, s.external_id, e.date::text, e.amount_minor,"
        " e.counterparty, e.counterparty_iban, e.message, e.invoice_external_id"
        " FROM integrations_bankevent e LEFT JOIN integrations_bankstatement s"
        " ON s.id = e.statement_id WHERE e.connection_id = %s",
        ("statement", "date", "amount", "who", "who_iban", "message", "invoice"),
    ),
}


def books(cursor: Any, connection_id: int) -> Tables:
    """The rows that are shown as being there, of one connection."""
    return {name: _read(cursor, name, connection_id) for name in _READS}


def shown_invoices(cursor: Any, connection_id: int) -> dict[str, Row]:
    return _read(cursor, "invoices", connection_id)


def _read(cursor: Any, name: str, connection_id: int) -> dict[Any, Row]:
    query, columns = _READS[name]
    cursor.execute(query, [connection_id])
    found = {}
    for key, gone, *values in cursor.fetchall():
        if gone is None:
            row = {c: _plain(v) for c, v in zip(columns, values, strict=True)}
            found[(key[0], int(key[1])) if isinstance(key, list) else key] = row
    return found


def _plain(value: Any) -> Any:
    if isinstance(value, list):
        return tuple(value)
    return exact(value) if hasattr(value, "as_tuple") else value


def differences(must: Tables, found: Tables) -> list[str]:
    """Every row that is missing, too many or different, in words; empty when all are equal."""
    wrong = []
    for name, rows in must.items():
        have = found[name]
        if name == "payments":
            have = {key: _kind_as_needed(row, rows.get(key)) for key, row in have.items()}
        if name == "customers":  # payers whom no register knows stay with their old invoices
            have = {key: row for key, row in have.items() if key.startswith("p:") or key in rows}
        wrong += [f"{name} {key} is missing" for key in rows.keys() - have.keys()]
        wrong += [f"{name} {key} should be gone" for key in have.keys() - rows.keys()]
        for key in rows.keys() & have.keys():
            if rows[key] != have[key]:
                wrong += [
                    f"{name} {key}: {column} is {have[key].get(column)!r}, should be {value!r}"
                    for column, value in rows[key].items()
                    if have[key].get(column) != value
                ]
    return sorted(wrong)


def _kind_as_needed(row: Row, must: Row | None) -> Row:
    """The payment without a kind that need not be known, and with its money judged by it."""
    row = dict(row)
    if row.pop("is_cash") == (row["kind"] in NO_MONEY):
        row["kind"] = f"{row['kind']}, and money says otherwise"
    elif must is not None and not must["kind"]:
        row["kind"] = ""
    return row
