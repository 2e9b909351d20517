"""Files for spreadsheets: text that would run, numbers that must count, names that must be safe."""

from __future__ import annotations

import csv
import io
import zipfile
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest
from django.db import transaction

from calqsync.tenancy import scope, sheets
from tests.web.world import World

FORMULAS = [
    "=cmd|'/C calc'!A0",
    "+1+1",
    "-1+1",
    "@SUM(A1)",
    "\t=1",
    "\r=1",
    "\n=1",
    " =1",
    "\u200b=1",
    "\ufeff=1",
    '"=1',
    "＝1",
    "Aalto;=HYPERLINK(0)",
    "Aalto; +1",
    'Aalto";=1',
    "Aalto\n=1",
    "Aalto\t=1",
    "Aalto\r\n@x",
]
HARMLESS = ["Aalto Oy", "A-Lehdet", "5 + 5", "a@b.example", "Hinta 10,-", "Å=Ä", "", "x;y"]


def cells(text: str, separator: str) -> list[str]:
    """The cells that a spreadsheet makes of a file when it takes this for the separator."""
    return [
        cell
        for row in csv.reader(io.StringIO(text, newline=None), delimiter=separator)
        for cell in row
    ]


@pytest.mark.parametrize("separator", [",", ";", "\t"])
@pytest.mark.parametrize("attack", FORMULAS)
def test_w3_no_text_begins_a_formula_in_any_spreadsheet(attack: str, separator: str) -> None:
    for row in ([attack], ["x", attack], [attack, Decimal("1.00")]):
        text = sheets.csv_file(["Name"], [row]).decode("utf-8-sig")
        wild = [
            cell
            for cell in cells(text, separator)
            if cell.lstrip(" \"'\t\r\n\u200b\ufeff").startswith(("=", "+", "@", "＝", "-1+"))
            and not cell.lstrip(' "\t\r\n\u200b\ufeff').startswith("'")
        ]
        assert wild == []


@pytest.mark.parametrize("word", HARMLESS)
def test_w3b_harmless_text_stays_as_it_is(word: str) -> None:
    assert sheets.safe(word) == word


@pytest.mark.parametrize("number", [Decimal("-12.50"), -3, 0, Decimal("1000000.01")])
def test_w3c_amounts_stay_numbers(number: Any) -> None:
    text = sheets.csv_file(["Net"], [[number]]).decode("utf-8-sig")
    assert text.splitlines()[1] == str(number)


def sheet_of(made: bytes) -> str:
    with zipfile.ZipFile(io.BytesIO(made)) as book:
        return book.read("xl/worksheets/sheet1.xml").decode()


def test_w3d_a_workbook_holds_no_formula_and_no_link() -> None:
    made = sheets.xlsx_file(
        ["=1"], [[attack, "https://evil.example", "1e5"] for attack in FORMULAS]
    )
    xml = sheet_of(made)
    assert "<f>" not in xml
    assert "hyperlink" not in xml
    assert xml.count('t="inlineStr"') == 1 + 3 * len(FORMULAS)


def test_w3e_a_workbook_holds_numbers_and_days_as_such() -> None:
    rows = [[Decimal("-12.50"), 7, date(2026, 1, 31), datetime(2026, 1, 31, 12, tzinfo=UTC)]]
    xml = sheet_of(sheets.xlsx_file(["a", "b", "c", "d"], rows))
    for value in ("<v>-12.50</v>", "<v>7</v>", "<v>46053</v>", "<v>46053.5</v>"):
        assert value in xml


def test_w3f_a_number_too_long_for_a_spreadsheet_keeps_its_digits() -> None:
    long = Decimal("12345678901234567.89")
    assert str(long) in sheet_of(sheets.xlsx_file(["a"], [[long]]))


def test_w3g_a_table_longer_than_a_sheet_goes_on_in_the_next(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sheets, "_ROWS", 2)
    made = sheets.xlsx_file(["Nimi"], [[f"row{n}"] for n in range(5)])
    with zipfile.ZipFile(io.BytesIO(made)) as book:
        found = [book.read(f"xl/worksheets/sheet{n}.xml").decode() for n in (1, 2, 3)]
    assert ["row1" in found[0], "row3" in found[1], "row4" in found[2]] == [True] * 3
    assert all("Nimi" in one for one in found)


@pytest.mark.parametrize("name", ["customers", "products", "subscriptions", "invoices", "payments"])
def test_w3h_both_files_of_a_list_hold_the_rows_of_its_page(
    world: World, client: Any, name: str
) -> None:
    client.force_login(world.cast.vera)
    url = world.cast.url(f"{name}/")
    page = client.get(url)
    assert "format=csv" in page.content.decode()
    assert "format=xlsx" in page.content.decode()
    rows = csv.reader(io.StringIO(client.get(url, {"format": "csv"}).content.decode("utf-8-sig")))
    written = client.get(url, {"format": "xlsx"})
    assert written["Content-Type"].endswith("spreadsheetml.sheet")
    assert sheet_of(written.content).count("<row ") == len(list(rows)) > 1


def test_w3i_files_keep_the_filter_of_the_page(world: World, client: Any) -> None:
    client.force_login(world.cast.vera)
    url = world.cast.url("customers/")
    page = client.get(url, {"q": "Aalto"})
    (export,) = [one for one in page.context["listing"]["exports"] if "xlsx" in one["url"]]
    xml = sheet_of(client.get(url + export["url"]).content)
    assert "Aalto" in xml
    assert "Berg" not in xml


def test_w1b_hostile_names_are_inert_in_files(world: World, client: Any) -> None:
    from integrations.models import Customer

    attack = '=HYPERLINK("https://evil.example")<script>\u202e'
    with transaction.atomic(), scope.tenant(world.cast.tenant.pk):
        Customer.objects.update(name=attack)
    client.force_login(world.cast.vera)
    url = world.cast.url("customers/")
    text = client.get(url, {"format": "csv"}).content.decode("utf-8-sig")
    assert attack.replace('"', '""') in text
    assert [cell for cell in cells(text, ",") if cell.startswith("=")] == []
    xml = sheet_of(client.get(url, {"format": "xlsx"}).content)
    assert "<f>" not in xml
    assert "&lt;script&gt;" in xml


@pytest.mark.parametrize(
    ("words", "name"),
    [
        (["Invoices", 'a"; filename=evil.exe', "2026"], "invoices-a-filenameevilexe-2026"),
        (["a\r\nSet-Cookie: x=1"], "a-set-cookie-x1"),
        (["../../etc/passwd"], "etcpasswd"),
        (["Laskut Åbo Öljy"], "laskut-åbo-öljy"),
        (["\u202ecod.exe\u200b"], "codexe"),
        (["CON\0"], "con"),
        (["", "..", "/"], "file"),
        (["x" * 400], "x" * 120),
    ],
)
def test_w16_names_of_files_hold_letters_digits_and_hyphens(words: list[str], name: str) -> None:
    assert sheets.file_name(*words) == name


def test_w16b_a_name_beyond_ascii_is_written_as_the_standard_says() -> None:
    answer = sheets.file_answer("csv", ["Åbo"], ["a"], [])
    assert answer["Content-Disposition"] == "attachment; filename*=utf-8''%C3%A5bo.csv"


def test_w16c_downloads_are_attachments_of_a_named_type(world: World, client: Any) -> None:
    client.force_login(world.cast.vera)
    for kind in ("csv", "xlsx", "parquet"):
        answer = client.get(world.cast.url("invoices/"), {"format": kind})
        assert answer["Content-Disposition"].startswith('attachment; filename="invoices-')
        assert answer["X-Content-Type-Options"] == "nosniff"
        assert "no-store" in answer["Cache-Control"]
