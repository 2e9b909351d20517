"""How old the figures are, said beside them: per account, with the reason and the way on."""

from datetime import timedelta

import pytest
from django.utils import timezone

from calqsync.tenancy import scope
from integrations.models import Connection
from tests.reporting.conftest import refreshed

FIGURES = ["", "growth/", "cashflow/", "customers/", "products/", "subscriptions/", "invoices/"]


@pytest.fixture
def accounts(cast, shop):
    """The shop's two accounts, imported an hour ago."""

    def set_to(name="EU account", **facts):
        with scope.tenant(cast.tenant.pk):
            Connection.objects.filter(name=name).update(**facts)
            refreshed()

    for name in ("EU account", "US account"):
        set_to(name, data_as_of=timezone.now() - timedelta(hours=1))
    return set_to


def page_of(cast, client, path=""):
    answer = client.get(cast.url(path))
    assert answer.status_code == 200
    text = answer.content.decode()
    return " ".join(text.split("<main")[1].split())


@pytest.mark.parametrize("path", FIGURES)
def test_o11_figures_older_than_two_periods_say_their_age_on_every_page(
    cast, accounts, as_person, path
):
    page = page_of(cast, as_person("alice"), path)
    assert "data from" not in page
    accounts(
        data_as_of=timezone.now() - timedelta(days=3),
        trouble="needs_you",
        trouble_kind="key_revoked",
        trouble_since=timezone.now(),
    )
    page = page_of(cast, as_person("alice"), path)
    assert "EU account: data from 3 days ago. Procountor no longer accepts our key." in page
    assert ">Reconnect</a>" in page
    assert "US account: data" not in page


def test_o11b_the_age_is_measured_by_the_accounts_own_schedule(cast, accounts, as_person):
    three_hours = timezone.now() - timedelta(hours=3)
    accounts(data_as_of=three_hours, sync_every_hours=24)
    assert "data from" not in page_of(cast, as_person("vera"))
    accounts(data_as_of=three_hours, sync_every_hours=1)
    page = page_of(cast, as_person("vera"))
    assert "EU account: data from 3 hours ago. The import that was due has not come." in page


def test_o11c_what_needs_somebody_is_said_while_the_figures_are_still_young(
    cast, accounts, as_person
):
    accounts(trouble="needs_you", trouble_kind="key_revoked", trouble_since=timezone.now())
    page = page_of(cast, as_person("vera"))
    assert "EU account: data from 1 hour ago. Procountor no longer accepts our key." in page
    assert ">Reconnect</a>" not in page, "a viewer may not reconnect"
    assert ">See how it stands</a>" in page


def test_o11d_an_investor_reads_the_age_and_no_account(cast, accounts, as_person):
    accounts(data_as_of=timezone.now() - timedelta(days=3), trouble="needs_you")
    answer = as_person("ivan").get(cast.url(""))
    assert "(3 days ago)" in answer.content.decode()
    assert "EU account" not in answer.content.decode()


def test_o11e_an_account_that_never_came_in_says_so_before_there_are_figures(cast, as_person):
    with scope.tenant(cast.tenant.pk):
        Connection.objects.create(
            name="EU account",
            company_id="1",
            company_name="Yksi Oy",
            trouble="needs_you",
            trouble_kind="clients_not_allowed",
        )
    page = page_of(cast, as_person("ann"))
    assert "EU account: nothing imported completely yet. Procountor refused the connection" in page
    assert "EU account" not in as_person("ivan").get(cast.url("")).content.decode()
