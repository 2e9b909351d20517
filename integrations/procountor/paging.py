"""Two ways to walk a list, and how to know that its end was really seen.

A list has ended when as many documents were listed as Procountor says that there are, or, where
it does not say, at an empty page. Anything else (a page that is empty or short although there is
more, one that comes again, a count that moves under a walk by page numbers) makes the walk begin
anew: what was listed is not listed again, and after a few walks the list is `Nonsense`.
"""

from collections.abc import Callable, Generator, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal, Protocol, TypeVar

from integrations.procountor.errors import Nonsense

LARGEST = 200
# How often a list is walked before we give up; the faults that pass are gone by the second time.
_MOST_WALKS = 3

Query = Mapping[str, str]


class Listed(Protocol):
    """What a page must tell for the walk to go on."""

    @property
    def ids(self) -> tuple[int | None, ...]: ...

    @property
    def page_size(self) -> int | None: ...

    @property
    def total(self) -> int | None: ...


class Stuck(Exception):
    """A page shows that the list does not move; the text says how."""


class Nameless(Stuck):
    """A page on which no document has an id that can be read."""


class Walk(Protocol):
    """One walk over a list: the query of the page to ask now, and how a page moves it on."""

    size: int
    # How many documents of the list stand before its first page here; None where unknown.
    behind: int | None

    def query(self) -> dict[str, str]: ...

    def advance(self, ids: tuple[int | None, ...]) -> None:
        """Move past a page; `Stuck` when the page shows that the list does not move."""
        ...

    def restart(self) -> None:
        """Stand at the beginning of the whole list."""
        ...

    def shifts(self, before: int | None, now: int | None) -> bool:
        """Whether documents may have moved between pages, from how the total changed."""
        ...


@dataclass(slots=True)
class PageNumber:
    """Pages by number from zero, oldest id first, so that new documents go to the end.

    A document that goes away moves those behind it one place forward, and one of them from a
    page that is still to come to one that was read.
    """

    size: int = LARGEST
    order: Mapping[str, str] = field(default_factory=lambda: {"orderById": "ASC"})
    behind: int | None = field(default=0, init=False)
    _page: int = field(default=0, init=False)
    _seen: set[tuple[int | None, ...]] = field(default_factory=set, init=False)

    def query(self) -> dict[str, str]:
        return {**self.order, "size": str(self.size), "page": str(self._page)}

    def advance(self, ids: tuple[int | None, ...]) -> None:
        if ids in self._seen:
            raise Stuck(f"page {self._page} repeats an earlier page")
        self._seen.add(ids)
        self._page += 1

    def restart(self) -> None:
        self._page = 0
        self._seen.clear()

    def shifts(self, before: int | None, now: int | None) -> bool:
        return before != now


@dataclass(slots=True)
class PreviousId:
    """Pages after the last id seen, which stay right while documents come and go.

    A walk that goes on after `previous_id` may say how many documents are `behind` it.
    """

    size: int = LARGEST
    previous_id: int | None = None
    direction: Literal["ASC", "DESC"] = "ASC"
    behind: int | None = None

    def __post_init__(self) -> None:
        if self.previous_id is None:
            self.behind = 0

    def query(self) -> dict[str, str]:
        query = {"orderById": self.direction, "size": str(self.size)}
        if self.previous_id is not None:
            query["previousId"] = str(self.previous_id)
        return query

    def advance(self, ids: tuple[int | None, ...]) -> None:
        for number in ids:
            if number is None:
                continue
            if not self._moves_on(number):
                raise Stuck(f"id {number} came after {self.previous_id}")
            self.previous_id = number
        if all(number is None for number in ids):
            raise Nameless("a page without a single id")

    def restart(self) -> None:
        self.previous_id, self.behind = None, 0

    def shifts(self, before: int | None, now: int | None) -> bool:
        return False

    def _moves_on(self, number: int) -> bool:
        if self.previous_id is None:
            return True
        if self.direction == "ASC":
            return number > self.previous_id
        return number < self.previous_id


Found = TypeVar("Found", bound=Listed)


def walk(fetch: Callable[[Query], Found], by: Walk) -> Iterator[Found]:
    """Pages with something new on them until the end of the list is proven, else `Nonsense`."""
    seen: set[int] = set()
    why = ""
    for _ in range(_MOST_WALKS):
        why = yield from _once(fetch, by, seen)
        if not why:
            return
        by.restart()
    raise Nonsense(f"paging fault: {why}")


def _once(fetch: Callable[[Query], Found], by: Walk, seen: set[int]) -> Generator[Found, None, str]:
    """One walk; the reason why it did not prove the end comes back, empty where it did."""
    listed, total, first = by.behind, None, True
    while True:
        page = fetch(by.query())
        if not first and by.shifts(total, page.total):
            return "the list moved while it was read"
        total, first = page.total, False
        known = listed is not None and total is not None
        listed = None if listed is None else listed + len(page.ids)
        short = listed is not None and total is not None and listed < total
        if not page.ids:
            return f"{listed} of {total} documents were listed" if short else ""
        # A server may hand out smaller pages than asked; its own size says what is full.
        full = min(by.size, page.page_size or by.size)
        last = known and not short and len(page.ids) < full
        try:
            by.advance(page.ids)
        except Nameless as nowhere:
            # Nothing to go on after, which does not matter at the end.
            if not last:
                return str(nowhere)
        except Stuck as stuck:
            return str(stuck)
        if any(number is None or number not in seen for number in page.ids):
            yield page
        seen.update(number for number in page.ids if number is not None)
        if last:
            return ""
