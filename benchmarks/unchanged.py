"""A scheduled run over a medium company in which nothing changed: what it asks, writes and takes.

The first update after the import re-reads what Procountor's clock may still have moved; the one
that is measured is the next. The weekly re-read of everything is not part of it.
"""

from __future__ import annotations

from typing import Any

from benchmarks import Result
from benchmarks._office import Company, Office, office

MEDIUM = "Medium Saas Oy"
MAX_REQUESTS = 15
# Tables of the import's own history, and what a queue and a credential need to live.
NOT_BOOKS = {
    "integrations_connection",
    "integrations_credential",
    "integrations_streamcursor",
    "integrations_syncrun",
    "integrations_syncstream",
    "integrations_stagedpage",
}


def run() -> Result:
    """Requests, rows of books and figures that were written, seconds, and memory."""
    with office(["medium"]) as place:
        ours = place.company("Bench Oy")
        ours.connect(MEDIUM)
        ours.update()
        place.sandbox("reset")
        before = _writes(place)
        with place.costs() as costs:
            seconds = ours.update()
        after = _writes(place)
        requests = place.sandbox("counts")["requests"]
        ran = _last_run(ours)
    written = {name: after[name] - before.get(name, 0) for name in after}
    result = Result(
        figures={
            **ran,
            "requests": requests,
            "rows_of_books_written": sum(
                count
                for name, count in written.items()
                if name.startswith("integrations_") and name not in NOT_BOOKS
            ),
            "rows_of_figures_written": sum(
                count for name, count in written.items() if name.startswith("reporting_")
            ),
            "seconds": round(seconds, 1),
            "cpu_seconds": round(costs.cpu_seconds, 2),
            "worker_peak_mb": round(costs.largest_mb),
        }
    )
    result.at_most("requests", MAX_REQUESTS)
    result.at_most("rows_of_books_written", 0)
    return result


def _writes(place: Office) -> dict[str, int]:
    """Rows inserted, changed or deleted in each table since the server began."""
    import psycopg2

    server = psycopg2.connect(place.stack.superuser_dsn("calqsync"))
    try:
        with server.cursor() as cursor:
            # Every process hands in its counts within a second of the end of its work.
            cursor.execute(
                "SELECT pg_sleep(2); SELECT relname, n_tup_ins + n_tup_upd + n_tup_del"
                " FROM pg_stat_user_tables"
            )
            return {str(name): int(count) for name, count in cursor.fetchall()}
    finally:
        server.close()


def _last_run(ours: Company) -> dict[str, Any]:
    from django.db.models import Sum

    from integrations.models import Invoice, SyncRun, SyncStream
    from integrations.procountor.vocabulary import OPEN_STATUSES

    with ours.rows():
        run = SyncRun.objects.latest("started_at")
        counts = SyncStream.objects.filter(run=run).aggregate(
            fetched=Sum("fetched"), changed=Sum("changed"), added=Sum("added")
        )
        invoices = Invoice.objects.filter(issued=True, removed_at=None)
        return {
            "mode": run.mode,
            "invoices": invoices.count(),
            "open_invoices": invoices.filter(status__in=OPEN_STATUSES).count(),
            **{name: count or 0 for name, count in counts.items()},
        }
