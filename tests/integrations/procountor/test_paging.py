from dataclasses import dataclass

import pytest

from integrations.procountor.errors import Nonsense
from integrations.procountor.paging import PageNumber, PreviousId, walk


@dataclass
class Found:
    ids: tuple[int | None, ...]
    page_size: int | None = None
    total: int | None = None


class Book:
    """A list of ids that answers like Procountor, with smaller pages on demand."""

    def __init__(self, ids, *, cap=200, meta=True):
        self.ids, self.cap, self.meta = list(ids), cap, meta
        self.asked = []

    def __call__(self, query):
        self.asked.append(dict(query))
        size = min(int(query["size"]), self.cap)
        if "page" in query:
            start = int(query["page"]) * size
            ids = self.ids[start : start + size]
        else:
            after = int(query.get("previousId", 0))
            ids = [number for number in self.ids if number > after][:size]
        return Found(
            tuple(ids),
            page_size=size if self.meta else None,
            total=len(self.ids) if self.meta else None,
        )


@pytest.mark.parametrize("by", [PageNumber, PreviousId])
@pytest.mark.parametrize(("count", "requests"), [(0, 1), (1, 1), (9, 1), (10, 2), (11, 2), (30, 4)])
def test_every_document_is_seen_once(by, count, requests):
    book = Book(range(1, count + 1))
    seen = [number for page in walk(book, by(size=10)) for number in page.ids]
    assert seen == list(range(1, count + 1))
    assert len(book.asked) == requests


@pytest.mark.parametrize("by", [PageNumber, PreviousId])
@pytest.mark.parametrize(("count", "requests"), [(0, 1), (1, 2), (10, 2), (11, 3)])
def test_without_a_total_only_an_empty_page_is_the_end(by, count, requests):
    book = Book(range(1, count + 1), meta=False)
    seen = [number for page in walk(book, by(size=10)) for number in page.ids]
    assert seen == list(range(1, count + 1))
    assert len(book.asked) == requests


@pytest.mark.parametrize("by", [PageNumber, PreviousId])
def test_a_server_with_smaller_pages_than_asked_loses_nothing(by):
    book = Book(range(1, 100), cap=7)
    assert sum(len(page.ids) for page in walk(book, by(size=10))) == 99


def test_a_short_page_is_not_the_end_while_more_are_known():
    pages = {0: Found((1, 2), 3, 4), 1: Found((3, 4), 3, 4)}
    seen = list(walk(lambda query: pages[int(query["page"])], PageNumber(size=3)))
    assert [page.ids for page in seen] == [(1, 2), (3, 4)]


def test_a_list_that_never_shows_all_that_it_counts_is_not_whole():
    asked = []

    def half(query):
        asked.append(query)
        return Found((1, 2) if query["page"] == "0" else (), 3, 99)

    with pytest.raises(Nonsense, match="2 of 99"):
        list(walk(half, PageNumber(size=3)))
    assert len(asked) == 6


def test_a_page_that_is_empty_once_is_read_the_second_time():
    book, empty = Book(range(1, 31)), [2]

    def moody(query):
        page = book(query)
        if len(book.asked) in empty:
            return Found((), 10, 30)
        return page

    seen = [page.ids for page in walk(moody, PreviousId(size=10))]
    assert [number for ids in seen for number in ids] == list(range(1, 31))


@pytest.mark.parametrize("lost", ["from the start", "nothing"])
def test_a_document_to_go_on_after_that_is_gone_costs_no_other(lost):
    """Whatever a server does with an id that it no longer knows."""
    book = Book(range(1, 31))

    def forgetful(query):
        if len(book.asked) == 1:
            book.ids.remove(10)
            if lost == "nothing":
                book.asked.append(query)
                return Found((), 10, 29)
            query = {name: value for name, value in query.items() if name != "previousId"}
        return book(query)

    seen = {number for page in walk(forgetful, PreviousId(size=10)) for number in page.ids}
    assert seen == set(range(1, 31))


def test_a_document_that_leaves_a_page_already_read_hides_no_other():
    book = Book(range(1, 31))

    def loses(query):
        page = book(query)
        if len(book.asked) == 1:
            book.ids.remove(5)
        return page

    pages = [page.ids for page in walk(loses, PageNumber(size=10))]
    assert {number for ids in pages for number in ids} == set(range(1, 31))
    assert len(book.asked) < 8


def test_a_list_that_moves_under_every_walk_is_given_up():
    book = Book(range(1, 90))

    def restless(query):
        page = book(query)
        book.ids.pop(0)
        return page

    with pytest.raises(Nonsense, match="moved"):
        list(walk(restless, PageNumber(size=10)))
    assert len(book.asked) < 10


def test_a_walk_that_goes_on_knows_from_the_total_what_is_left():
    book = Book(range(1, 8))
    list(walk(book, PreviousId(size=5, previous_id=4, behind=4)))
    assert len(book.asked) == 1
    asked = iter([Found((), 5, 7), Found((1, 2, 3), 5, 7), Found((4, 5, 6, 7), 5, 7)])
    by = PreviousId(size=5, previous_id=4, behind=4)
    seen = [page.ids for page in walk(lambda query: next(asked), by)]
    assert seen == [(1, 2, 3), (4, 5, 6, 7)]


def test_a_total_that_promises_too_little_stops_nothing():
    pages = {0: Found((1, 2), 2, 1), 1: Found((3,), 2, 1)}
    assert len(list(walk(lambda query: pages[int(query["page"])], PageNumber(size=2)))) == 2


@pytest.mark.parametrize("by", [PageNumber, PreviousId])
def test_the_same_page_for_ever_is_a_paging_fault(by):
    calls = []

    def stuck(query):
        calls.append(query)
        return Found((1, 2), 2)

    with pytest.raises(Nonsense):
        list(walk(stuck, by(size=2)))
    assert len(calls) == 6


def test_pages_in_a_circle_are_a_paging_fault():
    circle = [Found((1, 2)), Found((3, 4)), Found((5, 6))]
    with pytest.raises(Nonsense):
        list(walk(lambda query: circle[int(query["page"]) % 3], PageNumber(size=2)))


def test_ids_out_of_order_are_a_paging_fault():
    with pytest.raises(Nonsense):
        list(walk(lambda query: Found((1, 3, 2)), PreviousId(size=3)))


def test_descending_ids_walk_down():
    book = {None: Found((9, 8)), "8": Found((7,)), "7": Found(())}
    by = PreviousId(size=2, direction="DESC")
    seen = [page.ids for page in walk(lambda query: book[query.get("previousId")], by)]
    assert seen == [(9, 8), (7,)]


def test_a_walk_resumes_after_an_id():
    book = Book(range(1, 8))
    seen = [page.ids for page in walk(book, PreviousId(size=3, previous_id=4))]
    assert seen == [(5, 6, 7)]
    # The total counts the whole list, so it says nothing about what a resumed walk has left.
    assert len(book.asked) == 2


def test_an_unreadable_id_does_not_stop_the_walk():
    book = {None: Found((1, None), 2, 3), "1": Found((2,), 2, 3)}
    by = PreviousId(size=2)
    assert len(list(walk(lambda query: book[query.get("previousId")], by))) == 2


def test_a_page_without_a_single_id_cannot_be_walked_past():
    with pytest.raises(Nonsense):
        list(walk(lambda query: Found((None, None)), PreviousId(size=2)))


def test_only_one_order_is_sent():
    for by in (PageNumber(), PreviousId(), PageNumber(order={"orderByVersion": "ASC"})):
        assert sum(name.startswith("orderBy") for name in by.query()) == 1
