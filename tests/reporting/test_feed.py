"""The feed hands the engine what the books hold: this tenant's, issued, in one currency."""

from __future__ import annotations

from datetime import date
from typing import Any

import numpy as np
import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from calqsync.tenancy import scope
from integrations.models import InvoiceLine
from reporting import feed
from reporting.domain.arrays import NO_DAY
from reporting.domain.choices import Decision, LineWord, Mark, SubscriptionKey, Verdict
from reporting.domain.periods import day_number
from reporting.feed import reading
from reporting.models import CustomerMerge, LineDecision, ProductMark, SubscriptionDecision
from tests.conftest import Cast
from tests.factories import (
    Row,
    account_make,
    connection_make,
    customer_make,
    invoice_make,
    monthly_make,
    payment_make,
    product_make,
    statement_make,
)

DAY = date(2026, 3, 15)


def books_of(tenant: Any, as_of: date = DAY) -> feed.Books:
    return feed.books(tenant=tenant, as_of=as_of)


def test_lines_carry_what_the_invoice_says(kuura: Any) -> None:
    customer = customer_make(connection_make())
    product = product_make(customer.connection, "Alusta")
    row = Row(
        net="120.00",
        product=product,
        service=("2026-01-01", "2026-02-01"),
        text="per user",
        unit="MONTH",
        quantity="12",
    )
    invoice = invoice_make(customer, "2026-01-02", [row], delivery_start=date(2026, 1, 1))
    lines = books_of(kuura).lines
    assert lines.invoice_id.tolist() == [invoice.pk]
    assert lines.product_id.tolist() == [product.pk]
    assert lines.invoice_day.tolist() == [day_number(date(2026, 1, 2))]
    assert lines.net.tolist() == [12000]
    assert lines.quantity_e4.tolist() == [120_000]
    assert lines.start_day.tolist() == [day_number(date(2026, 1, 1))]
    assert lines.end_day.tolist() == [day_number(date(2026, 2, 1))]
    assert lines.delivery_start_day.tolist() == [day_number(date(2026, 1, 1))]
    assert lines.delivery_end_day.tolist() == [NO_DAY]
    assert lines.texts == ("Alusta\nper user",)


def test_only_issued_documents_that_still_exist_are_read(kuura: Any) -> None:
    customer = customer_make(connection_make())
    kept = invoice_make(customer, "2026-01-02", [Row(net="1.00")])
    invoice_make(customer, "2026-01-03", [Row(net="2.00")], issued=False, status="UNFINISHED")
    invoice_make(customer, "2026-01-04", [Row(net="3.00")], removed_at="2026-03-01T00:00:00Z")
    read = books_of(kuura)
    assert read.lines.invoice_id.tolist() == [kept.pk]
    assert read.receivables.invoice_id.tolist() == [kept.pk]


def test_books_narrowed_to_customers_hold_theirs_and_those_of_who_is_merged_into_them(
    kuura: Any,
) -> None:
    connection = connection_make()
    product = product_make(connection, "Alusta")
    first, second, third = (customer_make(connection, name) for name in ("Aalto", "Berg", "Cor"))
    mine = monthly_make(first, product, ["2026-01", "2026-02"])
    merged = monthly_make(second, product, ["2026-02"])
    monthly_make(third, product, ["2026-03"])
    CustomerMerge.objects.create(tenant_id=kuura.pk, customer=second, into=first)
    for customer in (first, third):
        SubscriptionDecision.objects.create(
            tenant_id=kuura.pk, key=f"{customer.pk}|p{product.pk}|EUR|0", verdict="confirmed"
        )
    whole = books_of(kuura)
    read = feed.books(tenant=kuura, as_of=DAY, customer_ids=[first.pk])
    assert set(whole.lines.customer_id.tolist()) == {first.pk, third.pk}
    assert sorted(read.lines.invoice_id.tolist()) == sorted(one.pk for one in [*mine, *merged])
    assert set(read.lines.customer_id.tolist()) == {first.pk}
    assert set(read.receivables.customer_id.tolist()) == {first.pk}
    assert [one.key.customer_id for one in read.words.decisions] == [first.pk]


def test_nothing_of_another_tenant_is_read(cast: Cast) -> None:
    with scope.tenant(cast.stranger_tenant.pk):
        theirs = connection_make("Theirs")
        invoice = invoice_make(customer_make(theirs), "2026-01-02", [Row(net="9.00")])
        payment_make(invoice, "2026-01-09", "9.00")
        statement_make(account_make(theirs), "2026-01-01", "2026-01-31", "5.00", [])
    with scope.tenant(cast.tenant.pk):
        read = books_of(cast.tenant)
        assert len(read.lines) == 0
        assert len(read.receivables) == 0
        assert read.bank.account_ids == ()
        assert read.freshness == []


def test_several_connections_are_read_together(kuura: Any) -> None:
    for name in ("EU", "US"):
        invoice_make(customer_make(connection_make(name)), "2026-01-02", [Row(net="1.00")])
    assert len(books_of(kuura).lines) == 2


def test_connection_in_another_currency_is_left_out_and_noted(kuura: Any) -> None:
    connection = connection_make("US", currency="USD")
    invoice_make(customer_make(connection), "2026-01-02", [Row(net="1.00")])
    read = books_of(kuura)
    assert len(read.lines) == 0
    assert read.notes == [
        {
            "code": "connection_other_currency",
            "params": {
                "connection": str(connection.public_id),
                "name": "US",
                "currency": "USD",
            },
        }
    ]
    assert [row["included"] for row in read.freshness] == [False]


def test_second_connection_waits_for_its_first_import(kuura: Any) -> None:
    connection_make("EU")
    loading = connection_make("US", first_import_at=None, complete_back_to=date(2026, 2, 1))
    invoice_make(customer_make(loading), "2026-02-02", [Row(net="1.00")])
    read = books_of(kuura)
    assert len(read.lines) == 0
    assert [note["code"] for note in read.notes] == ["connection_loading"]
    assert read.settings.complete_from is None


def test_first_connection_is_read_while_it_loads(kuura: Any) -> None:
    loading = connection_make(first_import_at=None, complete_back_to=date(2026, 2, 1))
    invoice_make(customer_make(loading), "2026-02-02", [Row(net="1.00")])
    read = books_of(kuura)
    assert len(read.lines) == 1
    assert read.settings.complete_from == date(2026, 2, 1)


@pytest.mark.parametrize(
    ("status", "payments", "left"),
    [
        ("SENT", [], 10000),
        ("PARTLY_PAID", [("60.00", "USD")], 4000),
        ("PARTLY_PAID", [("130.00", "USD")], 0),
        ("PAID", [], 0),
        ("MARKED_PAID", [("99.00", "USD")], 0),
    ],
)
def test_open_amount_is_what_payments_leave(
    kuura: Any, status: str, payments: list[tuple[str, str]], left: int
) -> None:
    customer = customer_make(connection_make())
    invoice = invoice_make(
        customer, "2026-01-02", [Row(net="100.00")], status=status, currency="USD"
    )
    for amount, currency in payments:
        payment_make(invoice, "2026-01-20", amount, paid_currency=currency)
    assert books_of(kuura).receivables.open_gross.tolist() == [left]


def test_foreign_invoice_is_open_at_its_own_rate(kuura: Any) -> None:
    customer = customer_make(connection_make())
    row = Row(net="110.00", acc="100.00")
    invoice = invoice_make(customer, "2026-01-02", [row], currency="USD", status="PARTLY_PAID")
    payment_make(invoice, "2026-01-20", "55.00", amount_acc_minor=4400)
    assert books_of(kuura).receivables.open_gross.tolist() == [5000]


def test_credit_loss_closes_a_receivable_and_is_no_payment(kuura: Any) -> None:
    invoice = invoice_make(customer_make(connection_make()), "2026-01-02", [Row(net="80.00")])
    payment_make(invoice, "2026-02-02", "80.00", kind="CREDITLOSS", is_cash=False)
    read = books_of(kuura)
    assert read.receivables.open_gross.tolist() == [0]
    assert read.receivables.paid_day.tolist() == [NO_DAY]
    assert read.paid.written_off.tolist() == [8000]
    assert read.paid.paid.tolist() == [0]


def test_account_in_another_currency_is_left_out_of_cash_and_noted(kuura: Any) -> None:
    connection = connection_make()
    account = account_make(connection, iban="US1", currency="USD")
    statement_make(account, "2026-01-01", "2026-01-31", "5.00", [("2026-01-02", "1.00")])
    read = books_of(kuura)
    assert len(read.bank.event_id) == 0
    assert read.notes == [
        {"code": "account_other_currency", "params": {"iban": "US1", "currency": "USD"}}
    ]


def test_words_of_people_are_read(kuura: Any) -> None:
    product = product_make(connection_make())
    ProductMark.objects.create(product=product, mark="usage", period_months=3)
    SubscriptionDecision.objects.create(key=f"7|p{product.pk}|EUR|0", verdict="rejected")
    words = books_of(kuura).words
    assert [(one.product, one.mark, one.period_months) for one in words.products] == [
        (f"p{product.pk}", Mark.USAGE, 3)
    ]
    assert [(one.key.customer_id, one.verdict) for one in words.decisions] == [
        (7, Verdict.REJECTED)
    ]


def test_words_on_lines_merges_and_renewals_are_read(kuura: Any) -> None:
    first, second = (customer_make(connection_make(name)) for name in ("EU", "US"))
    product = product_make(first.connection)
    invoice = invoice_make(second, "2026-01-02", [Row(net="9.00")])
    line = InvoiceLine.objects.get(invoice=invoice)
    CustomerMerge.objects.create(tenant_id=kuura.pk, customer=second, into=first)
    SubscriptionDecision.objects.create(
        key=f"{second.pk}|p{product.pk}|EUR|0",
        renewal_percent=80,
        merged_into=f"{second.pk}|n:alusta|EUR|0",
    )
    LineDecision.objects.create(
        line=line,
        type="recurring",
        subscription_key=f"{second.pk}|own:3f|EUR|0",
        end=date(2026, 3, 1),
    )
    for words in (
        books_of(kuura).words,
        feed.books(tenant=kuura, as_of=DAY, customer_ids=[first.pk]).words,
    ):
        assert words.decisions == (
            Decision(
                key=SubscriptionKey(first.pk, f"p{product.pk}", "EUR"),
                renewal_percent=80,
                merged_into=SubscriptionKey(first.pk, "n:alusta", "EUR"),
            ),
        )
        assert words.lines == (
            LineWord(
                line_id=line.pk,
                type=Mark.RECURRING,
                subscription=SubscriptionKey(first.pk, "own:3f", "EUR"),
                end=date(2026, 3, 1),
            ),
        )


def test_invoices_of_a_customers_day_stand_as_they_are_numbered_there(kuura: Any) -> None:
    connection = connection_make()
    customer, other = customer_make(connection), customer_make(connection)
    rows = [Row(net="10.00"), Row(net="20.00")]
    last, first, second = (
        invoice_make(customer, "2026-01-02", rows, external_id=number)
        for number in ("1000", "98", "99")
    )
    alone = invoice_make(other, "2026-01-02", rows, external_id="5000")
    lines = books_of(kuura).lines
    order = np.argsort(lines.place)
    own = order[lines.customer_id[order] == customer.pk]
    assert lines.invoice_id[own].tolist() == [
        one.pk for one in (first, second, last) for _row in rows
    ]
    assert lines.net[own].tolist() == 3 * [1000, 2000]
    apart = lines.invoice_id == alone.pk
    assert lines.place[apart].tolist() == lines.line_id[apart].tolist()


def test_numbers_are_asked_for_where_a_customer_has_invoices_of_one_day_alone(kuura: Any) -> None:
    customer = customer_make(connection_make())
    for day in ("2026-01-02", "2026-01-03"):
        invoice_make(customer, day, [Row(net="10.00")])
        nobodys = invoice_make(customer, "2026-01-04", [Row(net="10.00")])
        nobodys.customer = None
        nobodys.save()
    with CaptureQueriesContext(connection) as asked:
        books_of(kuura)
    assert not [query for query in asked if "id, external_id" in query["sql"]]
    invoice_make(customer, "2026-01-03", [Row(net="10.00")])
    with CaptureQueriesContext(connection) as asked:
        books_of(kuura)
    assert [query for query in asked if "id, external_id" in query["sql"]]


def test_a_merged_customers_own_word_gives_way_to_its_targets(kuura: Any) -> None:
    first, second = (customer_make(connection_make(name)) for name in ("EU", "US"))
    CustomerMerge.objects.create(tenant_id=kuura.pk, customer=second, into=first)
    for customer, verdict in ((first, "confirmed"), (second, "rejected")):
        SubscriptionDecision.objects.create(key=f"{customer.pk}|n:alusta|EUR|0", verdict=verdict)
    assert [one.verdict for one in books_of(kuura).words.decisions] == [
        Verdict.REJECTED,
        Verdict.CONFIRMED,
    ]


def test_reading_takes_the_same_queries_however_many_lines(
    kuura: Any, django_assert_max_num_queries: Any
) -> None:
    customer = customer_make(connection_make())
    product = product_make(customer.connection)
    monthly_make(customer, product, [f"2025-{month:02d}" for month in range(1, 13)])
    with django_assert_max_num_queries(16):
        books_of(kuura)


@pytest.mark.parametrize("block", [16, 64, 4096])
def test_a_row_is_read_whole_wherever_a_block_ends(
    kuura: Any, monkeypatch: pytest.MonkeyPatch, block: int
) -> None:
    monkeypatch.setattr(reading, "BLOCK_BYTES", block)
    numbers, texts = reading.read_columns(
        """SELECT n, repeat(E'"\\n,', n %% 9) FROM generate_series(1, 50) n""",
        {}, {"n": np.int64}, ["said"],
    )  # fmt: skip
    assert numbers["n"].tolist() == list(range(1, 51))
    said = [texts["said"].names[code] for code in texts["said"].codes.tolist()]
    assert said == ['"\n,' * (n % 9) for n in range(1, 51)]


def test_no_read_loops_over_loops_while_statistics_know_nothing(
    kuura: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the database plans before it has counted a tenant's rows: hash joins by all columns.

    A merge by the connection alone compared every bank event with every invoice.
    """
    statement_make(account_make(connection_make()), "2026-01-01", "2026-01-31", "1.00", [])
    asked: list[tuple[str, Any]] = []

    def keep(execute: Any, sql: str, params: Any, *rest: Any) -> Any:
        asked.append((sql, params))
        return execute(sql, params, *rest)

    def copied(sql: str, params: dict[str, Any], *rest: Any) -> None:
        asked.append((sql, {"tenant": scope.required(), **params}))
        read(sql, params, *rest)

    read = reading.read_tables
    monkeypatch.setattr(reading, "read_tables", copied)
    with connection.execute_wrapper(keep):
        feed.books(tenant=kuura, as_of=date(2026, 3, 15))
    joins = [(sql, params) for sql, params in asked if "LEFT JOIN" in sql]
    assert len(joins) == 2
    for sql, params in joins:
        with connection.cursor() as cursor:
            cursor.execute(f"EXPLAIN {sql}", params)
            plan = "\n".join(row[0] for row in cursor.fetchall())
        assert "Nested Loop" not in plan
        assert "Merge" not in plan
        assert "Hash" in plan
