"""The monthly report for a board: one month as published, ready to be printed; nobody is named."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.utils.translation import gettext as _

from calqsync.tenancy.models import Tenant
from reporting.body import Runway
from reporting.models import Restatement
from reporting.selectors import aggregates, figures, frame, restated_news
from reporting.selectors.cashflow import cash_rows
from reporting.selectors.figures import FiguresPage, Reading
from reporting.selectors.financial import receivables_by_age, revenue_rows
from reporting.selectors.frame import Comparison, Words
from reporting.selectors.month_tiles import Tiles
from reporting.selectors.months import Month, Months, Row
from reporting.selectors.movements import movement_rows, net_new
from reporting.selectors.notes import loading_notes
from reporting.selectors.rates import rates
from reporting.selectors.restatements import Teller
from reporting.selectors.sentences import why
from reporting.selectors.tiles import runway_words

# How many months the tables show, and the address offers.
SHOWN, OFFERED = 6, 36
_RATES = ("customer_churn", "gross_churn", "net_churn", "nrr_12", "grr_12")


@dataclass(frozen=True, slots=True, kw_only=True)
class BoardPage(FiguresPage):
    """The report of one month; without sections there is no complete month yet."""

    month: str = ""
    choices: list[dict[str, Any]] = field(default_factory=list)
    said: str = ""
    """Why MRR is not what it was a month before."""
    restated: list[dict[str, str]] = field(default_factory=list)
    """Closed months that changed since the report of the month before."""
    since: str = ""
    facts: list[dict[str, Any]] = field(default_factory=list)
    """From which state of the books the figures are."""
    definitions: list[dict[str, str]] = field(default_factory=list)


def board_page(
    *, tenant: Tenant, query: Mapping[str, str], now: datetime, aggregates_only: bool = False
) -> BoardPage:
    """The report of the month that the address names, of the last complete one by default."""
    read = figures.reading(tenant=tenant, query=query, now=now, aggregates_only=aggregates_only)
    complete = [row["month"] for row in read.months if row["complete"]]
    found, words = read.found, read.words
    if found is None or not complete:
        return BoardPage(title=_("Board report"), lead="", freshness=read.freshness)
    month = query.get("month", "")
    month = month if month in complete else complete[-1]
    restated = _restated(read, month)
    page = BoardPage(
        title=_("Board report, %(month)s") % {"month": words.month(month, long=True)},
        lead="",
        freshness=read.freshness,
        notes=loading_notes(found, words),
        tiles=_tiles(read, month),
        sections=_sections(read, month),
        month=month,
        choices=[
            {"value": one, "label": words.month(one, long=True), "selected": one == month}
            for one in reversed(complete[-OFFERED:])
        ],
        said=why(read.months, month, words),
        restated=restated,
        since=words.day(frame.month_start(month)),
        facts=_facts(found, words),
        definitions=_definitions(),
    )
    return aggregates.linked_to_aggregates(page, tenant) if aggregates_only else page


def _until(rows: Sequence[Any], month: str) -> list[Any]:
    return [row for row in rows if row["month"] <= month]


def _tiles(read: Reading, month: str) -> list[dict[str, Any]]:
    assert read.found is not None
    body, known = read.found.body, rates()
    made = Tiles(words=read.words, months=_until(read.months, month))
    revenue = Tiles(words=read.words, months=_until(body["revenue"], month))
    invoiced = revenue_rows()[-1]

    def tile(id: str, row: Row, made: Tiles = made, **more: Any) -> dict[str, Any]:
        return made.tile(id, row, definition="", **more)

    tiles = [
        tile("mrr", Row(label=_("MRR"), field="mrr_minor")),
        tile("arr", Row(label=_("ARR"), field="arr_minor")),
        tile("net-new", Row(label=_("Net new MRR"), field=net_new, signed=True)),
        tile("customers", Row(label=_("Paying customers"), field="customers", unit="count")),
        tile("nrr-12", known["nrr_12"].row),
        tile("gross-churn", known["gross_churn"].row, good=False),
        tile("revenue", invoiced, revenue),
    ]
    if cash := _until(body["cash"], month):
        made_cash = Tiles(words=read.words, months=cash)
        tiles.append(
            tile("cash", Row(label=_("Cash at the end"), field="closing_minor"), made_cash)
        )
    return [*tiles, _runway_tile(body["runway"], read.words)]


def _runway_tile(runway: Runway, words: Words) -> dict[str, Any]:
    """The runway of the report's day, whichever month is shown: it says of which balance."""
    head, note = runway_words(runway, words)
    if runway["balance_date"]:
        note += " " + _("(balance of %(day)s)") % {"day": words.day(runway["balance_date"])}
    return {"id": "runway", "name": _("Runway"), "value": head, "words": True, "note": note}


def _sections(read: Reading, month: str) -> list[dict[str, Any]]:
    assert read.found is not None
    body, known = read.found.body, rates()
    months = _shown(read, read.months, month)
    sections: list[dict[str, Any]] = [
        {"table": months.table(id="board-mrr", caption=_("MRR and its movements"),
                               what=_("Movement"), rows=movement_rows())},
        {"table": months.table(id="board-rates", caption=_("Churn and retention"),
                               what=_("Rate"), rows=[known[name].row for name in _RATES])},
    ]  # fmt: skip
    revenue = _shown(read, body["revenue"], month)
    if revenue.rows:
        table = revenue.table(
            id="board-revenue", caption=_("Revenue"), what=_("Revenue"), rows=revenue_rows()
        )
        sections.append({"table": table})
    cash = _shown(read, body["cash"], month)
    if cash.rows:
        table = cash.table(id="board-cash", caption=_("Cash"), what=_("Cash"), rows=cash_rows())
        sections.append({"table": table})
    sections.append(_runway(body["runway"], read.words))
    if ages := receivables_by_age(read.tenant, body, read.words):
        day = read.words.day(body["as_of"])
        title = _("Open receivables by age, on %(day)s") % {"day": day}
        sections.append({"bars": ages | {"title": title}})
    return sections


def _shown(read: Reading, rows: Sequence[Month], month: str) -> Months:
    return Months(
        tenant=read.tenant,
        words=read.words,
        rows=_until(rows, month)[-SHOWN:],
        known=rows,
        compare=Comparison(1, _("on the month before")),
    )


def _runway(runway: Runway, words: Words) -> dict[str, Any]:
    """The state of the runway, and what it takes for granted."""
    head, note = runway_words(runway, words)
    facts = [{"term": head, "text": note}]
    if runway["balance_date"]:
        facts.append({"term": _("Balance date"), "text": words.day(runway["balance_date"])})
    if used := runway["months_used"]:
        way = _("median") if runway["average"] == "median" else _("average")
        names = ", ".join(words.month(one) for one in used)
        text = _("%(way)s of %(months)s; operations alone, without financing and own transfers")
        facts.append({"term": _("Net burn"), "text": text % {"way": way, "months": names}})
    return {"title": _("Runway"), "facts": facts}


def _restated(read: Reading, month: str) -> list[dict[str, str]]:
    rows = Restatement.objects.filter(
        month__lt=frame.month_index(month),
        at__gte=datetime.combine(
            frame.month_start(month), datetime.min.time(), tzinfo=read.words.zone
        ),
    )
    teller = Teller(read.tenant, read.words, read.aggregates_only)
    about = (restated_news.MRR, restated_news.REVENUE, restated_news.CASH)
    return restated_news.lines_of(teller, rows, about)


def _facts(found: frame.Published, words: Words) -> list[dict[str, Any]]:
    report = found.report
    published = _("version %(version)s of %(when)s") % {
        "version": report.version,
        "when": words.moment(report.published_at),
    }
    facts = [{"term": _("Figures"), "text": published}]
    for row in found.freshness:
        if row.get("as_of"):
            when = words.moment(datetime.fromisoformat(row["as_of"]))
            books = _("its books as imported on %(when)s") % {"when": when}
            facts.append({"term": row.get("name") or _("A connected account"), "text": books})
    return facts


def _definitions() -> list[dict[str, str]]:
    known = rates()
    return [
        {
            "term": _("MRR"),
            "text": _("What subscriptions bring in a month, without VAT; ARR is twelve times it."),
            "formula": _("sum over invoice lines of net amount ÷ months that the line covers"),
        },
        *(
            {
                "term": known[name].row.label,
                "text": known[name].words,
                "formula": known[name].formula,
            }
            for name in _RATES
        ),
        {
            "term": _("Runway"),
            "text": _("How long the money lasts at the burn of the last complete months."),
            "formula": _("cash ÷ average net burn"),
        },
    ]
