"""The Cashflow Dashboard: balance, money in and out, burn, runway, money that is expected."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Literal, cast

from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from calqsync.tenancy.models import Tenant
from reporting.body import Account, Body
from reporting.selectors import aggregates, frame
from reporting.selectors.behind.cash import account_figure
from reporting.selectors.financial import receivables_by_age
from reporting.selectors.frame import Period, Published, Words, behind
from reporting.selectors.months import Months, Row
from reporting.selectors.notes import loading_notes
from reporting.selectors.tiles import runway_words


@dataclass(frozen=True, slots=True)
class CashflowPage:
    """Everything that the page shows; `cash` is None without bank statements."""

    freshness: Any
    period: Period | None
    tiles: list[dict[str, Any]]
    cash: dict[str, Any] | None
    expected: dict[str, Any] | None
    receivables: dict[str, Any] | None
    accounts: dict[str, Any] | None
    notes: list[str]


def cashflow_page(
    *, tenant: Tenant, query: Mapping[str, str], now: datetime, aggregates_only: bool = False
) -> CashflowPage:
    """The page of the tenant in scope; `aggregates_only` for readers who may see no more."""
    found = frame.published(aggregates_only=aggregates_only, query=query)
    freshness = frame.freshness_note(tenant, found, now=now, aggregates_only=aggregates_only)
    if found is None:
        return CashflowPage(freshness, None, [], None, None, None, None, [])
    body = found.body
    words = frame.words_for(tenant, body["currency"])
    shown = cash = None
    if rows := body["cash"]:
        shown = frame.period(query, [row["month"] for row in rows], words)
        cash = Months(
            tenant=tenant,
            words=words,
            rows=[row for row in rows if shown.shows(row["month"])],
            known=rows,
            compare=shown.comparison,
        )
    page = CashflowPage(
        freshness=freshness,
        period=shown,
        tiles=_tiles(tenant, body, words),
        cash=_cash_chart(cash) if cash else None,
        expected=_expected(tenant, found, words),
        receivables=receivables_by_age(tenant, body, words),
        accounts=_accounts(tenant, body, words),
        notes=loading_notes(found, words),
    )
    return aggregates.linked_to_aggregates(page, tenant) if aggregates_only else page


def _tiles(tenant: Tenant, body: Body, words: Words) -> list[dict[str, Any]]:
    runway = body["runway"]
    head, note = runway_words(runway, words)
    return [
        {
            "id": "runway",
            "name": _("Runway"),
            "value": head,
            "words": True,
            "note": note,
            "definition": _("How long the money lasts at the burn of the last complete months."),
            "formula": _("cash ÷ average net burn; end day = balance date + months × 30.436875"),
        },
        {
            "id": "cash",
            "name": _("Cash in the bank"),
            "value": words.money(runway["cash_minor"]),
            "url": "#accounts-caption" if body["accounts"] else "",
            "reason": "" if runway["cash_minor"] is not None else _("No bank statements yet."),
            "note": _("on %(day)s") % {"day": words.day(runway["balance_date"])}
            if runway["balance_date"]
            else "",
            "points": [row["closing_minor"] for row in body["cash"][-24:]],
            "definition": _("Balances of all active accounts; unused credit is not cash."),
        },
        {
            "id": "net-burn",
            "name": _("Net burn a month"),
            **_burn(body, words, runway["net_burn_minor"], "net_burn_minor"),
            "definition": _(
                "Money out less money in, from operations; financing and own transfers left out."
            ),
            "formula": _("average of the last complete months"),
        },
        {
            "id": "gross-burn",
            "name": _("Gross burn a month"),
            **_burn(body, words, runway["gross_burn_minor"], "money_out_minor"),
            "definition": _("Money paid out in operations, over the same months."),
        },
    ]


def _burn(
    body: Body, words: Words, minor: int | None, field: Literal["net_burn_minor", "money_out_minor"]
) -> dict[str, Any]:
    """An average of the months that the runway counts with, and its course by month."""
    used, known = body["runway"]["months_used"], minor is not None
    span = {"first": words.month(used[0]), "last": words.month(used[-1])} if used else None
    return {
        "value": words.money(minor),
        "reason": "" if known else _("Needs at least two complete months of bank statements."),
        "url": "#cash-table-caption" if known else "",
        "note": _("average of %(first)s to %(last)s") % span if span else "",
        "points": [row[field] for row in body["cash"] if row["complete"]][-24:],
    }


def cash_rows() -> list[Row]:
    """From the opening balance to the closing one, and what is burnt."""
    return [
        Row(label=_("Opening balance"), field="opening_minor", figure="opening"),
        Row(label=_("Money in"), field="money_in_minor", kind="money-in", figure="money_in"),
        Row(
            label=_("Money out"),
            field="money_out_minor",
            kind="money-out",
            figure="money_out",
            sign=-1,
        ),
        Row(label=_("Financing"), field="financing_minor", figure="financing", optional=True),
        Row(
            label=_("Own transfers"),
            field="own_transfers_minor",
            figure="own_transfers",
            optional=True,
        ),
        Row(
            label=_("Not explained by statements"),
            field="unexplained_minor",
            figure="unexplained",
            optional=True,
        ),
        Row(
            label=_("Closing balance"),
            field="closing_minor",
            figure="balance",
            kind="cash",
            total=True,
            compared=True,
        ),
        Row(label=_("Net burn"), field="net_burn_minor", figure="burn", compared=True),
    ]


def _cash_chart(months: Months) -> dict[str, Any]:
    words, first, last = months.words, months.rows[0], months.rows[-1]
    balance = Row(label=_("Balance"), field="closing_minor", kind="cash", line=True, axis="right")
    return months.chart(
        id="cash",
        type="inout",
        title=_("Balance, money in and out"),
        summary=_("The balance went from %(first)s to %(last)s between %(from)s and %(to)s.")
        % {
            "first": words.money(cast(int, first["opening_minor"])),
            "last": words.money(cast(int, last["closing_minor"])),
            "from": months.heading(first),
            "to": months.heading(last),
        },
        height="l",
        rows=[*cash_rows()[1:3], balance],
        data_axis_left=_("In and out"),
        data_axis_right=_("Balance"),
        table_shown=True,
        table=months.table(
            id="cash-table", caption=_("Cash by month"), what=_("Cash"), rows=cash_rows()
        ),
    )


def _expected(tenant: Tenant, found: Published, words: Words) -> dict[str, Any] | None:
    weeks = found.body["receivables"]["weeks"]
    if not weeks:
        return None
    largest = max(max(week["minor"] for week in weeks), 1)
    total = found.body["receivables"]["total_minor"]
    return {
        "id": "expected",
        "title": _("Open receivables by expected date"),
        "what": _("Week from"),
        "measure": _("Open, VAT included"),
        "currency": words.currency,
        "kind": "money-in",
        "rows": [
            {
                "label": words.day(date.fromisoformat(week["start"])),
                "sub": ngettext("%d invoice", "%d invoices", week["invoices"]) % week["invoices"],
                "url": behind(tenant, f"expected-{week['start']}", week["start"][:7]),
                "value": words.amount(week["minor"]),
                "percent": max(0, week["minor"] * 100 // largest),
            }
            for week in weeks
        ],
        "total": {
            "label": _("All open"),
            "value": words.amount(total),
            "url": behind(tenant, "open", found.body["as_of"][:7]),
        },
    }


def _accounts(tenant: Tenant, body: Body, words: Words) -> dict[str, Any] | None:
    if not body["accounts"]:
        return None
    day = body["runway"]["balance_date"] or body["as_of"]

    def opened(account: Account) -> str:
        return behind(tenant, account_figure(tenant, account), day[:7])

    rows: list[dict[str, Any]] = [
        {
            "label": account["iban"],
            "cells": [
                {"text": account["bank_name"], "words": True},
                {"text": words.amount(account["balance_minor"]), "url": opened(account)},
            ],
        }
        for account in body["accounts"]
    ]
    total = sum(account["balance_minor"] for account in body["accounts"])
    rows.append({"label": _("All accounts"), "cells": ["", words.amount(total)], "total": True})
    return {
        "id": "accounts",
        "caption": _("Bank accounts"),
        "currency": words.currency,
        "head": [_("Account"), {"label": _("Bank"), "words": True}, _("Balance")],
        "rows": rows,
    }
