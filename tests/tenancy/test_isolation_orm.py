"""Whatever the ORM is asked in one tenant's scope, the other's rows stay unseen and unchanged."""

from copy import copy

import pytest
from django.db import DatabaseError, connection, models, transaction
from django.db.models import Count, Exists, Max, OuterRef, Prefetch
from hypothesis import HealthCheck, given
from hypothesis import settings as limits
from hypothesis import strategies as st

from calqsync.tenancy import scope
from calqsync.tenancy.isolation.catalog import tenant_models
from calqsync.tenancy.models import Invitation
from calqsync.tenancy.services import tenant_create
from integrations.models import Connection, Product
from integrations.sync import targets
from integrations.sync.bulk import insert_missing, upsert
from tests.factories import connection_make, customer_make, product_make
from tests.integrations.sync.test_bulk import product
from tests.tenancy.rows import FUTURE
from tests.tenancy.sql_world import TABLES, contents

MODELS = sorted(tenant_models(), key=lambda model: model._meta.db_table)


def tenants_of(rows):
    return {row.tenant_id for row in rows}


def through_subquery(rows, _theirs):
    same = rows.model._base_manager.filter(pk=OuterRef("pk"))
    return tenants_of(rows.annotate(there=Exists(same)).filter(there=True))


def through_related(rows, _theirs):
    names = [f.name for f in rows.model._meta.local_fields if f.is_relation]
    found = list(rows.select_related(*names))
    related = {
        getattr(value, "tenant_id", None)
        for row in found
        for name in names
        if (value := getattr(row, name)) is not None
    } - {None}
    return tenants_of(found) | related


def through_prefetch(rows, _theirs):
    found = list(rows.prefetch_related(*[
        Prefetch(f.name) for f in rows.model._meta.local_fields
        if f.is_relation and f.related_model in MODELS
    ]))  # fmt: skip
    return tenants_of(found)


def counted(rows, _theirs):
    assert rows.aggregate(n=Count("pk"), newest=Max("pk"))["n"] == rows.count()
    return set(rows.values_list("tenant_id", flat=True))


def copied_for_the_other(rows, theirs):
    row = rows.first()
    row.pk, row.tenant_id = None, theirs.tenant_id
    rows.model._base_manager.bulk_create([row])
    return set()


def moved_to_the_other(rows, theirs):
    rows.update(tenant_id=theirs.tenant_id)
    return set()


# Each is given a query set in scope and a row of the other tenant, and tells whose rows it saw.
OPERATIONS = {
    "all": lambda rows, _: tenants_of(rows.all()),
    "filter by id": lambda rows, theirs: tenants_of(rows.filter(pk=theirs.pk)),
    "filter by tenant": lambda rows, theirs: tenants_of(rows.filter(tenant_id=theirs.tenant_id)),
    "exclude own": lambda rows, theirs: tenants_of(rows.exclude(tenant_id=scope.current())),
    "or": lambda rows, theirs: tenants_of(rows.filter(models.Q(pk=theirs.pk) | models.Q(pk__gt=0))),
    "in_bulk": lambda rows, theirs: tenants_of(rows.in_bulk([theirs.pk]).values()),
    "values": lambda rows, _: set(rows.values_list("tenant_id", flat=True)),
    "union": lambda rows, theirs: tenants_of(rows.union(rows.model._base_manager.all())),
    "raw": lambda rows, _: tenants_of(
        rows.model._base_manager.raw(f"SELECT * FROM {rows.model._meta.db_table}")
    ),
    "extra": lambda rows, _: tenants_of(rows.extra(where=["1 = 1 OR tenant_id > 0"])),
    "iterator": lambda rows, _: tenants_of(rows.iterator(chunk_size=1)),
    "lock": lambda rows, _: tenants_of(rows.select_for_update()),
    "subquery": through_subquery,
    "related": through_related,
    "prefetch": through_prefetch,
    "count": counted,
    "update all": lambda rows, _: rows.update(tenant_id=scope.current()) and set(),
    "update theirs": lambda rows, theirs: set(range(rows.filter(pk=theirs.pk).update(id=-1))),
    "delete all": lambda rows, _: rows.delete() and set(),
    "delete theirs": lambda rows, theirs: set(range(rows.filter(pk=theirs.pk).delete()[0])),
    "delete their object": lambda rows, theirs: theirs.delete() and set(),
    "save their object": lambda rows, theirs: theirs.save(force_update=True),
    "copy for the other": copied_for_the_other,
    "move to the other": moved_to_the_other,
}


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model._meta.db_table)
@limits(max_examples=6, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_i19g_no_operation_of_the_orm_reaches_the_other_tenant(
    world, django_db_blocker, model, data
):
    manager = data.draw(st.sampled_from(["objects", "unscoped", "_base_manager"]))
    chosen = data.draw(st.lists(st.sampled_from(sorted(OPERATIONS)), min_size=1, max_size=4))
    own, other = data.draw(st.sampled_from([(world.a, world.b), (world.b, world.a)]))
    before = contents(world, world.truth, other)  # by a superuser
    with django_db_blocker.unblock(), transaction.atomic():
        with scope.tenant(other):
            theirs = model.unscoped.order_by("pk").first()
        with scope.tenant(own):
            for name in chosen:
                try:
                    with transaction.atomic():
                        seen = OPERATIONS[name](getattr(model, manager).all(), copy(theirs))
                except (DatabaseError, AttributeError, models.ProtectedError):
                    continue  # refused
                assert (seen or set()) <= {own}, name
        with scope.tenant(other), connection.cursor() as cursor:
            assert contents(world, cursor, other) == before
        transaction.set_rollback(True)


def test_i19h_the_property_speaks_of_every_model():
    assert {model._meta.db_table for model in MODELS} == set(TABLES)
    assert len(MODELS) > 30


def test_i14_the_same_remote_ids_in_two_tenants_are_stored_for_both(cast):
    rows = [product(str(number), f"Licence {number}") for number in range(20)]
    for tenant, text in [(cast.tenant, "A"), (cast.stranger_tenant, "B")]:
        with scope.tenant(tenant.pk), transaction.atomic():
            main = Connection.objects.create(name="Main", company_id="1", company_name="x")
            owner = {"tenant_id": tenant.pk, "connection_id": main.pk}
            written = upsert(
                targets.PRODUCTS, [row._replace(name=f"{text} {row.name}") for row in rows], **owner
            )
            assert len(written.added) == len(rows)  # nothing was silently left out
            assert insert_missing(targets.PRODUCTS, rows, **owner) == {}
    for tenant, text in [(cast.tenant, "A"), (cast.stranger_tenant, "B")]:
        with scope.tenant(tenant.pk):
            names = Product.objects.order_by("name").values_list("name", flat=True)
            assert sorted(names) == sorted(f"{text} Licence {number}" for number in range(20))


def test_i14b_an_upsert_for_another_tenant_is_refused(cast):
    with scope.tenant(cast.tenant.pk):
        theirs = Connection.objects.create(name="Main", company_id="1", company_name="x")
    with (
        scope.tenant(cast.stranger_tenant.pk),
        pytest.raises(DatabaseError),
        transaction.atomic(),
    ):
        upsert(
            targets.PRODUCTS, [product("1")],
            tenant_id=cast.tenant.pk, connection_id=theirs.pk,
        )  # fmt: skip


def test_i13b_names_numbers_and_addresses_that_another_tenant_uses_are_free(cast):
    for tenant in (cast.tenant, cast.stranger_tenant):
        with scope.tenant(tenant.pk):
            connection = connection_make("Same name", company_id="77")
            customer_make(connection, "Same customer", external_id="5", identity="b:1")
            product_make(connection, "Same product", external_id="5")
            invited = {"email": "anna@example.com", "role": "viewer", "token_hash": "0" * 64}
            Invitation.objects.create(expires_at=FUTURE, **invited)
            assert Invitation.objects.count() == 1
    again = tenant_create(name=cast.tenant.name, owner=cast.mallory)
    assert (again.name, again.slug != cast.tenant.slug) == (cast.tenant.name, True)
