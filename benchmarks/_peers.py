"""The figures of `bench report` by SQL, in PostgreSQL and in DuckDB: months, and each customer's.

The statements know what the data keep simple, which is in their favour: every line says its
period, periods are whole months from the first of a month, a customer pays in one currency, and a
chain is a customer's product. All else is as the engine has it: half away from zero, lateness,
credits in full, movements after netting, exchange rates apart, and returns.
"""

from __future__ import annotations

# {month(x)}: the month index of a day; {int}: a wide integer; {line}: lines in these columns.
FIGURES = """
WITH line AS MATERIALIZED ({line}),
kept AS (
    SELECT customer, product, start, stop FROM line
    GROUP BY customer, product, start, stop HAVING sum(net) > 0
),
chain AS (SELECT customer, product, max(stop) AS last_stop FROM kept GROUP BY customer, product),
span AS (
    SELECT l.customer, l.currency,
        {half_native} AS native, {half_mrr} AS mrr, {month_start} AS first,
        CASE WHEN l.stop = c.last_stop AND l.stop <= {today}
            AND {today} <= l.stop + CASE WHEN l.months = 12 THEN 60 ELSE 30 END
            THEN {running} + 1 ELSE {month_stop} END AS after
    FROM line l JOIN chain c ON c.customer = l.customer AND c.product = l.product
),
stood AS (
    SELECT customer, month, sum(mrr)::bigint AS mrr,
        sum(CASE WHEN currency <> 'EUR' THEN native END)::bigint AS native
    FROM (SELECT customer, currency, native, mrr, {unnested} AS month FROM span) one
    WHERE month <= {running} GROUP BY customer, month
),
every AS (
    SELECT c.customer, m.month, greatest(coalesce(s.mrr, 0), 0) AS mrr,
        coalesce(s.native, 0) AS native
    FROM (SELECT DISTINCT customer FROM line) c
    CROSS JOIN (SELECT {months} AS month) m
    LEFT JOIN stood s ON s.customer = c.customer AND s.month = m.month
),
beside AS (
    SELECT *, coalesce(lag(mrr) OVER w, 0) AS was, coalesce(lag(native) OVER w, 0) AS was_native,
        coalesce(max(mrr) OVER (w ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING), 0) AS ever
    FROM every WINDOW w AS (PARTITION BY customer ORDER BY month)
),
moved AS (
    SELECT customer, month, mrr, was, ever, CASE WHEN native > 0 AND was_native > 0 AND mrr > 0
        AND was > 0 THEN mrr - {expected} ELSE 0 END AS fx
    FROM beside
),
named AS (
    SELECT customer, month, mrr, fx, mrr - was - fx AS change, CASE
        WHEN was = 0 AND mrr > 0 AND ever = 0 THEN 1 WHEN was = 0 AND mrr > 0 THEN 5
        WHEN was > 0 AND mrr = 0 THEN 4 WHEN was > 0 AND mrr - was - fx > 0 THEN 2
        WHEN was > 0 AND mrr - was - fx < 0 THEN 3 ELSE 0 END AS move
    FROM moved
)
"""
MONTHS = """
SELECT month, sum(mrr) AS mrr, sum(fx) AS fx, count(*) FILTER (WHERE mrr > 0) AS customers,
    {sums}, {counts} FROM {named} GROUP BY month ORDER BY month
""".format(
    sums=", ".join(
        f"coalesce(sum(abs(change)) FILTER (WHERE move = {n}), 0) AS moved_{n}" for n in range(1, 6)
    ),
    counts=", ".join(f"count(*) FILTER (WHERE move = {n}) AS movers_{n}" for n in range(1, 6)),
    named="named",
)
CUSTOMERS = """
SELECT customer, array_agg(mrr ORDER BY month) AS mrr, array_agg(fx ORDER BY month) AS fx,
    array_agg(move ORDER BY month) AS moves FROM named GROUP BY customer ORDER BY customer
"""


def _half(amount: str, *, whole: str) -> str:
    """amount × 10 000 ÷ months, half away from zero, in integers."""
    size = f"((2 * abs(l.{amount}) * 10000 + l.months) {whole} (2 * l.months))"
    return f"sign(l.{amount})::bigint * {size}"


def _filled(line: str, day: str, first: int, running: int, duck: bool) -> str:
    whole = "//" if duck else "/"
    month = "(extract(year FROM l.{0})::int * 12 + extract(month FROM l.{0})::int - 1)"
    series = "unnest(range({0}, {1}))" if duck else "generate_series({0}, {1} - 1)"
    return FIGURES.format(
        line=line,
        half_native=_half("net", whole=whole),
        half_mrr=_half("net_acc", whole=whole),
        month_start=month.format("start"),
        month_stop=month.format("stop"),
        today=f"DATE '{day}'",
        running=running,
        unnested=series.format("first", "after"),
        months=series.format(first, running + 1),
        expected=f"(2 * native::bigint * was::bigint + was_native::bigint) {whole}"
        " (2 * was_native::bigint)",
    )


_POSTGRES_LINES = """
    SELECT i.customer_id AS customer, l.product_id AS product, i.currency, l.net_minor AS net,
        l.net_acc_minor AS net_acc, l.start, l."end" AS stop,
        (extract(year FROM age(l."end", l.start)) * 12
            + extract(month FROM age(l."end", l.start)))::bigint AS months
    FROM integrations_invoiceline l
    JOIN integrations_invoice i ON i.tenant_id = l.tenant_id AND i.id = l.invoice_id
    WHERE l.tenant_id = {tenant} AND i.tenant_id = {tenant} AND i.issued AND i.removed_at IS NULL
        AND i.customer_id IS NOT NULL
"""
_DUCK_LINES = """
    SELECT customer, product, currency, net, net_acc, DATE '1970-01-01' + start AS start,
        DATE '1970-01-01' + stop AS stop, date_diff('month', DATE '1970-01-01' + start,
            DATE '1970-01-01' + stop) AS months
    FROM lines
"""


def by_postgres(cursor: object, tenant: int, day: str, first: int, running: int) -> None:
    """Fill tables `peer_months` and `peer_customers` from the books, in one session."""
    named = _filled(_POSTGRES_LINES.format(tenant=tenant), day, first, running, duck=False)
    for statement in (
        "SET work_mem = '512MB'",
        "DROP TABLE IF EXISTS peer_named, peer_months, peer_customers",
        f"CREATE TEMPORARY TABLE peer_named AS {named} SELECT * FROM named",
        f"CREATE TABLE peer_months AS {MONTHS.replace('FROM named', 'FROM peer_named')}",
        f"CREATE TABLE peer_customers AS {CUSTOMERS.replace('FROM named', 'FROM peer_named')}",
    ):
        cursor.execute(statement)


def by_duckdb(lines: object, day: str, first: int, running: int) -> tuple[object, object]:
    """(months, customers) as columns, from a frame of lines in memory."""
    import duckdb

    base = duckdb.connect()
    base.execute("SET enable_progress_bar = false")
    base.register("lines", lines)
    named = _filled(_DUCK_LINES, day, first, running, duck=True)
    base.execute(f"CREATE TEMPORARY TABLE named AS {named} SELECT * FROM named")
    return base.execute(MONTHS).fetchnumpy(), base.execute(CUSTOMERS).fetchnumpy()
