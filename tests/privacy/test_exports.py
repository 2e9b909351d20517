"""A full copy: everything of one company, nothing of another, no secret, and only for owners."""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from datetime import timedelta

import pytest
from django.apps import apps
from django.core import mail
from django.db import models, transaction
from django.utils import timezone

from calqsync.jobs.models import Job
from calqsync.jobs.tasks import MAIL
from calqsync.jobs.tasks import mail as mail_task
from calqsync.privacy import archive, tasks
from calqsync.privacy.models import Export, ExportPart, ExportState
from calqsync.privacy.services import exports, retention
from calqsync.tenancy import scope
from calqsync.tenancy.models import AuditEvent, Membership, Role
from calqsync.tenancy.owned import TenantOwned
from integrations.models import Connection
from tests import factories
from tests.privacy.conftest import MARKER, furnish, run_job


def ask(cast, who="alice"):
    with scope.tenant(cast.tenant.pk), transaction.atomic():
        return exports.export_request(by=getattr(cast, who), now=timezone.now())


def taken(cast):
    """The newest export as stored."""
    with scope.tenant(cast.tenant.pk), transaction.atomic():
        return Export.objects.latest("pk")


def written(cast):
    export = ask(cast)
    run_job(tasks.export, cast.tenant, exports.KIND)
    return taken(cast) if export else None


def file_of(client, cast, export=None):
    export = export or taken(cast)
    answer = client.post(cast.url(f"settings/data/export/{export.public_id}/"))
    assert answer.status_code == 200, answer.content
    return b"".join(answer.streaming_content), answer


@pytest.fixture
def books(committed_cast):
    """Two companies with books; no row that only fills a table."""
    cast = committed_cast
    furnish(cast.tenant, cast.alice)
    furnish(cast.stranger_tenant, cast.mallory, name="Tuntematon")
    return cast


@pytest.fixture
def copy(books, client):
    """The downloaded file of Kuura Oy, opened."""
    written(books)
    client.force_login(books.alice)
    content, _answer = file_of(client, books)
    return zipfile.ZipFile(io.BytesIO(content))


def lines(copy, path):
    return [json.loads(line) for line in copy.read(path).splitlines()]


def test_every_tenant_table_is_exported_or_left_out_with_a_reason():
    owned = {m._meta.label for m in apps.get_models() if issubclass(m, TenantOwned)}
    assert len(owned) > 30, "the walk found hardly any table, so it guards nothing"
    exported = {table.model._meta.label for table in archive.tables()}
    assert exported | set(archive.LEFT_OUT) == owned
    assert not exported & set(archive.LEFT_OUT)
    assert all(archive.LEFT_OUT.values())


def test_every_sealed_or_secret_column_is_opened_or_left_out():
    left = []
    for table in archive.tables():
        label = table.model._meta.label
        for field in table.model._meta.concrete_fields:
            named = any(word in field.name for word in ("secret", "token", "password", "wrapped"))
            sealed = isinstance(field, models.BinaryField) and field.name != "sha256"
            known = f"{label}.{field.name}" in archive.COLUMNS_LEFT_OUT
            if (named or sealed) and not known and archive.DOCUMENTS.get(label) != field.name:
                left.append((label, field.name))
    assert left == []


def test_every_column_left_out_exists():
    for name in archive.COLUMNS_LEFT_OUT:
        label, column = name.rsplit(".", 1)
        assert apps.get_model(label)._meta.get_field(column)


def test_the_manifest_describes_every_file_and_its_hash_fits(copy):
    told = json.loads(copy.read("manifest.json"))
    assert (told["format"], told["version"]) == ("calqsync-export", 1)
    listed = {file["path"]: file for file in told["files"]}
    assert set(copy.namelist()) == {*listed, "manifest.json"}
    assert len(listed) > 25
    for path, file in listed.items():
        content = copy.read(path)
        assert hashlib.sha256(content).hexdigest() == file["sha256"]
        assert content.count(b"\n") == file["rows"]
        if "columns" in file:
            names = [column["name"] for column in file["columns"]]
            assert all(list(row) == names for row in lines(copy, path))


def test_every_row_of_the_company_is_in_its_file(copy, books, truth):
    for table in archive.tables():
        truth.execute(
            f'SELECT count(*) FROM "{table.model._meta.db_table}" WHERE tenant_id = %s',
            [books.tenant.pk],
        )
        late = {"tenancy/auditevent.jsonl"}  # it grew while the copy was made and taken
        count = truth.fetchone()[0]
        assert len(lines(copy, table.path)) == count or table.path in late, table.path


def test_keys_lead_from_one_file_to_another(copy):
    customers = {row["key"]: row for row in lines(copy, "integrations/customer.jsonl")}
    invoices = {row["key"]: row for row in lines(copy, "integrations/invoice.jsonl")}
    assert len(invoices) == 3
    assert {customers[row["customer"]]["name"] for row in invoices.values()} == {
        f"{MARKER} Meikäläinen"
    }
    rows = lines(copy, "integrations/invoiceline.jsonl")
    assert {row["invoice"] for row in rows} == set(invoices)
    people = {row["key"]: row["email"] for row in lines(copy, "people.jsonl")}
    members = {people[row["user"]]: row["role"] for row in lines(copy, "tenancy/membership.jsonl")}
    assert members["alice@example.com"] == "owner"


def test_amounts_dates_and_digits_are_as_stored(copy):
    invoice = lines(copy, "integrations/invoice.jsonl")[0]
    assert invoice["net_minor"] == 10_000
    assert invoice["rate"] == "1.0000000000"
    assert invoice["date"] == "2026-01-01"
    told = json.loads(copy.read("manifest.json"))
    [file] = [one for one in told["files"] if one["path"] == "integrations/invoice.jsonl"]
    units = {column["name"]: column.get("unit", "") for column in file["columns"]}
    assert "accounting currency" in units["net_acc_minor"]


def test_documents_are_as_the_accounting_system_sent_them(copy):
    found = lines(copy, "integrations/rawdocument.jsonl")
    assert len(found) == 3
    assert all('"total": 1.10' in row["document"] for row in found)


def test_the_copy_holds_no_secret_no_row_number_and_nothing_of_another_company(copy, books, truth):
    names = [name for name in copy.namelist() if name != "manifest.json"]
    everything = b"".join(copy.read(name) for name in names).decode()
    for word in ("Tuntematon", "mallory", "key-Salainen", "token_hash", "data_key_wrapped"):
        assert word not in everything, word
    truth.execute("SELECT encode(data_key_wrapped, 'hex') FROM tenancy_tenant")
    for (key,) in truth.fetchall():
        assert key not in everything
    assert '"tenant_id"' not in everything
    assert '"id":' not in everything.replace('\\"id\\":', "")


def test_the_stored_file_is_sealed(books, truth):
    written(books)
    truth.execute("SELECT body FROM privacy_exportpart")
    stored = b"".join(bytes(row[0]) for row in truth.fetchall())
    assert stored
    assert b"PK\x03\x04" not in stored
    assert b"README" not in stored


def test_all_tables_show_one_instant(books, client, monkeypatch):
    """What another worker commits while the copy is written is in none of its files."""
    original, added = exports._Parts.expect, []

    def expect(self, rows, as_of):
        original(self, rows, as_of)
        with transaction.atomic():
            added.append(factories.customer_make(Connection.objects.get(), "Myohaan Tullut"))

    monkeypatch.setattr(exports._Parts, "expect", expect)
    written(books)
    client.force_login(books.alice)
    content, _ = file_of(client, books)
    assert added
    assert b"Myohaan" not in zipfile.ZipFile(io.BytesIO(content)).read(
        "integrations/customer.jsonl"
    )


def test_progress_is_counted_and_a_mail_says_when_it_is_ready(books):
    export = written(books)
    assert export.state == ExportState.READY
    assert export.rows == export.expected > 20
    run_job(mail_task, books.tenant, MAIL)
    assert mail.outbox[-1].to == ["alice@example.com"]
    assert "/settings/data/" in mail.outbox[-1].body
    assert str(export.public_id) not in mail.outbox[-1].body


def test_one_copy_at_a_time(books):
    assert ask(books).pk == ask(books).pk
    with scope.tenant(books.tenant.pk), transaction.atomic():
        assert Job.objects.filter(kind=exports.KIND).count() == 1


def test_copies_are_limited_to_some_a_day(books, client):
    now = timezone.now()
    with scope.tenant(books.tenant.pk), transaction.atomic():
        for _ in range(exports.COPIES_A_DAY):
            Export.objects.create(
                requested_by=books.alice, requested_at=now, state=ExportState.CANCELLED
            )
    client.force_login(books.alice)
    answer = client.post(books.url("settings/data/export/"), follow=True)
    assert "Many copies were made today" in answer.content.decode()
    with scope.tenant(books.tenant.pk), transaction.atomic():
        assert Export.objects.count() == exports.COPIES_A_DAY


def test_a_copy_whose_job_gave_up_blocks_no_other(books):
    first = ask(books)
    with scope.tenant(books.tenant.pk), transaction.atomic():
        Job.objects.filter(kind=exports.KIND).update(state="failed")
    second = ask(books)
    assert second.pk != first.pk
    with scope.tenant(books.tenant.pk), transaction.atomic():
        assert Export.objects.get(pk=first.pk).state == ExportState.FAILED


def killed(*_args):
    raise KeyboardInterrupt


def test_a_copy_goes_on_after_its_worker_died(books, client, monkeypatch):
    ask(books)
    with monkeypatch.context() as patched:
        patched.setattr(exports._Parts, "finish", killed)
        with pytest.raises(KeyboardInterrupt):
            run_job(tasks.export, books.tenant, exports.KIND)
    with scope.tenant(books.tenant.pk), transaction.atomic():
        Job.objects.filter(kind=exports.KIND).update(state="queued", lease_until=None)
    run_job(tasks.export, books.tenant, exports.KIND)
    client.force_login(books.alice)
    content, _ = file_of(client, books)
    assert zipfile.ZipFile(io.BytesIO(content)).testzip() is None


def demote(cast, who="alice"):
    with scope.tenant(cast.tenant.pk), transaction.atomic():
        Membership.objects.filter(user=cast.ann).update(role=Role.OWNER)
        Membership.objects.filter(user=getattr(cast, who)).update(role=Role.ADMIN)


def test_t29f_a_running_export_stops_when_its_owner_loses_the_role(books, monkeypatch):
    original = exports._Parts.expect

    def expect(self, rows, as_of):
        original(self, rows, as_of)
        demote(books)

    monkeypatch.setattr(exports._Parts, "expect", expect)
    export = written(books)
    assert export.state == ExportState.CANCELLED
    with scope.tenant(books.tenant.pk), transaction.atomic():
        assert not ExportPart.objects.exists()


def test_i8_a_copy_is_for_owners_of_its_company_alone(books, client):
    export = written(books)
    url = books.url(f"settings/data/export/{export.public_id}/")
    for who, status in (("mallory", 404), ("ann", 403), ("bob", 403), ("vera", 403)):
        client.force_login(getattr(books, who))
        assert client.post(url).status_code == status, who
    client.logout()
    assert "/login/" in client.post(url)["Location"]
    client.force_login(books.mallory)
    theirs = f"/t/{books.stranger_tenant.slug}/settings/data/export/{export.public_id}/"
    assert client.post(theirs).status_code == 404


def test_i8b_a_download_breaks_off_when_its_reader_loses_the_role(books, monkeypatch):
    monkeypatch.setattr(exports, "PART", 500)
    export = written(books)
    stream = exports.export_stream(export=export, user=books.alice)
    assert next(stream)
    demote(books)
    assert list(stream) == []


def test_t31_a_full_export_asks_again_who_it_is_when_the_sign_in_is_old(books, client):
    export = written(books)
    client.force_login(books.alice, recently=False)
    for path in ("export/", f"export/{export.public_id}/"):
        answer = client.post(books.url("settings/data/" + path))
        assert "/reauthenticate/" in answer["Location"], path
    with scope.tenant(books.tenant.pk), transaction.atomic():
        assert Export.objects.count() == 1


def test_the_download_is_an_attachment_with_a_plain_name_and_in_no_cache(books, client):
    written(books)
    client.force_login(books.alice)
    content, answer = file_of(client, books)
    assert answer["Content-Disposition"].startswith('attachment; filename="calqsync-kuura-oy-')
    assert int(answer["Content-Length"]) == len(content)
    assert "no-store" in answer["Cache-Control"]
    export = taken(books)
    assert hashlib.sha256(content).hexdigest() == export.sha256


def test_asking_taking_and_deleting_are_audited(books, client):
    written(books)
    client.force_login(books.alice)
    file_of(client, books)
    client.post(books.url(f"settings/data/export/{taken(books).public_id}/delete/"))
    with scope.tenant(books.tenant.pk), transaction.atomic():
        acts = AuditEvent.objects.filter(act__startswith="export.").order_by("pk")
        assert list(acts.values_list("act", flat=True)) == [
            *("export.requested", "export.ready", "export.downloaded", "export.deleted")
        ]
        assert not ExportPart.objects.exists()


def test_a_copy_is_gone_after_a_week(books, client):
    export = written(books)
    with scope.tenant(books.tenant.pk), transaction.atomic():
        retention.exports_expire(now=timezone.now() + timedelta(days=8))
        assert not ExportPart.objects.exists()
    client.force_login(books.alice)
    answer = client.post(books.url(f"settings/data/export/{export.public_id}/"))
    assert answer.status_code == 404


def test_the_page_tells_owners_everything_and_others_what_is_theirs(books, client):
    client.force_login(books.alice)
    assert "Ask for a copy" in client.get(books.url("settings/data/")).content.decode()
    client.post(books.url("settings/data/export/"))
    running = client.get(books.url("settings/data/")).content.decode()
    assert "Your copy is being written" in running
    assert "Ask for a copy" not in running
    assert client.get(books.url("settings/data/export/progress/")).status_code == 200
    run_job(tasks.export, books.tenant, exports.KIND)
    over = client.get(books.url("settings/data/export/progress/"))
    assert over["HX-Refresh"] == "true"
    assert "Download" in client.get(books.url("settings/data/")).content.decode()
    client.force_login(books.vera)
    page = client.get(books.url("settings/data/")).content.decode()
    assert "An owner of the company can take it out" in page
    assert "Download" not in page


def test_a_row_in_every_table_can_be_written(furnished, client):
    """Also rows of kinds that the books of this test do not have."""
    with scope.tenant(furnished.tenant.pk), transaction.atomic():
        Export.objects.all().delete()
        Job.objects.filter(kind=exports.KIND).delete()
    written(furnished)
    client.force_login(furnished.alice)
    content, _ = file_of(client, furnished)
    copy = zipfile.ZipFile(io.BytesIO(content))
    for table in archive.tables():
        assert lines(copy, table.path), table.path


def test_a_company_without_books_can_be_exported(committed_cast, client):
    written(committed_cast)
    client.force_login(committed_cast.alice)
    content, _ = file_of(client, committed_cast)
    told = json.loads(zipfile.ZipFile(io.BytesIO(content)).read("company.json"))
    assert told["name"] == "Kuura Oy"
