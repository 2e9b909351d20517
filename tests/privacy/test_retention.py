"""What has been kept long enough goes by itself; what is still needed stays."""

from __future__ import annotations

from datetime import timedelta

import pytest
from allauth.usersessions.models import UserSession
from django.contrib.sessions.models import Session
from django.utils import timezone

from calqsync.jobs.models import Job, JobState
from calqsync.privacy.models import Export, ExportPart, ExportState
from calqsync.privacy.services import retention
from calqsync.tenancy import scope
from calqsync.tenancy.models import Invitation, Role
from integrations.models import ConnectFlow, SyncRun
from integrations.models.runs import RunState
from tests import factories

DAY = timedelta(days=1)


class Held:
    """A claimed job as the service sees it."""

    def fence(self):
        pass


@pytest.fixture
def swept(cast):
    """Rows of both ages; the sweep of today has run."""
    now = timezone.now()
    with scope.tenant(cast.tenant.pk):
        for age in (1, 31):
            Job.objects.create(
                kind="tests.done",
                key=str(age),
                queue="report",
                state=JobState.DONE,
                finished_at=now - age * DAY,
            )
            Invitation.objects.create(
                email=f"{age}@example.com",
                role=Role.VIEWER,
                token_hash=str(age),
                expires_at=now - age * DAY,
            )
        connection = factories.connection_make()
        for age in (2, 401, 402):
            SyncRun.objects.create(
                connection=connection,
                mode="full",
                trigger="schedule",
                state=RunState.COMPLETE,
                started_at=now - age * DAY,
                window_to=now,
            )
        quiet = factories.connection_make("Quiet account")
        SyncRun.objects.create(
            connection=quiet,
            mode="full",
            trigger="schedule",
            state=RunState.COMPLETE,
            started_at=now - 500 * DAY,
            window_to=now,
        )
        for name, expires in (("old", now - 2 * DAY), ("young", now + DAY)):
            ConnectFlow.objects.create(
                user=cast.alice,
                state_hash=name,
                browser_hash=name,
                method="api_key",
                expires_at=expires,
            )
            export = Export.objects.create(
                requested_by=cast.alice,
                requested_at=now - 8 * DAY,
                state=ExportState.READY,
                expires_at=expires,
            )
            ExportPart.objects.create(export=export, position=0, body=b"x")
        Session.objects.create(session_key="old", session_data="x", expire_date=now - DAY)
        Session.objects.create(session_key="young", session_data="x", expire_date=now + DAY)
        for key in ("old", "young"):
            UserSession.objects.create(
                user=cast.alice, session_key=key, ip="192.0.2.1", user_agent="x"
            )
        retention.sweep(Held(), now=now)
        yield cast


def test_finished_jobs_go_after_a_month_and_live_ones_never(swept):
    assert list(Job.objects.filter(kind="tests.done").values_list("key", flat=True)) == ["1"]
    assert Job.objects.filter(kind=retention.SWEEP, state=JobState.QUEUED).exists()


def test_dead_invitations_go_after_a_month(swept):
    assert list(Invitation.objects.values_list("token_hash", flat=True)) == ["1"]


def test_logins_on_their_way_go_after_a_day(swept):
    assert list(ConnectFlow.objects.values_list("state_hash", flat=True)) == ["young"]


def test_files_of_copies_go_when_their_week_is_over_and_the_list_still_names_them(swept):
    assert ExportPart.objects.count() == 1
    assert set(Export.objects.values_list("state", flat=True)) == {"ready", "expired"}


def test_old_runs_go_but_never_the_last_of_a_connection(swept):
    ages = sorted((timezone.now() - run.started_at).days for run in SyncRun.objects.all())
    assert ages == [2, 500]


def test_sessions_that_ran_out_go(swept):
    assert list(Session.objects.values_list("session_key", flat=True)) == ["young"]
    assert list(UserSession.objects.values_list("session_key", flat=True)) == ["young"]


def test_every_company_is_swept_from_its_first_day(cast):
    for tenant in (cast.tenant, cast.stranger_tenant):
        with scope.tenant(tenant.pk):
            assert Job.objects.filter(kind=retention.SWEEP, state=JobState.QUEUED).count() == 1
