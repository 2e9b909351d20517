"""Requests that another site makes a signed-in browser send; and that reading changes nothing."""

from __future__ import annotations

from typing import Any

import pytest
from django.middleware.csrf import get_token
from django.test import Client, RequestFactory

from tests.architecture import routes as table
from tests.web.world import World, address

EVIL = "https://evil.example"
# Tables in which a visit may leave its own trace.
TRACES = {
    "django_session": "a session's data and its end move with each visit",
    "usersessions_usersession": "when and from where a session was last seen",
}


def token_for(client: Client) -> str:
    """A token that fits the cookie which this client now has."""
    client.get("/?choose")
    request = RequestFactory().get("/")
    request.COOKIES.update({name: one.value for name, one in client.cookies.items()})
    request.META["CSRF_COOKIE"] = client.cookies["csrf"].value
    return get_token(request)


def forged(kind: str, client: Client, other: Client, path: str) -> Any:
    """The answer to a change sent without the right to send it."""
    if kind == "no token":
        return client.post(path, {"name": "x"})
    if kind == "another person's token":
        return client.post(path, {"csrfmiddlewaretoken": token_for(other)})
    if kind == "text/plain":
        body = f"csrfmiddlewaretoken={token_for(client)}"
        return client.post(path, body, content_type="text/plain")
    return client.post(path, {"csrfmiddlewaretoken": token_for(client)}, headers={"origin": EVIL})


@pytest.mark.parametrize(
    "kind", ["no token", "another person's token", "text/plain", "another site"]
)
def test_w7_no_change_is_taken_from_elsewhere(world: World, truth: Any, kind: str) -> None:
    client, other = (Client(enforce_csrf_checks=True) for _ in range(2))
    client.force_login(world.cast.alice)
    other.force_login(world.cast.mallory)
    before = fingerprints(truth)
    taken = {}
    for route in table.routes():
        path = address(route, world.cast.tenant.slug)
        answer = forged(kind, client, other, path)
        refusals = {403}
        if kind == "text/plain" and "api/" in path:
            refusals.add(415)  # takes no text at all
        if path.startswith(f"/{table.API}"):
            refusals.add(401)  # opened by a token only: no cookie is looked at
        if answer.status_code not in refusals:
            taken[path] = answer.status_code
    assert taken == {}
    after = fingerprints(truth)
    assert {name for name in before if before[name] != after[name]} == set()


def test_w7b_the_right_token_is_taken(cast: Any) -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(cast.alice)
    sent = {"csrfmiddlewaretoken": token_for(client), "name": "Toinen Oy"}
    assert client.post("/companies/new/", sent).status_code == 302


def fingerprints(truth: Any) -> dict[str, str]:
    """What each table holds, as one number."""
    truth.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
    tables = [row[0] for row in truth.fetchall() if row[0] not in TRACES]
    assert len(tables) > 30, "hardly any table, so it guards nothing"
    found = {}
    for name in tables:
        truth.execute(
            f"SELECT md5(coalesce(string_agg(t::text, '|' ORDER BY t::text), '')) FROM {name} t"
        )
        found[name] = truth.fetchone()[0]
    return found


@pytest.mark.parametrize("method", ["get", "head", "options"])
def test_w7c_reading_changes_nothing(world: World, client: Any, truth: Any, method: str) -> None:
    client.raise_request_exception = False
    client.force_login(world.cast.alice)
    # Two rows that a first look makes out of what was there: the trial's end, and the address
    # list of a person who came without one.
    client.get(world.cast.url(""))
    client.get("/accounts/email/")
    before = fingerprints(truth)
    paths = [*world.paths()]
    paths += [address(route, "") for route in table.routes() if not route.of_company]
    seen = set()
    for path in paths:
        if path == "/healthz":
            continue  # asks the dispatcher's role, which an in-process request may not
        seen.add(getattr(client, method)(path).status_code)
        if "logout" in path:
            client.force_login(world.cast.alice)
    assert 500 not in seen
    after = fingerprints(truth)
    changed = {table for table in before if before[table] != after[table]}
    assert changed - {"tenancy_user"} == set()


def test_w7d_signing_in_is_the_only_trace_on_a_person(
    world: World, client: Any, truth: Any
) -> None:
    client.force_login(world.cast.alice)
    truth.execute("SELECT to_jsonb(u) - 'last_login' FROM tenancy_user u ORDER BY id")
    before = truth.fetchall()
    for path in world.paths():
        client.get(path)
    truth.execute("SELECT to_jsonb(u) - 'last_login' FROM tenancy_user u ORDER BY id")
    assert truth.fetchall() == before
