"""A sealed value opens only in its own row, and never shows in a log."""

import logging

import pytest
from django.core.exceptions import ImproperlyConfigured
from hypothesis import given
from hypothesis import strategies as st

from calqsync.tenancy import logs, scope, secrets


@pytest.fixture
def sealers(cast):
    made = []
    for tenant in (cast.tenant, cast.stranger_tenant):
        with scope.tenant(tenant.pk):
            made.append(secrets.sealer())
    return made


def test_what_is_sealed_opens_in_the_same_row(sealers):
    ours, _ = sealers
    sealed = ours.seal(b"key", connection_id=7, field="secret")
    assert b"key" not in sealed
    assert ours.open(sealed, connection_id=7, field="secret") == b"key"


@pytest.mark.parametrize(("connection_id", "field"), [(8, "secret"), (7, "access_token")])
def test_a_value_moved_to_another_row_or_field_does_not_open(sealers, connection_id, field):
    ours, _ = sealers
    sealed = ours.seal(b"key", connection_id=7, field="secret")
    with pytest.raises(secrets.SecretUnreadable):
        ours.open(sealed, connection_id=connection_id, field=field)


def test_a_value_moved_to_another_tenant_does_not_open(sealers):
    ours, theirs = sealers
    sealed = ours.seal(b"key", connection_id=7, field="secret")
    with pytest.raises(secrets.SecretUnreadable):
        theirs.open(sealed, connection_id=7, field="secret")


def test_a_damaged_value_does_not_open(sealers):
    ours, _ = sealers
    sealed = bytearray(ours.seal(b"key", connection_id=7, field="secret"))
    sealed[-1] ^= 1
    for damaged in (bytes(sealed), bytes(sealed[:20]), b""):
        with pytest.raises(secrets.SecretUnreadable):
            ours.open(damaged, connection_id=7, field="secret")


@pytest.mark.parametrize("configured", ["", "k1", "k1:short", "k1:%%%"])
def test_unusable_keys_stop_the_process(settings, configured):
    settings.ENCRYPTION_KEYS = configured
    with pytest.raises(ImproperlyConfigured):
        secrets.check_configuration()


def test_an_opened_secret_is_removed_from_every_log_line(sealers, caplog):
    ours, _ = sealers
    sealed = ours.seal_text("s3cr3t-api-key-value", connection_id=7, field="secret")
    ours.open_text(sealed, connection_id=7, field="secret")
    record = logging.LogRecord("x", 20, "x", 1, "got %s back", ("s3cr3t-api-key-value",), None)
    logs.RedactingFilter().filter(record)
    assert record.getMessage() == "got [hidden] back"


@given(st.text("abcdefXYZ0189-_", min_size=8, max_size=60))
def test_values_of_secret_parameters_are_removed_by_name(value):
    line = f"POST /oauth/token?grant_type=x&client_secret={value}&redirect_uri=y"
    assert f"={value}&" not in logs.redact(line)
    assert "redirect_uri=y" in logs.redact(line)


def test_bearer_tokens_are_removed():
    assert "eyJhbGci" not in logs.redact("Authorization: Bearer eyJhbGci.eyJzdWIi.c2ln")
