"""Parameters that no page offers: SQL, unknown columns, fields that are not the sender's to set."""

from __future__ import annotations

import re
from typing import Any

import pytest

from calqsync.tenancy.models import User
from tests.architecture import routes as table
from tests.web.world import World, address

LISTS = ["customers", "products", "subscriptions", "invoices", "payments"]
INJECTED = [
    "'; DROP TABLE tenancy_user; --",
    '1") OR 1=1 --',
    "(SELECT pg_sleep(5))",
    "tenant__data_key_wrapped",
    "-connection__credential__sealed",
    "99999999999999999999",
    "%00",
    "\N{RIGHT-TO-LEFT OVERRIDE}name",
]
GRABBED = {
    "tenant": "1",
    "tenant_id": "1",
    "is_staff": "on",
    "is_superuser": "true",
    "is_active": "on",
    "role": "owner",
    "user": "1",
    "user_id": "1",
    "id": "1",
    "pk": "1",
    "public_id": "00000000-0000-0000-0000-000000000001",
    "owner": "1",
    "plan": "growth",
    "trial_ends_at": "2099-01-01",
    "email_verified": "on",
}


def offered(html: str) -> set[str]:
    """The names of the parameters that a page's own links and forms use."""
    names = set(re.findall(r"[?&;]([a-z_]+)=", html))
    for form in re.findall(r'<form[^>]*method="get".*?</form>', html, re.S):
        names |= set(re.findall(r'name="([a-z_]+)"', form))
    return names


@pytest.mark.parametrize("name", LISTS)
def test_w6_only_offered_values_narrow_or_sort_a_list(world: World, client: Any, name: str) -> None:
    client.force_login(world.cast.alice)
    url = world.cast.url(f"{name}/")
    plain = client.get(url)
    rows = [row["url"] for row in plain.context["listing"]["rows"]]
    assert rows
    parameters = offered(plain.content.decode()) | {"order", "columns", "fields", "ordering"}
    assert {"sort", "q", "format"} <= parameters
    for parameter in parameters - {"q"}:
        for value in INJECTED:
            answer = client.get(url, {parameter: value})
            assert answer.status_code == 200, (parameter, value)
            listed = [row["url"] for row in answer.context["listing"]["rows"]]
            assert listed == rows, (parameter, value)


@pytest.mark.parametrize("name", LISTS)
def test_w6b_a_search_is_a_word_and_never_sql(world: World, client: Any, name: str) -> None:
    client.force_login(world.cast.alice)
    for value in INJECTED[:5]:
        answer = client.get(world.cast.url(f"{name}/"), {"q": value})
        assert answer.status_code == 200
        assert answer.context["listing"]["rows"] == []


@pytest.mark.parametrize("name", ["", "growth/", "cashflow/", "settings/audit/"])
def test_w6c_dashboards_keep_to_their_own_values(world: World, client: Any, name: str) -> None:
    client.force_login(world.cast.alice)
    url = world.cast.url(name)
    for parameter in offered(client.get(url).content.decode()) | {"from", "to", "page", "sort"}:
        for value in INJECTED:
            assert client.get(url, {parameter: value}).status_code == 200, (parameter, value)


def rights(truth: Any) -> list[Any]:
    """Who may do what, everywhere."""
    truth.execute(
        "SELECT id, email, is_staff, is_superuser, is_active FROM tenancy_user ORDER BY 1"
    )
    people = truth.fetchall()
    truth.execute("SELECT id, tenant_id, user_id, role FROM tenancy_membership ORDER BY 1")
    return [people, truth.fetchall()]


def of_stranger(truth: Any, tenant_id: int) -> dict[str, list[Any]]:
    truth.execute(
        "SELECT table_name FROM information_schema.columns"
        " WHERE column_name = 'tenant_id' AND table_schema = 'public'"
    )
    tables = [row[0] for row in truth.fetchall()]
    assert len(tables) > 20
    found = {}
    for name in tables:
        truth.execute(f"SELECT t::text FROM {name} t WHERE tenant_id = %s", [tenant_id])
        found[name] = sorted(row[0] for row in truth.fetchall())
    return found


BODIES = {
    "fields": {"data": GRABBED},
    "fields twice": {"data": {name: [value, value] for name, value in GRABBED.items()}},
    "fields in the address": {"QUERY_STRING": "&".join(f"{k}={v}" for k, v in GRABBED.items())},
    "json with double keys": {
        "data": '{"role": "viewer", "role": "owner", "tenant_id": 1, "is_staff": true}',
        "content_type": "application/json",
    },
}


@pytest.mark.parametrize("body", BODIES)
def test_w14_no_write_route_assigns_what_is_not_the_senders(
    world: World, client: Any, truth: Any, body: str
) -> None:
    client.raise_request_exception = False
    client.force_login(world.cast.ann)  # an admin: may not make anyone an owner
    before = rights(truth), of_stranger(truth, world.cast.stranger_tenant.pk)
    others = [
        address(route, "")
        for route in table.routes()
        if not route.of_company and not route.parameters and not route.pattern.startswith("admin/")
    ]
    paths = [*world.paths(), *others]
    assert len(paths) > 60
    broke = {}
    for path in paths:
        if "logout" in path:
            continue
        answer = client.post(path, **BODIES[body])
        if answer.status_code >= 500:
            broke[path] = answer.status_code
    assert broke == {}
    after = rights(truth), of_stranger(truth, world.cast.stranger_tenant.pk)
    assert after == before


def test_w14b_nobody_signs_up_as_staff(client: Any, db: None) -> None:
    said = {"email": "new@example.com", "password1": "correct horse battery"}
    said |= {"company_name": "Uusi Oy", "accept_terms": "on"}
    assert client.post("/accounts/signup/", {**GRABBED, **said}).status_code == 302
    made = User.objects.get(email="new@example.com")
    assert (made.is_staff, made.is_superuser) == (False, False)
