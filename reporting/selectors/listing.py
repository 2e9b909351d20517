"""Lists of documents: what the address asks for, one page of it on screen, all of it as a file.

A list is described once, as rows and columns. The page shows fifty rows and a sum over all rows
that match; the file holds all of them, in the same order, with numbers as numbers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from types import SimpleNamespace
from typing import Any

from django.core.paginator import Paginator
from django.db.models import Count, F, Q, QuerySet, Sum
from django.db.models.functions import Coalesce
from django.http import QueryDict
from django.utils.translation import gettext as _

from calqsync.tenancy import formats, sheets
from reporting.domain import rounding
from reporting.selectors.frame import Words

PAGE = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """One column: `value` is what a file holds, `cell` what the page shows."""

    key: str
    label: str
    value: Callable[[Any], Any]
    cell: Callable[[Any], Any] | None = None
    order: str = ""
    """What to sort by and to sum; without it the column does neither."""
    total: Callable[[int], str] | None = None
    """How the sum over all rows is written."""
    exact: bool = False
    """`order` is in 1/10 000 of a minor unit: rows are rounded so that they add up to the sum."""
    numeric: bool = False
    kind: sheets.Kind = "text"
    """What `value` is in a file."""
    hint: str = ""
    in_file: bool = True
    on_page: bool = True


def text(
    key: str, label: str, value: Callable[[Any], Any], *, order: str = "", **more: Any
) -> Column:
    return Column(key=key, label=label, value=value, order=order, **more)


def day(
    key: str,
    label: str,
    words: Words,
    value: Callable[[Any], date | None],
    *,
    order: str = "",
    **more: Any,
) -> Column:
    return Column(
        key=key,
        label=label,
        value=value,
        cell=lambda row: whole(words.day(value(row))),
        order=order,
        kind="day",
        **more,
    )


def whole(text: str) -> str:
    """The text kept on one line."""
    return text.replace(" ", formats.NO_BREAK)


def count(key: str, label: str, words: Words, order: str, **more: Any) -> Column:
    return Column(
        key=key,
        label=label,
        value=lambda row: getattr(row, order),
        cell=lambda row: words.count(getattr(row, order)),
        order=order,
        total=words.count,
        numeric=True,
        kind="count",
        **more,
    )


def money(
    key: str,
    label: str,
    words: Words,
    value: Callable[[Any], int | None],
    *,
    order: str = "",
    **more: Any,
) -> Column:
    """Minor units of the connection's currency; another one than the list's is named."""

    def cell(row: Any) -> str:
        minor, own = value(row), currency_of(row, words)
        if minor is None or own == words.currency:
            return words.amount(minor)
        return f"{formats.amount(minor, own, language=words.language)} {own}"

    return Column(
        key=key,
        label=label,
        value=lambda row: major(value(row), currency_of(row, words)),
        cell=cell,
        order=order,
        total=words.amount,
        numeric=True,
        kind="money",
        **more,
    )


def share(key: str, label: str, words: Words, order: str, **more: Any) -> Column:
    """An exact figure, shown in the minor units that add up to the list's sum."""

    def minor(row: Any) -> int:
        return int(row.shown_minor)

    return Column(
        key=key,
        label=label,
        value=lambda row: major(minor(row), words.currency),
        cell=lambda row: words.amount(minor(row)),
        order=order,
        total=words.amount,
        exact=True,
        numeric=True,
        kind="money",
        **more,
    )


def currency_of(row: Any, words: Words) -> str:
    """The accounting currency of the row's connection; the list's where it has none."""
    connection = getattr(row, "connection", None)
    return connection.currency if connection else words.currency


def major(minor: int | None, currency: str) -> Decimal | None:
    """Minor units as the decimal number that a file holds."""
    return None if minor is None else Decimal(minor).scaleb(-formats.decimals_of(currency))


class Counted(Paginator):
    """A paginator that was told the count, because the sums were read with it."""

    def __init__(self, rows: Any, per_page: int, count: int) -> None:
        super().__init__(rows, per_page)
        self.count = count


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """A list as the address asks for it; its rows are read by `page` or `table`."""

    caption: str
    rows: QuerySet[Any]
    columns: Sequence[Column]
    default_sort: str
    query: Mapping[str, str]
    words: Words
    counted: Callable[[int], str]
    """"12 invoices", for a number of rows."""
    url: Callable[[Any], str]
    nothing: dict[str, Any]
    """What an empty company's list says."""
    search_label: str = ""
    filters: Sequence[dict[str, Any]] = ()
    keep: Sequence[tuple[str, str]] = ()
    """State of the address that the form must carry on, such as the tab."""
    sum_of: Q | None = None
    """The rows that may be summed, where others are in another currency."""
    prepare: Callable[[Sequence[Any]], None] | None = None
    """Called with the rows of a page, to read at once what belongs to them."""
    file_fields: Sequence[str] = ()
    """What the columns' values read, for long files: plain records cost far less than models."""

    @property
    def shown(self) -> list[Column]:
        """The columns of the page."""
        return [column for column in self.columns if column.on_page]

    @property
    def sort(self) -> str:
        """The column to sort by, with "-" for descending; only columns that allow it."""
        asked = self.query.get("sort", "")
        allowed = {column.key for column in self.columns if column.order}
        return asked if asked.removeprefix("-") in allowed else self.default_sort

    @property
    def narrowed(self) -> bool:
        """A search or filter is set, so that an empty list is not an empty company."""
        return bool(self.narrowed_by)

    @property
    def narrowed_by(self) -> list[str]:
        """The names of the search and filters that are set."""
        names = ["q", *(one["name"] for one in self.filters), *(name for name, _said in self.keep)]
        return [name for name in dict.fromkeys(names) if self.query.get(name)]

    def page(self) -> dict[str, Any]:
        """What `parts/data_list.html` draws."""
        shares = self._all_shares()
        count, sums = self._count_and_sums(shares)
        shown = Counted(self._sorted(), PAGE, count).get_page(self.query.get("page"))
        rows = self._read(shown.object_list, shares) if count else []
        searchable = bool(count or self.narrowed)
        return {
            "caption": self.caption,
            "currency": self.words.currency if sums else "",
            "columns": [_head(column) for column in self.shown],
            "rows": [
                {"url": self.url(row), "cells": [_cell(column, row) for column in self.shown]}
                for row in rows
            ],
            "total": self._total(count, sums),
            "count_text": self.counted(count),
            "page": shown,
            "empty": self._empty(),
            "searchable": searchable and bool(self.search_label),
            "search_label": self.search_label,
            "query": self.query.get("q", ""),
            "filters": list(self.filters) if searchable else [],
            "sort": self.sort,
            "keep": list(self.keep),
            "exports": self._exports() if count else [],
        }

    def table(self) -> tuple[list[str], Iterable[list[Any]]]:
        """The head and all rows that match, as values for a file."""
        columns = [column for column in self.columns if column.in_file]
        rows = self._sorted()
        found = (
            _records(rows, self.file_fields)
            if self.file_fields
            else self._read(rows, self._all_shares())
        )
        values = ([column.value(row) for column in columns] for row in found)
        return [sheets.Head(column.label, column.kind) for column in columns], values

    def _sorted(self) -> QuerySet[Any]:
        key = self.sort.removeprefix("-")
        by = F(next(column.order for column in self.columns if column.key == key))
        if self.sort.startswith("-"):
            return self.rows.order_by(by.desc(nulls_last=True), "-pk")
        return self.rows.order_by(by.asc(nulls_last=True), "pk")

    def _all_shares(self) -> dict[int, int]:
        """The minor units of every row, so that they add up to the sum; {} without such a column.

        One read of two columns, which also tells the count and the sum.
        """
        column = self._exact()
        if column is None:
            return {}
        pairs = list(
            self.rows.order_by(F(column.order).desc(), "pk").values_list("pk", column.order)
        )
        shares = rounding.list_minor([int(exact) for _pk, exact in pairs])
        return {pk: int(share) for (pk, _exact), share in zip(pairs, shares, strict=True)}

    def _exact(self) -> Column | None:
        return next((column for column in self.columns if column.exact), None)

    def _count_and_sums(self, shares: Mapping[int, int]) -> tuple[int, dict[str, int]]:
        exact = self._exact()
        summed = [column for column in self.columns if column.total and column is not exact]
        found = {"rows": len(shares)}
        if summed or exact is None:
            sums: dict[str, Any] = {
                f"sum_{column.key}": Coalesce(Sum(column.order, filter=self.sum_of), 0)
                for column in summed
            }
            found = self.rows.order_by().aggregate(rows=Count("pk"), **sums)
        values = {column.key: int(found[f"sum_{column.key}"]) for column in summed}
        if exact is not None:
            values[exact.key] = sum(shares.values())
        return found["rows"], values

    def _read(self, rows: Iterable[Any], shares: Mapping[int, int]) -> list[Any]:
        found = list(rows)
        for row in found:
            row.shown_minor = shares.get(row.pk, 0)
        if self.prepare is not None:
            self.prepare(found)
        return found

    def _total(self, count: int, sums: Mapping[str, int]) -> dict[str, Any] | None:
        if not sums:
            return None
        cells = [column.total(sums[column.key]) if column.total else "" for column in self.shown]
        label = _("Sum of all %(count)s") % {"count": self.words.count(count)}
        if self.sum_of is not None:
            label = _("Sum of those in %(currency)s") % {"currency": self.words.currency}
        return {"label": label, "cells": cells[1:]}

    def _empty(self) -> dict[str, Any]:
        if not self.narrowed:
            return self.nothing
        return {
            "icon": "search",
            "title": _("Nothing matches"),
            "text": _("Try another word, or take a filter away."),
            "url": "?",
            "action": _("Show all"),
        }

    def _exports(self) -> list[dict[str, str]]:
        return export_links(self._address_of)

    def _address_of(self, kind: str) -> str:
        asked = QueryDict(mutable=True)
        asked.update({key: value for key, value in self.query.items() if key != "page"})
        asked["format"] = kind
        return f"?{asked.urlencode()}"


def export_links(address_of: Callable[[str], str]) -> list[dict[str, str]]:
    """The buttons for each kind of file."""
    return sheets.buttons(address_of)


def _records(rows: QuerySet[Any], fields: Sequence[str]) -> Iterable[Any]:
    """Rows as plain records with only `fields`; "a__b" is read as `row.a.b`."""
    tree: dict[str, Any] = {}
    for place, name in enumerate(fields):
        *above, last = name.split("__")
        node = tree
        for part in above:
            node = node.setdefault(part, {})
        node[last] = place
    return (_record(tree, values) for values in rows.values_list(*fields).iterator(5000))


def _record(tree: Mapping[str, Any], values: Sequence[Any]) -> SimpleNamespace | None:
    """None where everything below is: the row that a foreign key leads to is not there."""
    found = {
        name: _record(place, values) if isinstance(place, dict) else values[place]
        for name, place in tree.items()
    }
    return None if all(value is None for value in found.values()) else SimpleNamespace(**found)


def _head(column: Column) -> dict[str, Any]:
    return {
        "key": column.key,
        "label": column.label,
        "numeric": column.numeric,
        "sortable": bool(column.order),
        "hint": column.hint,
    }


def _cell(column: Column, row: Any) -> Any:
    if column.cell is not None:
        return column.cell(row)
    value = column.value(row)
    return "" if value is None else str(value)
