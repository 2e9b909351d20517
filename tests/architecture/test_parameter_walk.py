"""Every page of a company with every parameter it reads, and the other company's ids as values."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest import mock

import pytest
from django.http import QueryDict

from tests.architecture import routes as table
from tests.architecture import world as worlds
from tests.architecture.answers import leaks, text_of
from tests.architecture.test_role_matrix import undone

pytestmark = pytest.mark.usefixtures("quiet")
FORMATS = ("csv", "xlsx", "parquet")
# Values that nobody types by accident; each is sent under every name that the page reads.
HOSTILE = (
    "'",
    '"; DROP TABLE integrations_customer; --',
    "' UNION SELECT name FROM integrations_customer --",
    "a\0b\\",
    "%_x" * 900,
    "-1",
    "999999999999999999999999",
    "NaN",
    "2026-13-45",
    "__proto__[]",
    "../../etc/passwd",
    "\U0001f600 {{7*7}}",
)


@contextmanager
def names_read() -> Iterator[set[str]]:
    """The names that code asks an address's query or a form for, while the block runs."""
    seen: set[str] = set()

    def noting(method: str) -> Any:
        real = getattr(QueryDict, method)

        def noted(self: Any, key: Any, *rest: Any) -> Any:
            seen.add(str(key))
            return real(self, key, *rest)

        return mock.patch.object(QueryDict, method, noted)

    with noting("get"), noting("getlist"), noting("__getitem__"), noting("__contains__"):
        yield seen


def listed(world: worlds.World) -> list[tuple[str, str, set[str]]]:
    """Every page that shows something: its name, its address and the parameters it reads."""
    client = worlds.signed_in(world.neighbour.people["owner"])
    found = []
    for page in table.pages():
        if "GET" not in table.PAGES[page.name][1]:
            continue
        path = page.path(world.neighbour)
        with names_read() as names:
            client.get(path)
        found.append((page.name, path, names - {"choose", "next"}))
    return found


@pytest.fixture(scope="module")
def lists(committed_world: worlds.World) -> list[tuple[str, str, set[str]]]:
    found = listed(committed_world)
    known = {name for _page, _path, names in found for name in names}
    expected = {"q", "sort", "page", "format", "period", "customer", "product", "account", "status"}
    assert expected <= known, "the pages read fewer parameters than they have: the walk is blind"
    return found


def values_of(company: worlds.Company) -> list[str]:
    """What names a thing of the company in an address, without a marker in it."""
    kinds = ("customer", "product", "connection", "subscription")
    ids = [company.id_of(kind) for kind in kinds]
    return [*ids, str(company.things["customer"].pk), company.words.word]


def test_i3_no_parameter_opens_another_companys_rows(world, lists, marked_rows):
    client = worlds.signed_in(world.neighbour.people["owner"])
    wrong, asked = {}, 0
    for page, path, names in lists:
        for name in sorted(names - {"format"}):
            for value in values_of(world.marked):
                answer = client.get(path, {name: value})
                asked += 1
                # The neighbour's own audit log says what it looked for in its files.
                found = leaks(text_of(answer), world.marked, sent=values_of(world.marked))
                if answer.status_code >= 500 or found:
                    wrong[f"{page}?{name}={value}"] = answer.status_code, found
    assert wrong == {}
    assert asked > 200


def test_i3_no_file_of_a_list_holds_another_companys_rows(world, lists, marked_rows):
    client = worlds.signed_in(world.neighbour.people["owner"])
    wrong, files = {}, 0
    for page, path, names in lists:
        if "format" not in names:
            continue
        for name in sorted(names - {"format"}):
            for value, kind in zip(values_of(world.marked), FORMATS * 2, strict=True):
                answer = client.get(path, {name: value, "format": kind})
                files += "attachment" in answer.get("Content-Disposition", "")
                found = leaks(text_of(answer), world.marked, sent=values_of(world.marked))
                if answer.status_code >= 500 or found:
                    wrong[f"{page}?{name}={value}&format={kind}"] = answer.status_code, found
    assert wrong == {}
    assert files > 50, "hardly any list came as a file, so nothing was walked"


@pytest.mark.parametrize("name", ["customer", "product", "account"])
def test_i3_a_filter_by_another_companys_thing_finds_nothing(world, lists, name):
    client = worlds.signed_in(world.neighbour.people["owner"])
    kind = {"account": "connection"}.get(name, name)
    narrowed = 0
    for page, path, names in lists:
        if name not in names or "format" not in names:
            continue
        whole = client.get(path, {"format": "csv"}).content.count(b"\n")
        own = client.get(path, {name: world.neighbour.id_of(kind), "format": "csv"})
        others = client.get(path, {name: world.marked.id_of(kind), "format": "csv"})
        assert whole > 1, page
        assert others.content.count(b"\n") == 1, f"{page} shows rows for a {name} there is not"
        narrowed += own.content.count(b"\n") < whole
    assert narrowed


def test_i22_no_value_of_a_parameter_breaks_a_page(world, lists):
    client = worlds.signed_in(world.neighbour.people["owner"])
    wrong, asked = {}, 0
    for page, path, names in lists:
        ordered = sorted(names)
        for turn, _value in enumerate(HOSTILE):
            # Each value under each name once; together, so that a page is asked but twelve times.
            query = {name: HOSTILE[(turn + n) % len(HOSTILE)] for n, name in enumerate(ordered)}
            answer = client.get(path, query)
            asked += 1
            if answer.status_code not in {200, 204, 302, 400, 404}:
                wrong[f"{page} {query}"] = answer.status_code
    assert wrong == {}
    assert asked > 200


def test_i22_no_text_of_a_form_breaks_a_page(world):
    own, client = world.neighbour, worlds.signed_in(world.neighbour.people["owner"])
    wrong = {}
    for page in table.pages():
        if page.name not in table.FORMS:
            continue
        with names_read() as names, undone():
            client.post(page.path(own), table.FORMS[page.name](own))
        for turn, _value in enumerate(HOSTILE[:8]):
            form = {name: HOSTILE[(turn + n) % 8] for n, name in enumerate(sorted(names))}
            with undone():
                answer = client.post(page.path(own), form)
            if answer.status_code not in {200, 302, 400, 404, 409, 422, 502}:
                wrong[f"{page.name} {form}"] = answer.status_code
    assert wrong == {}
