"""What every page of figures is made of: what it reads, its frame, and the files of its tables."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, is_dataclass
from datetime import datetime
from typing import Any, NotRequired, TypedDict
from urllib.parse import urlencode

from django.urls import NoReverseMatch, reverse
from django.utils.translation import gettext as _

from calqsync.tenancy.models import Tenant
from reporting.models import ReportPart, ReportSettings
from reporting.selectors import aggregates, frame, versions
from reporting.selectors.frame import Period, Published, Words
from reporting.selectors.listing import export_links
from reporting.selectors.months import File, Month, Months
from reporting.selectors.notes import loading_notes


@dataclass(frozen=True, slots=True, kw_only=True)
class FiguresPage:
    """A page of tiles, charts and tables; without sections it says why there are none."""

    title: str
    lead: str
    freshness: Any
    period: Period | None = None
    crumbs: list[dict[str, Any]] = field(default_factory=list)
    tabs: list[dict[str, Any]] = field(default_factory=list)
    """Groups of links: `label`, `items` with `label url active`."""
    tiles: list[dict[str, Any]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    sections: list[dict[str, Any]] = field(default_factory=list)
    """Each with one of `chart`, `bars`, `facts`, `table`, `waiting`, or words alone; see
    `reporting/_section.html`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """The published figures that a page is made from, and what the address asks of them."""

    tenant: Tenant
    query: Mapping[str, str]
    found: Published | None
    freshness: Any
    words: Words
    settings: ReportSettings
    parts: Mapping[str, Any]
    """By name; parts that are not published yet are missing."""
    aggregates_only: bool

    @property
    def months(self) -> Sequence[Any]:
        """The published months of `Body`; none before MRR can be known."""
        return self.found.body["months"] if self.found else []

    def period(self, *, keep: Sequence[tuple[str, str]] = ()) -> Period:
        names = [row["month"] for row in self.months]
        return frame.period(self.query, names, self.words, keep=keep)

    def months_of(self, rows: Sequence[Month], shown: Period, **more: Any) -> Months:
        """Those of the rows that the period shows, to be drawn."""
        length = more.get("length", 1)
        return Months(
            tenant=self.tenant,
            words=self.words,
            rows=[row for row in rows if shown.shows(str(row["month"]), length=length)],
            known=rows,
            compare=shown.comparison,
            **more,
        )

    def page(self, *, title: str, lead: str, **given: Any) -> FiguresPage:
        """The page, with no more on it than its reader may see."""
        notes = loading_notes(self.found, self.words) if self.found else []
        notes += given.pop("notes", [])
        page = FiguresPage(title=title, lead=lead, freshness=self.freshness, notes=notes, **given)
        return aggregates.linked_to_aggregates(page, self.tenant) if self.aggregates_only else page

    def unsure_new(self, shown: Period) -> list[str]:
        """A note where the period reaches back to months in which customers from before the books
        begin appear as new."""
        until = self.found.body.get("unsure_new_until") if self.found else None
        if not until or not any(
            shown.shows(row["month"]) for row in self.months if row["month"] <= until
        ):
            return []
        month = self.words.month(until, long=True)
        text = _(
            "Whoever paid before your books begin appears as new with the first invoice in them:"
            " read “new” up to %(month)s with care."
        )
        return [text % {"month": month}]

    def settings_url(self) -> str:
        """Where what the books do not say is entered; "" for who may not."""
        if self.aggregates_only:
            return ""
        try:
            return reverse("settings_figures", args=[self.tenant.slug])
        except NoReverseMatch:
            return ""


class Asked(TypedDict):
    """What every page of figures is asked with."""

    tenant: Tenant
    query: Mapping[str, str]
    now: datetime
    aggregates_only: NotRequired[bool]
    """The reader may see sums and rates of the company, and no name."""


def reading(
    *,
    tenant: Tenant,
    query: Mapping[str, str],
    now: datetime,
    aggregates_only: bool = False,
    parts: Sequence[str] = (),
) -> Reading:
    """The published figures of the tenant in scope with these parts, as far as the reader may."""
    found = frame.published(aggregates_only=aggregates_only, query=query)
    wanted = [name for name in parts if not aggregates_only or name in aggregates.PARTS]
    return Reading(
        tenant=tenant,
        query=query,
        found=found,
        freshness=frame.freshness_note(tenant, found, now=now, aggregates_only=aggregates_only),
        words=frame.words_for(tenant, found.body["currency"] if found else None),
        settings=ReportSettings.objects.first() or ReportSettings(),
        parts=_parts(found, wanted) if found and wanted else {},
        aggregates_only=aggregates_only,
    )


def _parts(found: Published, names: Sequence[str]) -> Mapping[str, Any]:
    if found.version:
        kept = versions.parts_of(found.version)
        return {name: kept[name] for name in names if name in kept}
    return dict(ReportPart.objects.filter(name__in=names).values_list("name", "body"))


def waiting(title: str) -> dict[str, Any]:
    """A section whose figures this version of the program has not computed yet."""
    return {
        "waiting": {
            "title": title,
            "text": _("Computed with the next refresh of the figures."),
            "icon": "clock",
        }
    }


def tabs(
    query: Mapping[str, str], name: str, choices: Sequence[tuple[str, str]], chosen: str
) -> list[dict[str, Any]]:
    """Links to the same page with another choice; the rest of the address stays."""
    return [
        {
            "label": label,
            "url": "?" + urlencode([*state(query, without=(name,)), (name, value)]),
            "active": value == chosen,
        }
        for value, label in choices
    ]


def state(query: Mapping[str, str], without: Sequence[str] = ()) -> list[tuple[str, str]]:
    """What the address asks of a page of figures, without some of it."""
    return [(key, query[key]) for key in STATE if query.get(key) and key not in without]


STATE = ("by", "view", "way", "period", "from", "to", "compare", "month", versions.KNOWN)


def tables_of(page: Any) -> Iterator[dict[str, Any]]:
    """The tables of a page that can be taken along as files."""
    if is_dataclass(page):
        for one in fields(page):
            yield from tables_of(getattr(page, one.name))
    elif isinstance(page, dict):
        if isinstance(page.get("file"), File):
            yield page
        for value in page.values():
            yield from tables_of(value)
    elif isinstance(page, list):
        for value in page:
            yield from tables_of(value)


def offer_files(page: Any, query: Mapping[str, str]) -> None:
    """Put the buttons for files beneath each table of the page."""
    kept = [*state(query), *((key, query[key]) for key in ("key",) if key in query)]
    for table in tables_of(page):
        asked = urlencode([*kept, ("table", table["id"])])
        table["exports"] = export_links(lambda kind, asked=asked: f"?{asked}&format={kind}")  # type: ignore[misc]
