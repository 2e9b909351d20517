"""The Retention page: what stays of revenue and customers, month by month and by cohort."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Unpack, cast

from django.utils.translation import gettext as _

from reporting import parts
from reporting.parts import Cohort, Cohorts
from reporting.selectors import figures, frame
from reporting.selectors.codes import opens
from reporting.selectors.figures import Asked, FiguresPage, Reading
from reporting.selectors.frame import PPM, Period
from reporting.selectors.month_tiles import Tiles
from reporting.selectors.months import File, number, written
from reporting.selectors.rates import rate_tiles, rates, rates_chart

# A table of more cells is too long to be read, or sent to a phone.
CELLS = 120
_TILES = ["nrr_12", "grr_12", "nrr", "customer_churn", "gross_churn", "net_churn"]
# Shares from which on a cell is shaded one step more; the last one has grown.
_HEAT = (1, 400_000, 700_000, 900_000, 1_000_001)


def retention_page(**asked: Unpack[Asked]) -> FiguresPage:
    """The page of the tenant in scope; `aggregates_only` for readers who may see no more."""
    read = figures.reading(**asked, parts=[parts.COHORTS])
    title, lead = _("Retention"), _("Which customers and how much of their revenue stay.")
    if not read.months:
        return read.page(title=title, lead=lead)
    shown = read.period()
    made = Tiles(words=read.words, months=read.months, compare=shown.comparison)
    return read.page(
        title=title,
        lead=lead,
        period=shown,
        notes=read.unsure_new(shown),
        tiles=rate_tiles(made, _TILES, url="#retention-table-caption") if made.complete else [],
        sections=[*_rates(read, shown), *_cohorts(read, shown), _definitions()],
    )


def _rates(read: Reading, shown: Period) -> list[dict[str, Any]]:
    months = read.months_of(read.months, shown)
    kept, lost = ["nrr_12", "grr_12"], ["customer_churn", "gross_churn", "net_churn"]
    return [
        {
            "chart": rates_chart(
                months,
                kept,
                ["nrr", "grr", *kept],
                id="retention",
                title=_("Net and gross revenue retention"),
                data_from_zero=False,
            )
        },
        {"chart": rates_chart(months, lost, lost, id="churn", title=_("Churn rates"))},
    ]


def _definitions() -> dict[str, Any]:
    return {
        "title": _("How these rates are counted"),
        "facts": [
            {
                "term": rate.row.label,
                "text": rate.words,
                "formula": rate.formula,
                "source": rate.source,
            }
            for rate in rates().values()
        ],
    }


def _cohorts(read: Reading, shown: Period) -> list[dict[str, Any]]:
    title = _("Cohorts")
    if parts.COHORTS not in read.parts:
        return [figures.waiting(title)]
    found = cast(Cohorts, read.parts[parts.COHORTS])
    rows = [row for row in found["cohorts"] if shown.shows(row["month"])]
    if not rows:
        return []
    note = _(
        "A cohort is the customers whose first recurring revenue is in a month; columns count the"
        " months since then. The running month is hatched, and months to come have no cell. The"
        " average is over all cohorts, weighted, complete months alone."
    )
    newest = _newest(rows)
    if len(newest) < len(rows):
        most = _("The newest %(shown)s of %(all)s cohorts stand here; files hold all.")
        note += " " + most % {"shown": len(newest), "all": len(rows)}
    drawn = _Cohorts(read, found, newest, rows)
    return [
        {
            "title": _("Customers kept, by cohort"),
            "text": note,
            "table": drawn.table(
                "cohort-customers",
                _("Customers still paying, of each cohort's first month"),
                "customers",
                found["customers_ppm"],
            ),
        },
        {
            "title": _("Net MRR kept, by cohort"),
            "text": _(
                "A cohort's MRR, expansion and returns included, of that of its first month."
            ),
            "table": drawn.table(
                "cohort-mrr",
                _("MRR of each cohort, of its first month's"),
                "mrr_minor",
                found["mrr_ppm"],
            ),
        },
    ]


def _newest(rows: Sequence[Cohort]) -> Sequence[Cohort]:
    """As many of the newest cohorts as have few enough cells together, one at least."""
    left, first = CELLS, len(rows)
    while first and (left := left - len(rows[first - 1]["customers"])) >= 0:
        first -= 1
    return rows[min(first, len(rows) - 1) :]


class _Cohorts:
    """Draws cohorts as rows and the months since their first as columns."""

    def __init__(
        self, read: Reading, found: Cohorts, rows: Sequence[Cohort], every: Sequence[Cohort]
    ) -> None:
        self.read, self.rows, self.every = read, rows, every
        self.running = found["incomplete_month"]
        self.width = max(len(row["customers"]) for row in rows)

    def table(
        self, id: str, caption: str, field: str, averages: Sequence[int | None]
    ) -> dict[str, Any]:
        words = self.read.words
        unit = (
            _("Customers")
            if field == "customers"
            else _("MRR, %(currency)s") % {"currency": words.currency}
        )
        offsets = [str(offset) for offset in range(self.width)]
        body: list[dict[str, Any]] = [
            {
                "label": words.month(row["month"]),
                "cells": [self._size(row, field), *self._cells(row, field)],
            }
            for row in self.rows
        ]
        average: list[Any] = [""]
        for share in [*averages[: self.width], *([None] * (self.width - len(averages)))]:
            heat = {} if share is None else {"heat": _heat(share)}
            average.append({"text": "" if share is None else words.rate(share), **heat})
        body.append({"label": _("Weighted average"), "cells": average, "total": True})
        return {
            "id": id,
            "caption": caption,
            "wide": True,
            "cohorts": True,
            "head": [_("First month"), unit, *offsets],
            "rows": body,
            "file": File(
                caption,
                [_("First month"), unit, *(str(n) for n in range(self._widest()))],
                lambda: self._values(field, averages),
            ),
        }

    def _widest(self) -> int:
        return max(len(row["customers"]) for row in self.every)

    def _size(self, row: Cohort, field: str) -> dict[str, Any]:
        first = _of(row, field)[0]
        unit = "count" if field == "customers" else "money"
        return {"text": written(self.read.words, unit, first)}  # type: ignore[arg-type]

    def _cells(self, row: Cohort, field: str) -> list[dict[str, Any]]:
        values = _of(row, field)
        figure = f"cohort-{row['month']}" + ("-customers" if field == "customers" else "")
        cells = []
        for offset, value in enumerate(values):
            share = _share(value, values[0])
            month = frame.month_text(frame.month_index(row["month"]) + offset)
            cell: dict[str, Any] = {"text": self.read.words.rate(share)}
            if share is not None:
                cell["heat"] = _heat(share)
            if month == self.running:
                cell["incomplete"] = True
            if value and opens(figure):
                cell["url"] = frame.behind(self.read.tenant, figure, month)
            cells.append(cell)
        return [*cells, *({"text": ""} for _none in range(self.width - len(values)))]

    def _values(self, field: str, averages: Sequence[int | None]) -> list[list[Any]]:
        words, unit = self.read.words, "count" if field == "customers" else "money"
        made = []
        for row in self.every:
            values = _of(row, field)
            shares = [number(words, "rate", _share(value, values[0])) for value in values]
            size = number(words, unit, values[0])  # type: ignore[arg-type]
            made.append([row["month"], size, *shares])
        average = [number(words, "rate", share) for share in averages[: self._widest()]]
        return [*made, [_("Weighted average"), None, *average]]


def _of(row: Cohort, field: str) -> list[int]:
    return cast(list[int], row[field])  # type: ignore[literal-required]


def _share(value: int, first: int) -> int | None:
    """Parts per million, half away from zero; None where the first month has nothing."""
    return (value * PPM * 2 + first) // (first * 2) if first > 0 else None


def _heat(share: int) -> int:
    return sum(share >= step for step in _HEAT)
