"""MRR, its movements and the customers who pay: lines and customers behind them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any

from django.db.models import QuerySet
from django.http import Http404
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from integrations.models import Customer
from reporting.domain import rounding
from reporting.domain.movements import Movement
from reporting.models import CustomerFigure, LineFigure
from reporting.selectors import frame
from reporting.selectors.behind.kinds import (
    Kind,
    Part,
    Question,
    Rows,
    column,
    covered,
    customer_columns,
    customer_rows,
    customer_url,
    invoice_url,
    shared,
)
from reporting.selectors.behind.steps import Step, Stretch, stretch
from reporting.selectors.frame import Words
from reporting.selectors.movements import movement_names


def month_row(asked: Question) -> Any:
    """The month as it is published; raises Http404 where it is not."""
    row = next((row for row in asked.body["months"] if row["month"] == asked.month), None)
    if row is None:
        raise Http404
    return row


def mrr(asked: Question) -> Kind:
    """The lines that cover the snapshot day, each with its share of a month."""
    total = month_row(asked)["mrr_minor"]
    title = _("MRR of %(month)s") % asked.said
    return line_kind(asked, title, _covers_the_day(), shared(covering(asked), total))


def arr(asked: Question) -> Kind:
    """The same lines over a year."""
    year = [(key, e4 * 12) for key, e4 in covering(asked)]
    return line_kind(
        asked,
        _("Annual run rate of %(month)s") % asked.said,
        _(
            "Every invoice line that covers the month's last day, or today: its share of a month"
            " × 12."
        ),
        shared(year, month_row(asked)["arr_minor"]),
    )


def covering(asked: Question) -> list[tuple[Any, int]]:
    """The lines that stand in a month's snapshot, and what lifts customers to 0, with their MRR."""
    lines = LineFigure.objects.filter(
        counted=True, from_month__lte=asked.index, to_month__gt=asked.index
    )
    lifts = [row for row in asked.body["adjustments"] if row["month"] == asked.month]
    return [*largest(lines), *((row, row["amount_e4"]) for row in lifts)]


def largest(lines: QuerySet[LineFigure]) -> list[tuple[Any, int]]:
    """Those of the lines that have MRR, with it, the largest first."""
    return list(lines.exclude(mrr_e4=0).order_by("-mrr_e4", "pk").values_list("pk", "mrr_e4"))


def mrr_lines(asked: Question, lines: QuerySet[LineFigure], total: int, title: str) -> Kind:
    """These lines, each with its share of a month, adding up to `total`."""
    return line_kind(asked, title, _covers_the_day(), shared(largest(lines), total))


def _covers_the_day() -> str:
    return _(
        "Every invoice line that covers the month's last day, or today, with its share of a month."
    )


def line_kind(asked: Question, title: str, lead: str, parts: list[Part]) -> Kind:
    """Invoice lines by their ids, and customers lifted to 0 by their rows of adjustments."""

    def rows(shown: Sequence[Part]) -> Iterable[tuple[Any, list[Any], str]]:
        found = LineFigure.objects.select_related("line__invoice", "customer").in_bulk(
            [part.key for part in shown if isinstance(part.key, int)]
        )
        for part in shown:
            if not isinstance(part.key, int):
                text = _("Credits exceed invoices: counted as 0")
                yield part.key["name"], [text, "", ""], ""
                continue
            made = found[part.key]
            invoice = made.line.invoice
            number = {"text": str(invoice), "url": invoice_url(asked.tenant, invoice.public_id)}
            yield (
                made.customer.name,
                [made.line.name, number, covered(made, asked.words)],
                customer_url(asked.tenant, made.customer.public_id),
            )

    return Kind(
        title,
        lead,
        parts,
        [
            column("customer", _("Customer")),
            column("line", _("Line")),
            column("invoice", _("Invoice")),
            column("period", _("Covers")),
        ],
        rows,
        lambda n: ngettext("%d invoice line", "%d invoice lines", n) % n,
    )


def customers(asked: Question) -> Kind:
    """The customers who pay on the snapshot day, with what each brings a month."""
    paying = []
    for pk, first, series in CustomerFigure.objects.filter(
        first_month__lte=asked.index
    ).values_list("pk", "first_month", "mrr_e4"):
        place = asked.index - first
        if place < len(series) and series[place] > 0:
            paying.append((pk, series[place]))
    paying.sort(key=lambda row: (-row[1], row[0]))
    return Kind(
        _("Customers of %(month)s") % asked.said,
        _("Customers with recurring revenue on the month's last day, or today, and their MRR."),
        shared(paying, month_row(asked)["mrr_minor"]),
        customer_columns(),
        customer_rows(asked),
        lambda n: ngettext("%d customer", "%d customers", n) % n,
        counts_rows=True,
    )


MOVEMENTS = {
    "new": Movement.NEW,
    "reactivation": Movement.REACTIVATION,
    "expansion": Movement.EXPANSION,
    "contraction": Movement.CONTRACTION,
    "churn": Movement.CHURN,
    "paused": Movement.PAUSE,
}


_CUSTOMERS = "-customers"
MOVED = frozenset(name + end for name in (*MOVEMENTS, "fx") for end in ("", _CUSTOMERS))


def movement_kind(asked: Question) -> Kind:
    """What a movement of a month, quarter or year amounts to, or how many customers made it."""
    found, name = stretch(asked), asked.figure.removesuffix(_CUSTOMERS)
    made = movement(asked, name, found)
    if asked.figure == "paused-customers":
        # Who resumed stands in the list too, and is taken off the number.
        return replace(made, headline=asked.words.count(found.row["paused_customers"]))
    return replace(made, counts_rows=name != asked.figure)


def movement(asked: Question, name: str, found: Stretch) -> Kind:
    """The customers behind one movement of a month, quarter or year, or behind exchange rates."""
    sign = -1 if name in {"contraction", "churn", "paused"} else 1
    moved = [
        (one, one.fx if name == "fx" else one.change * sign)
        for one in found.steps(asked.words.currency)
        if (one.fx if name == "fx" else one.kind == MOVEMENTS[name])
    ]
    moved.sort(key=lambda pair: (-abs(pair[1]), pair[0].pk, pair[0].index))
    parts = shared(moved, found.row[f"{name}_minor"])
    return Kind(
        _("%(movement)s of %(month)s") % {"movement": movement_names()[name], "month": found.name},
        _moved_between(name, found),
        [Part(part.key, part.minor * sign) for part in parts],
        [
            column("customer", _("Customer")),
            *([column("month", _("Month"))] if found.summed else []),
            *step_columns(),
        ],
        _step_rows(asked, found),
        lambda n: ngettext("%d customer", "%d customers", n) % n,
    )


def _moved_between(figure: str, found: Stretch) -> str:
    if figure == "fx":
        if found.length > 1 and not found.summed:
            return _("What exchange rates alone changed between the period's two ends.")
        return _("What exchange rates alone changed between the two month ends.")
    if found.summed:
        return _("Customers whose recurring revenue changed in a month of the period, by month.")
    if found.length > 1:
        return _(
            "Customers whose recurring revenue differs between the period's two ends. What"
            " exchange rates alone changed stands in the FX row and is left out here."
        )
    return _(
        "Customers whose recurring revenue changed between the two month ends. What exchange"
        " rates alone changed stands in the FX row and is left out here."
    )


def step_columns() -> list[dict[str, Any]]:
    return [
        {"key": "before", "label": _("MRR before"), "numeric": True},
        {"key": "after", "label": _("MRR after"), "numeric": True},
    ]


def step_rows(asked: Question) -> Rows:
    """Rows of parts whose keys are steps: customers with what they paid at both ends."""

    def rows(shown: Sequence[Part]) -> Iterable[tuple[Any, list[Any], str]]:
        for _step, customer, amounts in _steps(shown, asked.words):
            yield customer.name, amounts, customer_url(asked.tenant, customer.public_id)

    return rows


def _step_rows(asked: Question, found: Stretch) -> Rows:
    """As `step_rows`; but a step of one month opens the lines of its change."""
    if found.length > 1 and not found.summed:
        return step_rows(asked)

    def rows(shown: Sequence[Part]) -> Iterable[tuple[Any, list[Any], str]]:
        for one, customer, amounts in _steps(shown, asked.words):
            month = frame.month_text(one.index)
            url = frame.behind(asked.tenant, f"change-{customer.public_id}", month)
            named = [asked.words.month(month)] if found.summed else []
            yield customer.name, [*named, *amounts], url

    return rows


def _steps(shown: Sequence[Part], words: Words) -> Iterator[tuple[Step, Customer, list[str]]]:
    """Each part's step, its customer, and its MRR at both ends as it is written."""
    known = CustomerFigure.objects.select_related("customer").in_bulk(
        [part.key.pk for part in shown]
    )
    for part in shown:
        both = (part.key.before, part.key.after)
        amounts = [words.amount(rounding.minor(value)) for value in both]
        yield part.key, known[part.key.pk].customer, amounts
