"""Tables as files: CSV and XLSX for spreadsheets, where text never runs, Parquet for data tools."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Literal, get_args

from django.http import HttpResponse
from django.utils.http import content_disposition_header
from django.utils.text import slugify
from django.utils.translation import gettext as _
from xlsxwriter import Workbook

if TYPE_CHECKING:
    import pyarrow

CSV, XLSX, PARQUET = "csv", "xlsx", "parquet"
_TYPES = {
    CSV: "text/csv; charset=utf-8",
    XLSX: "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    PARQUET: "application/vnd.apache.parquet",
}
Kind = Literal["text", "count", "money", "rate", "day", "moment", "flag"]
# A spreadsheet runs a cell that begins so. A Finnish one also begins a new cell at every ";", and
# at a line's end, even inside the quotes of a file whose separator is the comma.
_RUNS = re.compile(
    r"(?:^|(?<=[;\t\r\n]))"
    r"(?=[\s\"'\u00ad\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff]*[=+\-@＝＋－＠]|^[\t\r\n])"
)
# What one sheet and one cell of a spreadsheet can hold, and how many digits its numbers have.
_ROWS, _LETTERS, _DIGITS = 1_048_575, 32_767, 15


class Head(str):
    """A column's label that also says what its cells hold, whatever rows there are.

    `money` is decimals in major units, `rate` decimals such as fractions and ratios.
    """

    kind: Kind
    __slots__ = ("kind",)

    def __new__(cls, label: str, kind: Kind) -> Head:
        made = super().__new__(cls, label)
        made.kind = kind
        return made


def kind_asked(asked: str | None) -> str | None:
    """The kind of file that an address asks for; None for a page."""
    return asked if asked in _TYPES else None


def buttons(address_of: Callable[[str], str]) -> list[dict[str, str]]:
    """What `parts/exports.html` draws: a button for each kind of file."""
    words = {
        CSV: _("Export CSV"),
        XLSX: _("Export Excel"),
        PARQUET: _("Export Parquet"),
    }
    return [{"label": label, "url": address_of(kind)} for kind, label in words.items()]


def file_answer(
    kind: str, name: Sequence[str], head: Sequence[str], rows: Iterable[Sequence[Any]]
) -> HttpResponse:
    """The table as a download of this kind, named by the words of `name`."""
    made = {CSV: csv_file, XLSX: xlsx_file, PARQUET: parquet_file}[kind](head, rows)
    headers = {"Content-Disposition": attachment(name, kind)}
    return HttpResponse(made, content_type=_TYPES[kind], headers=headers)


def attachment(name: Sequence[str], suffix: str) -> str:
    """The header that makes a browser keep an answer as a file of this name."""
    return str(content_disposition_header(True, f"{file_name(*name)}.{suffix}"))


def file_name(*words: str) -> str:
    """A name that every system takes: letters, digits and hyphens, of a sensible length."""
    parts = (slugify(word, allow_unicode=True) for word in words)
    return "-".join(part for part in parts if part)[:120] or "file"


def csv_file(head: Sequence[str], rows: Iterable[Sequence[Any]]) -> bytes:
    """CSV with a header; UTF-8 with the mark that spreadsheets need."""
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow([safe(label) for label in head])
    writer.writerows([safe(value) for value in row] for row in rows)
    return out.getvalue().encode("utf-8-sig")


def safe(value: Any) -> Any:
    """A value that a spreadsheet shows and never runs; numbers stay numbers."""
    if value is None:
        return ""
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, (int, Decimal)):
        return value
    return _RUNS.sub("'", str(value))


def xlsx_file(head: Sequence[str], rows: Iterable[Sequence[Any]]) -> bytes:
    """A workbook with a header; a table longer than a sheet goes on in the next one."""
    out = io.BytesIO()
    # Rows are written as they come: a long list is never held as cells.
    with Workbook(out, {"constant_memory": True}) as book:
        sheet = _Sheet(book, head)
        for row in rows:
            if sheet.row == _ROWS:
                sheet = _Sheet(book, head)
            sheet.add(row)
    return out.getvalue()


def parquet_file(head: Sequence[str], rows: Iterable[Sequence[Any]]) -> bytes:
    """Typed columns: exact decimals, 64-bit integers, days and instants, text as it is.

    A column's type is the one that its `Head` says, so that it is the same in every file; that of
    a plain label is told from its cells. What does not fit its column makes it a column of text.
    Lines under a table, which are shorter than its head, stay out of it.
    """
    # Only who asks for a file, or reads the books' lines, pays for it: no process starts with it.
    import pyarrow
    import pyarrow.parquet

    whole = [row for row in rows if len(row) == len(head)]
    columns = [
        _column(pyarrow, label, [row[place] for row in whole]) for place, label in enumerate(head)
    ]
    out = io.BytesIO()
    table = pyarrow.table(columns, names=_distinct(head))
    pyarrow.parquet.write_table(table, out, compression="zstd")
    return out.getvalue()


def _column(arrow: Any, label: str, cells: Sequence[Any]) -> pyarrow.Array:
    values = [None if cell == "" else cell for cell in cells]
    kind = label.kind if isinstance(label, Head) else _told(values)
    types: dict[Kind, Any] = {
        "text": arrow.string(),
        "count": arrow.int64(),
        # Room for every currency's decimals, so that one type serves all companies.
        "money": arrow.decimal128(22, 4),
        "rate": arrow.decimal128(22, 6),
        "day": arrow.date32(),
        "moment": arrow.timestamp("us", tz="UTC"),
        "flag": arrow.bool_(),
    }
    assert set(types) == set(get_args(Kind))
    if kind != "text":
        try:
            return arrow.array(values, type=types[kind])
        except (arrow.ArrowInvalid, arrow.ArrowTypeError):
            pass
    texts = [cell if cell is None or isinstance(cell, str) else str(cell) for cell in values]
    return arrow.array(texts, type=arrow.string())


def _told(values: Iterable[Any]) -> Kind:
    """What cells under a plain label hold: one kind for all of them, or text."""
    # In this order: an instant is a day to Python, and a flag a number.
    kinds: list[tuple[type, Kind]] = [
        (bool, "flag"),
        (int, "count"),
        (Decimal, "rate"),
        (datetime, "moment"),
        (date, "day"),
    ]
    found = {
        next((kind for one, kind in kinds if isinstance(value, one)), "text")
        for value in values
        if value is not None
    }
    return found.pop() if len(found) == 1 else "text"  # type: ignore[return-value]


def _distinct(head: Sequence[str]) -> list[str]:
    """The labels, numbered where one stands twice: columns are read by their names."""
    seen: dict[str, int] = {}
    names = []
    for label in head:
        seen[label] = seen.get(label, 0) + 1
        names.append(str(label) if seen[label] == 1 else f"{label} ({seen[label]})")
    return names


class _Sheet:
    """One sheet under its header; each value is written as what it is, text always as text."""

    def __init__(self, book: Workbook, head: Sequence[str]) -> None:
        self.row = 0
        self._sheet = book.add_worksheet()
        bold = book.add_format({"bold": True})
        self._day = book.add_format({"num_format": "yyyy-mm-dd"})
        self._moment = book.add_format({"num_format": "yyyy-mm-dd hh:mm:ss"})
        self._money = book.add_format({"num_format": "#,##0.00"})
        self._sheet.freeze_panes(1, 0)
        for column, label in enumerate(head):
            self._sheet.set_column(column, column, max(12, len(label) + 2))
            self._sheet.write_string(0, column, label, bold)

    def add(self, values: Sequence[Any]) -> None:
        self.row += 1
        for column, value in enumerate(values):
            self._write(column, value)

    def _write(self, column: int, value: Any) -> None:
        if value is None or value == "":
            return
        if isinstance(value, datetime):
            moment = value.astimezone(UTC).replace(tzinfo=None)
            self._sheet.write_datetime(self.row, column, moment, self._moment)
        elif isinstance(value, date):
            self._sheet.write_datetime(self.row, column, value, self._day)
        elif isinstance(value, (int, Decimal)) and _fits(value):
            of_money = isinstance(value, Decimal) and value.as_tuple().exponent == -2
            self._sheet.write_number(self.row, column, value, self._money if of_money else None)
        else:
            self._sheet.write_string(self.row, column, str(value)[:_LETTERS])


def _fits(number: int | Decimal) -> bool:
    """Whether a spreadsheet's number holds every digit."""
    return len(Decimal(number).as_tuple().digits) <= _DIGITS
