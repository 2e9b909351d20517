"""Every address is a tenant page behind the door, or on a list with a reason.

What the addresses answer is walked in `test_neighbour_walk` and `test_role_matrix`.
"""

from __future__ import annotations

import uuid

from django.urls import URLPattern, URLResolver, get_resolver

from tests.architecture import routes as table

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
    "mailbox": "exists in the demo only",
    "mailbox_mail": "exists in the demo only",
}
# Whole trees of third parties that never show a tenant's rows to a member, and the API, which a
# token opens and `test_token_walk` walks.
TREES = (table.ACCOUNTS, table.CONSOLE, table.API)


def walk(patterns, prefix=""):
    """Every address below these patterns, with its pattern."""
    for item in patterns:
        route = prefix + str(item.pattern)
        if isinstance(item, URLResolver):
            yield from walk(item.url_patterns, route)
        elif isinstance(item, URLPattern):
            yield route, item


TENANT_PAGES = [
    (route, item)
    for route, item in walk(get_resolver().url_patterns)
    if route.startswith(table.TENANT)
]


def filled(route, slug):
    """The address with this slug and with ids of nothing."""
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


def test_every_page_of_a_company_goes_through_the_door():
    naked = [page.pattern for page in table.pages() if not hasattr(page.view, "min_role")]
    assert naked == []


def test_every_other_page_is_on_the_list_with_its_reason():
    ours = [one for one in table.routes() if not one.pattern.startswith(TREES)]
    assert {one.name for one in ours if not one.of_company} - set(OPEN) == set()


def test_the_walk_finds_the_product():
    assert len(table.pages()) > 45, "the scan found hardly any page, so it guards nothing"
