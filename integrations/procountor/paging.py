"""Two ways to walk a list, and how to notice that a list walks in circles.

A list ends at an empty page, or at one shorter than asked. Procountor's total count may make us
ask once more, never stop sooner.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal, Protocol, TypeVar

from integrations.procountor.errors import Nonsense

LARGEST = 200

Query = Mapping[str, str]


class Listed(Protocol):
    """What a page must tell for the walk to go on."""

    @property
    def ids(self) -> tuple[int | None, ...]: ...

    @property
    def page_size(self) -> int | None: ...

    @property
    def total(self) -> int | None: ...


class Walk(Protocol):
    """One walk over a list: the query of the page to ask now, and how a page moves it on."""

    size: int

    def query(self) -> dict[str, str]: ...

    def advance(self, ids: tuple[int | None, ...]) -> None:
        """Move past a page; `Nonsense` when the page shows that the list does not move."""
        ...


@dataclass(slots=True)
class PageNumber:
    """Pages by number from zero, oldest id first, so that new documents go to the end."""

    size: int = LARGEST
    order: Mapping[str, str] = field(default_factory=lambda: {"orderById": "ASC"})
    _page: int = field(default=0, init=False)
    _seen: set[tuple[int | None, ...]] = field(default_factory=set, init=False)

    def query(self) -> dict[str, str]:
        return {**self.order, "size": str(self.size), "page": str(self._page)}

    def advance(self, ids: tuple[int | None, ...]) -> None:
        if ids in self._seen:
            raise Nonsense(f"paging fault: page {self._page} repeats an earlier page")
        self._seen.add(ids)
        self._page += 1


@dataclass(slots=True)
class PreviousId:
    """Pages after the last id seen, which stay right while documents come and go."""

    size: int = LARGEST
    previous_id: int | None = None
    direction: Literal["ASC", "DESC"] = "ASC"

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
                raise Nonsense(f"paging fault: id {number} came after {self.previous_id}")
            self.previous_id = number
        if all(number is None for number in ids):
            raise Nonsense("paging fault: a page without a single id")

    def _moves_on(self, number: int) -> bool:
        if self.previous_id is None:
            return True
        if self.direction == "ASC":
            return number > self.previous_id
        return number < self.previous_id


Found = TypeVar("Found", bound=Listed)


def walk(fetch: Callable[[Query], Found], by: Walk) -> Iterator[Found]:
    """Pages until the list ends; an empty page is not handed on."""
    from_start = not isinstance(by, PreviousId) or by.previous_id is None
    seen = 0
    while True:
        page = fetch(by.query())
        if not page.ids:
            return
        by.advance(page.ids)
        yield page
        seen += len(page.ids)
        # A server may hand out smaller pages than asked; its own size says what is full.
        full = min(by.size, page.page_size or by.size)
        more_is_known = from_start and page.total is not None and seen < page.total
        if len(page.ids) < full and not more_is_known:
            return
