"""One request at a time: time limits, retries, rate limit, and answers turned into failures.

Safe to share between threads: a connection serves one request at a time.
"""

import random
import re
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol
from urllib.parse import urlencode, urlsplit

import requests
from requests.adapters import HTTPAdapter
from requests.auth import AuthBase

from integrations.procountor import answers, redaction
from integrations.procountor.errors import (
    ClientSuspended,
    KeyRevoked,
    OurFault,
    ProcountorError,
    RateLimited,
    TimedOut,
    TryLater,
)
from integrations.procountor.limits import Limiter, NoLimit, Usage

_NUMBERS = re.compile(r"\d[\d,]*")
LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeouts:
    """Seconds: to connect, between two pieces of an answer, and for a whole answer."""

    connect: float = 5.0
    read: float = 60.0
    whole: float = 180.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Retries:
    """Quick repeats of a read inside one call; longer waits belong to the job."""

    most: int = 3
    first_wait: float = 0.3
    longest_wait: float = 5.0
    # Asked of every caller when a 429 names no time.
    pause_after_429: float = 2.0


class Tokens(Protocol):
    """Where access tokens come from."""

    def bearer(self) -> str:
        """A token that should work now."""
        ...

    def renew(self, rejected: str) -> str:
        """Another token than the one just refused, or the same one when there is no other."""
        ...


@dataclass(frozen=True, slots=True)
class StaticToken:
    """One token, used until it is refused."""

    value: str

    def __repr__(self) -> str:
        return "StaticToken([hidden])"

    def bearer(self) -> str:
        return self.value

    def renew(self, rejected: str) -> str:
        return self.value


class _Bearer(AuthBase):
    """As an auth object, so that a .netrc on the machine cannot replace it."""

    def __init__(self, token: str) -> None:
        self.token = token

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers["Authorization"] = f"Bearer {self.token}"
        return request


def checked_host(base_url: str) -> str:
    """The address without a trailing slash; plain http only for this machine."""
    parts = urlsplit(base_url)
    if parts.scheme not in {"http", "https"} or not parts.hostname or parts.username:
        raise ValueError(f"{base_url!r} is not the address of a server")
    if parts.query or parts.fragment or parts.path not in {"", "/"}:
        raise ValueError("the address of Procountor is a host, without a path")
    if parts.scheme == "http" and parts.hostname not in LOOPBACK:
        raise ValueError("Procountor is reached over https")
    return f"{parts.scheme}://{parts.netloc}"


def wait_before_retry(
    failure: ProcountorError, *, attempt: int, policy: Retries, luck: Callable[[], float]
) -> float | None:
    """Seconds to wait before the same read is sent again; None: the failure goes to the caller.

    This is the only place that decides. `attempt` counts from 0, `luck` gives 0..1.
    """
    if not isinstance(failure, TryLater) or isinstance(failure, RateLimited | ClientSuspended):
        return None
    # A time-out has already cost a minute, so it is tried once more and no oftener.
    if attempt >= (min(policy.most, 1) if isinstance(failure, TimedOut) else policy.most):
        return None
    wait = min(policy.first_wait * 2.0**attempt * (0.5 + luck()), policy.longest_wait)
    if failure.retry_after is None:
        return wait
    return failure.retry_after if failure.retry_after <= policy.longest_wait else None


class Transport:
    """Reads from one Procountor host.

    `get(path, query)` gives the bytes of a successful answer or raises a `ProcountorError`.
    """

    def __init__(
        self,
        base_url: str,
        tokens: Tokens,
        *,
        limiter: Limiter | None = None,
        timeouts: Timeouts | None = None,
        retries: Retries | None = None,
        usage: Usage | None = None,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
        luck: Callable[[], float] = random.random,
    ) -> None:
        self.host = checked_host(base_url)
        self.usage = usage or Usage()
        self._tokens = tokens
        self._limiter: Limiter = limiter or NoLimit()
        self._timeouts = timeouts or Timeouts()
        self._retries = retries or Retries()
        self._clock, self._sleep, self._luck = clock, sleep, luck
        # One request uses a session at a time, whichever thread it runs in.
        self._idle: deque[requests.Session] = deque()

    def get(self, path: str, query: Mapping[str, str] | None = None) -> bytes:
        """The body of a 200; `path` starts at the host and stays on it."""
        if not path.startswith("/") or path.startswith("//"):
            raise OurFault("a path starts with one slash", path=path)
        # Getting a token at all is no part of this request, nor of its repeats.
        self._tokens.bearer()
        renewed = False
        attempt = 0
        while True:
            token = ""
            try:
                with self._session() as session:
                    request, token = self._ready(session, path, query or {})
                    return self._once(session, request, path)
            except KeyRevoked:
                # Without a token of ours it is the key that was refused.
                if not token or renewed or self._tokens.renew(token) == token:
                    raise
                renewed = True
            except ProcountorError as failure:
                self._tell_limiter(failure)
                wait = wait_before_retry(
                    failure, attempt=attempt, policy=self._retries, luck=self._luck
                )
                if wait is None:
                    raise
                attempt += 1
                self.usage.add(retries=1, seconds_waited=wait)
                self._sleep(wait)

    def close(self) -> None:
        """Close the connections; a later call opens new ones."""
        while self._idle:
            self._idle.pop().close()

    def _ready(
        self, session: requests.Session, path: str, query: Mapping[str, str]
    ) -> tuple[requests.PreparedRequest, str]:
        """A request whose turn has come, to be sent at once, and its token, which is good now."""
        token = self._tokens.bearer()
        # Lists of ids keep their commas, as in the documentation: escaped, each is looked at anew
        # on the way out, which takes longer than everything else about the request.
        params = urlencode(query, safe=",")
        while True:
            redaction.remember(token)
            try:
                asked = requests.Request(
                    "GET", self.host + path, params=params, auth=_Bearer(token)
                )
                request = session.prepare_request(asked)
            except requests.RequestException as error:
                raise answers.as_failure(error, path=path) from None
            self.usage.add(seconds_waited=self._limiter.acquire())
            # It may have died while we waited; and asking for another one took our turn's time.
            newer = self._tokens.bearer()
            if newer == token:
                return request, token
            token = newer

    def _once(
        self, session: requests.Session, request: requests.PreparedRequest, path: str
    ) -> bytes:
        started = self._clock()
        self.usage.add(requests=1)
        try:
            options = session.merge_environment_settings(request.url, {}, True, None, None)
            with session.send(
                request,
                timeout=(self._timeouts.connect, self._timeouts.read),
                allow_redirects=False,
                **options,
            ) as response:
                self._limiter.answered(_NUMBERS.sub("", path))
                body = answers.body_of(
                    response, deadline=started + self._timeouts.whole, clock=self._clock, path=path
                )
                answers.check(response, body, path=path)
        except requests.RequestException as error:
            raise answers.as_failure(error, path=path) from None
        finally:
            self.usage.add(seconds_in_http=self._clock() - started)
        self.usage.add(bytes_received=len(body))
        return body

    def _tell_limiter(self, failure: ProcountorError) -> None:
        if isinstance(failure, RateLimited):
            self._limiter.penalise(failure.retry_after or self._retries.pause_after_429)
        elif isinstance(failure, TryLater) and failure.retry_after:
            self._limiter.penalise(failure.retry_after)

    @contextmanager
    def _session(self) -> Iterator[requests.Session]:
        try:
            session = self._idle.pop()
        except IndexError:
            session = new_session(self.host)
        try:
            yield session
        finally:
            self._idle.append(session)


def new_session(host: str) -> requests.Session:
    """A session that talks to `host` and to nothing else."""
    session = requests.Session()
    return restrict(session, host)


def restrict(session: requests.Session, host: str) -> requests.Session:
    """Only `host` can be reached, cookies are not kept, answers come uncompressed."""
    session.adapters.clear()
    session.mount(f"{host}/", HTTPAdapter(pool_connections=1, pool_maxsize=4, max_retries=0))
    # Proxies of the machine are for the way out, never for this machine itself.
    session.trust_env = urlsplit(host).hostname not in LOOPBACK
    session.headers.update({"Accept": "application/json", "Accept-Encoding": "identity"})
    session.max_redirects = 0
    return session
