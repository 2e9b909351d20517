"""Every address is a tenant page behind the door, or on a list with a reason."""

from __future__ import annotations

import uuid

import pytest
from django.urls import URLPattern, URLResolver, get_resolver

OPEN = {
    "home": "signed out: what this is; signed in: a choice of one's own companies",
    "terms": "public text",
    "company_create": "founds a company for whoever is signed in",
    "invitation": "opened by a secret token",
    "invitation_held": "shows the invitation whose token this session opened",
    "account": "one's own name, ways to sign in, sessions and memberships",
    "company_leave": "ends one's own membership; another's is 404",
    "session_end": "ends one's own session; another's is 404",
    "account_delete": "one's own account, whichever companies one is in",
    "healthz": "for load balancers; tells nothing of tenants",
    "procountor_callback": "one redirect URI for all; found by its single-use state",
    "api_schema": "describes the API and holds no figure",
    "mailbox": "exists in the demo only",
    "mailbox_mail": "exists in the demo only",
}
# Whole trees of third parties that never show a tenant's rows to a member.
TREES = ("accounts/", "admin/")


def walk(patterns, prefix=""):
    for item in patterns:
        route = prefix + str(item.pattern)
        if isinstance(item, URLResolver):
            yield from walk(item.url_patterns, route)
        elif isinstance(item, URLPattern):
            yield route, item


PAGES = list(walk(get_resolver().url_patterns))
OURS = [(route, item) for route, item in PAGES if not route.startswith(TREES)]
TENANT_PAGES = [(route, item) for route, item in OURS if route.startswith("t/<slug:slug>/")]


def test_the_walk_finds_the_product():
    assert len(TENANT_PAGES) > 25, "the scan found hardly any page, so it guards nothing"


def test_every_page_of_a_company_goes_through_the_door():
    naked = [route for route, item in TENANT_PAGES if not hasattr(item.callback, "min_role")]
    assert naked == []


def test_every_other_page_is_on_the_list_with_its_reason():
    names = {item.name for route, item in OURS if not route.startswith("t/<slug:slug>/")}
    assert names - set(OPEN) == set()


def filled(route, slug):
    values = {"slug:slug": slug, "uuid:public_id": str(uuid.uuid4())}
    path = "/" + route
    for name, value in values.items():
        path = path.replace(f"<{name}>", value)
    while "<" in path:
        start, end = path.index("<"), path.index(">")
        converter = path[start + 1 : end].split(":")[0]
        value = {"uuid": str(uuid.uuid4()), "int": "1"}.get(converter, "mrr")
        path = path[:start] + value + path[end + 1 :]
    return path


@pytest.mark.parametrize("method", ["get", "post"])
def test_a_stranger_finds_no_page_of_another_company(client, cast, method):
    client.force_login(cast.mallory)
    wrong = {}
    for route, _item in TENANT_PAGES:
        answer = getattr(client, method)(filled(route, cast.tenant.slug))
        if answer.status_code != 404:
            wrong[route] = answer.status_code
    assert wrong == {}


def test_nobody_reaches_a_page_without_signing_in(client, cast):
    wrong = {}
    for route, _item in TENANT_PAGES:
        answer = client.get(filled(route, cast.tenant.slug))
        if answer.status_code != 302 or "/accounts/login/" not in answer["Location"]:
            wrong[route] = answer.status_code
    assert wrong == {}
