"""Real workers: one imports for a company while another company is erased."""

from __future__ import annotations

from contextlib import ExitStack
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from django.db import transaction
from django.utils import timezone

from calqsync.jobs.services import enqueue
from calqsync.privacy.services import companies
from calqsync.tenancy import scope
from calqsync.tenancy.models import Tenant
from integrations.models import Invoice
from integrations.models.runs import RunState
from integrations.sandbox import build_company, start_server
from integrations.services import runs
from tests.integrations.sync.conftest import ANCHOR, CLIENT, connect
from tests.integrations.sync.test_crash import BEAT, environment, running, until
from tests.privacy.conftest import MARKER, fill_all, furnish
from tests.privacy.test_tenant_erasure import rows_of

pytestmark = [pytest.mark.stack, pytest.mark.django_db(transaction=True)]
WORKER = (
    *("-m", "celery", "-A", "calqsync", "worker", "-c", "1"),
    *("-Q", "sync,report,mail,interactive", "--without-mingle"),
)


def test_i24e_one_company_s_import_runs_through_while_another_is_erased(
    committed_cast: Any, settings: Any, truth: Any
) -> None:
    cast, koivu = committed_cast, build_company("koivu", anchor=ANCHOR)
    furnish(cast.tenant, cast.alice)
    fill_all(cast.tenant, cast.alice)
    settings.PROCOUNTOR_MAX_RPS = 200.0
    with start_server([koivu], **CLIENT, latency=0.05) as sandbox:
        neighbour = SimpleNamespace(tenant=cast.stranger_tenant, alice=cast.mallory)
        books = connect(neighbour, koivu, sandbox)
        with scope.tenant(cast.stranger_tenant.pk), transaction.atomic():
            runs.sync_request(connection=books.connection, by=cast.mallory, now=timezone.now())
        with ExitStack() as processes:
            env = environment(sandbox)
            for command in (WORKER, WORKER, BEAT):
                processes.enter_context(running(command, env))
            until(lambda: books.all(Invoice))  # the import is under way
            with scope.tenant(cast.tenant.pk), transaction.atomic():
                companies.deletion_request(
                    tenant=cast.tenant, typed_name="Kuura Oy", by=cast.alice, now=timezone.now()
                )
                Tenant.objects.filter(pk=cast.tenant.pk).update(
                    deletes_at=timezone.now() - timedelta(seconds=1)
                )
                enqueue(kind=companies.ERASE)

            def erased() -> bool:
                truth.execute("SELECT 1 FROM tenancy_tenant WHERE id = %s", [cast.tenant.pk])
                return truth.fetchone() is None

            until(erased)
            until(lambda: books.run().state not in (RunState.QUEUED, RunState.RUNNING))
    assert books.run().state == RunState.COMPLETE
    sales = [d for d in koivu.documents() if d["document"]["type"] == "SALES_INVOICE"]
    assert len(books.all(Invoice)) == len(sales)
    assert not any(rows_of(truth, cast.tenant.pk).values())
    for name in ("integrations_customer", "integrations_connection", "jobs_job"):
        truth.execute(f'SELECT count(*) FROM "{name}" t WHERE t::text LIKE %s', [f"%{MARKER}%"])
        assert truth.fetchone() == (0,)
