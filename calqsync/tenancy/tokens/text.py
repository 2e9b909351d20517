"""How a token looks, and what is stored in its place.

`calqsync_`, 42 random letters and digits (250 bits), and a checksum of six: secret scanners find it
without false alarms, and what was cut or mistyped is refused without asking the database.
"""

from __future__ import annotations

import re
import secrets
import string
import zlib

from django.conf import settings
from django.utils.crypto import salted_hmac

PREFIX = "calqsync_"
_LETTERS = string.digits + string.ascii_letters
_RANDOM, _CHECK = 42, 6
_SHAPE = re.compile(rf"{PREFIX}([0-9A-Za-z]{{{_RANDOM}}})([0-9A-Za-z]{{{_CHECK}}})")


def new_token() -> str:
    """A token that nobody has."""
    body = "".join(secrets.choice(_LETTERS) for _ in range(_RANDOM))
    return f"{PREFIX}{body}{_checksum(body)}"


def well_formed(token: str) -> bool:
    """Whether the text is a whole token, ours or not."""
    found = _SHAPE.fullmatch(token)
    return found is not None and _checksum(found[1]) == found[2]


def hashes(token: str) -> list[str]:
    """The token's hash under the current signing key, then under those that are being replaced."""
    return [
        salted_hmac("calqsync.api_token", token, secret=key, algorithm="sha256").hexdigest()
        for key in [settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS]
    ]


def _checksum(body: str) -> str:
    number, letters = zlib.crc32(body.encode()), ""
    for _ in range(_CHECK):
        number, place = divmod(number, len(_LETTERS))
        letters += _LETTERS[place]
    return letters
