"""A company with a million invoice lines over sixty months, made inside the database.

Every value follows from the row's number, so two makings are equal. Customers stay for six months
to five years; one in ten pays yearly, one in ten in dollars, one in five gets a price that falls,
one in four one that rises, and one in twenty a credit note. Every line says its own period.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

MONTHS = 60
LINES = 1_000_000
# 60 months up to and with the one of this day.
NOW = datetime(2026, 1, 15, 10, 0, tzinfo=UTC)
_FIRST = "DATE '2021-02-01'"
_PRODUCTS = 50

_PARTIES = """
INSERT INTO integrations_product (tenant_id, connection_id, external_id, code, name, sort_key,
    unit, currency, "group", active)
SELECT %(tenant)s, %(connection)s, p, p, 'Product ' || p, 'product ' || p, 'MONTH', 'EUR',
    'Group ' || p %% 7, true FROM generate_series(1, %(products)s) p;
INSERT INTO integrations_customer (tenant_id, connection_id, external_id, identity, name,
    sort_key, business_id, customer_number, country, city, email, "group", active)
SELECT %(tenant)s, %(connection)s, c, 'c' || c, 'Customer ' || c, 'customer ' || c, '', c,
    (ARRAY['FI', 'SE', 'DE', 'EE'])[1 + c %% 4], 'Turku', '', 'Tier ' || c %% 5, true
FROM generate_series(1, %(customers)s) c;
"""

# `rows` are lines as (customer, month, place in the invoice); invoices are numbered by customer.
_ROWS = """
CREATE TEMPORARY TABLE rows AS
SELECT *, c::bigint * 1000 + m * 2 AS invoice,
    %(first)s + make_interval(months => m) AS month,
    (2900 + 100 * ((c * 13 + k * 7) %% 200)) * (CASE WHEN c %% 4 = 0 AND m >= s + 12 THEN 11
        WHEN c %% 5 = 0 AND m >= s + 9 THEN 8 ELSE 10 END)
        * (CASE WHEN yearly THEN 12 ELSE 1 END) / 10 AS net
FROM (
    SELECT c, s, m, k, c %% 10 = 0 AS yearly, c %% 10 = 3 AS dollars
    FROM (SELECT c, c * 7919 %% %(months)s AS s, 6 + c * 1049 %% 55 AS life
        FROM generate_series(1, %(customers)s) c) one,
        generate_series(s, least(s + life, %(months)s) - 1,
            CASE WHEN c %% 10 = 0 THEN 12 ELSE 1 END) m,
        generate_series(1, 1 + c %% 3) k
) line ORDER BY m, c, k LIMIT %(lines)s;
"""
_INVOICES = """
INSERT INTO integrations_invoice (tenant_id, connection_id, external_id, customer_id,
    customer_identity, customer_name, number, status, issued, is_credit, date, due_date, currency,
    rate, net_minor, vat_minor, total_minor, net_acc_minor, vat_acc_minor, total_acc_minor, version)
SELECT %(tenant)s, %(connection)s, r.invoice + credit, u.id, u.identity, u.name,
    r.invoice + credit, CASE WHEN m < 58 THEN 'PAID' ELSE 'SENT' END, true, credit = 1,
    month + credit * INTERVAL '5 days', month + INTERVAL '14 days',
    CASE WHEN dollars THEN 'USD' ELSE 'EUR' END,
    CASE WHEN dollars THEN 1.05 + 0.001 * (m %% 30) ELSE 1 END,
    sign * sum(net), 0, sign * sum(net), sign * sum(acc), 0, sign * sum(acc), ''
FROM (SELECT *, CASE WHEN dollars THEN round(net / (1.05 + 0.001 * (m %% 30)))::bigint
        ELSE net END AS acc
    FROM rows) r
JOIN integrations_customer u ON u.tenant_id = %(tenant)s AND u.external_id = r.c::text
CROSS JOIN (VALUES (0, 1), (1, -1)) kind(credit, sign)
WHERE credit = 0 OR (c %% 20 = 1 AND m = s + 3)
GROUP BY r.invoice, credit, sign, u.id, m, month, dollars
ORDER BY m, u.id, credit;
INSERT INTO integrations_invoiceline (tenant_id, connection_id, invoice_id, position, product_id,
    product_external_id, product_code, name, text, quantity, unit, unit_price, discount_percent,
    vat_percent, net_minor, net_acc_minor, start, "end")
SELECT %(tenant)s, %(connection)s, i.id, k, p.id, p.external_id, p.code, p.name,
    'Period ' || to_char(month, 'MM/YYYY'), 1, 'MONTH', net / 100.0, 0, 0,
    sign(i.net_minor) * net,
    sign(i.net_minor) * (CASE WHEN dollars THEN round(net / i.rate)::bigint ELSE net END),
    month, month + CASE WHEN yearly THEN INTERVAL '1 year' ELSE INTERVAL '1 month' END
FROM rows r
CROSS JOIN (VALUES (0), (1)) kind(credit)
JOIN integrations_invoice i ON i.tenant_id = %(tenant)s
    AND i.external_id = (r.invoice + credit)::text
JOIN integrations_product p ON p.tenant_id = %(tenant)s
    AND p.external_id = (1 + (c * 31 + k * 17) %% %(products)s)::text
ORDER BY i.id, k;
INSERT INTO integrations_payment (tenant_id, connection_id, external_id, invoice_id,
    invoice_external_id, date, amount_acc_minor, paid_minor, paid_currency, status, kind, is_cash)
SELECT %(tenant)s, %(connection)s, 'p' || external_id, id, external_id,
    due_date + (customer_id * 7 + id)::int %% 11 - 2, total_acc_minor, total_minor, currency,
    'PAID', '', true
FROM integrations_invoice WHERE tenant_id = %(tenant)s AND status = 'PAID' AND total_minor > 0;
"""
_BANK = """
INSERT INTO integrations_bankaccount (tenant_id, connection_id, external_id, iban, bank_name,
    currency, active)
VALUES (%(tenant)s, %(connection)s, 'a', 'FI2112345600000785', 'Bank', 'EUR', true);
INSERT INTO integrations_bankstatement (tenant_id, connection_id, external_id, iban, start, "end",
    currency, start_minor, end_minor)
SELECT %(tenant)s, %(connection)s, m, 'FI2112345600000785', %(first)s + make_interval(months => m),
    %(first)s + make_interval(months => m + 1) - INTERVAL '1 day', 'EUR',
    900000000 - m * 5000000, 900000000 - (m + 1) * 5000000
FROM generate_series(0, %(months)s - 2) m;
INSERT INTO integrations_bankevent (tenant_id, connection_id, external_id, statement_id,
    statement_external_id, iban, date, amount_minor, currency, counterparty, counterparty_iban,
    message, invoice_external_id)
SELECT %(tenant)s, %(connection)s, b.external_id || '-' || e, b.id, b.external_id, b.iban,
    b.start + e %% 27, CASE WHEN e %% 2 = 0 THEN 100000 ELSE -200000 END, 'EUR',
    'Party ' || e %% 40,
    '', '', ''
FROM integrations_bankstatement b, generate_series(1, 100) e WHERE b.tenant_id = %(tenant)s;
"""
_TABLES = "customer product invoice invoiceline payment bankaccount bankstatement bankevent"


def fill(dsn: str, tenant_id: int, connection_id: int, *, lines: int = LINES) -> dict[str, int]:
    """Fill an empty connection's books, as a superuser; returns how many rows each table got.

    Keys are not checked: the statements keep them by themselves.
    """
    import psycopg2

    params: dict[str, Any] = {
        "tenant": tenant_id,
        "connection": connection_id,
        "products": _PRODUCTS,
        # About 44 lines for each; those beyond `lines` are left out, the newest first.
        "customers": max(20, lines // 40),
        "months": MONTHS,
        "lines": lines,
        "first": psycopg2.extensions.AsIs(_FIRST),
    }
    server = psycopg2.connect(dsn)
    with server, server.cursor() as cursor:
        cursor.execute(
            "SET LOCAL session_replication_role = replica;"
            " SET LOCAL work_mem = '256MB'; SET LOCAL enable_nestloop = off"
        )
        for statement in (_PARTIES, _ROWS, _INVOICES, _BANK):
            cursor.execute(statement, params)
    counts = {}
    server.autocommit = True
    with server.cursor() as cursor:
        for name in _TABLES.split():
            cursor.execute(f"ANALYZE integrations_{name}")
            cursor.execute(
                f"SELECT count(*) FROM integrations_{name} WHERE tenant_id = %s", [tenant_id]
            )
            counts[name] = cursor.fetchone()[0]
    server.close()
    return counts
