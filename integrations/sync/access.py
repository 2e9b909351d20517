"""The right to read one company: its stored secret, its access token, its client."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import datetime, timedelta

from django.conf import settings
from django.db import OperationalError, transaction
from django.db import connection as database
from django.utils import timezone

from calqsync.tenancy import scope
from calqsync.tenancy.secrets import Sealer, sealer
from calqsync.tenancy.services import token_hash
from integrations.models import Connection, Credential
from integrations.models.connections import GrantKind
from integrations.procountor.auth import AccessToken, ProcountorAuth, TokenPair
from integrations.procountor.errors import KeyRevoked, RenewalLost, TryLater
from integrations.procountor.limits import Limiter, Usage
from integrations.procountor.resources import Procountor
from integrations.procountor.transport import Timeouts, Transport
from integrations.sync import breaker, renewals
from integrations.sync.limiter import limiter

# Tokens are asked for with a lock on the credential's row, so the answer must come soon.
_TOKEN_TIMEOUTS = Timeouts(connect=5.0, read=10.0, whole=15.0)
# Longer than a call takes, so that whoever waits finds its result.
_LOCK_WAIT = "20s"
# A refresh token lives six months; a key that nothing uses is tried well before.
IDLE = timedelta(days=30)
REFRESH_LIFE = timedelta(days=180)
_LOCK_NOT_AVAILABLE = "55P03"
# Held from the question for new tokens until the answer is kept: who ends this process waits for
# it, for an old token that was traded and a new one that nobody kept end the connection.
renewing = threading.Lock()


def auth(
    *,
    held_by: Limiter | None = None,
    usage: Usage | None = None,
    now: Callable[[], datetime] = timezone.now,
) -> ProcountorAuth:
    """The OAuth side of this installation's API client; nothing may be asked without `held_by`."""
    return ProcountorAuth(
        settings.PROCOUNTOR_BASE_URL,
        client_id=settings.PROCOUNTOR_CLIENT_ID,
        client_secret=settings.PROCOUNTOR_CLIENT_SECRET,
        redirect_uri=settings.PROCOUNTOR_REDIRECT_URI,
        limiter=held_by,
        timeouts=_TOKEN_TIMEOUTS,
        usage=usage,
        now=now,
    )


def token_fresh(
    connection: Connection,
    *,
    rejected: str = "",
    anew: bool = False,
    interactive: bool = False,
    usage: Usage | None = None,
    now: Callable[[], datetime] = timezone.now,
) -> AccessToken:
    """An access token that should work now, stored before it is used.

    One caller at a time asks Procountor; the others find what it stored. A token equal to
    `rejected` counts as spent whatever its age, with `anew` any. Raises KeyRevoked without a
    credential, TryLater when another caller takes too long. Call with no transaction open.
    """
    held_by = limiter(tenant=connection.tenant_id, interactive=interactive)
    api = auth(held_by=held_by, usage=usage, now=now)
    try:
        for _ in range(3):
            _recover(connection)
            with breaker.watching(connection), transaction.atomic():
                token = _token(connection, rejected=rejected, anew=anew, api=api, now=now)
            if token is not None:
                return token
    except OperationalError as error:
        if getattr(error.__cause__, "pgcode", "") != _LOCK_NOT_AVAILABLE:
            raise
    raise TryLater("the key is being renewed elsewhere")


@transaction.atomic
def _recover(connection: Connection) -> None:
    """Store what an earlier caller got from Procountor and died with."""
    if not renewals.answers(connection).exists():
        return
    held = _held(connection)
    answer = renewals.answers(connection).first()
    if answer is None:
        return  # its caller lives, and has stored it meanwhile
    seal = sealer()
    secret = seal.open_text(bytes(held.secret), connection_id=connection.pk, field="secret")
    if answer.replaces == token_hash(secret):
        newer = seal.open_text(
            bytes(answer.secret), connection_id=connection.pk, field=renewals.FIELD
        )
        held.secret = seal.seal_text(newer, connection_id=connection.pk, field="secret")
        held.access_token = held.access_expires_at = None
        held.granted_at, held.end_told_at = answer.started_at, None
        held.save(
            update_fields=[
                *("secret", "access_token", "access_expires_at", "changed_at"),
                *("granted_at", "end_told_at"),
            ]
        )
    renewals.stored(connection)


def _held(connection: Connection) -> Credential:
    """The credential, locked until the transaction ends; raises KeyRevoked without one."""
    with database.cursor() as cursor:
        cursor.execute(f"SET LOCAL lock_timeout = '{_LOCK_WAIT}'")
    # Not the row's key: notes about a renewal refer to this connection meanwhile.
    rows = Credential.objects.select_for_update(no_key=True).filter(connection=connection)
    held: Credential | None = rows.first()
    if held is None:
        raise KeyRevoked("the connection has no stored key")
    return held


def _token(
    connection: Connection,
    *,
    rejected: str,
    anew: bool,
    api: ProcountorAuth,
    now: Callable[[], datetime],
) -> AccessToken | None:
    """As `token_fresh`; None when another caller's answer must be stored first."""
    held = _held(connection)
    seal = sealer()
    if held.access_token and held.access_expires_at and not anew:
        value = seal.open_text(
            bytes(held.access_token), connection_id=connection.pk, field="access_token"
        )
        stored = AccessToken(value, held.access_expires_at)
        if stored.fresh(now()) and value != rejected:
            return stored
    secret = seal.open_text(bytes(held.secret), connection_id=connection.pk, field="secret")
    fields = ["access_token", "access_expires_at", "changed_at"]
    if held.kind == GrantKind.REFRESH_TOKEN:
        if renewals.answers(connection).exists():
            return None
        with renewing:
            pair = _renewed(connection, secret, seal=seal, api=api, now=now)
        if pair is None:
            return None
        token = pair.access
        if pair.refresh_token != secret:
            held.secret = seal.seal_text(
                pair.refresh_token, connection_id=connection.pk, field="secret"
            )
            held.granted_at, held.end_told_at = now(), None
            fields += ["secret", "granted_at", "end_told_at"]
        renewals.stored(connection)
    else:
        token = api.token_from_key(secret)
    held.access_token = seal.seal_text(
        token.value, connection_id=connection.pk, field="access_token"
    )
    held.access_expires_at = token.good_until
    held.save(update_fields=fields)
    return token


def _renewed(
    connection: Connection,
    secret: str,
    *,
    seal: Sealer,
    api: ProcountorAuth,
    now: Callable[[], datetime],
) -> TokenPair | None:
    """Trade the refresh token for new ones; None when somebody was quicker."""
    earlier = renewals.unanswered(connection, of=secret)
    renewals.asked(connection, token=secret, now=now())
    try:
        pair = api.refresh(secret)
    except KeyRevoked as refusal:
        # Only a token that is still the newest one can be dead.
        if renewals.answers(connection).exists():
            return None
        if earlier is None:
            renewals.refused(connection)
            raise
        if now() - earlier.started_at < renewals.IN_FLIGHT:
            raise TryLater("the key is being renewed elsewhere", path=refusal.path) from None
        raise RenewalLost(refusal.detail, status=refusal.status, path=refusal.path) from None
    if pair.refresh_token != secret:
        sealed = seal.seal_text(
            pair.refresh_token, connection_id=connection.pk, field=renewals.FIELD
        )
        renewals.answered(connection, token=secret, sealed=sealed)
    return pair


def ends_at(held: Credential) -> datetime | None:
    """When the consent ends by itself; None for an API key, which has no end."""
    return held.granted_at + REFRESH_LIFE if held.kind == GrantKind.REFRESH_TOKEN else None


def idle(connection: Connection, *, now: datetime) -> bool:
    """Whether its key was used so long ago that Procountor might soon let it lapse."""
    old = Credential.objects.filter(connection=connection, changed_at__lt=now - IDLE)
    return bool(old.exists())


class StoredTokens:
    """The client's source of tokens, shared by the threads of one run.

    Most calls are answered from memory; the database decides when a token is old or refused.
    """

    def __init__(
        self,
        connection: Connection,
        usage: Usage,
        *,
        interactive: bool = False,
        now: Callable[[], datetime] = timezone.now,
    ) -> None:
        self._connection, self._usage = connection, usage
        self._interactive, self._now = interactive, now
        self._owner = threading.get_ident()
        self._token: AccessToken | None = None
        self._lock = threading.Lock()

    def bearer(self) -> str:
        with self._lock:
            if self._token is None or not self._token.fresh(self._now()):
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
                return token_fresh(
                    self._connection,
                    rejected=rejected,
                    interactive=self._interactive,
                    usage=self._usage,
                    now=self._now,
                )
        finally:
            if threading.get_ident() != self._owner:
                # A reading thread keeps no database connection of its own.
                database.close()


def client(
    connection: Connection, usage: Usage, *, interactive: bool = False
) -> tuple[Procountor, Transport]:
    """A reader of the connection's company; close the transport when done.

    With `interactive` its requests go before imports, because a person waits for them.
    """
    transport = Transport(
        settings.PROCOUNTOR_BASE_URL,
        StoredTokens(connection, usage, interactive=interactive),
        limiter=limiter(tenant=connection.tenant_id, interactive=interactive),
        usage=usage,
    )
    return Procountor(transport, api_path=settings.PROCOUNTOR_API_PATH), transport
