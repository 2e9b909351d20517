"""Rendered documents by id, and the filtered, ordered, paged view of a list."""

from bisect import bisect_left, bisect_right
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterable, MutableMapping, Sequence
from dataclasses import dataclass, field
from operator import attrgetter
from typing import NamedTuple

_KEPT_LISTS = 24
_DATE = attrgetter("date")


class Head(NamedTuple):
    """What lists filter and order by; dates and date-times compare as text."""

    id: int
    type: str = ""
    status: str = ""
    date: str = ""
    due: str = ""
    created: str = ""
    version: str = ""
    partner: int | None = None
    number: int = 0
    original: str = ""
    channel: str = ""
    flag: bool = False  # offer (invoices), active (partners, products)
    account: str = ""
    products: tuple[int, ...] = ()
    name: str = ""


class EventBytes(NamedTuple):
    """A payment event, rendered: as the invoice shows it and as a payment."""

    id: int
    event: bytes
    payment: bytes


@dataclass(slots=True)
class Shelf:
    """All documents of one kind. Every answer is a join of bytes that were made before."""

    heads: dict[int, Head] = field(default_factory=dict)
    items: MutableMapping[int, bytes] = field(default_factory=dict)
    details: MutableMapping[int, bytes] = field(default_factory=dict)
    dropped: dict[int, bytes] = field(default_factory=dict)
    _lists: OrderedDict[Hashable, list[int]] = field(default_factory=OrderedDict)
    _by_date: list[Head] = field(default_factory=list)

    def put(self, head: Head, item: bytes, detail: bytes | None = None) -> None:
        self.heads[head.id] = head
        self.items[head.id] = item
        if detail is not None:
            self.details[head.id] = detail
        self._changed()

    def drop(self, document_id: int) -> bool:
        found = self.heads.pop(document_id, None)
        last = self.items.pop(document_id, None)
        last = self.details.pop(document_id, last)
        if last is not None:
            self.dropped[document_id] = last
        self._changed()
        return found is not None

    def _changed(self) -> None:
        self._lists.clear()
        self._by_date.clear()

    def last_seen(self, document_id: int) -> bytes:
        """The document as it is, or as it was when it was dropped."""
        return self.details.get(document_id) or self.dropped[document_id]

    def next_id(self) -> int:
        """A number that no document has had."""
        return max(*self.heads, *self.dropped, 0) + 1

    def listing(
        self,
        key: Hashable,
        keep: Callable[[Head], bool],
        order: Callable[[Head], tuple[object, ...]],
        *,
        descending: bool,
        dated: tuple[str | None, str | None] = (None, None),
    ) -> list[int]:
        """Ids that pass, in order; kept for the next pages until a document changes.

        `dated` are the first and last date of those that may pass, where `keep` says them too.
        """
        if key in self._lists:
            self._lists.move_to_end(key)
            return self._lists[key]
        passed = [head for head in self._within(*dated) if keep(head)]
        passed.sort(key=order, reverse=descending)
        ids = [head.id for head in passed]
        self._lists[key] = ids
        if len(self._lists) > _KEPT_LISTS:
            self._lists.popitem(last=False)
        return ids

    def _within(self, start: str | None, end: str | None) -> Iterable[Head]:
        if start is None and end is None:
            return self.heads.values()
        if not self._by_date:
            self._by_date = sorted(self.heads.values(), key=_DATE)
        first = 0 if start is None else bisect_left(self._by_date, start, key=_DATE)
        after = None if end is None else bisect_right(self._by_date, end, key=_DATE)
        return self._by_date[first:after]


class Page(NamedTuple):
    """One page of ids and the numbers of its envelope."""

    ids: list[int]
    number: int
    size: int
    total: int


def cut_page(
    ids: list[int], *, page: int, size: int, previous: int | None, descending: bool
) -> Page:
    """A page by number, or the ids behind `previous` when the list is ordered by id."""
    start = page * size
    if previous is not None:
        if descending:
            start += bisect_right(ids, -previous, key=lambda value: -value)
        else:
            start += bisect_right(ids, previous)
    return Page(ids[start : start + size], page, size, len(ids))


def envelope(items: Sequence[bytes], page: Page, *, omit_empty: bool) -> bytes:
    """The list answer as bytes; `items` are the rendered rows of the page."""
    meta = (
        f'"meta":{{"pageNumber":{page.number},"pageSize":{page.size},'
        f'"resultCount":{len(page.ids)},"totalCount":{page.total}}}}}'
    ).encode()
    if not page.ids and omit_empty:
        return b"{" + meta
    return b'{"results":[' + b",".join(items) + b"]," + meta
