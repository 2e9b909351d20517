"""What people decided about the figures, and the figures as last published.

Money: `…_minor` is in minor units of the tenant's reporting currency, `…_e4` in 1/10 000 of a
minor unit. Months are indexes (year × 12 + month − 1). Periods are half-open.
"""

from reporting.models.figures import (
    CashFigure,
    CustomerFigure,
    InvoiceFigure,
    LineFigure,
    Subscription,
)
from reporting.models.reports import (
    BooksChange,
    KeptSums,
    Report,
    ReportPart,
    ReportVersion,
    Restatement,
)
from reporting.models.words import (
    AcquisitionCost,
    CashMark,
    CustomerMerge,
    CustomersApart,
    Edit,
    LineDecision,
    ProductMark,
    ReportSettings,
    SubscriptionDecision,
)

# The kind of the job that recomputes a tenant's figures.
REFRESH = "reporting.refresh"

__all__ = [
    "REFRESH",
    "AcquisitionCost",
    "BooksChange",
    "CashFigure",
    "CashMark",
    "CustomerFigure",
    "CustomerMerge",
    "CustomersApart",
    "Edit",
    "InvoiceFigure",
    "KeptSums",
    "LineDecision",
    "LineFigure",
    "ProductMark",
    "Report",
    "ReportPart",
    "ReportSettings",
    "ReportVersion",
    "Restatement",
    "Subscription",
    "SubscriptionDecision",
]
