"""Every address of the API with every token that must not open it, and with the ids of another."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from calqsync.tenancy import scope
from calqsync.tenancy.models import ApiToken, Membership
from calqsync.tenancy.tokens.rest import TokenView
from calqsync.tenancy.tokens.scopes import SCOPES
from calqsync.tenancy.tokens.services import token_create
from reporting.models import Restatement
from tests.architecture import routes as table
from tests.architecture import world as worlds
from tests.architecture.answers import leaks, text_of
from tests.architecture.test_role_matrix import undone

pytestmark = pytest.mark.usefixtures("quiet")


def resources() -> list[table.Route]:
    found = [one for one in table.routes() if one.pattern.startswith(table.API)]
    assert len(found) > 20, "the walk found hardly any address of the API"
    return [one for one in found if one.name != "api_schema"]


def ask(path: str, token: str, **query: str) -> Any:
    client = Client(raise_request_exception=False)
    return client.get(path, query, headers={"Authorization": f"Bearer {token}"})


@pytest.fixture
def token(world: worlds.World) -> Iterator[Any]:
    """`token(company, role)` is one with all scopes of the role; gone after the test."""
    made: list[ApiToken] = []

    def make(company: worlds.Company, role: str) -> str:
        with scope.tenant(company.tenant.pk):
            member = Membership.objects.select_related("user").get(user=company.people[role])
            kept, text = token_create(
                membership=member,
                name="Walk",
                scopes=[name for name in SCOPES if member.may(SCOPES[name].min_role)],
                days=30,
                now=timezone.now(),
            )
            made.append(kept)
        return text

    with undone():
        yield make


def test_every_address_of_the_api_is_behind_the_door_of_tokens() -> None:
    naked = [one.pattern for one in resources() if not issubclass(one.view.view_class, TokenView)]
    assert naked == []


def test_the_owner_of_the_marked_company_finds_its_markers(world: Any, token: Any) -> None:
    text = token(world.marked, "owner")
    answers = {one.name: ask(one.path(world.marked), text) for one in resources()}
    assert {answer.status_code for answer in answers.values()} <= {200, 404}
    marked = [name for name, answer in answers.items() if leaks(text_of(answer), world.marked)]
    assert len(marked) > 8, "hardly any answer holds a marker: the walk is blind"


def test_i1_a_neighbour_s_token_opens_nothing_of_another_company(
    world: Any, marked_rows: Any, token: Any
) -> None:
    wrong, text = {}, token(world.neighbour, "owner")
    for one in resources():
        path = one.path(world.marked)
        asks = {asked.name for asked in one.view.view_class.asks}
        query = {"customer": world.marked.id_of("customer")} if "customer" in asks else {}
        answer = ask(path, text, **query)
        found = leaks(text_of(answer), world.marked, sent=[path, *query.values()])
        named = any(name == "public_id" for _converter, name in one.parameters)
        empty = not named and (not query or answer.json()["data"] == [])
        if found or not (answer.status_code == 404 if named else empty):
            wrong[f"{path} {query}"] = answer.status_code, found
    assert wrong == {}


@pytest.mark.parametrize("death", ["revoked", "expired", "mistyped", "none"])
def test_i1_a_dead_token_opens_no_address(world: Any, token: Any, death: str) -> None:
    text = token(world.marked, "owner")
    with scope.tenant(world.marked.tenant.pk):
        kept = ApiToken.objects.filter(name="Walk")
        if death == "revoked":
            kept.delete()
        elif death == "expired":
            kept.update(expires_at=timezone.now() - timedelta(seconds=1))
    sent = {"mistyped": text[:-1], "none": ""}.get(death, text)
    for one in resources():
        answer = ask(one.path(world.marked), sent)
        assert answer.status_code == 401, one.pattern
        assert answer["WWW-Authenticate"].startswith("Bearer"), one.pattern
        assert leaks(text_of(answer), world.marked) == [], one.pattern


def test_i2_a_fallen_role_takes_its_tokens_down_with_it(world: Any, token: Any) -> None:
    text = token(world.marked, "owner")
    with scope.tenant(world.marked.tenant.pk):
        Membership.objects.filter(user=world.marked.people["owner"]).update(role="investor")
        Restatement.objects.update(metric="mrr")  # the world marks it, too
    for one in resources():
        answer = ask(one.path(world.marked), text)
        # Sums of the whole company are an investor's to see, names out of the books are not.
        assert worlds.BOOKS not in text_of(answer).lower(), one.pattern
        figures = one.view.view_class.scope in {None, "figures:read"}
        assert (answer.status_code in {200, 403, 404}) if figures else answer.status_code == 403


def test_a_cookie_opens_no_address_of_the_api(world: Any) -> None:
    client = worlds.signed_in(world.marked.people["owner"])
    answers = {one.name: client.get(one.path(world.marked)).status_code for one in resources()}
    assert set(answers.values()) == {401}
