"""One caller at a time asks for a token; what it got is stored before it is used."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from django.db import connection as database
from django.db import transaction
from django.utils import timezone

from calqsync.tenancy import scope
from calqsync.tenancy.secrets import sealer
from integrations.models import Credential
from integrations.procountor.auth import AccessToken, ProcountorAuth, TokenPair
from integrations.procountor.errors import KeyRevoked, TryLater
from integrations.procountor.limits import Usage
from integrations.sync import access

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def asked(monkeypatch):
    """The secrets for which a token was asked."""
    heard = []

    def token(self, secret):
        heard.append(secret)
        return AccessToken(f"token-{len(heard)}", timezone.now() + timedelta(minutes=59))

    monkeypatch.setattr(ProcountorAuth, "token_from_key", token)
    return heard


def fresh(books, **options):
    try:
        with scope.tenant(books.connection.tenant_id):
            return access.token_fresh(books.connection, **options).value
    finally:
        database.close()


def stored(books, field):
    with scope.tenant(books.connection.tenant_id), transaction.atomic():
        held = Credential.objects.get(connection=books.connection)
        sealed = bytes(getattr(held, field))
        return sealer().open_text(sealed, connection_id=books.connection.pk, field=field)


def test_many_callers_at_once_ask_once(books, asked):
    with ThreadPoolExecutor(6) as pool:
        tokens = set(pool.map(lambda _: fresh(books), range(6)))
    assert tokens == {"token-1"}
    assert len(asked) == 1
    assert stored(books, "access_token") == "token-1"


def test_a_refused_token_is_replaced_once_for_all_who_held_it(books, asked):
    fresh(books)
    with ThreadPoolExecutor(4) as pool:
        tokens = set(pool.map(lambda _: fresh(books, rejected="token-1"), range(4)))
    assert tokens == {"token-2"}


def test_an_old_token_is_renewed_before_its_end(books, asked):
    fresh(books)
    later = timezone.now() + timedelta(minutes=59, seconds=30)
    assert fresh(books, now=lambda: later) == "token-2"


def test_a_call_that_failed_stores_nothing(books, monkeypatch):
    def down(self, secret):
        raise TryLater("no answer")

    monkeypatch.setattr(ProcountorAuth, "token_from_key", down)
    with pytest.raises(TryLater):
        fresh(books)
    with scope.tenant(books.connection.tenant_id), transaction.atomic():
        assert Credential.objects.get().access_token is None


def test_a_refresh_token_that_was_replaced_is_kept_sealed(books, monkeypatch):
    with scope.tenant(books.connection.tenant_id), transaction.atomic():
        secret = sealer().seal_text(
            "refresh-one", connection_id=books.connection.pk, field="secret"
        )
        Credential.objects.update(kind="refresh_token", secret=secret)

    def refresh(self, token):
        assert token == "refresh-one"
        end = timezone.now() + timedelta(hours=1)
        return TokenPair(AccessToken("token-1", end), "refresh-two")

    monkeypatch.setattr(ProcountorAuth, "refresh", refresh)
    assert fresh(books) == "token-1"
    assert stored(books, "secret") == "refresh-two"


def test_without_a_credential_the_owner_is_asked(books):
    with scope.tenant(books.connection.tenant_id), transaction.atomic():
        Credential.objects.all().delete()
    with pytest.raises(KeyRevoked):
        fresh(books)


def test_reading_threads_share_one_token_and_keep_no_connection(books, asked):
    tokens = access.StoredTokens(books.connection, Usage())
    with ThreadPoolExecutor(4) as pool:
        assert set(pool.map(lambda _: tokens.bearer(), range(8))) == {"token-1"}
        assert set(pool.map(lambda _: tokens.renew("token-1"), range(8))) == {"token-2"}
        closed = list(pool.map(lambda _: database.connection is None, range(4)))
    assert closed == [True] * 4
    assert len(asked) == 2
