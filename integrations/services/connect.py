"""The walk to Procountor's login and back, up to the page that asks for a name.

One row a walk. It is single use, lives ten minutes, and belongs to one person in one browser
session for one company: a callback that misses any of these is refused before its code is
exchanged. Nothing is connected until the person has seen which company this is.
"""

from __future__ import annotations

import hmac
import secrets as tokens
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from django.db.models import Q
from django.utils.translation import gettext as _

from billing.services import require_import, trial_spend
from calqsync.tenancy import scope
from calqsync.tenancy.models import Membership, Role, Tenant, User
from calqsync.tenancy.secrets import SecretUnreadable, sealer
from calqsync.tenancy.services import audit, token_hash
from integrations.models import ConnectFlow, Connection, Credential, TokenRenewal
from integrations.procountor.errors import KeyRevoked, ProcountorError
from integrations.services import identity, runs
from integrations.services.names import clean_name
from integrations.services.refusals import (
    AlreadyConnected,
    BeingDeleted,
    CompanyLeaving,
    ConnectionGone,
    KeyNotAccepted,
    NotYourWalk,
    OtherCompany,
    RemoteRefused,
    RoleLost,
    WalkOver,
)
from integrations.sync import trouble

FLOW_LIFE = timedelta(minutes=10)
# How long the confirm page stays good after the login.
CONFIRM_LIFE = timedelta(minutes=30)
MIN_ROLE = Role.ADMIN
FLOW_SECRET = "connect_flow.secret"  # noqa: S105 - a field's name


@dataclass(frozen=True, slots=True, kw_only=True)
class Started:
    """Where to send the browser."""

    flow: ConnectFlow
    url: str = field(repr=False)


@transaction.atomic
def require_staying() -> None:
    """Raise CompanyLeaving while the tenant in scope waits for its deletion."""
    if Tenant.objects.only("deletes_at").get(pk=scope.required()).deletes_at is not None:
        raise CompanyLeaving


@transaction.atomic
def connect_start(
    *, kind: str, connection: Connection | None, browser: str, by: User, now: datetime
) -> Started:
    """Begin a walk to Procountor's login; raises CompanyLeaving, or PlanNeeded after the plan.

    `connection` is the one to authorise anew. `browser` is a secret of this browser session;
    the callback must bring the same.
    """
    require_staying()
    require_import(now=now)
    state = tokens.token_urlsafe(32)
    flow = _new_flow(kind=kind, connection=connection, browser=browser, state=state, by=by, now=now)
    return Started(flow=flow, url=identity.login_url(kind, state=state))


@transaction.atomic
def connect_by_key(
    *, connection: Connection | None, browser: str, by: User, now: datetime
) -> ConnectFlow:
    """Begin a walk that needs no login, for a key made in Procountor; raises as `connect_start`."""
    require_staying()
    require_import(now=now)
    state = tokens.token_urlsafe(32)
    flow = _new_flow(
        kind="api_key", connection=connection, browser=browser, state=state, by=by, now=now
    )
    flow.used_at = now
    flow.save(update_fields=["used_at"])
    return flow


def _new_flow(
    *, kind: str, connection: Connection | None, browser: str, state: str, by: User, now: datetime
) -> ConnectFlow:
    # Walks that nobody finished hold secrets that nobody needs.
    ConnectFlow.objects.filter(expires_at__lt=now - CONFIRM_LIFE).delete()
    flow: ConnectFlow = ConnectFlow.objects.create(
        user=by,
        state_hash=token_hash(state),
        browser_hash=token_hash(browser),
        method=kind,
        connection=connection,
        expires_at=now + FLOW_LIFE,
    )
    return flow


@transaction.atomic
def callback_claim(*, state: str, browser: str, user: User, now: datetime) -> ConnectFlow:
    """The walk that this callback ends, for the first caller only; raises ConnectRefused.

    The tenant is not in the address: it is the one in which this person started the walk.
    """
    hashed = token_hash(state)
    with scope.user(user.pk), scope.token(hashed):
        flow = ConnectFlow.unscoped.filter(state_hash=hashed).first()
        if flow is None or flow.user_id != user.pk:
            raise NotYourWalk
        if not browser or not hmac.compare_digest(flow.browser_hash, token_hash(browser)):
            raise NotYourWalk
        member = Membership.unscoped.filter(user=user, tenant_id=flow.tenant_id).first()
        if member is None:
            raise NotYourWalk
        if not member.may(MIN_ROLE):
            raise RoleLost
        with scope.tenant(flow.tenant_id):
            won = ConnectFlow.objects.filter(pk=flow.pk, used_at=None, expires_at__gt=now)
            if not won.update(used_at=now):
                raise WalkOver
    flow.used_at = now
    return flow


def callback_finish(*, flow: ConnectFlow, code: str) -> ConnectFlow:
    """Trade the code and learn whose books it opens; raises ConnectRefused.

    Call with the walk's tenant in scope and no transaction open: Procountor is asked meanwhile.
    """
    require_staying()
    try:
        consent = identity.consent_from_code(flow.method, code)
        found = identity.identify(consent)
    except ProcountorError as failure:
        raise RemoteRefused(failure, given=True) from None
    return _learnt(flow, consent, found)


def key_finish(*, flow: ConnectFlow, key: str) -> ConnectFlow:
    """As `callback_finish`, for a key made in Procountor."""
    try:
        consent = identity.consent_from_key(key)
        found = identity.identify(consent)
    except KeyRevoked as failure:
        raise KeyNotAccepted(failure) from None
    except ProcountorError as failure:
        raise RemoteRefused(failure, given=True) from None
    return _learnt(flow, consent, found)


@transaction.atomic
def _learnt(flow: ConnectFlow, consent: identity.Consent, found: identity.Identity) -> ConnectFlow:
    flow.company_id, flow.company_name = found.company_id, found.company_name
    flow.business_id, flow.country = found.business_id, found.country
    flow.currency = (
        found.currency or Tenant.objects.only("currency").get(pk=flow.tenant_id).currency
    )
    flow.rights = found.rights
    _refuse_wrong_company(flow)
    flow.secret = sealer().seal_text(consent.secret, connection_id=flow.pk, field=FLOW_SECRET)
    flow.save(
        update_fields=[
            *("company_id", "company_name", "business_id", "country", "currency", "rights"),
            "secret",
        ]
    )
    return flow


def _refuse_wrong_company(flow: ConnectFlow) -> None:
    expected = flow.connection
    leaving = Connection.objects.filter(company_id=flow.company_id).exclude(deleting_at=None)
    if leaving.exists() or (expected is not None and expected.deleting_at is not None):
        raise BeingDeleted(company_words(flow.company_name, flow.business_id))
    if expected is not None:
        if expected.company_id != flow.company_id:
            raise OtherCompany(
                name=expected.name,
                expected=company_words(expected.company_name, expected.business_id),
                found=company_words(flow.company_name, flow.business_id),
            )
        return
    taken = Connection.objects.filter(company_id=flow.company_id, disconnected_at=None).first()
    if taken is not None:
        company = company_words(flow.company_name, flow.business_id)
        raise AlreadyConnected(company, taken.name)


def company_words(name: str, business_id: str) -> str:
    """The company as people know it: name and business id."""
    return f"{name} ({business_id})" if business_id else name


def earlier_connection(flow: ConnectFlow) -> Connection | None:
    """The connection that this walk continues: the one named, or one whose data was kept."""
    if flow.connection is not None:
        return flow.connection
    found: Connection | None = Connection.objects.filter(company_id=flow.company_id).first()
    return found


def _earlier_held(flow: ConnectFlow) -> Connection | None:
    """`earlier_connection` as it is now, which nobody deletes before this transaction ends.

    Raises BeingDeleted or ConnectionGone for a named one whose data goes or went. It is locked
    before the walk, as in disconnecting, so that none of the two waits for the other.
    """
    rows = Connection.objects.select_for_update(no_key=True)
    if flow.connection_id is None:
        return rows.filter(company_id=flow.company_id).first()
    found = rows.filter(pk=flow.connection_id).first()
    company = company_words(flow.company_name, flow.business_id)
    if found is None:
        raise ConnectionGone(company)
    if found.deleting_at is not None:
        raise BeingDeleted(company)
    return found


def flow_to_confirm(*, public_id: object, by: User, now: datetime) -> ConnectFlow | None:
    """This person's walk that waits for its name; None when over, unknown or someone else's."""
    found: ConnectFlow | None = (
        ConnectFlow.objects.select_related("connection")
        .filter(_waiting(now), public_id=public_id, user=by)
        .first()
    )
    return found


def _waiting(now: datetime) -> Q:
    return Q(confirmed_at=None, secret__isnull=False, used_at__gt=now - CONFIRM_LIFE)


@transaction.atomic
def connect_confirm(*, flow: ConnectFlow, name: str, by: User, now: datetime) -> Connection:
    """Make the connection and start its import.

    Raises ConnectRefused, PlanNeeded, or ValidationError for a name that is taken or empty.
    """
    require_staying()
    require_import(now=now)
    earlier = _earlier_held(flow)
    mine = ConnectFlow.objects.filter(_waiting(now), pk=flow.pk, user=by)
    if not mine.update(confirmed_at=now):
        raise WalkOver
    _refuse_wrong_company(flow)
    name = clean_name(name, but=earlier)
    try:
        secret = sealer().open_text(
            bytes(flow.secret or b""), connection_id=flow.pk, field=FLOW_SECRET
        )
    except SecretUnreadable as failure:
        raise RemoteRefused(failure) from None
    connection = earlier or Connection(tenant_id=flow.tenant_id, created_by=by)
    described = _describe(connection, flow, name=name, now=now)
    try:
        with transaction.atomic():
            # An import that ended since this row was read keeps what it wrote.
            connection.save(update_fields=described if earlier else None)
    except IntegrityError:
        # Another tab was quicker with this name or this company.
        _refuse_wrong_company(flow)
        raise ValidationError(_("This name is taken. Choose another one.")) from None
    if earlier is None:
        trial_spend(books=f"procountor:{flow.company_id}", by=by, now=now)
    _store_credential(connection, kind=flow.method, secret=secret)
    ConnectFlow.objects.filter(pk=flow.pk).update(secret=None, connection=connection)
    audit(
        act="connection.reconnected" if earlier else "connection.created",
        by=by,
        target=connection.name,
        after={
            "company": company_words(connection.company_name, connection.business_id),
            "connection": str(connection.public_id),
        },
    )
    runs.sync_request(connection=connection, by=by, now=now)
    return connection


def _describe(connection: Connection, flow: ConnectFlow, *, name: str, now: datetime) -> list[str]:
    """Set what a walk tells of its company; the columns that it set."""
    facts = {
        "name": name,
        "company_id": flow.company_id,
        "company_name": flow.company_name,
        "business_id": flow.business_id,
        "country": flow.country,
        "currency": flow.currency,
        "rights": flow.rights,
        "rights_read_at": now,
        "disconnected_at": None,
        **trouble.CLEAR,
    }
    for column, value in facts.items():
        setattr(connection, column, value)
    return list(facts)


def _store_credential(connection: Connection, *, kind: str, secret: str) -> None:
    sealed = sealer().seal_text(secret, connection_id=connection.pk, field="secret")
    credential_destroy(connection)
    Credential.objects.create(connection=connection, kind=kind, secret=sealed)


def credential_destroy(connection: Connection) -> None:
    """Delete the key, its tokens, and what a broken-off renewal left; needs a transaction."""
    Credential.objects.filter(connection=connection).delete()
    TokenRenewal.objects.filter(connection=connection).delete()


@transaction.atomic
def connect_discard(*, flow: ConnectFlow, by: User) -> None:
    """Drop a walk on its last page; what Procountor gave us is destroyed."""
    audit(act="connection.discarded", by=by, target=flow.company_name)
    flow.delete()
