"""The schedule on a connection's page: what holds, why, and who may change it."""

from datetime import timedelta

import pytest
from django.utils import timezone

from billing.models import Account
from calqsync.tenancy import scope
from integrations.models import Connection
from tests.conftest import SignedInClient


@pytest.fixture
def eu(cast):
    with scope.tenant(cast.tenant.pk):
        now = timezone.now()
        Account.objects.create(trial_ends_at=now + timedelta(days=9))
        return Connection.objects.create(
            name="EU account", company_id="1", company_name="Kuusi Oy", data_as_of=now
        )


@pytest.fixture
def page(cast, eu):
    """`page("ann")` is the connection's page as she sees it; with `every`, after she chose."""

    def show(name, every=None):
        client = SignedInClient()
        client.force_login(getattr(cast, name))
        url = cast.url(f"settings/integrations/{eu.public_id}/")
        if every is not None:
            answer = client.post(f"{url}schedule/", {"every": every})
            assert answer.status_code == 302
        return " ".join(client.get(url).content.decode().split("<main")[1].split())

    return show


def stored(cast):
    with scope.tenant(cast.tenant.pk):
        return Connection.objects.values_list("sync_every_hours", flat=True).get()


def plan(cast, name):
    with scope.tenant(cast.tenant.pk):
        Account.objects.update(plan=name)


def test_an_admin_chooses_and_the_page_says_what_holds(cast, page):
    assert "Imports run every 6 hours." in page("ann")
    assert "Imports run every hour." in page("ann", every="1")
    assert stored(cast) == 1
    assert "Imports run once a day." in page("ann", every="24")
    assert "Imports run every 6 hours." in page("ann", every="usual")
    assert stored(cast) is None


def test_a_smaller_plan_keeps_the_choice_and_says_why_it_does_not_hold(cast, page):
    page("ann", every="1")
    plan(cast, "starter")
    shown = page("alice")
    assert "Imports run every 6 hours. You chose every hour." in shown
    assert "Your plan allows no more often than every 6 hours." in shown
    assert '<option value="1" selected>Every hour</option>' in shown
    assert '<option value="3">' not in shown
    assert "Plans that import more often" in shown
    assert "Plans that import more often" not in page("ann"), "only owners choose a plan"
    plan(cast, "growth")
    assert "Imports run every hour." in page("alice")


@pytest.mark.parametrize("every", ["", "5", "x", "3"])
def test_what_cannot_be_chosen_changes_nothing_and_is_said(cast, page, every):
    plan(cast, "starter")
    assert "message--error" in page("ann", every=every)
    assert stored(cast) is None


def test_a_viewer_reads_the_schedule_without_a_form(page):
    shown = page("vera")
    assert "Imports run every 6 hours." in shown
    assert "schedule/" not in shown


def test_a_disconnected_one_has_no_schedule(cast, eu, page):
    with scope.tenant(cast.tenant.pk):
        Connection.objects.update(disconnected_at=timezone.now())
    assert "Imports run every" not in page("ann")


def test_a_paused_one_promises_no_import_and_says_how_often_they_will_run(cast, page):
    with scope.tenant(cast.tenant.pk):
        Connection.objects.update(paused_at=timezone.now())
    shown = page("ann")
    assert "Once imports go on, they run every 6 hours." in shown
    assert "Imports run every" not in shown
