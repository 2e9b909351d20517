"""Every table and every key, in plain SQL with the real roles: no Django filter helps here.

Two tenants, A and B, have a row in every table. Each test acts as B and tries for A's.
"""

import pytest
from django.db import models
from psycopg2 import errors, sql

from calqsync.tenancy.isolation import roles
from calqsync.tenancy.isolation.rls import composite_keys
from calqsync.tenancy.models import User
from tests.tenancy.sql_world import MODELS, REFUSED, TABLES, contents

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
