"""Two tenants for the tests of isolation by SQL and by the ORM, and a clock that can be moved."""

import os
from types import SimpleNamespace

import pytest
from django.db import transaction

from calqsync.tenancy import scope
from integrations.models import Connection
from tests.conftest import _empty_all_tables
from tests.tenancy.people import Clock
from tests.tenancy.sql_world import World, make_world


@pytest.fixture(scope="module")
def world(django_db_setup, django_db_blocker, database_name):
    """A and B with a row in every table, committed for all tests of a file."""
    kept = os.environ.get("CALQSYNC_TEST_DATABASE")  # its rows were made before it was damaged
    with django_db_blocker.unblock():
        if not kept:
            make_world()
        found = World(database_name)
        yield found
        found.close()
        if not kept:
            _empty_all_tables(None)


@pytest.fixture
def both(committed_cast):
    """A and B with one connection each, named after them, committed; their ids."""
    tenants = {"A": committed_cast.tenant.pk, "B": committed_cast.stranger_tenant.pk}
    for name, tenant in tenants.items():
        with scope.tenant(tenant), transaction.atomic():
            Connection.objects.create(name=name, company_id=name, company_name=name)
    return SimpleNamespace(a=tenants["A"], b=tenants["B"])


@pytest.fixture
def clock(monkeypatch):
    """The time of this process and of its database rows, which a test moves forward."""
    return Clock(monkeypatch)
