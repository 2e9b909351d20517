"""Dispatchers behind PgBouncer in transaction mode: a lock dies with whoever held it."""

from __future__ import annotations

import subprocess
import sys
import time

import pytest
from django.db import transaction

from calqsync.jobs import dispatch, services
from calqsync.jobs.models import Job
from calqsync.tenancy import scope
from tests import pooling

KIND = "tests.pooled"
pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "dispatcher"])
HOLDER = """
import sys, time, psycopg2
held = psycopg2.connect(sys.argv[1])
with held.cursor() as cursor:
    cursor.execute("SELECT pg_try_advisory_xact_lock(7261002)")
    print(cursor.fetchone()[0], flush=True)
time.sleep(600)
"""


@pytest.fixture
def due(committed_cast, monkeypatch):
    """A job that only a dispatcher will ring for."""
    services.register(KIND, "sync")
    monkeypatch.setattr(services, "nudge", lambda *a: True)
    monkeypatch.setattr(dispatch, "_messages_waiting", dict)
    with scope.tenant(committed_cast.tenant.pk), transaction.atomic():
        job = services.enqueue(kind=KIND)
        Job.objects.update(admitted_at=None, nudged_at=None)
    yield job
    services._QUEUES.pop(KIND)


def test_q13_a_dispatcher_that_dies_with_its_lock_holds_nobody_up(due):
    if pooling.PGBOUNCER is None:
        pytest.skip("PGBOUNCER IS NOT INSTALLED: Q13 ran without a pooler")
    with pooling.pooled("dispatcher", size=2) as address:
        holder = subprocess.Popen(
            [sys.executable, "-c", HOLDER, address], stdout=subprocess.PIPE, text=True
        )
        try:
            assert holder.stdout
            assert holder.stdout.readline() == "True\n"
            assert dispatch.dispatch_due() == 0, "two dispatchers worked at once"
        finally:
            holder.kill()
            holder.wait(60)
        deadline = time.monotonic() + 60
        while not (rung := dispatch.dispatch_due()):
            assert time.monotonic() < deadline, "the lock outlived its holder"
        assert rung == 1
