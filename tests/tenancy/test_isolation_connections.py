"""One database connection serves many tenants; threads and coroutines serve them at once."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from threading import Timer

import pytest
from asgiref.sync import sync_to_async
from django.core.signals import request_finished
from django.db import DatabaseError, connection, transaction
from django.http import HttpResponse, StreamingHttpResponse
from django.test import RequestFactory

from calqsync.tenancy import scope, services
from calqsync.tenancy.models import User
from integrations.models import Connection
from tests import pooling
from tests.pooling import PGBOUNCER

pytestmark = pytest.mark.django_db(transaction=True)


def seen():
    """What SQL sees, past the manager's filter."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT name FROM integrations_connection ORDER BY 1")
        return [row[0] for row in cursor.fetchall()]


# -- one connection, one tenant after the other ----------------------------------------------------


@pytest.fixture
def pooled():
    """PgBouncer in transaction mode with one server connection, in front of the test database."""
    if PGBOUNCER is None:
        pytest.skip("PGBOUNCER IS NOT INSTALLED: I17 ran without a pooler")
    with pooling.pooled():
        yield


@pytest.fixture(params=["direct", "pooled"])
def one_connection(request):
    """Every statement of the test goes over one server connection."""
    if request.param == "pooled":
        request.getfixturevalue("pooled")


def fails(cursor):
    cursor.execute("SELECT 1 / 0")


def is_cancelled(cursor):
    timer = Timer(0.1, connection.connection.cancel)
    timer.start()
    try:
        cursor.execute("SELECT pg_sleep(20)")
    finally:
        timer.join()


def times_out(cursor):
    cursor.execute("SET LOCAL statement_timeout = '50ms'")
    cursor.execute("SELECT pg_sleep(20)")


@pytest.mark.parametrize("way", [fails, is_cancelled, times_out])
def test_i17_after_a_tenants_failure_the_connection_shows_the_next_one_its_own(
    both, one_connection, way
):
    with (
        pytest.raises(DatabaseError),
        scope.tenant(both.a),
        transaction.atomic(),
        connection.cursor() as cursor,
    ):
        way(cursor)
    with transaction.atomic():
        assert seen() == []  # nobody's turn
    assert seen() == []
    with scope.tenant(both.b), transaction.atomic():
        assert seen() == ["B"]
    with transaction.atomic():
        assert seen() == []


def test_i17b_two_clients_of_one_server_connection_see_their_own(both, one_connection):
    def work(turn):
        tenant, own = ((both.a, "A"), (both.b, "B"))[turn % 2]
        try:
            with scope.tenant(tenant), transaction.atomic():
                return seen() == [own]
        finally:
            connection.close()

    with ThreadPoolExecutor(6) as pool:
        assert all(pool.map(work, range(60)))


def test_i17c_a_scope_inside_a_scope_is_told_to_the_running_transaction(both):
    with scope.tenant(both.a), transaction.atomic():
        with scope.tenant(both.b):
            assert seen() == ["B"]
        assert seen() == ["A"]
        with pytest.raises(DatabaseError), transaction.atomic(), scope.tenant(both.b):
            fails(connection.cursor())
        assert seen() == ["A"]
    with transaction.atomic():
        with scope.tenant(both.a):
            assert seen() == ["A"]
        assert seen() == []


# -- many at once ----------------------------------------------------------------------------------


@pytest.fixture
def fifty(transactional_db):
    """Fifty tenants, each with one connection that bears its id."""
    with transaction.atomic():
        founder = User.objects.create_user("founder@example.com", "correct horse battery")
        tenants = [services.tenant_create(name=f"Yritys {n}", owner=founder) for n in range(50)]
        for tenant in tenants:
            with scope.tenant(tenant.pk):
                Connection.objects.create(
                    name=str(tenant.pk), company_id="1", company_name=tenant.name
                )
    return [tenant.pk for tenant in tenants]


def read_and_write(tenant):
    """One piece of a tenant's work: what it read by SQL and by the manager, and one write."""
    with transaction.atomic():
        Connection.objects.update(company_name=f"written by {tenant}")
        found = list(Connection.objects.values_list("name", "company_name"))
        assert scope.current() == tenant
        return seen() == [str(tenant)] and found == [(str(tenant), f"written by {tenant}")]


def test_i16_threads_of_fifty_tenants_do_not_mix(fifty):
    def work(tenant):
        try:
            with scope.tenant(tenant):
                return all(read_and_write(tenant) for _ in range(3))
        finally:
            connection.close()

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(work, fifty * 2))
    assert scope.current() is None


def test_i16b_coroutines_of_fifty_tenants_do_not_mix(fifty):
    def work(tenant):
        try:
            return read_and_write(tenant)
        finally:
            connection.close()

    async def serve(tenant):
        with scope.tenant(tenant):
            await asyncio.sleep(0)  # the others run in between
            first = await sync_to_async(work, thread_sensitive=False)(tenant)
            await asyncio.sleep(0)
            assert scope.current() == tenant
            return first and await sync_to_async(work, thread_sensitive=False)(tenant)

    async def all_at_once():
        return await asyncio.gather(*map(serve, fifty))

    assert all(asyncio.run(all_at_once()))


# -- where no tenant is known, or no transaction runs ----------------------------------------------


def test_i18_a_query_after_the_commit_is_refused(both):
    with scope.tenant(both.a):
        with transaction.atomic():
            assert Connection.objects.count() == 1
        with pytest.raises(scope.NoTransaction):
            Connection.objects.count()


def test_i18b_a_query_on_commit_is_refused(both):
    with scope.tenant(both.a), pytest.raises(scope.NoTransaction), transaction.atomic():
        transaction.on_commit(lambda: list(Connection.objects.all()))


def test_i18c_a_streaming_answer_that_queries_after_the_door_raises(both):
    def rows():
        yield from Connection.objects.values_list("name", flat=True)

    with scope.tenant(both.a), transaction.atomic():
        answer = StreamingHttpResponse(rows())
    with pytest.raises(scope.NoTenant):
        b"".join(answer)
    with scope.tenant(both.a), transaction.atomic():
        within = HttpResponse(rows())
    assert within.content == b"A"


def test_i18d_a_signal_after_the_request_has_no_tenant(both):
    heard = []

    def listen(**_):
        heard.append(scope.current())
        with pytest.raises(scope.NoTenant):
            list(Connection.objects.all())

    request_finished.connect(listen)
    try:
        with scope.tenant(both.a), transaction.atomic():
            assert Connection.objects.count() == 1
        request_finished.send(sender=None)
    finally:
        request_finished.disconnect(listen)
    assert heard == [None]


def test_i18e_middleware_before_the_door_has_no_tenant(both):
    def middleware(request):
        return HttpResponse(str(Connection.objects.count()))

    with pytest.raises(scope.NoTenant):
        middleware(RequestFactory().get("/t/kuura-oy/"))


RAW = {
    "raw": lambda: list(Connection.unscoped.raw("SELECT * FROM integrations_connection")),
    "extra": lambda: list(Connection.unscoped.extra(where=["true"])),
    "related": lambda: list(Connection.unscoped.select_related("tenant")),
    "cursor": seen,
}


@pytest.mark.parametrize("way", RAW)
def test_i19f_every_way_around_the_manager_sees_own_rows_or_none(both, way):
    assert RAW[way]() == []
    with transaction.atomic():
        assert RAW[way]() == []
    with scope.tenant(both.b), transaction.atomic():
        assert [str(getattr(row, "name", row)) for row in RAW[way]()] == ["B"]
