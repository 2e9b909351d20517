"""What an answer gives away: markers of the other company, after what the asker itself sent."""

from __future__ import annotations

import html
import io
import re
import zipfile
from collections.abc import Iterable
from decimal import Decimal
from typing import Any
from urllib.parse import quote, quote_plus

import pyarrow.parquet

from tests.architecture.world import BOOKS, DIRECTORY, Company

_JOINED = re.compile(r"(?<=\d)[ ,.\u00a0\u202f\u2009'](?=\d)")
_RUNS = re.compile(r"\d{7,}")


def text_of(response: Any) -> str:
    """Body and headers of an answer as text; packed files (Excel, Parquet, copies) unpacked."""
    body = b"".join(response.streaming_content) if response.streaming else response.content
    if body[:2] == b"PK":
        with zipfile.ZipFile(io.BytesIO(body)) as packed:
            body = b"\n".join(packed.read(name) for name in packed.namelist())
    if body[:4] == b"PAR1":
        rows = pyarrow.parquet.read_table(io.BytesIO(body)).to_pylist()
        body = "\n".join(_plain(cell) for row in rows for cell in row.values()).encode()
    heads = "\n".join(f"{name}: {value}" for name, value in response.headers.items())
    cookies = response.cookies.output()
    return f"{heads}\n{cookies}\n{body.decode(errors='replace')}"


def _plain(cell: Any) -> str:
    """A cell as people write it: amounts with two decimals."""
    return f"{cell:.2f}" if isinstance(cell, Decimal) else str(cell)


def without(text: str, sent: Iterable[str]) -> str:
    """The text without what the asker sent, in any of the ways in which it may be echoed."""
    for value in sorted({value for value in sent if len(value) > 2}, key=len, reverse=True):
        for echo in {
            value,
            html.escape(value),
            quote(value),
            quote(value, safe=""),
            quote_plus(value),
        }:
            text = text.replace(echo, "")
    return text


def numbers_of(company: Company) -> frozenset[str]:
    """The company's amounts in minor units, as far as they are long enough to be no accident."""
    month = int(company.words.month * 100)
    times = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 12, 40]
    return frozenset(str(month * n) for n in times if month * n >= 10_000_000)


def leaks(
    text: str, company: Company, *, sent: Iterable[str] = (), directory: bool = False
) -> list[str]:
    """What the text tells of the company; with `directory`, support's directory is no leak."""
    rest = without(text, sent).lower()
    found = [BOOKS] if BOOKS in rest else []
    if not directory:
        known = {DIRECTORY, company.slug, str(company.tenant.public_id)}
        known |= {
            str(thing.public_id) for thing in company.things.values() if hasattr(thing, "public_id")
        }
        found += [word for word in known if word.lower() in rest]
    amounts = numbers_of(company)
    runs = {*_RUNS.findall(rest), *_RUNS.findall(_JOINED.sub("", rest))}
    return found + sorted(amounts & runs)
