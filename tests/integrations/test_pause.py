"""A pause stops imports and keeps everything; who began it ends it."""

from datetime import UTC, datetime

import pytest

from calqsync.jobs.models import Job
from calqsync.tenancy import scope
from calqsync.tenancy.models import AuditEvent
from integrations import selectors
from integrations.models import Connection, Credential, SyncRun
from integrations.services import runs
from integrations.sync.engine import KIND

NOW = datetime(2026, 11, 21, 8, 0, tzinfo=UTC)


@pytest.fixture
def one(cast):
    with scope.tenant(cast.tenant.pk):
        made = Connection.objects.create(name="EU", company_id="1", company_name="Yksi Oy")
        Credential.objects.create(connection=made, kind="api_key", secret=b"sealed")
        yield made


def pause(one, by, **options):
    return runs.connection_pause(connection=one, by=by, now=NOW, **options)


def test_a_pause_cancels_the_open_run_and_allows_no_other(one, cast):
    runs.sync_request(connection=one, by=cast.ann, now=NOW)
    pause(one, cast.ann, reason="Books are being\ncleaned up")
    assert [run.state for run in SyncRun.objects.all()] == ["cancelled"]
    assert runs.sync_request(connection=one, by=cast.ann, now=NOW) is None
    one.refresh_from_db()
    assert selectors.status_of(one, now=NOW).code is selectors.Code.PAUSED
    assert Credential.objects.exists()
    event = AuditEvent.objects.get(act="connection.paused")
    assert (event.actor, event.after["reason"]) == (cast.ann, "Books are being cleaned up")


def test_resuming_imports_at_once(one, cast):
    pause(one, cast.ann)
    held = runs.connection_resume(connection=one, by=cast.ann, now=NOW)
    assert held.paused_at is None
    assert [run.state for run in SyncRun.objects.all()] == ["queued"]
    assert Job.objects.filter(kind=KIND, key=str(one.pk), state="queued").count() == 1
    assert AuditEvent.objects.filter(act="connection.resumed", actor=cast.ann).exists()


def test_what_support_paused_only_support_resumes(one, cast):
    pause(one, cast.mallory, by_support=True, reason="Too many requests")
    with pytest.raises(runs.PausedBySupport):
        runs.connection_resume(connection=one, by=cast.ann, now=NOW)
    with pytest.raises(runs.PausedBySupport):
        pause(one, cast.ann)
    runs.connection_resume(connection=one, by=cast.mallory, now=NOW, by_support=True)
    one.refresh_from_db()
    assert (one.paused_at, one.paused_by_support, one.pause_reason) == (None, False, "")


def test_resuming_what_is_not_paused_changes_nothing(one, cast):
    runs.connection_resume(connection=one, by=cast.ann, now=NOW)
    assert not SyncRun.objects.exists()
    assert not AuditEvent.objects.filter(act="connection.resumed").exists()
