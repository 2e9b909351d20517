"""Whose books a consent opens: the calls to Procountor that connecting needs, and no others.

Call it with no transaction open: none may wait while Procountor thinks.

What is refused here was brought by a person, and may have been made for another client: it never
tells that our client is suspended. The next import does, with a key that worked before.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from django.conf import settings

from calqsync.tenancy import scope
from integrations.models.connections import Connection, GrantKind
from integrations.procountor import rights
from integrations.procountor.auth import AccessToken, ApiKey, Method
from integrations.procountor.errors import NotFound, RightMissing
from integrations.procountor.limits import Limiter, Usage
from integrations.procountor.resources import Procountor
from integrations.procountor.transport import Retries, StaticToken, Timeouts, Tokens, Transport
from integrations.sync.access import StoredTokens, auth
from integrations.sync.limiter import limiter

# What the connect page names as needed: English constants, translated when shown.
RIGHTS_NEEDED = rights.NEEDED

_LOGIN: dict[str, Method] = {GrantKind.API_KEY: "key", GrantKind.REFRESH_TOKEN: "code"}
# A person is waiting, so a slow answer is given up sooner than a worker would.
_TIMEOUTS = Timeouts(connect=5.0, read=15.0, whole=20.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Consent:
    """What Procountor gave us to keep, and a token to look around with right now."""

    kind: GrantKind
    secret: str = field(repr=False)
    token: AccessToken = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """The company behind a consent. `currency` is "" where the user may not see it."""

    company_id: str
    company_name: str
    business_id: str
    country: str
    currency: str
    rights: dict[str, Any]


def login_url(kind: str, *, state: str) -> str:
    """Procountor's own login, which sends the browser back with `state`."""
    return auth().authorize_url(_LOGIN[kind], state=state)


def consent_from_code(kind: str, code: str) -> Consent:
    """Trade the code of a callback; raises a ProcountorError."""
    api = auth(held_by=_seat())
    if kind == GrantKind.API_KEY:
        return consent_from_key(api.exchange_key(code).value)
    pair = api.exchange_code(code)
    return Consent(kind=GrantKind.REFRESH_TOKEN, secret=pair.refresh_token, token=pair.access)


def consent_from_key(key: str) -> Consent:
    """See that a key works; raises a ProcountorError."""
    token = auth(held_by=_seat()).token_from_key(ApiKey(key))
    return Consent(kind=GrantKind.API_KEY, secret=key, token=token)


def identify(consent: Consent) -> Identity:
    """Which company this is and what its user may not see; raises a ProcountorError."""
    with _reader(StaticToken(consent.token.value)) as client:
        return _identity(client)


def rights_now(connection: Connection) -> dict[str, Any]:
    """What the connection's user may not see today; raises a ProcountorError."""
    with _reader(StoredTokens(connection, Usage(), interactive=True)) as client:
        client.session(expect_company=int(connection.company_id))
        return _rights(client)


def _seat() -> Limiter:
    """A person waits: their requests go before imports."""
    return limiter(tenant=scope.required(), interactive=True)


@contextmanager
def _reader(tokens: Tokens) -> Iterator[Procountor]:
    transport = Transport(
        settings.PROCOUNTOR_BASE_URL,
        tokens,
        limiter=_seat(),
        timeouts=_TIMEOUTS,
        retries=Retries(most=1),
    )
    try:
        yield Procountor(transport, api_path=settings.PROCOUNTOR_API_PATH)
    finally:
        transport.close()


def _identity(client: Procountor) -> Identity:
    session = client.session()
    name, business_id, country, currency = session.name or "", "", session.country or "", ""
    try:
        company = client.company()
    except RightMissing:
        pass  # the session names the company; the gap is told with the rights
    else:
        name, country = company.name, company.country or country
        currency = company.company_currency or ""
        if company.business_identifier:
            business_id = company.business_identifier.code or ""
    return Identity(
        company_id=str(session.company_id),
        company_name=(name or str(session.company_id))[:200],
        business_id=business_id[:40],
        country=country[:60],
        currency=currency[:3],
        rights=_rights(client),
    )


def _rights(client: Procountor) -> dict[str, Any]:
    try:
        granted = client.rights()
    except (RightMissing, NotFound):
        return {}
    return {
        "role": granted.role or "",
        "gaps": [
            {"code": gap.code, "severity": gap.severity.value, "words": gap.words}
            for gap in rights.gaps(granted)
        ],
    }
