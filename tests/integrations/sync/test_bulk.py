"""COPY brings every value through unchanged, and only differences are written."""

from datetime import UTC, date, datetime
from decimal import Decimal

import pytest
from django.db import connection as database
from django.db import transaction
from hypothesis import HealthCheck, given
from hypothesis import settings as limits
from hypothesis import strategies as st

from calqsync.tenancy import scope
from integrations.models import Connection, Product
from integrations.sync import targets
from integrations.sync.bulk import as_text, found, insert_missing, store, upsert
from integrations.sync.rows import ProductRow

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)


@pytest.fixture
def owner(cast):
    with scope.tenant(cast.tenant.pk), transaction.atomic():
        connection = Connection.objects.create(name="Main", company_id="1", company_name="Kuusi")
        yield {"tenant_id": cast.tenant.pk, "connection_id": connection.pk}


def product(external_id, name="Licence", **changes):
    row = ProductRow(external_id, "L", name, name, "MONTH", Decimal("10.5"), "EUR", None, "", True)
    return row._replace(**changes)


def test_new_changed_and_same_rows_are_told_apart(owner):
    first = upsert(targets.PRODUCTS, [product("1"), product("2")], **owner)
    assert first.added.keys() == {"1", "2"}
    second = upsert(targets.PRODUCTS, [product("1"), product("2", "Other"), product("3")], **owner)
    assert (second.added.keys(), second.changed.keys()) == ({"3"}, {"2"})
    assert second.changed["2"] == first.added["2"]


def test_rows_taken_for_new_are_compared_where_one_is_there_already(owner):
    first = upsert(targets.PRODUCTS, [product("1"), product("2")], fresh=True, **owner)
    assert first.added.keys() == {"1", "2"}
    rows = [product("1"), product("2", "Other"), product("3")]
    second = upsert(targets.PRODUCTS, rows, fresh=True, **owner)
    assert (second.added.keys(), second.changed.keys()) == ({"3"}, {"2"})
    assert second.changed["2"] == first.added["2"]


def test_a_row_that_says_the_same_is_not_written(owner):
    def place():
        with database.cursor() as cursor:
            cursor.execute("SELECT ctid, xmin FROM integrations_product")
            return cursor.fetchall()

    upsert(targets.PRODUCTS, [product("1")], **owner)
    before = place()
    upsert(targets.PRODUCTS, [product("1", price=Decimal("10.500"))], **owner)
    assert place() == before


def test_a_row_that_was_marked_comes_back_when_it_is_loaded(owner):
    upsert(targets.PRODUCTS, [product("1"), product("2")], **owner)
    Product.objects.filter(external_id="1").update(removed_at=NOW)
    again = upsert(targets.PRODUCTS, [product("1")], **owner)
    assert again.changed.keys() == {"1"}
    assert Product.objects.get(external_id="1").removed_at is None


def test_what_is_there_already_is_left_alone(owner):
    upsert(targets.PRODUCTS, [product("1")], **owner)
    added = insert_missing(targets.PRODUCTS, [product("1", "X"), product("2")], **owner)
    assert added == {"2": Product.objects.get(external_id="2").pk}
    assert Product.objects.get(external_id="1").name == "Licence"
    assert found(targets.PRODUCTS, "external_id", ["1", "2", "3"], **owner).keys() == {"1", "2"}


@limits(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=60)
@given(st.text(st.characters(exclude_characters="\x00", exclude_categories=["Cs"]), max_size=60))
def test_any_text_arrives_as_it_left(owner, text):
    upsert(targets.PRODUCTS, [product("1", text)], **owner)
    assert Product.objects.get(external_id="1").name == text


def test_every_kind_of_value_has_a_form():
    row = [None, True, 3, "a\tb\\c\n", b"\x00\xff", date(2026, 1, 2), Decimal("1E+3"), NOW]
    assert as_text([row]) == (
        "\\N\tTrue\t3\ta\\tb\\\\c\\n\t\\\\x00ff\t2026-01-02\t1E+3\t2026-11-21T12:00:00+00:00\n"
    )


def test_a_second_load_of_one_transaction_writes_only_its_own_rows(owner):
    store(targets.PRODUCTS, [product("1"), product("2")], **owner)
    Product.objects.filter(external_id="2").delete()
    store(targets.PRODUCTS, [product("1", "Other")], **owner)
    assert [p.name for p in Product.objects.order_by("external_id")] == ["Other"]


def test_each_of_many_keys_is_found_with_its_stream_alone(owner):
    rows = [(stream, "7", stream.encode(), b"sealed") for stream in ("invoices", "payments")]
    store(targets.RAW, rows, **owner)
    asked = {"wanted": "sha256", "where": {"stream": "payments"}}
    [(key, digest)] = found(targets.RAW, "external_id", ["7", "8"], **asked, **owner).items()
    assert (key, bytes(digest)) == ("7", b"payments")


def test_another_tenants_rows_are_out_of_reach(owner, cast):
    upsert(targets.PRODUCTS, [product("1")], **owner)
    with scope.tenant(cast.stranger_tenant.pk):
        assert found(targets.PRODUCTS, "external_id", ["1"], **owner) == {}
