"""One migrated database a test process, the four roles, and a world with a stranger in it."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import psycopg2
import pytest
from allauth.account.internal.flows import login
from django.conf import settings
from django.contrib.sessions.backends.db import SessionStore
from django.core.cache import cache
from django.core.management import call_command
from django.db import connections
from django.test import Client, TransactionTestCase
from django.test.client import ClientMixin

from calqsync.tenancy import scope
from calqsync.tenancy.accounts.sessions import cookie_of, key_of
from calqsync.tenancy.isolation import roles

ALIASES = ("default", "owner", "dispatcher", "support")


# Tests of these kinds start processes, which a busy machine may hold up at any moment.
SECOND_TRY = {"stack", "journey"}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Who starts processes runs once more after a failure; nobody else, and nobody at night.

    A test that is to fail at once says so itself: `flaky(reruns=0)`.
    """
    for item in items:
        kinds = {mark.name for mark in item.iter_markers()}
        if kinds & SECOND_TRY and not kinds & {"nightly", "flaky"}:
            item.add_marker(pytest.mark.flaky(reruns=1))


def _role_passwords() -> dict[str, str]:
    return {
        str(connections[alias].settings_dict["USER"]): str(
            connections[alias].settings_dict["PASSWORD"]
        )
        for alias in ALIASES
    }


def _use_database(name: str) -> None:
    for alias in ALIASES:
        connections[alias].close()
        connections[alias].settings_dict["NAME"] = name


@pytest.fixture(scope="session")
def database_name(worker_id: str = "") -> str:
    # The mutation check brings a migrated database, damaged in one place.
    if brought := os.environ.get("CALQSYNC_TEST_DATABASE"):
        return brought
    worker = os.environ.get("PYTEST_XDIST_WORKER", "main")
    return f"calqsync_test_{os.getpid()}_{worker}"


@pytest.fixture(scope="session")
def django_db_setup(django_db_blocker: Any, database_name: str) -> Iterator[None]:
    """A fresh database, migrated by its owner; the tests run with the app's role."""
    superuser = os.environ["TEST_SUPERUSER_URL"]
    if "CALQSYNC_TEST_DATABASE" in os.environ:
        with django_db_blocker.unblock():
            _use_database(database_name)
        yield
        return
    roles.create_roles(superuser, _role_passwords(), database_name)
    with django_db_blocker.unblock():
        _use_database(database_name)
        call_command("migrate", database="owner", verbosity=0)
    yield
    with django_db_blocker.unblock():
        connections.close_all()
    server = psycopg2.connect(superuser)
    server.autocommit = True
    with server.cursor() as cursor:
        cursor.execute(f'DROP DATABASE IF EXISTS "{database_name}" WITH (FORCE)')
    server.close()


def superuser_connection(database: str) -> Any:
    """A connection that row-level security does not bind, for looking at the whole truth."""
    connection = psycopg2.connect(os.environ["TEST_SUPERUSER_URL"], dbname=database)
    connection.autocommit = True
    return connection


@pytest.fixture
def truth(django_db_setup: None, database_name: str) -> Iterator[Any]:
    """A superuser's cursor on the test database; sees only what is committed."""
    connection = superuser_connection(database_name)
    with connection.cursor() as cursor:
        yield cursor
    connection.close()


def until_blocked(truth: Any) -> None:
    """Returns when somebody in this database waits for another one's lock."""
    for _ in range(6000):
        truth.execute(
            "SELECT 1 FROM pg_stat_activity"
            " WHERE datname = current_database() AND wait_event_type = 'Lock'"
        )
        if truth.fetchone():
            return
        time.sleep(0.01)
    raise AssertionError("nobody waits")


KEEP = {"django_migrations", "django_content_type", "auth_permission"}


def _empty_all_tables(self: Any) -> None:
    """What Django does by `flush`, which the app's role rightly may not do."""
    for alias in ALIASES:
        connections[alias].close()
    name = str(connections["default"].settings_dict["NAME"])
    connection = superuser_connection(name)
    with connection.cursor() as cursor:
        cursor.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
        tables = [f'"{row[0]}"' for row in cursor.fetchall() if row[0] not in KEEP]
        cursor.execute(f"TRUNCATE {', '.join(tables)} RESTART IDENTITY CASCADE")
    connection.close()


TransactionTestCase._fixture_teardown = _empty_all_tables  # type: ignore[attr-defined]


@pytest.fixture(autouse=True)
def _no_scope_left_over() -> Iterator[None]:
    assert scope.current() is None
    yield
    assert scope.current() is None, "a test ended with a tenant still in scope"


@pytest.fixture(autouse=True)
def _no_real_outside(settings: Any) -> None:
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
    settings.EMAIL_BACKEND = "django.core.mail.backends.locmem.EmailBackend"
    settings.CACHES = {
        "default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"},
        # Pages are made anew, for tests look at what they are made from; tests of pieces keep them.
        "pages": {"BACKEND": "django.core.cache.backends.dummy.DummyCache"},
    }
    # Rate limits live in the cache: one test's attempts must not count in the next.
    cache.clear()
    settings.LIMITS = {}  # tests of the limits set them; walks over every page ask often


def _session_of(client: Any) -> SessionStore:
    """As Django's test client has it, for our signed cookies."""
    cookie = client.cookies.get(settings.SESSION_COOKIE_NAME)
    session = SessionStore(key_of(cookie.value) if cookie else None)
    if not cookie:
        session.save()
        client.cookies[settings.SESSION_COOKIE_NAME] = cookie_of(str(session.session_key))
    return session


def _sign_cookie_too(client: Any, request: Any) -> None:
    _set_login_cookies(client, request)
    signed = cookie_of(request.session.session_key)
    client.cookies[settings.SESSION_COOKIE_NAME].set(settings.SESSION_COOKIE_NAME, signed, signed)


_set_login_cookies = ClientMixin._set_login_cookies  # type: ignore[attr-defined]
ClientMixin.session = property(_session_of)  # type: ignore[assignment, method-assign]
ClientMixin._set_login_cookies = _sign_cookie_too  # type: ignore[attr-defined]


class SignedInClient(Client):
    """The test client, whose `force_login` counts as a sign-in of this moment, as a real one does.

    With `recently=False` the session is as old as one that was left open.
    """

    def force_login(self, user: Any, backend: str | None = None, *, recently: bool = True) -> None:
        super().force_login(user, backend)
        at = time.time() - (0 if recently else 86_400)
        session = self.session
        session[login.AUTHENTICATION_METHODS_SESSION_KEY] = [{"method": "password", "at": at}]
        session[login._AUTHENTICATION_METHODS_USER_SESSION_KEY] = str(user.pk)
        session.save()


@pytest.fixture
def client() -> SignedInClient:
    return SignedInClient()


@dataclass
class Cast:
    """Kuura Oy with one person a role, and Vieras Oy with the stranger."""

    tenant: Any
    alice: Any  # owner
    ann: Any  # admin
    bob: Any  # member
    vera: Any  # viewer
    ivan: Any  # investor
    stranger_tenant: Any
    mallory: Any  # owner of the other company

    def url(self, path: str) -> str:
        return f"/t/{self.tenant.slug}/{path}"


def make_cast() -> Cast:
    from calqsync.tenancy.models import Membership, Role, User
    from calqsync.tenancy.services import tenant_create

    def person(name: str) -> Any:
        return User.objects.create_user(f"{name}@example.com", "correct horse battery", name=name)

    names = ["alice", "ann", "bob", "vera", "ivan", "mallory"]
    alice, ann, bob, vera, ivan, mallory = map(person, names)
    tenant = tenant_create(name="Kuura Oy", owner=alice)
    with scope.tenant(tenant.pk):
        roles_below = [Role.ADMIN, Role.MEMBER, Role.VIEWER, Role.INVESTOR]
        for user, role in zip([ann, bob, vera, ivan], roles_below, strict=True):
            Membership.objects.create(user=user, role=role)
    stranger_tenant = tenant_create(name="Vieras Oy", owner=mallory)
    return Cast(tenant, alice, ann, bob, vera, ivan, stranger_tenant, mallory)


@pytest.fixture
def cast(db: None) -> Cast:
    return make_cast()


@pytest.fixture
def post_office(monkeypatch: pytest.MonkeyPatch) -> Any:
    """`post_office(tenant)` has the letters that wait in this tenant sent, as a worker does."""
    from django.db import connection, transaction
    from django.utils import timezone

    from calqsync.jobs.models import Job, JobState
    from calqsync.jobs.tasks import MAIL, mail

    def deliver(tenant: Any) -> int:
        with transaction.atomic(), scope.tenant(tenant.pk):
            due = Job.objects.filter(
                kind=MAIL, state=JobState.QUEUED, run_after__lte=timezone.now()
            )
            ids = list(due.values_list("pk", flat=True))
        if connection.in_atomic_block:  # a worker has no transaction open when it begins
            kept = connections["default"]
            monkeypatch.setattr(kept, "close_if_unusable_or_obsolete", lambda: None)
        for job_id in ids:
            mail(tenant.pk, job_id)
        return len(ids)

    return deliver


@pytest.fixture
def committed_cast(transactional_db: None) -> Cast:
    """The same world, committed: for threads, worker processes and other roles."""
    from django.db import transaction

    with transaction.atomic():
        return make_cast()
