"""Deleting a company: asked for, taken back, and in the end nothing of it is left anywhere."""

from __future__ import annotations

import threading
from datetime import timedelta

import pytest
from django.core import mail
from django.core.exceptions import ValidationError
from django.db import ProgrammingError, connection, connections, transaction
from django.utils import timezone

from calqsync.jobs.models import Job, JobState
from calqsync.privacy import tasks
from calqsync.privacy.models import Erasure
from calqsync.privacy.services import companies, erasing
from calqsync.privacy.services.erasing import tenant_erase, tenant_tables
from calqsync.tenancy import scope
from calqsync.tenancy.models import AuditEvent, Tenant
from calqsync.tenancy.secrets import SecretUnreadable, sealer
from integrations.models import Connection, SyncRun
from integrations.models.runs import RunState
from integrations.services import runs
from tests.privacy.conftest import MARKER, connection_of, furnish, run_job

ERASED_LATER = timedelta(days=31)


def request_deletion(cast, *, name="Kuura Oy", by=None):
    with scope.tenant(cast.tenant.pk), transaction.atomic():
        return companies.deletion_request(
            tenant=cast.tenant, typed_name=name, by=by or cast.alice, now=timezone.now()
        )


def make_due(cast):
    with scope.tenant(cast.tenant.pk), transaction.atomic():
        Tenant.objects.filter(pk=cast.tenant.pk).update(
            deletes_at=timezone.now() - timedelta(seconds=1)
        )


def erase_as_due(cast):
    request_deletion(cast)
    make_due(cast)
    return run_job(tasks.erase, cast.tenant, companies.ERASE)


def rows_of(truth, tenant_id):
    """How many rows each table has of a tenant, as a superuser sees them."""
    truth.execute(
        "SELECT c.relname FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid"
        " WHERE c.relkind IN ('r', 'p') AND a.attname = 'tenant_id' AND NOT a.attisdropped"
    )
    tables = [row[0] for row in truth.fetchall()]
    assert len(tables) > 30, "the walk found hardly any table, so it guards nothing"
    found = {}
    for table in tables:
        truth.execute(f'SELECT count(*) FROM "{table}" WHERE tenant_id = %s', [tenant_id])
        found[table] = truth.fetchone()[0]
    return found


def everything(truth, tenant_id):
    """Every row of a tenant as text, by table."""
    found = {}
    for table in rows_of(truth, tenant_id):
        truth.execute(
            f'SELECT t::text FROM "{table}" t WHERE tenant_id = %s ORDER BY id', [tenant_id]
        )
        found[table] = [row[0] for row in truth.fetchall()]
    return found


def searched(truth, word):
    """Tables without a tenant column, or of other tenants, in which a word still stands."""
    truth.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
    hits = []
    for (table,) in truth.fetchall():
        truth.execute(f'SELECT count(*) FROM "{table}" t WHERE t::text LIKE %s', [f"%{word}%"])
        if truth.fetchone()[0]:
            hits.append(table)
    return hits


def test_the_order_of_tables_puts_children_first():
    order = {model: place for place, model in enumerate(tenant_tables())}
    assert len(order) > 30
    for model, place in order.items():
        for field in model._meta.concrete_fields:
            if field.related_model in order and field.related_model is not model:
                assert order[field.related_model] > place, (model, field)


def test_i24_erasing_a_company_leaves_nothing_of_it_in_any_table(furnished, truth):
    before = rows_of(truth, furnished.tenant.pk)
    assert [table for table, rows in before.items() if rows == 0] == []
    erase_as_due(furnished)
    after = rows_of(truth, furnished.tenant.pk)
    assert {table: rows for table, rows in after.items() if rows} == {}
    truth.execute("SELECT id FROM tenancy_tenant WHERE id = %s", [furnished.tenant.pk])
    assert truth.fetchall() == []
    for word in (MARKER, "Kuura Oy", furnished.tenant.slug):
        assert searched(truth, word) == []


def test_i24b_erasing_a_company_touches_no_row_and_no_sequence_of_another(furnished, truth):
    request_deletion(furnished)
    make_due(furnished)
    truth.execute("SELECT sequencename, last_value FROM pg_sequences WHERE schemaname = 'public'")
    sequences = dict(truth.fetchall())
    before = everything(truth, furnished.stranger_tenant.pk)
    run_job(tasks.erase, furnished.tenant, companies.ERASE)
    assert everything(truth, furnished.stranger_tenant.pk) == before
    truth.execute("SELECT sequencename, last_value FROM pg_sequences WHERE schemaname = 'public'")
    after = dict(truth.fetchall())
    moved = {name for name, value in after.items() if value != sequences[name]}
    assert moved <= {"privacy_erasure_id_seq"}


def test_i24c_another_company_works_on_undisturbed_while_one_is_erased(furnished, monkeypatch):
    """A thread writes for the neighbour all the while that the batches run."""
    monkeypatch.setattr(erasing, "BATCH", 1)
    stop, written, failed = threading.Event(), [], []

    def work():
        try:
            while not stop.is_set():
                with scope.tenant(furnished.stranger_tenant.pk), transaction.atomic():
                    AuditEvent.objects.create(act="tests.busy", target=str(len(written)))
                written.append(1)
        except Exception as error:
            failed.append(error)
        finally:
            connections.close_all()

    thread = threading.Thread(target=work)
    thread.start()
    try:
        erase_as_due(furnished)
    finally:
        stop.set()
        thread.join(20)
    assert failed == []
    with scope.tenant(furnished.stranger_tenant.pk), transaction.atomic():
        assert AuditEvent.objects.filter(act="tests.busy").count() == len(written) > 0
        assert sealer() is not None


def test_i24d_nothing_of_an_erased_company_is_in_the_cache_or_the_new_log_lines(
    furnished, capfd, settings
):
    import redis

    server = redis.Redis.from_url(settings.REDIS_URL)
    before = set(server.keys("*"))
    erase_as_due(furnished)
    new = set(server.keys("*")) - before
    assert not [key for key in new if furnished.tenant.slug.encode() in key]
    said = "".join(capfd.readouterr())
    for word in (MARKER, "Kuura", furnished.tenant.slug, "alice@example.com"):
        assert word not in said


def test_the_key_is_destroyed_before_the_first_row(furnished, monkeypatch):
    def worker_dies(*args, **kwargs):
        raise KeyboardInterrupt

    monkeypatch.setattr(erasing, "_delete_some", worker_dies)
    with pytest.raises(KeyboardInterrupt):
        tenant_erase(tenant_id=furnished.tenant.pk, asked_by=None)
    with scope.tenant(furnished.tenant.pk), transaction.atomic():
        assert Connection.objects.exists()
        with pytest.raises(SecretUnreadable):
            sealer()
    monkeypatch.undo()
    tenant_erase(tenant_id=furnished.tenant.pk, asked_by=None)
    with scope.tenant(furnished.tenant.pk), transaction.atomic():
        assert not Tenant.objects.exists()


def test_the_ledger_says_what_was_erased_and_who_asked_without_a_name(furnished, truth):
    erase_as_due(furnished)
    [line] = Erasure.objects.all()
    assert (line.kind, line.subject) == ("tenant", furnished.tenant.public_id)
    assert line.asked_by == furnished.alice.public_id
    truth.execute("SELECT t::text FROM privacy_erasure t")
    assert "alice" not in truth.fetchone()[0]


@pytest.mark.parametrize(
    "statement", ["UPDATE privacy_erasure SET mark = 'x'", "DELETE FROM privacy_erasure"]
)
def test_the_app_may_not_change_the_ledger(db, statement):
    with pytest.raises(ProgrammingError, match="permission denied"), transaction.atomic():
        connection.cursor().execute(statement)


def test_the_app_still_may_not_delete_an_audit_row(cast):
    with (
        scope.tenant(cast.tenant.pk),
        pytest.raises(ProgrammingError, match="permission denied"),
        transaction.atomic(),
    ):
        connection.cursor().execute("DELETE FROM tenancy_auditevent")


def test_a_company_with_any_other_row_cannot_be_deleted_around_its_erasure(committed_cast):
    with (
        pytest.raises(Exception, match="violates foreign key"),
        scope.tenant(committed_cast.tenant.pk),
        transaction.atomic(),
    ):
        connection.cursor().execute("DELETE FROM tenancy_tenant")


def test_the_erasing_job_ends_without_its_own_row(furnished, truth):
    job = erase_as_due(furnished)
    truth.execute("SELECT count(*) FROM jobs_job WHERE id = %s", [job])
    assert truth.fetchone() == (0,)


def test_an_erasure_that_was_taken_back_in_the_last_moment_erases_nothing(furnished):
    request_deletion(furnished)
    assert tenant_erase(tenant_id=furnished.tenant.pk, asked_by=None, due=timezone.now()) == 0
    with scope.tenant(furnished.tenant.pk), transaction.atomic():
        assert Tenant.objects.get().name == "Kuura Oy"
        assert sealer() is not None


def test_a_request_stops_imports_at_once_and_undo_starts_them(committed_cast, truth):
    cast = committed_cast
    furnish(cast.tenant, cast.alice)
    shown = connection_of(cast.tenant)
    with scope.tenant(cast.tenant.pk), transaction.atomic():
        run = runs.sync_request(connection=shown, by=cast.alice, now=timezone.now())
        assert run is not None
    request_deletion(cast)
    with scope.tenant(cast.tenant.pk), transaction.atomic():
        assert SyncRun.objects.get(pk=run.pk).state == RunState.CANCELLED
        assert runs.sync_request(connection=shown, by=cast.alice, now=timezone.now()) is None
        companies.deletion_undo(tenant=cast.tenant, by=cast.alice)
        assert Tenant.objects.get().deletes_at is None
        assert not Job.objects.filter(kind=companies.ERASE, state=JobState.QUEUED).exists()
        assert runs.sync_request(connection=shown, by=cast.alice, now=timezone.now()) is not None


def test_the_company_s_name_must_be_typed(cast):
    with pytest.raises(ValidationError):
        request_deletion(cast, name="Kuuraa Oy")
    with scope.tenant(cast.tenant.pk):
        assert Tenant.objects.get().deletes_at is None


def test_a_second_request_moves_no_date(cast):
    first = request_deletion(cast).deletes_at
    assert request_deletion(cast, name=" kuura  oy ").deletes_at == first


def test_owners_are_written_to_at_the_request_before_the_day_and_at_the_undo(cast, post_office):
    request_deletion(cast)
    post_office(cast.tenant)
    assert [m.to for m in mail.outbox] == [["alice@example.com"]]
    assert "Kuura Oy will be deleted" in mail.outbox[0].subject
    with scope.tenant(cast.tenant.pk):
        companies.deletion_undo(tenant=cast.tenant, by=cast.alice)
    post_office(cast.tenant)
    assert "stays" in mail.outbox[-1].subject


class Held:
    """A claimed job as the service sees it."""

    def __init__(self, tenant, payload=None):
        self.id, self.tenant_id, self.payload = 0, tenant.pk, payload or {}

    def fence(self):
        pass


def test_the_reminder_goes_out_three_days_before_and_then_the_job_waits_for_the_day(
    cast, post_office
):
    deletes_at = request_deletion(cast).deletes_at
    with scope.tenant(cast.tenant.pk):
        early = companies.deletion_work(Held(cast.tenant), now=timezone.now())
        assert early.again_in > timedelta(days=26)
        near = companies.deletion_work(Held(cast.tenant), now=deletes_at - timedelta(days=2))
    assert near.again_in == timedelta(days=2)
    post_office(cast.tenant)
    assert any("is erased on" in m.subject for m in mail.outbox)


def test_owners_ask_and_take_back_on_the_page_and_members_see_the_day(client, cast):
    client.force_login(cast.alice)
    wrong = client.post(cast.url("settings/data/delete/"), {"name": "Kuurra"})
    assert wrong.status_code == 422
    assert client.post(cast.url("settings/data/delete/"), {"name": "Kuura Oy"}).status_code == 302
    assert "Keep the company" in client.get(cast.url("settings/data/")).content.decode()
    client.force_login(cast.vera)
    page = client.get(cast.url("customers/")).content.decode()
    assert "is erased on" in page
    assert "Keep it" not in page
    client.force_login(cast.alice)
    client.post(cast.url("settings/data/keep/"))
    assert "is erased on" not in client.get(cast.url("customers/")).content.decode()


@pytest.mark.parametrize("who", ["ann", "bob", "vera"])
def test_only_owners_delete_or_keep_the_company(client, cast, who):
    client.force_login(getattr(cast, who))
    assert client.post(cast.url("settings/data/delete/"), {"name": "Kuura Oy"}).status_code == 403
    assert client.post(cast.url("settings/data/keep/")).status_code == 403


def test_t31b_deleting_the_company_asks_again_who_it_is_when_the_sign_in_is_old(client, cast):
    client.force_login(cast.alice, recently=False)
    answer = client.post(cast.url("settings/data/delete/"), {"name": "Kuura Oy"})
    assert "/reauthenticate/" in answer["Location"]
    with scope.tenant(cast.tenant.pk):
        assert Tenant.objects.get().deletes_at is None
