"""What each role may do in its own company: the whole table, and ids that do not belong together.

Nothing that a test does here is kept: each request is rolled back.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from django.db import transaction

from calqsync.tenancy import scope
from calqsync.tenancy.models import Role
from reporting.models import ProductMark
from tests.architecture import routes as table
from tests.architecture import world as worlds
from tests.architecture.answers import leaks, text_of

pytestmark = pytest.mark.usefixtures("quiet")
_OPTION = re.compile(r'(?:<option|type="(?:radio|checkbox)")[^>]*value="([^"]*)"')


@pytest.fixture(autouse=True)
def _nothing_outside(settings: Any) -> None:
    settings.PROCOUNTOR_BASE_URL = "http://127.0.0.1:9"


@contextmanager
def undone() -> Iterator[None]:
    """Whatever happens in the block did not happen."""
    with transaction.atomic():
        yield
        transaction.set_rollback(True)


def outcome(client: Any, method: str, path: str, form: dict[str, Any]) -> int:
    with undone():
        if method == "POST":
            return int(client.post(path, form).status_code)
        return int(client.generic(method, path).status_code)


def expected(page: table.Route, role: str, method: str) -> str:
    lowest, methods = table.PAGES[page.name]
    if method == "OPTIONS":
        return "answered"  # by the same words for everybody and every address
    if not Role(role).allows(Role(lowest)):
        return "forbidden"
    return "answered" if method in methods else "no such method"


def judged(status: int, method: str, page: table.Route) -> str:
    if method in {"GET", "HEAD"} and status == 302 and "GET" not in table.PAGES[page.name][1]:
        return "no such method"  # whoever comes back from signing in again is led on
    named = {403: "forbidden", 405: "no such method"}
    fine = {200, 204, 302, 409, 410, 422, 502}
    return named.get(status, "answered" if status in fine else str(status))


@pytest.mark.parametrize("role", worlds.ROLES)
def test_each_role_may_do_what_the_table_says_and_no_more(world, role):
    own = worlds.seen_by(world.neighbour, role)
    client = worlds.signed_in(own.people[role])
    wrong, asked = {}, 0
    for page in table.pages():
        path = page.path(own)
        form = table.FORMS[page.name](own) if page.name in table.FORMS else {}
        for method in table.METHODS:
            if method == "HEAD" and role in {"viewer", "member", "admin"}:
                continue  # drawn like GET, at the same cost
            found = judged(outcome(client, method, path, form), method, page)
            asked += 1
            if found != expected(page, role, method):
                wrong[f"{method} {page.pattern}"] = f"{found}, not {expected(page, role, method)}"
    assert wrong == {}
    assert asked >= len(table.pages()) * (len(table.METHODS) - 1)


def nested() -> list[table.Route]:
    found = [page for page in table.pages() if len(page.parameters) > 1 and page.name != "behind"]
    assert len(found) > 15, "the walk found hardly any nested address, so it guards nothing"
    return found


def test_i4_ones_own_company_holds_no_thing_of_another(world, marked_rows):
    client = worlds.signed_in(world.neighbour.people["owner"])
    wrong = {}
    for page in nested():
        path = page.path(world.marked, slug=world.neighbour.slug)
        form = table.FORMS[page.name](world.marked) if page.name in table.FORMS else {}
        for method in sorted(table.PAGES[page.name][1]):
            with undone():
                answer = client.post(path, form) if method == "POST" else client.get(path)
                found = leaks(text_of(answer), world.marked, sent=[path])
            if answer.status_code != 404 or found:
                wrong[f"{method} {page.pattern}"] = answer.status_code, found
    assert wrong == {}


def test_i4_another_company_holds_no_thing_of_ones_own(world, marked_rows):
    client = worlds.signed_in(world.neighbour.people["owner"])
    wrong = {}
    for page in nested():
        path = page.path(world.neighbour, slug=world.marked.slug)
        form = table.FORMS[page.name](world.neighbour) if page.name in table.FORMS else {}
        for method in sorted(table.PAGES[page.name][1]):
            answer = client.post(path, form) if method == "POST" else client.get(path)
            if answer.status_code != 404:
                wrong[f"{method} {page.pattern}"] = answer.status_code
    assert wrong == {}


# Forms that name a thing in their fields, not in the address.
NAMING = {
    *("products_mark", "subscriptions_say", "subscription_rows", "connect_key"),
    *("connection_retry", "connection_ignore", "connection_unignore"),
}


def test_i6_a_form_that_names_another_companys_thing_is_refused(world, marked_rows):
    own, client = world.neighbour, worlds.signed_in(world.neighbour.people["owner"])
    with scope.tenant(own.tenant.pk):
        forms = {name: make(world.marked) for name, make in table.FORMS.items()}
    known = {str(getattr(one, "public_id", "")) for one in world.marked.things.values()} - {""}
    naming = {
        name: form
        for name, form in forms.items()
        if any(id_ in f"{key} {value}" for key, value in form.items() for id_ in known)
    }
    assert set(naming) == NAMING
    for page in table.pages():
        if page.name in naming:
            with undone():
                answer = client.post(page.path(own), naming[page.name])
            assert answer.status_code == 404, page.name
            assert leaks(text_of(answer), world.marked) == [], page.name


def test_i6_several_ticked_products_are_refused_when_one_is_another_companys(world, marked_rows):
    own, client = world.neighbour, worlds.signed_in(world.neighbour.people["owner"])
    both = [own.id_of("product"), world.marked.id_of("product")]
    form = {"save": "ticked", "mark": "one_off", "product": both}
    with undone(), scope.tenant(own.tenant.pk):
        answer = client.post(f"/t/{own.slug}/products/mark/", form)
        assert answer.status_code == 404
        assert not ProductMark.objects.filter(mark="one_off").exists()


def options_of(response: Any) -> set[str]:
    """Every option that a page offers: of selects, radio buttons and suggestions."""
    return set(_OPTION.findall(text_of(response)))


def test_i6_no_form_offers_another_companys_thing(world):
    own, client = world.neighbour, worlds.signed_in(world.neighbour.people["owner"])
    forbidden = {
        str(one.public_id) for one in world.marked.things.values() if hasattr(one, "public_id")
    }
    forbidden |= {str(one.pk) for one in world.marked.things.values() if hasattr(one, "public_id")}
    offered: set[str] = set()
    for page in table.pages():
        if "GET" in table.PAGES[page.name][1]:
            offered |= options_of(client.get(page.path(own)))
    assert own.id_of("connection") in offered, "no page offered a connection: nothing was walked"
    assert {value for value in offered & forbidden if len(value) > 6} == set()
