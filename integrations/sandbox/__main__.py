"""`python -m integrations.sandbox`: serve companies until told to stop."""

import argparse
import sys
import time
from datetime import date
from pathlib import Path

from integrations.sandbox.app import Settings
from integrations.sandbox.calendars import first_of_running_month
from integrations.sandbox.profiles import build_company, expand
from integrations.sandbox.server import serve


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(prog="python -m integrations.sandbox", description=__doc__)
    made.add_argument("--host", default="127.0.0.1")
    made.add_argument("--port", type=int, default=8100)
    made.add_argument("--seed", type=int, default=7)
    made.add_argument("--anchor", type=date.fromisoformat, default=None, help="first of a month")
    made.add_argument("--data-dir", type=Path, default=None, help="keeps large companies")
    made.add_argument("--companies", nargs="+", default=["small"])
    made.add_argument("--client-id", default=Settings().client_id)
    made.add_argument("--client-secret", default=Settings().client_secret)
    made.add_argument("--redirect-uri", default=None)
    made.add_argument("--max-rps", type=int, default=None)
    made.add_argument("--retry-after", action="store_true", help="send Retry-After with 429")
    made.add_argument("--omit-empty-results", action="store_true")
    made.add_argument("--token-type", action="store_true")
    made.add_argument("--rotate-refresh", action="store_true", help="refresh tokens work once")
    made.add_argument("--latency", type=float, default=0.0, help="seconds added to API answers")
    made.add_argument("--control", action="store_true", help="serve /_sandbox/")
    return made


def main() -> int:
    options = parser().parse_args()
    try:
        slugs = expand(options.companies)
    except ValueError as error:
        print(f"sandbox: {error}", file=sys.stderr)
        return 2
    anchor = options.anchor or first_of_running_month()
    companies = []
    for slug in slugs:
        started = time.monotonic()
        company = build_company(slug, seed=options.seed, anchor=anchor, data_dir=options.data_dir)
        companies.append(company)
        count, seconds = len(company.invoices.heads), time.monotonic() - started
        print(f"{slug}: {company.name}, {count} documents, {seconds:.1f} s", flush=True)
    settings = Settings(
        client_id=options.client_id,
        client_secret=options.client_secret,
        redirect_uri=options.redirect_uri,
        max_rps=options.max_rps,
        retry_after=options.retry_after,
        omit_empty_results=options.omit_empty_results,
        token_type=options.token_type,
        rotate_refresh=options.rotate_refresh,
        latency=options.latency,
        control=options.control,
    )
    try:
        serve(companies, settings, host=options.host, port=options.port)
    except OSError as error:
        print(f"sandbox: cannot listen on port {options.port}: {error.strerror}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
