"""What a session holds, sealed: codes, links and secrets in the making are not readable in a dump.

The key comes from SECRET_KEY, which is not in the database. A session that cannot be opened is
empty, as one with a wrong signature is: its owner signs in again.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from cryptography.fernet import Fernet, MultiFernet
from django.conf import settings
from django.core.signing import JSONSerializer
from django.utils.crypto import salted_hmac
from django.utils.http import urlsafe_base64_encode


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
