"""Each page of a company opens from its own role on, and from none below."""

import pytest

from calqsync.tenancy.models import Role
from tests.architecture.routes import PAGES
from tests.architecture.test_url_guard import TENANT_PAGES, filled

METHODS = {"GET": "get", "POST": "post"}
# The person whose role is the highest that must be refused.
BELOW = {"viewer": "ivan", "member": "vera", "admin": "bob", "owner": "ann"}
GUARDED = [
    (item.name, route, role, METHODS[method])
    for route, item in TENANT_PAGES
    for role, methods in [PAGES[item.name]]
    for method in sorted(methods & set(METHODS))
    if Role(role) in map(Role, BELOW)
]


def test_the_table_of_roles_speaks_of_nearly_every_page():
    assert len(GUARDED) > 35


@pytest.mark.parametrize(
    ("route", "role", "method"),
    [case[1:] for case in GUARDED],
    ids=[f"{name}-{method}" for name, _, _, method in GUARDED],
)
def test_a_page_is_refused_to_the_role_below(client, cast, route, role, method):
    client.force_login(getattr(cast, BELOW[role]))
    answer = getattr(client, method)(filled(route, cast.tenant.slug))
    assert answer.status_code == 403
