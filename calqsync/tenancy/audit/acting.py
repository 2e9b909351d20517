"""From where, and on whose behalf, the running code acts: what each audit row takes along.

The door of each request fills it once, so that no caller of `services.audit` has to carry it.
Background work has no address.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, replace

from allauth.account.adapter import get_adapter
from django.core.exceptions import ImproperlyConfigured, PermissionDenied
from django.http import HttpRequest, HttpResponse

from calqsync.tenancy.models import User


@dataclass(frozen=True, slots=True)
class Acting:
    """The caller's address, and for support staff the person on whose behalf they look in."""

    address: str | None = None
    on_behalf_of: User | None = None


_NOBODY = Acting()
_acting: ContextVar[Acting] = ContextVar("calqsync_acting", default=_NOBODY)


def current() -> Acting:
    """What is known about the caller; empty in background work."""
    return _acting.get()


@contextmanager
def on_behalf_of(person: User | None) -> Iterator[None]:
    """Everything audited in the with-block names this person beside the one who acts."""
    before = _acting.set(replace(current(), on_behalf_of=person))
    try:
        yield
    finally:
        _acting.reset(before)


class ActingMiddleware:
    """Makes the caller's address known for the length of a request."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        before = _acting.set(Acting(address=client_address(request)))
        try:
            return self.get_response(request)
        finally:
            _acting.reset(before)


def client_address(request: HttpRequest) -> str | None:
    """The client's address as rate limits see it, too: proxies count only if they are trusted."""
    try:
        return str(get_adapter(request).get_client_ip(request))
    except (PermissionDenied, ImproperlyConfigured):
        return None  # a socket without an address, or fewer proxies than the settings promise
