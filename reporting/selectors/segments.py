"""The Segments page: MRR and its movements by product, group, country, currency or connection."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Unpack, cast
from urllib.parse import urlencode

from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from calqsync.tenancy import formats
from reporting import parts
from reporting.parts import DIMENSIONS, Dimension, Segment, Segments
from reporting.selectors import aggregates, figures
from reporting.selectors.figures import Asked, FiguresPage, Reading
from reporting.selectors.frame import Period
from reporting.selectors.months import File, Months, Row, number
from reporting.selectors.movements import GAINS, LOSSES, movement_names, movements_chart

# As many bands as a reader can tell apart, and as many rows of months as a phone can take.
DRAWN, LISTED = 7, 12
# Longer tables link from each segment's own page alone.
LINKED_MONTHS = 12
REST, ADJUSTMENT = "other", "adjustment"
_OPTIONAL = ("paused", "tolerated", "fx")
_MOVED = (*GAINS, *LOSSES, *_OPTIONAL)
_DOWN = {*LOSSES, "paused"}


def dimension_names() -> dict[Dimension, str]:
    return {
        "product": _("Product"),
        "product_group": _("Product group"),
        "customer_group": _("Customer group"),
        "country": _("Country"),
        "currency": _("Currency"),
        "connection": _("Account"),
    }


def segments_page(**asked: Unpack[Asked]) -> FiguresPage:
    """The page of the tenant in scope; for `aggregates_only` only dimensions without names."""
    query, closed = asked["query"], asked.get("aggregates_only", False)
    offered = [
        dimension
        for dimension in DIMENSIONS
        if not closed or parts.segments_by(dimension) in aggregates.PARTS
    ]
    by = next((one for one in offered if one == query.get("by")), offered[0])
    name = parts.segments_by(by)
    read = figures.reading(**asked, parts=[name])
    title, lead = _("Segments"), _("Where recurring revenue comes from, and what moves it there.")
    if not read.months:
        return read.page(title=title, lead=lead)
    shown = read.period(keep=[("by", by), ("key", query.get("key", ""))])
    names = dimension_names()
    tabs = figures.tabs(query, "by", [(one, names[one]) for one in offered], by)
    common: dict[str, Any] = {
        "title": title,
        "lead": lead,
        "period": shown,
        "tabs": [{"label": _("By"), "items": tabs}],
    }
    if name not in read.parts:
        return read.page(**common, sections=[figures.waiting(names[by])])
    made = _Segments(read, shown, cast(Segments, read.parts[name]))
    chosen = next((one for one in made.all if one.key == query.get("key")), None)
    if chosen is not None:
        back = "?" + urlencode([("by", by), *figures.state(query, without=("by",))])
        crumbs = [{"label": _("Segments by %(what)s") % {"what": names[by].lower()}, "url": back}]
        common |= {"title": chosen.name, "crumbs": [*crumbs, {"label": chosen.name}]}
        return read.page(**common, sections=made.sections_of(chosen))
    return read.page(**common, sections=made.sections())


@dataclass(frozen=True, slots=True)
class _One:
    """A segment with its months in the shape of the company's own."""

    key: str
    name: str
    address: dict[str, str]
    months: list[dict[str, Any]]


class _Segments:
    """The segments of one dimension, largest first, and what the page draws of them."""

    def __init__(self, read: Reading, shown: Period, found: Segments) -> None:
        self.read, self.shown, self.by = read, shown, found["dimension"]
        complete = {row["month"]: row["complete"] for row in read.months}
        self.all = [
            _One(
                one["key"],
                segment_name(one, self.by, read.words.language),
                {"by": self.by, "key": one["key"]},
                _months(one, found["months"], complete),
            )
            for one in found["segments"]
        ]
        self.all.sort(key=lambda one: (one.key in {REST, ADJUSTMENT}, -_last(one, shown)))
        self.months = found["months"]

    @property
    def what(self) -> str:
        return dimension_names()[self.by]

    def sections(self) -> list[dict[str, Any]]:
        if not self.all or not any(self.shown.shows(month) for month in self.months):
            return [figures.waiting(self.what)]
        drawn = self._drawn()
        return [
            {
                "chart": drawn.chart(
                    id="segments",
                    type="bars",
                    title=_("MRR by %(what)s") % {"what": self.what.lower()},
                    summary=self._summary(),
                    height="l",
                    rows=self._bands(),
                    data_stacked=True,
                    table_shown=True,
                    table=self._mrr_table(drawn),
                )
            },
            {
                "title": _("What moved each segment"),
                "text": _(
                    "From %(first)s to %(last)s. Movements are counted within a segment: a customer"
                    " who leaves one for another is churn there and new here, and neither on the"
                    " Growth page. What they leave at the end is the same."
                )
                % {
                    "first": self.read.words.month(self.shown.first),
                    "last": self.read.words.month(self.shown.last),
                },
                "table": self._moves_table(),
            },
            self._explained(),
        ]

    def sections_of(self, one: _One) -> list[dict[str, Any]]:
        """One segment by month, in the shape of the Growth page."""
        months = self.read.months_of(one.months, self.shown, address=one.address)
        if not months.rows:
            return [figures.waiting(one.name)]
        customers = Row(
            label=_("Customers"), field="customers", unit="count", compared=True, figure="customers"
        )
        return [
            {"chart": movements_chart(months)},
            {
                "table": months.table(
                    id="segment-customers",
                    caption=_("Customers of the segment"),
                    what=_("Customers"),
                    rows=[customers],
                )
            },
        ]

    def _drawn(self) -> Months:
        rows = []
        for place, row in enumerate(self.read.months):
            index = {month: at for at, month in enumerate(self.months)}.get(row["month"])
            if index is None:
                continue
            mrr = {one.key: one.months[index]["mrr_minor"] for one in self.all}
            rows.append({**row, "place": place, "mrr": mrr})
        return self.read.months_of(rows, self.shown)

    def _bands(self) -> list[Row]:
        """The largest ones, and all others as one; cents that nobody could see are not drawn."""
        seen = [one for one in self.all if any(abs(m["mrr_minor"]) >= 100 for m in self._of(one))]
        bands = [self._band(one, f"segment-{n + 1}") for n, one in enumerate(seen[:DRAWN])]
        rest = seen[DRAWN:]
        return [*bands, _summed(_("All others"), rest, kind="other")] if rest else bands

    def _band(self, one: _One, kind: str = "") -> Row:
        key = one.key
        return Row(
            label=one.name,
            field=lambda month: cast(Any, month)["mrr"][key],
            kind=kind,
            figure="mrr",
            address=tuple(one.address.items()),
            url="?" + urlencode([*one.address.items(), *figures.state(self.read.query, ("by",))]),
        )

    def _mrr_table(self, months: Months) -> dict[str, Any]:
        kinds = {row.address: row.kind for row in self._bands()}
        rows = [
            self._band(one, kinds.get(tuple(one.address.items()), "")) for one in self.all[:LISTED]
        ]
        if rest := self.all[LISTED:]:
            label = ngettext("%d other", "%d others", len(rest)) % len(rest)
            rows.append(_summed(label, rest))
        rows.append(_summed(_("All segments"), self.all, figure="mrr", total=True, compared=True))
        differs = [
            month
            for month in months.rows
            if sum(cast(Any, month)["mrr"].values()) != month["mrr_minor"]
        ]
        note = _("The segments add up to the company's MRR in every month.")
        if differs:
            note = _("They do not add up to the company's MRR in %(month)s.") % {
                "month": months.heading(differs[0])
            }
        if len(months.rows) > LINKED_MONTHS:
            rows = [row.unlinked() for row in rows]
        table = months.table(
            id="segments-table",
            caption=_("MRR by %(what)s and month") % {"what": self.what.lower()},
            what=self.what,
            rows=rows,
            note=note,
        )
        every = [self._band(one) for one in self.all]
        every.append(_summed(_("All segments"), self.all))
        return table | {"file": months.file(str(table["caption"]), every)}

    def _moves_table(self) -> dict[str, Any]:
        names = {**movement_names(), "tolerated": _("Too small to count")}
        words = self.read.words
        shown = [month for one in self.all for month in self._of(one)]
        moved = [
            name
            for name in _MOVED
            if name not in _OPTIONAL or any(month[f"{name}_minor"] for month in shown)
        ]
        heads = [
            _("MRR at the start"),
            *(names[name] for name in moved),
            _("MRR at the end"),
            _("Customers"),
        ]
        rows: list[dict[str, Any]] = []
        values: list[list[Any]] = []
        sums = [0] * (len(moved) + 2)
        for one in self.all:
            amounts = self._moves(one, moved)
            if not any(amounts):
                continue
            sums = [a + b for a, b in zip(sums, amounts, strict=True)]
            customers = self._of(one)[-1]["customers"]
            rows.append(
                {
                    "label": one.name,
                    "url": self._band(one).url,
                    "cells": [*(words.amount(a) for a in amounts), words.count(customers)],
                }
            )
            values.append([one.name, *(number(words, "money", a) for a in amounts), customers])
        rows.append(
            {
                "label": _("All segments"),
                # A customer may stand in several segments, so customers have no sum.
                "cells": [*(words.amount(a) for a in sums), ""],
                "total": True,
            }
        )
        values.append([_("All segments"), *(number(words, "money", a) for a in sums), None])
        caption = _("Movements by %(what)s") % {"what": self.what.lower()}
        return {
            "id": "segment-moves",
            "caption": caption,
            "wide": True,
            "currency": words.currency,
            "head": [self.what, *heads],
            "rows": rows,
            "file": File(caption, [self.what, *heads], lambda: values),
        }

    def _of(self, one: _One) -> list[dict[str, Any]]:
        return [month for month in one.months if self.shown.shows(month["month"])]

    def _moves(self, one: _One, moved: Sequence[str]) -> list[int]:
        """What stood at the start, each movement with its sign, what stands at the end."""
        months = self._of(one)
        sums = [
            sum(month[f"{name}_minor"] for month in months) * (-1 if name in _DOWN else 1)
            for name in moved
        ]
        return [months[0]["start_minor"], *sums, months[-1]["mrr_minor"]]

    def _summary(self) -> str:
        named = [one for one in self.all if one.key not in {"", REST, ADJUSTMENT}]
        if not named:
            return _(
                "Your books give no %(what)s. Name it in Procountor, and each has a row here."
            ) % {"what": self.what.lower()}
        first = named[0]
        return _("%(name)s brings the most: %(amount)s a month in %(month)s.") % {
            "name": first.name,
            "amount": self.read.words.money(_last(first, self.shown)),
            "month": self.read.words.month(self.shown.last),
        }

    def _explained(self) -> dict[str, Any]:
        keys = {one.key for one in self.all}
        facts = [
            (
                "",
                _none_of(self.by),
                _("Invoice lines or customers for which the books say none."),
            ),
            (
                REST,
                _rest(),
                _("Everything beyond the fifty largest segments, taken together."),
            ),
            (
                ADJUSTMENT,
                _adjustment(),
                _(
                    "A customer whose credits exceed its invoices counts as 0. This row lifts it"
                    " there, and holds the cents that rounding leaves over, so that the segments"
                    " add up."
                ),
            ),
        ]
        shown = [{"term": term, "text": text} for key, term, text in facts if key in keys]
        return {"title": _("Rows that are no segment"), "facts": shown} if shown else {}


def _months(
    one: Segment, names: Sequence[str], complete: Mapping[str, bool]
) -> list[dict[str, Any]]:
    """The segment's months in the shape of the company's, with what stood at their start."""
    made: list[dict[str, Any]] = []
    for name, month in zip(names, one["months"], strict=True):
        row: dict[str, Any] = {"paused_minor": 0, "tolerated_minor": 0, **month}
        moved = sum(row[f"{key}_minor"] * (-1 if key in _DOWN else 1) for key in _MOVED)
        row |= {
            "month": name,
            "complete": complete.get(name, True),
            "start_minor": row["mrr_minor"] - moved,
        }
        made.append(row)
    return made


def _last(one: _One, shown: Period) -> int:
    return next((m["mrr_minor"] for m in reversed(one.months) if shown.shows(m["month"])), 0)


def _summed(label: str, all: Sequence[_One], **more: Any) -> Row:
    keys = [one.key for one in all]
    return Row(
        label=label,
        field=lambda month: sum(cast(Any, month)["mrr"][key] for key in keys),
        **more,
    )


def segment_name(one: Segment, by: Dimension, language: str | None) -> str:
    """What the segment is called: its own name, or what rows that are no segment are."""
    if one["key"] == REST:
        return _rest()
    if one["key"] == ADJUSTMENT:
        return _adjustment()
    if not one["key"]:
        return _none_of(by)
    if by == "country":
        return formats.country(one["key"], language=language)
    return one["name"] or one["key"]


def _rest() -> str:
    return _("Smaller ones together")


def _adjustment() -> str:
    return _("Adjustments and rounding")


def _none_of(by: Dimension) -> str:
    return _("No %(what)s") % {"what": dimension_names()[by].lower()}
