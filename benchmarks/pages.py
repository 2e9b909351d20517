"""Dashboard pages of a company with a million invoice lines: queries, and times under load.

Eight connections ask for a page as fast as it is answered; the web server has two processes, as
everywhere, and shares the machine with the database and with who asks. Who asks reads whole answers
and looks at their status and length, and at nothing else in them. The kernel deals connections to
the two processes by a hash of their ports, evenly once in four times, seven and one or worse once
in fourteen; so each page is asked for in several deals, each with connections of its own. All
answers count for its percentiles, and the worst deal's is said beside them. Each page is asked for
a second without being counted: processes have read their templates then, and the page's pieces and
frame are kept (docs/interface.md). What it costs to make it anew is said beside it, by an address
that is never kept. The database is vacuumed before, as it would be by itself a minute after a
million rows came in, amid the pages. Queries count beyond those for session, person, company and
settings of the scope, and are those of a page made anew. `--lines` takes fewer lines.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import socket
import threading
import time
from typing import Any, BinaryIO
from urllib.parse import urlsplit

import numpy as np
import psutil

from benchmarks import Result, _million
from benchmarks.report import ROOT, Bench, made, place_of
from calqsync.local.stack import Stack

PAGES = {
    "financial": "",
    "growth": "growth/",
    "quarters": "growth/?view=quarters",
    "cashflow": "cashflow/",
    "retention": "retention/",
    "segments": "segments/",
    "economics": "unit-economics/",
    "recognition": "recognition/",
    "overdue": "overdue/",
    "board": "board/",
}
CONNECTIONS = 8
DEALS = 5
WARM_SECONDS = 1.0
# Asks for something that no page knows, so that nothing is kept.
ANEW = "anew=1"
MAX_QUERIES, MAX_P95_MS = 12, 60
# Whoever asks is found by these; the dashboards' own queries name none of them.
_BEFORE = (
    "FROM django_session",
    "FROM tenancy_user",
    "FROM tenancy_membership m JOIN tenancy_tenant",
    "FROM tenancy_tenant WHERE",
    "FROM tenancy_tenant ORDER BY",
    "FROM billing_account",
    "set_config",
    "SAVEPOINT",
    "BEGIN",
    "COMMIT",
)


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--lines", type=int, default=_million.LINES)
    parser.add_argument("--seconds", type=float, default=5.0, help="of load on each page")


def run(*, lines: int, seconds: float) -> Result:
    """Queries, and the median and 95th percentile in ms, of each page and of the worst page.

    `cpu_ms` is processor time of all that has a part in an answer, who asks included.
    """
    with Stack(ROOT, throwaway=True) as stack:
        stack.start_services()
        stack.migrate()
        os.environ.update(stack.env, LOG_LEVEL="ERROR")
        import django

        django.setup()
        tenant, counts = made(stack, lines)
        Bench(place_of(stack, tenant)).publish(None)
        _vacuum()
        result = Result(figures={"lines": counts["invoiceline"]})
        worst_queries, worst = 0, 0.0
        cookies, address = _signed_in(stack)
        for name, path in PAGES.items():
            url = f"/t/{tenant.slug}/{path}"
            anew = f"{url}{'&' if '?' in url else '?'}{ANEW}"
            queries = max(_queries(url), _queries(anew))
            spent_anew = _spent(stack, address, anew, cookies, WARM_SECONDS)[1]
            _load(address, url, cookies, WARM_SECONDS)
            deals, spent = _spent(stack, address, url, cookies, seconds)
            laps = np.concatenate(deals)
            p95 = float(np.percentile(laps, 95))
            result.figures |= {
                f"{name}_queries": queries,
                f"{name}_median_ms": round(float(np.median(laps)), 1),
                f"{name}_p95_ms": round(p95, 1),
                f"{name}_worst_deal_p95_ms": round(max(np.percentile(d, 95) for d in deals), 1),
                f"{name}_answers": len(laps),
                f"{name}_cpu_ms": round(spent, 1),
                f"{name}_anew_cpu_ms": round(spent_anew, 1),
            }
            worst_queries, worst = max(worst_queries, queries), max(worst, p95)
        result.figures |= {"most_queries": worst_queries, "worst_p95_ms": round(worst, 1)}
        result.at_most("most_queries", MAX_QUERIES)
        result.at_most("worst_p95_ms", MAX_P95_MS)
        return result


def _vacuum() -> None:
    from django.db import connections

    with connections["owner"].cursor() as cursor:
        cursor.execute("VACUUM ANALYZE")
    connections["owner"].close()


def _client() -> Any:
    """A client in this process that is signed in as the owner."""
    from django.conf import settings
    from django.test import Client

    from calqsync.tenancy.accounts.sessions import cookie_of
    from calqsync.tenancy.models import User

    client = Client()
    client.force_login(User.objects.get(email="bench@calqsync.example"))
    client.cookies[settings.SESSION_COOKIE_NAME] = cookie_of(str(client.session.session_key))
    return client


def _signed_in(stack: Stack) -> tuple[str, str]:
    """(the cookie of a session, the web server's address)."""
    from django.conf import settings

    from calqsync.local.home import free_port

    cookie = _client().cookies[settings.SESSION_COOKIE_NAME].value
    return f"{settings.SESSION_COOKIE_NAME}={cookie}", stack.start_web(free_port())


def _queries(url: str) -> int:
    from django.db import connection
    from django.test import override_settings
    from django.test.utils import CaptureQueriesContext

    with override_settings(ALLOWED_HOSTS=["testserver"], LIMITS={}):
        client = _client()
        client.get(url)  # caches are filled by then
        with CaptureQueriesContext(connection) as captured:
            answer = client.get(url)
    if answer.status_code != 200:
        raise RuntimeError(f"{url} answered {answer.status_code}")
    asked = [query["sql"].replace('"', "") for query in captured.captured_queries]
    return sum(not any(word in sql for word in _BEFORE) for sql in asked)


def _spent(
    stack: Stack, address: str, url: str, cookies: str, seconds: float
) -> tuple[list[list[float]], float]:
    """As `_load` in each deal, and the processor milliseconds of one answer."""
    before = _processors(stack)
    deals = [_load(address, url, cookies, seconds / DEALS) for _ in range(DEALS)]
    answers = sum(map(len, deals)) + DEALS * CONNECTIONS
    return deals, 1000 * (_processors(stack) - before) / answers


def _processors(stack: Stack) -> float:
    """Processor seconds so far of the servers with all their processes, and of this one."""
    total = time.process_time()
    for name in ("web", "postgres", "valkey"):
        server = psutil.Process(stack.children[name].process.pid)
        for process in (server, *server.children(recursive=True)):
            with contextlib.suppress(psutil.NoSuchProcess):
                times = process.cpu_times()
                total += times.user + times.system
    return total


def _load(address: str, url: str, cookies: str, seconds: float) -> list[float]:
    """Milliseconds of each answer while all connections ask for the page."""
    laps: list[float] = []
    wrong: list[int] = []
    host = urlsplit(address)
    asked = f"GET {url} HTTP/1.1\r\nHost: {host.netloc}\r\nCookie: {cookies}\r\n\r\n".encode()
    stop = time.perf_counter() + seconds

    def ask() -> None:
        with (
            socket.create_connection(("127.0.0.1", host.port), timeout=60) as line,
            line.makefile("rb") as answers,
        ):
            while time.perf_counter() < stop and not wrong:
                began = time.perf_counter()
                line.sendall(asked)
                status = _read(answers)
                laps.append(1000 * (time.perf_counter() - began))
                if status != 200:
                    wrong.append(status)

    threads = [threading.Thread(target=ask) for _ in range(CONNECTIONS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if wrong:
        raise RuntimeError(f"{url} answered {wrong[0]}")
    return laps[CONNECTIONS:]


def _read(answers: BinaryIO) -> int:
    """Read one answer to its end; its status. RuntimeError for one that is not whole.

    Without a client library, whose time would be taken from the processors that answer.
    """
    status = int(answers.readline().split()[1])
    length = -1
    while (header := answers.readline()) not in {b"\r\n", b""}:
        name, _colon, value = header.partition(b":")
        if name.lower() == b"content-length":
            length = int(value)
    if length < 0 or len(answers.read(length)) < length:
        raise RuntimeError("an answer is not whole")
    return status
