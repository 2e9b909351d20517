"""The right to read one company: its stored secret, its access token, its client."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import datetime

from django.conf import settings
from django.db import connection as database
from django.db import transaction
from django.utils import timezone

from calqsync.tenancy import scope
from calqsync.tenancy.secrets import sealer
from integrations.models import Connection, Credential
from integrations.models.connections import GrantKind
from integrations.procountor.auth import AccessToken, ProcountorAuth
from integrations.procountor.errors import KeyRevoked
from integrations.procountor.limits import Limiter, Usage
from integrations.procountor.resources import Procountor
from integrations.procountor.transport import Timeouts, Transport
from integrations.sync.limiter import limiter

# Tokens are asked for with a lock on the credential's row, so the answer must come soon.
_TOKEN_TIMEOUTS = Timeouts(connect=5.0, read=10.0, whole=15.0)


def auth(*, usage: Usage | None = None, held_by: Limiter | None = None) -> ProcountorAuth:
    """The OAuth side of this installation's API client."""
    return ProcountorAuth(
        settings.PROCOUNTOR_BASE_URL,
        client_id=settings.PROCOUNTOR_CLIENT_ID,
        client_secret=settings.PROCOUNTOR_CLIENT_SECRET,
        redirect_uri=settings.PROCOUNTOR_REDIRECT_URI,
        limiter=held_by or limiter(),
        timeouts=_TOKEN_TIMEOUTS,
        usage=usage,
    )


def token_fresh(
    connection: Connection,
    *,
    rejected: str = "",
    usage: Usage | None = None,
    now: Callable[[], datetime] = timezone.now,
) -> AccessToken:
    """An access token that should work now, stored before it is used.

    One caller at a time asks Procountor; the others find what it stored. A token equal to
    `rejected` counts as spent whatever its age. Raises KeyRevoked without a credential.
    """
    with transaction.atomic():
        held = Credential.objects.select_for_update().filter(connection=connection).first()
        if held is None:
            raise KeyRevoked("the connection has no stored key")
        seal = sealer()
        if held.access_token and held.access_expires_at:
            value = seal.open_text(
                bytes(held.access_token), connection_id=connection.pk, field="access_token"
            )
            stored = AccessToken(value, held.access_expires_at)
            if stored.fresh(now()) and value != rejected:
                return stored
        secret = seal.open_text(bytes(held.secret), connection_id=connection.pk, field="secret")
        fields = ["access_token", "access_expires_at", "changed_at"]
        if held.kind == GrantKind.REFRESH_TOKEN:
            pair = auth(usage=usage).refresh(secret)
            token = pair.access
            if pair.refresh_token != secret:
                held.secret = seal.seal_text(
                    pair.refresh_token, connection_id=connection.pk, field="secret"
                )
                fields.append("secret")
        else:
            token = auth(usage=usage).token_from_key(secret)
        held.access_token = seal.seal_text(
            token.value, connection_id=connection.pk, field="access_token"
        )
        held.access_expires_at = token.expires_at
        held.save(update_fields=fields)
    return token


class StoredTokens:
    """The client's source of tokens, shared by the threads of one run.

    Most calls are answered from memory; the database decides when a token is old or refused.
    """

    def __init__(self, connection: Connection, usage: Usage) -> None:
        self._connection, self._usage = connection, usage
        self._owner = threading.get_ident()
        self._token: AccessToken | None = None
        self._lock = threading.Lock()

    def bearer(self) -> str:
        with self._lock:
            if self._token is None or not self._token.fresh(timezone.now()):
                self._token = self._stored(rejected="")
            return self._token.value

    def renew(self, rejected: str) -> str:
        with self._lock:
            if self._token is None or self._token.value == rejected:
                self._token = self._stored(rejected=rejected)
            return self._token.value

    def _stored(self, *, rejected: str) -> AccessToken:
        try:
            with scope.tenant(self._connection.tenant_id):
                return token_fresh(self._connection, rejected=rejected, usage=self._usage)
        finally:
            if threading.get_ident() != self._owner:
                # A reading thread keeps no database connection of its own.
                database.close()


def client(connection: Connection, usage: Usage) -> tuple[Procountor, Transport]:
    """A reader of the connection's company; close the transport when done."""
    transport = Transport(
        settings.PROCOUNTOR_BASE_URL,
        StoredTokens(connection, usage),
        limiter=limiter(),
        usage=usage,
    )
    return Procountor(transport, api_path=settings.PROCOUNTOR_API_PATH), transport
