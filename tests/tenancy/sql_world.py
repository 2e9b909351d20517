"""Two tenants, A and B, with a row in every table, and a cursor of each role beside them."""

import psycopg2
from django.db import connections, transaction
from psycopg2 import errors, sql

from calqsync.tenancy.isolation.catalog import tenant_models
from tests.conftest import make_cast, superuser_connection
from tests.tenancy.rows import fill

MODELS = {model._meta.db_table: model for model in tenant_models()}
TABLES = sorted(MODELS)
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


def make_world():
    """Commit both tenants with a row in every table."""
    with transaction.atomic():
        cast = make_cast()
        fill(cast.tenant, cast.alice)
        fill(cast.stranger_tenant, cast.mallory)


def contents(world, cursor, tenant):
    """Every row of the tenant as text, byte for byte."""
    each = [
        f"SELECT '{table}', t::text FROM {table} t WHERE tenant_id = %(tenant)s" for table in TABLES
    ]
    cursor.execute(" UNION ALL ".join(each) + " ORDER BY 1, 2", {"tenant": tenant})
    found = cursor.fetchall()
    assert {table for table, _ in found} == set(TABLES)
    return found
