"""What `ReportPart.body` holds, by the part's name: figures that only some pages read.

Conventions as in `reporting.body`: `…_minor`, `…_e4`, `…_ppm`, months "YYYY-MM", None where there
is nothing to divide by. Rows of months run over the same months as `Body.months`.
"""

from __future__ import annotations

from typing import Literal, TypedDict

from reporting.body import Month

# Names of parts. A segment part is SEGMENTS + "." + a dimension.
QUARTERS, YEARS = "quarters", "years"
COHORTS, SEGMENTS, RECOGNITION, ECONOMICS, REFUNDS = (
    "cohorts",
    "segments",
    "recognition",
    "economics",
    "refunds",
)
Dimension = Literal[
    "product", "product_group", "customer_group", "country", "currency", "connection"
]
DIMENSIONS: tuple[Dimension, ...] = (
    "product",
    "product_group",
    "customer_group",
    "country",
    "currency",
    "connection",
)


def segments_by(dimension: Dimension) -> str:
    """The name of the part with the segments of this dimension."""
    return f"{SEGMENTS}.{dimension}"


class View(TypedDict):
    """Quarters or years, classified anew from their own first and last snapshots.

    A row's `month` is the period's last; `complete` says whether the period has ended. `summed`
    holds the same periods with the movements of their months added up.
    """

    reclassified: list[Month]
    summed: list[Month]


class Cohort(TypedDict):
    """Customers whose first MRR is in `month`; index of the lists: months since then.

    Lists end with the last snapshot: what is not born yet has no cell.
    """

    month: str
    customers: list[int]
    mrr_minor: list[int]


class Cohorts(TypedDict):
    """Retention by cohort, oldest first; the averages are weighted by the cohorts that have a
    complete cell at that offset."""

    incomplete_month: str | None
    cohorts: list[Cohort]
    customers_ppm: list[int | None]
    mrr_ppm: list[int | None]


class SegmentMonth(TypedDict):
    """A segment's share of a month: its lines' MRR, its movements, its customers.

    Movements are those of the customer within the segment. `mrr_minor` over all segments adds up
    to the total; floor adjustments, and the cents that rounding leaves over, stand in the
    segment "adjustment". The identity of `body.Month` holds in each segment.
    """

    mrr_minor: int
    new_minor: int
    expansion_minor: int
    contraction_minor: int
    churn_minor: int
    reactivation_minor: int
    tolerated_minor: int
    paused_minor: int
    fx_minor: int
    customers: int


class Segment(TypedDict):
    """One value of a dimension. `key`: public id of the product or connection, the group's name,
    the country or currency code; "" for lines without one; "adjustment"; "other" beyond the
    largest fifty."""

    key: str
    name: str
    months: list[SegmentMonth]


class Segments(TypedDict):
    dimension: Dimension
    months: list[str]
    segments: list[Segment]


class RecognisedMonth(TypedDict):
    """invoiced so far - recognised so far = deferred - accrued, at the month's end."""

    month: str
    complete: bool
    invoiced_minor: int
    recognised_minor: int
    deferred_minor: int
    accrued_minor: int


class Recognition(TypedDict):
    """By both methods; the tenant's settings say which one is shown first."""

    monthly: list[RecognisedMonth]
    daily: list[RecognisedMonth]


class EconomicsMonth(TypedDict):
    """Amounts per month and customer. CAC in the reporting currency, payback in tenths."""

    month: str
    complete: bool
    arpa_minor: int | None
    # First MRR invoices of the month's new customers, on average: ASP.
    asp_minor: int | None
    new_arpa_minor: int | None
    # Mean of the six complete months before; None unless all six have one.
    customer_churn_6_ppm: int | None
    ltv_ours_minor: int | None
    ltv_chartmogul_minor: int | None
    ltv_calqulate_minor: int | None
    # The month's own cost; CAC divides that of `ReportSettings.cac_lag_months` before.
    cost_minor: int | None
    cac_minor: int | None
    payback_months_tenths: int | None
    # Of the LTV that the settings name.
    ltv_cac_ppm: int | None


class Economics(TypedDict):
    months: list[EconomicsMonth]
    gross_margin_bp: int | None


class RefundMonth(TypedDict):
    month: str
    complete: bool
    credit_notes: int
    credited_minor: int
    # Of the month's billing: credited, and unpaid after its due day by now. Gross amounts.
    billed_minor: int
    overdue_minor: int
    overdue_invoices: int


class Refunds(TypedDict):
    months: list[RefundMonth]
