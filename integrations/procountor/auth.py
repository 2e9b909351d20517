"""Both ways to Procountor's consent: an API key by key login, and an authorization code.

Credentials travel in the body of one address and never in a query, a log line or an error.
"""

import logging
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Literal
from urllib.parse import urlsplit

import msgspec
import requests
from oauthlib.oauth2 import BackendApplicationClient, OAuth2Error, WebApplicationClient
from requests.adapters import HTTPAdapter
from requests_oauthlib import OAuth2Session

from integrations.procountor import answers, redaction
from integrations.procountor.errors import (
    ClientsNotAllowed,
    ClientSuspended,
    CodeRefused,
    KeyRevoked,
    NeedsOwner,
    Nonsense,
    OurFault,
    RateLimited,
    RightMissing,
)
from integrations.procountor.limits import Limiter, NoLimit, Usage
from integrations.procountor.transport import LOOPBACK, Retries, Timeouts, checked_host, restrict

TOKEN_PATH = "/api/oauth/token"  # noqa: S105
KEY_PATH = "/api/oauth/key"
LOGIN: Mapping[str, str] = {"key": "/keylogin", "code": "/login"}

# Without a charset: Procountor refuses the header otherwise.
FORM = "application/x-www-form-urlencoded"

# OAuth's codes for a client that is set up wrongly, which no customer can mend.
OUR_CODES = frozenset({"invalid_client", "unauthorized_client", "invalid_request"})
# Of these, the codes by which Procountor refuses our client itself.
SUSPENDED_CODES = frozenset({"invalid_client", "unauthorized_client"})

Method = Literal["key", "code"]

# A token is renewed this long before its end, so that no request meets the end on its way; one
# that lives only seconds after half its life.
LEEWAY = 60.0
USUAL_LIFE = 3600.0
LONGEST_LIFE = 86400.0

# At debug level this logger writes whole token requests and answers.
logging.getLogger("requests_oauthlib.oauth2_session").setLevel(logging.INFO)


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A key for one user in one company; it has no end until someone removes it."""

    value: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class AccessToken:
    """A token and the time until which to use it: a little less than Procountor said."""

    value: str = field(repr=False)
    good_until: datetime

    def fresh(self, now: datetime) -> bool:
        return now < self.good_until


@dataclass(frozen=True, slots=True)
class TokenPair:
    """An access token and the refresh token to store: the one sent, unless a new one came."""

    access: AccessToken
    refresh_token: str = field(repr=False)


class _KeyAnswer(msgspec.Struct):
    api_key: str


class ProcountorAuth:
    """The OAuth side of one API client. `base_url` is the host, without a path.

    Every call raises a `ProcountorError`: `CodeRefused` for a code, `KeyRevoked` for a key or a
    refresh token, `ClientsNotAllowed` for a company that lets no clients in, `ClientSuspended`
    where our client itself is refused, `TryLater` for the rest that may pass.
    """

    def __init__(
        self,
        base_url: str,
        *,
        client_id: str,
        client_secret: str,
        redirect_uri: str,
        limiter: Limiter | None = None,
        timeouts: Timeouts | None = None,
        usage: Usage | None = None,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self.host = checked_host(base_url)
        self.client_id = client_id
        self.redirect_uri = redirect_uri
        self.usage = usage or Usage()
        self._secret = client_secret
        self._limiter: Limiter = limiter or NoLimit()
        self._timeouts = timeouts or Timeouts(read=30.0)
        self._now = now
        redaction.remember(client_secret)

    def authorize_url(self, method: Method, *, state: str) -> str:
        """Where to send the browser: key login (`key`) or authorization code (`code`)."""
        with self._session(WebApplicationClient(self.client_id)) as session:
            url, _ = session.authorization_url(secured(self.host) + LOGIN[method], state=state)
        return self.host + str(url).removeprefix(secured(self.host))

    def exchange_key(self, code: str) -> ApiKey:
        """The API key for a code from key login."""
        redaction.remember(code)
        client = WebApplicationClient(self.client_id)
        body = client.prepare_request_body(
            code=code,
            redirect_uri=self.redirect_uri,
            include_client_id=True,
            client_secret=self._secret,
        )
        with self._session(client) as session:
            response = session.post(
                secured(self.host) + KEY_PATH,
                data=body,
                headers={"Content-Type": FORM},
                withhold_token=True,
            )
        self._judge(response, path=KEY_PATH, spent=CodeRefused)
        try:
            key = msgspec.json.decode(response.content, type=_KeyAnswer).api_key
        except (msgspec.DecodeError, UnicodeDecodeError):
            raise Nonsense("an answer without a key", path=KEY_PATH) from None
        redaction.remember(key)
        return ApiKey(key)

    def exchange_code(self, code: str) -> TokenPair:
        """The tokens for a code from the authorization-code login."""
        redaction.remember(code)
        answer = self._fetch(WebApplicationClient(self.client_id), spent=CodeRefused, code=code)
        refresh_token = answer.get("refresh_token")
        if not isinstance(refresh_token, str) or not refresh_token:
            raise Nonsense("an answer without a refresh token", path=TOKEN_PATH)
        return TokenPair(self._access(answer), refresh_token)

    def token_from_key(self, api_key: ApiKey | str) -> AccessToken:
        """An access token for the company of the key."""
        value = api_key.value if isinstance(api_key, ApiKey) else api_key
        redaction.remember(value)
        client = BackendApplicationClient(self.client_id)
        return self._access(self._fetch(client, spent=KeyRevoked, api_key=value))

    def refresh(self, refresh_token: str) -> TokenPair:
        """A new access token; store the pair's refresh token, it may have been replaced."""
        redaction.remember(refresh_token)
        with self._session(WebApplicationClient(self.client_id)) as session:
            self._hook(session, "refresh_token_response", spent=KeyRevoked)
            with _understood():
                answer = session.refresh_token(
                    secured(self.host) + TOKEN_PATH,
                    refresh_token=refresh_token,
                    client_id=self.client_id,
                    client_secret=self._secret,
                )
        return TokenPair(self._access(answer), str(answer["refresh_token"]))

    def _fetch(
        self,
        client: WebApplicationClient | BackendApplicationClient,
        *,
        spent: type[NeedsOwner],
        **grant: str,
    ) -> dict[str, Any]:
        with self._session(client) as session:
            self._hook(session, "access_token_response", spent=spent)
            with _understood():
                answer = session.fetch_token(
                    secured(self.host) + TOKEN_PATH,
                    include_client_id=True,
                    client_secret=self._secret,
                    **grant,
                )
        return dict(answer)

    def _session(self, client: WebApplicationClient | BackendApplicationClient) -> "_TokenSession":
        session = _TokenSession(
            client, self.redirect_uri, self._limiter, self._timeouts, self.usage
        )
        restrict(session, self.host)
        if secured(self.host) != self.host:
            session.mount(f"{secured(self.host)}/", _LoopbackAdapter(max_retries=0))
        return session

    def _hook(self, session: "_TokenSession", name: str, *, spent: type[NeedsOwner]) -> None:
        def judge(response: requests.Response) -> requests.Response:
            self._judge(response, path=TOKEN_PATH, spent=spent)
            return response

        session.register_compliance_hook(name, judge)

    def _judge(self, response: requests.Response, *, path: str, spent: type[NeedsOwner]) -> None:
        """Tell a spent code or key from a closed company and from our own mistake.

        The bodies of these addresses are not documented, so both known forms are read, and the
        status decides where there is no OAuth error code.
        """
        try:
            answers.check(response, response.content, path=path)
        except RateLimited as failure:
            self._limiter.penalise(failure.retry_after or Retries().pause_after_429)
            raise
        except RightMissing as failure:
            if answers.oauth_code(response.content) in SUSPENDED_CODES:
                raise ClientSuspended(failure.detail, status=403, path=path) from None
            raise ClientsNotAllowed(failure.detail, status=403, path=path) from None
        except (KeyRevoked, OurFault) as failure:
            code = answers.oauth_code(response.content)
            if code in SUSPENDED_CODES:
                raise ClientSuspended(failure.detail, status=failure.status, path=path) from None
            if code == "invalid_grant" or (failure.status == 401 and code not in OUR_CODES):
                raise spent(failure.detail, status=failure.status, path=path) from None
            raise OurFault(failure.detail, status=failure.status, path=path) from None

    def _access(self, answer: Mapping[str, Any]) -> AccessToken:
        value = answer.get("access_token")
        if not isinstance(value, str) or not value:
            raise Nonsense("an answer without a token", path=TOKEN_PATH)
        redaction.remember(value)
        try:
            life = min(float(answer.get("expires_in") or USUAL_LIFE), LONGEST_LIFE)
        except (TypeError, ValueError):
            life = USUAL_LIFE
        return AccessToken(value, self._now() + timedelta(seconds=max(life - LEEWAY, life / 2)))


def secured(host: str) -> str:
    """The host as the OAuth library wants to see it.

    The library refuses plain http even to this machine, and its switch for that is for the whole
    process. `checked_host` lets http through for this machine only, so the library is shown https
    and `_LoopbackAdapter` undoes it on the way out.
    """
    return host.replace("http://", "https://", 1)


class _LoopbackAdapter(HTTPAdapter):
    def send(self, request: requests.PreparedRequest, *args: Any, **kw: Any) -> requests.Response:
        address = request.url or ""
        if urlsplit(address).hostname not in LOOPBACK:
            raise OurFault("plain http is for this machine only")
        request.url = address.replace("https://", "http://", 1)
        return super().send(request, *args, **kw)


class _TokenSession(OAuth2Session):  # type: ignore[misc]
    """The library's session with a time limit, no redirects, and its requests counted."""

    def __init__(
        self,
        client: WebApplicationClient | BackendApplicationClient,
        redirect_uri: str,
        limiter: Limiter,
        timeouts: Timeouts,
        usage: Usage,
    ) -> None:
        super().__init__(client=client, redirect_uri=redirect_uri)
        self._limiter, self._timeouts, self._usage = limiter, timeouts, usage

    def request(self, method: str, url: str, **kw: Any) -> requests.Response:
        self._usage.add(seconds_waited=self._limiter.acquire(), requests=1)
        kw |= {
            "timeout": (self._timeouts.connect, self._timeouts.read),
            "allow_redirects": False,
        }
        started = time.monotonic()
        try:
            response: requests.Response = super().request(method, url, **kw)
            self._limiter.answered(urlsplit(url).path)
        except requests.RequestException as error:
            raise answers.as_failure(error, path=urlsplit(url).path) from None
        finally:
            self._usage.add(seconds_in_http=time.monotonic() - started)
        self._usage.add(bytes_received=len(response.content))
        return response


@contextmanager
def _understood() -> Iterator[None]:
    """A 200 that holds no token is nonsense; the library's own words may quote it, so drop them."""
    try:
        yield
    except (OAuth2Error, KeyError, TypeError, ValueError, AttributeError) as error:
        raise Nonsense(
            f"an answer without a token ({type(error).__name__})", path=TOKEN_PATH
        ) from None
