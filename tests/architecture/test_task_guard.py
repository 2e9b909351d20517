"""Every background task goes through the job table and touches its own tenant's rows alone."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from celery import current_app
from django.db import transaction
from django.utils import timezone

from calqsync.jobs import services
from calqsync.jobs.models import Job, JobState
from calqsync.jobs.services import ClaimedJob
from calqsync.jobs.tasks import MAIL
from calqsync.privacy.services import companies, exports, retention
from calqsync.tenancy import mails, scope
from calqsync.tenancy.models import Tenant
from calqsync.tenancy.secrets import sealer
from integrations.models import Credential
from integrations.models.connections import GrantKind
from integrations.services import deleting, runs
from integrations.sync import engine
from reporting import services as reporting
from tests import factories
from tests.architecture import world as worlds


def ours() -> set[str]:
    current_app.loader.import_default_modules()
    rooms = ("integrations.", "reporting.", "billing.", "calqsync.", "privacy.")
    return {name for name in current_app.tasks if name.startswith(rooms)}


def test_every_task_of_ours_is_a_registered_kind_of_job():
    assert len(ours()) >= 2, "the scan found hardly any task, so it guards nothing"
    assert ours() == {kind for kind in services.kinds() if not kind.startswith("tests.")}


def test_no_task_is_registered_outside_the_known_rooms():
    current_app.loader.import_default_modules()
    assert {name for name in current_app.tasks if not name.startswith(("celery.", "tests."))} == (
        ours()
    )


def test_every_kind_names_a_queue_that_the_worker_listens_to():
    assert set(services.kinds().values()) <= {"control", "interactive", "sync", "report", "mail"}


def _kind(kind: str) -> Callable[[worlds.Company], None]:
    def wanted(company: worlds.Company) -> None:
        services.enqueue(kind=kind)

    return wanted


def _sync(company: worlds.Company) -> None:
    connection = _connection()
    seal = sealer()
    secret = seal.seal_text("a-key", connection_id=connection.pk, field="secret")
    Credential.objects.create(connection=connection, kind=GrantKind.API_KEY, secret=secret)
    runs.sync_request(connection=connection, by=None, now=timezone.now())


def _connection() -> Any:
    return factories.connection_make(f"Fresh {factories._fresh()}")


def _delete(company: worlds.Company) -> None:
    connection = _connection()
    factories.customer_make(connection)
    connection.disconnected_at = connection.deleting_at = timezone.now()
    connection.save()
    deleting.delete_later(connection)


def _mail(company: worlds.Company) -> None:
    mails.post(letter="invitation", about=company.id_of("invitation"))


def _export(company: worlds.Company) -> None:
    exports.export_request(by=company.people["owner"], now=timezone.now())


def _erase(company: worlds.Company) -> None:
    Tenant.objects.filter(pk=company.tenant.pk).update(
        deletes_at=timezone.now() + timedelta(days=2)
    )
    services.enqueue(kind=companies.ERASE)


# How each kind of job comes to be wanted, with the company in scope.
CASES: dict[str, Callable[[worlds.Company], None]] = {
    MAIL: _mail,
    engine.KIND: _sync,
    deleting.KIND: _delete,
    reporting.KIND: _kind(reporting.KIND),
    reporting.SWEEP: _kind(reporting.SWEEP),
    exports.KIND: _export,
    companies.ERASE: _erase,
    retention.SWEEP: _kind(retention.SWEEP),
}


def test_every_kind_of_job_has_a_case():
    assert {kind for kind in services.kinds() if not kind.startswith("tests.")} == set(CASES)


@pytest.fixture(autouse=True)
def _nothing_outside(settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.PROCOUNTOR_BASE_URL = "http://127.0.0.1:9"
    monkeypatch.setattr(services, "nudge", lambda *_wakes: True)


def wanted(company: worlds.Company, kind: str) -> int:
    """A job of this kind that is due in this company; its id."""
    with scope.tenant(company.tenant.pk), transaction.atomic():
        # A company that waits for its deletion imports nothing.
        Tenant.objects.filter(pk=company.tenant.pk).update(deletes_at=None)
        before = set(Job.objects.filter(kind=kind).values_list("pk", flat=True))
        CASES[kind](company)
        due = Job.objects.filter(kind=kind, state=JobState.QUEUED)
        job = due.exclude(pk__in=before).first() or due.first()
        assert job is not None, kind
        due.filter(pk=job.pk).update(run_after=timezone.now() - timedelta(seconds=1))
        return int(job.pk)


def woken(kind: str, tenant_id: int, job_id: int) -> None:
    """What a worker does with a message, in this process."""
    current_app.tasks[kind](tenant_id, job_id)
    assert scope.current() is None


@pytest.mark.parametrize(
    "breaks", [False, True], ids=["after one that ended", "after one that broke"]
)
@pytest.mark.parametrize("kind", CASES)
def test_i15_a_task_changes_rows_of_its_own_tenant_alone(world, truth, monkeypatch, kind, breaks):
    own, other = world.marked, world.neighbour
    first, second = wanted(other, kind), wanted(own, kind)
    with monkeypatch.context() as broken:
        if breaks:
            broken.setattr(ClaimedJob, "fence", _break)
            broken.setattr(services, "finish", _break)
        woken(kind, other.tenant.pk, first)
    before = worlds.fingerprint(truth, other), worlds.fingerprint(truth, own)
    woken(kind, own.tenant.pk, second)
    after = worlds.fingerprint(truth, other), worlds.fingerprint(truth, own)
    assert after[0] == before[0]
    assert after[1] != before[1], "the task did nothing, so that nothing was tried"


def _break(*_args: Any) -> None:
    raise RuntimeError("the other company's job breaks here")


@pytest.mark.parametrize("kind", CASES)
def test_a_message_with_another_tenants_job_does_nothing(world, truth, kind):
    job_id = wanted(world.marked, kind)
    before = [worlds.fingerprint(truth, one) for one in (world.marked, world.neighbour)]
    for tenant_id in (world.neighbour.tenant.pk, 999_999_999, 0):
        woken(kind, tenant_id, job_id)
    after = [worlds.fingerprint(truth, one) for one in (world.marked, world.neighbour)]
    assert after == before
