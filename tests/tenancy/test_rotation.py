"""Key-encryption keys change while everything runs, and none is given up that a row needs."""

from __future__ import annotations

import base64
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from allauth.mfa.models import Authenticator
from allauth.mfa.totp.internal.auth import TOTP
from django.core.exceptions import ImproperlyConfigured
from django.core.management import CommandError, call_command
from django.db import connections, transaction
from django.db.models import BinaryField

from calqsync.tenancy import rotation, scope, secrets
from calqsync.tenancy.models import KeyEncryptionKey, Tenant
from calqsync.tenancy.owned import TenantOwned
from calqsync.tenancy.services import tenant_create
from integrations.models import Connection, Credential

ROOT = Path(__file__).resolve().parents[2]


def key(name: str, fill: bytes) -> str:
    return f"{name}:{base64.b64encode(fill * 32).decode()}"


OLD, NEW, OTHER = key("k1", b"o"), key("k2", b"n"), key("k1", b"x")
pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "support"])


@pytest.fixture(autouse=True)
def _old_key(settings: Any) -> None:
    settings.ENCRYPTION_KEYS = OLD


@pytest.fixture
def cast(_old_key: None, committed_cast: Any) -> Any:
    """Two companies whose keys are wrapped by the old key, each with a sealed credential."""
    for tenant in (committed_cast.tenant, committed_cast.stranger_tenant):
        with scope.tenant(tenant.pk), transaction.atomic():
            made = Connection.objects.create(name="EU", company_id="1", company_name="Yksi Oy")
            sealed = secrets.sealer().seal_text(
                "the-api-key-itself", connection_id=made.pk, field="secret"
            )
            Credential.objects.create(connection=made, kind="api_key", secret=sealed)
    return committed_cast


def run(*arguments: str) -> str:
    said = StringIO()
    call_command("secrets", *arguments, stdout=said, stderr=said)
    return said.getvalue()


def wrapped_by(tenant: Any) -> str:
    with scope.tenant(tenant.pk), transaction.atomic():
        return str(Tenant.objects.get(pk=tenant.pk).key_encryption_key_id)


def opened(tenant: Any) -> str:
    with scope.tenant(tenant.pk), transaction.atomic():
        held = Credential.objects.get()
        return secrets.sealer().open_text(
            held.secret, connection_id=held.connection_id, field="secret"
        )


def test_t15_keys_rotate_under_fifty_workers_and_every_secret_stays_readable(cast, settings):
    settings.ENCRYPTION_KEYS = f"{NEW},{OLD}"

    def refresh(number: int) -> None:
        try:
            tenant = (cast.tenant, cast.stranger_tenant)[number % 2]
            with scope.tenant(tenant.pk), transaction.atomic():
                held = Credential.objects.select_for_update(no_key=True).get()
                seal = secrets.sealer()
                bound = {"connection_id": held.connection_id, "field": "secret"}
                before = seal.open_text(held.secret, **bound)
                held.secret = seal.seal_text(before, **bound)
                held.save(update_fields=["secret"])
        finally:
            connections.close_all()

    with ThreadPoolExecutor(10) as workers:
        refreshes = [workers.submit(refresh, number) for number in range(50)]
        report = rotation.rotate()
        for each in refreshes:
            each.result()
    assert report.by_key == {"k2": 2}
    run("retire", "k1")
    settings.ENCRYPTION_KEYS = NEW
    secrets.refuse_wrong_keys()
    assert {opened(cast.tenant), opened(cast.stranger_tenant)} == {"the-api-key-itself"}
    assert run("check", "--all").count("unreadable") == 0


def test_t15b_a_row_written_with_the_old_key_meanwhile_blocks_its_retirement(cast, settings):
    settings.ENCRYPTION_KEYS = f"{NEW},{OLD}"
    run("rotate")
    settings.ENCRYPTION_KEYS = f"{OLD},{NEW}"  # a process that was not restarted yet
    with transaction.atomic():
        late = tenant_create(name="Myöhä Oy", owner=cast.alice)
    settings.ENCRYPTION_KEYS = f"{NEW},{OLD}"
    with pytest.raises(CommandError, match="1 row still needs the key k1"):
        run("check", "--retire", "k1")
    with pytest.raises(CommandError, match="1 row still needs the key k1"):
        run("retire", "k1")
    assert KeyEncryptionKey.objects.get(name="k1").retired_at is None
    run("rotate")
    assert wrapped_by(late) == "k2"
    assert "retired" in run("retire", "k1")


def test_t15c_a_retired_key_seals_nothing_new(cast, settings):
    settings.ENCRYPTION_KEYS = f"{NEW},{OLD}"
    run("rotate")
    run("retire", "k1")
    settings.ENCRYPTION_KEYS = f"{OLD},{NEW}"
    with pytest.raises(ImproperlyConfigured, match="retired"), transaction.atomic():
        tenant_create(name="Myöhä Oy", owner=cast.alice)
    with pytest.raises(ImproperlyConfigured, match="put another one first"):
        secrets.refuse_wrong_keys()


def test_a_rotation_that_was_broken_off_goes_on(cast, settings, monkeypatch):
    settings.ENCRYPTION_KEYS = f"{NEW},{OLD}"
    real, done = rotation._rewrap_tenant, []

    def dies_at_the_second(tenant_id: int) -> bool:
        if done:
            raise KeyboardInterrupt
        done.append(tenant_id)
        return real(tenant_id)

    monkeypatch.setattr(rotation, "_rewrap_tenant", dies_at_the_second)
    with pytest.raises(KeyboardInterrupt):
        rotation.rotate()
    assert rotation.needed() == {"k1": 1, "k2": 1}
    monkeypatch.setattr(rotation, "_rewrap_tenant", real)
    assert rotation.rotate().rewrapped == 1
    assert rotation.rotate().rewrapped == 0


def test_a_rotation_without_the_old_key_names_the_tenants_and_fails(cast, settings):
    settings.ENCRYPTION_KEYS = NEW
    with pytest.raises(ImproperlyConfigured, match="lacks k1"):
        run("rotate")
    report = rotation.rotate()
    assert len(report.unreadable) == 2
    assert report.by_key == {"k1": 2}


def test_second_steps_are_sealed_and_rotate_too(cast, settings):
    TOTP.activate(cast.alice, "JBSWY3DPEHPK3PXP")
    row = Authenticator.objects.get()
    assert "JBSWY3DPEHPK3PXP" not in str(row.data)
    settings.ENCRYPTION_KEYS = f"{NEW},{OLD}"
    assert rotation.needed() == {"k1": 3}
    run("rotate")
    assert rotation.needed() == {"k2": 3}
    settings.ENCRYPTION_KEYS = NEW
    row.refresh_from_db()
    assert secrets.open_for_person(row.data["secret"]) == "JBSWY3DPEHPK3PXP"


def test_a_damaged_second_step_refuses_every_code_without_an_error(cast, caplog):
    TOTP.activate(cast.alice, "JBSWY3DPEHPK3PXP")
    row = Authenticator.objects.get()
    row.data["secret"] = row.data["secret"][:-4] + "AAAA"
    row.save()
    assert row.wrap().validate_code("123456") is False
    assert "sign_in.secret_unreadable" in caplog.text


def test_check_opens_everything_and_names_what_does_not_open(cast):
    assert "4 sealed values opened" in run("check")
    with scope.tenant(cast.tenant.pk), transaction.atomic():
        Credential.objects.update(secret=b"damaged")
    said = StringIO()
    with pytest.raises(CommandError, match="cannot be read"):
        call_command("secrets", "check", stdout=said, stderr=said)
    assert f"tenant {cast.tenant.pk}: 1 of integrations_credential.secret" in said.getvalue()


def test_a_destroyed_key_is_no_failure_of_the_check(cast):
    with scope.tenant(cast.tenant.pk), transaction.atomic():
        Tenant.objects.filter(pk=cast.tenant.pk).update(
            data_key_wrapped=b"", key_encryption_key_id=""
        )
        with pytest.raises(secrets.SecretUnreadable):
            secrets.sealer()
    assert "key k1: 1 rows" in run("check")


def test_the_current_key_is_never_retired(cast):
    with pytest.raises(CommandError, match="current key"):
        run("retire", "k1")
    with pytest.raises(CommandError, match="No key k9"):
        run("retire", "k9")


def test_t16_another_key_under_a_known_id_is_refused(cast, settings):
    secrets.refuse_wrong_keys()
    settings.ENCRYPTION_KEYS = OTHER
    with pytest.raises(ImproperlyConfigured, match="another key under the id k1"):
        secrets.refuse_wrong_keys()
    with pytest.raises(ImproperlyConfigured), transaction.atomic():
        tenant_create(name="Väärä Oy", owner=cast.alice)


def started(program: list[str], database: str, **changed: str) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, "ENCRYPTION_KEYS": OLD, **changed}
    for name in ("DATABASE_URL", "DATABASE_DISPATCHER_URL", "DATABASE_SUPPORT_URL"):
        env[name] = env[name].rsplit("/", 1)[0] + f"/{database}"
    env = {name: value for name, value in env.items() if value}
    return subprocess.run(
        [sys.executable, *program],
        cwd=ROOT,
        env=env,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )


WEB = ["-c", "import calqsync.wsgi"]
WORKER = ["-m", "celery", "-A", "calqsync", "worker", "-c", "1", "-P", "solo"]
BEAT = ["-m", "celery", "-A", "calqsync", "beat", "-S", "calqsync.jobs.beat:DispatchScheduler"]


@pytest.mark.parametrize("program", [WEB, WORKER, BEAT], ids=["web", "worker", "beat"])
def test_t16b_no_process_starts_with_another_key(cast, database_name, program):
    ended = started(program, database_name, ENCRYPTION_KEYS=OTHER)
    assert ended.returncode != 0
    assert "restore that key" in ended.stderr.strip().splitlines()[-1]
    assert wrapped_by(cast.tenant) == "k1"


@pytest.mark.parametrize(
    ("program", "wrong"),
    [(WEB, ""), (WEB, "k1:short"), (WORKER, "k1"), (BEAT, "")],
    ids=["web, missing", "web, short", "worker, malformed", "beat, missing"],
)
def test_t16c_each_process_says_in_one_sentence_what_is_wrong(cast, database_name, wrong, program):
    ended = started(program, database_name, ENCRYPTION_KEYS=wrong)
    assert ended.returncode != 0
    [line] = ended.stderr.strip().splitlines()
    assert "ENCRYPTION_KEYS" in line


def test_the_keys_may_come_from_a_file(cast, database_name, tmp_path):
    held = tmp_path / "keys"
    held.write_text(OLD + "\n")
    ended = started(WEB, database_name, ENCRYPTION_KEYS="", ENCRYPTION_KEYS_FILE=str(held))
    assert ended.returncode == 0, ended.stderr


# Binary columns that hold no sealed value.
PLAIN = {
    "integrations_rawdocument.sha256": "a hash",
    "reporting_keptsums.body": "sums over customers, as the published report shows them",
}


def test_every_binary_column_of_a_tenant_is_opened_by_the_check_or_named_here():
    from django.apps import apps

    known = {f"{c.model._meta.db_table}.{c.column}" for c in secrets.sealed_columns()}
    found = {
        f"{model._meta.db_table}.{field.column}"
        for model in apps.get_models()
        if issubclass(model, TenantOwned)
        for field in model._meta.local_fields
        if isinstance(field, BinaryField)
    }
    assert len(found) >= 6
    assert known <= found
    assert found - known <= PLAIN.keys()
