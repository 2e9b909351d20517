"""What is kept between two publications, so that the next one can follow a change.

The sums of every shard and of all customers, with what they were made under; and what changed in
the books since. Rows are read and written in the caller's transaction, in the tenant's scope.
"""

from __future__ import annotations

import types
import zlib
from collections.abc import Collection, Mapping
from dataclasses import dataclass, fields, is_dataclass
from functools import cache
from typing import Any, get_args, get_origin, get_type_hints

import msgspec
import numpy as np
import zstandard

from calqsync.tenancy import scope
from reporting.body import BODY_VERSION
from reporting.feed import Books
from reporting.models import BooksChange, KeptSums
from reporting.services.measuring import Shared, Sums

ALL = -1
# A change of more customers is measured with everything.
MANY = 500
# Sums that a statement carries: its text, of twice their size, is held several times.
SENT = 32
# What zlib writes first; sums were kept by it.
_ZLIB = b"\x78"


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """What the published figures were made of."""

    made_under: str
    shared: Shared
    sums: Sums


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """What changed in the books since the last publication."""

    rows: tuple[int, ...]
    """Whose deletion says that the change is published."""
    customers: frozenset[int] | None
    """None: whatever there is."""
    bank: bool


def change_note(*, customers: Collection[int] | None, bank: bool) -> None:
    """Have the next publication look at these customers, or at everything (None), anew."""
    few = None if customers is None or len(customers) > MANY else sorted(customers)
    if few is None or few or bank:
        BooksChange.objects.create(tenant_id=scope.required(), customers=few, bank=bank)


def changes() -> Change:
    """Everything noted so far; without a note, everything may have changed."""
    rows = list(BooksChange.objects.values_list("pk", "customers", "bank"))
    noted = [customers for _pk, customers, _bank in rows]
    known = bool(rows) and None not in noted
    return Change(
        rows=tuple(pk for pk, _customers, _bank in rows),
        customers=frozenset().union(*noted) if known else None,
        bank=not known or any(bank for _pk, _customers, bank in rows),
    )


def changes_published(change: Change) -> None:
    BooksChange.objects.filter(pk__in=change.rows).delete()


def made_under(books: Books) -> str:
    """Everything but the books that customers' figures depend on, as one text.

    Sums that were made under another one cannot be added to.
    """
    return repr(
        (
            BODY_VERSION,
            books.settings,
            books.words.products,
            [one.pk for one in books.connections],
        )
    )


def kept() -> Kept | None:
    """What the last publication kept of all customers."""
    row = KeptSums.objects.filter(shard=ALL).first()
    return None if row is None else unpacked(Kept, bytes(row.body))


def shards_kept(numbers: Collection[int]) -> dict[int, Sums]:
    """What it kept of the given shards."""
    rows = KeptSums.objects.filter(shard__in=numbers).values_list("shard", "body")
    return {shard: unpacked(Sums, bytes(body)) for shard, body in rows}


def keep(state: Kept, shards: Mapping[int, bytes], *, only: Collection[int] | None = None) -> None:
    """Keep the packed sums of these shards, and those of all; with `only` of no others."""
    if only is not None:
        KeptSums.objects.exclude(shard__in=[*only, ALL]).delete()
    keep_shards({**shards, ALL: packed(state)})


def keep_shards(shards: Mapping[int, bytes]) -> None:
    """Keep the packed sums of these shards."""
    tenant_id = scope.required()
    KeptSums.objects.bulk_create(
        [KeptSums(tenant_id=tenant_id, shard=shard, body=body) for shard, body in shards.items()],
        update_conflicts=True,
        unique_fields=["tenant", "shard"],
        update_fields=["body"],
    )


def packed(value: Any) -> bytes:
    """A dataclass of arrays, texts and numbers as few bytes; `unpacked` reads them."""
    return zstandard.compress(msgspec.msgpack.encode(_plain(value)), 1)


def unpacked(kind: Any, body: bytes) -> Any:
    """The value of the given type that `packed` made the bytes of."""
    plain = zlib.decompress(body) if body[:1] == _ZLIB else zstandard.decompress(body)
    return _typed(kind, msgspec.msgpack.decode(plain))


def _plain(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        return [list(value.shape), value.astype(np.int64, copy=False).tobytes()]
    if is_dataclass(value):
        return [_plain(getattr(value, one.name)) for one in fields(value)]
    if isinstance(value, Mapping):
        return {key: _plain(one) for key, one in value.items()}
    if isinstance(value, tuple | list):
        return [_plain(one) for one in value]
    return value


@cache
def _hints(kind: Any) -> dict[str, Any]:
    return get_type_hints(kind)


def _typed(kind: Any, value: Any) -> Any:
    # What `is_dataclass` narrows it to is not hashable to mypy.
    named: Any = kind
    origin = get_origin(kind)
    if origin is np.ndarray:
        shape, data = value
        return np.frombuffer(data, dtype=np.int64).reshape(shape)
    if is_dataclass(kind):
        hints = _hints(named)
        parts = zip(fields(kind), value, strict=True)
        return named(**{one.name: _typed(hints[one.name], part) for one, part in parts})
    if origin is dict:
        _key, inner = get_args(kind)
        return {key: _typed(inner, one) for key, one in value.items()}
    if origin is tuple:
        return tuple(value)
    if isinstance(kind, type) and issubclass(kind, tuple):
        return kind(*value)
    if origin is types.UnionType:
        raise TypeError(f"{kind} says no single type")
    return value
