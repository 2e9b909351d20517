"""A view that can be injected into: what the attacker can do ends where the app's role ends."""

import pytest
from django.db import DatabaseError, connection, transaction
from django.http import HttpResponse
from django.test import RequestFactory

from calqsync.tenancy import scope
from calqsync.tenancy.isolation import roles
from integrations.models import Connection

pytestmark = pytest.mark.django_db(transaction=True)


def injectable(request):
    """Deliberately wrong: the value becomes part of the statement."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(
            f"SELECT name FROM integrations_connection WHERE name = '{request.GET['name']}'"
        )
        rows = cursor.fetchall() if cursor.description else []
    return HttpResponse("\n".join(str(row) for row in rows))


@pytest.fixture
def attack(committed_cast):
    """Sends a value to the view as B, while A has a connection named "A's secret"."""
    for tenant, name in [
        (committed_cast.tenant, "A's secret"),
        (committed_cast.stranger_tenant, "B"),
    ]:
        with scope.tenant(tenant.pk), transaction.atomic():
            Connection.objects.create(name=name, company_id="1", company_name=name)

    def send(value):
        with scope.tenant(committed_cast.stranger_tenant.pk):
            return injectable(RequestFactory().get("/", {"name": value})).content.decode()

    return send


def test_i22c_the_view_can_be_injected_into(attack):
    assert "B" in attack("' OR 1=1 --")  # else the tests below would prove nothing


READS = {
    "all rows": "' OR 1=1 --",
    "union": "' UNION SELECT name FROM integrations_connection --",
    "other table": "' UNION SELECT name FROM tenancy_tenant --",
    "join": "' UNION SELECT c.company_name FROM integrations_connection c CROSS JOIN"
    " tenancy_tenant t --",
    "aggregate": "' UNION SELECT string_agg(name, ',') FROM integrations_connection --",
    "as json": "' UNION SELECT row_to_json(c)::text FROM integrations_connection c --",
    "statistics": "' UNION SELECT most_common_vals::text FROM pg_stats"
    " WHERE tablename = 'integrations_connection' --",
    "stacked": "'; SELECT name FROM integrations_connection --",
}


@pytest.mark.parametrize("kind", READS)
def test_i22d_an_injected_read_finds_nothing_of_another_tenant(attack, kind):
    answer = attack(READS[kind])
    assert "secret" not in answer
    assert "Kuura" not in answer


REFUSED = {
    "truncate": "TRUNCATE integrations_connection",
    "drop table": "DROP TABLE integrations_connection",
    "drop policy": "DROP POLICY tenant_rows ON integrations_connection",
    "policies off": "ALTER TABLE integrations_connection DISABLE ROW LEVEL SECURITY",
    "row security off": "SET row_security = off; SELECT * FROM integrations_connection",
    "become owner": f"SET ROLE {roles.OWNER}",
    "become support": f"SET ROLE {roles.SUPPORT}",
    "become another session": f"SET SESSION AUTHORIZATION {roles.OWNER}",
    "make superuser": f"ALTER ROLE {roles.APP} SUPERUSER",
    "create role": "CREATE ROLE mine",
    "create table": "CREATE TABLE mine (id int)",
    "create function": "CREATE FUNCTION mine() RETURNS int LANGUAGE sql AS 'SELECT 1'",
    "create view": "CREATE VIEW mine AS SELECT 1",
    "create schema": "CREATE SCHEMA mine",
    "create extension": "CREATE EXTENSION dblink",
    "anonymous definer": "CREATE FUNCTION pg_temp.f() RETURNS int LANGUAGE sql SECURITY DEFINER"
    f" AS 'SELECT 1'; ALTER FUNCTION pg_temp.f() OWNER TO {roles.OWNER}",
    "trigger": "CREATE TRIGGER t AFTER INSERT ON integrations_connection"
    " FOR EACH ROW EXECUTE FUNCTION suppress_redundant_updates_trigger()",
    "read passwords of roles": "SELECT rolpassword FROM pg_authid",
    "read a file": "SELECT pg_read_file('/etc/passwd')",
    "list a folder": "SELECT pg_ls_dir('/')",
    "copy from a file": "CREATE TEMP TABLE f (line text); COPY f FROM '/etc/passwd'",
    "copy to a program": "COPY (SELECT 1) TO PROGRAM 'id'",
    "copy a file out": "COPY integrations_connection TO '/tmp/stolen'",
    "import a large object": "SELECT lo_import('/etc/passwd')",
    "make a large object": "SELECT lo_from_bytea(0, 'x')",
    "copy into the table": "COPY integrations_connection FROM '/etc/passwd'",
    "others' statements": "SELECT query FROM pg_stat_activity",
    "others' statements by function": "SELECT * FROM pg_stat_get_activity(NULL)",
    "end others' sessions": "SELECT pg_terminate_backend(pid) FROM"
    " (VALUES (pg_backend_pid())) v(pid)",
    "count by a sequence": "SELECT last_value FROM integrations_connection_id_seq",
    "settings of the server": "ALTER SYSTEM SET log_statement = 'all'",
    "read the schema's history for writing": "DELETE FROM django_migrations",
    "change the audit log": "UPDATE tenancy_auditevent SET act = 'nothing'",
    "give away a row": "UPDATE integrations_connection SET tenant_id = tenant_id + 1",
    "logical decoding": "SELECT pg_create_logical_replication_slot('x', 'test_decoding')",
}


@pytest.mark.parametrize("kind", REFUSED)
def test_i22e_an_injected_statement_beyond_the_apps_role_is_refused(attack, kind):
    with pytest.raises(DatabaseError):
        attack(f"'; {REFUSED[kind]} --")


def test_i22f_injected_changes_end_at_the_tenants_own_rows(attack, truth):
    attack("'; DELETE FROM integrations_connection; UPDATE tenancy_tenant SET name = 'taken' --")
    truth.execute("SELECT name FROM integrations_connection")
    assert truth.fetchall() == [("A's secret",)]
    truth.execute("SELECT name FROM tenancy_tenant ORDER BY 1")
    assert truth.fetchall() == [("Kuura Oy",), ("taken",)]


QUOTES = ["'", '"', "';--", "\\", "%s", "%(x)s", "' OR ''='", "$$", "') OR ('1'='1", "1;SELECT 1"]


@pytest.mark.parametrize("value", QUOTES)
def test_i22g_values_with_quotes_are_values(committed_cast, value):
    with scope.tenant(committed_cast.tenant.pk), transaction.atomic():
        made = Connection.objects.create(name=value, company_id="1", company_name="x")
        assert [row.pk for row in Connection.objects.filter(name=value)] == [made.pk]
        assert [row.pk for row in Connection.objects.filter(name__contains=value)] == [made.pk]
        assert not Connection.objects.filter(name=value + "'").exists()
