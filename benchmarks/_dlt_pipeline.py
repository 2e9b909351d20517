"""The books of one company through dlt: its REST API source into PostgreSQL.

Runs in a process of its own; prints one JSON object with the seconds of each step and the rows of
each table. Everything is left as dlt has it, unless `--tuned` sets it as its pages on performance
advise. `docs/decisions/0024-compared-with-dlt.md` says why it is set up like this.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from collections.abc import Iterator
from decimal import Decimal
from functools import partial
from typing import Any

PAGE = 200
QUIET = {"RUNTIME__DLTHUB_TELEMETRY": "false", "RUNTIME__LOG_LEVEL": "ERROR"}
TUNED = {
    "EXTRACT__WORKERS": "8",
    "NORMALIZE__WORKERS": "2",  # processes, one a core
    "LOAD__WORKERS": "20",
    # Files of a size that both processes find work.
    "SOURCES__DATA_WRITER__FILE_MAX_ITEMS": "5000",
    "NORMALIZE__DATA_WRITER__FILE_MAX_ITEMS": "20000",
    "NORMALIZE__LOADER_FILE_FORMAT": "csv",  # goes by COPY, where the default inserts values
}


def main() -> None:
    parser = argparse.ArgumentParser()
    for name in ("api", "database", "first_day", "last_day"):
        parser.add_argument(name)
    parser.add_argument("--tuned", action="store_true")
    parser.add_argument("--plain", action="store_true")
    asked = parser.parse_args()
    os.environ.update(QUIET, **(TUNED if asked.tuned else {}))
    import dlt

    with tempfile.TemporaryDirectory() as folder:
        began = time.monotonic()
        pipeline = dlt.pipeline(
            "books",
            pipelines_dir=folder,
            destination=dlt.destinations.postgres(credentials=asked.database),
            dataset_name="books",
        )
        period = (asked.first_day, asked.last_day)
        source = books(asked.api, period, plain=asked.plain, parallel=asked.tuned)
        steps = {}
        for name, step in (
            ("extract", lambda: pipeline.extract(source)),
            ("normalize", pipeline.normalize),
            ("load", pipeline.load),
        ):
            started = time.monotonic()
            step()
            steps[name] = time.monotonic() - started
        seconds = time.monotonic() - began
        rows = pipeline.last_trace.last_normalize_info.row_counts
    print(json.dumps({"seconds": seconds, "steps": steps, "rows": rows}))


def books(api: str, period: tuple[str, str], *, plain: bool, parallel: bool) -> Any:
    """Every document that an import of ours reads, by the same batches of 200.

    As ours does it, amounts are kept to the cent and each invoice beside its columns as it came;
    `plain` leaves amounts as floating-point numbers and keeps the columns alone.
    """
    import dlt
    from dlt.sources.helpers import requests
    from dlt.sources.helpers.rest_client import RESTClient
    from dlt.sources.helpers.rest_client.auth import BearerTokenAuth
    from dlt.sources.helpers.rest_client.paginators import JSONResponseCursorPaginator
    from dlt.sources.rest_api import rest_api_source

    token = os.environ["PROCOUNTOR_TOKEN"]
    session = requests.Client().session
    if not plain:
        session.hooks["response"].append(_with_exact_numbers)

    def by_id() -> JSONResponseCursorPaginator:
        return JSONResponseCursorPaginator(cursor_path="results[-1].id", cursor_param="previousId")

    @dlt.resource(name="batches", selected=False)
    def batches() -> Iterator[list[dict[str, str]]]:
        client = RESTClient(
            base_url=api, auth=BearerTokenAuth(token=token), paginator=by_id(), session=session
        )
        asked = {"types": "SALES_INVOICE", "size": PAGE, "orderById": "ASC"}
        for page in client.paginate("invoices", params=asked, data_selector="results"):
            if page:
                yield [{"ids": ",".join(str(item["id"]) for item in page)}]

    def listed(name: str, path: str, table: str | None = None, **params: str) -> dict[str, Any]:
        return {
            "name": name,
            "table_name": table or name,
            "endpoint": {
                "path": path,
                "params": {"size": PAGE, "orderById": "ASC", **params},
                "data_selector": "results",
                "paginator": by_id(),
            },
        }

    statements = listed("statements", "bankstatements", startDate=period[0], endDate=period[1])
    del statements["endpoint"]["params"]["orderById"]
    statements["endpoint"]["paginator"] = {
        "type": "page_number",
        "base_page": 0,
        "total_path": None,
        "stop_after_empty_page": True,
    }
    events = listed("payment_events", "payments/paymentevents")
    events["endpoint"]["params"]["invoiceId"] = "{resources.batches.ids}"
    invoices: dict[str, Any] = {
        "name": "invoices",
        "processing_steps": [] if plain else [{"map": _with_evidence}],
        "endpoint": {
            "path": "invoices/{resources.batches.ids}",
            "paginator": "single_page",
            "data_selector": "$",
        },
    }
    return rest_api_source(
        {
            "client": {
                "base_url": api,
                "auth": {"type": "bearer", "token": token},
                "session": session,
            },
            "resource_defaults": {
                # Stored once, however often it is read.
                "write_disposition": "merge",
                "primary_key": "id",
                "parallelized": parallel,
            },
            "resources": [
                listed("customers", "businesspartners", type="CUSTOMER", active="true"),
                listed(
                    "customers_inactive",
                    "businesspartners",
                    "customers",
                    type="CUSTOMER",
                    active="false",
                ),
                listed("products", "products", type="SALES"),
                listed("bank_accounts", "bankaccounts"),
                statements,
                batches(),
                invoices,
                events,
            ],
        }
    )


def _with_exact_numbers(response: Any, *_: Any, **__: Any) -> Any:
    response.json = partial(json.loads, response.content, parse_float=Decimal)
    return response


def _with_evidence(invoice: dict[str, Any]) -> dict[str, Any]:
    return {**invoice, "raw": json.dumps(invoice, default=str)}


if __name__ == "__main__":
    main()
