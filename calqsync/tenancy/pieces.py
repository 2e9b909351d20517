"""Rendered pieces of a page and the frame around them, kept until anything they show is another.

A piece is what stands between `{% piece "name" %}` and `{% endpiece %}`; the frame is all the rest
of the page, with a place for each piece and for the tokens of an answer (docs/interface.md).
"""

from __future__ import annotations

import hashlib
import re
import secrets
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any

import msgspec
import zstandard
from django.conf import settings
from django.core.cache import caches
from django.http import HttpRequest, HttpResponse
from django.middleware.csrf import get_token
from django.template import Context, Engine

from calqsync.tenancy.models import Tenant
from calqsync.tenancy.secrets import Sealer, SecretUnreadable, sealer_of

# Whatever is in the program's own folders may change how a piece looks.
_ROOMS = ("templates", "calqsync", "billing", "integrations", "reporting")
_SOURCES = {".py", ".html", ".mo", ".svg", ".css", ".js"}
# For the pages of one tenant: who thinks up addresses takes these places, and no more memory.
PLACES = 2048


class Pieces:
    """The pieces of one page of a tenant: read at once, and written at once when made anew.

    `facts` are all that the pieces depend on beside the program itself and the tenant's row, in a
    form that `repr` tells apart; None keeps nothing. `shown` is the whole context in which pieces
    are made, so that nothing of a request gets into one that is not named there. `around` are the
    facts that the frame depends on beside those; None keeps no frame.

    What is kept is sealed by the tenant's key and bound to the facts: erased with the key, and
    nothing to whoever asks with other facts. Pages share places, where the last one made lies.
    """

    def __init__(
        self,
        *,
        tenant: Tenant,
        facts: Sequence[object] | None,
        around: Sequence[object] | None = None,
    ) -> None:
        self.shown: Mapping[str, Any] = {}
        self._texts: dict[str, str] = {}
        self._frame: list[str] = []
        self._mark = ""
        self._tenant = tenant
        self._sealer: Sealer | None = None
        self._bound_to = self._frame_bound_to = ""
        if facts is not None:
            self._bound_to = _bound(release(), facts)
            if around is not None:
                self._frame_bound_to = _bound(release(), facts, around)
            self._read()
        self.kept = bool(self._texts)
        """Whether all pieces are at hand, so that nothing has to be read for them."""
        self.whole = self.kept and bool(self._frame)
        """Whether the whole page is at hand, for `answer`."""
        self.frames = bool(self._frame_bound_to)
        """Whether the frame is to be made by `framed`."""

    def text(self, name: str, made: Callable[[], str]) -> str:
        """What to write for the piece of this name, which is made if need be."""
        if not self.kept:
            # Plain text, as it is when it was kept.
            self._texts[name] = str.__str__(made())
        return f"{self._mark}piece:{name};" if self._mark else self._texts[name]

    def framed(self, request: HttpRequest, template: str, shown: Mapping[str, Any]) -> HttpResponse:
        """The page, of which the frame is made in a context of `shown` and of nothing else.

        Nobody knows the mark before the answer is sent, so no text of a person holds it.
        """
        self._mark = secrets.token_hex(16)
        tokens = {name: f"{self._mark}{name};" for name in ("csp_nonce", "csrf_token")}
        context = Context({**shown, **tokens, "pieces": self})
        made = Engine.get_default().get_template(template).render(context)
        self._frame = re.split(rf"{self._mark}([\w:]+);", made)
        return self.answer(request)

    def answer(self, request: HttpRequest) -> HttpResponse:
        """The page out of its frame and pieces, with the tokens of this answer."""
        known = {"csp_nonce": str(request.csp_nonce), "csrf_token": get_token(request)}  # type: ignore[attr-defined]
        known |= {f"piece:{name}": text for name, text in self._texts.items()}
        # A frame is text and the name of what follows, by turns.
        filled = (known[part] if n % 2 else part for n, part in enumerate(self._frame))
        return HttpResponse("".join(filled))

    def keep(self) -> None:
        """Write what was made, once the page is whole."""
        if not self._bound_to or self.whole:
            return
        kept: dict[str, bytes] = {}
        try:
            if not self.kept:
                kept[self._key] = self._sealed(self._texts, self._bound_to)
            if self._frame and self._frame_bound_to:
                kept[self._frame_key] = self._sealed(self._frame, self._frame_bound_to)
        except SecretUnreadable:  # a company that is being erased
            return
        caches["pages"].set_many(kept)

    def _read(self) -> None:
        keys = [self._key, *([self._frame_key] if self._frame_bound_to else [])]
        found = caches["pages"].get_many(keys)
        self._texts = self._opened(found.get(self._key), self._bound_to) or {}
        if self._texts and self._frame_bound_to:
            self._frame = self._opened(found.get(self._frame_key), self._frame_bound_to) or []

    def _sealed(self, value: Any, bound_to: str) -> bytes:
        packed = zstandard.compress(msgspec.msgpack.encode(value), 1)
        return self._sealer_of().seal(packed, connection_id=0, field=bound_to)

    def _opened(self, sealed: bytes | None, bound_to: str) -> Any:
        """What was kept under these facts; None where that is nothing, or cannot be read."""
        if sealed is None:
            return None
        try:
            packed = self._sealer_of().open(sealed, connection_id=0, field=bound_to)
        except SecretUnreadable:
            return None
        return msgspec.msgpack.decode(zstandard.decompress(packed))

    def _sealer_of(self) -> Sealer:
        if self._sealer is None:
            self._sealer = sealer_of(self._tenant)
        return self._sealer

    @property
    def _key(self) -> str:
        return f"tenant-{self._tenant.pk}:{int(self._bound_to[:8], 16) % PLACES}"

    @property
    def _frame_key(self) -> str:
        return f"tenant-{self._tenant.pk}:frame-{int(self._frame_bound_to[:8], 16) % PLACES}"


def _bound(*facts: object) -> str:
    return hashlib.sha256(repr(facts).encode()).hexdigest()


@cache
def release() -> str:
    """What tells this program from any other one that uses the same cache."""
    found = hashlib.sha256()
    for room in _ROOMS:
        for path in sorted((settings.BASE_DIR / room).rglob("*")):
            if path.suffix in _SOURCES and path.is_file():
                found.update(str(path.relative_to(settings.BASE_DIR)).encode())
                found.update(path.read_bytes())
    return found.hexdigest()
