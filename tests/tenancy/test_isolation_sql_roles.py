"""What SQL shows before a tenant is known, and to the roles that serve no tenant.

Two tenants, A and B, have a row in every table.
"""

import pytest

from calqsync.tenancy.isolation import roles
from calqsync.tenancy.isolation.catalog import declared_policies
from calqsync.tenancy.isolation.rls import GRANTED
from tests.tenancy.sql_world import REFUSED, TABLES


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
