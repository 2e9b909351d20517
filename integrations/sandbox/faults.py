"""Switches that make the sandbox misbehave the way the real service might."""

import re
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import urlencode

from integrations.sandbox.company import Company
from integrations.sandbox.errors import problem
from integrations.sandbox.http import Request, Response
from integrations.sandbox.render import decode, encode

KINDS = (
    *("status", "cut", "slow", "html", "body", "wrong_company", "not_allowed"),
    # Of lists: a page without its documents, or with the first half of them; the first page again
    # and again; fewer on a page than asked; no memory of a document to go on after that is gone.
    *("empty_page", "short_page", "repeat", "small_pages", "forgets"),
    # Something else happens just after the answer.
    "then",
)
_HTML = b"<!doctype html><html><body><h1>We will be back soon</h1></body></html>"


@dataclass(slots=True)
class Fault:
    """One misbehaviour: how often (`times`, None = until cleared) and on which paths.

    `after` skips that many matching requests first. `company` limits it to one company id.
    """

    kind: str
    times: int | None = 1
    path: str = ""
    after: int = 0
    company: int | None = None
    status: int = 429
    retry_after: str | None = None
    seconds: float = 1.0
    cut_at: int | None = None
    to_company: int | None = None
    body: str = ""
    size: int = 10
    do: Callable[[], object] | None = None
    hits: int = 0

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"unknown fault {self.kind!r}; known: {', '.join(KINDS)}")

    def takes(self, path: str, company: int | None) -> bool:
        """Whether this request is hit; counts it if so."""
        if self.times is not None and self.hits >= self.times:
            return False
        if self.company is not None and company != self.company:
            return False
        if self.path and not re.search(self.path, path):
            return False
        if self.after > 0:
            self.after -= 1
            return False
        self.hits += 1
        return True


@dataclass(slots=True)
class Faults:
    """The switches that are on."""

    active: list[Fault] = field(default_factory=list)

    def add(self, kind: str, **options: Any) -> Fault:
        fault = Fault(kind, **options)
        self.active.append(fault)
        return fault

    def clear(self) -> None:
        self.active.clear()

    def find(self, kind: str, path: str, company: int | None) -> Fault | None:
        for fault in self.active:
            if fault.kind == kind and fault.takes(path, company):
                return fault
        return None

    def instead(self, path: str, company: int | None) -> Response | None:
        """An answer that replaces the real one."""
        if fault := self.find("status", path, company):
            message = "Too many requests" if fault.status == 429 else "Service failure"
            answer = problem(fault.status, message)
            if fault.status >= 500:
                answer = Response(fault.status, _HTML, "text/html")
            if fault.retry_after is not None:
                answer.headers.append(("Retry-After", fault.retry_after))
            return answer
        if self.find("html", path, company):
            return Response(200, _HTML, "text/html")
        if fault := self.find("body", path, company):
            return Response(200, fault.body.encode())
        if self.find("not_allowed", path, company):
            return problem(403, "The usage of invoiceable API clients is not allowed")
        return None

    def bend(self, request: Request, path: str, company: Company) -> Request:
        """The request as a server understands it that pages badly."""
        asked = dict(request.params())
        if self.find("repeat", path, company.id):
            asked = {k: v for k, v in asked.items() if k not in {"previousId", "page"}}
        if fault := self.find("small_pages", path, company.id):
            asked["size"] = str(fault.size)
        previous = int(asked.get("previousId", 0))
        gone = previous and previous not in company.invoices.heads
        if gone and self.find("forgets", path, company.id):
            del asked["previousId"]
        return replace(request, query=urlencode(asked))

    def spoil(self, answer: Response, path: str, company: int | None) -> Response:
        """A real answer: parts of it lost, late, broken off, or the last before a change."""
        if self.find("empty_page", path, company):
            answer.body = _with_results(answer.body, lambda found: [])
        if self.find("short_page", path, company):
            answer.body = _with_results(answer.body, lambda found: found[: len(found) // 2])
        if fault := self.find("slow", path, company):
            answer.delay = fault.seconds
        if fault := self.find("cut", path, company):
            answer.cut_at = len(answer.body) // 2 if fault.cut_at is None else fault.cut_at
        if (fault := self.find("then", path, company)) and fault.do:
            fault.do()
        return answer


def _with_results(body: bytes, change: Callable[[list[Any]], list[Any]]) -> bytes:
    """A list's answer with other results under the same counts."""
    answer = decode(body)
    return encode({**answer, "results": change(answer.get("results", []))})


@dataclass(slots=True)
class Meter:
    """Counts requests over every sliding second, and refuses those above a limit if there is one.

    Every request counts, refused ones too.
    """

    limit: int | None = None
    window: deque[float] = field(default_factory=deque)
    most_in_a_second: int = 0
    violations: int = 0
    total: int = 0

    def admit(self, now: float) -> bool:
        window = self.window
        window.append(now)
        while window[0] <= now - 1.0:
            window.popleft()
        self.total += 1
        self.most_in_a_second = max(self.most_in_a_second, len(window))
        if self.limit is not None and len(window) > self.limit:
            self.violations += 1
            return False
        return True

    def reset(self) -> None:
        self.window.clear()
        self.most_in_a_second = self.violations = self.total = 0
