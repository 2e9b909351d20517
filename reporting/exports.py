"""Tables that people take along, pivoted from the published figures."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from itertools import chain
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from django.utils.translation import gettext as _

from calqsync.tenancy import sheets
from calqsync.tenancy.models import Tenant
from reporting.body import Month
from reporting.domain import rounding
from reporting.models import CustomerFigure
from reporting.selectors import frame
from reporting.selectors.frame import Published
from reporting.selectors.listing import major
from reporting.selectors.notes import loading_notes

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, slots=True)
class CustomerMonths:
    """MRR by customer and month, as a file holds it."""

    as_of: date
    head: list[str]
    rows: Iterable[list[Any]]


@dataclass(frozen=True, slots=True)
class _People:
    """Customers with figures, in the order of their names; `series` from `first` month on."""

    names: list[tuple[str, str]]
    """Customer and account."""
    places: dict[str, int]
    """Where the customer with this public id stands in the other lists."""
    figures: list[int]
    first: list[int]
    series: list[list[int]]


def customer_months(*, tenant: Tenant) -> CustomerMonths | None:
    """MRR by customer and published month of the tenant in scope; None without whole figures.

    Amounts are decimals in the company's currency. Under each month they add up to its MRR on
    the Growth page, to the cent; each customer's is the one behind that month's customers. Where
    credits exceed a customer's invoices it has what is below zero, and a row lifts it to 0.
    """
    found = frame.published()
    if found is None or not found.body["months"]:
        return None
    months, people = found.body["months"], _people()
    paid = _paid(months, people)
    if not _whole(months, paid):
        return None
    table, lifted = _pivots(found, people, paid)
    head: list[str] = [_("Customer"), _("Account"), _("First month")]
    for row in months:
        running = "" if row["complete"] else " " + _("so far")
        head.append(sheets.Head(row["month"] + running, "money"))
    rows = chain(
        _customer_rows(found, people, table, months),
        _sums(found, table, lifted),
        _state(tenant, found),
    )
    return CustomerMonths(found.report.as_of, head, rows)


def _people() -> _People:
    rows = list(
        CustomerFigure.objects.order_by("customer__sort_key", "customer_id").values_list(
            "customer__public_id",
            "customer__name",
            "customer__connection__name",
            "pk",
            "first_month",
            "mrr_e4",
        )
    )
    return _People(
        names=[(name, account) for _id, name, account, *_rest in rows],
        places={str(row[0]): place for place, row in enumerate(rows)},
        figures=[row[3] for row in rows],
        first=[row[4] for row in rows],
        series=[row[5] for row in rows],
    )


def _paid(months: Sequence[Month], people: _People) -> pd.DataFrame:
    """Exact MRR above 0 by customer and published month, in the order in which it is rounded."""
    # Only who asks for a file pays for pandas: no page and no worker loads it.
    import pandas as pd

    lengths = [len(series) for series in people.series]
    cells = pd.DataFrame(
        {
            "customer": np.repeat(np.arange(len(lengths)), lengths),
            "figure": np.repeat(np.array(people.figures, dtype=np.int64), lengths),
            "month": np.repeat(np.array(people.first, dtype=np.int64), lengths),
            "e4": np.fromiter(chain.from_iterable(people.series), np.int64, sum(lengths)),
        }
    )
    cells["month"] += cells.groupby("customer").cumcount()
    shown = cells["month"].isin([frame.month_index(row["month"]) for row in months])
    # As the page of a month's customers has them, so that both give each the same cents.
    order = ["month", "e4", "figure"]
    return cells[(cells["e4"] > 0) & shown].sort_values(order, ascending=[True, False, True])


def _whole(months: Sequence[Month], paid: pd.DataFrame) -> bool:
    """Whether the customers bring what was published, to the last fraction.

    They do not while an account is being deleted, until the figures are computed anew.
    """
    published = {frame.month_index(row["month"]): row["mrr_e4"] for row in months}
    sums = paid.groupby("month")["e4"].sum()
    return bool(sums.reindex(list(published), fill_value=0).tolist() == list(published.values()))


def _pivots(
    found: Published, people: _People, paid: pd.DataFrame
) -> tuple[pd.DataFrame, pd.Series[int]]:
    """Minor units by customer and published month, and what lifts each month's negative ones."""
    import pandas as pd

    totals = {frame.month_index(row["month"]): row["mrr_minor"] for row in found.body["months"]}
    shares = [
        rounding.share_out(part.to_numpy(), totals[cast(int, month)])
        for month, part in paid.groupby("month")["e4"]
    ]
    cells = paid.assign(minor=np.concatenate([np.zeros(0, dtype=np.int64), *shares]))
    below = [
        (people.places[row["customer"]], index, -rounding.minor(row["amount_e4"]))
        for row in found.body["adjustments"]
        if (index := frame.month_index(row["month"])) in totals and row["customer"] in people.places
    ]
    floored = pd.DataFrame(
        np.array(below, dtype=np.int64).reshape(-1, 3), columns=["customer", "month", "minor"]
    )
    table = (
        pd.concat([cells[["customer", "month", "minor"]], floored])
        .pivot_table(index="customer", columns="month", values="minor", aggfunc="sum", fill_value=0)
        .reindex(columns=list(totals), fill_value=0)
    )
    lifted = -floored.groupby("month")["minor"].sum().reindex(list(totals), fill_value=0)
    return table, lifted


def _customer_rows(
    found: Published, people: _People, table: pd.DataFrame, months: Sequence[Month]
) -> Iterator[list[Any]]:
    currency = found.body["currency"]
    for place, *minors in table.itertuples(name=None):
        paid = (row["month"] for row, minor in zip(months, minors, strict=True) if minor > 0)
        amounts = [major(minor, currency) for minor in minors]
        yield [*people.names[place], next(paid, ""), *amounts]


def _sums(found: Published, table: pd.DataFrame, lifted: pd.Series[int]) -> Iterator[list[Any]]:
    currency = found.body["currency"]
    if lifted.any():
        amounts = [major(minor, currency) for minor in lifted.tolist()]
        yield [_("Credits exceed invoices: counted as 0"), "", "", *amounts]
    total = [major(minor, currency) for minor in (table.sum() + lifted).tolist()]
    yield [_("MRR"), "", "", *total]


def _state(tenant: Tenant, found: Published) -> Iterator[list[Any]]:
    """Which state of the figures the file shows, under the table."""
    yield []
    yield [_("Currency"), found.body["currency"]]
    yield [_("As of"), "", found.report.as_of]
    yield [_("Published"), found.report.version, found.report.published_at]
    for row in found.freshness:
        if row.get("as_of"):
            yield [_("Data from"), row["name"], datetime.fromisoformat(row["as_of"])]
    for note in loading_notes(found, frame.words_for(tenant, found.body["currency"])):
        yield [note]
