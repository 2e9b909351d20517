"""Files for data tools: every table of every page as Parquet, exactly typed, with the same rows."""

from __future__ import annotations

import csv
import io
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pyarrow
import pyarrow.parquet
import pytest

from calqsync.tenancy.sheets import Head, parquet_file
from reporting.models import Report
from reporting.selectors.figures import tables_of


def read(made: bytes) -> pyarrow.Table:
    return pyarrow.parquet.read_table(io.BytesIO(made))


def types(table: pyarrow.Table) -> dict[str, str]:
    return {field.name: str(field.type) for field in table.schema}


def test_each_kind_of_cell_has_its_type_whatever_rows_there_are() -> None:
    kinds = ("text", "count", "money", "rate", "day", "moment", "flag")
    head = [Head(kind, kind) for kind in kinds]
    moment = datetime(2026, 3, 1, 12, tzinfo=UTC)
    row = ["=1+1", 7, Decimal("0.10"), Decimal("0.123456"), date(2026, 3, 1), moment, True]
    full, empty = read(parquet_file(head, [row, [None] * 7])), read(parquet_file(head, []))
    assert full.to_pylist() == [dict(zip(kinds, row, strict=True)), dict.fromkeys(kinds)]
    assert types(full) == types(empty)
    assert types(full)["money"] == "decimal128(22, 4)"
    assert types(full)["day"] == "date32[day]"


def test_plain_labels_tell_their_type_from_their_cells() -> None:
    rows = [[1, "a", Decimal("1.5"), None], [2, "", Decimal("2"), None]]
    assert types(read(parquet_file(["n", "t", "d", "none"], rows))) == {
        "n": "int64",
        "t": "string",
        "d": "decimal128(22, 6)",
        "none": "string",
    }


def test_what_fits_no_type_of_its_column_is_kept_as_text() -> None:
    table = read(
        parquet_file([Head("net", "money"), "mixed"], [[Decimal("1e30"), 1], ["n/a", "x"]])
    )
    assert table.to_pylist() == [{"net": "1E+30", "mixed": "1"}, {"net": "n/a", "mixed": "x"}]


def test_two_columns_of_one_name_stay_apart_and_lines_below_a_table_stay_out() -> None:
    table = read(parquet_file(["a", "a"], [[1, 2], [], ["As of", date(2026, 1, 1), 3]]))
    assert table.to_pylist() == [{"a": 1, "a (2)": 2}]


@pytest.mark.parametrize("name", ["customers", "products", "subscriptions", "invoices", "payments"])
def test_a_list_as_parquet_holds_the_rows_of_its_csv(
    cast: Any, vera: Any, shop: Any, name: str
) -> None:
    url = cast.url(f"{name}/")
    assert "format=parquet" in vera.get(url).content.decode()
    answer = vera.get(url, {"format": "parquet"})
    assert answer["Content-Disposition"].endswith('.parquet"')
    text = vera.get(url, {"format": "csv"}).content.decode("utf-8-sig")
    head, *rows = csv.reader(io.StringIO(text))
    table = read(answer.content)
    assert (table.column_names, table.num_rows) == (head, len(rows))
    money = [field for field in table.schema if str(field.type).startswith("decimal")]
    assert money
    for field in money:
        place = head.index(field.name)
        written = [Decimal(row[place]) if row[place] else None for row in rows]
        assert table[field.name].to_pylist() == written


def test_days_are_days_and_counts_are_numbers(cast: Any, vera: Any, shop: Any) -> None:
    invoices = types(read(vera.get(cast.url("invoices/"), {"format": "parquet"}).content))
    assert invoices["Date"] == invoices["Due"] == "date32[day]"
    customers = types(read(vera.get(cast.url("customers/"), {"format": "parquet"}).content))
    assert customers["Subscriptions"] == "int64"


@pytest.mark.parametrize("page", ["", "growth/", "cashflow/"])
def test_every_table_of_months_is_offered_in_all_kinds(
    cast: Any, vera: Any, shop: Any, page: str
) -> None:
    shown = vera.get(cast.url(page))
    tables = list(tables_of(shown.context["page"]))
    if page != "cashflow/":  # the shop has no bank
        assert tables
    for table in tables:
        for kind in ("csv", "xlsx", "parquet"):
            assert f"table={table['id']}&amp;format={kind}" in shown.content.decode()
        answer = vera.get(cast.url(page), {"table": table["id"], "format": "parquet"})
        assert read(answer.content).num_rows == len(table["head"]) - 1


def test_mrr_by_customer_and_month_is_exact(cast: Any, vera: Any, shop: Any) -> None:
    answer = vera.get(cast.url("growth/customers/"), {"format": "parquet"})
    table = read(answer.content)
    assert types(table)["2026-01"] == "decimal128(22, 4)"
    row = {one["Customer"]: one for one in table.to_pylist()}
    published = Report.objects.get().body["months"][0]["mrr_minor"]
    assert row["Aalto Oy"]["2026-01"] + row["Cedar Inc"]["2026-01"] == Decimal(published) / 100
