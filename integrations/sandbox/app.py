"""Takes a request apart: login pages, token endpoints, the API, the control endpoints."""

import re
import sys
import traceback
from collections import Counter, deque
from dataclasses import dataclass, field, replace

from integrations.sandbox import api, users
from integrations.sandbox.company import Company
from integrations.sandbox.errors import ApiError, gateway_refusal, problem
from integrations.sandbox.faults import Faults, Meter
from integrations.sandbox.http import InFlight, Request, Response
from integrations.sandbox.login import Login, page
from integrations.sandbox.oauth import OAuth
from integrations.sandbox.render import encode
from integrations.sandbox.tokens import ACCESS_SECONDS, Grant, Mint, Refused

_BASE = re.compile(r"/(?:(?:latest|supported|v2602)/)?api(/.*)")
_KEPT_REQUESTS = 200_000


@dataclass(frozen=True, slots=True)
class Settings:
    """Switches of a sandbox; every doubtful behaviour of the real service is one of them."""

    client_id: str = "calqsync"
    client_secret: str = "calqsync-secret"  # noqa: S105  (a demo value, no secret)
    redirect_uri: str | None = None
    max_rps: int | None = None
    retry_after: bool = False
    omit_empty_results: bool = False
    token_type: bool = False
    # A refresh token works once; its second use revokes it and all that came of it.
    rotate_refresh: bool = False
    latency: float = 0.0
    access_seconds: int = ACCESS_SECONDS
    control: bool = False


@dataclass(frozen=True, slots=True)
class Logged:
    """One request as it was answered; `time` is monotonic seconds."""

    time: float
    method: str
    path: str
    query: str
    status: int
    company: int | None = None


@dataclass(slots=True)
class App:
    """The whole sandbox behind one function of a request."""

    companies: dict[int, Company]
    settings: Settings
    mint: Mint
    login: Login
    oauth: OAuth
    faults: Faults = field(default_factory=Faults)
    meter: Meter = field(default_factory=Meter)
    busy: InFlight = field(default_factory=InFlight)
    log: deque[Logged] = field(default_factory=lambda: deque(maxlen=_KEPT_REQUESTS))
    control: "object | None" = None
    # The API client is not let in any more: "token" at the token addresses, "books" elsewhere,
    # "all" at both.
    suspended: str = ""

    def __call__(self, request: Request) -> Response:
        started = request.at
        company: list[int | None] = [None]
        try:
            response = self._route(request, started, company)
        except ApiError as error:
            response = problem(error.status, error.message, error.field)
        except Exception:  # the connection must get an answer, and the reader the reason
            traceback.print_exc(file=sys.stderr)
            response = problem(500, "The sandbox failed; see its log")
        self.log.append(
            Logged(
                started, request.method, request.path, request.query, response.status, company[0]
            )
        )
        return response

    def _route(self, request: Request, now: float, company: list[int | None]) -> Response:
        path = request.path
        if path in {"/login", "/keylogin"} and request.method in {"GET", "POST"}:
            return self.login(request)
        if path.startswith("/_sandbox/") and callable(self.control):
            answer: Response = self.control(request)
            return answer
        if path == "/" and request.method == "GET":
            names = ", ".join(c.name for c in self.companies.values())
            return page("Procountor sandbox", f"<p>Companies: {names}</p>")
        base = _BASE.fullmatch(path)
        if base is None:
            raise ApiError(404, "Not found")
        return self._api(request, base[1], now, company)

    def _refused(self, path: str) -> Response | None:
        """What a suspended API client gets to hear, whatever company it asks for."""
        if path.startswith("/oauth/"):
            refused = {"error": "invalid_client", "error_description": "The client is suspended"}
            return Response(401, encode(refused)) if self.suspended in {"token", "all"} else None
        return problem(403, "Forbidden") if self.suspended in {"books", "all"} else None

    def _api(self, request: Request, path: str, now: float, company: list[int | None]) -> Response:
        if not self.meter.admit(now):
            answer = problem(429, "Too many requests")
            if self.settings.retry_after:
                answer.headers.append(("Retry-After", "1"))
            return answer
        if request.method == "GET" and request.body:
            return gateway_refusal()
        if refused := self._refused(path):
            return refused
        if path == "/openapi.json":
            return Response(200, encode({"openapi": "3.0.1", "info": {"version": api.VERSION}}))
        grant = None if path.startswith("/oauth/") else self._grant(request)
        company[0] = grant.company_id if grant else None
        replaced = self.faults.instead(path, company[0])
        if replaced is not None:
            return replaced
        if grant is None:
            if path not in {"/oauth/token", "/oauth/key"}:
                raise ApiError(404, "Not found")
            answer = self.oauth(request, path)
        else:
            answer = self._resource(request, path, grant)
        answer.delay = self.settings.latency
        return self.faults.spoil(answer, path, company[0])

    def _grant(self, request: Request) -> Grant:
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not token:
            raise ApiError(401, "Missing access token")
        try:
            grant = self.mint.check(token, "access")
        except Refused as error:
            raise ApiError(401, str(error)) from error
        if grant.company_id not in self.companies:
            raise ApiError(401, "Invalid token")
        return grant

    def _resource(self, request: Request, path: str, grant: Grant) -> Response:
        wrong = self.faults.find("wrong_company", path, grant.company_id)
        if wrong is not None:
            others = [other for other in self.companies if other != grant.company_id]
            grant = replace(grant, company_id=wrong.to_company or others[0])
        user = users.by_id(grant.user_id)
        if user is None:
            raise ApiError(401, "Invalid token")
        found = self.companies[grant.company_id]
        if self.faults.active:
            request = self.faults.bend(request, path, found)
        call = api.Call(request, found, user, self.settings.omit_empty_results)
        return api.answer(call, path)

    def counts(self) -> dict[str, object]:
        """What has been asked so far, for tests and benchmarks."""
        paths = Counter(re.sub(r"\d[\d,]*", "{ids}", entry.path) for entry in self.log)
        return {
            "requests": self.meter.total,
            # From the first request to the last.
            "seconds": self.log[-1].time - self.log[0].time if self.log else 0.0,
            "max_in_a_second": self.meter.most_in_a_second,
            "violations": self.meter.violations,
            "max_in_flight": self.busy.most,
            "statuses": dict(Counter(str(entry.status) for entry in self.log)),
            "paths": dict(paths),
        }


def make_app(companies: list[Company], settings: Settings, *, issuer: str) -> App:
    """An app over those companies; tokens stay valid over restarts with the same client."""
    by_id = {company.id: company for company in companies}
    signing = f"sandbox:{settings.client_id}:{settings.client_secret}".encode()
    mint = Mint(signing, issuer, settings.client_id, access_seconds=settings.access_seconds)
    return App(
        by_id,
        settings,
        mint,
        Login(mint, by_id, settings.redirect_uri),
        OAuth(
            mint,
            settings.client_secret,
            settings.redirect_uri,
            settings.token_type,
            settings.rotate_refresh,
        ),
        meter=Meter(settings.max_rps),
    )
