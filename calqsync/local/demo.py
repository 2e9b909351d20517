"""`manage.py demo`: a company with two connected accounting companies, from nothing to figures."""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from calqsync.local.errors import StackError
from calqsync.local.home import Home, free_port
from calqsync.local.stack import STATE_FOLDER, Stack, pick_port

DEFAULT_PORT = 8000
TENANT = "Demo Oy"
FOUNDER = "demo@calqsync.example"
SUPPORT = "support@calqsync.example"
# The name a connection gets, the sandbox's slug and the company's name there.
ACCOUNTS = (
    ("EU account", "kuusi", "Kuusi Data Oy"),
    ("US account", "aalto-us", "Aalto Analytics Inc"),
)


class Progress:
    """Step by step on stderr, with the seconds of each part for the summary."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {
            "install": float(os.environ.get("CALQSYNC_INSTALL_SECONDS", "0"))
        }

    @contextlib.contextmanager
    def step(self, title: str, part: str = "") -> Iterator[None]:
        """Announce a step; its time is added to `part`."""
        started = time.monotonic()
        print(f"{title} … ", end="", file=sys.stderr, flush=True)
        try:
            yield
        except BaseException:
            print("failed", file=sys.stderr, flush=True)
            raise
        taken = time.monotonic() - started
        print(f"{taken:.1f} s", file=sys.stderr, flush=True)
        if part:
            self.seconds[part] = round(self.seconds.get(part, 0.0) + taken, 2)


def main(root: Path, arguments: list[str]) -> int:
    """Run the demo until Ctrl-C, or with `--once` until the figures are there."""
    options = _options(arguments)
    if options.fresh:
        _erase(root)
    progress = Progress()
    try:
        with Stack(root, throwaway=options.throwaway) as stack:
            address = _start(stack, options, progress)
            tenant = _fill(stack, address, progress)
            result = _result(tenant, progress)
            if options.json:
                print(json.dumps(result))
            else:
                _tell(stack, address, result)
            sys.stdout.flush()
            if not options.once:
                _stay(stack)
    except StackError as problem:
        if options.json:
            print(json.dumps({"ok": False, "error": str(problem), "seconds": progress.seconds}))
        raise
    except KeyboardInterrupt:
        print("\nStopped. The next demo goes on from here.", file=sys.stderr)
        return 130 if options.once else 0
    return 0 if result["ok"] else 1


def _options(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="manage.py demo", description=__doc__)
    parser.add_argument("--once", action="store_true", help="end when the figures are there")
    parser.add_argument("--json", action="store_true", help="print the figures as one JSON object")
    parser.add_argument("--port", type=int, default=None, help="port of the web server (8000)")
    parser.add_argument("--fresh", action="store_true", help="erase the demo's data first")
    parser.add_argument("--throwaway", action="store_true", help="keep nothing afterwards")
    return parser.parse_args(arguments)


def _erase(root: Path) -> None:
    home = Home(root / STATE_FOLDER)
    home.open()
    try:
        home.erase()
    finally:
        home.close()


# -- start -----------------------------------------------------------------------------------------


def _start(stack: Stack, options: argparse.Namespace, progress: Progress) -> str:
    """Every process up, the schema current; returns the web address."""
    port: int = options.port or DEFAULT_PORT
    if options.port is None and options.throwaway:
        port = free_port()
    elif options.port is None and options.once:
        port = pick_port(port)  # nobody waits for the usual address
    with progress.step("Starting PostgreSQL and Valkey", "services"):
        stack.start_services()
        stack.serve_at(port)
    # Web server and worker load their code while the schema is made; beat, which reads the job
    # table at once, comes after it.
    options_of_sandbox = stack.sandbox_options([slug for _, slug, _ in ACCOUNTS])
    sandbox = stack.start_sandbox(*options_of_sandbox, wait=False)
    address = stack.start_web(port, wait=False)
    stack.start_worker(wait=False)
    with progress.step("Bringing the database up to date", "services"):
        _set_up_django(stack)
        from django.core.management import call_command

        call_command("migrate", database="owner", verbosity=0, interactive=False)
    with progress.step("Starting web server, worker, beat and Procountor sandbox", "services"):
        stack.start_beat(wait=False)
        if sandbox:
            stack.await_http(stack.children["sandbox"], f"{sandbox}/")
        stack.await_web()
        stack.await_worker()
    return address


def _set_up_django(stack: Stack) -> None:
    os.environ.update(stack.env)
    os.environ["LOG_LEVEL"] = "ERROR"  # this process's own; the servers log to their files
    import django

    django.setup()


# -- data ------------------------------------------------------------------------------------------


def _fill(stack: Stack, address: str, progress: Progress) -> Any:
    """The demo's tenant with both connections synced and its report published."""
    from calqsync.local import people, waiting

    secrets = stack.home.secrets()
    founder = people.founder(FOUNDER, secrets["founder_password"])
    people.support_staff(SUPPORT, secrets["support_password"], secrets["support_second_step"])
    tenant = people.tenant_of(founder, TENANT)
    people.keep_importing(tenant)
    with progress.step("Connecting and importing two companies from Procountor", "sync"):
        visitor = people.sign_in(address, FOUNDER, secrets["founder_password"], at=tenant)
        since = waiting.now()
        for name, _, company in ACCOUNTS:
            if not waiting.is_connected(tenant, name):
                people.connect(visitor, tenant, name=name, company=company)
            else:
                people.sync_now(visitor, tenant, name=name)
        waiting.for_imports(tenant, since=since, check=stack.check)
    with progress.step("Finding subscriptions and computing the figures", "report"):
        waiting.for_report(tenant, check=stack.check)
    return tenant


def _result(tenant: Any, progress: Progress) -> dict[str, Any]:
    from calqsync.local import figures

    found = figures.of_tenant(tenant)
    ok = bool(found["mrr"]) and all(c["status"] == "active" for c in found["connections"])
    return {"ok": ok, "seconds": progress.seconds, "tenants": [found]}


# -- the end ---------------------------------------------------------------------------------------


def _tell(stack: Stack, address: str, result: dict[str, Any]) -> None:
    secrets = stack.home.secrets()
    tenant = result["tenants"][0]
    runway = tenant["runway"]
    print()
    for connection in tenant["connections"]:
        print(
            f"  {connection['name']:12} {connection['company']:22} {connection['status']:8}"
            f" {connection['customers']:>6,} customers {connection['invoices']:>7,} invoices"
            f" {connection['payments']:>7,} payments"
        )
    if tenant["mrr"]:
        last = tenant["mrr"][-1]
        money = f"{last['amount_minor'] / 100:,.2f} {tenant['currency']}"
        print(f"  MRR of {last['month']}: {money}, {tenant['subscriptions']} subscriptions")
    months = f", {runway['months']} months" if runway["months"] is not None else ""
    print(f"  Runway: {runway['state']}{months}")
    print()
    print(f"  Open       {address}")
    print(f"  Founder    {FOUNDER}  {secrets['founder_password']}")
    print(f"  Support    {SUPPORT}  {secrets['support_password']}  ({address}/admin/)")
    key = secrets["support_second_step"]
    print(f"             and a code by this key in an authenticator app: {key}")
    print(f"  Mailbox    {address}/local/mailbox/")


def _stay(stack: Stack) -> None:
    print("\n  Ctrl-C stops everything.", file=sys.stderr, flush=True)
    while True:
        stack.check()
        time.sleep(1)
