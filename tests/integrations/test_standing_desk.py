"""The console's numbers over all companies: what stands still, for how long, and who was told."""

from datetime import timedelta

import pytest
from django.db import transaction
from django.utils import timezone

from billing.models import Account
from calqsync.tenancy import scope
from calqsync.tenancy.models import Tenant
from integrations import standing_desk
from integrations.models import Connection, RemovalHold
from tests.conftest import SignedInClient
from tests.staff import staff_make

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "support"])
NOW = timezone.now()
HOUR, DAY = timedelta(hours=1), timedelta(days=1)


@pytest.fixture
def made(committed_cast):
    """`made(name, **facts)` connects an account of Kuura, imported by the usual six hours."""

    def make(name, tenant=committed_cast.tenant, **facts):
        with transaction.atomic(), scope.tenant(tenant.pk):
            one = Connection.objects.create(
                name=name,
                company_id=name,
                company_name=f"{name} Oy",
                **{"data_as_of": NOW - HOUR, **facts},
            )
            Connection.objects.update(created_at=NOW - 90 * DAY)
        return one

    for tenant in (committed_cast.tenant, committed_cast.stranger_tenant):
        with transaction.atomic(), scope.tenant(tenant.pk):
            Account.objects.create(trial_ends_at=NOW + DAY)
    make.cast = committed_cast
    return make


def names(find):
    return sorted(find(NOW).values_list("name", flat=True))


def plan(cast, **facts):
    with transaction.atomic(), scope.tenant(cast.tenant.pk):
        Account.objects.update(**facts)


def test_figures_are_stale_by_the_accounts_own_schedule(made):
    made("usual", data_as_of=NOW - 11 * HOUR)
    made("usual late", data_as_of=NOW - 13 * HOUR)
    made("hourly late", data_as_of=NOW - 3 * HOUR, sync_every_hours=1)
    made("daily", data_as_of=NOW - 47 * HOUR, sync_every_hours=24)
    made("daily late", data_as_of=NOW - 49 * HOUR, sync_every_hours=24)
    made("never", data_as_of=None)
    made("paused", data_as_of=NOW - 9 * DAY, paused_at=NOW)
    made("gone", data_as_of=NOW - 9 * DAY, disconnected_at=NOW)
    made("theirs", tenant=made.cast.stranger_tenant, data_as_of=NOW - 9 * DAY)
    assert names(standing_desk.stale) == [
        *("daily late", "hourly late", "never", "theirs", "usual late")
    ]


def test_the_plan_counts_as_it_does_on_the_customers_pages(made):
    made("hourly", data_as_of=NOW - 3 * HOUR, sync_every_hours=1)
    plan(made.cast, plan="starter")
    assert names(standing_desk.stale) == []
    plan(made.cast, plan="growth")
    assert names(standing_desk.stale) == ["hourly"]


def test_a_company_that_may_not_import_or_leaves_is_not_stale(made):
    made("old", data_as_of=NOW - 9 * DAY)
    plan(made.cast, trial_ends_at=NOW - DAY)
    assert names(standing_desk.stale) == []
    plan(made.cast, trial_ends_at=NOW + DAY)
    assert names(standing_desk.stale) == ["old"]
    with transaction.atomic(), scope.tenant(made.cast.tenant.pk):
        Tenant.objects.filter(pk=made.cast.tenant.pk).update(deletes_at=NOW)
    assert names(standing_desk.stale) == []


def test_o10c_the_console_counts_lists_and_dates_what_is_broken_for_long(made):
    made(
        "broken",
        data_as_of=NOW - 30 * DAY,
        trouble="needs_you",
        trouble_kind="key_revoked",
        trouble_since=NOW - 30 * DAY,
        trouble_told_at=NOW - 30 * DAY,
        trouble_reminded_at=NOW - 2 * DAY,
    )
    made("broken lately", trouble="needs_you", trouble_since=NOW - DAY)
    asked = made("asked")
    with transaction.atomic(), scope.tenant(made.cast.tenant.pk):
        RemovalHold.objects.create(
            connection=asked, stream="invoices", found_at=NOW, missing=90, stored=100
        )
    assert names(standing_desk.broken_for_long) == ["broken"]
    assert names(standing_desk.held) == ["asked"]
    client = SignedInClient()
    client.force_login(staff_make())
    front = client.get("/admin/")
    page = front.content.decode()
    assert "Figures that stand still" in page
    for counter in front.context["counters"]:
        if "standing=" in counter.url:
            listed = client.get(counter.url)
            assert listed.context["cl"].result_count == counter.number == 1, counter.label
