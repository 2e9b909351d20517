"""Sessions that a copy of the database does not give away: neither what they hold nor their use.

What a session holds is sealed, and its cookie is its key with our signature: a key that was read
in a dump signs nobody in. Both come from SECRET_KEY, which is not in the database; what a key of
SECRET_KEY_FALLBACKS sealed or signed is accepted as well. A session that cannot be opened is empty,
and a cookie without the signature none: its owner signs in again.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from cryptography.fernet import Fernet, MultiFernet
from django.conf import settings
from django.contrib.sessions.backends.db import SessionStore as DatabaseStore
from django.contrib.sessions.middleware import SessionMiddleware
from django.core.signing import BadSignature, JSONSerializer, Signer
from django.db import connection
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.utils.crypto import salted_hmac
from django.utils.http import urlsafe_base64_encode

_SALT = "calqsync.session.cookie"
_LIVE = "SELECT session_data FROM django_session WHERE session_key = %s AND expire_date > %s"


class SignedSessionMiddleware(SessionMiddleware):
    """Django's sessions under a signed cookie."""

    def process_request(self, request: HttpRequest) -> None:
        cookie = request.COOKIES.get(settings.SESSION_COOKIE_NAME)
        request.session = self.SessionStore(key_of(cookie))

    def process_response(self, request: HttpRequest, response: HttpResponse) -> HttpResponse:
        response = super().process_response(request, response)
        set_now = response.cookies.get(settings.SESSION_COOKIE_NAME)
        if set_now is not None and set_now.value:
            signed = cookie_of(set_now.value)
            set_now.set(set_now.key, signed, signed)
        return response


def cookie_of(session_key: str) -> str:
    """What a browser holds for the session with this key."""
    return Signer(salt=_SALT).sign(session_key)


def key_of(cookie: str | None) -> str | None:
    """The session's key out of its cookie; None unless we signed it."""
    try:
        return Signer(salt=_SALT).unsign(cookie) if cookie else None
    except BadSignature:
        return None


class SessionStore(DatabaseStore):
    """Django's sessions in the database, by a query that is not written anew for each page."""

    def load(self) -> dict[str, Any]:
        """What the session holds; {} and no key where it is over or unknown."""
        asked = [self.session_key, timezone.now()]
        with connection.cursor() as cursor:
            cursor.execute(_LIVE, asked)
            found = cursor.fetchone()
        if found is None:
            self._session_key = None
            return {}
        held: dict[str, Any] = self.decode(found[0])
        return held


class SealedSerializer:
    """Django's JSON for sessions, encrypted."""

    def dumps(self, obj: Any) -> bytes:
        return _box(settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS).encrypt(
            JSONSerializer().dumps(obj)
        )

    def loads(self, data: bytes) -> Any:
        box = _box(settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS)
        return JSONSerializer().loads(box.decrypt(data))


@lru_cache(maxsize=4)
def _box(*secrets: str) -> MultiFernet:
    return MultiFernet([Fernet(_key(secret)) for secret in secrets])


def _key(secret: str) -> bytes:
    digest = salted_hmac("calqsync.session", "", secret=secret, algorithm="sha256").digest()
    return urlsafe_base64_encode(digest).encode() + b"="
