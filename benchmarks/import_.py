"""First imports from "Connect now" to final figures, everything on one machine.

`--company medium half-large large` imports one after the other (25 000, 100 000 and 200 000
invoices) and compares what an invoice costs. `--rps 20` has Procountor and us keep to that rate.
"""

from __future__ import annotations

import argparse
from typing import Any

from benchmarks import Result
from benchmarks._office import Company, Costs, Imported, office

COMPANIES = {
    "medium": "Medium Saas Oy",
    "half-large": "Half Large Saas Oy",
    "large": "Large Saas Oy",
}
PAGE = 200
MAX_FIRST_SECONDS = {"medium": 10}
MAX_SECONDS = {"medium": 60, "large": 480}
MAX_WORKER_MB = 400
MAX_COST_RATIO = 1.2
MIN_SHARE_OF_RATE = 0.9


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--company", nargs="+", choices=COMPANIES, default=["medium"])
    parser.add_argument("--rps", type=int, help="requests a second that Procountor permits")


def run(*, company: list[str], rps: int | None) -> Result:
    """Seconds to the first and to the final figures, requests, processor time and memory."""
    result = Result()
    several = len(company) > 1
    with office(company, rps=rps) as place:
        for size in company:
            ours = place.company(f"Bench {size} Oy")
            with place.costs() as costs:
                imported = ours.connect(COMPANIES[size])
            figures = _figures(ours, imported, costs, rps)
            prefix = f"{size}_" if several else ""
            result.figures |= {f"{prefix}{name}": value for name, value in figures.items()}
            _hold(result, size, prefix, rps)
    if several:
        costs_of = [float(result.figures[f"{size}_cpu_ms_per_invoice"]) for size in company]
        result.figures["cost_ratio"] = round(max(costs_of) / costs_of[0], 3)
        result.at_most("cost_ratio", MAX_COST_RATIO)
    return result


def _hold(result: Result, size: str, prefix: str, rps: int | None) -> None:
    result.at_most(f"{prefix}worker_peak_mb", MAX_WORKER_MB)
    if rps is not None:
        result.at_most(f"{prefix}rate_violations", 0)
        result.at_least(f"{prefix}share_of_rate", MIN_SHARE_OF_RATE)
        return
    if size in MAX_FIRST_SECONDS:
        result.at_most(f"{prefix}first_figures_seconds", MAX_FIRST_SECONDS[size])
    if size in MAX_SECONDS:
        result.at_most(f"{prefix}total_seconds", MAX_SECONDS[size])


def _figures(
    ours: Company, imported: Imported, costs: Costs, rps: int | None
) -> dict[str, float | int | str]:
    counts = _counts(ours)
    invoices, requests = counts["invoices"], imported.sandbox["requests"]
    documents, best = _documents(ours, counts)
    figures: dict[str, float | int | str] = {
        **counts,
        "first_figures_seconds": round(imported.first_figures, 1),
        "import_seconds": round(imported.imported, 1),
        "total_seconds": round(imported.total, 1),
        "invoices_per_second": round(invoices / imported.total),
        "cpu_ms_per_invoice": round(1000 * costs.cpu_seconds / invoices, 3),
        "worker_ms_per_invoice": round(1000 * costs.worker_seconds / invoices, 3),
        "worker_peak_mb": round(costs.largest_mb),
        "requests": requests,
        "documents_per_request": round(documents / requests, 1),
        "best_documents_per_request": round(documents / best, 1),
        "rate_violations": imported.sandbox["violations"],
    }
    if rps is not None:
        figures["share_of_rate"] = round(requests / (rps * imported.sandbox["seconds"]), 3)
    return figures


def _counts(ours: Company) -> dict[str, int]:
    from integrations import models

    with ours.rows():
        return {
            "customers": models.Customer.objects.count(),
            "products": models.Product.objects.count(),
            "invoices": models.Invoice.objects.filter(removed_at=None).count(),
            "invoice_lines": models.InvoiceLine.objects.count(),
            "payments": models.Payment.objects.count(),
            "bank_statements": models.BankStatement.objects.count(),
        }


def _documents(ours: Company, counts: dict[str, Any]) -> tuple[int, int]:
    """How many documents were read, and the fewest requests that the contract allows for them.

    Invoices come as a list of ids and in batches; payments are asked for by 200 ids of invoices.
    Two lists hold the customers, and one request each tells the session and the bank accounts.
    """
    from integrations.models import Customer, Payment

    with ours.rows():
        paid = Payment.objects.values("invoice").distinct().count()
        active = Customer.objects.filter(active=True).count()
    registers = (active, counts["customers"] - active, counts["products"])
    lists = (*registers, counts["invoices"], counts["invoices"], counts["bank_statements"])
    payments = max(_pages(counts["payments"]), _pages(paid))
    documents = sum(value for name, value in counts.items() if name != "invoice_lines")
    return documents, sum(map(_pages, lists)) + payments + 2


def _pages(documents: int) -> int:
    return max(1, -(-documents // PAGE))
