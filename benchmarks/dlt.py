"""First import of the medium company, against dlt's REST API source doing the same reads.

All read the same documents from the same sandbox, in batches of 200, into the same PostgreSQL, in
one run. dlt goes twice: as it comes, and set up as its pages on performance advise
(`docs/decisions/0024-compared-with-dlt.md`). Ours goes before and after, so that a machine which
others use more and more favours neither.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
from datetime import date
from typing import Any

from benchmarks import Result
from benchmarks._office import ROOT, Company, Office, office

MEDIUM = "Medium Saas Oy"
MIN_RATIO = 3.0


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--plain", action="store_true", help="let dlt keep no exact amounts and no raw documents"
    )


def run(*, plain: bool) -> Result:
    """Seconds of each from the first request to the last row, and how many times ours is faster.

    `seconds` is the mean of ours, which begins at "Connect now" and ends when the run is
    complete: pages, queue and the figures on the way are part of it. dlt's own start, before its
    pipeline exists, is not part of its. `cpu_seconds` is processor time: of workers and database to
    the final figures, or of dlt with its start and database.
    """
    with office(["medium"]) as place:
        ours = place.company("Bench Oy")
        first = _ours(place, ours)
        options = ["--plain"] if plain else []
        theirs = _through_dlt(place, ours, "dlt", options)
        tuned = _through_dlt(place, ours, "dlt_tuned", [*options, "--tuned"])
        last = _ours(place, place.company("Bench again Oy"))
    seconds = (first["seconds"] + last["seconds"]) / 2
    result = Result(
        figures={
            "invoices": theirs["rows"]["invoices"],
            "seconds": round(seconds, 1),
            "first_seconds": round(first["seconds"], 1),
            "last_seconds": round(last["seconds"], 1),
            "cpu_seconds": round((first["cpu_seconds"] + last["cpu_seconds"]) / 2, 1),
            "requests": int(first["requests"]),
            **_figures("dlt", theirs, seconds),
            **_figures("dlt_tuned", tuned, seconds),
        }
    )
    result.at_least("times_faster_than_dlt", MIN_RATIO)
    result.at_least("invoices", 25_000)
    return result


def _ours(place: Office, ours: Company) -> dict[str, float]:
    with place.costs() as costs:
        imported = ours.connect(MEDIUM)
    return {
        "seconds": imported.imported,
        "cpu_seconds": costs.cpu_seconds,
        "requests": imported.sandbox["requests"],
    }


def _figures(name: str, theirs: dict[str, Any], seconds: float) -> dict[str, float | int | str]:
    return {
        f"{name}_seconds": round(theirs["seconds"], 1),
        **{f"{name}_{step}_seconds": round(took, 1) for step, took in theirs["steps"].items()},
        f"{name}_cpu_seconds": round(theirs["cpu_seconds"], 1),
        f"{name}_requests": theirs["requests"],
        f"times_faster_than_{name}": round(theirs["seconds"] / seconds, 2),
    }


def _through_dlt(place: Office, ours: Company, name: str, options: list[str]) -> dict[str, Any]:
    """What dlt's process printed; it works in a database of its own on the same server."""
    import psycopg2

    server = psycopg2.connect(place.stack.superuser_dsn())
    server.autocommit = True
    server.cursor().execute(f"CREATE DATABASE {name}")
    server.close()
    database = place.stack.superuser_dsn(name).replace("postgres://", "postgresql://", 1)
    api = f"{place.stack.env['PROCOUNTOR_BASE_URL']}/api/"
    period = ("2000-01-01", date.today().isoformat())
    place.sandbox("reset")
    token, before = _token(ours), _spent_by_children()
    with place.costs() as costs:
        done = subprocess.run(
            [sys.executable, "-m", "benchmarks._dlt_pipeline", api, database, *period, *options],
            cwd=ROOT,
            env={**place.stack.env, "PROCOUNTOR_TOKEN": token},
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        )
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    found["cpu_seconds"] = _spent_by_children() - before + costs.database_seconds
    return found | {"requests": place.sandbox("counts")["requests"]}


def _spent_by_children() -> float:
    """Processor seconds of the processes that this one started and waited for, and of theirs."""
    spent = resource.getrusage(resource.RUSAGE_CHILDREN)
    return spent.ru_utime + spent.ru_stime


def _token(ours: Company) -> str:
    """An access token of the connection that was just made."""
    from django.utils import timezone

    from integrations.models import Connection
    from integrations.sync import access

    with ours.rows():
        connection = Connection.objects.get()
    with ours.scope():
        return access.token_fresh(connection, now=timezone.now).value
