"""The engine's input: one row per invoice line, as equal-length integer columns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from reporting.domain.arrays import NO_DAY, Codes, Days, Flags, Ints, codes
from reporting.domain.choices import NAMED
from reporting.domain.texts import normalised_product


@dataclass(frozen=True, slots=True, kw_only=True)
class Lines:
    """Issued sales-invoice lines of one tenant, any order.

    Days count from 1970-01-01 and periods are half-open: the feed adds one day to the
    accounting system's inclusive end dates. Amounts are net of VAT after all discounts.
    """

    line_id: Ints
    place: Ints
    """Settles ties between lines of a customer's day, whatever ids an import gave the rows."""
    invoice_id: Ints
    customer_id: Ints
    product_id: Ints
    """-1 where the row names no product."""
    product_key: Codes
    """Index into `product_names`; rows without a product are keyed by their normalised text."""
    currency: NDArray[np.int16]
    """Index into `currencies`."""
    invoice_day: Days
    net: Ints
    """Minor units of the invoice's currency."""
    net_acc: Ints
    """Minor units of the reporting currency."""
    quantity_e4: Ints
    """Quantity in 1/10 000."""
    unit: NDArray[np.int16]
    """Code of `units.unit_code`."""
    start_day: Days
    end_day: Days
    delivery_start_day: Days
    delivery_end_day: Days
    connection_id: Codes
    text: Codes
    """Index into `texts`."""
    is_credit: Flags
    """The whole invoice is a credit note (its total is negative)."""
    product_names: tuple[str, ...]
    currencies: tuple[str, ...]
    texts: tuple[str, ...]
    """Distinct row texts: product name, comment, header and explanation, joined by a newline."""

    def __post_init__(self) -> None:
        sizes = {
            len(value)
            for column in fields(self)
            if isinstance(value := getattr(self, column.name), np.ndarray)
        }
        if len(sizes) > 1:
            raise ValueError(f"columns of different length: {sorted(sizes)}")

    def __len__(self) -> int:
        return len(self.line_id)

    def take(self, rows: NDArray[np.intp] | Ints | Flags) -> Lines:
        """The chosen rows in the given order, with the same name tables."""
        chosen = {
            column.name: value[rows]
            for column in fields(self)
            if isinstance(value := getattr(self, column.name), np.ndarray)
        }
        return replace(self, **chosen)  # type: ignore[arg-type]

    def part(self, rows: NDArray[np.intp]) -> Lines:
        """The chosen rows with only the names that they carry, for work that looks at each name."""
        chosen = self.take(rows)
        texts, text = np.unique(chosen.text, return_inverse=True)
        products, product = np.unique(chosen.product_key, return_inverse=True)
        return replace(
            chosen,
            text=text.astype(np.int32),
            texts=tuple(self.texts[code] for code in texts.tolist()),
            product_key=product.astype(np.int32),
            product_names=tuple(self.product_names[key] for key in products.tolist()),
        )


DTYPES: dict[str, type[np.generic]] = {
    "line_id": np.int64,
    "place": np.int64,
    "invoice_id": np.int64,
    "customer_id": np.int64,
    "product_id": np.int64,
    "invoice_day": np.int32,
    "net": np.int64,
    "net_acc": np.int64,
    "quantity_e4": np.int64,
    "unit": np.int16,
    "start_day": np.int32,
    "end_day": np.int32,
    "delivery_start_day": np.int32,
    "delivery_end_day": np.int32,
    "connection_id": np.int32,
    "is_credit": np.bool_,
}


class Coded(NamedTuple):
    """Strings of lines that are coded already: each distinct one, and every line's index."""

    names: Sequence[str]
    codes: Ints | Codes


def build_lines(
    *,
    columns: dict[str, Sequence[object] | NDArray[np.generic]],
    products: Sequence[str] | Coded,
    currencies: Sequence[str] | Coded,
    texts: Sequence[str] | Coded,
) -> Lines:
    """Lines from plain columns, coding the repeated strings.

    `columns` holds every integer column of `Lines` by name (None stands for an absent day), but
    for `place` where lines stand in the order of their ids;
    `products`, `currencies` and `texts` hold one string per line, or its code. A product's name
    is only shown; rows without a product id share a key when their names differ in dates and
    numbers alone.
    """
    arrays: dict[str, NDArray[np.generic]] = {}
    columns = {"place": columns["line_id"], **columns}
    for name, dtype in DTYPES.items():
        given = columns[name]
        if not isinstance(given, np.ndarray):
            given = np.array([NO_DAY if value is None else value for value in given], dtype=dtype)
        arrays[name] = given.astype(dtype, copy=False)
    product_key, product_names = _product_keys(arrays["product_id"].astype(np.int64), products)
    currency, currency_names = _coded(currencies)
    text, distinct_texts = _coded(texts)
    return Lines(
        **arrays,  # type: ignore[arg-type]
        product_key=product_key,
        product_names=product_names,
        currency=currency.astype(np.int16),
        currencies=currency_names,
        text=text,
        texts=distinct_texts,
    )


def _coded(values: Sequence[str] | Coded) -> tuple[Codes, tuple[str, ...]]:
    if isinstance(values, Coded):
        return values.codes.astype(np.int32), tuple(values.names)
    code: dict[str, int] = {}
    codes = [code.setdefault(value, len(code)) for value in values]
    return np.array(codes, dtype=np.int32), tuple(code)


def _product_keys(product_id: Ints, names: Sequence[str] | Coded) -> tuple[Codes, tuple[str, ...]]:
    """One key per product id, and one per normalised name among rows without a product."""
    name_code, distinct = _coded(names)
    bare_code, _ = _coded([normalised_product(name) for name in distinct])
    pair = np.where(product_id >= 0, product_id, -1 - bare_code[name_code].astype(np.int64))
    key, first = codes(pair)
    return key.astype(np.int32), tuple(distinct[name_code[row]] for row in first)


def product_ref(product_id: int | None, name: str) -> str:
    """What names a row's product in a subscription's key.

    `p77` for a registered product, `n:<normalised text>` for a row without one.
    """
    return f"{NAMED}{normalised_product(name)}" if product_id is None else f"p{product_id}"


def product_refs(lines: Lines) -> tuple[str, ...]:
    """A name for each product key that stays the same from one import to the next."""
    # Every row of a key has the same product.
    ids = np.full(len(lines.product_names), -1, dtype=np.int64)
    ids[lines.product_key] = lines.product_id
    return tuple(
        product_ref(number if number >= 0 else None, name)
        for number, name in zip(ids.tolist(), lines.product_names, strict=True)
    )
