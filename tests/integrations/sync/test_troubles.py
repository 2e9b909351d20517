"""What a broken connection does: wait, ask once, keep everything, and mend itself."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta
from typing import Any

import pytest
from django.core import mail
from django.db import transaction
from django.utils import timezone

from billing.services import trial_extend
from calqsync.jobs.models import Job, JobState
from calqsync.jobs.tasks import MAIL
from calqsync.jobs.tasks import mail as send_letter
from calqsync.tenancy import scope
from calqsync.tenancy.secrets import sealer
from integrations import selectors
from integrations.models import Connection, Credential, Customer, SyncRun
from integrations.models.runs import RunState
from integrations.sync import access, engine, trouble
from tests.integrations.sync.conftest import connect

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def tenant(books):
    """Run what follows for the tenant, in a transaction."""

    def run(do):
        with scope.tenant(books.connection.tenant_id), transaction.atomic():
            return do()

    return run


def deliver(books) -> list[Any]:
    """Have the letters that wait sent, as a worker does; what arrived so far about troubles."""
    tenant_id = books.connection.tenant_id
    with scope.tenant(tenant_id), transaction.atomic():
        due = Job.objects.filter(kind=MAIL, state=JobState.QUEUED)
        ids = list(due.values_list("pk", flat=True))
    for job_id in ids:
        send_letter(tenant_id, job_id)
    return [sent for sent in mail.outbox if not sent.subject.endswith("figures are ready")]


def token_calls(sandbox) -> int:
    return sum(line.path.endswith("/oauth/token") for line in sandbox.requests)


def spend(tenant) -> None:
    tenant(lambda: Credential.objects.update(access_token=None, access_expires_at=None))


def test_t5_two_hours_without_a_token_wait_and_recover_without_a_mail(books, sandbox, tenant):
    books.sync()
    spend(tenant)
    sandbox.fault("status", status=500, times=None, path="oauth/token")
    tenant(books.request)
    late = timedelta(0)
    while late < timedelta(hours=2):
        books.late = late
        late += books.slice().again_in
        assert books.run().state == RunState.WAITING
        status = tenant(lambda: selectors.status_of(books.connection, now=books.now()))
        assert status.code is selectors.Code.WAITING
    assert deliver(books) == []
    sandbox.clear_faults()
    books.late = late
    books.slice()
    assert books.run().state == RunState.COMPLETE
    assert books.connection.trouble == ""


def test_t6_a_dead_key_is_told_once_and_tried_daily_and_the_data_stay(
    books, sandbox, koivu, tenant
):
    books.sync()
    stored = len(books.all(Customer))
    sandbox.revoke(koivu)
    sandbox.app.log.clear()
    tenant(books.request)
    for day in range(4):
        books.late = timedelta(days=day, minutes=day)
        assert books.slice().again_in == timedelta(days=1)
    # A probe is the token of yesterday, and the key.
    assert Counter(line.path.rsplit("/", 1)[1] for line in sandbox.requests) == {
        "sessioninfo": 4,
        "token": 4,
    }
    assert sorted(letter.to[0] for letter in deliver(books)) == [
        "alice@example.com",
        "ann@example.com",
    ]
    assert "Reconnect" in deliver(books)[0].body
    books.run()
    assert books.connection.trouble == "needs_you"
    assert books.now() - books.connection.trouble_since > timedelta(days=2)
    assert len(books.all(Customer)) == stored


def test_a_short_wait_beside_a_right_that_is_missing_for_long_is_short(books, sandbox, tenant):
    books.sync()
    long_ago = books.now() - timedelta(days=90)
    tenant(
        lambda: Connection.objects.update(
            trouble="needs_you", trouble_kind=trouble.PARTLY, trouble_since=long_ago
        )
    )
    sandbox.fault("status", status=503, times=None, path="sessioninfo")
    tenant(books.request)
    assert books.slice().again_in < timedelta(minutes=1)
    books.late = timedelta(minutes=10)
    assert books.slice().again_in > timedelta(minutes=5)


def test_t6b_a_woken_job_asks_nothing_before_the_next_probe(books, sandbox, koivu, tenant):
    sandbox.revoke(koivu)
    books.sync()
    before = len(sandbox.requests)
    assert books.slice().again_in > timedelta(hours=1)
    assert len(sandbox.requests) == before


def test_t6c_mended_and_broken_again_is_told_again(books, sandbox, koivu, tenant):
    sandbox.revoke(koivu)
    books.sync()
    assert len(deliver(books)) == 2
    sandbox.app.mint.revoked_companies.clear()
    assert books.sync().state == RunState.COMPLETE
    sandbox.revoke(koivu)
    books.sync()
    told = [sent.subject for sent in deliver(books)]
    assert told == ["Main account needs you: its figures stand still"] * 4


def test_t6d_a_letter_that_is_late_is_not_sent_about_what_was_mended(books, sandbox, koivu):
    sandbox.revoke(koivu)
    books.sync()
    sandbox.app.mint.revoked_companies.clear()
    books.sync()
    assert "needs you" not in " ".join(sent.subject for sent in deliver(books))


def replaced(books, sandbox, koivu) -> None:
    """Somebody reconnects: there is another key."""
    Credential.objects.all().delete()
    secret = sealer().seal_text(
        sandbox.api_key(koivu), connection_id=books.connection.pk, field="secret"
    )
    Credential.objects.create(connection=books.connection, kind="api_key", secret=secret)


def test_t6e_a_key_replaced_while_the_old_one_failed_is_not_called_dead(
    books, sandbox, koivu, tenant, monkeypatch
):
    sandbox.revoke(koivu)
    real = engine._Slice._needs_you

    def reconnected_first(self, kind, detail):
        tenant(lambda: replaced(books, sandbox, koivu))
        return real(self, kind, detail)

    monkeypatch.setattr(engine._Slice, "_needs_you", reconnected_first)
    assert books.sync().state == RunState.CANCELLED
    assert books.connection.trouble == ""
    assert deliver(books) == []


def idle(books, tenant, days=60) -> None:
    tenant(
        lambda: Credential.objects.update(
            changed_at=timezone.now() - timedelta(days=days), access_token=None
        )
    )


@pytest.fixture(params=["paused", "no_plan"])
def unused(books, tenant, request):
    """A connection that imports nothing, for either reason."""
    books.sync()
    if request.param == "paused":
        tenant(lambda: Connection.objects.update(paused_at=timezone.now()))
    else:
        tenant(lambda: trial_extend(until=timezone.now() - timedelta(days=1), by=None))
        books.late = timedelta(days=1)
    return books


def test_t9_a_connection_unused_for_sixty_days_keeps_its_key_alive(unused, sandbox, tenant):
    before = token_calls(sandbox)
    unused.slice()
    assert token_calls(sandbox) == before  # used this month, so left alone
    idle(unused, tenant)
    assert unused.slice().again_in <= timedelta(days=1)
    assert token_calls(sandbox) == before + 1
    unused.slice()
    assert token_calls(sandbox) == before + 1


def test_t9b_a_key_that_lapsed_unused_is_told_at_once(unused, sandbox, koivu, tenant):
    idle(unused, tenant)
    sandbox.revoke(koivu)
    unused.slice()
    unused.run()
    assert unused.connection.trouble == "needs_you"
    assert len(deliver(unused)) == 2


def test_t9f_a_key_replaced_while_the_unused_one_failed_is_not_called_dead(
    unused, sandbox, koivu, tenant, monkeypatch
):
    idle(unused, tenant)
    sandbox.revoke(koivu)
    fresh = access.token_fresh

    def failed_meanwhile(connection, **how):
        try:
            return fresh(connection, **how)
        finally:
            tenant(lambda: replaced(unused, sandbox, koivu))

    monkeypatch.setattr(access, "token_fresh", failed_meanwhile)
    assert unused.slice().again_in == timedelta(0)
    unused.run()
    assert unused.connection.trouble == ""


@pytest.mark.parametrize(("days", "letters"), [(160, 0), (167, 2)])
def test_t9d_a_login_that_ends_after_half_a_year_is_announced_once_in_time(
    books, tenant, days, letters
):
    tenant(
        lambda: Credential.objects.update(
            kind="refresh_token", granted_at=timezone.now() - timedelta(days=days)
        )
    )
    tenant(books.request)
    books.slice()
    books.slice()
    about_end = [letter for letter in deliver(books) if "must be reconnected" in letter.subject]
    assert len(about_end) == letters


def test_t9e_a_login_that_was_renewed_is_not_announced(books, tenant):
    tenant(
        lambda: Credential.objects.update(
            kind="refresh_token", granted_at=timezone.now() - timedelta(days=170)
        )
    )
    tenant(lambda: trouble.warn_of_end(books.connection, now=timezone.now()))
    tenant(lambda: Credential.objects.update(end_told_at=None))
    assert deliver(books) == []


def test_t9c_a_paused_connection_imports_nothing(unused, sandbox, tenant):
    runs = tenant(lambda: SyncRun.objects.count())
    before = len(sandbox.requests)
    unused.slice()
    assert len(sandbox.requests) == before
    made = tenant(lambda: SyncRun.objects.exclude(state=RunState.PAUSED_NO_PLAN).count())
    assert made == runs


def test_t11_a_token_that_answers_for_another_company_stops_before_the_first_write(
    books, sandbox, tenant
):
    books.sync()
    stored = len(books.all(Customer))
    tenant(lambda: Connection.objects.update(company_id="424242"))
    books.connection.company_id = "424242"
    sandbox.app.log.clear()
    run = books.sync()
    assert (run.state, run.error_kind) == (RunState.NEEDS_YOU, "wrong_company")
    assert [line.path.rsplit("/", 1)[1] for line in sandbox.requests] == ["sessioninfo"]
    assert len(books.all(Customer)) == stored
    assert len(deliver(books)) == 2


def spoil(tenant, books, how, other=None) -> None:
    """Put something else where the key was."""

    def change():
        held = Credential.objects.get(connection=books.connection)
        secret = bytes(held.secret)
        if how == "cut short":
            secret = secret[:25]
        elif how == "a bit flipped":
            secret = secret[:-1] + bytes([secret[-1] ^ 1])
        elif how == "empty":
            secret = b""
        elif how == "another field's":
            secret = bytes(held.access_token)
        else:
            secret = other
        Credential.objects.filter(pk=held.pk).update(
            secret=secret, access_token=None, access_expires_at=None
        )

    tenant(change)


@pytest.mark.parametrize("how", ["cut short", "a bit flipped", "empty", "another field's"])
def test_t17_a_damaged_key_is_never_used_and_asks_for_a_new_one(books, sandbox, tenant, how):
    books.sync()
    sandbox.app.log.clear()
    spoil(tenant, books, how)
    run = books.sync()
    assert (run.state, run.error_kind) == (RunState.NEEDS_YOU, "SecretUnreadable")
    assert sandbox.requests == []
    assert "Traceback" not in run.error
    assert "Reconnect the account" in deliver(books)[0].body


@pytest.mark.parametrize("whose", ["another tenant's", "another connection's"])
def test_t14_a_key_from_another_row_is_never_used(
    books, committed_cast, sandbox, koivu, tenant, whose, caplog
):
    if whose == "another tenant's":
        with scope.tenant(committed_cast.stranger_tenant.pk), transaction.atomic():
            theirs = sealer().seal_text("theirs", connection_id=books.connection.pk, field="secret")
    else:
        theirs = tenant(
            lambda: sealer().seal_text(
                "theirs", connection_id=books.connection.pk + 1, field="secret"
            )
        )
    spoil(tenant, books, "moved", theirs)
    run = books.sync()
    assert (run.state, run.error_kind) == (RunState.NEEDS_YOU, "SecretUnreadable")
    assert sandbox.requests == []
    assert "sync.secret_unreadable" in caplog.text


def test_t33_two_tenants_hold_keys_of_their_own_for_the_same_company(
    books, committed_cast, sandbox, koivu, tenant
):
    same = sandbox.api_key(koivu)
    theirs = connect(_as_tenant(committed_cast), koivu, sandbox, name="Theirs")
    for each in (books, theirs):
        with scope.tenant(each.connection.tenant_id), transaction.atomic():
            secret = sealer().seal_text(same, connection_id=each.connection.pk, field="secret")
            Credential.objects.filter(connection=each.connection).update(secret=secret)
        assert each.sync().state == RunState.COMPLETE
    tenant(lambda: Credential.objects.all().delete())
    tenant(lambda: Connection.objects.update(disconnected_at=timezone.now()))
    assert theirs.sync().state == RunState.COMPLETE
    sandbox.revoke(koivu)
    assert theirs.sync().error_kind == "key_revoked"


def _as_tenant(cast):
    """The cast seen from the other company."""
    from dataclasses import replace

    return replace(cast, tenant=cast.stranger_tenant, alice=cast.mallory)
