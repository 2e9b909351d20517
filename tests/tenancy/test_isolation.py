"""Rows of another tenant can be neither read nor written, by ORM or by SQL."""

import re
from pathlib import Path

import pytest
from django.db import IntegrityError, ProgrammingError, connection, transaction

from calqsync.tenancy import scope
from calqsync.tenancy.models import AuditEvent, Membership, Tenant
from integrations.models import Connection, Customer, SyncRun


def make_connection(tenant, name="EU account", company="1"):
    with scope.tenant(tenant.pk):
        return Connection.objects.create(name=name, company_id=company, company_name="Kuusi Oy")


WAYS = {
    "orm": lambda: Connection.objects.all(),
    "sql": lambda: Connection.objects.raw("SELECT * FROM integrations_connection"),
}


@pytest.mark.parametrize("way", WAYS)
def test_reading_tenant_rows_without_a_tenant_in_scope_raises(cast, way):
    with pytest.raises(scope.NoTenant):
        list(WAYS[way]())


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.django_db(transaction=True)
def test_reading_tenant_rows_outside_a_transaction_raises(committed_cast, way):
    with scope.tenant(committed_cast.tenant.pk), pytest.raises(scope.NoTransaction):
        list(WAYS[way]())


def test_the_unscoped_manager_still_sees_only_the_tenant_in_scope(cast):
    make_connection(cast.tenant)
    with scope.tenant(cast.stranger_tenant.pk):
        assert list(Connection.unscoped.all()) == []


def test_raw_sql_without_a_scope_sees_nothing(cast):
    make_connection(cast.tenant)
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM integrations_connection")
        assert cursor.fetchone() == (0,)


def test_a_row_cannot_be_written_for_another_tenant(cast):
    with scope.tenant(cast.stranger_tenant.pk), pytest.raises(ProgrammingError):
        Connection.unscoped.create(
            tenant_id=cast.tenant.pk, name="x", company_id="9", company_name="x"
        )


def test_an_update_of_another_tenants_row_touches_nothing(cast):
    theirs = make_connection(cast.tenant)
    with scope.tenant(cast.stranger_tenant.pk):
        assert Connection.unscoped.filter(pk=theirs.pk).update(name="taken") == 0
        assert Connection.unscoped.filter(pk=theirs.pk).delete()[0] == 0
    with scope.tenant(cast.tenant.pk):
        assert Connection.objects.get().name == "EU account"


@pytest.mark.django_db(transaction=True)
def test_a_child_cannot_hang_on_another_tenants_parent(committed_cast):
    with transaction.atomic():
        theirs = make_connection(committed_cast.tenant)
    with (
        pytest.raises(IntegrityError),
        transaction.atomic(),
        scope.tenant(committed_cast.stranger_tenant.pk),
    ):
        Customer.objects.create(
            connection_id=theirs.pk, external_id="1", identity="p:1", name="x", sort_key="x"
        )


def test_two_tenants_may_use_the_same_names_and_companies(cast):
    make_connection(cast.tenant)
    make_connection(cast.stranger_tenant)


def test_a_failed_statement_does_not_leave_the_wrong_tenant_in_scope(cast):
    with scope.tenant(cast.tenant.pk):
        with (
            pytest.raises(IntegrityError),
            transaction.atomic(),
            scope.tenant(cast.stranger_tenant.pk),
        ):
            Membership.objects.create(user=cast.mallory, role="viewer")
        assert Membership.unscoped.values_list("tenant_id", flat=True).distinct().get() == (
            cast.tenant.pk
        )


def test_a_person_sees_exactly_their_own_tenants(cast):
    with scope.user(cast.bob.pk):
        assert [tenant.name for tenant in Tenant.objects.all()] == ["Kuura Oy"]
    with scope.user(cast.mallory.pk):
        assert [tenant.name for tenant in Tenant.objects.all()] == ["Vieras Oy"]


def test_audit_rows_cannot_be_changed_by_the_app(cast):
    with (
        scope.tenant(cast.tenant.pk),
        pytest.raises(ProgrammingError),
        transaction.atomic(),
    ):
        AuditEvent.objects.update(act="nothing happened")


@pytest.mark.django_db(transaction=True, databases=["default", "support"])
def test_support_reads_the_directory_but_no_books_without_a_grant(committed_cast):
    from datetime import timedelta

    from django.utils import timezone

    from calqsync.tenancy.models import SupportGrant, User

    tenant = committed_cast.tenant
    staff = User.objects.create_user("staff@example.com", "x", is_staff=True)
    with transaction.atomic(), scope.tenant(tenant.pk):
        theirs = make_connection(tenant)
        Customer.objects.create(
            connection=theirs, external_id="1", identity="p:1", name="Aalto", sort_key="aalto"
        )
    with scope.tenant(tenant.pk), scope.user(staff.pk), transaction.atomic(using="support"):
        assert Connection.unscoped.using("support").count() == 1
        assert SyncRun.unscoped.using("support").count() == 0
        assert Customer.unscoped.using("support").count() == 0
    with transaction.atomic(), scope.tenant(tenant.pk):
        SupportGrant.objects.create(
            staff=staff,
            reason="asked for help",
            ticket="T-1",
            expires_at=timezone.now() + timedelta(minutes=30),
        )
    with scope.tenant(tenant.pk), scope.user(staff.pk), transaction.atomic(using="support"):
        assert Customer.unscoped.using("support").count() == 1
        with pytest.raises(ProgrammingError), transaction.atomic(using="support"):
            Customer.unscoped.using("support").update(name="changed")


def test_only_cursors_tell_the_database_a_tenant():
    """A setting made elsewhere could outlive its transaction."""
    root = Path(__file__).parents[2]
    said = re.compile(r"set_config\(\s*'app\.|\bSET\s+(?:LOCAL|SESSION)?\s*app\.", re.IGNORECASE)
    files = [
        file
        for room in ("calqsync", "billing", "integrations", "reporting")
        for file in (root / room).rglob("*.py")
    ]
    assert len(files) > 100
    found = {str(file.relative_to(root)) for file in files if said.search(file.read_text())}
    assert found == {"calqsync/tenancy/backend/cursors.py"}
