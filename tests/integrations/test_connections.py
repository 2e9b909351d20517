"""Renaming and disconnecting; what goes and what stays."""

from datetime import UTC, date, datetime

import pytest
from django.core.exceptions import ValidationError

from calqsync.jobs import services as jobs
from calqsync.jobs.models import Job, JobState
from calqsync.tenancy import scope
from calqsync.tenancy.models import AuditEvent
from integrations.models import (
    Connection,
    Credential,
    Customer,
    Invoice,
    InvoiceLine,
    Product,
    SyncRun,
)
from integrations.services import deleting
from integrations.services.connections import connection_disconnect, connection_rename
from integrations.services.names import suggested_name
from integrations.signals import books_changed
from reporting.models import LineFigure

NOW = datetime(2026, 11, 21, 8, 0, tzinfo=UTC)


def made(name, company):
    one = Connection.objects.create(name=name, company_id=company, company_name=f"{company} Oy")
    Credential.objects.create(connection=one, kind="api_key", secret=b"sealed")
    SyncRun.objects.create(
        connection=one,
        mode="first",
        trigger="person",
        started_at=NOW,
        window_to=NOW,
        state="complete",
    )
    return one


def with_books(one):
    same = {"connection": one}
    customer = Customer.objects.create(
        **same, external_id="1", identity="p:1", name="Asiakas", sort_key="asiakas"
    )
    product = Product.objects.create(**same, external_id="2", name="Lisenssi", sort_key="lisenssi")
    zero = dict.fromkeys(
        [
            *("net_minor", "vat_minor", "total_minor"),
            *("net_acc_minor", "vat_acc_minor", "total_acc_minor"),
        ],
        0,
    )
    invoice = Invoice.objects.create(
        **same,
        **zero,
        external_id="3",
        customer=customer,
        customer_identity="p:1",
        customer_name="Asiakas",
        status="SENT",
        issued=True,
        date=date(2026, 1, 1),
        currency="EUR",
        rate=1,
    )
    return InvoiceLine.objects.create(
        **same,
        invoice=invoice,
        product=product,
        position=0,
        name="Lisenssi",
        quantity=1,
        unit_price=1,
        discount_percent=0,
        vat_percent=0,
        net_minor=0,
        net_acc_minor=0,
    )


def run_deletion():
    """What a worker does with the deletion that is due."""
    job = jobs.claim(Job.objects.get(kind=deleting.KIND).pk)
    outcome = deleting.delete_slice(job)
    jobs.finish(job, outcome)
    return outcome


@pytest.fixture
def world(cast):
    with scope.tenant(cast.tenant.pk):
        cast.eu, cast.us = made("EU account", "1"), made("US account", "2")
        yield cast


def test_a_rename_is_stored_tidied_and_audited(world):
    connection_rename(connection=world.eu, name=" Europe \t account\n", by=world.ann)
    assert Connection.objects.get(pk=world.eu.pk).name == "Europe account"
    event = AuditEvent.objects.get(act="connection.renamed")
    assert (event.before, event.after) == ({"name": "EU account"}, {"name": "Europe account"})


@pytest.mark.parametrize("name", ["us ACCOUNT", "  US\taccount ", "", " \u200b ", "x" * 61])
def test_a_taken_empty_or_long_name_is_refused(world, name):
    with pytest.raises(ValidationError):
        connection_rename(connection=world.eu, name=name, by=world.ann)


def test_a_connection_may_change_the_case_of_its_own_name(world):
    assert connection_rename(connection=world.eu, name="eu ACCOUNT", by=world.ann)


def test_a_suggested_name_is_free(world):
    assert suggested_name("EU account") == "EU account 2"
    assert suggested_name("Kuusi Oy") == "Kuusi Oy"


def test_disconnecting_destroys_the_key_and_keeps_the_books(world):
    with_books(world.eu)
    connection_disconnect(connection=world.eu, delete_data=False, by=world.ann, now=NOW)
    assert not Credential.objects.filter(connection=world.eu).exists()
    assert Credential.objects.filter(connection=world.us).exists()
    assert Connection.objects.get(pk=world.eu.pk).disconnected_at == NOW
    assert InvoiceLine.objects.filter(connection=world.eu).count() == 1


def test_deleting_takes_the_books_and_their_figures_and_nothing_of_another(world):
    line, kept = with_books(world.eu), with_books(world.us)
    for each in (line, kept):
        LineFigure.objects.create(line=each, customer=each.invoice.customer, counted=True)
    connection_disconnect(connection=world.eu, delete_data=True, by=world.ann, now=NOW)
    run_deletion()
    for model in (Invoice, InvoiceLine, Customer, Product, Credential, SyncRun):
        assert {row.connection_id for row in model.objects.all()} == {world.us.pk}
    assert [figure.line_id for figure in LineFigure.objects.all()] == [kept.pk]
    assert not Connection.objects.filter(pk=world.eu.pk).exists()
    assert AuditEvent.objects.filter(act="connection.deleted").exists()


def test_deleting_tells_reporting_that_the_books_changed(world):
    heard = []

    def listen(sender, tenant_id, connection_id, **more):
        heard.append((tenant_id, connection_id))

    books_changed.connect(listen)
    try:
        connection_disconnect(connection=world.eu, delete_data=True, by=world.ann, now=NOW)
        run_deletion()
    finally:
        books_changed.disconnect(listen)
    assert heard == [(world.tenant.pk, world.eu.pk)]


def test_deleting_destroys_the_key_in_the_request_and_leaves_the_rows_to_a_job(world):
    with_books(world.eu)
    connection_disconnect(connection=world.eu, delete_data=True, by=world.ann, now=NOW)
    assert not Credential.objects.filter(connection=world.eu).exists()
    held = Connection.objects.get(pk=world.eu.pk)
    assert (held.disconnected_at, held.deleting_at) == (NOW, NOW)
    assert InvoiceLine.objects.filter(connection=world.eu).count() == 1


def test_a_deletion_goes_on_where_a_slice_ended(world, settings, monkeypatch):
    with_books(world.eu)
    connection_disconnect(connection=world.eu, delete_data=True, by=world.ann, now=NOW)
    settings.JOB_SLICE_SECONDS = -1
    assert run_deletion().again_in is not None
    assert Connection.objects.filter(pk=world.eu.pk).exists()
    assert not InvoiceLine.objects.filter(connection=world.eu).exists()
    settings.JOB_SLICE_SECONDS = 60
    assert run_deletion().again_in is None
    assert not Connection.objects.filter(pk=world.eu.pk).exists()
    assert Job.objects.get(kind=deleting.KIND).state == JobState.DONE


def test_a_deletion_job_touches_no_connection_that_is_not_being_deleted(world):
    with_books(world.us)
    deleting.delete_later(world.us)
    run_deletion()
    assert InvoiceLine.objects.filter(connection=world.us).count() == 1
