"""Figures by month, said once a row: the same rows as a table, as a chart and as a file."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any, Literal, cast

from django.utils.translation import gettext as _

from calqsync.tenancy import formats, sheets
from calqsync.tenancy.models import Tenant
from reporting.selectors import frame
from reporting.selectors.codes import BETWEEN, opens
from reporting.selectors.frame import PPM, Comparison, Words
from reporting.selectors.listing import major

# All columns of two years are linked, of longer tables the newest year: a page must stay short.
LINKED, NEWEST = 24, 12

Unit = Literal["money", "rate", "count", "ratio", "tenths"]
Month = Mapping[str, object]
"""A row of a published list of months, with at least `month` and `complete`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One figure by month: where it stands, how it is written, what its cells open."""

    label: str
    field: str | Callable[[Month], int | None]
    unit: Unit = "money"
    kind: str = ""
    line: bool = False
    figure: str = ""
    """The code of the documents behind a cell; those without a page yet are not linked."""
    address: tuple[tuple[str, str], ...] = ()
    """What narrows the documents, such as the segment."""
    url: str = ""
    """Where the row's name leads."""
    back: int = 0
    """The documents are those of this many rows earlier: what stood at a month's start."""
    sign: int = 1
    signed: bool = False
    reason: str = ""
    """Why there is no value where there is none."""
    total: bool = False
    sub: bool = False
    optional: bool = False
    """Left out where no month has any."""
    compared: bool = False
    """Followed by its change against the period that is compared with."""
    axis: str = ""
    hidden: bool = False

    def unlinked(self) -> Row:
        """The row without links from its cells."""
        return replace(self, figure="")

    def value(self, month: Month) -> int | None:
        """The integer as it is published, with the sign that it is shown with."""
        found = month.get(self.field) if isinstance(self.field, str) else self.field(month)
        return None if found is None else cast(int, found) * self.sign


@dataclass(frozen=True, slots=True)
class File:
    """A table as a file holds it; `rows` are made when somebody asks."""

    caption: str
    head: Sequence[str]
    rows: Callable[[], list[list[Any]]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Months:
    """The months that a page shows, oldest first, and how they are called."""

    tenant: Tenant
    words: Words
    rows: Sequence[Month]
    known: Sequence[Month] = ()
    """All published months, among which those are found that are compared with."""
    compare: Comparison | None = None
    name: Callable[[str], str] | None = None
    """Writes "2026-03" as a column's heading; the month by default."""
    length: int = 1
    """How many months a row spans, ending with its month."""
    span: Mapping[str, str] | None = None
    """What stands in the address of documents between the two ends of several months."""
    address: Mapping[str, str] | None = None
    """What else stands in the address of documents, such as the segment."""

    def heading(self, month: Month) -> str:
        return (self.name or self.words.month)(str(month["month"]))

    def table(
        self,
        *,
        id: str,
        caption: str,
        what: str,
        rows: Sequence[Row],
        note: str = "",
    ) -> dict[str, Any]:
        """What `parts/figure_table.html` draws, months as columns, with its file."""
        shown = self._with_changes(rows)
        money = {row.unit == "money" for row in shown}
        labels = [
            f"{row.label}, {self.words.currency}"
            if row.unit == "money" and len(money) > 1
            else row.label
            for row in shown
        ]
        unlinked = 0 if len(self.rows) <= LINKED else len(self.rows) - NEWEST
        head: list[Any] = [what]
        head += [
            {"label": self.heading(month), "incomplete": not month["complete"]}
            for month in self.rows
        ]
        return {
            "id": id,
            "caption": caption,
            "currency": self.words.currency if money == {True} else "",
            "note": note,
            "months": True,
            "head": head,
            "rows": [
                {
                    "label": label,
                    "kind": row.kind,
                    "line": row.line,
                    "url": row.url,
                    "cells": [
                        self._cell(row, month, linked=place >= unlinked)
                        for place, month in enumerate(self.rows)
                    ],
                    "total": row.total,
                    "sub": row.sub,
                }
                for row, label in zip(shown, labels, strict=True)
            ],
            "file": self._file(caption, shown, labels),
        }

    def file(self, caption: str, rows: Sequence[Row]) -> File:
        """The file of a table, where it holds other rows than the page."""
        return self._file(caption, rows, [row.label for row in rows])

    def chart(
        self,
        *,
        id: str,
        type: str,
        title: str,
        summary: str,
        rows: Sequence[Row],
        table: dict[str, Any] | None = None,
        **more: Any,
    ) -> dict[str, Any]:
        """What `parts/chart.html` draws; `more` is the chart's own, `data_…` goes to its data."""
        data = {key.removeprefix("data_"): more.pop(key) for key in list(more) if "data_" in key}
        drawn = [row for row in rows if not row.optional or self._any(row)]
        rates = drawn[0].unit == "rate"
        style = {"rate": "rate", "money": "money"}.get(drawn[0].unit, "count")
        return {
            "id": id,
            "type": type,
            "title": title,
            "summary": summary,
            **more,
            "data": {
                "labels": [self.heading(month) for month in self.rows],
                "series": [self._series(row, PPM if rates else 1) for row in drawn],
                "incomplete": [i for i, row in enumerate(self.rows) if not row["complete"]],
                "incomplete_word": _("so far"),
                "format": {"style": style, "currency": self.words.currency},
                **data,
            },
            "table": table,
        }

    def newest(self, rows: Sequence[Row]) -> str:
        """ "Oct 2026: ARPA €580; LTV €9,400.", the figures of the last complete month; else ""."""
        month = next((month for month in reversed(self.rows) if month["complete"]), None)
        told = []
        for row in rows if month else ():
            value = row.value(month) if month else None
            if value is not None:
                money = row.unit == "money"
                text = self.words.money(value) if money else written(self.words, row.unit, value)
                told.append(f"{row.label} {text}")
        if month is None or not told:
            return ""
        return _("%(month)s: %(figures)s.") % {
            "month": self.heading(month),
            "figures": "; ".join(told),
        }

    def _any(self, row: Row) -> bool:
        return any(row.value(month) for month in self.rows)

    def _series(self, row: Row, scale: int) -> dict[str, Any]:
        # Losses are published and drawn as magnitudes: the chart knows which way they go.
        values = [replace(row, sign=1).value(month) for month in self.rows]
        made: dict[str, Any] = {
            "kind": row.kind,
            "label": row.label,
            "values": [v if v is None or scale == 1 else v / scale for v in values],
            "as": "line" if row.line else "bar",
        }
        if row.axis:
            made["axis"] = row.axis
        if row.hidden:
            made["hidden"] = True
        return made

    def _with_changes(self, rows: Sequence[Row]) -> list[Row]:
        shown = []
        for row in rows:
            if row.optional and not self._any(row):
                continue
            shown.append(row)
            if row.compared and self.compare is not None:
                shown.append(self._change(row, self.compare))
        return shown

    def _change(self, row: Row, compare: Comparison) -> Row:
        """How the figure differs from the month that it is compared with; rates in points."""
        known = {str(month["month"]): month for month in self.known}

        def difference(month: Month) -> int | None:
            index = frame.month_index(str(month["month"])) - compare.shift
            before = known.get(frame.month_text(index))
            now, then = row.value(month), row.value(before) if before else None
            return None if now is None or then is None else now - then

        label = _("change %(against)s") % {"against": compare.against}
        if row.unit == "rate":
            label = _("points %(against)s") % {"against": compare.against}
        return Row(
            label=label,
            field=difference,
            unit=row.unit,
            signed=True,
            total=row.total,
            sub=True,
            reason=_("There is no figure to compare with."),
        )

    def _cell(self, row: Row, month: Month, *, linked: bool) -> dict[str, Any]:
        value = row.value(month)
        cell: dict[str, Any] = {"text": written(self.words, row.unit, value, signed=row.signed)}
        if value is None and row.reason:
            cell["hint"] = row.reason
        if not month["complete"]:
            cell["incomplete"] = True
        if value and linked and (url := self._behind(row, str(month["month"]))):
            cell["url"] = url
        return cell

    def _behind(self, row: Row, month: str) -> str:
        """The address of the documents behind a cell; "" where there are none to show."""
        address: Mapping[str, str] | None = dict(row.address) or self.address
        if not row.figure or not opens(row.figure, months=self.length, narrowed=bool(address)):
            return ""
        if self.length > 1 and row.figure in BETWEEN:
            address = self.span
        if row.back:
            index = frame.month_index(month)
            index -= index % self.length + 1 + (row.back - 1) * self.length
            month = frame.month_text(index)
            if not any(one["month"] == month for one in self.known):
                return ""
        return frame.behind(self.tenant, row.figure, month, address)

    def _file(self, caption: str, rows: Sequence[Row], labels: Sequence[str]) -> File:
        def made() -> list[list[Any]]:
            return [
                [
                    self.heading(month) if self.name else month["month"],
                    "" if month["complete"] else _("so far"),
                    *(number(self.words, row.unit, row.value(month)) for row in rows),
                ]
                for month in self.rows
            ]

        kinds: dict[Unit, sheets.Kind] = {"money": "money", "count": "count"}
        head = [
            sheets.Head(_("Month") if self.length == 1 else _("Period"), "text"),
            sheets.Head(_("State"), "text"),
            *(
                sheets.Head(label, kinds.get(row.unit, "rate"))
                for row, label in zip(rows, labels, strict=True)
            ),
        ]
        return File(caption, head, made)


def written(words: Words, unit: Unit, value: int | None, *, signed: bool = False) -> str:
    """A published integer as a cell shows it."""
    match unit:
        case "money":
            return words.amount(value, signed=signed)
        case "rate" if signed:
            points = None if value is None else Decimal(value).scaleb(-4)
            return formats.decimal(points, language=words.language, signed=True)
        case "rate":
            return words.rate(value)
        case "count":
            return words.count(value, signed=signed)
        case "tenths":
            tenths = None if value is None else Decimal(value).scaleb(-1)
            return formats.decimal(tenths, language=words.language, signed=signed)
        case "ratio":
            ratio = None if value is None else Decimal(value).scaleb(-6)
            return formats.decimal(ratio, language=words.language, signed=signed)


def number(words: Words, unit: Unit, value: int | None) -> Any:
    """A published integer as a file holds it: amounts in major units, rates as fractions."""
    if value is None:
        return None
    places = {"rate": 6, "ratio": 6, "tenths": 1}
    if unit == "money":
        return major(value, words.currency)
    return Decimal(value).scaleb(-places[unit]) if unit in places else value
