"""First import of the medium company, against dlt's REST API source doing the same reads.

Both read the same documents from the same sandbox, in batches of 200, into the same PostgreSQL,
in one run. dlt is set up as its pages advise (`docs/decisions/0024-compared-with-dlt.md`).
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from datetime import date
from typing import Any

from benchmarks import Result
from benchmarks._office import ROOT, Company, Office, office

MEDIUM = "Medium Saas Oy"
MIN_RATIO = 3.0


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--loader", choices=["csv", "insert_values"], default="csv")
    parser.add_argument(
        "--plain", action="store_true", help="let dlt keep no exact amounts and no raw documents"
    )


def run(*, loader: str, plain: bool) -> Result:
    """Seconds of each from the first request to the last row, and how many times ours is faster.

    Ours begins at "Connect now" and ends when the run is complete: pages, queue and the figures
    on the way are part of it. dlt's own start, before its pipeline exists, is not part of its.
    """
    with office(["medium"]) as place:
        ours = place.company("Bench Oy")
        imported = ours.connect(MEDIUM)
        place.sandbox("reset")
        theirs = _through_dlt(place, ours, [loader, *(["plain"] if plain else [])])
        asked = place.sandbox("counts")["requests"]
    result = Result(
        figures={
            "invoices": theirs["rows"]["invoices"],
            "seconds": round(imported.imported, 1),
            "requests": imported.sandbox["requests"],
            "dlt_seconds": round(theirs["seconds"], 1),
            **{f"dlt_{name}_seconds": round(took, 1) for name, took in theirs["steps"].items()},
            "dlt_requests": asked,
            "times_faster": round(theirs["seconds"] / imported.imported, 2),
        }
    )
    result.at_least("times_faster", MIN_RATIO)
    result.at_least("invoices", 25_000)
    return result


def _through_dlt(place: Office, ours: Company, options: list[str]) -> dict[str, Any]:
    """What dlt's process printed; it works in a database of its own on the same server."""
    import psycopg2

    server = psycopg2.connect(place.stack.superuser_dsn())
    server.autocommit = True
    server.cursor().execute("CREATE DATABASE dlt")
    server.close()
    database = place.stack.superuser_dsn("dlt").replace("postgres://", "postgresql://", 1)
    api = f"{place.stack.env['PROCOUNTOR_BASE_URL']}/api/"
    period = ("2000-01-01", date.today().isoformat())
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks._dlt_pipeline", api, database, *period, *options],
        cwd=ROOT,
        env={**place.stack.env, "PROCOUNTOR_TOKEN": _token(ours)},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def _token(ours: Company) -> str:
    """An access token of the connection that was just made."""
    from django.utils import timezone

    from integrations.models import Connection
    from integrations.sync import access

    with ours.rows():
        connection = Connection.objects.get()
    with ours.scope():
        return access.token_fresh(connection, now=timezone.now).value
