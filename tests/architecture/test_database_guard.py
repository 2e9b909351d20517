"""Every table of the database is either bound to a tenant, or on a list with a reason."""

import pytest

from calqsync.tenancy import roles
from calqsync.tenancy.rls import TENANT

NO_TENANT = {
    "tenancy_tenant": "the tenant itself, with policies of its own",
    "tenancy_user": "people belong to several tenants",
    "tenancy_user_groups": "rights of support staff",
    "tenancy_user_user_permissions": "rights of support staff",
    "jobs_dispatcherpulse": "says when dispatchers looked for work, nothing of a tenant",
    "account_emailaddress": "addresses of people",
    "account_emailconfirmation": "addresses of people",
    "mfa_authenticator": "second factors of people",
    "django_session": "sessions of people",
    "django_admin_log": "what support staff did in the console",
    "django_content_type": "a registry of models",
    "django_migrations": "the schema's history",
    "auth_group": "rights of support staff",
    "auth_group_permissions": "rights of support staff",
    "auth_permission": "rights of support staff",
}


@pytest.fixture
def tables(truth):
    truth.execute(
        "SELECT c.relname, c.relrowsecurity, c.relforcerowsecurity, pg_get_userbyid(c.relowner),"
        " EXISTS (SELECT 1 FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attname ="
        " 'tenant_id' AND a.attnotnull AND NOT a.attisdropped)"
        " FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
        " WHERE n.nspname = 'public' AND c.relkind IN ('r', 'p')"
    )
    found = truth.fetchall()
    assert len(found) > 30, "the walk found hardly any table, so it guards nothing"
    return found


def tenant_tables(tables):
    return [name for name, *_rest, owned in tables if owned]


def test_every_table_has_a_tenant_or_a_reason(tables):
    without = {name for name, *_rest, owned in tables if not owned}
    assert without == set(NO_TENANT)


def test_every_tenant_table_forces_row_level_security(tables):
    naked = [
        name
        for name, enabled, forced, _owner, owned in tables
        if (owned or name == "tenancy_tenant") and not (enabled and forced)
    ]
    assert naked == []


def test_the_owner_role_owns_every_table(tables):
    assert {owner for *_rest, owner, _owned in tables} == {roles.OWNER}


def test_every_tenant_table_has_the_generated_policy_for_the_app(tables, truth):
    truth.execute(
        "SELECT tablename, cmd, qual, with_check FROM pg_policies"
        " WHERE policyname = 'tenant_rows' AND roles = ARRAY[%s]::name[]",
        [roles.APP],
    )
    found = {row[0]: row[1:] for row in truth.fetchall()}
    assert set(tenant_tables(tables)) <= set(found)
    for name in tenant_tables(tables):
        command, using, check = found[name]
        assert command == "ALL", name
        assert "current_setting('app.tenant'" in using, name
        assert check is None or "app.tenant" in check, name
    assert "nullif" in TENANT


def test_no_policy_lets_the_app_write_rows_of_another_tenant(truth):
    truth.execute(
        "SELECT tablename, policyname FROM pg_policies WHERE roles @> ARRAY[%s]::name[]"
        " AND policyname <> 'tenant_rows' AND cmd <> 'SELECT'",
        [roles.APP],
    )
    assert truth.fetchall() == []


def test_every_unique_index_of_a_tenant_table_begins_with_the_tenant(tables, truth):
    truth.execute(
        "SELECT t.relname, i.relname, coalesce(a.attname, '') FROM pg_index x"
        " JOIN pg_class i ON i.oid = x.indexrelid JOIN pg_class t ON t.oid = x.indrelid"
        " JOIN pg_namespace n ON n.oid = t.relnamespace LEFT JOIN pg_attribute a"
        " ON a.attrelid = t.oid AND a.attnum = x.indkey[0]"
        " WHERE n.nspname = 'public' AND x.indisunique AND NOT x.indisprimary"
    )
    owned = set(tenant_tables(tables))
    wrong = [
        (table, index)
        for table, index, first in truth.fetchall()
        if table in owned and first != "tenant_id"
    ]
    assert wrong == []


def test_every_foreign_key_between_tenant_tables_has_its_composite_twin(tables, truth):
    truth.execute(
        "SELECT t.relname, r.relname, (SELECT array_agg(a.attname ORDER BY k.ord) FROM"
        " unnest(c.conkey) WITH ORDINALITY k(num, ord) JOIN pg_attribute a"
        " ON a.attrelid = c.conrelid AND a.attnum = k.num)::text[] FROM pg_constraint c"
        " JOIN pg_class t ON t.oid = c.conrelid JOIN pg_class r ON r.oid = c.confrelid"
        " WHERE c.contype = 'f'"
    )
    owned = set(tenant_tables(tables))
    keys = [(t, r, tuple(cols)) for t, r, cols in truth.fetchall() if t in owned and r in owned]
    single = {(t, r, cols[0]) for t, r, cols in keys if len(cols) == 1}
    twins = {(t, r, cols[1]) for t, r, cols in keys if len(cols) == 2 and cols[0] == "tenant_id"}
    assert len(single) > 20, "the walk found hardly any key, so it guards nothing"
    assert single - twins == set()


def test_the_roles_that_serve_are_powerless(truth):
    truth.execute(
        "SELECT rolname FROM pg_roles WHERE rolname = ANY(%s) AND (rolsuper OR rolbypassrls"
        " OR rolcreatedb OR rolcreaterole)",
        [list(roles.ALL)],
    )
    assert truth.fetchall() == []


def test_the_app_role_may_not_truncate_create_or_own(truth):
    truth.execute(
        "SELECT c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
        " WHERE n.nspname = 'public' AND c.relkind = 'r' AND (has_table_privilege(%s, c.oid,"
        " 'TRUNCATE') OR has_table_privilege(%s, c.oid, 'REFERENCES'))",
        [roles.APP, roles.APP],
    )
    assert truth.fetchall() == []
    truth.execute("SELECT has_schema_privilege(%s, 'public', 'CREATE')", [roles.APP])
    assert truth.fetchone() == (False,)


def test_the_dispatcher_sees_jobs_and_nothing_else(truth):
    truth.execute(
        "SELECT DISTINCT table_name FROM information_schema.column_privileges WHERE grantee = %s",
        [roles.DISPATCHER],
    )
    assert {row[0] for row in truth.fetchall()} == {"jobs_job", "jobs_dispatcherpulse"}


def test_support_never_reads_secrets(truth):
    truth.execute(
        "SELECT DISTINCT table_name || '.' || column_name FROM"
        " information_schema.column_privileges WHERE grantee = %s",
        [roles.SUPPORT],
    )
    seen = {row[0] for row in truth.fetchall()}
    assert len(seen) > 50, "the walk found hardly any column, so it guards nothing"
    hidden = ("credential", "connectflow", "rawdocument", "invitation", "data_key", "session")
    assert [name for name in seen if any(word in name for word in hidden)] == []


def test_no_function_runs_with_its_owners_rights(truth):
    truth.execute(
        "SELECT p.proname FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace"
        " WHERE n.nspname = 'public' AND p.prosecdef"
    )
    assert truth.fetchall() == []


def test_no_view_shows_tenant_rows(truth):
    truth.execute(
        "SELECT c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
        " WHERE n.nspname = 'public' AND c.relkind IN ('v', 'm')"
    )
    assert truth.fetchall() == []
