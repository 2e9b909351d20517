"""The rules of the catalog audit that are one query each: every row returned is a finding."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from calqsync.tenancy.isolation.roles import (
    ALL,
    APP,
    DISPATCHER,
    OWNER,
    SERVING,
    SHARED_FUNCTIONS,
    SUPPORT,
)

VALUES: dict[str, Any] = {
    "owner": OWNER,
    "app": APP,
    "dispatcher": DISPATCHER,
    "support": SUPPORT,
    "serving": list(SERVING),
    "roles": list(ALL),
    "shared": list(SHARED_FUNCTIONS),
    # The app reads these and writes them never.
    "app_reads": ["django_migrations", "jobs_dispatcherpulse"],
    "dispatcher_tables": ["jobs_job", "jobs_dispatcherpulse"],
    # Tables without tenant of which support may read columns.
    "support_people": ["tenancy_user", "tenancy_tenant"],
    "secret": "password|secret|token|cipher|_wrapped|data_key|session_data|otp|payload$|body$",
    "functions": ["new_public_id"],
    "extensions": ["plpgsql"],
}


@dataclass(frozen=True, slots=True)
class Rule:
    """A name, what to do about a finding, and a query for (subject, problem)."""

    name: str
    advice: str
    query: str


_OURS = r"n.nspname NOT LIKE 'pg\_%%' AND n.nspname <> 'information_schema'"
_CLASS = "pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
# A tenant's table, and any other that a policy speaks of.
_BOUND = (
    "(c.relname = ANY(%(bound_tables)s)"
    " OR EXISTS (SELECT 1 FROM pg_policy p WHERE p.polrelid = c.oid))"
)
_SECURE = "Run the app's SecureTables again by a migration; find out who changed it."
_GRANTS = "Run manage.py create_roles and the migrations; find out who granted it."

# The last column: whether every row must have a parent, since a key with a null is not checked.
FOREIGN_KEYS = """
SELECT t.relname, (SELECT array_agg(a.attname::text ORDER BY k.place) FROM
    unnest(c.conkey) WITH ORDINALITY k(number, place) JOIN pg_attribute a
    ON a.attrelid = c.conrelid AND a.attnum = k.number), r.relname, c.confdeltype::text,
    c.convalidated AND coalesce((to_jsonb(c) ->> 'conenforced')::boolean, true),
    (SELECT bool_and(a.attnotnull) FROM pg_attribute a
    WHERE a.attrelid = c.conrelid AND a.attnum = ANY(c.conkey))
FROM pg_constraint c JOIN pg_class t ON t.oid = c.conrelid JOIN pg_class r ON r.oid = c.confrelid
WHERE c.contype = 'f'
"""

# Every right on a table, sequence or one of their columns: (table, column, kind, grantee, right).
_RIGHTS = f"""
WITH rights AS (
    SELECT c.relname, NULL::name AS attname, c.relkind, c.relowner,
        CASE x.grantee WHEN 0 THEN 'PUBLIC' ELSE x.grantee::regrole::text END AS grantee,
        x.privilege_type AS privilege, x.is_grantable
    FROM {_CLASS}, aclexplode(coalesce(c.relacl, acldefault(
        (CASE c.relkind WHEN 'S' THEN 's' ELSE 'r' END)::"char", c.relowner))) x
    WHERE {_OURS} AND x.grantee <> c.relowner
    UNION ALL
    SELECT c.relname, a.attname, c.relkind, c.relowner,
        CASE x.grantee WHEN 0 THEN 'PUBLIC' ELSE x.grantee::regrole::text END,
        x.privilege_type, x.is_grantable
    FROM {_CLASS} JOIN pg_attribute a ON a.attrelid = c.oid, aclexplode(a.attacl) x
    WHERE {_OURS} AND x.grantee <> c.relowner)
SELECT relname || coalesce('.' || attname, ''), grantee || ' has ' || privilege FROM rights
"""

RULES = (
    Rule(
        "row-security-off",
        _SECURE,
        f"SELECT c.relname, CASE WHEN EXISTS (SELECT 1 FROM pg_policy p WHERE p.polrelid = c.oid)"
        " THEN 'its policies are not applied: row-level security is off'"
        " ELSE 'row-level security is off' END"
        f" FROM {_CLASS} WHERE {_OURS} AND c.relkind IN ('r', 'p')"
        f" AND {_BOUND} AND NOT c.relrowsecurity",
    ),
    Rule(
        "row-security-not-forced",
        _SECURE,
        f"SELECT c.relname, 'row-level security does not bind its owner' FROM {_CLASS}"
        f" WHERE {_OURS} AND c.relkind IN ('r', 'p') AND {_BOUND}"
        " AND NOT c.relforcerowsecurity",
    ),
    Rule(
        "policy-always-true",
        _SECURE,
        "SELECT tablename, 'its policy ' || policyname || ' shows every row' FROM pg_policies"
        " WHERE schemaname NOT LIKE 'pg\\_%%' AND (qual = 'true' OR with_check = 'true')"
        " AND NOT (cmd = 'SELECT' AND roles = ARRAY[%(support)s]::name[])"
        " AND NOT (tablename = ANY(%(dispatcher_tables)s)"
        " AND roles = ARRAY[%(dispatcher)s]::name[])",
    ),
    Rule(
        "tenant-nullable",
        "Put NOT NULL back by a migration, after giving its rows a tenant.",
        f"SELECT c.relname, 'a row may have no tenant' FROM {_CLASS} JOIN pg_attribute a"
        f" ON a.attrelid = c.oid WHERE {_OURS} AND c.relname = ANY(%(tenant_tables)s)"
        " AND a.attname = 'tenant_id' AND NOT a.attnotnull",
    ),
    Rule(
        "unique-without-tenant",
        "Begin the constraint with the tenant: what is taken would tell of other tenants.",
        "SELECT t.relname, 'its unique index ' || i.relname || ' does not begin with tenant_id'"
        " FROM pg_index x JOIN pg_class i ON i.oid = x.indexrelid"
        " JOIN pg_class t ON t.oid = x.indrelid"
        " LEFT JOIN pg_attribute a ON a.attrelid = t.oid AND a.attnum = x.indkey[0]"
        " WHERE t.relname = ANY(%(tenant_tables)s) AND (x.indisunique OR x.indisexclusion)"
        " AND a.attname IS DISTINCT FROM 'tenant_id'"
        " AND NOT (x.indisprimary AND x.indnatts = 1 AND a.attname = 'id')",
    ),
    Rule(
        "unique-tenant-missing",
        _SECURE,
        "SELECT t.relname, 'UNIQUE (tenant_id, id), to which composite keys refer, is gone'"
        f" FROM pg_class t JOIN pg_namespace n ON n.oid = t.relnamespace WHERE {_OURS}"
        " AND t.relname = ANY(%(tenant_tables)s) AND NOT EXISTS (SELECT 1 FROM pg_index x"
        " WHERE x.indrelid = t.oid AND x.indisunique AND x.indisvalid AND (SELECT array_agg("
        "a.attname::text ORDER BY k.place) FROM unnest(x.indkey::int[]) WITH ORDINALITY"
        " k(number, place) JOIN pg_attribute a ON a.attrelid = t.oid AND a.attnum = k.number)"
        " = ARRAY['tenant_id', 'id'])",
    ),
    Rule(
        "rights-of-app",
        _GRANTS,
        f"{_RIGHTS} WHERE grantee = %(app)s AND (is_grantable OR privilege NOT IN"
        " ('SELECT', 'INSERT', 'UPDATE', 'DELETE', 'USAGE')"
        " OR (relkind = 'S' AND privilege <> 'USAGE')"
        " OR (privilege IN ('UPDATE', 'DELETE') AND relname = ANY(%(append_only)s))"
        " OR (privilege <> 'SELECT' AND relname = ANY(%(app_reads)s)))",
    ),
    Rule(
        "rights-of-dispatcher",
        _GRANTS,
        f"{_RIGHTS} WHERE grantee = %(dispatcher)s AND (is_grantable"
        " OR privilege NOT IN ('SELECT', 'INSERT', 'UPDATE', 'USAGE')"
        " OR (relkind = 'S' AND relname <> 'jobs_dispatcherpulse_id_seq')"
        " OR (relkind <> 'S' AND relname <> ALL(%(dispatcher_tables)s))"
        # Of the jobs, columns alone: payloads and errors are the tenant's.
        " OR (relname = 'jobs_job' AND (attname IS NULL OR attname ~ 'payload|error|key')))",
    ),
    Rule(
        "rights-of-support",
        _GRANTS,
        f"{_RIGHTS} WHERE grantee = %(support)s AND (is_grantable OR privilege <> 'SELECT'"
        " OR NOT (relname = ANY(%(support_tables)s) OR relname = ANY(%(support_people)s))"
        # A table's own right covers its secrets; of such a table only columns may be named.
        " OR attname ~ %(secret)s OR (attname IS NULL AND EXISTS (SELECT 1 FROM pg_attribute a"
        " JOIN pg_class k ON k.oid = a.attrelid WHERE k.relname = rights.relname"
        " AND a.attname ~ 'password|secret|token|cipher|_wrapped' AND NOT a.attisdropped)))",
    ),
    Rule(
        "rights-of-others",
        _GRANTS,
        f"{_RIGHTS} WHERE grantee <> ALL(%(serving)s)",
    ),
    Rule(
        "owner",
        "ALTER … OWNER TO the owner's role: whoever owns a table can switch its policies off.",
        f"SELECT c.relname, 'it belongs to ' || c.relowner::regrole FROM {_CLASS} WHERE {_OURS}"
        " AND c.relowner::regrole::text <> %(owner)s"
        f" UNION ALL SELECT n.nspname, 'the schema belongs to ' || n.nspowner::regrole"
        f" FROM pg_namespace n WHERE {_OURS} AND n.nspowner::regrole::text <> %(owner)s"
        " UNION ALL SELECT d.datname, 'the database belongs to ' || d.datdba::regrole"
        " FROM pg_database d WHERE d.datname = current_database()"
        " AND d.datdba::regrole::text <> %(owner)s",
    ),
    Rule(
        "role-flags",
        "Run manage.py create_roles.",
        "SELECT rolname, 'it is a superuser, skips row-level security, creates roles or databases,"
        " or replicates' FROM pg_roles WHERE rolname = ANY(%(roles)s)"
        " AND (rolsuper OR rolbypassrls OR rolcreatedb OR rolcreaterole OR rolreplication)"
        " UNION ALL SELECT name, 'the role does not exist' FROM unnest(%(roles)s::text[]) name"
        " WHERE name NOT IN (SELECT rolname FROM pg_roles)",
    ),
    Rule(
        "role-membership",
        "Run manage.py create_roles: a member can become what it is a member of.",
        "SELECT m.rolname, 'it is a member of ' || r.rolname FROM pg_auth_members a"
        " JOIN pg_roles r ON r.oid = a.roleid JOIN pg_roles m ON m.oid = a.member"
        " WHERE m.rolname = ANY(%(roles)s)",
    ),
    Rule(
        "role-settings",
        "ALTER ROLE … RESET: a stored setting would give a process a tenant that it never chose.",
        "SELECT coalesce(r.rolname, 'every role'), 'it begins with ' || x.setting FROM"
        " pg_db_role_setting s LEFT JOIN pg_roles r ON r.oid = s.setrole, unnest(s.setconfig)"
        " x(setting) WHERE x.setting ~ '^(app\\.|role=|row_security=|search_path=|"
        "session_preload_libraries=|session_replication_role=)'"
        " AND s.setdatabase IN (0, (SELECT oid FROM pg_database"
        " WHERE datname = current_database()))",
    ),
    Rule(
        "view",
        "Give it security_invoker, or build the figures as a table with tenant_id: a view reads"
        " with its owner's rights, and no policy binds a materialised one.",
        f"SELECT c.relname, CASE c.relkind WHEN 'm' THEN 'it is a materialised view' WHEN 'f'"
        " THEN 'it is a foreign table' ELSE 'it is a view with its owner''s rights' END"
        f" FROM {_CLASS} WHERE {_OURS} AND (c.relkind IN ('m', 'f') OR (c.relkind = 'v' AND NOT"
        " coalesce(c.reloptions::text[] && ARRAY['security_invoker=true', 'security_invoker=on',"
        " 'security_invoker=1'], false)))",
    ),
    Rule(
        "partition",
        "Partitions are read past their parent's policies: give each one its own, and no grants.",
        f"SELECT c.relname, 'it is a partition or inherits' FROM {_CLASS}"
        f" WHERE {_OURS} AND c.relkind IN ('r', 'f', 'p')"
        " AND EXISTS (SELECT 1 FROM pg_inherits i WHERE i.inhrelid = c.oid)",
    ),
    Rule(
        "function",
        "Drop it, or name it in calqsync.tenancy.isolation.rules with a fixed search_path and its"
        " caller's rights.",
        f"SELECT p.proname, concat_ws(', ', CASE WHEN p.prosecdef THEN"
        " 'it runs with its owner''s rights' END, CASE WHEN NOT coalesce(p.proconfig::text"
        " LIKE '%%search_path=%%', false) THEN 'its search_path can be changed' END,"
        " CASE WHEN p.proname <> ALL(%(functions)s) THEN 'no rule knows it' END,"
        " CASE WHEN p.prorettype IN ('trigger'::regtype, 'event_trigger'::regtype)"
        " THEN 'it is called by triggers' END)"
        f" FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace WHERE {_OURS}"
        " AND (p.prosecdef OR NOT coalesce(p.proconfig::text LIKE '%%search_path=%%', false)"
        " OR p.proname <> ALL(%(functions)s))",
    ),
    Rule(
        "trigger",
        "Drop it: a trigger writes with the rights of whoever changes the table, unseen.",
        f"SELECT c.relname, 'it has the trigger ' || t.tgname FROM pg_trigger t JOIN {_CLASS}"
        f" ON c.oid = t.tgrelid WHERE NOT t.tgisinternal AND {_OURS}"
        f" UNION ALL SELECT c.relname, 'it has the rule ' || r.rulename FROM pg_rewrite r"
        f" JOIN {_CLASS} ON c.oid = r.ev_class WHERE c.relkind IN ('r', 'p') AND {_OURS}"
        " UNION ALL SELECT e.evtname, 'it is an event trigger' FROM pg_event_trigger e",
    ),
    Rule(
        "default-rights",
        "Run manage.py create_roles; ALTER DEFAULT PRIVILEGES … REVOKE what it does not give.",
        "SELECT d.defaclrole::regrole::text, CASE x.grantee WHEN 0 THEN 'PUBLIC' ELSE"
        " x.grantee::regrole::text END || ' will have ' || x.privilege_type || ' on new objects'"
        " FROM pg_default_acl d, aclexplode(d.defaclacl) x WHERE x.grantee <> d.defaclrole"
        " AND NOT (d.defaclrole::regrole::text = %(owner)s AND x.grantee <> 0"
        " AND x.grantee::regrole::text = %(app)s AND NOT x.is_grantable AND ("
        "(d.defaclobjtype = 'r' AND x.privilege_type IN ('SELECT', 'INSERT', 'UPDATE', 'DELETE'))"
        " OR (d.defaclobjtype = 'S' AND x.privilege_type = 'USAGE')"
        " OR (d.defaclobjtype = 'f' AND x.privilege_type = 'EXECUTE')))",
    ),
    Rule(
        "schema-rights",
        "Run manage.py create_roles.",
        "SELECT n.nspname, r.rolname || ' may create objects in it' FROM pg_namespace n,"
        f" pg_roles r WHERE {_OURS} AND r.rolname = ANY(%(serving)s)"
        " AND has_schema_privilege(r.oid, n.oid, 'CREATE')"
        " UNION ALL SELECT n.nspname, 'everybody may use it' FROM pg_namespace n, aclexplode("
        f"n.nspacl) x WHERE {_OURS} AND x.grantee = 0"
        " UNION ALL SELECT current_database(), r.rolname || ' may create schemas' FROM pg_roles r"
        " WHERE r.rolname = ANY(%(serving)s)"
        " AND has_database_privilege(r.oid, current_database(), 'CREATE')"
        " UNION ALL SELECT current_database(), r.rolname || ' may make temporary tables' FROM"
        " pg_roles r WHERE r.rolname = ANY(%(serving)s) AND r.rolname <> %(app)s"
        " AND has_database_privilege(r.oid, current_database(), 'TEMPORARY')"
        " UNION ALL SELECT d.datname, 'everybody may connect' FROM pg_database d, aclexplode("
        "coalesce(d.datacl, acldefault('d', d.datdba))) x WHERE x.grantee = 0"
        " AND d.datname = current_database()",
    ),
    Rule(
        "shared-function",
        "Run manage.py create_roles: all tenants' work runs as one role, which could call it.",
        "SELECT f.name, r.rolname || ' may call it' FROM unnest(%(shared)s::text[]) f(name),"
        " pg_roles r WHERE r.rolname = ANY(%(serving)s) AND to_regprocedure(f.name) IS NOT NULL"
        " AND has_function_privilege(r.oid, to_regprocedure(f.name), 'EXECUTE')"
        " UNION ALL SELECT 'pg_stat_activity', r.rolname || ' may read it' FROM pg_roles r"
        " WHERE r.rolname = ANY(%(serving)s)"
        " AND has_table_privilege(r.oid, 'pg_stat_activity', 'SELECT')",
    ),
    Rule(
        "extension",
        "Drop it, or name it in calqsync.tenancy.isolation.rules: some read files, or other"
        " servers.",
        "SELECT extname, 'an extension that nothing here needs' FROM pg_extension"
        " WHERE extname <> ALL(%(extensions)s)",
    ),
    Rule(
        "publication",
        "Drop it: a publication copies rows past every policy.",
        "SELECT pubname, 'it publishes rows to other servers' FROM pg_publication",
    ),
)
