"""Every table and every key, in plain SQL with the real roles: no Django filter helps here.

Two tenants, A and B, have a row in every table. Each test acts as B and tries for A's.
"""

import os

import psycopg2
import pytest
from django.db import connections, models, transaction
from psycopg2 import errors, sql

from calqsync.tenancy.isolation import roles
from calqsync.tenancy.isolation.catalog import declared_policies, tenant_models
from calqsync.tenancy.isolation.rls import GRANTED, composite_keys
from calqsync.tenancy.models import User
from tests.conftest import _empty_all_tables, make_cast, superuser_connection
from tests.tenancy.rows import fill

MODELS = {model._meta.db_table: model for model in tenant_models()}
TABLES = sorted(MODELS)
KEYS = {
    f"{key.table}.{key.column}": key for model in MODELS.values() for key in composite_keys(model)
}
UNIQUE = {
    f"{table}.{constraint.name}": (table, constraint)
    for table, model in MODELS.items()
    for constraint in model._meta.constraints
    if isinstance(constraint, models.UniqueConstraint)
}


def names_in(constraint):
    """The model fields that a unique constraint speaks of."""
    named, parts = list(constraint.fields), list(constraint.expressions)
    while parts:
        part = parts.pop()
        if isinstance(part, models.F):
            named.append(part.name)
        else:
            parts += part.get_source_expressions()
    return named


def plain_columns(table, constraint):
    """Its columns that hold values and not references, the tenant aside."""
    fields = [MODELS[table]._meta.get_field(name) for name in names_in(constraint)]
    return [f.column for f in fields if not f.is_relation]


PLAIN = {
    name: (table, columns)
    for name, (table, constraint) in UNIQUE.items()
    if (columns := plain_columns(table, constraint))
}
REFUSED = (errors.InsufficientPrivilege,)


class World:
    """Both tenants' ids by table, and connections of each role to their database."""

    def __init__(self, database):
        self.database = database
        self.truth = superuser_connection(database).cursor()
        # A grant lasts half an hour; the mutation check brings a world that was made before.
        self.truth.execute(
            "UPDATE tenancy_supportgrant SET created_at = now(),"
            " expires_at = now() + interval '20 minutes'"
        )
        self.a, self.alice = self._person("alice@example.com")
        self.b, self.mallory = self._person("mallory@example.com")
        self.rows = {table: self._ids(table) for table in TABLES}
        self.open = {}

    def _person(self, email):
        self.truth.execute(
            "SELECT m.tenant_id, u.id FROM tenancy_user u JOIN tenancy_membership m"
            " ON m.user_id = u.id WHERE u.email = %s",
            [email],
        )
        return self.truth.fetchone()

    def _ids(self, table):
        ids = []
        for tenant in (self.a, self.b):
            self.truth.execute(f"SELECT min(id) FROM {table} WHERE tenant_id = %s", [tenant])
            ids.append(self.truth.fetchone()[0])
        assert None not in ids, f"{table} has no row of both tenants"
        return tuple(ids)

    def value(self, table, row, column):
        self.truth.execute(
            sql.SQL("SELECT {} FROM {} WHERE id = %s").format(
                sql.Identifier(column), sql.Identifier(table)
            ),
            [row],
        )
        return self.truth.fetchone()[0]

    def as_role(self, alias, *, tenant=None, user=None, token=None):
        """A cursor in a fresh transaction of that role, which is rolled back by the next one."""
        if alias not in self.open:
            settings = connections[alias].settings_dict
            self.open[alias] = psycopg2.connect(
                dbname=self.database,
                user=settings["USER"],
                password=settings["PASSWORD"],
                host=settings["HOST"],
                port=settings["PORT"],
            )
        for other in self.open.values():
            other.rollback()  # nobody's locks stand in the way
        cursor = self.open[alias].cursor()
        cursor.execute(
            "SELECT set_config('app.tenant', %s, true), set_config('app.user', %s, true),"
            " set_config('app.token', %s, true)",
            [str(tenant or ""), str(user or ""), token or ""],
        )
        return cursor

    def as_b(self):
        return self.as_role("default", tenant=self.b, user=self.mallory)

    def close(self):
        for connection in (*self.open.values(), self.truth.connection):
            connection.close()


@pytest.fixture(scope="module")
def world(django_db_setup, django_db_blocker, database_name):
    kept = os.environ.get("CALQSYNC_TEST_DATABASE")  # its rows were made before it was damaged
    with django_db_blocker.unblock():
        if not kept:
            make_world()
        found = World(database_name)
        yield found
        found.close()
        if not kept:
            _empty_all_tables(None)


def make_world():
    """Commit both tenants with a row in every table."""
    with transaction.atomic():
        cast = make_cast()
        fill(cast.tenant, cast.alice)
        fill(cast.stranger_tenant, cast.mallory)


def test_i9c_every_tenant_table_has_rows_of_both_tenants(world):
    world.truth.execute(
        "SELECT c.relname FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid"
        " JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = 'public'"
        " AND c.relkind = 'r' AND a.attname = 'tenant_id' AND NOT a.attisdropped"
    )
    assert {row[0] for row in world.truth.fetchall()} == set(world.rows)
    assert len(TABLES) > 30
    assert len(KEYS) > 25
    assert len(UNIQUE) > 40


# -- rows ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("table", TABLES)
def test_i19_sql_sees_the_tenants_own_rows_alone(world, table):
    cursor = world.as_b()
    cursor.execute(f"SELECT DISTINCT tenant_id FROM {table}")
    assert cursor.fetchall() == [(world.b,)]


@pytest.mark.parametrize("table", TABLES)
def test_i19b_sql_without_a_tenant_sees_nothing(world, table):
    cursor = world.as_role("default")
    cursor.execute(f"SELECT count(*) FROM {table}")
    assert cursor.fetchone() == (0,)


@pytest.mark.parametrize("table", TABLES)
def test_the_owner_without_a_tenant_sees_nothing(world, table):
    cursor = world.as_role("owner")
    cursor.execute(f"SELECT count(*) FROM {table}")
    assert cursor.fetchone() == (0,)


@pytest.mark.parametrize("table", TABLES)
@pytest.mark.parametrize("statement", ["UPDATE {} SET id = id", "DELETE FROM {}"])
def test_i19c_sql_changes_nothing_of_another_tenant(world, table, statement):
    cursor = world.as_b()
    try:
        cursor.execute(statement.format(table) + " WHERE tenant_id = %s", [world.a])
    except REFUSED:
        return  # rows that the app only adds
    assert cursor.rowcount == 0


@pytest.mark.parametrize("table", TABLES)
def test_i19d_no_row_is_written_for_another_tenant(world, table):
    cursor = world.as_b()
    with pytest.raises(REFUSED):
        cursor.execute(*copied(world, table, tenant_id=world.a))


@pytest.mark.parametrize("table", TABLES)
def test_i19e_no_row_is_given_to_another_tenant(world, table):
    cursor = world.as_b()
    with pytest.raises(REFUSED):
        cursor.execute(
            f"UPDATE {table} SET tenant_id = %s WHERE id = %s", [world.a, world.rows[table][1]]
        )


@pytest.mark.parametrize("table", TABLES)
def test_i9_a_row_without_tenant_is_impossible_even_for_a_superuser(world, table):
    with pytest.raises(errors.NotNullViolation):
        world.truth.execute(*copied(world, table, tenant_id=None))


@pytest.mark.parametrize("table", TABLES)
@pytest.mark.parametrize("alias", roles.SERVING_ALIASES)
def test_i22b_no_serving_role_empties_a_table(world, table, alias):
    cursor = world.as_role(alias, tenant=world.b)
    with pytest.raises(REFUSED):
        cursor.execute(f"TRUNCATE {table}")


def test_audit_rows_are_only_added(world):
    for statement in ("UPDATE tenancy_auditevent SET act = ''", "DELETE FROM tenancy_auditevent"):
        cursor = world.as_b()
        with pytest.raises(REFUSED):
            cursor.execute(statement)


def copied(world, table, **changes):
    """An INSERT of a copy of B's row with these changes, which runs without reading it."""
    world.truth.execute(
        "SELECT a.attname FROM pg_attribute a WHERE a.attrelid = %s::regclass AND a.attnum > 0"
        " AND NOT a.attisdropped AND a.attidentity = '' AND a.attgenerated = ''",
        [table],
    )
    columns = [row[0] for row in world.truth.fetchall()]
    names = sql.SQL(", ").join(map(sql.Identifier, columns))
    # As text and back, so that every type travels as it is.
    world.truth.execute(
        sql.SQL("SELECT {} FROM {} WHERE id = %s").format(
            sql.SQL(", ").join(sql.SQL("{}::text").format(sql.Identifier(c)) for c in columns),
            sql.Identifier(table),
        ),
        [world.rows[table][1]],
    )
    values = dict(zip(columns, world.truth.fetchone(), strict=True)) | changes
    marks = sql.SQL(", ").join(sql.Placeholder() * len(columns))
    statement = sql.SQL("INSERT INTO {} ({}) VALUES ({})").format(
        sql.Identifier(table), names, marks
    )
    return statement, [None if values[c] is None else str(values[c]) for c in columns]


# -- keys ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("key", KEYS)
def test_i21_a_child_cannot_hang_on_another_tenants_parent(world, key):
    link = KEYS[key]
    cursor = world.as_b()
    cursor.execute(
        f"UPDATE {link.table} SET {link.column} = %s WHERE id = %s",
        [world.rows[link.target][0], world.rows[link.table][1]],
    )
    with pytest.raises(errors.ForeignKeyViolation):
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")


@pytest.mark.parametrize("key", [name for name, key in KEYS.items() if key.on_delete != "a"])
def test_i21b_deleting_a_parent_does_to_the_child_what_the_model_says(world, key):
    link = KEYS[key]
    cursor = world.as_b()
    cursor.execute(f"DELETE FROM {link.target} WHERE id = %s", [world.rows[link.target][1]])
    cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
    cursor.execute(
        f"SELECT {link.column} FROM {link.table} WHERE id = %s", [world.rows[link.table][1]]
    )
    assert cursor.fetchall() in ([] if link.on_delete == "c" else [(None,)], [])


def test_i21c_deleting_everything_of_one_tenant_leaves_the_other_as_it_was(world):
    before = contents(world, world.truth, world.a)
    cursor = world.as_b()
    for table in TABLES:
        try:
            cursor.execute("SAVEPOINT one")
            cursor.execute(f"DELETE FROM {table}")
        except REFUSED:
            cursor.execute("ROLLBACK TO SAVEPOINT one")
    cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
    cursor.execute("SELECT count(*) FROM integrations_customer")
    assert cursor.fetchone() == (0,)
    cursor.execute(
        "SELECT set_config('app.tenant', %s, true), set_config('app.user', '', true)",
        [str(world.a)],
    )
    assert contents(world, cursor, world.a) == before


def contents(world, cursor, tenant):
    """Every row of the tenant as text, byte for byte."""
    each = [
        f"SELECT '{table}', t::text FROM {table} t WHERE tenant_id = %(tenant)s" for table in TABLES
    ]
    cursor.execute(" UNION ALL ".join(each) + " ORDER BY 1, 2", {"tenant": tenant})
    found = cursor.fetchall()
    assert {table for table, _ in found} == set(TABLES)
    return found


# -- values that are unique ------------------------------------------------------------------------


@pytest.mark.parametrize(("table", "columns"), PLAIN.values(), ids=PLAIN)
def test_i13_values_that_another_tenant_uses_are_free(world, table, columns):
    taken = {column: world.value(table, world.rows[table][0], column) for column in columns}
    own = sql.SQL(", ").join(sql.SQL("{} = %s").format(sql.Identifier(name)) for name in taken)
    cursor = world.as_b()
    cursor.execute(
        sql.SQL("UPDATE {} SET {}").format(sql.Identifier(table), own), list(taken.values())
    )
    assert cursor.rowcount == 1


@pytest.mark.parametrize("name", UNIQUE)
def test_within_a_tenant_values_stay_unique(world, name):
    table, constraint = UNIQUE[name]
    cursor = world.as_b()
    with pytest.raises(errors.UniqueViolation) as refused:
        cursor.execute(*copied(world, table, **own_values(world, table, names_in(constraint))))
    assert refused.value.diag.constraint_name == constraint.name


def own_values(world, table, kept):
    """New values for the table's unique constraints, of none of the fields that are kept."""
    changes = {}
    for other_table, other in UNIQUE.values():
        if other_table == table:
            changes |= another(world, table, set(names_in(other)) - {*kept, "tenant"})
    return changes


def another(world, table, names):
    """A different value for one of the fields, where one can be made."""
    for name in sorted(names):
        f = MODELS[table]._meta.get_field(name)
        if f.is_relation and f.related_model is User:
            return {f.column: world.alice}
        if isinstance(f, models.UUIDField):
            return {f.column: "00000000-0000-4000-8000-000000000001"}
        if isinstance(f, models.CharField) and not f.choices:
            return {f.column: "another"[: f.max_length]}
        if isinstance(f, models.IntegerField):
            return {f.column: 99}
    return {}


# -- before a tenant is known, and the other roles -------------------------------------------------


def test_before_a_tenant_is_known_a_person_sees_their_own_rows_of_tenancy_membership(world):
    cursor = world.as_role("default", user=world.alice)
    cursor.execute("SELECT tenant_id FROM tenancy_membership")
    assert cursor.fetchall() == [(world.a,)]
    cursor.execute("SELECT id FROM tenancy_tenant")
    assert cursor.fetchall() == [(world.a,)]


@pytest.mark.parametrize(
    ("table", "column"),
    [("tenancy_invitation", "token_hash"), ("integrations_connectflow", "state_hash")],
)
def test_before_a_tenant_is_known_a_token_opens_its_own_row(world, table, column):
    first, second = world.rows[table]
    for row in (first, second):
        cursor = world.as_role("default", token=world.value(table, row, column))
        cursor.execute(f"SELECT id FROM {table}")
        assert cursor.fetchall() == [(row,)]
    assert first != second


def test_a_tenancy_invitation_is_seen_by_the_person_of_its_address_alone(world):
    row = world.rows["tenancy_invitation"][0]
    address = world.value("tenancy_invitation", row, "email")
    renamed = "UPDATE tenancy_invitation SET email = %s WHERE id = %s"
    world.truth.execute(renamed, ["Alice@example.com", row])
    try:
        for user, rows in [(world.alice, [(row,)]), (world.mallory, [])]:
            cursor = world.as_role("default", user=user)
            cursor.execute("SELECT id FROM tenancy_invitation")
            assert cursor.fetchall() == rows
            cursor.execute("UPDATE tenancy_invitation SET role = 'owner'")
            assert cursor.rowcount == 0
    finally:
        world.truth.execute(renamed, [address, row])


def test_a_tenant_sees_and_changes_itself_alone(world):
    cursor = world.as_b()
    cursor.execute("SELECT id FROM tenancy_tenant")
    assert cursor.fetchall() == [(world.b,)]
    cursor.execute("UPDATE tenancy_tenant SET name = name")
    assert cursor.rowcount == 1


def test_the_directory_shows_support_every_tenant_and_the_owner_none(world):
    for alias, rows in [("support", [(world.a,), (world.b,)]), ("owner", [])]:
        cursor = world.as_role(alias)
        cursor.execute("SELECT id FROM tenancy_tenant ORDER BY id")
        assert cursor.fetchall() == rows


def test_a_row_of_billing_firsttrial_is_seen_by_who_knows_its_hash_alone(world):
    world.truth.execute(
        "INSERT INTO billing_firsttrial (books, first_seen_by, ends_at) VALUES ('hash', 'x', now())"
    )
    try:
        cases = [("default", "hash", 1), ("default", "other", 0), ("default", None, 0)]
        for alias, token, rows in [*cases, ("owner", None, 0)]:
            cursor = world.as_role(alias, tenant=world.b, token=token)
            cursor.execute("SELECT count(*) FROM billing_firsttrial")
            assert cursor.fetchone() == (rows,), (alias, token)
    finally:
        world.truth.execute("DELETE FROM billing_firsttrial WHERE books = 'hash'")


def support_conditions(table):
    return [p.using for p in declared_policies() if p.role == roles.SUPPORT and p.table == table]


@pytest.mark.parametrize("table", TABLES)
def test_i23b_support_sees_what_the_directory_or_a_grant_opens(world, table):
    conditions = support_conditions(table)
    everybody = {(world.a,), (world.b,)}
    # The row in the table of grants lets alice look into A, and mallory into B.
    for user, opened in ((world.mallory, set()), (world.alice, {(world.a,)})):
        cursor = world.as_role("support", tenant=world.a, user=user)
        if not conditions:
            with pytest.raises(REFUSED):
                cursor.execute(f"SELECT tenant_id FROM {table}")
            continue
        cursor.execute(f"SELECT DISTINCT tenant_id FROM {table}")
        found = set(cursor.fetchall())
        if "true" in conditions:
            assert found == everybody
        elif conditions == [GRANTED]:
            assert found == opened
        else:  # a condition of the table's own
            assert opened <= found <= everybody


@pytest.mark.parametrize(
    ("act", "who", "seen"),
    [
        ("sync.requested", "mallory", True),
        ("books.decided", "mallory", False),
        ("books.decided", "alice", True),  # who has a grant for the company
    ],
)
def test_i23c_of_tenancy_auditevent_support_sees_acts_on_accounts_alone(world, act, who, seen):
    row = world.rows["tenancy_auditevent"][0]
    before = world.value("tenancy_auditevent", row, "act")
    renamed = "UPDATE tenancy_auditevent SET act = %s WHERE id = %s"
    world.truth.execute(renamed, [act, row])
    try:
        cursor = world.as_role("support", tenant=world.a, user=getattr(world, who))
        cursor.execute("SELECT count(*) FROM tenancy_auditevent WHERE id = %s", [row])
        assert cursor.fetchone() == (int(seen),)
    finally:
        world.truth.execute(renamed, [before, row])


@pytest.mark.parametrize("table", TABLES)
def test_the_dispatcher_sees_jobs_alone(world, table):
    cursor = world.as_role("dispatcher", tenant=world.a)
    if table == "jobs_job":
        cursor.execute("SELECT DISTINCT tenant_id FROM jobs_job")
        assert set(cursor.fetchall()) == {(world.a,), (world.b,)}
    else:
        with pytest.raises(REFUSED):
            cursor.execute(f"SELECT tenant_id FROM {table}")
