"""One renewal at a time, by real processes over real HTTP, and nothing lost when one dies.

The sandbox rotates refresh tokens: each works once, and a second use revokes the whole family.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.db import transaction
from django.utils import timezone

from calqsync.tenancy import scope
from calqsync.tenancy.secrets import sealer
from calqsync.tenancy.services import token_hash
from integrations.models import Credential, TokenRenewal
from integrations.procountor.auth import ProcountorAuth
from integrations.procountor.errors import KeyRevoked, RenewalLost, TryLater
from integrations.procountor.limits import NoLimit, Usage
from integrations.sandbox import Handle, start_server
from integrations.sync import access, beside, renewals
from integrations.sync.windows import Window
from tests.integrations import refreshing
from tests.integrations.sync.conftest import CLIENT, Books, connect

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(params=[True])
def rotating(request: Any, koivu: Any, settings: Any, monkeypatch: Any) -> Iterator[Handle]:
    """A sandbox whose refresh tokens work once (or for ever, where a test says so)."""
    with start_server([koivu], **CLIENT, rotate_refresh=request.param) as handle:
        settings.PROCOUNTOR_BASE_URL = handle.base_url
        settings.PROCOUNTOR_CLIENT_ID = CLIENT["client_id"]
        settings.PROCOUNTOR_CLIENT_SECRET = CLIENT["client_secret"]
        monkeypatch.setattr(access, "limiter", NoLimit)
        yield handle


@pytest.fixture
def books(committed_cast: Any, koivu: Any, rotating: Handle) -> Books:
    """A connection by refresh token, whose access token has expired."""
    made = connect(committed_cast, koivu, rotating)
    with scope.tenant(made.connection.tenant_id), transaction.atomic():
        seal = sealer().seal_text
        pk = made.connection.pk
        Credential.objects.update(
            kind="refresh_token",
            secret=seal(rotating.refresh_token(koivu), connection_id=pk, field="secret"),
            access_token=seal("long-expired-token", connection_id=pk, field="access_token"),
            access_expires_at=timezone.now() - timedelta(minutes=5),
        )
    return made


def fresh(books: Books, **options: Any) -> str:
    with scope.tenant(books.connection.tenant_id):
        return access.token_fresh(books.connection, **options).value


def secret(books: Books) -> str:
    with scope.tenant(books.connection.tenant_id), transaction.atomic():
        held = Credential.objects.get()
        return sealer().open_text(
            bytes(held.secret), connection_id=books.connection.pk, field="secret"
        )


def asked(sandbox: Handle) -> int:
    return sum(line.path.endswith("/oauth/token") for line in sandbox.requests)


def until_asked(sandbox: Handle) -> None:
    """Until another process holds the lock and waits for the answer."""
    for _ in range(200):
        if asked(sandbox):
            return
        time.sleep(0.05)
    pytest.fail("the process never asked")


def renewals_kept(books: Books) -> list[TokenRenewal]:
    return books.all(TokenRenewal)


def works(books: Books) -> bool:
    """Whether what is stored can be renewed once more."""
    return bool(fresh(books, anew=True))


def processes(books: Books, database_name: str, **options: Any) -> Any:
    return refreshing.start(
        books.connection, database=database_name, sandbox=books.sandbox.base_url, **options
    )


def test_t1_twenty_processes_at_once_cause_one_refresh_and_twenty_successes(
    books, rotating, database_name
):
    said = refreshing.outcomes(processes(books, database_name, count=20))
    assert asked(rotating) == 1
    assert said == [fresh(books)[-12:]] * 20
    assert works(books)


@pytest.mark.parametrize("rotating", [False], indirect=True)
def test_t2_an_answer_that_is_cut_off_is_asked_for_again(books, rotating):
    rotating.fault("cut", path="oauth/token", cut_at=5)
    with pytest.raises(TryLater):
        fresh(books)
    assert fresh(books)
    assert renewals_kept(books) == []


def test_t2b_where_the_old_token_is_dead_the_true_reason_is_told_and_not_repeated(books, rotating):
    rotating.fault("cut", path="oauth/token", cut_at=5)
    with pytest.raises(TryLater):
        fresh(books)
    with pytest.raises(TryLater):  # the first caller might still be alive
        fresh(books)
    later = timezone.now() + timedelta(minutes=1)
    with pytest.raises(RenewalLost) as told:
        fresh(books, now=lambda: later)
    assert "broke off" in told.value.advice
    assert asked(rotating) == 3


def test_t3_a_worker_killed_before_its_commit_loses_no_token(books, rotating, database_name):
    before = secret(books)
    assert refreshing.outcomes(processes(books, database_name, how="dying")) == []
    assert secret(books) == before
    [kept] = renewals_kept(books)
    assert kept.secret is not None
    assert fresh(books)
    assert secret(books) != before
    assert renewals_kept(books) == []
    assert works(books)


def test_t3b_the_answer_is_recovered_again_after_a_second_death(books, rotating, database_name):
    refreshing.outcomes(processes(books, database_name, how="dying"))
    refreshing.outcomes(processes(books, database_name, how="dying"))
    assert works(books)


def test_t3c_what_is_kept_on_the_way_is_sealed(books, rotating, database_name):
    refreshing.outcomes(processes(books, database_name, how="dying"))
    [kept] = renewals_kept(books)
    with scope.tenant(books.connection.tenant_id), transaction.atomic():
        seal = sealer()
    token = seal.open_text(
        bytes(kept.secret), connection_id=books.connection.pk, field=renewals.FIELD
    )
    assert token.encode() not in bytes(kept.secret)
    assert kept.replaces == token_hash(secret(books))


def test_t3d_a_reading_process_that_is_sent_away_renews_to_the_end(books, rotating, monkeypatch):
    monkeypatch.setattr(beside, "GRACE", 0.0)
    rotating.fault("slow", path="oauth/token", seconds=1)
    with scope.tenant(books.connection.tenant_id), transaction.atomic():
        seal = sealer()
    window = Window.newest(timezone.now().date())
    reading = beside.Beside(books.connection, window, seal=seal, usage=Usage(), deadline=math.inf)
    until_asked(rotating)
    reading.close()
    assert works(books)


def test_t4_the_loser_of_two_reads_again_and_goes_on(books, rotating, monkeypatch):
    """The row lock was lost with its database connection, so both asked with the same token."""
    mine, real = secret(books), ProcountorAuth.refresh

    def beaten(self, token):
        monkeypatch.setattr(ProcountorAuth, "refresh", real)
        with scope.tenant(books.connection.tenant_id):
            won = real(self, token)
            with transaction.atomic():
                sealed = sealer().seal_text(
                    won.refresh_token, connection_id=books.connection.pk, field=renewals.FIELD
                )
            renewals.answered(books.connection, token=token, sealed=sealed)
        raise KeyRevoked("invalid_grant", status=401)

    monkeypatch.setattr(ProcountorAuth, "refresh", beaten)
    assert fresh(books)
    assert secret(books) != mine
    assert works(books)


def test_t4b_a_token_refused_for_good_is_dead_only_when_nobody_was_quicker(books, rotating, koivu):
    rotating.revoke(koivu)
    with pytest.raises(KeyRevoked) as told:
        fresh(books)
    assert told.value.kind == "key_revoked"
    assert renewals_kept(books) == []


@pytest.mark.parametrize("rotating", [False], indirect=True)
def test_t7_a_lock_whose_holder_is_killed_is_free_at_once(books, rotating, database_name):
    rotating.fault("slow", path="oauth/token", seconds=30)
    holder = processes(books, database_name)
    until_asked(rotating)
    with pytest.raises(TryLater):
        _fresh_within(books, "200ms")
    _kill(holder)
    assert _fresh_within(books, "5s")


def _fresh_within(books: Books, wait: str) -> str:
    before, access._LOCK_WAIT = access._LOCK_WAIT, wait
    try:
        return fresh(books)
    finally:
        access._LOCK_WAIT = before


def _kill(process: Any) -> None:
    """SIGKILL to the process and its one child."""
    import os
    import signal

    with open(f"/proc/{process.pid}/task/{process.pid}/children") as children:
        family = [int(pid) for pid in children.read().split()]
    for pid in [*family, process.pid]:
        os.kill(pid, signal.SIGKILL)
    process.communicate(timeout=20)
