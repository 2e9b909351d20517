"""Refunds and overdue: credit notes by month, and what is unpaid by age and by invoice month."""

from __future__ import annotations

from typing import Any, Unpack, cast

from django.utils.translation import gettext as _

from reporting import parts
from reporting.parts import Refunds
from reporting.selectors import figures
from reporting.selectors.figures import Asked, FiguresPage, Reading
from reporting.selectors.financial import receivables_by_age
from reporting.selectors.frame import PPM, Period, behind
from reporting.selectors.month_tiles import Tiles
from reporting.selectors.months import Months, Row


def overdue_page(**asked: Unpack[Asked]) -> FiguresPage:
    """The page of the tenant in scope; `aggregates_only` for readers who may see no more."""
    read = figures.reading(**asked, parts=[parts.REFUNDS])
    title = _("Refunds and overdue")
    lead = _("What was given back, and what is not paid in time; VAT included.")
    if read.found is None or not read.months:
        return read.page(title=title, lead=lead)
    shown = read.period()
    ages = receivables_by_age(read.tenant, read.found.body, read.words)
    by_age = [{"bars": ages}] if ages else []
    if parts.REFUNDS not in read.parts:
        return read.page(
            title=title,
            lead=lead,
            period=shown,
            tiles=[_overdue_now(read)],
            sections=[*by_age, figures.waiting(title)],
        )
    found = cast(Refunds, read.parts[parts.REFUNDS])
    months = read.months_of(found["months"], shown)
    return read.page(
        title=title,
        lead=lead,
        period=shown,
        tiles=_tiles(read, found, shown),
        sections=[
            *([{"chart": _chart(months)}] if months.rows else [figures.waiting(title)]),
            *by_age,
        ],
    )


def _share(field: str, label: str, **more: Any) -> Row:
    """A part of the month's billing."""

    def share(month: Any) -> int | None:
        billed = month["billed_minor"]
        return month[field] * PPM // billed if billed > 0 else None

    reason = _("Nothing was invoiced in the month.")
    return Row(label=label, field=share, unit="rate", reason=reason, **more)


def _rows() -> list[Row]:
    return [
        Row(label=_("Invoiced, VAT included"), field="billed_minor", figure="billed"),
        Row(
            label=_("Credited"),
            field="credited_minor",
            kind="contraction",
            figure="credited",
            compared=True,
        ),
        Row(label=_("Credit notes"), field="credit_notes", unit="count", figure="credited"),
        _share("credited_minor", _("Credited, of what was invoiced"), sub=True),
        Row(
            label=_("Overdue now"),
            field="overdue_minor",
            kind="churn",
            figure="overdue",
        ),
        Row(label=_("Overdue invoices"), field="overdue_invoices", unit="count", figure="overdue"),
        _share("overdue_minor", _("Overdue, of what was invoiced"), sub=True),
    ]


def _tiles(read: Reading, found: Refunds, shown: Period) -> list[dict[str, Any]]:
    made = Tiles(words=read.words, months=found["months"], compare=shown.comparison)
    if not made.complete:
        return [_overdue_now(read)]
    at = "#refunds-table-caption"
    return [
        made.tile(
            "credited",
            _rows()[1],
            url=at,
            good=False,
            definition=_("Credit notes dated in the month, VAT included."),
        ),
        made.tile(
            "credited-share",
            _share("credited_minor", _("Credited, of billing")),
            url=at,
            good=False,
            definition=_("How much of a month's billing was given back."),
            formula=_("credit notes ÷ invoices of the month"),
        ),
        _overdue_now(read),
        made.tile(
            "overdue-share",
            _share("overdue_minor", _("Overdue, of billing")),
            url=at,
            good=False,
            definition=_("How much of a month's billing is still unpaid after its due day."),
            formula=_("unpaid after the due day ÷ invoices of the month"),
            # Customers had more time for older invoices: no month compares with an earlier one.
            changes=[],
        ),
    ]


def _overdue_now(read: Reading) -> dict[str, Any]:
    assert read.found is not None
    owed = read.found.body["receivables"]
    total = owed["total_minor"]
    share = owed["overdue_minor"] * PPM // total if total > 0 else None
    return {
        "id": "overdue",
        "name": _("Overdue now"),
        "value": read.words.money(owed["overdue_minor"]),
        "url": behind(read.tenant, "open-overdue", read.found.body["as_of"][:7]),
        "note": _("%(share)s of what is open") % {"share": read.words.rate(share)}
        if share is not None
        else "",
        "definition": _("Open invoices past their due day, VAT included."),
    }


def _chart(months: Months) -> dict[str, Any]:
    rows = _rows()
    told = _("Credit notes by their month, and what is overdue by the invoices' month.")
    return months.chart(
        id="refunds",
        type="bars",
        title=_("Refunds and overdue by month"),
        summary=f"{told} {months.newest([rows[1], rows[4]])}".strip(),
        rows=[rows[1], rows[4]],
        data_signed=True,
        table_shown=True,
        table=months.table(
            id="refunds-table",
            caption=_("Refunds and overdue by month"),
            what=_("Of the month"),
            rows=rows,
            note=_("Overdue is what is unpaid today of the month's invoices."),
        ),
    )
