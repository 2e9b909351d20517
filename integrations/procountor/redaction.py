"""Keeps secrets out of messages: by value, once a secret is known, and by the name beside it."""

import re
from collections import OrderedDict
from collections.abc import Callable
from threading import Lock

HIDDEN = "[hidden]"

# Enough for every token of a busy worker's last hours, small enough to scan.
_MOST = 512
_SHORTEST = 6

_NAMES = (
    r"access_token|refresh_token|id_token|api_?key|client_secret|password|code|authorization|"
    r"secret|token"
)
_BY_NAME = re.compile(
    rf"""(["']?\b(?:{_NAMES})\b["']?\s*[=:]\s*)(?:bearer\s+)?("[^"]*"?|'[^']*'?|[^\s&,;}}"']+)""",
    re.IGNORECASE,
)
_BEARER = re.compile(r"(bearer\s+)[\w.~+/=-]+", re.IGNORECASE)
_JWT = re.compile(r"\beyJ[\w-]{5,}\.[\w-]+(?:\.[\w-]*)?")

_known: OrderedDict[str, None] = OrderedDict()
_lock = Lock()
# Told of every secret, so that the host program can hide them in its own logs.
listeners: list[Callable[[str], None]] = []


def remember(*secrets: str) -> None:
    """From now on these values are hidden wherever `clean` is used in this process."""
    with _lock:
        for secret in secrets:
            if len(secret) >= _SHORTEST:
                _known[secret] = None
                _known.move_to_end(secret)
        while len(_known) > _MOST:
            _known.popitem(last=False)
    for listener in listeners:
        for secret in secrets:
            listener(secret)


def clean(text: str) -> str:
    """The text with known secrets, token-like words and named credentials hidden."""
    with _lock:
        known = list(_known)
    for secret in known:
        if secret in text:
            text = text.replace(secret, HIDDEN)
    text = _JWT.sub(HIDDEN, text)
    text = _BY_NAME.sub(rf"\1{HIDDEN}", text)
    return _BEARER.sub(rf"\1{HIDDEN}", text)
