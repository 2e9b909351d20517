"""Rendered pieces of a page, kept until anything that they show is another.

A piece is what stands between `{% piece "name" %}` and `{% endpiece %}` (docs/interface.md).
"""

from __future__ import annotations

import hashlib
import json
import zlib
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any

from django.conf import settings
from django.core.cache import caches

from calqsync.tenancy.models import Tenant
from calqsync.tenancy.secrets import SecretUnreadable, sealer_of

# Whatever is in the program's own folders may change how a piece looks.
_ROOMS = ("templates", "calqsync", "billing", "integrations", "reporting")
_SOURCES = {".py", ".html", ".mo", ".svg", ".css", ".js"}
# For the pages of one tenant: who thinks up addresses takes these places, and no more memory.
PLACES = 2048


class Pieces:
    """The pieces of one page of a tenant: read at once, and written at once when made anew.

    `facts` are all that the pieces depend on beside the program itself and the tenant's row, in a
    form that `repr` tells apart; None keeps nothing. `shown` is the whole context in which pieces
    are made, so that nothing of a request gets into one that is not named there.

    What is kept is sealed by the tenant's key and bound to the facts: erased with the key, and
    nothing to whoever asks with other facts. Pages share places, where the last one made lies.
    """

    def __init__(self, *, tenant: Tenant, facts: Sequence[object] | None) -> None:
        self.shown: Mapping[str, Any] = {}
        self._texts: dict[str, str] = {}
        self._bound_to = ""
        self._tenant = tenant
        self.kept = False
        """Whether all pieces are at hand, so that nothing has to be read for them."""
        if facts is not None:
            self._bound_to = hashlib.sha256(repr((release(), facts)).encode()).hexdigest()
            self._read()

    def text(self, name: str, made: Callable[[], str]) -> str:
        """The piece of this name, made if need be."""
        if self.kept:
            return self._texts[name]
        text = self._texts[name] = made()
        return text

    def keep(self) -> None:
        """Write the pieces that were made, once the page is whole."""
        if self.kept or not self._bound_to:
            return
        packed = zlib.compress(json.dumps(self._texts).encode(), 1)
        try:
            sealed = sealer_of(self._tenant).seal(packed, connection_id=0, field=self._bound_to)
        except SecretUnreadable:  # a company that is being erased
            return
        caches["pages"].set(self._key, sealed)

    def _read(self) -> None:
        sealed = caches["pages"].get(self._key)
        if sealed is None:
            return
        try:
            packed = sealer_of(self._tenant).open(sealed, connection_id=0, field=self._bound_to)
        except SecretUnreadable:
            return
        self._texts, self.kept = json.loads(zlib.decompress(packed)), True

    @property
    def _key(self) -> str:
        return f"tenant-{self._tenant.pk}:{int(self._bound_to[:8], 16) % PLACES}"


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
