"""Unit economics: what a customer is worth and what it costs to win one.

Lifetime value in three named variants. Ours: ARPA × gross margin ÷ customer churn. ChartMogul's:
ARPA ÷ customer churn (Baremetrics': the same of its own churn). Both take the mean churn of the
six complete months before; none where that is 0. Calqulate's: ARPA × gross margin ÷ the month's
net MRR churn; none where that is not above 0, or while the month runs.

CAC is the acquisition cost of the month (or of some months before, where selling takes time)
÷ new customers of the month. Payback is CAC ÷ (ARPA of the new customers × gross margin), in
months. No new customers: no value.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from reporting.domain.arrays import Ints
from reporting.domain.choices import Ltv, Settings
from reporting.domain.growth import Period
from reporting.domain.lines import Lines
from reporting.domain.metrics import ppm, rounded
from reporting.domain.movements import Movement, Movements
from reporting.domain.mrr import CustomerMonths, Spans
from reporting.domain.periods import month_text
from reporting.domain.sums import Additive
from reporting.parts import Economics, EconomicsMonth

CHURN_MONTHS = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class FirstInvoices(Additive):
    """By month, minor units: what the first invoices of the month's new customers ask for
    subscriptions."""

    net: Ints


def first_invoices(
    lines: Lines, spans: Spans, table: CustomerMonths, monthly: Movements
) -> FirstInvoices:
    """The sums of all customers: of the lines that made one new, the earliest invoice's."""
    row, column = np.nonzero(monthly.kind == Movement.NEW)
    net = np.zeros(len(table.months), dtype=np.int64)
    if not len(row):
        return FirstInvoices(net=net)
    width = len(table.months)
    became = row * width + column
    customer = np.searchsorted(table.customers, lines.customer_id[spans.row])
    # A line that stood before its months began is of the first of them.
    began = customer * width + np.clip(spans.first, 0, width - 1)
    found = np.flatnonzero((spans.after > spans.first) & np.isin(began, became))
    found = found[lines.net_acc[spans.row[found]] > 0]
    lead = spans.row[found]
    order = np.lexsort((lines.place[lead], lines.invoice_day[lead], began[found]))
    lead, key = lead[order], began[found][order]
    known, first = np.unique(key, return_index=True)
    group = np.searchsorted(known, key)
    same = lines.invoice_id[lead] == lines.invoice_id[lead[first]][group]
    np.add.at(net, key[same] % width, lines.net_acc[lead[same]])
    return FirstInvoices(net=net)


def lifetime_value(
    arpa: Fraction | None, churn: Fraction | None, margin: Fraction | None = Fraction(1)
) -> Fraction | None:
    """What a customer brings before it leaves, in the unit of `arpa`; `churn` is a month's."""
    if arpa is None or churn is None or margin is None or churn <= 0:
        return None
    return arpa * margin / churn


def acquisition_cost(cost: int | None, new_customers: int) -> Fraction | None:
    """CAC in the unit of `cost`; None without a cost or without new customers."""
    if cost is None or new_customers == 0:
        return None
    return Fraction(cost, new_customers)


def payback(
    cac: Fraction | None, new_arpa: Fraction | None, margin: Fraction | None
) -> Fraction | None:
    """Months until a new customer's gross profit has paid for it."""
    if cac is None or not new_arpa or not margin:
        return None
    return cac / (new_arpa * margin)


def six_month_churn(months: tuple[Period, ...], place: int) -> Fraction | None:
    """The mean customer churn of the six complete months before; None unless all have one."""
    before = months[max(place - CHURN_MONTHS, 0) : place]
    rates = [one.rates.customer_churn for one in before if one.complete]
    known = [rate for rate in rates if rate is not None]
    return sum(known, Fraction(0)) / CHURN_MONTHS if len(known) == CHURN_MONTHS else None


def economics(
    months: tuple[Period, ...],
    first: FirstInvoices,
    costs: Mapping[int, int],
    settings: Settings,
    known_from: int = 0,
) -> Economics:
    """The months from `known_from` on; `costs` has what winning customers cost, by month."""
    rows = [
        _month(months, place, int(first.net[place]), costs, settings)
        for place, period in enumerate(months)
        if period.last_month >= known_from
    ]
    return {"months": rows, "gross_margin_bp": settings.gross_margin_bp}


def _month(
    months: tuple[Period, ...],
    place: int,
    first_net: int,
    costs: Mapping[int, int],
    settings: Settings,
) -> EconomicsMonth:
    period = months[place]
    new = period.new_customers
    margin = settings.gross_margin_bp
    share = None if margin is None else Fraction(margin, 10_000)
    arpa, churn = period.rates.arpa_minor, six_month_churn(months, place)
    new_arpa = Fraction(period.step.new, new) if new else None
    net_churn = period.rates.net_churn if period.complete else None
    values = {
        Ltv.OURS: lifetime_value(arpa, churn, share),
        Ltv.CHARTMOGUL: lifetime_value(arpa, churn),
        Ltv.CALQULATE: lifetime_value(arpa, net_churn, share),
    }
    cac = acquisition_cost(costs.get(period.last_month - settings.cac_lag_months), new)
    months_back = payback(cac, new_arpa, share)
    chosen = values[settings.ltv]
    return {
        "month": month_text(period.last_month),
        "complete": period.complete,
        "arpa_minor": _minor(arpa),
        "asp_minor": _minor(Fraction(first_net, new) if new else None),
        "new_arpa_minor": _minor(new_arpa),
        "customer_churn_6_ppm": ppm(churn),
        "ltv_ours_minor": _minor(values[Ltv.OURS]),
        "ltv_chartmogul_minor": _minor(values[Ltv.CHARTMOGUL]),
        "ltv_calqulate_minor": _minor(values[Ltv.CALQULATE]),
        "cost_minor": costs.get(period.last_month),
        "cac_minor": _minor(cac),
        "payback_months_tenths": _minor(None if months_back is None else months_back * 10),
        "ltv_cac_ppm": ppm(chosen / cac if chosen is not None and cac else None),
    }


def _minor(value: Fraction | None) -> int | None:
    return None if value is None else rounded(value)
