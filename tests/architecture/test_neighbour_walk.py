"""The neighbour asks every address, by every method, in every role, for the other company's ids."""

from __future__ import annotations

from typing import Any

import pytest

from tests.architecture import routes as table
from tests.architecture import world as worlds
from tests.architecture.answers import leaks, text_of

pytestmark = pytest.mark.usefixtures("quiet")


@pytest.fixture(autouse=True)
def _nothing_outside(settings: Any) -> None:
    settings.PROCOUNTOR_BASE_URL = "http://127.0.0.1:9"


def ask(client: Any, method: str, path: str, form: dict[str, Any] | None = None) -> Any:
    if method == "POST":
        return client.post(path, form or {})
    return client.generic(method, path)


def test_the_table_names_every_page_of_a_company_and_no_other(world):
    assert {page.name for page in table.pages()} == set(table.PAGES)


def test_the_table_has_a_form_for_every_page_that_changes_something(world):
    changing = {name for name, (_role, methods) in table.PAGES.items() if "POST" in methods}
    assert changing == set(table.FORMS)


def test_every_route_takes_only_what_the_table_knows(world):
    for route in table.routes():
        path = route.path(world.marked)
        assert set("<>()[]?") & set(path) == set(), path


def test_every_table_with_a_tenant_holds_a_row_of_both_companies(world, truth):
    for company in (world.marked, world.neighbour):
        found = worlds.fingerprint(truth, company)
        assert set(worlds.tables(truth)) <= set(found)
        assert [name for name in worlds.tables(truth) if not found[name][0]] == []


@pytest.mark.parametrize("who", worlds.VISITORS)
def test_i2_no_page_of_the_other_company_answers_or_changes_a_row(world, marked_rows, who):
    client = worlds.signed_in(worlds.visitor(world, who))
    wrong, asked = {}, 0
    for page in table.pages():
        path = page.path(world.marked)
        form = table.FORMS[page.name](world.marked) if page.name in table.FORMS else {}
        for method in table.METHODS:
            answer = ask(client, method, path, form)
            asked += 1
            if method == "OPTIONS" and answer.status_code == 204:
                # Answered for every address alike, one that never was included.
                other = ask(client, method, page.path(world.marked, slug="never-was-there"))
                if alike(other) != alike(answer):
                    wrong[f"{method} {page.pattern}"] = "not as for a company that never was"
                continue
            if problem := _refused(answer, who, path, world):
                wrong[f"{method} {page.pattern}"] = problem
    assert wrong == {}
    assert asked == len(table.pages()) * len(table.METHODS)


def alike(answer: Any) -> Any:
    """All of an answer but what is drawn anew for each request."""
    drawn = {"X-Request-ID", "Content-Security-Policy"}
    heads = {name: value for name, value in answer.items() if name not in drawn}
    return answer.status_code, heads, answer.content


def _refused(answer: Any, who: str, path: str, world: worlds.World) -> Any:
    """What is wrong with the answer: a status that confirms, or markers; nothing if it is right."""
    if who == "signed out":
        if answer.status_code != 302 or not answer["Location"].startswith("/accounts/login/?next="):
            return answer.status_code
    elif answer.status_code != 404:
        return answer.status_code
    return leaks(text_of(answer), world.marked, sent=[path])


@pytest.mark.parametrize("who", worlds.VISITORS)
def test_i1_no_other_address_gives_or_takes_anything_of_the_other_company(world, marked_rows, who):
    wrong, asked, person = {}, 0, worlds.visitor(world, who)
    client = worlds.signed_in(person)
    # Outside a company no role counts: the rarer methods are asked by one member of it.
    methods = table.METHODS if who in {"owner", "staff", "signed out"} else ("GET", "POST")
    for route in table.routes():
        if route.of_company:
            continue
        path = route.path(world.marked)
        console = who == "staff" and route.pattern.startswith(table.CONSOLE)
        for method in methods:
            if console and method == "POST":
                continue  # what staff may do to a company has its own test
            if person is not None and "_auth_user_id" not in client.session:
                client.force_login(person)
            answer = ask(client, method, path)
            asked += 1
            found = leaks(text_of(answer), world.marked, sent=[path], directory=console)
            if answer.status_code >= 500 or found:
                wrong[f"{method} {route.pattern}"] = answer.status_code, found
    assert wrong == {}
    assert asked > 120
