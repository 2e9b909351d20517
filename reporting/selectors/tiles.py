"""The tiles of the Financial Reporting Dashboard: recurring revenue, customers, churn, runway."""

from __future__ import annotations

from datetime import date
from typing import Any, Literal

from django.urls import reverse
from django.utils.translation import gettext as _

from calqsync.tenancy.models import Tenant
from reporting.body import Body, Month, Runway
from reporting.selectors import frame
from reporting.selectors.frame import Published, Words, behind


def tiles(tenant: Tenant, found: Published, words: Words) -> list[dict[str, Any]]:
    """Six tiles; while a first import loads, what its whole months can already tell."""
    body = found.body
    months, now = body["months"], body["now"]
    if now is None or not months:
        return _loading_tiles(tenant, body, words)
    here = next((i for i, row in enumerate(months) if row["month"] == now["month"]), -1)
    last_month = months[here - 1] if here >= 1 else None
    last_year = months[here - 12] if here >= 12 else None
    return [
        _mrr_tile(tenant, body, words, last_month, last_year),
        {
            "id": "arr",
            "name": _("Annual run rate"),
            "value": words.money(now["arr_minor"]),
            "url": behind(tenant, "arr", now["month"]),
            "changes": _money_changes(words, now["arr_minor"], last_month, last_year, "arr_minor"),
            "points": [row["arr_minor"] for row in months[-24:]],
            "definition": _("The recurring revenue of a year if nothing changed (ARR)."),
            "formula": _("MRR × 12"),
        },
        {
            "id": "customers",
            "name": _("Customers"),
            "value": words.count(now["customers"]),
            "url": behind(tenant, "customers", now["month"]),
            "changes": frame.given(
                [
                    frame.change(
                        words,
                        now["customers"],
                        row["customers"] if row else None,
                        against=against,
                        text=words.count(
                            now["customers"] - (row["customers"] if row else 0), signed=True
                        ),
                    )
                    for row, against in _compared(last_month, last_year)
                ]
            ),
            "points": [row["customers"] for row in months[-24:]],
            "definition": _("Customers with recurring revenue on the month's last day, or today."),
        },
        _churn_tile(tenant, body, words, months),
        _retention_tile(tenant, body, words, months),
        runway_tile(tenant, body, words),
    ]


def _loading_tiles(tenant: Tenant, body: Body, words: Words) -> list[dict[str, Any]]:
    """What the first complete months tell while MRR still waits for the year before them."""
    *_rest, last = [row for row in body["revenue"] if row["complete"]] or body["revenue"]
    invoiced = last["recurring_minor"] + last["non_recurring_minor"]
    return [
        {
            "id": "invoiced",
            "name": _("Invoiced in %(month)s") % {"month": words.month(last["month"], long=True)},
            "value": words.money(invoiced),
            "url": behind(tenant, "revenue", last["month"]),
            "definition": _("Sales invoices of the month, without VAT."),
        },
        {
            "id": "open",
            "name": _("Open receivables"),
            "value": words.money(body["receivables"]["total_minor"]),
            "url": behind(tenant, "open", body["as_of"][:7]),
            "definition": _("What customers still owe on the invoices imported so far, with VAT."),
        },
        runway_tile(tenant, body, words),
    ]


def _compared(last_month: Month | None, last_year: Month | None) -> list[tuple[Month | None, str]]:
    return [(last_month, _("on last month")), (last_year, _("on a year ago"))]


def _money_changes(
    words: Words, value: int, last_month: Month | None, last_year: Month | None, field: str
) -> list[dict[str, Any]]:
    return frame.given(
        [
            frame.money_change(
                words,
                value,
                row[field] if row else None,  # type: ignore[literal-required]
                against=against,
            )
            for row, against in _compared(last_month, last_year)
        ]
    )


def _mrr_tile(
    tenant: Tenant, body: Body, words: Words, last_month: Month | None, last_year: Month | None
) -> dict[str, Any]:
    now = body["now"]
    assert now is not None
    note = note_url = ""
    if now["detected_minor"]:
        note = _("of which detected: %(amount)s") % {"amount": words.money(now["detected_minor"])}
        note_url = reverse("subscriptions", args=[tenant.slug]) + "?found=detected"
    return {
        "id": "mrr",
        "name": _("Monthly recurring revenue"),
        "value": words.money(now["mrr_minor"]),
        "url": behind(tenant, "mrr", now["month"]),
        "changes": _money_changes(words, now["mrr_minor"], last_month, last_year, "mrr_minor"),
        "points": [row["mrr_minor"] for row in body["months"][-24:]],
        "note": note,
        "note_url": note_url,
        "definition": _("What active subscriptions bring in a month, without VAT (MRR)."),
        "formula": _("sum over invoice lines of net amount ÷ months that the line covers"),
    }


def _course(
    words: Words,
    months: list[Month],
    field: Literal["customer_churn_ppm", "nrr_12_ppm"],
    value: int | None,
    *,
    more_is_good: bool,
) -> dict[str, Any]:
    """A rate by complete month, and how `value`, that of the last, differs from the one before."""
    points = [row[field] for row in months if row["complete"]]
    before = points[-2] if len(points) > 1 else None
    change = frame.rate_change(
        words, value, before, against=_("on the month before"), more_is_good=more_is_good
    )
    return {"changes": frame.given([change]), "points": points[-24:]}


def _churn_tile(tenant: Tenant, body: Body, words: Words, months: list[Month]) -> dict[str, Any]:
    now = body["now"]
    assert now is not None
    value = now["customer_churn_ppm"]
    return {
        "id": "churn",
        "name": _("Customer churn"),
        "value": words.rate(value),
        "url": behind(tenant, "customer_churn", now["rates_month"]) if now["rates_month"] else "",
        "reason": "" if value is not None else _("Needs a complete month with customers."),
        "note": _("in %(month)s") % {"month": words.month(now["rates_month"], long=True)}
        if now["rates_month"]
        else "",
        **_course(words, months, "customer_churn_ppm", value, more_is_good=False),
        "definition": _(
            "Customers who left in the month, of those at its start. Customers who"
            " joined and left, or left and came back, within the month do not count."
        ),
        "formula": _("customers lost ÷ customers at the start"),
    }


def _retention_tile(
    tenant: Tenant, body: Body, words: Words, months: list[Month]
) -> dict[str, Any]:
    now = body["now"]
    assert now is not None
    value = now["nrr_12_ppm"]
    return {
        "id": "nrr",
        "name": _("Net revenue retention"),
        "value": words.rate(value),
        "url": reverse("growth", args=[tenant.slug]),
        "note": _("twelve months to %(month)s")
        % {"month": words.month(now["rates_month"], long=True)}
        if now["rates_month"] and value is not None
        else "",
        "reason": ""
        if value is not None
        else _("Needs twelve months of history with recurring revenue."),
        **_course(words, months, "nrr_12_ppm", value, more_is_good=True),
        "definition": _(
            "What the customers of twelve months ago bring today, of what they brought then (NRR)."
        ),
        "formula": _("their MRR now ÷ their MRR then; new and returned customers left out"),
    }


def runway_words(runway: Runway, words: Words) -> tuple[str, str]:
    """The runway as a state in words first, and a sentence with the number second."""
    state = runway["state"]
    if state == "ok":
        zero = date.fromisoformat(runway["zero_date"]) if runway["zero_date"] else None
        if runway["over_36"] or zero is None:
            head = _("Money lasts over 36 months")
        else:
            head = _("Money lasts to %(month)s") % {
                "month": words.month(f"{zero:%Y-%m}"),
            }
        months = "" if runway["over_36"] else str(runway["months"])
        burn = words.money(runway["net_burn_minor"])
        note = (
            _("%(months)s months at %(burn)s a month") % {"months": months, "burn": burn}
            if months
            else _("at %(burn)s a month") % {"burn": burn}
        )
        wanted, used = runway["months_wanted"], len(runway["months_used"])
        if used < wanted:
            note += _("; only %(used)s of %(wanted)s months known") % {
                "used": used,
                "wanted": wanted,
            }
        return head, note
    return {
        "cashflow_positive": (
            _("Cash flow is positive"),
            _("More money comes in than goes out, so there is no end date."),
        ),
        "no_cash": (_("No money left"), _("The accounts hold nothing on the balance date.")),
        "insufficient_history": (
            _("Too little history"),
            _("Runway needs at least two complete months of bank statements."),
        ),
        "no_cash_data": (
            _("No bank data"),
            _("Import bank statements from Procountor to see cash and runway."),
        ),
    }[state]


def runway_tile(tenant: Tenant, body: Body, words: Words) -> dict[str, Any]:
    head, note = runway_words(body["runway"], words)
    if body["complete_back_to"] and not body["cash"]:
        head, note = _("Still to come"), _("Bank statements are imported last.")
    return {
        "id": "runway",
        "name": _("Runway"),
        "value": head,
        "words": True,
        "url": reverse("cashflow", args=[tenant.slug]),
        "note": note,
        "definition": _(
            "How long the money lasts at the burn of the last complete months; financing and own"
            " transfers are left out of burn."
        ),
        "formula": _("cash ÷ average net burn"),
    }
