"""A worker killed in the middle of an import costs time and nothing else."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

import pytest
from django.conf import settings as django_settings
from django.db import connections, transaction

from calqsync.local.stack import LANES
from calqsync.tenancy import scope
from integrations.models import Invoice
from integrations.models.runs import RunState
from integrations.sandbox import Company, Handle, build_company, start_server
from tests.integrations.sync.conftest import ANCHOR, CLIENT, connect, contents

pytestmark = [pytest.mark.stack, pytest.mark.django_db(transaction=True)]
VARIABLES = {"DATABASE_URL": "default", "DATABASE_DISPATCHER_URL": "dispatcher"}
WORKER = ("-m", "celery", "-A", "calqsync", "worker", "-c", "1", "-Q", LANES, "--without-mingle")
BEAT = ("-m", "celery", "-A", "calqsync", "beat", "-S", "calqsync.jobs.beat:DispatchScheduler")


@pytest.fixture
def kuusi() -> Company:
    return build_company("kuusi", anchor=ANCHOR)


@pytest.fixture
def slow(kuusi: Company, settings: Any) -> Iterator[Handle]:
    """A sandbox that takes its time after the first batches: the middle to be killed in."""
    with start_server([kuusi], **CLIENT) as handle:
        handle.fault("slow", path="^/payments/paymentevents", after=3, times=None, seconds=5)
        settings.PROCOUNTOR_BASE_URL = handle.base_url
        settings.PROCOUNTOR_CLIENT_ID = CLIENT["client_id"]
        settings.PROCOUNTOR_CLIENT_SECRET = CLIENT["client_secret"]
        settings.PROCOUNTOR_MAX_RPS = 200.0
        yield handle


def environment(handle: Handle) -> dict[str, str]:
    """What our processes need to work on this test's database with a broker of their own."""
    worker = re.sub(r"\D", "", os.environ.get("PYTEST_XDIST_WORKER", "")) or "0"
    broker = urlsplit(django_settings.REDIS_URL)._replace(path=f"/{10 + int(worker) % 6}")
    urls = {}
    for variable, alias in VARIABLES.items():
        name = str(connections[alias].settings_dict["NAME"])
        urls[variable] = urlsplit(os.environ[variable])._replace(path=f"/{name}").geturl()
    return {
        **os.environ,
        **urls,
        "REDIS_URL": broker.geturl(),
        "PROCOUNTOR_BASE_URL": handle.base_url,
        "PROCOUNTOR_CLIENT_ID": CLIENT["client_id"],
        "PROCOUNTOR_CLIENT_SECRET": CLIENT["client_secret"],
        "PROCOUNTOR_MAX_RPS": "200",
        "JOB_LEASE_SECONDS": "4",
        "JOB_HEARTBEAT_SECONDS": "0.4",
        "DISPATCH_SECONDS": "0.2",
        "PYTHONPATH": str(django_settings.BASE_DIR),
    }


@contextmanager
def running(command: tuple[str, ...], env: dict[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(
        [sys.executable, *command],
        env=env,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        yield process
    finally:
        kill(process)


def kill(process: subprocess.Popen[bytes]) -> None:
    """SIGKILL to the worker and its children at once."""
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
    process.wait(10)


def until(holds: Any, *, seconds: float = 240) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, "it did not come true"
        time.sleep(0.05)


def test_an_import_killed_half_way_ends_with_the_books_of_an_undisturbed_one(
    committed_cast: Any, kuusi: Company, slow: Handle
) -> None:
    books = connect(committed_cast, kuusi, slow)
    everything = sum(head.type == "SALES_INVOICE" for head in kuusi.invoices.heads.values())

    def half_way() -> bool:
        return 0 < len(books.all(Invoice)) < everything

    def over() -> bool:
        return books.run().state not in (RunState.QUEUED, RunState.RUNNING)

    env = environment(slow)
    with running(BEAT, env):
        with running(WORKER, env) as worker:
            with scope.tenant(committed_cast.tenant.pk), transaction.atomic():
                books.request()
            until(half_way)
            kill(worker)
        slow.clear_faults()
        stored = len(books.all(Invoice))
        assert 0 < stored < everything
        assert books.run().state == RunState.RUNNING
        with running(WORKER, env):
            until(over)
    run = books.run()
    assert (run.state, run.error) == (RunState.COMPLETE, "")
    assert run.slices >= 2
    assert len(books.all(Invoice)) == everything

    undisturbed = connect(_stranger(committed_cast), kuusi, slow)
    run = undisturbed.sync()
    for _ in range(5):  # a busy machine may make it wait for Procountor
        if run.state != RunState.WAITING:
            break
        undisturbed.slice()
        run = undisturbed.run()
    assert (run.state, run.error) == (RunState.COMPLETE, "")
    assert contents(undisturbed) == contents(books)


def _stranger(cast: Any) -> Any:
    """The same company as seen by the other tenant, which may connect it too."""
    other = type(cast)(**vars(cast))
    other.tenant, other.alice = cast.stranger_tenant, cast.mallory
    return other
