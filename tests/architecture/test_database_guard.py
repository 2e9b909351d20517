"""The catalog is as models and migrations say; damage of every kind is found and named."""

import os
import subprocess
import sys

import pytest

from calqsync.tenancy.isolation import catalog, roles
from tests.conftest import superuser_connection
from tests.scratch import addresses, copy_of

CUSTOMER = "integrations_customer"
INVOICE = "integrations_invoice"
KEY = f"{INVOICE}_customer_id_tenant_fk"
AS_B = "tenant_id = (SELECT nullif(current_setting('app.tenant', true), '')::bigint)"
LINES = "integrations_invoiceline"

# What somebody might do by hand: SQL, the rule that must see it, the object it must name.
DAMAGE = {
    "policy dropped": (f"DROP POLICY tenant_rows ON {CUSTOMER}", "policy-missing", CUSTOMER),
    "policy of the tenants dropped": (
        "DROP POLICY tenant_rows ON tenancy_tenant",
        "policy-missing",
        "tenancy_tenant",
    ),
    "policy shows all": (
        f"ALTER POLICY tenant_rows ON {CUSTOMER} USING (true)",
        "policy-always-true",
        CUSTOMER,
    ),
    "policy altered": (
        f"ALTER POLICY tenant_rows ON {CUSTOMER} USING (tenant_id > 0)",
        "policy-changed",
        CUSTOMER,
    ),
    "policy lets write anything": (
        f"ALTER POLICY tenant_rows ON {CUSTOMER} WITH CHECK (true)",
        "policy-changed",
        CUSTOMER,
    ),
    "policy for everybody": (
        f"ALTER POLICY tenant_rows ON {CUSTOMER} TO PUBLIC",
        "policy-changed",
        CUSTOMER,
    ),
    "policy for one more command": (
        f"CREATE POLICY more ON {CUSTOMER} FOR UPDATE TO {roles.APP} USING ({AS_B})",
        "policy-unexpected",
        CUSTOMER,
    ),
    "policy of support altered": (
        f"ALTER POLICY support_rows ON {CUSTOMER} USING (true)",
        "policy-changed",
        CUSTOMER,
    ),
    "row security off": (
        f"ALTER TABLE {CUSTOMER} DISABLE ROW LEVEL SECURITY",
        "row-security-off",
        CUSTOMER,
    ),
    "row security not forced": (
        f"ALTER TABLE {CUSTOMER} NO FORCE ROW LEVEL SECURITY",
        "row-security-not-forced",
        CUSTOMER,
    ),
    "tenant may be null": (
        f"ALTER TABLE {CUSTOMER} ALTER tenant_id DROP NOT NULL",
        "tenant-nullable",
        CUSTOMER,
    ),
    "tenant column dropped": (
        f"ALTER TABLE {CUSTOMER} DROP COLUMN tenant_id CASCADE",
        "table-without-tenant",
        CUSTOMER,
    ),
    "key that leads to the tenant dropped": (
        f"ALTER TABLE {CUSTOMER} DROP CONSTRAINT {CUSTOMER}_connection_id_tenant_fk",
        "tenant-key-missing",
        CUSTOMER,
    ),
    "key that leads to the tenant may be empty": (
        f"ALTER TABLE {CUSTOMER} ALTER connection_id DROP NOT NULL",
        "tenant-key-missing",
        CUSTOMER,
    ),
    "composite key dropped": (
        f"ALTER TABLE {INVOICE} DROP CONSTRAINT {KEY}",
        "composite-key-missing",
        INVOICE,
    ),
    "composite key deletes less": (
        f"ALTER TABLE {INVOICE} DROP CONSTRAINT {KEY}; ALTER TABLE {INVOICE} ADD CONSTRAINT {KEY}"
        f" FOREIGN KEY (tenant_id, customer_id) REFERENCES {CUSTOMER} (tenant_id, id)",
        "composite-key-deletes",
        INVOICE,
    ),
    "composite key not checked": (
        f"ALTER TABLE {INVOICE} DROP CONSTRAINT {KEY}; ALTER TABLE {INVOICE} ADD CONSTRAINT {KEY}"
        f" FOREIGN KEY (tenant_id, customer_id) REFERENCES {CUSTOMER} (tenant_id, id)"
        " ON DELETE CASCADE NOT VALID",
        "composite-key-missing",
        INVOICE,
    ),
    "new key without twin": (
        f"ALTER TABLE {LINES} ADD extra bigint REFERENCES {CUSTOMER} (id)",
        "composite-key-missing",
        LINES,
    ),
    "unique index without tenant": (
        f"CREATE UNIQUE INDEX taken ON {CUSTOMER} (external_id)",
        "unique-without-tenant",
        CUSTOMER,
    ),
    "unique index by expression": (
        f"CREATE UNIQUE INDEX taken ON {CUSTOMER} (lower(name), tenant_id)",
        "unique-without-tenant",
        CUSTOMER,
    ),
    "unique constraint dropped": (
        f"ALTER TABLE {CUSTOMER} DROP CONSTRAINT customer_once",
        "unique-missing",
        CUSTOMER,
    ),
    "table without policy": (
        "CREATE TABLE notes (tenant_id bigint NOT NULL)",
        "row-security-off",
        "notes",
    ),
    "table without tenant": ("CREATE TABLE loose (id int)", "table-without-tenant", "loose"),
    "table of another owner": ("CREATE TABLE loose (id int)", "owner", "loose"),
    "partition": (
        f"CREATE TABLE part () INHERITS ({CUSTOMER})",
        "partition",
        "part",
    ),
    "view": (f"CREATE VIEW peek AS SELECT * FROM {CUSTOMER}", "view", "peek"),
    "materialised view": (
        f"CREATE MATERIALIZED VIEW sums AS SELECT count(*) FROM {CUSTOMER}",
        "view",
        "sums",
    ),
    "definer function": (
        "CREATE FUNCTION peek() RETURNS bigint LANGUAGE sql SECURITY DEFINER"
        f" AS 'SELECT count(*) FROM {CUSTOMER}'",
        "function",
        "peek",
    ),
    "function with a mutable search_path": (
        "CREATE FUNCTION one() RETURNS int LANGUAGE sql AS 'SELECT 1'",
        "function",
        "one",
    ),
    "known function made definer": (
        "ALTER FUNCTION new_public_id() SECURITY DEFINER",
        "function",
        "new_public_id",
    ),
    "trigger": (
        "CREATE FUNCTION t() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog AS"
        f" 'BEGIN RETURN NEW; END'; CREATE TRIGGER copies AFTER INSERT ON {CUSTOMER}"
        " FOR EACH ROW EXECUTE FUNCTION t()",
        "trigger",
        CUSTOMER,
    ),
    "rule": (
        f"CREATE RULE quiet AS ON DELETE TO {CUSTOMER} DO INSTEAD NOTHING",
        "trigger",
        CUSTOMER,
    ),
    "truncate granted": (
        f"GRANT TRUNCATE ON {CUSTOMER} TO {roles.APP}",
        "rights-of-app",
        CUSTOMER,
    ),
    "references granted on a column": (
        f"GRANT REFERENCES (id) ON {CUSTOMER} TO {roles.APP}",
        "rights-of-app",
        f"{CUSTOMER}.id",
    ),
    "audit rows made writable": (
        f"GRANT UPDATE ON tenancy_auditevent TO {roles.APP}",
        "rights-of-app",
        "tenancy_auditevent",
    ),
    "sequence readable": (
        f"GRANT SELECT ON {CUSTOMER}_id_seq TO {roles.APP}",
        "rights-of-app",
        f"{CUSTOMER}_id_seq",
    ),
    "dispatcher reads books": (
        f"GRANT SELECT ON {CUSTOMER} TO {roles.DISPATCHER}",
        "rights-of-dispatcher",
        CUSTOMER,
    ),
    "dispatcher reads payloads": (
        f"GRANT SELECT (payload) ON jobs_job TO {roles.DISPATCHER}",
        "rights-of-dispatcher",
        "jobs_job.payload",
    ),
    "support reads credentials": (
        f"GRANT SELECT ON integrations_credential TO {roles.SUPPORT}",
        "rights-of-support",
        "integrations_credential",
    ),
    "support reads passwords": (
        f"GRANT SELECT (password) ON tenancy_user TO {roles.SUPPORT}",
        "rights-of-support",
        "tenancy_user.password",
    ),
    "support writes": (
        f"GRANT UPDATE ON {CUSTOMER} TO {roles.SUPPORT}",
        "rights-of-support",
        CUSTOMER,
    ),
    "everybody reads": (f"GRANT SELECT ON {CUSTOMER} TO PUBLIC", "rights-of-others", CUSTOMER),
    "app owns a table": (f"ALTER TABLE {CUSTOMER} OWNER TO {roles.APP}", "owner", CUSTOMER),
    "app may create": (f"GRANT CREATE ON SCHEMA public TO {roles.APP}", "schema-rights", "public"),
    "app bypasses": (f"ALTER ROLE {roles.APP} BYPASSRLS", "role-flags", roles.APP),
    "app joins the owner": (f"GRANT {roles.OWNER} TO {roles.APP}", "role-membership", roles.APP),
    "app begins with a tenant": (
        f"ALTER ROLE {roles.APP} SET app.tenant = '1'",
        "role-settings",
        roles.APP,
    ),
    "more rights by default": (
        f"ALTER DEFAULT PRIVILEGES FOR ROLE {roles.OWNER} GRANT ALL ON TABLES TO PUBLIC",
        "default-rights",
        roles.OWNER,
    ),
    "statements of all readable": (
        "GRANT SELECT ON pg_stat_activity TO PUBLIC",
        "shared-function",
        "pg_stat_activity",
    ),
    "publication": ("CREATE PUBLICATION p FOR ALL TABLES", "publication", "p"),
}


def test_i20_the_catalog_is_as_models_and_migrations_say(truth):
    assert list(map(str, catalog.audit(truth))) == []


@pytest.mark.parametrize("kind", DAMAGE)
def test_i20b_damage_is_found_and_its_table_named(kind, truth):
    statement, rule, subject = DAMAGE[kind]
    truth.execute("BEGIN")
    truth.execute(statement)
    found = {(finding.rule, finding.subject) for finding in catalog.audit(truth)}
    # The audit rolled back, and the damage with it.
    assert (rule, subject) in found


def test_i20c_a_policy_dropped_by_hand_fails_the_command_which_names_the_table(
    django_db_setup, database_name
):
    with copy_of(database_name, "damaged") as copy:
        sound = check(copy)
        connection = superuser_connection(copy)
        connection.cursor().execute("DROP POLICY tenant_rows ON integrations_invoice")
        connection.close()
        damaged = check(copy)
    assert (sound.returncode, damaged.returncode) == (0, 1), sound.stderr
    assert "integrations_invoice: its policy tenant_rows is gone" in damaged.stdout


def check(database):
    return subprocess.run(
        [sys.executable, "-m", "django", "check_isolation"],
        env=os.environ | addresses(database),
        capture_output=True,
        text=True,
        check=False,
    )


def test_an_empty_database_is_no_proof(truth):
    truth.execute("BEGIN")
    truth.execute("DROP SCHEMA public CASCADE")
    with pytest.raises(catalog.NothingToAudit, match="migrate"):
        catalog.audit(truth)


def test_the_audit_looks_at_every_tenant_table_and_policy(truth):
    truth.execute("SELECT count(*) FROM pg_policies")
    assert len(catalog.declared_policies()) == truth.fetchone()[0] > 60
    assert len(catalog.tenant_models()) > 30
