"""Stops every call to Procountor at once when it refuses our API client itself.

The state is a row (`ClientSuspension`), so it survives restarts; each process looks at it about
once a second. Evidence that does not name the client (one company after another refused) is
gathered in Valkey and only ever closes the door; staff alone opens it again.
"""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from functools import lru_cache
from uuid import UUID

import redis
import structlog
from django.conf import settings
from django.db import connection as database
from django.db import transaction
from django.utils import timezone
from redis.backoff import NoBackoff
from redis.retry import Retry

from calqsync.tenancy import mails, scope
from calqsync.tenancy.models import User
from integrations.models import ClientSuspension, Connection
from integrations.procountor.errors import (
    ClientsNotAllowed,
    ClientSuspended,
    KeyRevoked,
    RenewalLost,
)

log = structlog.get_logger(__name__)

LETTER = "client_suspended"
# How old a process's knowledge may be.
LOOK_EVERY = 1.0
# When a waiting import looks whether the way is open again; spread from half to one and a half.
LOOK_AGAIN = timedelta(minutes=10)
# So many companies refused, of so many tenants, within so long and none let in between.
COMPANIES, TENANTS, WITHIN_SECONDS = 3, 2, 1800
# And not all in one moment: somebody with a few companies of their own cannot keep the others,
# which are let in all the time, from being asked for so long.
SPREAD_SECONDS = 300


def client_name() -> str:
    """Our API client at this host, in a form that tells nothing of it."""
    name = f"{settings.PROCOUNTOR_BASE_URL}\n{settings.PROCOUNTOR_CLIENT_ID}"
    return hashlib.sha256(name.encode()).hexdigest()[:16]


class _Door:
    """What this process knows about the row, at most LOOK_EVERY old."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._lock, self._clock = threading.Lock(), clock
        self._looked: dict[str, tuple[float, bool]] = {}

    def shut(self) -> bool:
        name = client_name()
        with self._lock:
            at, shut = self._looked.get(name, (-LOOK_EVERY, False))
            if self._clock() - at >= LOOK_EVERY:
                shut = standing_suspension() is not None
                self._looked[name] = (self._clock(), shut)
            return shut

    def forget(self) -> None:
        with self._lock:
            self._looked.clear()


door = _Door()


def refuse_while_suspended() -> None:
    """Raise ClientSuspended while a suspension stands: called before every single request."""
    if door.shut():
        raise ClientSuspended("stopped until our staff opens the way again")


def standing_suspension() -> ClientSuspension | None:
    """The suspension that stands, if there is one."""
    # A reading thread has no connection of its own and keeps none.
    borrowed = database.connection is None
    try:
        with transaction.atomic():
            rows = ClientSuspension.objects.filter(client=client_name(), ended_at=None)
            found: ClientSuspension | None = rows.first()
            return found
    finally:
        if borrowed:
            database.close()


@transaction.atomic
def suspend(
    *, reason: str, detail: str, now: datetime, witnesses: Sequence[UUID | str] = ()
) -> bool:
    """Stop all calls of all processes; whether this caller is the one who found out.

    `witnesses` are the public ids of the connections at which it was noticed. Our staff is alerted
    once however many notice. Call with no transaction open: whatever the caller was doing is about
    to fail, and this must last.
    """
    made = ClientSuspension(
        client=client_name(), reason=reason, detail=detail, found_at=now, witnesses=list(witnesses)
    )
    ClientSuspension.objects.bulk_create([made], ignore_conflicts=True)
    mine = ClientSuspension.objects.filter(client=client_name(), ended_at=None, found_at=now)
    door.forget()
    first = bool(mine.exists())
    if first:
        log.critical("procountor.client_suspended", reason=reason, detail=detail)
        # Mails travel with a tenant's jobs: with those of whoever noticed.
        if settings.OPERATOR_EMAIL and scope.current() is not None:
            mails.post(letter=LETTER, about=str(mine.get().pk))
    return first


@transaction.atomic
def lift(*, by: User, because: str, ticket: str, now: datetime) -> bool:
    """Let calls leave again; whether there was a suspension to end.

    Waiting imports come back by themselves, spread over a quarter of an hour.
    """
    standing = ClientSuspension.objects.filter(client=client_name(), ended_at=None)
    ended = standing.update(
        ended_at=now, ended_by=by, ended_because=because[:300], ended_ticket=ticket[:60]
    )
    _forget_refusals()
    door.forget()
    if ended:
        log.warning("procountor.client_opened_again", ticket=ticket)
    return bool(ended)


@contextmanager
def watching(connection: Connection) -> Iterator[None]:
    """Close the door when what happens inside learns from Procountor that our client is out.

    `connection` is whose call it is, kept as the witness.
    """
    try:
        yield
    except ClientSuspended as failure:
        if failure.status is not None:
            suspend(
                reason="client",
                detail=str(failure)[:300],
                now=timezone.now(),
                witnesses=[connection.public_id],
            )
        raise


@contextmanager
def first_call(connection: Connection) -> Iterator[None]:
    """Around the first call of a run: one company after another refused is our client refused.

    Raises ClientSuspended instead of the refusal when this one is the last that was missing. A
    company that was refused before is so at each daily try, which says nothing about us.
    """
    before = connection.trouble_kind in (ClientsNotAllowed.kind, KeyRevoked.kind, RenewalLost.kind)
    try:
        with watching(connection):
            yield
    except (ClientsNotAllowed, KeyRevoked) as failure:
        # Without a status it was not Procountor who refused.
        if before or failure.status is None:
            raise
        refused = _all_refused(connection)
        if not refused:
            raise
        detail = f"{len(refused)} companies in a row, last {failure}"[:300]
        suspend(reason="companies", detail=detail, now=timezone.now(), witnesses=refused)
        raise ClientSuspended(failure.detail, status=failure.status, path=failure.path) from None
    else:
        _forget_refusals()


@lru_cache(maxsize=2)
def _server(url: str) -> redis.Redis:
    return redis.Redis.from_url(
        url, socket_timeout=1.0, socket_connect_timeout=1.0, retry=Retry(NoBackoff(), 0)
    )


def _key() -> str:
    return f"procountor:{{{client_name()}}}:refused_at"


def _all_refused(connection: Connection) -> list[str]:
    """The connections refused lately, this one last, where they are enough to mean our client.

    Empty where they are too few, and without Valkey.
    """
    try:
        pipe = _server(settings.REDIS_URL).pipeline()
        now = time.time()
        pipe.zadd(_key(), {f"{connection.tenant_id}:{connection.public_id}": now})
        pipe.zremrangebyscore(_key(), "-inf", now - WITHIN_SECONDS)
        pipe.zrange(_key(), 0, -1, withscores=True)
        pipe.expire(_key(), WITHIN_SECONDS)
        refused = {member.decode(): at for member, at in pipe.execute()[2]}
    except redis.RedisError as error:
        log.warning("breaker.evidence_lost", error=type(error).__name__)
        return []
    named = [member.partition(":") for member in refused]
    tenants = {tenant for tenant, _, _ in named}
    lasted = now - min(refused.values())
    enough = len(refused) >= COMPANIES and len(tenants) >= TENANTS and lasted >= SPREAD_SECONDS
    return [public_id for _, _, public_id in named] if enough else []


def _forget_refusals() -> None:
    try:
        _server(settings.REDIS_URL).delete(_key())
    except redis.RedisError as error:
        log.warning("breaker.evidence_lost", error=type(error).__name__)
