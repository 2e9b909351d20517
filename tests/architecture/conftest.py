"""The two companies of `world`, committed once a module."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any

import pytest
from django.test import TransactionTestCase, override_settings

from tests.architecture import building
from tests.architecture import world as worlds
from tests.conftest import superuser_connection

_QUICK = {
    "PASSWORD_HASHERS": ["django.contrib.auth.hashers.MD5PasswordHasher"],
    "LIMITS": {},
    "CACHES": {
        "default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"},
        "pages": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache", "LOCATION": "pages"},
    },
}


@pytest.fixture
def quiet() -> Iterator[None]:
    """A refusal is a warning in the log, and a walk is nothing but refusals."""
    logger = logging.getLogger("django.request")
    before = logger.level
    logger.setLevel(logging.CRITICAL)
    yield
    logger.setLevel(before)


@pytest.fixture(scope="module")
def committed_world(
    django_db_setup: None, django_db_blocker: Any, database_name: str
) -> Iterator[worlds.World]:
    with django_db_blocker.unblock():
        try:
            with override_settings(**_QUICK):
                built = building.build()
            yield built
        finally:
            TransactionTestCase._fixture_teardown(None)  # type: ignore[attr-defined, arg-type]


@pytest.fixture
def world(committed_world: worlds.World) -> worlds.World:
    """Both companies; what a test writes is committed, and the module's other tests see it."""
    return committed_world


@pytest.fixture
def marked_rows(world: worlds.World, database_name: str) -> Iterator[dict[str, tuple[int, str]]]:
    """The marked company's rows before the test; they are the same after it, byte for byte."""
    connection = superuser_connection(database_name)
    with connection.cursor() as truth:
        before = worlds.fingerprint(truth, world.marked)
        yield before
        after = worlds.fingerprint(truth, world.marked)
    connection.close()
    assert {name for name in before if before[name] != after[name]} == set()
