"""Tables as files for spreadsheets, CSV or XLSX: text never runs there, numbers stay numbers."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

from django.http import HttpResponse
from django.utils.http import content_disposition_header
from django.utils.text import slugify
from xlsxwriter import Workbook

CSV, XLSX = "csv", "xlsx"
_TYPES = {
    CSV: "text/csv; charset=utf-8",
    XLSX: "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
}
# A spreadsheet runs a cell that begins so. A Finnish one also begins a new cell at every ";", and
# at a line's end, even inside the quotes of a file whose separator is the comma.
_RUNS = re.compile(
    r"(?:^|(?<=[;\t\r\n]))"
    r"(?=[\s\"'\u00ad\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff]*[=+\-@＝＋－＠]|^[\t\r\n])"
)
# What one sheet and one cell of a spreadsheet can hold, and how many digits its numbers have.
_ROWS, _LETTERS, _DIGITS = 1_048_575, 32_767, 15


def kind_asked(asked: str | None) -> str | None:
    """The kind of file that an address asks for; None for a page."""
    return asked if asked in _TYPES else None


def file_answer(
    kind: str, name: Sequence[str], head: Sequence[str], rows: Iterable[Sequence[Any]]
) -> HttpResponse:
    """The table as a download of this kind, named by the words of `name`."""
    made = csv_file(head, rows) if kind == CSV else xlsx_file(head, rows)
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
