"""The door and the manager hold alone: with a role that row-level security does not bind."""

import os
from urllib.parse import urlsplit

import pytest
from django.db import connections, transaction

from calqsync.tenancy import scope
from calqsync.tenancy.isolation.catalog import tenant_models
from tests.architecture.test_url_guard import TENANT_PAGES, filled
from tests.conftest import make_cast
from tests.tenancy.rows import fill


@pytest.fixture
def past_row_security(transactional_db):
    """Two filled tenants, seen by a superuser in the app's place."""
    with transaction.atomic():
        cast = make_cast()
        fill(cast.tenant, cast.alice)
        fill(cast.stranger_tenant, cast.mallory)
    settings = connections["default"].settings_dict
    before = {name: settings[name] for name in ("USER", "PASSWORD")}
    superuser = urlsplit(os.environ["TEST_SUPERUSER_URL"])
    connections["default"].close()
    settings.update(USER=superuser.username, PASSWORD=superuser.password or "")
    yield cast
    connections["default"].close()
    settings.update(before)


def test_the_managers_filter_holds_alone(past_row_security):
    tenant = past_row_security.stranger_tenant.pk
    with scope.tenant(tenant), transaction.atomic():
        for model in tenant_models():
            everything = set(model.unscoped.values_list("tenant_id", flat=True))
            assert len(everything) == 2, f"{model.__name__}: row-level security was in the way"
            assert set(model.objects.values_list("tenant_id", flat=True)) == {tenant}


def test_the_door_holds_alone(past_row_security, client):
    client.force_login(past_row_security.mallory)
    slug = past_row_security.tenant.slug
    opened = {
        route: answer.status_code
        for route, _item in TENANT_PAGES
        if (answer := client.get(filled(route, slug))).status_code != 404
    }
    assert opened == {}
