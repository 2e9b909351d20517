"""What a response means: a body, or one of the failures."""

import re
from collections.abc import Callable
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import msgspec
import requests
from urllib3.exceptions import ReadTimeoutError

from integrations.procountor.errors import (
    KeyRevoked,
    Nonsense,
    NotFound,
    OurFault,
    ProcountorError,
    RateLimited,
    RightMissing,
    TimedOut,
    TryLater,
)

# Two hundred invoices weigh well under a megabyte; this only stops a runaway answer.
LARGEST_BODY = 64 * 1024 * 1024
_CHUNK = 256 * 1024

_SECONDS = re.compile(r"\d{1,6}(\.\d+)?")


class _Complaint(msgspec.Struct):
    message: str | None = None
    field: str | None = None


class _Complaints(msgspec.Struct):
    """Procountor's envelope, and OAuth's own form, which its token address may use instead."""

    errors: list[_Complaint] | None = None
    error: str | None = None
    error_description: str | None = None
    message: str | None = None


def body_of(
    response: requests.Response, *, deadline: float, clock: Callable[[], float], path: str
) -> bytes:
    """The whole body, unless it takes too long or grows without end."""
    chunks: list[bytes] = []
    size = 0
    for chunk in response.iter_content(_CHUNK):
        chunks.append(chunk)
        size += len(chunk)
        if size > LARGEST_BODY:
            raise Nonsense("the answer has no end", status=response.status_code, path=path)
        if clock() > deadline:
            raise TimedOut("the answer took too long", path=path)
    return b"".join(chunks)


def check(response: requests.Response, body: bytes, *, path: str) -> None:
    """Return for a 200 that holds JSON; raise what anything else means."""
    status = response.status_code
    if status == 200:
        if body.lstrip()[:1] not in (b"{", b"["):
            raise Nonsense("the answer is not JSON", status=status, path=path)
        return
    raise failure_of(
        status, body, retry_after=seconds_asked(response.headers.get("Retry-After")), path=path
    )


def failure_of(
    status: int, body: bytes, *, retry_after: float | None, path: str
) -> ProcountorError:
    """The failure that a status stands for. Texts are never looked at, only carried along."""
    detail = complaint(body)
    if status == 429:
        return RateLimited(detail, retry_after=retry_after, status=status, path=path)
    if status >= 500 or status == 408:
        return TryLater(detail, retry_after=retry_after, status=status, path=path)
    if status == 401:
        return KeyRevoked(detail, status=status, path=path)
    if status == 403:
        return RightMissing(detail, status=status, path=path)
    if status in (404, 410):
        return NotFound(detail, status=status, path=path)
    if status < 400:
        return Nonsense("neither an answer nor an error", status=status, path=path)
    return OurFault(detail, status=status, path=path)


def as_failure(error: requests.RequestException, *, path: str) -> ProcountorError:
    """A request that got no answer. The text names the kind only: addresses may hold values."""
    if isinstance(error, requests.exceptions.SSLError):
        return OurFault("the server's certificate was refused", path=path)
    if isinstance(error, ValueError):
        return OurFault("a request that cannot be sent", path=path)
    if isinstance(error, requests.exceptions.TooManyRedirects):
        return Nonsense("a redirect", path=path)
    # A body that stops coming is reported as a connection error with the time-out inside.
    if isinstance(error, requests.Timeout) or any(
        isinstance(part, ReadTimeoutError) for part in error.args
    ):
        return TimedOut(f"no answer ({type(error).__name__})", path=path)
    return TryLater(f"no answer ({type(error).__name__})", path=path)


def complaint(body: bytes) -> str:
    """Procountor's own words, from either form; empty for a gateway's page."""
    try:
        said = msgspec.json.decode(body, type=_Complaints)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return ""
    if said.errors:
        return "; ".join(
            f"{one.field}: {one.message}" if one.field else one.message or "" for one in said.errors
        )
    return ": ".join(part for part in (said.error, said.error_description, said.message) if part)


def oauth_code(body: bytes) -> str:
    """OAuth's error code, such as `invalid_grant`; empty where the body has none."""
    try:
        return msgspec.json.decode(body, type=_Complaints).error or ""
    except (msgspec.DecodeError, UnicodeDecodeError):
        return ""


def seconds_asked(header: str | None) -> float | None:
    """`Retry-After` in seconds, whether it was a number or a date."""
    if header is None:
        return None
    header = header.strip()
    if _SECONDS.fullmatch(header):
        return float(header)
    try:
        until = parsedate_to_datetime(header)
    except ValueError:
        return None
    if until.tzinfo is None:
        until = until.replace(tzinfo=UTC)
    return max(0.0, (until - datetime.now(UTC)).total_seconds())
