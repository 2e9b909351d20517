"""Figures follow the books by themselves: on change, at midnight, and after a loss."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from django.db import transaction
from django.utils import timezone

from calqsync.jobs.models import Job, JobState
from calqsync.jobs.services import ClaimedJob, claim
from calqsync.tenancy import scope
from integrations.models import Connection
from integrations.signals import books_changed
from reporting import services, tasks
from reporting.models import Report
from reporting.selectors import frame
from tests.conftest import Cast
from tests.factories import Row, connection_make, customer_make, invoice_make
from tests.reporting.conftest import NOON, refreshed


def kinds() -> set[str]:
    """The jobs that the figures have asked for."""
    return set(Job.objects.filter(kind__startswith="reporting.").values_list("kind", flat=True))


def test_changed_books_have_figures_recomputed_and_watched(cast: Cast) -> None:
    books_changed.send(sender=None, tenant_id=cast.tenant.pk, connection_id=1)
    with scope.tenant(cast.tenant.pk):
        assert kinds() == {services.KIND, services.SWEEP}
    with scope.tenant(cast.stranger_tenant.pk):
        assert kinds() == set()


def test_changes_while_a_refresh_waits_join_it(cast: Cast) -> None:
    for _ in range(3):
        books_changed.send(sender=None, tenant_id=cast.tenant.pk, connection_id=1)
    with scope.tenant(cast.tenant.pk):
        assert Job.objects.filter(kind=services.KIND).count() == 1


@pytest.mark.parametrize(
    ("zone", "now", "hours"),
    [
        ("Europe/Helsinki", datetime(2026, 3, 15, 10, 0, tzinfo=UTC), 12),
        ("America/New_York", datetime(2026, 1, 15, 3, 0, tzinfo=UTC), 2),
        # The night on which clocks in Finland go forward is an hour shorter.
        ("Europe/Helsinki", datetime(2026, 3, 28, 22, 0, tzinfo=UTC), 23),
    ],
)
def test_midnight_is_the_company_s(kuura: Any, zone: str, now: datetime, hours: int) -> None:
    kuura.time_zone = zone
    kuura.save()
    wait = services.until_midnight(tenant_id=kuura.pk, now=now)
    assert wait == timedelta(hours=hours)


def test_refresh_runs_again_at_midnight(committed_cast: Cast) -> None:
    tenant_id = committed_cast.tenant.pk
    with scope.tenant(tenant_id), transaction.atomic():
        connection_make()
        services.refresh_enqueue()
        job = Job.objects.get(kind=services.KIND)
    tasks.refresh(tenant_id, job.pk)
    with scope.tenant(tenant_id), transaction.atomic():
        job = Job.objects.get(kind=services.KIND)
        assert Report.objects.exists()
        assert job.state == JobState.QUEUED
        assert timezone.now() < job.run_after <= timezone.now() + timedelta(hours=25)


class TestWhileTheFirstImportLoads:
    """Figures of a first import are replaced by the next ones, so they may not cost much."""

    @pytest.fixture
    def job(self, kuura: Any) -> ClaimedJob:
        """A refresh that the import asked for, ten seconds of work after the last one."""
        connection_make(first_import_at=None, complete_back_to=date(2026, 1, 1))
        refreshed(NOON)
        Report.objects.update(compute_ms=10_000)
        services.refresh_enqueue(patient=True)
        job = claim(Job.objects.get(kind=services.KIND).pk)
        assert job is not None
        return job

    def test_a_computation_leaves_the_import_nine_tenths_of_the_time(self, job: ClaimedJob) -> None:
        soon = NOON + timedelta(seconds=30)
        assert services.rest(job=job, now=soon) == timedelta(seconds=70)
        assert services.rest(job=job, now=NOON + timedelta(seconds=100)) == timedelta(0)

    def test_a_person_need_not_wait(self, job: ClaimedJob) -> None:
        services.refresh_enqueue()
        asked = Job.objects.get(kind=services.KIND)
        assert asked.payload == {"patient": False}
        job.payload = asked.payload
        assert services.rest(job=job, now=NOON) == timedelta(0)

    def test_what_the_import_ends_with_is_computed_at_once(self, job: ClaimedJob) -> None:
        Connection.objects.update(first_import_at=NOON)
        assert services.rest(job=job, now=NOON) == timedelta(0)

    def test_the_first_figures_of_all_are_computed_at_once(self, job: ClaimedJob) -> None:
        Report.objects.all().delete()
        assert services.rest(job=job, now=NOON) == timedelta(0)

    def test_a_task_that_may_wait_computes_nothing(self, committed_cast: Cast) -> None:
        tenant_id = committed_cast.tenant.pk
        with scope.tenant(tenant_id), transaction.atomic():
            connection_make(first_import_at=None, complete_back_to=date(2026, 1, 1))
            refreshed(timezone.now())
            Report.objects.update(compute_ms=10_000)
            version = Report.objects.get().version
            invoice_make(customer_make(Connection.objects.get()), "2026-03-01", [Row(net="5.00")])
            services.refresh_enqueue(patient=True)
            job = Job.objects.get(kind=services.KIND)
        tasks.refresh(tenant_id, job.pk)
        with scope.tenant(tenant_id), transaction.atomic():
            job.refresh_from_db()
            assert job.state == JobState.QUEUED
            assert timedelta(0) < job.run_after - timezone.now() <= timedelta(seconds=100)
            assert Report.objects.get().version == version


class TestSweep:
    def test_figures_older_than_the_books_are_recomputed(self, kuura: Any) -> None:
        connection = connection_make()
        refreshed(timezone.now())
        connection.data_as_of += timedelta(hours=6)
        connection.save()
        assert services.stale_refresh(now=timezone.now())
        assert kinds() == {services.KIND}

    def test_figures_that_were_never_made_are_made(self, kuura: Any) -> None:
        connection_make()
        assert services.stale_refresh(now=timezone.now())

    def test_figures_of_yesterday_are_recomputed(self, kuura: Any) -> None:
        connection_make()
        refreshed(timezone.now() - timedelta(days=1))
        assert services.stale_refresh(now=timezone.now())

    def test_figures_of_another_version_are_recomputed_and_not_shown(self, kuura: Any) -> None:
        connection_make()
        refreshed(timezone.now())
        report = Report.objects.get()
        report.body["version"] -= 1
        report.save()
        assert frame.published() is None
        assert services.stale_refresh(now=timezone.now())

    def test_current_figures_are_left_alone(self, kuura: Any) -> None:
        connection_make()
        refreshed(timezone.now())
        assert not services.stale_refresh(now=timezone.now())
        assert kinds() == set()

    def test_a_running_refresh_is_left_to_finish(self, kuura: Any) -> None:
        connection_make()
        services.refresh_enqueue()
        Job.objects.update(state=JobState.LEASED)
        assert not services.stale_refresh(now=timezone.now())
        assert not Job.objects.get(kind=services.KIND).wanted_again
